//! A Socket.IO server out of the machines alone, over the standard library's threads, with `httparse` for HTTP: the echo of `echo.rs`
//! on `/socket.io/`, over polling, WebSocket and the upgrade between them. Run with `--port 3000`; other flags: see `settings`.
//!
//! Two kinds of threads share a [`Peer`], which is a machine behind a lock. Each TCP connection has one that reads and hands in what came
//! ([`Http`]). Each peer has one that runs the application, writes what the machine has to say, and wakes up for its timers. What
//! waits, waits in the machine, so its limits are the limits: a reader stops while the machine wants no input, and what a slow peer does
//! not take stays in it until it is full. Nobody holds a lock while reading or writing; locks are taken in the order namespace, table
//! of peers, peer.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, iter, thread, time};

use bytes::BytesMut;
use engineio_proto::server::{Ask, AskKind, Handshake, Input, LinkDownCause, Refusal, Route, Server, Transmit};
use engineio_proto::{
    Config, ContentType, Instant, LinkId, LinkKind, Message, RequestHead, RequestId, Response, SendError, Sid,
};
use engineio_websocket::{
    self as websocket, Arena, Decoder, Event as Frame, FrameHeader, Opcode, Role, handshake::AcceptKey,
};
use socketio_proto::server::{Connection, Namespace, Target};
use socketio_proto::{EmitError, Encoder, Event, Json, Outgoing, Parser as _, Pending, SocketId};

