//! Plays a script: carries out its steps one after the other against the other side.

mod exchange;
mod hosted;
mod inbox;
mod link;
mod program;
mod visit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::time::Instant;

use self::exchange::Exchange;
use self::hosted::{Arrival, Hall, Hosted, plain};
use self::inbox::{Arrived, Event, Inbox, Task, shown_packets};
use self::link::{Carrier, Link, Manner, Side};
use self::program::Program;
use self::visit::{Visit, Wish, link_request};
use crate::case::Endpoint;
use crate::mutant::{Broken, Mutant};
use crate::script::pattern::{self, Captures, remembered};
use crate::script::value::{Expression, Part, Scope, Template, Value};
use crate::script::{Action, Choice, Comparison, Match, Outcome, RawFrame, Step, Term};
use crate::transcript::Transcript;
use crate::wire::http::{Headers, RequestHead, header};
use crate::wire::packets::{Payload, Revision};
use crate::wire::websocket::{BINARY, Frame, TEXT};
use crate::wire::{BoxStream, Connector, Session, Tcp, msgpack, printable};

/// What all objects of a running case share.
pub(crate) struct Context {
    /// The way to the server under test; none when a client is tested.
    connector: Option<Arc<dyn Connector>>,
    pub(crate) transcript: Transcript,
    answers_heartbeats: AtomicBool,
    /// Why a connection to the server could not be made. No case accepts that: a server that is gone refuses everything, and does nothing wrong.
    unreachable: OnceLock<String>,
    path: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Context {
    /// A new connection to the server under test, or what to tell of the failure.
    async fn connect(&self) -> Result<BoxStream, Event> {
        match &self.connector {
            Some(connector) => {
                let connected = connector.connect().await;
                connected.map_err(|error| self.is_unreachable(format!("no connection: {error}")))
            }
            None => Err(Event::closed("no connection: this case plays the server")),
        }
    }

    fn is_unreachable(&self, reason: String) -> Event {
        let _ = self.unreachable.set(reason.clone());
        Event::closed(reason)
    }

    /// A new session of WebTransport with the server under test, or what to tell of the failure.
    async fn webtransport(&self) -> Result<Arc<dyn Session>, Event> {
        match &self.connector {
            Some(connector) => {
                let opened = connector.webtransport(&self.path).await;
                opened.map_err(|error| self.is_unreachable(format!("no session of WebTransport: {error}")))
            }
            None => Err(Event::closed("no connection: this case plays the server")),
        }
    }

    fn answers_heartbeats(&self) -> bool {
        self.answers_heartbeats.load(Ordering::Relaxed)
    }

    /// The head of a request with the headers that every client sends.
    fn request(&self, method: &str, target: &str) -> RequestHead {
        let authority = self.connector.as_ref().map_or("", |connector| connector.authority());
        let target = if target.starts_with('?') { format!("{}{target}", self.path) } else { target.to_owned() };
        let headers = vec![("Host".to_owned(), authority.to_owned()), ("Accept".to_owned(), "*/*".to_owned())];
        RequestHead { method: method.to_owned(), target, headers }
    }
}

/// Replaces headers of the same name and adds the others.
fn set_headers(headers: &mut Headers, wanted: Headers) {
    headers.retain(|(name, _)| header(&wanted, name).is_none());
    headers.extend(wanted);
}

/// Why a script did not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The implementation did something else.
    Failed { step: String, expected: String, seen: String },
    /// It cannot be told here.
    Skipped(String),
    /// The script asks for something impossible.
    Broken { step: String, error: String },
}

/// How a script is played.
pub(crate) struct Setting {
    pub(crate) connector: Option<Arc<dyn Connector>>,
    /// The command line of the client under test; `{url}` in it stands for the URL of the suite.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Stands between the suite and the client under test.
    pub(crate) mutant: Option<Arc<Mutant>>,
    /// Where the endpoint is.
    pub(crate) path: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) grace: Duration,
    /// The longest wait that is worth it.
    pub(crate) patience: Duration,
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) seed: u64,
}

/// Plays the steps, and returns how it ended.
pub(crate) async fn play(setting: Setting, transcript: Transcript, steps: &[Step]) -> Result<(), Stop> {
    let context = Arc::new(Context {
        connector: setting.connector.clone(),
        transcript,
        answers_heartbeats: AtomicBool::new(true),
        unreachable: OnceLock::new(),
        path: setting.path.clone(),
    });
    let mut scope = Scope::new(setting.seed);
    scope.set("path", Value::Text(setting.path.clone()));
    for (name, value) in &setting.variables {
        scope.set(name, value.clone());
    }
    let mut player = Player {
        context: Arc::clone(&context),
        setting,
        scope,
        objects: BTreeMap::new(),
        hall: None,
        joined: BTreeMap::new(),
        program: None,
        proxy: None,
        awake: false,
        zero: Instant::now(),
        counter: 0,
    };
    player.start_program().await?;
    let result = player.steps(steps).await;
    match context.unreachable.get() {
        Some(reason) if result.is_ok() => {
            Err(Stop::Failed { step: String::new(), expected: "a connection".to_owned(), seen: reason.clone() })
        }
        _ => result,
    }
}

/// Something that a script has given a name.
enum Object {
    Visit(Box<Visit>),
    Hosted(Box<Hosted>),
    Exchange(Exchange),
    Link(Link),
    Arrival(Arrival, Inbox),
}

struct Player {
    context: Arc<Context>,
    setting: Setting,
    scope: Scope,
    objects: BTreeMap<String, Object>,
    hall: Option<Hall>,
    /// Namespaces that sessions are in.
    joined: BTreeMap<String, Vec<String>>,
    program: Option<Program>,
    proxy: Option<Task>,
    /// Something has happened already: what was started runs.
    awake: bool,
    /// When the last thing happened that a step waited for or did: what `after` and `within` count from.
    zero: Instant,
    counter: u32,
}

/// How long a client may take to start before it is expected to do anything.
const STARTING: Duration = Duration::from_secs(30);

/// The name of the session that is meant when none is named.
const MAIN: &str = "main";

/// A step's own failure, before the step is named.
enum Trouble {
    /// Expected, seen.
    Failed(String, String),
    Skipped(String),
    Broken(String),
}

impl From<String> for Trouble {
    fn from(error: String) -> Self {
        Self::Broken(error)
    }
}

fn failed<T>(expected: impl Into<String>, seen: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Failed(expected.into(), seen.into()))
}

