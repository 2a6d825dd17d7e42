//! The session of `cat`: passes lines to the client, and what happens to the client to the output.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _};
use std::thread;
use std::time::Duration;

use socketio_tokio::client::{Client, ClientBuilder, ConnectFailure, ConnectionEvent, Socket};
use socketio_tokio::{Ack, AckError, CloseReason, DisconnectReason, EmitError, Event, Parser, Payload, SendError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::input::{self, AckWish, Emit, Kind, Request, parse};
use super::output::{Output, tell};
use crate::Exit;
use crate::signal::{end_at_the_second, interrupted};
use crate::value::{Value, json, write_hex};

/// What waits to be printed. When there is more, the client stops reading.
const WAITING: usize = 256;

/// How many events may wait for `:answer`. Those before are not acknowledged any more.
const MAX_ASKED: usize = 1000;

/// How long a server may take to let the connection close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) event: String,
    /// All if it is empty.
    pub(super) only: Vec<String>,
    pub(super) kind: Kind,
    pub(super) auto_ack: bool,
    pub(super) ack_timeout: Duration,
    /// How long a server may take to let the first namespaces join, and others after the end of the input.
    pub(super) join_timeout: Duration,
    /// How long to stay after the end of the input. `None` for ever.
    pub(super) wait: Option<Duration>,
    pub(super) retry: bool,
    pub(super) attempts: Option<u32>,
    pub(super) reconnection: bool,
}

impl Settings {
    pub(super) fn apply<P: Parser>(&self, builder: ClientBuilder<P>) -> ClientBuilder<P> {
        let builder = builder.reconnection(self.reconnection);
        match self.attempts {
            Some(attempts) => builder.reconnection_attempts(attempts),
            None => builder,
        }
    }
}

/// What happens to the client.
enum Happened<P: Parser> {
    Connection(ConnectionEvent),
    Connected(Socket<P>),
    ConnectError(Socket<P>, ConnectFailure),
    Disconnected(Socket<P>, DisconnectReason),
    Event(Socket<P>, Event<P>),
    /// The outcome of an ack: its namespace, its number, and the name of its event.
    Acked(String, u64, String, Result<Payload, AckError>),
}

/// Why the session goes on, or ends.
enum Next {
    GoOn,
    End(Exit),
}

struct Session<P: Parser> {
    client: Client<P>,
    settings: Settings,
    output: Output,
    tell: mpsc::Sender<Happened<P>>,
    /// Those that were joined, the first one first.
    sockets: Vec<Socket<P>>,
    /// The one of `:use`.
    current: Socket<P>,
    /// Events that wait for `:answer`, by their number.
    asked: BTreeMap<u64, (Socket<P>, Ack<P>)>,
    last_asked: u64,
    last_ack: u64,
    /// Number of acks that have not come yet.
    awaited: usize,
    /// An event that waits for space in the queue.
    held: Option<Emit>,
    was_open: bool,
    /// Since when the connection is open, without all namespaces being joined or refused.
    joining_since: Option<Instant>,
    /// Those of the first namespaces that have been neither joined nor refused yet.
    unanswered: BTreeSet<String>,
    is_input_over: bool,
    failed: bool,
    refused: bool,
}

/// Runs until the input ends, the user ends it, or nothing more can come.
pub(super) async fn run<P: Parser>(
    client: Client<P>,
    namespaces: &[String],
    settings: Settings,
    output: Output,
) -> Exit {
    end_at_the_second();
    let (tell, mut events) = mpsc::channel(WAITING);
    watch_client(&client, &tell);
    let sockets: Vec<_> = namespaces.iter().map(|namespace| join(&client, namespace, &tell)).collect();
    // There is at least one.
    let current = client.socket(namespaces.first().map_or("/", |namespace| namespace));
    let unanswered = sockets.iter().map(|socket| socket.namespace().to_owned()).collect();
    let mut session = Session {
        client,
        settings,
        output,
        tell,
        sockets,
        current,
        asked: BTreeMap::new(),
        last_asked: 0,
        last_ack: 0,
        awaited: 0,
        held: None,
        was_open: false,
        joining_since: None,
        unanswered,
        is_input_over: false,
        failed: false,
        refused: false,
    };
    // Whoever reads stdout has stopped, if printing fails. Then nothing more is to be done.
    let exit = session.talk(&mut events).await.unwrap_or(Exit::Success);
    session.close(&mut events, exit).await
}

