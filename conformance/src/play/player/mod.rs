//! The player: holds the objects that a script has created, and executes its steps on them.

mod acting;
mod as_client;
mod as_server;
mod packets;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

pub(super) use self::waiting::Startup;
use super::client_session::{ClientSession, websocket_request};
use super::events::{Inbox, Task};
use super::exchange::Exchange;
use super::link::{Link, LinkConfig, LinkTransport, Side};
use super::program::Program;
use super::server_session::{self, IncomingRequest, Listener, ServerSession, text_response};
use super::{Context, ScriptOptions, Stop, set_headers};
use crate::mutant::MutantProxy;
use crate::script::value::{Expression, Scope, Value};
use crate::script::{Action, Choice, Comparison, Outcome, Step};
use crate::wire::http::Headers;
use crate::wire::packets::{Payload, Revision};
use crate::wire::{Connector, Tcp, printable};

/// An object that the script has named.
enum Object {
    ClientSession(Box<ClientSession>),
    ServerSession(Box<ServerSession>),
    Exchange(Exchange),
    Link(Link),
    IncomingRequest(IncomingRequest, Inbox),
}

pub(super) struct Player {
    context: Arc<Context>,
    options: ScriptOptions,
    scope: Scope,
    objects: BTreeMap<String, Object>,
    listener: Option<Listener>,
    /// The namespaces that each session is connected to.
    joined: BTreeMap<String, Vec<String>>,
    program: Option<Program>,
    proxy: Option<Task>,
    /// Whether the program has done anything yet, so that it has started.
    program_started: bool,
    /// When a step last did something or saw what it waited for. `after` and `within` count from here.
    last_activity: Instant,
    counter: u32,
}

/// The session that a step without a name applies to.
const MAIN: &str = "main";

/// The failure of a step, before the step is added to it.
enum StepError {
    /// What was expected, and what was seen.
    Failed(String, String),
    Skipped(String),
    Broken(String),
}

impl From<String> for StepError {
    fn from(error: String) -> Self {
        Self::Broken(error)
    }
}

fn failed<T>(expected: impl Into<String>, seen: impl Into<String>) -> Result<T, StepError> {
    Err(StepError::Failed(expected.into(), seen.into()))
}

impl Player {
    pub(super) fn new(context: Arc<Context>, options: ScriptOptions, scope: Scope) -> Self {
        Self {
            context,
            options,
            scope,
            objects: BTreeMap::new(),
            listener: None,
            joined: BTreeMap::new(),
            program: None,
            proxy: None,
            program_started: false,
            last_activity: Instant::now(),
            counter: 0,
        }
    }

    pub(super) async fn start_program(&mut self) -> Result<(), Stop> {
        if self.options.connector.is_some() {
            return Ok(());
        }
        let broken =
            |error: std::io::Error| Stop::Broken { step: "start the client".to_owned(), error: error.to_string() };
        let (listener, url) = Listener::bind(&self.context).await.map_err(broken)?;
        self.listener = Some(listener);
        let mut url = url;
        if let Some(mutant) = self.options.mutant.take() {
            let connector: Arc<dyn Connector> =
                Arc::new(Tcp::new(&url).map_err(std::io::Error::other).map_err(broken)?);
            let (proxy_url, serving) = MutantProxy::new(connector, mutant).listen().await.map_err(broken)?;
            url = proxy_url;
            self.proxy = Some(Task::spawn(serving));
        }
        let revision = if self.options.endpoint.is_revision_3() { "3" } else { "4" };
        let mut environment = vec![("EIO".to_owned(), revision.to_owned())];
        environment.extend_from_slice(&self.options.environment);
        let program = Program::start(&self.context, &self.options.command, &environment, &url);
        self.program = Some(program.map_err(broken)?);
        self.scope.set("url", Value::Text(url));
        Ok(())
    }