/// What a step may wait for: not before, and not after, both counted from [`Player::zero`].
#[derive(Clone, Debug)]
struct Window {
    after: Option<Duration>,
    deadline: Instant,
    within: Duration,
    starting: Option<Starting>,
}

/// A client that has just been started, and has not shown up.
#[derive(Clone, Debug)]
struct Starting {
    /// How long others are waited for once it has, or has ended.
    time: Duration,
    ended: watch::Receiver<Option<String>>,
}

impl Player {
    async fn start_program(&mut self) -> Result<(), Stop> {
        if self.setting.connector.is_some() {
            return Ok(());
        }
        let broken =
            |error: std::io::Error| Stop::Broken { step: "start the client".to_owned(), error: error.to_string() };
        let (hall, url) = Hall::open(&self.context).await.map_err(broken)?;
        self.hall = Some(hall);
        let mut url = url;
        if let Some(mutant) = self.setting.mutant.take() {
            let way: Arc<dyn Connector> = Arc::new(Tcp::new(&url).map_err(std::io::Error::other).map_err(broken)?);
            let (broken_url, serving) = Broken::new(way, mutant).listen().await.map_err(broken)?;
            url = broken_url;
            self.proxy = Some(Task::spawn(serving));
        }
        let program = Program::start(&self.context, &self.setting.command, &self.setting.environment, &url);
        self.program = Some(program.map_err(broken)?);
        self.scope.set("url", Value::Text(url));
        Ok(())
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            if let Action::Repeat { times, steps } = &step.action {
                let broken = |error| Stop::Broken { step: step.text.clone(), error };
                let times = times.value(&mut self.scope).and_then(|value| value.number()).map_err(broken)?;
                let mut done = 0.0;
                while done < times {
                    self.scope.set("i", Value::Number(done));
                    Box::pin(self.steps(steps)).await?;
                    done += 1.0;
                }
                continue;
            }
            self.context.transcript.note(&step.text);
            self.step(step).await.map_err(|trouble| match trouble {
                Trouble::Failed(expected, seen) => Stop::Failed { step: step.text.clone(), expected, seen },
                Trouble::Skipped(reason) => Stop::Skipped(reason),
                Trouble::Broken(error) => Stop::Broken { step: step.text.clone(), error },
            })?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        let subject = step.subject.as_deref().unwrap_or(MAIN);
        match &step.action {
            Action::Open { transport, query, headers } => self.open(subject, transport, query.as_ref(), headers).await,
            Action::Connect { namespace, auth } => self.connect(step, subject, namespace.as_ref(), auth.as_ref()).await,
            Action::Upgrade { transport } => {
                let transport = self.text_or(transport.as_ref(), "websocket")?;
                let carrier = carrier(&transport)?;
                let patience = self.setting.grace * 4;
                match self.visit(Some(subject))?.upgrade(carrier, patience).await {
                    Ok(()) => {
                        self.zero = Instant::now();
                        Ok(())
                    }
                    Err(seen) => failed("the upgrade to succeed", seen),
                }
            }
            Action::Send(packets) => {
                let packets = self.payloads(packets)?;
                self.send(subject, packets).await
            }
            Action::Expect { skip, terms } => {
                let window = self.window(step)?;
                self.expect(subject, *skip, terms, window).await
            }
            Action::Silence(duration) => self.silence(subject, duration).await,
            Action::Alive => self.alive(step, subject).await,
            Action::Dead => self.dead(step, subject).await,
            Action::Close { code, reason } => self.close(subject, code.as_ref(), reason.as_ref()).await,
            Action::Abort => self.abort(subject),
            Action::Poll { session } => {
                let exchange = self.visit(session.as_deref())?.poll(subject).await;
                self.started(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Post { session, packets } => {
                let packets = self.payloads(packets)?;
                let exchange = self.visit(session.as_deref())?.post(subject, &packets);
                self.started(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Request { method, target, headers, body } => {
                let target = target.value(&mut self.scope)?.text();
                let mut head = self.context.request(method, &target);
                set_headers(&mut head.headers, self.headers(headers)?);
                let body = body.as_ref().map(|body| body.value(&mut self.scope)).transpose()?.map(Value::into_bytes);
                let exchange = Exchange::start(&self.context, subject, head, body);
                self.started(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::WebSocket { session, target, headers } => {
                let headers = self.headers(headers)?;
                let link = match target {
                    None => self.visit(session.as_deref())?.dial(subject, headers, false),
                    Some(target) => {
                        let target = target.value(&mut self.scope)?.text();
                        let revision = revision_of(&target);
                        let mut head = self.context.request("GET", &target);
                        set_headers(&mut head.headers, headers);
                        let manner = Manner::new(Side::Client, revision, false);
                        Link::dial(&self.context, subject, link_request(head), manner)
                    }
                };
                self.started(subject, Object::Link(link));
                Ok(())
            }
            Action::WebTransport { session } => {
                let link = match session {
                    Some(session) => self.visit(Some(session))?.carry_over(subject).await,
                    None => Link::webtransport(&self.context, subject, Manner::on_webtransport(false)),
                };
                self.started(subject, Object::Link(link));
                Ok(())
            }
            Action::Tcp => {
                let exchange = Exchange::raw(&self.context, subject);
                self.started(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Frame(frame) => self.frame(subject, frame).await,
            Action::Bytes(bytes) => {
                let bytes = bytes.value(&mut self.scope)?.into_bytes();
                let context = Arc::clone(&self.context);
                match self.object(subject)? {
                    Object::Exchange(exchange) => exchange.write(&context, bytes),
                    other => link_of(subject, other)?.bytes(&context, bytes).await,
                }
                self.zero = Instant::now();
                Ok(())
            }
            Action::Finish => {
                let context = Arc::clone(&self.context);
                match self.object(subject)? {
                    Object::Exchange(exchange) => exchange.finish(&context),
                    _ => return Err(Trouble::Broken(format!("{subject} is no request, and no connection of `tcp`"))),
                }
                self.zero = Instant::now();
                Ok(())
            }
            Action::Stream(bytes) => {
                let bytes = bytes.value(&mut self.scope)?.into_bytes();
                let context = Arc::clone(&self.context);
                let link = link_of(subject, self.object(subject)?)?;
                if link.manner.carrier == Carrier::WebSocket {
                    return Err(Trouble::Broken("a WebSocket has no streams".to_owned()));
                }
                link.stream(&context, bytes);
                self.zero = Instant::now();
                Ok(())
            }
            Action::Heartbeat { auto } => {
                self.context.answers_heartbeats.store(*auto, Ordering::Relaxed);
                Ok(())
            }
            Action::Let { name, value } => {
                let value = value.value(&mut self.scope)?;
                self.scope.set(name, value);
                Ok(())
            }
            Action::Check { left, comparison, right } => self.check(left, *comparison, right),
            Action::Resembles { value, not, pattern } => {
                let value = value.value(&mut self.scope)?.text();
                let found = self.fits(pattern, &Payload::Text(value.clone()))?;
                if found.is_some() != *not {
                    for (name, value) in found.unwrap_or_default() {
                        self.scope.set(&name, value);
                    }
                    return Ok(());
                }
                let shown = self.shown(&Choice(vec![Outcome::Packet(pattern.clone())]));
                failed(if *not { format!("anything but {shown}") } else { shown }, printable(value.as_bytes()))
            }
            Action::Repeat { .. } => Ok(()),
            Action::AcceptSession { transport, handshake } => {
                self.accept_session(step, subject, transport, handshake.as_ref()).await
            }
            Action::AcceptConnect { namespace, reply } => {
                self.accept_connect(step, subject, namespace.as_ref(), reply.as_ref()).await
            }
            Action::RequestsManual => {
                let mut hall = self
                    .hall
                    .take()
                    .ok_or_else(|| Trouble::Broken("requests are answered only to clients".to_owned()))?;
                if let Object::Hosted(hosted) = self.object(subject)? {
                    hosted.hand_over(&mut hall);
                }
                self.hall = Some(hall);
                Ok(())
            }
            Action::RequestsRefused => {
                let mut hall = self
                    .hall
                    .take()
                    .ok_or_else(|| Trouble::Broken("requests are refused only to clients".to_owned()))?;
                if let Object::Hosted(hosted) = self.object(subject)? {
                    hosted.refuse(&mut hall);
                }
                self.hall = Some(hall);
                Ok(())
            }
            Action::AcceptUpgrade => self.accept_upgrade(step, subject).await,
            Action::AcceptRequest { method, target } => {
                self.accept_request(step, subject, method, target.as_ref()).await
            }
            Action::AcceptLink { target } => {
                let arrival = self.arrival(step, "GET", true, target.as_ref()).await?;
                self.describe(subject, &arrival.head);
                match hosted::bare_link(&self.context, subject, arrival).await {
                    Ok(link) => self.started(subject, Object::Link(link)),
                    Err(seen) => return failed("a WebSocket", seen),
                }
                Ok(())
            }
            Action::Answer { status, body, headers } => {
                let status = status.value(&mut self.scope)?.number()?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
                let status = status as u16;
                let body = body.as_ref().map(|body| body.value(&mut self.scope)).transpose()?.map(Value::into_bytes);
                let mut response = plain(status, &body.unwrap_or_default());
                set_headers(&mut response.headers, self.headers(headers)?);
                match self.object(subject)? {
                    Object::Arrival(arrival, _) => arrival.answer(response),
                    _ => return Err(Trouble::Broken(format!("{subject} is no request of the client"))),
                }
                self.zero = Instant::now();
                Ok(())
            }
        }
    }

    // Objects

    fn object(&mut self, name: &str) -> Result<&mut Object, Trouble> {
        self.objects.get_mut(name).ok_or_else(|| Trouble::Broken(format!("there is no {name:?} yet")))
    }

    fn visit(&mut self, name: Option<&str>) -> Result<&mut Visit, Trouble> {
        let name = name.unwrap_or(MAIN);
        match self.object(name)? {
            Object::Visit(visit) => Ok(visit),
            _ => Err(Trouble::Broken(format!("{name} is no session"))),
        }
    }

    fn started(&mut self, name: &str, object: Object) {
        self.objects.insert(name.to_owned(), object);
        self.zero = Instant::now();
    }

    fn headers(&mut self, headers: &[Expression]) -> Result<Headers, String> {
        headers
            .iter()
            .map(|line| {
                let line = line.value(&mut self.scope)?.text();
                let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is no header"))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect()
    }

    fn payloads(&mut self, packets: &[Expression]) -> Result<Vec<Payload>, String> {
        packets
            .iter()
            .map(|packet| {
                Ok(match packet.value(&mut self.scope)? {
                    Value::Bytes(bytes) => Payload::Bytes(bytes),
                    other => Payload::Text(other.text()),
                })
            })
            .collect()
    }

    // Time

    fn duration(&mut self, expression: &Expression) -> Result<Duration, Trouble> {
        let milliseconds = expression.value(&mut self.scope)?.number()?;
        let duration = Duration::try_from_secs_f64((milliseconds / 1000.0).max(0.0)).unwrap_or(Duration::MAX);
        if duration > self.setting.patience {
            return Err(Trouble::Skipped(format!(
                "this would take {} s; run the implementation with a shorter heartbeat, or the suite with --patience",
                duration.as_secs()
            )));
        }
        Ok(duration)
    }

    fn window(&mut self, step: &Step) -> Result<Window, Trouble> {
        let after = step.after.as_ref().map(|after| self.duration(after)).transpose()?;
        let within = match &step.within {
            Some(within) => self.duration(within)?,
            None => after.unwrap_or_default(),
        };
        // A slow machine must not shorten the time that the other side has, and some programs take long to start.
        let time = within + self.setting.grace;
        let program = self.program.as_ref().filter(|_| !self.awake);
        let starting = program.map(|program| Starting { time, ended: program.ended() });
        let deadline = Instant::now() + time + starting.as_ref().map_or(Duration::ZERO, |_| STARTING);
        Ok(Window { after, deadline, within, starting })
    }

    /// Something happened that a step waited for.
    fn happened(&mut self, at: Instant, window: &Window, what: &str) -> Result<(), Trouble> {
        let since = at.saturating_duration_since(self.zero);
        if let Some(after) = window.after
            && since < after
        {
            return failed(
                format!("{what} after {} ms", after.as_millis()),
                format!("it came after {} ms, too early", since.as_millis()),
            );
        }
        self.zero = at.max(self.zero);
        self.awake = true;
        Ok(())
    }

    // Waiting

    async fn next(&mut self, subject: &str, deadline: Instant) -> Result<Option<Arrived>, Trouble> {
        if subject == "report" {
            return match &mut self.program {
                Some(program) => Ok(program.inbox.next(deadline).await),
                None => Err(Trouble::Broken("only a client reports".to_owned())),
            };
        }
        Ok(match self.object(subject)? {
            Object::Visit(visit) => visit.next(deadline).await,
            Object::Hosted(hosted) => hosted.next(deadline).await,
            Object::Exchange(exchange) => exchange.inbox.next(deadline).await,
            Object::Link(link) => link.inbox.next(deadline).await,
            Object::Arrival(arrival, inbox) => {
                if let Some(body) = inbox.waiting() {
                    return Ok(Some(body));
                }
                match tokio::time::timeout_at(deadline, arrival.gone()).await {
                    Ok(()) => Some(Arrived { at: Instant::now(), event: Event::closed("by the client") }),
                    Err(_) => None,
                }
            }
        })
    }

    /// Namespaces of a session; a link that the script has opened by hand carries the main one.
    fn joined(&self, subject: &str) -> Option<&Vec<String>> {
        self.joined.get(subject).filter(|joined| !joined.is_empty()).or_else(|| match self.objects.get(subject) {
            Some(Object::Link(_)) => self.joined.get(MAIN),
            _ => None,
        })
    }

    /// Keeps book of namespaces: a CONNECT that came, a DISCONNECT either way.
    fn watch(&mut self, subject: &str, packet: &Payload, came: bool) {
        let (kind, namespace) = match packet {
            Payload::Text(text) => {
                let Some((kind, rest)) = text.split_at_checked(2) else { return };
                let namespace = if rest.starts_with('/') { rest.split(',').next().unwrap_or(rest) } else { "/" };
                // Revision 3 has information for a namespace behind its name.
                let three = self.setting.endpoint.is_revision_3();
                let namespace = namespace.split_once('?').filter(|_| three).map_or(namespace, |(name, _)| name);
                (kind.to_owned(), namespace.to_owned())
            }
            Payload::Bytes(bytes) => {
                let Some(packet) = msgpack::decode_packet(bytes) else { return };
                let text = |key| packet.get(key).map(|value: &Json| remembered(value).text()).unwrap_or_default();
                (format!("4{}", text("type")), text("nsp"))
            }
        };
        // In revision 3 it is the server's CONNECT that counts, also where the suite is the server: the main namespace is not asked for.
        let three = |object: &Object| matches!(object, Object::Hosted(hosted) if hosted.revision() == Revision::Three);
        let joins = kind == "40" && came != self.objects.get(subject).is_some_and(three);
        let joined = self.joined.entry(subject.to_owned()).or_default();
        if kind == "41" || joins {
            joined.retain(|known| *known != namespace);
        }
        if joins {
            joined.push(namespace);
        }
    }

    async fn expect(&mut self, subject: &str, skip: bool, terms: &[Term], window: Window) -> Result<(), Trouble> {
        let mut passed = Vec::new();
        for Term(choices) in terms {
            let mut missing: Vec<&Choice> = choices.iter().collect();
            while !missing.is_empty() {
                let expected = missing.iter().map(|choice| self.shown(choice)).collect::<Vec<_>>().join(" and ");
                let arrived = self.next(subject, window.deadline).await?;
                if let Some(Arrived { event: Event::Packet(packet), .. }) = &arrived {
                    self.watch(subject, packet, true);
                }
                let Some(arrived) = arrived else {
                    let waited = (window.within + self.setting.grace).as_millis();
                    let before =
                        if passed.is_empty() { String::new() } else { format!(", only {}", passed.join("  ")) };
                    let waiting = self.hall.as_ref().map(Hall::shown).filter(|shown| !shown.is_empty());
                    let waiting = waiting.map(|shown| format!("; requests not accepted: {shown}")).unwrap_or_default();
                    return failed(expected, format!("nothing within {waited} ms{before}{waiting}"));
                };
                let mut found = None;
                for (index, Choice(outcomes)) in missing.iter().enumerate() {
                    for outcome in outcomes {
                        if let Some(captures) = self.matches(subject, outcome, &arrived.event)? {
                            found = Some((index, captures));
                            break;
                        }
                    }
                    if found.is_some() {
                        break;
                    }
                }
                match found {
                    Some((index, captures)) => {
                        missing.remove(index);
                        self.happened(arrived.at, &window, &expected)?;
                        for (name, value) in captures {
                            self.scope.set(&name, value);
                        }
                    }
                    None if matches!(arrived.event, Event::Opened(_) | Event::Ping(_) | Event::Pong(_)) => {}
                    None if skip && !matches!(arrived.event, Event::Closed { .. }) => {
                        passed.push(arrived.event.shown())
                    }
                    None => return failed(expected, self.seen(subject, &arrived.event)),
                }
            }
        }
        Ok(())
    }

    /// Why the connection of an object ended otherwise than by the other side's word.
    fn broken(&self, subject: &str) -> Option<&str> {
        match self.objects.get(subject) {
            Some(Object::Exchange(exchange)) => exchange.broken(),
            _ => None,
        }
    }

    /// An event for people.
    fn seen(&self, subject: &str, event: &Event) -> String {
        let shown = event.shown();
        match (event, self.broken(subject)) {
            (Event::Closed { .. }, Some(why)) if !shown.contains(why) => format!("{shown}; what broke it: {why}"),
            _ => shown,
        }
    }

    fn matches(&self, subject: &str, outcome: &Outcome, event: &Event) -> Result<Option<Captures>, String> {
        let nothing = Some(Captures::new());
        match (outcome, event) {
            (Outcome::Packet(wanted), Event::Packet(payload)) => self.fits(wanted, payload),
            (Outcome::Ping(None), Event::Ping(_)) | (Outcome::Pong(None), Event::Pong(_)) => Ok(nothing),
            (Outcome::Ping(Some(wanted)), Event::Ping(payload))
            | (Outcome::Pong(Some(wanted)), Event::Pong(payload)) => self.fits(wanted, &text_or_bytes(payload)),
            (Outcome::Closed, Event::Closed { .. }) => Ok(nothing),
            (Outcome::Finished, Event::Closed { .. }) => Ok(nothing.filter(|_| self.broken(subject).is_none())),
            (Outcome::CloseFrame(code), Event::Closed { code: Some(seen), .. }) => {
                let code = code.value(&mut self.scope.clone())?.number()?;
                Ok((code == f64::from(*seen)).then(Captures::new))
            }
            (Outcome::Answer { status, body, headers, without }, Event::Answer(response) | Event::Opened(response)) => {
                if !status.matches(response.status) {
                    return Ok(None);
                }
                let mut captures = Captures::new();
                if let Some(body) = body {
                    let Some(found) = self.fits(body, &text_or_bytes(&response.body))? else { return Ok(None) };
                    captures.extend(found);
                }
                for (name, wanted) in headers {
                    let Some(value) = header(&response.headers, name) else { return Ok(None) };
                    if let Some(wanted) = wanted {
                        let Some(found) = self.fits(wanted, &Payload::Text(value.to_owned()))? else { return Ok(None) };
                        captures.extend(found);
                    }
                }
                Ok(without.iter().all(|name| header(&response.headers, name).is_none()).then_some(captures))
            }
            _ => Ok(None),
        }
    }

    fn fits(&self, wanted: &Match, seen: &Payload) -> Result<Option<Captures>, String> {
        match (wanted, seen) {
            (Match::Anything, _) => Ok(Some(Captures::new())),
            (Match::Exact(expression), seen) => {
                // What is random must have been named before, so nothing is lost with the copy.
                let equal = match (expression.value(&mut self.scope.clone())?, seen) {
                    (Value::Bytes(wanted), Payload::Bytes(seen)) => wanted == *seen,
                    (Value::Bytes(_), Payload::Text(_)) | (_, Payload::Bytes(_)) => false,
                    (wanted, Payload::Text(seen)) => wanted.text() == *seen,
                };
                Ok(equal.then(Captures::new))
            }
            (Match::Packet(template), Payload::Text(text)) => pattern::packet(&template.fill(&self.scope)?, text),
            (Match::Regex(template), Payload::Text(text)) => pattern::regex(template, &self.scope, text),
            (Match::Msgpack(template), Payload::Bytes(bytes)) => match msgpack::decode(bytes) {
                Some(packet) => pattern::packet(&template.fill(&self.scope)?, &packet.to_string()),
                None => Ok(None),
            },
            (Match::Packet(_) | Match::Regex(_), Payload::Bytes(_)) | (Match::Msgpack(_), Payload::Text(_)) => Ok(None),
        }
    }

    /// A choice for people, with variables filled in.
    fn shown(&self, Choice(outcomes): &Choice) -> String {
        let matching = |wanted: &Match| match wanted {
            Match::Anything => "anything".to_owned(),
            Match::Exact(expression) => match expression.value(&mut self.scope.clone()) {
                Ok(Value::Bytes(bytes)) => Payload::Bytes(bytes).shown(),
                Ok(value) => printable(value.text().as_bytes()),
                Err(error) => error,
            },
            Match::Packet(template) => {
                template.fill(&self.scope).map_or_else(|error| error, |pattern| printable(pattern.as_bytes()))
            }
            Match::Msgpack(template) => template
                .fill(&self.scope)
                .map_or_else(|error| error, |json| format!("msgpack{}", printable(json.as_bytes()))),
            Match::Regex(template) => {
                template.fill(&self.scope).map_or_else(|error| error, |regex| format!("something like /{regex}/"))
            }
        };
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Packet(wanted) => matching(wanted),
            Outcome::Closed => "the end".to_owned(),
            Outcome::Finished => "the end without a reset, and with everything taken".to_owned(),
            Outcome::CloseFrame(code) => match code.value(&mut self.scope.clone()) {
                Ok(code) => format!("a close frame with code {}", code.text()),
                Err(error) => error,
            },
            Outcome::Ping(wanted) => format!("a ping {}", wanted.as_ref().map(matching).unwrap_or_default()),
            Outcome::Pong(wanted) => format!("a pong {}", wanted.as_ref().map(matching).unwrap_or_default()),
            Outcome::Answer { status, body, headers, without } => {
                let mut text = match status {
                    crate::script::Status::Exactly(status) => format!("the answer {status}"),
                    crate::script::Status::Hundreds(hundreds) => format!("an answer {hundreds}xx"),
                };
                if let Some(body) = body {
                    text.push_str(&format!(" with {}", matching(body)));
                }
                for (name, wanted) in headers {
                    text.push_str(&format!(", {name}: {}", wanted.as_ref().map_or_else(|| "…".to_owned(), matching)));
                }
                for name in without {
                    text.push_str(&format!(", without {name}"));
                }
                text
            }
        };
        outcomes.iter().map(outcome).collect::<Vec<_>>().join(" or ")
    }

    async fn silence(&mut self, subject: &str, duration: &Expression) -> Result<(), Trouble> {
        let duration = self.duration(duration)?;
        let deadline = Instant::now() + duration;
        if subject == "arrivals" || subject == "posts" {
            let counts = |head: &RequestHead| Ok(subject == "arrivals" || head.method == "POST");
            let hall =
                self.hall.as_mut().ok_or_else(|| Trouble::Broken("requests arrive only from clients".to_owned()))?;
            return match hall.accept(deadline, None, counts).await? {
                None => Ok(()),
                Some(arrival) => failed(
                    format!("no request for {} ms", duration.as_millis()),
                    format!("{} {}", arrival.head.method, arrival.head.target),
                ),
            };
        }
        while let Some(arrived) = self.next(subject, deadline).await? {
            if !matches!(arrived.event, Event::Opened(_) | Event::Ping(_) | Event::Pong(_)) {
                return failed(format!("nothing for {} ms", duration.as_millis()), arrived.event.shown());
            }
        }
        self.zero = Instant::now();
        Ok(())
    }

    // Sessions as a client

    async fn open(
        &mut self,
        subject: &str,
        transport: &Expression,
        query: Option<&Expression>,
        headers: &[Expression],
    ) -> Result<(), Trouble> {
        let transport = transport.value(&mut self.scope)?.text();
        let mut query =
            query.map(|query| query.value(&mut self.scope)).transpose()?.map(|q| q.text()).unwrap_or_default();
        if !query.split('&').any(|pair| pair.starts_with("EIO=")) {
            let revision = if self.setting.endpoint.is_revision_3() { "EIO=3" } else { "EIO=4" };
            query = if query.is_empty() { revision.to_owned() } else { format!("{revision}&{query}") };
        }
        let revision = revision_of(&query);
        let wish = Wish { name: subject.to_owned(), query, revision, headers: self.headers(headers)? };
        let patience = self.setting.grace * 4;
        let carrier = if transport == "polling" { None } else { Some(carrier(&transport)?) };
        let opening = async {
            match carrier {
                None => Visit::polling(&self.context, wish).await,
                Some(carrier) => Visit::by_link(&self.context, wish, carrier, patience).await,
            }
        };
        let visit = match tokio::time::timeout(patience, opening).await {
            Ok(Ok(visit)) => visit,
            Ok(Err(seen)) => return failed("a session", seen),
            Err(_) => return failed("a session", format!("nothing within {} ms", patience.as_millis())),
        };
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        if let Json::Object(handshake) = &visit.handshake {
            for (name, value) in handshake {
                self.scope.set(&format!("{prefix}{name}"), remembered(value));
            }
        }
        self.started(subject, Object::Visit(Box::new(visit)));
        Ok(())
    }

    async fn connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        auth: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let namespace = self.text_or(namespace, "/")?;
        let auth = self.text_or(auth, "")?;
        let window = self.window(step)?;
        let three = self.visit(Some(subject))?.revision() == Revision::Three;
        // Revision 3 is in the main namespace without asking.
        if !(three && namespace == "/") {
            let connect = self.packet(0, &namespace, "", &auth)?;
            self.send(subject, vec![connect]).await?;
        }
        let reply = if three {
            // With a comma behind the name of a namespace, or without one: there is nothing behind it.
            let bare = format!("40{namespace}").trim_end_matches('/').to_owned();
            Term(vec![Choice(vec![packet_outcome(&format!("{bare},")), packet_outcome(&bare)])])
        } else {
            self.packet_term(0, &namespace, "", r#"{"sid":*id,...}"#)
        };
        let greeting = self.packet_term(2, &namespace, "", r#"["auth",...]"#);
        let before = self.scope.get("id").ok().cloned();
        self.expect(subject, false, &[reply, greeting], window).await?;
        if subject != MAIN
            && let Ok(id) = self.scope.get("id").cloned()
        {
            self.scope.set(&format!("{subject}.id"), id);
            if let Some(before) = before {
                self.scope.set("id", before);
            }
        }
        Ok(())
    }

    /// A Socket.IO packet in the words of the parser that this case is about.
    fn packet(&self, kind: u8, namespace: &str, id: &str, data: &str) -> Result<Payload, String> {
        if self.setting.endpoint != Endpoint::Msgpack {
            return Ok(Payload::Text(json_packet(kind, namespace, id, data)));
        }
        let mut packet = json!({ "type": kind, "nsp": namespace });
        for (key, text) in [("data", data), ("id", id)] {
            if !text.is_empty() {
                let value = serde_json::from_str::<Json>(text).map_err(|error| format!("{text}: {error}"))?;
                packet.as_object_mut().map(|packet| packet.insert(key.to_owned(), value));
            }
        }
        Ok(Payload::Bytes(msgpack::encode(&packet)))
    }

    /// What such a packet has to look like.
    fn packet_term(&self, kind: u8, namespace: &str, id: &str, data: &str) -> Term {
        if self.setting.endpoint != Endpoint::Msgpack {
            return packet_term(&json_packet(kind, namespace, id, data));
        }
        let id = if id.is_empty() { String::new() } else { format!(r#""id":{id},"#) };
        let text = format!(r#"{{"type":{kind},"nsp":"{namespace}",{id}"data":{data},...}}"#);
        Term(vec![Choice(vec![Outcome::Packet(Match::Msgpack(literal(&text)))])])
    }

    fn text_or(&mut self, expression: Option<&Expression>, otherwise: &str) -> Result<String, String> {
        expression.map_or(Ok(otherwise.to_owned()), |expression| Ok(expression.value(&mut self.scope)?.text()))
    }

    async fn send(&mut self, subject: &str, packets: Vec<Payload>) -> Result<(), Trouble> {
        for packet in &packets {
            self.watch(subject, packet, false);
        }
        let patience = self.setting.grace * 4;
        let context = Arc::clone(&self.context);
        if subject == "report" {
            let program =
                self.program.as_mut().ok_or_else(|| Trouble::Broken("only a client takes commands".to_owned()))?;
            for packet in packets {
                program.write_line(&context, &packet.shown()).await;
            }
            self.zero = Instant::now();
            return Ok(());
        }
        match self.object(subject)? {
            Object::Visit(visit) => {
                if visit.is_polling() {
                    context.transcript.note(format!("{subject} sends {}", shown_packets(&packets)));
                }
                visit.send(packets, patience).await;
            }
            Object::Hosted(hosted) => hosted.send(packets).await,
            Object::Link(link) => {
                for packet in packets {
                    link.send(&context, packet).await;
                }
            }
            Object::Exchange(exchange) => {
                for packet in packets {
                    let bytes = match packet {
                        Payload::Text(text) => text.into_bytes(),
                        Payload::Bytes(bytes) => bytes,
                    };
                    exchange.write(&context, bytes);
                }
            }
            Object::Arrival(..) => {
                return Err(Trouble::Broken("a request of the client is answered, not sent to".to_owned()));
            }
        }
        self.zero = Instant::now();
        Ok(())
    }

    async fn alive(&mut self, step: &Step, subject: &str) -> Result<(), Trouble> {
        self.counter = self.counter.saturating_add(1);
        let mark = format!("alive-{}", self.counter);
        let text = |text: String| Payload::Text(text);
        let (question, answer) = if matches!(self.object(subject)?, Object::Hosted(_)) {
            let joined = self.joined(subject).and_then(|joined| joined.first()).map_or("/", String::as_str);
            (
                self.packet(2, joined, "", &format!(r#"["echo","{mark}"]"#))?,
                self.packet_term(2, joined, "", &format!(r#"["echo-back","{mark}"]"#)),
            )
        } else if !self.setting.endpoint.is_socketio() {
            (text(format!("4{mark}")), packet_term(&format!("4{mark}")))
        } else {
            match self.joined(subject).and_then(|joined| joined.first()) {
                None => (self.packet(0, "/", "", "")?, self.packet_term(0, "/", "", r#"{"sid":*,...}"#)),
                Some(namespace) => {
                    // Below 2^31, and far from what a script uses.
                    let id = 900_000_u32.saturating_add(self.counter).to_string();
                    (
                        self.packet(2, namespace, &id, &format!(r#"["message-with-ack","{mark}"]"#))?,
                        self.packet_term(3, namespace, &id, &format!(r#"["{mark}"]"#)),
                    )
                }
            }
        };
        let window = self.window(step)?;
        self.send(subject, vec![question]).await?;
        let mut noops = 0..10;
        loop {
            return match self.expect(subject, false, std::slice::from_ref(&answer), window.clone()).await {
                // It says nothing, and is no offence where nobody needs it, as on a WebSocket after an upgrade.
                Err(Trouble::Failed(_, seen)) if seen == "6" && noops.next().is_some() => continue,
                Err(Trouble::Failed(expected, seen)) => failed(format!("the session to be alive: {expected}"), seen),
                other => other,
            };
        }
    }

    async fn dead(&mut self, step: &Step, subject: &str) -> Result<(), Trouble> {
        let window = self.window(step)?;
        self.expect(subject, false, &[Term(vec![Choice(vec![Outcome::Closed])])], window).await?;
        let patience = self.setting.grace * 4;
        if let Object::Visit(visit) = self.object(subject)? {
            match tokio::time::timeout(patience, visit.ask()).await {
                Ok(Event::Answer(response)) if response.status < 400 => {
                    return failed("the session to be gone", format!("a poll got the answer {}", response.summary()));
                }
                Ok(_) => {}
                Err(_) => return failed("the session to be gone", "a poll is held"),
            }
        }
        Ok(())
    }

    async fn close(
        &mut self,
        subject: &str,
        code: Option<&Expression>,
        reason: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let code = code.map(|code| code.value(&mut self.scope)?.number()).transpose()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let code = code.map(|code| code as u16);
        let reason = self.text_or(reason, "")?;
        let patience = self.setting.grace * 4;
        let context = Arc::clone(&self.context);
        match self.object(subject)? {
            Object::Visit(visit) => visit.close(code, &reason, patience).await,
            Object::Hosted(hosted) => hosted.close(code, &reason).await,
            other => link_of(subject, other)?.close(&context, code, &reason).await,
        }
        self.zero = Instant::now();
        Ok(())
    }

    fn abort(&mut self, subject: &str) -> Result<(), Trouble> {
        if subject == "report" {
            self.program = None;
            return Ok(());
        }
        let gone = match self.object(subject)? {
            Object::Visit(visit) => {
                visit.abort();
                false
            }
            Object::Hosted(hosted) => {
                hosted.abort();
                false
            }
            Object::Arrival(arrival, _) => {
                arrival.cut();
                false
            }
            Object::Exchange(_) | Object::Link(_) => true,
        };
        if gone {
            self.objects.remove(subject);
        }
        self.zero = Instant::now();
        Ok(())
    }

    async fn frame(&mut self, subject: &str, raw: &RawFrame) -> Result<(), Trouble> {
        let payload = raw.payload.value(&mut self.scope)?.into_bytes();
        let announced = raw.length.as_ref().map(|length| length.value(&mut self.scope)?.number()).transpose()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let announced = announced.map(|length| length as u64);
        let context = Arc::clone(&self.context);
        let link = link_of(subject, self.object(subject)?)?;
        if link.manner.carrier == Carrier::WebTransport {
            if raw.more || raw.wrong_mask || raw.reserved != 0 || !matches!(raw.opcode, TEXT | BINARY) {
                return Err(Trouble::Broken("WebTransport has frames of text and of binary only".to_owned()));
            }
            let announced = announced.unwrap_or(payload.len() as u64);
            link.stream_frame(&context, raw.opcode == BINARY, &payload, announced).await;
            self.zero = Instant::now();
            return Ok(());
        }
        let masked = (link.manner.side == Side::Client) != raw.wrong_mask;
        let frame = Frame { fin: !raw.more, reserved: raw.reserved, opcode: raw.opcode, masked, payload };
        link.frame(&context, &frame, announced).await;
        self.zero = Instant::now();
        Ok(())
    }

    fn check(&mut self, left: &Expression, comparison: Comparison, right: &Expression) -> Result<(), Trouble> {
        let (left, right) = (left.value(&mut self.scope)?, right.value(&mut self.scope)?);
        let (holds, sign) = match comparison {
            Comparison::Equal => (left.text() == right.text(), "="),
            Comparison::Different => (left.text() != right.text(), "!="),
            Comparison::Less => (left.number()? < right.number()?, "<"),
            Comparison::Greater => (left.number()? > right.number()?, ">"),
        };
        if holds {
            return Ok(());
        }
        let shown = |value: &Value| printable(value.text().as_bytes());
        failed(format!("left {sign} right"), format!("{} on the left, {} on the right", shown(&left), shown(&right)))
    }

    // Sessions as a server

    async fn arrival(
        &mut self,
        step: &Step,
        method: &str,
        upgrade: bool,
        target: Option<&Match>,
    ) -> Result<Arrival, Trouble> {
        let window = self.window(step)?;
        let mut hall =
            self.hall.take().ok_or_else(|| Trouble::Broken("requests are accepted only from clients".to_owned()))?;
        let found = hall
            .accept(window.deadline, window.starting.clone(), |head| {
                let target = match target {
                    Some(target) => self.fits(target, &Payload::Text(head.target.clone()))?.is_some(),
                    None => true,
                };
                Ok(head.method == method && head.is_upgrade() == upgrade && target)
            })
            .await;
        let waiting = hall.shown();
        self.hall = Some(hall);
        self.arrived(found?, "a request that fits", &waiting, &window)
    }

    fn arrived(
        &mut self,
        found: Option<Arrival>,
        what: &str,
        waiting: &str,
        window: &Window,
    ) -> Result<Arrival, Trouble> {
        match found {
            Some(arrival) => {
                self.happened(arrival.at, window, what)?;
                Ok(arrival)
            }
            None => {
                let others = if waiting.is_empty() { "nothing" } else { waiting };
                let ended = self.program.as_ref().and_then(|program| program.ended().borrow().clone());
                failed(
                    what,
                    match ended {
                        Some(ended) => format!("{others}; {ended}"),
                        None => {
                            let starting = window.starting.as_ref().filter(|_| waiting.is_empty());
                            let starting = starting.map_or(Duration::ZERO, |_| STARTING);
                            format!(
                                "{others} within {} ms",
                                (window.within + self.setting.grace + starting).as_millis()
                            )
                        }
                    },
                )
            }
        }
    }

    async fn accept_session(
        &mut self,
        step: &Step,
        subject: &str,
        transport: &Expression,
        handshake: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let transport = transport.value(&mut self.scope)?.text();
        let wanted = self.text_or(handshake, "{}")?;
        let wanted: Json = serde_json::from_str(&wanted).map_err(|error| format!("{wanted}: {error}"))?;
        let window = self.window(step)?;
        let mut hall =
            self.hall.take().ok_or_else(|| Trouble::Broken("sessions are accepted only from clients".to_owned()))?;
        let found =
            hall.accept(window.deadline, window.starting.clone(), |head| Ok(hosted::opens(head, &transport))).await;
        let waiting = hall.shown();
        let arrival = self.arrived(found?, &format!("a handshake by {transport}"), &waiting, &window)?;
        self.counter = self.counter.saturating_add(1);
        let sid = format!("session-{}", self.counter);
        let target = arrival.head.target.clone();
        let hosted = match Hosted::new(&self.context, &hall, subject, sid, arrival, Some(wanted)).await {
            Ok(hosted) => hosted,
            Err(seen) => return failed("a session", seen),
        };
        self.hall = Some(hall);
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        self.scope.set(&format!("{prefix}sid"), Value::Text(hosted.sid.clone()));
        self.scope.set(&format!("{prefix}target"), Value::Text(target));
        self.objects.insert(subject.to_owned(), Object::Hosted(Box::new(hosted)));
        Ok(())
    }

    async fn accept_connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        reply: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let namespace = self.text_or(namespace, "/")?;
        let window = self.window(step)?;
        if matches!(self.object(subject)?, Object::Hosted(hosted) if hosted.revision() == Revision::Three) {
            return self.accept_connect_of_revision_3(subject, &namespace, window).await;
        }
        let wanted = if self.setting.endpoint == Endpoint::Msgpack {
            let text = format!(r#"{{"type":0,"nsp":"{namespace}",...}}"#);
            Term(vec![Choice(vec![Outcome::Packet(Match::Msgpack(literal(&text)))])])
        } else {
            // The comma behind a namespace without payload may be left out.
            let choices = ["", "{...}"].map(|data| packet_outcome(&json_packet(0, &namespace, "", data)));
            let bare = packet_outcome(&format!("40{namespace}"));
            Term(vec![Choice(choices.into_iter().chain([bare]).collect())])
        };
        self.expect(subject, false, &[wanted], window).await?;
        self.counter = self.counter.saturating_add(1);
        let reply = self.text_or(reply, &format!(r#"{{"sid":"socket-{}"}}"#, self.counter))?;
        let reply = self.packet(0, &namespace, "", &reply)?;
        self.send(subject, vec![reply]).await
    }

    /// There the main namespace is given without asking, and to be in another has no payload.
    async fn accept_connect_of_revision_3(
        &mut self,
        subject: &str,
        namespace: &str,
        window: Window,
    ) -> Result<(), Trouble> {
        if namespace == "/" {
            return self.send(subject, vec![Payload::Text("40".to_owned())]).await;
        }
        // The comma may be left out, and information for the namespace may stand behind its name.
        let choices = ["", ","].map(|comma| packet_outcome(&format!("40{namespace}{comma}")));
        let query = Outcome::Packet(Match::Regex(literal(&format!("^40{namespace}[?][^,]*,?$"))));
        let wanted = Term(vec![Choice(choices.into_iter().chain([query]).collect())]);
        self.expect(subject, false, &[wanted], window).await?;
        self.send(subject, vec![Payload::Text(format!("40{namespace}"))]).await
    }

    async fn accept_upgrade(&mut self, step: &Step, subject: &str) -> Result<(), Trouble> {
        let Object::Hosted(hosted) = self.object(subject)? else {
            return Err(Trouble::Broken(format!("{subject} is no session of the client")));
        };
        let sid = hosted.sid.clone();
        let window = self.window(step)?;
        let mut hall = self.hall.take().ok_or_else(|| Trouble::Broken("upgrades come only from clients".to_owned()))?;
        let found = hall
            .accept(window.deadline, window.starting.clone(), |head| {
                Ok(head.is_upgrade() && head.query("sid").as_ref() == Some(&sid))
            })
            .await;
        let waiting = hall.shown();
        self.hall = Some(hall);
        let arrival = self.arrived(found?, "the WebSocket of an upgrade", &waiting, &window)?;
        let patience = self.setting.grace * 4;
        let Object::Hosted(hosted) = self.object(subject)? else { return Ok(()) };
        match hosted.upgrade(arrival, patience).await {
            Ok(()) => Ok(()),
            Err(seen) => failed("the upgrade to succeed", seen),
        }
    }

    async fn accept_request(
        &mut self,
        step: &Step,
        subject: &str,
        method: &str,
        target: Option<&Match>,
    ) -> Result<(), Trouble> {
        // A request for a WebSocket can be refused by an answer as well.
        let (method, upgrade) = if method == "WEBSOCKET" { ("GET", true) } else { (method, false) };
        let arrival = self.arrival(step, method, upgrade, target).await?;
        let (post, inbox) = Inbox::new();
        post.put(Event::Packet(text_or_bytes(&arrival.body)));
        self.describe(subject, &arrival.head);
        self.objects.insert(subject.to_owned(), Object::Arrival(arrival, inbox));
        Ok(())
    }

    /// Variables for the target of a request and for its headers.
    fn describe(&mut self, subject: &str, head: &RequestHead) {
        self.scope.set(&format!("{subject}.target"), Value::Text(head.target.clone()));
        // The one header whose absence is an answer as well.
        self.scope.set(&format!("{subject}.content_type"), Value::Text(String::new()));
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase().replace('-', "_");
            self.scope.set(&format!("{subject}.{name}"), Value::Text(value.clone()));
        }
    }
}

fn link_of<'a>(name: &str, object: &'a mut Object) -> Result<&'a mut Link, Trouble> {
    match object {
        Object::Link(link) => Some(link),
        Object::Visit(visit) => visit.link_mut(),
        Object::Hosted(hosted) => hosted.link_mut(),
        Object::Exchange(_) | Object::Arrival(..) => None,
    }
    .ok_or_else(|| Trouble::Broken(format!("{name} is no link")))
}

fn carrier(transport: &str) -> Result<Carrier, String> {
    match transport {
        "websocket" => Ok(Carrier::WebSocket),
        "webtransport" => Ok(Carrier::WebTransport),
        other => Err(format!("the suite does not speak {other}")),
    }
}

fn revision_of(query: &str) -> Revision {
    if query.split(['?', '&']).any(|pair| pair == "EIO=3") { Revision::Three } else { Revision::Four }
}

fn text_or_bytes(bytes: &[u8]) -> Payload {
    match std::str::from_utf8(bytes) {
        Ok(text) => Payload::Text(text.to_owned()),
        Err(_) => Payload::Bytes(bytes.to_vec()),
    }
}

fn json_packet(kind: u8, namespace: &str, id: &str, data: &str) -> String {
    let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
    format!("4{kind}{prefix}{id}{data}")
}

fn literal(text: &str) -> Template {
    Template(vec![Part::Literal(text.to_owned())])
}

fn packet_outcome(pattern: &str) -> Outcome {
    Outcome::Packet(Match::Packet(literal(pattern)))
}

fn packet_term(pattern: &str) -> Term {
    Term(vec![Choice(vec![packet_outcome(pattern)])])
}