/// The lines of the input, read by a thread of their own: a read of a terminal cannot be cancelled.
fn lines() -> mpsc::Receiver<Result<String, String>> {
    let (sender, lines) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match stdin.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => String::from_utf8(line)
                    .map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|_| "the line is not UTF-8".to_owned()),
                Err(error) => {
                    let _ = sender.blocking_send(Err(format!("the input cannot be read: {error}")));
                    return;
                }
            };
            if sender.blocking_send(read).is_err() {
                return;
            }
        }
    });
    lines
}

fn watch_client<P: Parser>(client: &Client<P>, tell: &mpsc::Sender<Happened<P>>) {
    let tell = tell.clone();
    client.on_event(move |event: ConnectionEvent| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(Happened::Connection(event)).await;
        }
    });
}

/// Joins a namespace, and watches what comes.
fn join<P: Parser>(client: &Client<P>, namespace: &str, tell: &mpsc::Sender<Happened<P>>) -> Socket<P> {
    /// A handler that passes on what it gets.
    macro_rules! pass {
        (|$socket:ident $(, $what:ident: $type:ty)?| $happened:expr) => {{
            let tell = tell.clone();
            move |$socket: Socket<P> $(, $what: $type)?| {
                let tell = tell.clone();
                async move {
                    let _ = tell.send($happened).await;
                }
            }
        }};
    }

    let socket = client.socket(namespace);
    socket
        .on_connect(pass!(|socket| Happened::Connected(socket)))
        .on_connect_error(pass!(|socket, failure: ConnectFailure| Happened::ConnectError(socket, failure)))
        .on_disconnect(pass!(|socket, reason: DisconnectReason| Happened::Disconnected(socket, reason)))
        .on_any(pass!(|socket, event: Event<P>| Happened::Event(socket, event)))
        .connect();
    socket
}