    pub(super) async fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
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
            self.step(step).await.map_err(|error| match error {
                StepError::Failed(expected, seen) => Stop::Failed { step: step.text.clone(), expected, seen },
                StepError::Skipped(reason) => Stop::Skipped(reason),
                StepError::Broken(error) => Stop::Broken { step: step.text.clone(), error },
            })?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), StepError> {
        let subject = step.subject.as_deref().unwrap_or(MAIN);
        match &step.action {
            Action::Open { transport, query, headers } => self.open(subject, transport, query.as_ref(), headers).await,
            Action::Connect { namespace, auth } => self.connect(step, subject, namespace.as_ref(), auth.as_ref()).await,
            Action::Upgrade { transport } => {
                let transport = self.text_or(transport.as_ref(), "websocket")?;
                let link_transport = link_transport(&transport)?;
                let timeout = self.options.grace * 4;
                match self.client_session(Some(subject))?.upgrade(link_transport, timeout).await {
                    Ok(()) => {
                        self.last_activity = Instant::now();
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
                let exchange = self.client_session(session.as_deref())?.poll(subject).await;
                self.insert(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Post { session, packets } => {
                let packets = self.payloads(packets)?;
                let exchange = self.client_session(session.as_deref())?.post(subject, &packets);
                self.insert(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Request { method, target, headers, body } => {
                let target = target.value(&mut self.scope)?.text();
                let mut head = self.context.request(method, &target);
                set_headers(&mut head.headers, self.headers(headers)?);
                let body = body.as_ref().map(|body| body.value(&mut self.scope)).transpose()?.map(Value::into_bytes);
                let exchange = Exchange::start(&self.context, subject, head, body);
                self.insert(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::WebSocket { session, target, headers } => {
                let headers = self.headers(headers)?;
                let link = match target {
                    None => self.client_session(session.as_deref())?.open_websocket(subject, headers, false),
                    Some(target) => {
                        let target = target.value(&mut self.scope)?.text();
                        let revision = revision_of(&target);
                        let mut head = self.context.request("GET", &target);
                        set_headers(&mut head.headers, headers);
                        let config = LinkConfig::new(Side::Client, revision, false);
                        Link::open_websocket(&self.context, subject, websocket_request(head), config)
                    }
                };
                self.insert(subject, Object::Link(link));
                Ok(())
            }
            Action::WebTransport { session } => {
                let link = match session {
                    Some(session) => self.client_session(Some(session))?.open_webtransport(subject).await,
                    None => Link::open_webtransport(&self.context, subject, LinkConfig::webtransport(false)),
                };
                self.insert(subject, Object::Link(link));
                Ok(())
            }
            Action::Tcp => {
                let exchange = Exchange::raw(&self.context, subject);
                self.insert(subject, Object::Exchange(exchange));
                Ok(())
            }
            Action::Frame(frame) => self.frame(subject, frame).await,
            Action::Bytes(bytes) => {
                let bytes = bytes.value(&mut self.scope)?.into_bytes();
                let context = Arc::clone(&self.context);
                match self.object(subject)? {
                    Object::Exchange(exchange) => exchange.write(&context, bytes),
                    other => link_of(subject, other)?.send_bytes(&context, bytes).await,
                }
                self.last_activity = Instant::now();
                Ok(())
            }
            Action::Finish => {
                let context = Arc::clone(&self.context);
                match self.object(subject)? {
                    Object::Exchange(exchange) => exchange.shut_down(&context),
                    _ => {
                        return Err(StepError::Broken(format!(
                            "{subject} is neither a request nor a `tcp` connection"
                        )));
                    }
                }
                self.last_activity = Instant::now();
                Ok(())
            }
            Action::Stream(bytes) => {
                let bytes = bytes.value(&mut self.scope)?.into_bytes();
                let context = Arc::clone(&self.context);
                let link = link_of(subject, self.object(subject)?)?;
                if link.config.transport == LinkTransport::WebSocket {
                    return Err(StepError::Broken("a WebSocket has no streams".to_owned()));
                }
                link.open_stream(&context, bytes);
                self.last_activity = Instant::now();
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
            Action::CheckPattern { value, not, pattern } => {
                let value = value.value(&mut self.scope)?.text();
                let found = self.match_payload(pattern, &Payload::Text(value.clone()))?;
                if found.is_some() != *not {
                    for (name, value) in found.unwrap_or_default() {
                        self.scope.set(&name, value);
                    }
                    return Ok(());
                }
                let shown = self.describe_choice(&Choice(vec![Outcome::Packet(pattern.clone())]));
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
                let mut listener = self
                    .listener
                    .take()
                    .ok_or_else(|| StepError::Broken("requests are answered only to clients".to_owned()))?;
                if let Object::ServerSession(session) = self.object(subject)? {
                    session.release_requests(&mut listener);
                }
                self.listener = Some(listener);
                Ok(())
            }
            Action::RequestsRefused => {
                let mut listener = self
                    .listener
                    .take()
                    .ok_or_else(|| StepError::Broken("requests are refused only to clients".to_owned()))?;
                if let Object::ServerSession(session) = self.object(subject)? {
                    session.refuse_requests(&mut listener);
                }
                self.listener = Some(listener);
                Ok(())
            }
            Action::AcceptUpgrade => self.accept_upgrade(step, subject).await,
            Action::AcceptRequest { method, target } => {
                self.accept_request(step, subject, method, target.as_ref()).await
            }
            Action::AcceptLink { target } => {
                let request = self.accept_matching(step, "GET", true, target.as_ref()).await?;
                self.set_request_variables(subject, &request.head);
                match server_session::accept_link(&self.context, subject, request).await {
                    Ok(link) => self.insert(subject, Object::Link(link)),
                    Err(seen) => return failed("a WebSocket", seen),
                }
                Ok(())
            }
            Action::Answer { status, body, headers } => {
                let status = status.value(&mut self.scope)?.number()?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
                let status = status as u16;
                let body = body.as_ref().map(|body| body.value(&mut self.scope)).transpose()?.map(Value::into_bytes);
                let mut response = text_response(status, &body.unwrap_or_default());
                set_headers(&mut response.headers, self.headers(headers)?);
                match self.object(subject)? {
                    Object::IncomingRequest(request, _) => request.answer(response),
                    _ => return Err(StepError::Broken(format!("{subject} is not a request of the client"))),
                }
                self.last_activity = Instant::now();
                Ok(())
            }
        }
    }

    fn check(&mut self, left: &Expression, comparison: Comparison, right: &Expression) -> Result<(), StepError> {
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

    // Objects

    fn object(&mut self, name: &str) -> Result<&mut Object, StepError> {
        self.objects.get_mut(name).ok_or_else(|| StepError::Broken(format!("{name:?} does not exist yet")))
    }

    fn client_session(&mut self, name: Option<&str>) -> Result<&mut ClientSession, StepError> {
        let name = name.unwrap_or(MAIN);
        match self.object(name)? {
            Object::ClientSession(session) => Ok(session),
            _ => Err(StepError::Broken(format!("{name} is not a session"))),
        }
    }

    fn insert(&mut self, name: &str, object: Object) {
        self.objects.insert(name.to_owned(), object);
        self.last_activity = Instant::now();
    }

    fn headers(&mut self, headers: &[Expression]) -> Result<Headers, String> {
        headers
            .iter()
            .map(|line| {
                let line = line.value(&mut self.scope)?.text();
                let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is not a header"))?;
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
}

fn link_of<'a>(name: &str, object: &'a mut Object) -> Result<&'a mut Link, StepError> {
    match object {
        Object::Link(link) => Some(link),
        Object::ClientSession(session) => session.link_mut(),
        Object::ServerSession(session) => session.link_mut(),
        Object::Exchange(_) | Object::IncomingRequest(..) => None,
    }
    .ok_or_else(|| StepError::Broken(format!("{name} is not a link")))
}

fn link_transport(transport: &str) -> Result<LinkTransport, String> {
    match transport {
        "websocket" => Ok(LinkTransport::WebSocket),
        "webtransport" => Ok(LinkTransport::WebTransport),
        other => Err(format!("the suite does not support the transport {other}")),
    }
}

fn revision_of(query: &str) -> Revision {
    if query.split(['?', '&']).any(|pair| pair == "EIO=3") { Revision::Three } else { Revision::Four }
}