/// How long a request may take to come, a connection may be idle, and a peer may take to hang up. A GET is held for less.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is read at once, and the longest head of a request.
const READ: usize = 16 * 1024;
/// A turn of a peer takes so many events, and about so many bytes of output.
const TURN: (usize, usize) = (64, 64 * 1024);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (port, config) = settings()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    eprintln!("listening on {}", listener.local_addr()?);
    let hub = Arc::new(Hub::new(config));
    for stream in listener.incoming() {
        let hub = Arc::clone(&hub);
        let served = stream.and_then(|stream| {
            stream.set_nodelay(true)?;
            // Who takes nothing for as long as a ping may stay unanswered would not have answered one.
            stream.set_write_timeout(Some(hub.engine.config().ping_timeout))?;
            let http = Http {
                hub,
                wire: Arc::new(Wire { stream, turn: Mutex::default() }),
                buffer: BytesMut::new(),
                last: false,
            };
            thread::Builder::new().spawn(|| http.serve())
        });
        if let Err(error) = served {
            eprintln!("a connection is not served: {error}");
            // Descriptors or threads have run out, and nothing tells when there are some again.
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// `--port` (0 takes a free one), `--ping-interval` and `--ping-timeout` in milliseconds, `--max-payload` in bytes.
fn settings() -> Result<(u16, Config), Box<dyn std::error::Error>> {
    let (mut port, mut config) = (3000, Config::default());
    let mut arguments = env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value: u64 = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?.parse()?;
        match flag.as_str() {
            "--port" => port = value.try_into()?,
            "--ping-interval" => config.ping_interval = Duration::from_millis(value),
            "--ping-timeout" => config.ping_timeout = Duration::from_millis(value.max(1)),
            "--max-payload" => config.max_payload = value.try_into()?,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    Ok((port, config))
}

/// What all threads share.
struct Hub {
    engine: Server,
    socketio: Arc<socketio_proto::Config>,
    peers: Mutex<HashMap<Sid, Arc<Peer>>>,
    /// Who is on each namespace: a socket of a session.
    namespaces: BTreeMap<&'static str, Mutex<Namespace<(Sid, SocketId)>>>,
    epoch: time::Instant,
    names: AtomicU64,
}

impl Hub {
    fn new(config: Config) -> Self {
        Self {
            engine: Server::new(config),
            socketio: Arc::default(),
            peers: Mutex::default(),
            namespaces: ["/", "/custom"].map(|name| (name, Mutex::default())).into(),
            epoch: time::Instant::now(),
            names: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// The name of a request or link: none is used twice.
    fn name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    fn peer(&self, sid: Sid) -> Option<Arc<Peer>> {
        lock(&self.peers).get(&sid).cloned()
    }

    /// Opens a session and starts its peer's thread.
    fn open(self: &Arc<Self>, handshake: Handshake) -> io::Result<Arc<Peer>> {
        let (now, sid) = (self.now(), random_sid()?);
        let machine = Connection::new(now, handshake.accept(now, sid), Json, Arc::clone(&self.socketio));
        let state = Mutex::new(State { machine, held: HashMap::new(), writing: Vec::new(), links: HashMap::new() });
        let peer = Arc::new(Peer { hub: Arc::clone(self), sid, state, changed: Condvar::new() });
        let running = Arc::clone(&peer);
        thread::Builder::new().spawn(move || running.run())?;
        Ok(peer)
    }

    /// The application.
    fn handle(&self, peer: &Peer, event: Event, encoder: &mut Encoder) {
        match event {
            Event::ConnectRequested(pending) => self.connect(peer, pending, encoder),
            Event::Received { socket, payload, ack } => match (payload.name(), ack) {
                (Some("message"), _) => peer.emit(|to| to.emit(encoder, socket, "message-back", &payload)),
                (Some("message-with-ack"), Some(token)) => peer.emit(|to| to.ack(encoder, token, &payload)),
                (Some("broadcast"), _) => {
                    for (name, members) in &self.namespaces {
                        let members = lock(members);
                        if members.contains((peer.sid, socket))
                            // Once for all; a payload that could be read can be written.
                            && let Ok(encoded) = Json.encode(&Outgoing::event(name, None, "broadcast-back", &payload), encoder)
                        {
                            for (sid, socket) in members.recipients(&Target::everybody()) {
                                self.peer(sid).inspect(|peer| peer.emit(|to| to.send(socket, &encoded)));
                            }
                        }
                    }
                }
                _ => {}
            },
            Event::Disconnected { socket, .. } => {
                self.namespaces.values().for_each(|members| lock(members).remove((peer.sid, socket)));
            }
            // Every socket has had its `Disconnected` before `Closed`, and nobody waits for the rest.
            _ => {}
        }
    }

    fn connect(&self, peer: &Peer, pending: Pending, encoder: &mut Encoder) {
        let (Some(members), Ok(sid)) = (self.namespaces.get(&**pending.namespace()), random_sid()) else {
            return peer.emit(|to| to.refuse(self.now(), pending, "Invalid namespace", None::<&()>));
        };
        // Locked before the peer accepts: no broadcast gets ahead of the answer that makes it a member.
        let mut members = lock(members);
        let auth = pending.auth().cloned();
        peer.emit(|to| {
            let socket = to.accept(self.now(), pending, sid)?;
            members.add((peer.sid, socket), sid);
            match auth {
                Some(auth) => to.emit(encoder, socket, "auth", &auth),
                None => to.emit(encoder, socket, "auth", &serde_json::json!({})),
            }
        });
    }
}

/// One peer.
struct Peer {
    hub: Arc<Hub>,
    sid: Sid,
    state: Mutex<State>,
    /// There is something to do for the peer's thread, or its doing something may have been waited for.
    changed: Condvar,
}

struct State {
    machine: Connection,
    /// Requests without an answer: whom to answer, and whether the connection ends with it.
    held: HashMap<RequestId, (Arc<Wire>, bool)>,
    /// Requests whose answers are being written.
    writing: Vec<RequestId>,
    links: HashMap<LinkId, Arc<Wire>>,
}

/// Something to write.
struct Output {
    /// The request that it answers; none if it goes to a link.
    request: Option<RequestId>,
    wire: Arc<Wire>,
    bytes: BytesMut,
    /// Whether the connection ends with it.
    last: bool,
}

impl Peer {
    /// The peer's thread.
    fn run(self: Arc<Self>) {
        lock(&self.hub.peers).insert(self.sid, Arc::clone(&self));
        let mut encoder = Encoder::new();
        while let Some((outputs, events)) = self.next() {
            for Output { request, wire, bytes, last } in outputs {
                let written = wire.write(&bytes, last);
                // That a link failed is seen by the thread that reads from it.
                if let Some(request) = request {
                    lock(&self.state).writing.retain(|&writing| writing != request);
                    self.hand_in(if written { Input::Replied { request } } else { Input::Aborted { request } });
                }
            }
            events.into_iter().for_each(|event| self.hub.handle(&self, event, &mut encoder));
        }
        lock(&self.hub.peers).remove(&self.sid);
    }

    /// Waits for something to write or to handle; `None` when the peer is gone for good.
    fn next(&self) -> Option<(Vec<Output>, Vec<Event>)> {
        let mut state = lock(&self.state);
        loop {
            let now = self.hub.now();
            if state.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.machine.handle_timeout(now);
            }
            let events: Vec<Event> = iter::from_fn(|| state.machine.poll_event()).take(TURN.0).collect();
            let outputs = state.outputs();
            if !(outputs.is_empty() && events.is_empty()) {
                return Some((outputs, events));
            } else if state.machine.is_drained() {
                return None;
            }
            self.changed.notify_all();
            let sleep = state.machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE) - now;
            state = self.changed.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Does something to the machine, and wakes whoever that may concern.
    fn tell<T>(&self, what: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = what(&mut lock(&self.state), self.hub.now());
        self.changed.notify_all();
        result
    }

    fn hand_in(&self, input: Input) {
        self.tell(|state, now| state.machine.handle(now, input));
    }

    /// Sends something. A peer whose queue is full is given up rather than left with a gap; other errors mean that it is gone.
    fn emit(&self, send: impl FnOnce(&mut Connection) -> Result<(), EmitError>) {
        self.tell(|state, now| {
            if let Err(EmitError::Send(SendError::Full)) = send(&mut state.machine) {
                state.machine.discard(now);
            }
        });
    }

    /// Hands in messages of a link, no faster than they are handled.
    fn receive(&self, link: LinkId, messages: Vec<Message>) {
        for message in messages {
            if !lock(&self.state).machine.wants_input() {
                self.changed.notify_all();
                drop(self.wait_while(|state| !state.machine.wants_input()));
            }
            lock(&self.state).machine.handle(self.hub.now(), Input::LinkMessage { link, message });
        }
        self.changed.notify_all();
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let guard = self.changed.wait_while(lock(&self.state), |state| condition(state));
        guard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn outputs(&mut self) -> Vec<Output> {
        let (mut outputs, mut length) = (Vec::<Output>::new(), 0);
        while length < TURN.1
            && let Some(transmit) = self.machine.poll_transmit()
        {
            let (link, frame) = match transmit {
                Transmit::Reply { request, response } => {
                    if let Some((wire, last)) = self.held.remove(&request) {
                        let bytes = http(response.status(), response.headers(), Some(response.body()), last);
                        length += bytes.len();
                        self.writing.push(request);
                        outputs.push(Output { request: Some(request), wire, bytes, last });
                    }
                    continue;
                }
                Transmit::Link { link, frame } => (link, Some(frame)),
                Transmit::CloseLink { link } => (link, None),
                _ => continue,
            };
            let Some(wire) = self.links.get(&link) else { continue };
            // What goes to the same link leaves in one piece.
            if outputs.last().is_none_or(|latest| !Arc::ptr_eq(&latest.wire, wire)) {
                outputs.push(Output { request: None, wire: Arc::clone(wire), bytes: BytesMut::new(), last: false });
            }
            let Some(Output { bytes, last, .. }) = outputs.last_mut() else { continue };
            if let Some(frame) = frame {
                length += frame.packet_len();
                let opcode = if frame.is_binary() { Opcode::Binary } else { Opcode::Text };
                bytes.extend_from_slice(&FrameHeader::new(opcode.into(), frame.packet_len(), None));
                bytes.extend_from_slice(frame.head());
                bytes.extend_from_slice(frame.data());
            } else {
                *last = websocket::encode_close(bytes, None, None).is_ok();
            }
        }
        outputs
    }
}

/// A TCP connection: one thread reads from it, several write.
struct Wire {
    stream: TcpStream,
    turn: Mutex<()>,
}

impl Wire {
    /// Whether it worked. If not, the thread that reads sees the end of the connection.
    fn write(&self, bytes: &[u8], last: bool) -> bool {
        let _turn = lock(&self.turn);
        let written = (&self.stream).write_all(bytes).is_ok();
        if last || !written {
            // Fails if the peer was faster.
            let _ = self.stream.shutdown(if written { Shutdown::Write } else { Shutdown::Both });
        }
        written
    }
}

/// The thread of a TCP connection.
struct Http {
    hub: Arc<Hub>,
    wire: Arc<Wire>,
    /// What was read, but not used.
    buffer: BytesMut,
    /// Whether nothing is expected any more. What still comes is ignored, but read: closing now might destroy the last answer.
    last: bool,
}

/// A request that a peer will answer.
type Held = Option<(Arc<Peer>, RequestId)>;

impl Http {
    /// While a request waits for its answer, the next one is read already: only so the end of the connection is noticed.
    fn serve(mut self) {
        let mut held: Held = None;
        loop {
            let head = self.read_head();
            if let Some((peer, request)) = held {
                if head.is_ok() {
                    drop(
                        peer.wait_while(|state| state.held.contains_key(&request) || state.writing.contains(&request)),
                    );
                } else if lock(&peer.state).held.remove(&request).is_some() {
                    peer.hand_in(Input::Aborted { request });
                }
            }
            let Ok(head) = head else { return };
            held = self.request(&head);
        }
    }

    /// Answers a request, or leaves that to its peer.
    fn request(&mut self, head: &[u8]) -> Held {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let complete = request.parse(head).is_ok_and(|status| status.is_complete());
        let (true, Some(method), Some(target)) = (complete, request.method, request.path) else {
            return self.refuse(400, &[]);
        };
        let all =
            |name: &'static str| request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        let value = |name| all(name).map(|field| field.value).next();
        let is = |name, wanted: &[u8]| value(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        let length = value("content-length").map_or(Some(0), |value| str::from_utf8(value).ok()?.parse::<usize>().ok());
        let (Some(length), None, 0..=1) = (length, value("transfer-encoding"), all("content-length").count()) else {
            return self.refuse(411, &[]);
        };
        // Only the body of a POST is read; behind any other, no further request could be found.
        self.last = request.version != Some(1) || is("connection", b"close") || (method != "POST" && length > 0);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with("/socket.io/") {
            return self.refuse(404, &[]);
        }
        let fields = request.headers.iter().map(|field| (field.name, field.value));
        let key = match is("upgrade", b"websocket").then(|| websocket::handshake::accept(fields)).transpose() {
            Ok(key) => key,
            Err(error) => return self.refuse(error.status(), error.headers()),
        };
        let (peer, ask, first) = match self.hub.engine.route(&RequestHead {
            method,
            query,
            origin: value("origin"),
            websocket: key.is_some(),
        }) {
            Route::Open(handshake) => {
                let ask = handshake.ask();
                (self.hub.open(handshake).map_err(|_| ask.refuse(Refusal::Unavailable)), ask, true)
            }
            Route::Session { sid, ask } => {
                (self.hub.peer(sid).ok_or_else(|| ask.refuse(Refusal::UnknownSid)), ask, false)
            }
            Route::Reply(response) => return self.answer(&response),
            _ => return self.refuse(400, &[]),
        };
        let content_type = ContentType::from_header(value("content-type"));
        match (peer, ask.kind(), key) {
            (Err(response), ..) => self.answer(&response),
            (Ok(peer), AskKind::Link(kind), Some(key)) => self.link(&peer, (!first).then_some(ask), kind, &key),
            (Ok(peer), AskKind::Post, _) => self.post(peer, ask, content_type, length),
            (Ok(peer), ..) => self.hold(peer, ask, |request| Input::Poll { request }),
        }
    }

    /// Hands a request to its peer, if that takes it.
    fn hold(&mut self, peer: Arc<Peer>, ask: Ask, input: impl FnOnce(RequestId) -> Input) -> Held {
        let request = RequestId(self.hub.name());
        let admitted = peer.tell(|state, now| {
            state.machine.session().admit(&ask)?;
            state.held.insert(request, (Arc::clone(&self.wire), self.last));
            state.machine.handle(now, input(request));
            Ok(())
        });
        match admitted {
            Ok(()) => Some((peer, request)),
            Err(response) => self.answer(&response),
        }
    }

    fn post(&mut self, peer: Arc<Peer>, ask: Ask, content_type: ContentType, length: usize) -> Held {
        let too_large = length > self.hub.engine.config().max_payload;
        self.last |= too_large;
        let (peer, request) = self.hold(peer, ask, |request| Input::Post { request, content_type })?;
        let deadline = self.deadline();
        while !too_large && self.buffer.len() < length {
            if self.fill(deadline).is_err() {
                // The next read fails, too, and reports it.
                (self.last, _) = (true, self.wire.stream.shutdown(Shutdown::Both));
                return Some((peer, request));
            }
        }
        let body = |buffer: &mut BytesMut| Input::Body { request, body: buffer.split_to(length).freeze() };
        peer.hand_in(if too_large { Input::BodyTooLarge { request } } else { body(&mut self.buffer) });
        Some((peer, request))
    }

    /// Becomes a link of the peer, if that takes it, until the end of the connection.
    fn link(&mut self, peer: &Peer, ask: Option<Ask>, kind: LinkKind, key: &AcceptKey) -> Held {
        let admitted = ask.map_or(Ok(()), |ask| lock(&peer.state).machine.session().admit(&ask));
        if let Err(response) = admitted {
            return self.answer(&response);
        }
        let headers = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", key.as_str())];
        self.wire.write(&http(101, &headers, None, false), false);
        let link = LinkId(self.hub.name());
        let up = peer.tell(|state, now| {
            state.links.insert(link, Arc::clone(&self.wire));
            state.machine.handle(now, Input::LinkUp { link, kind });
            !state.machine.session().is_closed()
        });
        // If it has closed meanwhile, there may be nobody any more who would hang up.
        let cause = if up { self.read_link(peer, link) } else { LinkDownCause::Closed };
        peer.tell(|state, now| {
            state.links.remove(&link);
            state.machine.handle(now, Input::LinkDown { link, cause });
        });
        self.last = true;
        self.wire.write(&[], true);
        None
    }

    /// Hands in the messages of a link until its end.
    fn read_link(&mut self, peer: &Peer, link: LinkId) -> LinkDownCause {
        let limits = websocket::Limits::default().with_max_message(self.hub.engine.config().max_payload);
        let (mut decoder, mut arena) = (Decoder::new(Role::Server, limits), Arena::new());
        loop {
            let mut bytes = self.buffer.split();
            let (mut input, mut messages, mut control) = (&mut bytes[..], Vec::new(), BytesMut::new());
            let end = loop {
                match decoder.decode(&mut input, &mut arena) {
                    Ok(None) => break None,
                    Ok(Some(Frame::Text(text))) => messages.push(Message::Text(text)),
                    Ok(Some(Frame::Binary(data))) => messages.push(Message::Binary(data)),
                    Ok(Some(Frame::Ping(payload))) => {
                        // One answer is enough for several of them.
                        control.clear();
                        let _ = websocket::encode_pong(&mut control, &payload, None);
                    }
                    Ok(Some(Frame::Close(close))) => {
                        break Some((close.map(|close| close.code), LinkDownCause::Closed));
                    }
                    Ok(Some(_)) => {}
                    Err(error) => break Some((Some(error.close_code()), LinkDownCause::Failed)),
                }
            };
            peer.receive(link, messages);
            if let Some((code, _)) = end {
                let _ = websocket::encode_close(&mut control, code.map(|code| (code, "")), None);
            }
            self.wire.write(&control, false);
            match end {
                Some((_, cause)) => return cause,
                None if self.fill(self.deadline()).is_err() => return LinkDownCause::Closed,
                None => {}
            }
        }
    }

    /// Answers a request that no peer takes, and its body with the end of the connection.
    fn answer(&mut self, response: &Response) -> Held {
        self.last = true;
        self.wire.write(&http(response.status(), response.headers(), Some(response.body()), true), true);
        None
    }

    /// Answers what is nothing for the machines.
    fn refuse(&mut self, status: u16, headers: &[(&str, &str)]) -> Held {
        self.last = true;
        self.wire.write(&http(status, headers, Some(&[]), true), true);
        None
    }

    fn read_head(&mut self) -> io::Result<BytesMut> {
        let deadline = self.deadline();
        loop {
            if self.last {
                self.buffer.clear();
            }
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return Ok(self.buffer.split_to(end + 4));
            } else if self.buffer.len() >= READ {
                self.refuse(431, &[]);
            }
            self.fill(deadline)?;
        }
    }

    fn fill(&mut self, deadline: time::Instant) -> io::Result<()> {
        // No time left is a timeout of 0, which is an error.
        self.wire.stream.set_read_timeout(Some(deadline.saturating_duration_since(time::Instant::now())))?;
        let mut bytes = [0; READ];
        match (&self.wire.stream).read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default()),
        }
        Ok(())
    }

    /// Until when to wait for what is expected next. Something is, at least with every heartbeat.
    fn deadline(&self) -> time::Instant {
        let config = self.hub.engine.config();
        time::Instant::now() + PATIENCE.max(config.ping_interval + config.ping_timeout)
    }
}

/// A response, or the beginning of something else if there is no body.
fn http(status: u16, headers: &[(&str, &str)], body: Option<&[u8]>, last: bool) -> BytesMut {
    let mut head = format!("HTTP/1.1 {status} \r\n");
    let length = body.map(|body| body.len().to_string());
    let more = [last.then_some(("connection", "close")), length.as_deref().map(|length| ("content-length", length))];
    for (name, value) in headers.iter().copied().chain(more.into_iter().flatten()) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let mut bytes = BytesMut::from((head + "\r\n").as_bytes());
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// An id that nobody can guess.
fn random_sid() -> io::Result<Sid> {
    let mut random = [0; 15];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Sid::from_random(random))
}

/// Nothing is left half done where a thread could panic, so what it leaves behind is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