/// Waits until a socket's queue has space. Without a socket, for ever.
async fn ready<P: Parser>(socket: Option<Socket<P>>) -> Result<(), SendError> {
    match socket {
        Some(socket) => socket.ready().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl<P: Parser> Session<P> {
    async fn talk(&mut self, events: &mut mpsc::Receiver<Happened<P>>) -> io::Result<Exit> {
        let mut lines = lines();
        let mut interrupted = std::pin::pin!(interrupted());
        let mut deadline = None;
        loop {
            if self.is_input_over && deadline.is_none() && self.held.is_none() && self.awaited == 0 && self.is_settled()
            {
                deadline = self.settings.wait.map(|wait| Instant::now() + wait);
            }
            let is_finishing = self.is_input_over && deadline.is_none() && self.settings.wait.is_some();
            // Lines wait until it is known whether the server can be reached, so that the timeout of an ack does not begin before.
            if self.is_settled() {
                self.joining_since = None;
            }
            // Events decide it, not the state of now: a socket may have joined and left again meanwhile.
            let was_settled = self.unanswered.is_empty();
            let give_up = self.joining_since.filter(|_| !was_settled || is_finishing);
            let give_up = give_up.map(|since| since + self.settings.join_timeout);
            let takes_lines = !self.is_input_over && self.held.is_none() && was_settled;
            let held = self.held.as_ref().map(|_| self.current.clone());
            let next = tokio::select! {
                _ = &mut interrupted => Next::End(self.exit()),
                Some(happened) = events.recv() => self.happened(happened, is_finishing)?,
                ready = ready(held) => self.resume(ready)?,
                () = until(deadline) => Next::End(self.exit()),
                () = until(give_up) => {
                    self.output.error("the server neither lets it join the namespace nor refuses it")?;
                    Next::End(Exit::Unreachable)
                }
                line = lines.recv(), if takes_lines => match line {
                    Some(line) => self.read(line)?,
                    None => {
                        self.is_input_over = true;
                        Next::GoOn
                    }
                },
            };
            if let Next::End(exit) = next {
                return Ok(exit);
            }
        }
    }

    /// Whether every socket is connected, or will not be.
    fn is_settled(&self) -> bool {
        self.sockets.iter().all(|socket| socket.is_connected() || !socket.is_active())
    }

    /// How the session ends if nothing else is wrong.
    fn exit(&self) -> Exit {
        match (self.refused, self.failed) {
            (true, _) => Exit::Refused,
            (false, true) => Exit::Failed,
            (false, false) => Exit::Success,
        }
    }

    /// Ends the session if no socket is left.
    fn end_if_idle(&self, exit: Exit) -> Next {
        if self.sockets.iter().any(Socket::is_active) { Next::GoOn } else { Next::End(exit) }
    }

    fn happened(&mut self, happened: Happened<P>, is_finishing: bool) -> io::Result<Next> {
        match happened {
            Happened::Connection(event) => return self.connection(event, is_finishing),
            Happened::Connected(socket) => {
                let namespace = socket.namespace();
                let id = socket.id();
                let id = id.as_ref().map_or("", |id| id.as_str());
                let recovered = socket.recovered();
                self.unanswered.remove(namespace);
                let again = if recovered { ", recovered" } else { "" };
                self.output.state(
                    &format!("joined {namespace} as {id}{again}"),
                    &format!(
                        r#""type":"connect","namespace":{},"id":{},"recovered":{recovered}"#,
                        json(namespace),
                        json(id)
                    ),
                )?;
            }
            Happened::ConnectError(socket, failure) => {
                let (namespace, message, refused) = (socket.namespace(), failure.message(), failure.is_refused());
                let data = failure.data().unwrap_or(Value::Null);
                let mut data_in_json = String::new();
                data.write(&mut data_in_json, &mut write_hex);
                let shown = if data == Value::Null { String::new() } else { format!(" {data_in_json}") };
                let what = if refused { "the server refused" } else { "could not join" };
                self.output.state(
                    &format!("{what} {namespace}: {message}{shown}"),
                    &format!(
                        r#""type":"connect_error","namespace":{},"message":{},"data":{},"refused":{refused}"#,
                        json(namespace),
                        json(&message),
                        data_in_json
                    ),
                )?;
                // Not `!socket.is_active()`: the last attempt to connect again may have failed meanwhile.
                if refused {
                    self.unanswered.remove(namespace);
                    self.refused = true;
                    return Ok(self.end_if_idle(Exit::Refused));
                }
            }
            Happened::Disconnected(socket, reason) => {
                let namespace = socket.namespace();
                self.asked.retain(|_, (asked, _)| *asked != socket);
                let (text, members) = why(reason);
                self.output.state(
                    &format!("left {namespace}: {text}"),
                    &format!(r#""type":"disconnect","namespace":{},{members}"#, json(namespace)),
                )?;
                if reason == DisconnectReason::IoServerDisconnect {
                    return Ok(self.end_if_idle(Exit::Disconnected));
                }
            }
            Happened::Event(socket, event) => self.event(&socket, event)?,
            Happened::Acked(namespace, number, event, outcome) => {
                self.awaited = self.awaited.saturating_sub(1);
                match outcome {
                    Ok(payload) => self.output.acked(&namespace, number, &payload)?,
                    Err(error) => {
                        self.failed = true;
                        self.output.not_acked(&namespace, number, &event, &error.to_string())?;
                    }
                }
            }
        }
        Ok(Next::GoOn)
    }

    fn connection(&mut self, event: ConnectionEvent, is_finishing: bool) -> io::Result<Next> {
        let output = &self.output;
        match event {
            ConnectionEvent::Open => {
                self.was_open = true;
                self.joining_since = Some(Instant::now());
                let transport = self.client.transport().as_str();
                output.state(
                    &format!("connected over {transport}"),
                    &format!(r#""type":"open","transport":"{transport}""#),
                )?;
            }
            ConnectionEvent::Upgraded(transport) => {
                let transport = transport.as_str();
                output.state(
                    &format!("moved to {transport}"),
                    &format!(r#""type":"upgrade","transport":"{transport}""#),
                )?;
            }
            ConnectionEvent::Error(failure) if !self.was_open && !self.settings.retry => {
                output.error(&failure.to_string())?;
                return Ok(Next::End(Exit::Unreachable));
            }
            ConnectionEvent::Error(failure) | ConnectionEvent::ReconnectError(failure) => {
                let text = failure.to_string();
                output.state(&text, &format!(r#""type":"open_error","message":{}"#, json(&text)))?;
                if is_finishing {
                    output.error("the input is over, and the server cannot be reached any more")?;
                    return Ok(Next::End(Exit::Unreachable));
                }
            }
            ConnectionEvent::Closed(reason) => {
                self.joining_since = None;
                let (text, members) = why(reason);
                output.state(&format!("the connection is closed: {text}"), &format!(r#""type":"close",{members}"#))?;
                // Not if the user has left all namespaces.
                if reason.is_followed_by_reconnection() && !self.settings.reconnection {
                    return Ok(Next::End(Exit::Unreachable));
                }
            }
            ConnectionEvent::ReconnectAttempt(attempt) => output.state(
                &format!("attempt {attempt} to connect again"),
                &format!(r#""type":"reconnect_attempt","attempt":{attempt}"#),
            )?,
            ConnectionEvent::Reconnect(attempt) => output.state(
                &format!("connected again in attempt {attempt}"),
                &format!(r#""type":"reconnect","attempt":{attempt}"#),
            )?,
            ConnectionEvent::ReconnectFailed => {
                output.error("all attempts to connect again have failed")?;
                return Ok(Next::End(Exit::Unreachable));
            }
            _ => {}
        }
        Ok(Next::GoOn)
    }

    fn event(&mut self, socket: &Socket<P>, mut event: Event<P>) -> io::Result<()> {
        let is_shown = self.settings.only.is_empty() || self.settings.only.iter().any(|name| name == event.name());
        let mut number = None;
        if self.settings.auto_ack {
            if let Some(ack) = event.take_ack() {
                let sent = ack.send(event.payload());
                self.sent(sent)?;
            }
        } else if is_shown && let Some(ack) = event.take_ack() {
            self.last_asked = self.last_asked.saturating_add(1);
            number = Some(self.last_asked);
            self.asked.insert(self.last_asked, (socket.clone(), ack));
            if self.asked.len() > MAX_ASKED {
                self.asked.pop_first();
            }
        }
        if is_shown {
            let place = (socket.namespace(), self.sockets.len() == 1);
            self.output.event(place, event.payload(), number)?;
        }
        Ok(())
    }

    /// Reports that something could not be sent.
    fn sent(&mut self, sent: Result<(), EmitError>) -> io::Result<()> {
        let Err(error) = sent else { return Ok(()) };
        self.fail(&format!("it could not be sent: {error}"))
    }

    fn fail(&mut self, text: &str) -> io::Result<()> {
        self.failed = true;
        self.output.error(text)
    }

    /// Does what a line asks for.
    fn read(&mut self, line: Result<String, String>) -> io::Result<Next> {
        let request = line.and_then(|line| parse(&line, self.settings.kind, &self.settings.event));
        let request = match request {
            Ok(None) => return Ok(Next::GoOn),
            Ok(Some(request)) => request,
            Err(error) => return self.fail(&error).map(|()| Next::GoOn),
        };
        match request {
            Request::Emit(emit) => self.emit(emit)?,
            Request::Answer { number, arguments } => match self.asked.remove(&number) {
                Some((_, ack)) => {
                    let sent = ack.send(arguments);
                    self.sent(sent)?;
                }
                None => self.fail(&format!(
                    "no event waits for the answer {number}: it was answered, or its connection is closed"
                ))?,
            },
            Request::Use(namespace) => {
                self.current = self.socket(&namespace);
                let namespace = self.current.namespace();
                self.output.state(
                    &format!("lines go to {namespace} now"),
                    &format!(r#""type":"use","namespace":{}"#, json(namespace)),
                )?;
            }
            Request::Connect => drop(self.current.connect()),
            Request::Disconnect => self.current.disconnect(),
            Request::Close => return Ok(Next::End(self.exit())),
            Request::Help => tell_lines(input::HELP),
        }
        Ok(Next::GoOn)
    }

    /// The socket of the namespace, which is joined if it was not yet.
    fn socket(&mut self, namespace: &str) -> Socket<P> {
        let socket = self.client.socket(namespace);
        if !self.sockets.contains(&socket) {
            join(&self.client, socket.namespace(), &self.tell);
            self.sockets.push(socket.clone());
        }
        socket
    }

    fn resume(&mut self, ready: Result<(), SendError>) -> io::Result<Next> {
        match (ready, self.held.take()) {
            (Ok(()), Some(emit)) => self.emit(emit)?,
            (Err(error), _) => self.fail(&format!("it could not be sent: {error}"))?,
            (Ok(()), None) => {}
        }
        Ok(Next::GoOn)
    }

    fn emit(&mut self, emit: Emit) -> io::Result<()> {
        let socket = match &emit.namespace {
            Some(namespace) => self.socket(&namespace.clone()),
            None => self.current.clone(),
        };
        let Emit { event, arguments, ack, .. } = &emit;
        let sent = if *ack == AckWish::No {
            socket.emit(event, arguments)
        } else {
            socket.emit_with_ack_timeout(event, arguments, self.settings.ack_timeout).map(|answer| {
                let number = match ack {
                    AckWish::Numbered(number) => *number,
                    _ => {
                        self.last_ack = self.last_ack.saturating_add(1);
                        self.last_ack
                    }
                };
                self.awaited = self.awaited.saturating_add(1);
                let (namespace, event, tell) = (socket.namespace().to_owned(), event.clone(), self.tell.clone());
                tokio::spawn(async move {
                    let outcome = answer.await;
                    let _ = tell.send(Happened::Acked(namespace, number, event, outcome)).await;
                });
            })
        };
        match sent {
            Err(EmitError::Send(SendError::Full)) => {
                self.held = Some(emit);
                Ok(())
            }
            sent => self.sent(sent),
        }
    }

    /// Closes the connection, once everything is sent, and prints what comes until then.
    async fn close(mut self, events: &mut mpsc::Receiver<Happened<P>>, exit: Exit) -> Exit {
        self.client.close();
        let client = self.client.clone();
        let mut closed = std::pin::pin!(timeout(CLOSE_TIMEOUT, client.closed()));
        loop {
            tokio::select! {
                _ = &mut closed => break,
                Some(happened) = events.recv() => self.last(happened),
            }
        }
        while let Ok(happened) = events.try_recv() {
            self.last(happened);
        }
        match (exit, self.failed) {
            (Exit::Success, true) => Exit::Failed,
            _ => exit,
        }
    }

    /// Prints what happens while the connection is closed. How that ends is not news.
    fn last(&mut self, happened: Happened<P>) {
        if let Happened::Event(..) | Happened::Acked(..) = happened {
            let _ = self.happened(happened, false);
        }
    }
}

/// Why a connection or a socket has ended, for people, and as members of an object: the reason, and what is known of it.
fn why(reason: DisconnectReason) -> (String, String) {
    let detail = match reason {
        DisconnectReason::Closed(CloseReason::TransportError(error)) => error.to_string(),
        DisconnectReason::Closed(CloseReason::ParseError(error)) => error.to_string(),
        reason => return (reason.to_string(), format!(r#""reason":{}"#, json(reason.as_str()))),
    };
    let members = format!(r#""reason":{},"detail":{}"#, json(reason.as_str()), json(&detail));
    (format!("{reason} ({detail})"), members)
}

/// Tells people something that has several lines.
fn tell_lines(text: &str) {
    text.lines().for_each(tell);
}
