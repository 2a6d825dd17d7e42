//! A whole Socket.IO server out of the machines, the standard library's threads and `httparse`: no async runtime, and none of the
//! adapters. It answers on `/socket.io/` as `echo.rs` does, by polling, WebSocket, and the upgrade from one to the other.
//!
//! Read it from top to bottom. Two kinds of threads share one [`Peer`], a machine behind a lock:
//!
//! * each TCP connection has one that reads ([`Http::serve`]): it says what came in, and never waits for what goes out;
//! * each peer has one ([`Peer::run`]) that runs the application, writes all that the machine has to say, and fires its timers.
//!
//! The machine is the queue between them, and its limits are the limits: nobody reads on while it does not want input, and what a slow
//! peer does not take stays in it until it is full. No lock is held while a thread reads or writes. Locks are taken in the order of
//! namespace, table of peers, peer.
//!
//! Run with `cargo run --release -p socketio-tokio --example bare -- --port 3000`; see [`settings`].

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, thread, time};

use bytes::{Buf as _, Bytes, BytesMut};
use engineio_proto::server::{Ask, AskKind, Handshake, Input, LinkDownCause, Refusal, Route, Server, Transmit};
use engineio_proto::{Config, ContentType, Frame, Instant, LinkId, Message, RequestHead, RequestId, Response, SendError, Sid};
use engineio_websocket::handshake::{self, AcceptKey, RequestError};
use engineio_websocket::{self as websocket, Arena, Decoder, FrameHeader, Opcode, Role};
use socketio_proto::server::{Connection, Namespace, Target};
use socketio_proto::{EmitError, Encoder, Event, Json, Outgoing, Parser as _, Pending, SocketId};

/// How long a request may take to come, a connection may be idle, and a peer may take to hang up. A GET is held for less.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest head of a request, and the most that is read at once.
const MAX_HEAD: usize = 16 * 1024;
/// Output of a peer that is worth a write, though events wait.
const BATCH: usize = 64 * 1024;
/// Events in a row after which output has its turn, however little it is.
const EVENTS_IN_A_ROW: u32 = 64;

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
            stream.set_write_timeout(Some(hub.config().ping_timeout.max(Duration::from_millis(1))))?;
            let wire = Arc::new(Wire { stream, writing: Mutex::new(()) });
            thread::Builder::new().spawn(move || Http { hub, wire, buffer: BytesMut::new(), last: false }.serve())
        });
        if let Err(error) = served {
            eprintln!("a connection was not served: {error}");
            // There are no descriptors or threads left, and nothing tells when there will be.
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// `--port` (3000; 0 takes a free one), `--ping-interval` and `--ping-timeout` (milliseconds), `--max-payload` (bytes).
fn settings() -> Result<(u16, Config), Box<dyn std::error::Error>> {
    let (mut port, mut config) = (3000, Config::default());
    let mut arguments = env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--port" => port = value.parse()?,
            "--ping-interval" => config.ping_interval = Duration::from_millis(value.parse()?),
            "--ping-timeout" => config.ping_timeout = Duration::from_millis(value.parse()?),
            "--max-payload" => config.max_payload = value.parse()?,
            _ => return Err(format!("unknown flag {flag}: see the head of `settings` in examples/bare.rs").into()),
        }
    }
    Ok((port, config))
}

/// What all threads share.
struct Hub {
    engine: Server,
    socketio: Arc<socketio_proto::Config>,
    peers: Mutex<HashMap<Sid, Arc<Peer>>>,
    /// Everybody on each namespace, by the session and the socket in it.
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

    fn config(&self) -> &Config {
        self.engine.config()
    }

    /// The machines' time: it begins when the server does.
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// A name for a request or a link.
    fn name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    fn peer(&self, sid: Sid) -> Option<Arc<Peer>> {
        lock(&self.peers).get(&sid).cloned()
    }

    /// Opens a session, and starts the thread of its peer.
    fn open(self: &Arc<Self>, handshake: Handshake) -> Result<Arc<Peer>, Response> {
        let websocket = handshake.link().is_some();
        let Ok(sid) = random_sid() else { return Err(handshake.refuse(Refusal::Unavailable)) };
        let now = self.now();
        let machine = Connection::new(now, handshake.accept(now, sid), Json, Arc::clone(&self.socketio));
        let state = State { machine, requests: HashMap::new(), links: HashMap::new() };
        let peer = Arc::new(Peer { hub: Arc::clone(self), sid, state: Mutex::new(state), changed: Condvar::new() });
        lock(&self.peers).insert(sid, Arc::clone(&peer));
        let running = Arc::clone(&peer);
        if thread::Builder::new().spawn(move || running.run()).is_err() {
            lock(&self.peers).remove(&sid);
            return Err(Refusal::Unavailable.response(websocket));
        }
        Ok(peer)
    }

    /// The application: what is done about an event.
    fn handle(&self, peer: &Peer, event: Event, encoder: &mut Encoder) {
        match event {
            Event::ConnectRequested(pending) => self.connect(peer, pending, encoder),
            Event::Received { socket, payload, ack } => match (payload.name(), ack) {
                (Some("message"), _) => {
                    peer.emit(|machine| machine.emit(encoder, socket, "message-back", &payload));
                }
                (Some("message-with-ack"), Some(token)) => peer.emit(|machine| machine.ack(encoder, token, &payload)),
                (Some("broadcast"), _) => {
                    let key = (peer.sid, socket);
                    let joined = |members: &Mutex<Namespace<_>>| lock(members).contains(key);
                    let Some((name, members)) = self.namespaces.iter().find(|(_, members)| joined(members)) else { return };
                    let packet = Outgoing::event(name, None, "broadcast-back", &payload);
                    // A payload that came in can go out.
                    let Ok(encoded) = Json.encode(&packet, encoder) else { return };
                    for (sid, socket) in lock(members).recipients(&Target::everybody()) {
                        if let Some(peer) = self.peer(sid) {
                            peer.emit(|machine| machine.send(socket, &encoded));
                        }
                    }
                }
                _ => {}
            },
            Event::Disconnected { socket, .. } => {
                self.namespaces.values().for_each(|members| lock(members).remove((peer.sid, socket)));
            }
            // No ack is ever awaited, nobody waits to write, and `Disconnected` comes for each socket before `Closed`.
            _ => {}
        }
    }

    /// Lets a peer join a namespace, if there is one of that name.
    fn connect(&self, peer: &Peer, pending: Pending, encoder: &mut Encoder) {
        let members = self.namespaces.get(&**pending.namespace());
        let (Some(members), Ok(sid)) = (members, random_sid()) else {
            let refused = lock(&peer.state).machine.refuse(self.now(), pending, "Invalid namespace", None::<&()>);
            return drop(refused);
        };
        // Under both locks, so that a broadcast goes to the new socket only after the answer that makes it one.
        let mut members = lock(members);
        let auth = pending.auth().cloned();
        peer.emit(|machine| {
            let socket = machine.accept(self.now(), pending, sid)?;
            members.add((peer.sid, socket), sid);
            match auth {
                Some(auth) => machine.emit(encoder, socket, "auth", &auth),
                None => machine.emit(encoder, socket, "auth", &serde_json::json!({})),
            }
        });
    }
}

/// One peer: its machine, and the connections on which it waits for something.
struct Peer {
    hub: Arc<Hub>,
    sid: Sid,
    state: Mutex<State>,
    /// Something came in for the peer's thread to do, or went out that a reading thread waits for.
    changed: Condvar,
}

struct State {
    machine: Connection,
    requests: HashMap<RequestId, Unanswered>,
    links: HashMap<LinkId, Arc<Wire>>,
}

/// A request that waits for its answer.
struct Unanswered {
    wire: Arc<Wire>,
    /// Whether the connection ends with the answer.
    last: bool,
    /// Whether the answer is being written.
    writing: bool,
}

/// Something for the peer's thread to do.
enum Work {
    Event(Event),
    Write(Vec<Output>),
}

/// Bytes to write.
struct Output {
    to: To,
    wire: Arc<Wire>,
    bytes: BytesMut,
    /// Whether the connection ends with them.
    last: bool,
}

#[derive(PartialEq)]
enum To {
    Request(RequestId),
    Link(LinkId),
}

impl Peer {
    /// The peer's thread.
    fn run(&self) {
        let (mut encoder, mut events) = (Encoder::new(), 0);
        while let Some(work) = self.next(events == EVENTS_IN_A_ROW) {
            match work {
                Work::Event(event) => {
                    events += 1;
                    self.hub.handle(self, event, &mut encoder);
                }
                Work::Write(outputs) => {
                    events = 0;
                    outputs.into_iter().for_each(|output| self.write(output));
                }
            }
        }
        lock(&self.hub.peers).remove(&self.sid);
    }

    /// Waits until there is something to do; `None` when the peer is gone and everything was said and heard.
    fn next(&self, mut write_first: bool) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            let now = self.hub.now();
            if state.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.machine.handle_timeout(now);
            }
            // Events first, so that what answers several of them leaves in one write; unless that is a lot already.
            write_first |= state.machine.buffered_bytes() >= BATCH;
            if !write_first && let Some(event) = state.machine.poll_event() {
                return Some(Work::Event(event));
            }
            let outputs = state.outputs();
            if !outputs.is_empty() {
                return Some(Work::Write(outputs));
            }
            // The peer does not take it (it polls, and no GET is held): go on with the events.
            if write_first && let Some(event) = state.machine.poll_event() {
                return Some(Work::Event(event));
            }
            if state.machine.is_drained() {
                return None;
            }
            // Who waited to hand in more can do so now.
            self.changed.notify_all();
            let sleep = state.machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE) - now;
            state = self.changed.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes, with no lock held, and tells the machine what came of it.
    fn write(&self, Output { to, wire, bytes, last }: Output) {
        let written = wire.write(&bytes, last);
        self.tell(|state, now| match to {
            To::Request(request) => {
                state.requests.remove(&request);
                let input = if written { Input::Replied { request } } else { Input::Aborted { request } };
                state.machine.handle(now, input);
            }
            To::Link(link) if !written => state.machine.handle(now, Input::LinkDown { link, cause: LinkDownCause::Failed }),
            To::Link(_) => {}
        });
    }

    /// Changes something, and wakes whoever waits for it.
    fn tell<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = change(&mut lock(&self.state), self.hub.now());
        self.changed.notify_all();
        result
    }

    /// Sends something of the application's. A peer that takes nothing for so long that its queue is full is given up: it would miss
    /// something. Other errors mean that it, or the socket, is gone.
    fn emit(&self, send: impl FnOnce(&mut Connection) -> Result<(), EmitError>) {
        self.tell(|state, now| {
            if let Err(EmitError::Send(SendError::Full)) = send(&mut state.machine) {
                state.machine.discard(now);
            }
        });
    }

    /// Hands in messages of a link, no faster than they are handled.
    fn receive(&self, link: LinkId, messages: Vec<Message>) {
        let mut state = lock(&self.state);
        for message in messages {
            if !state.machine.wants_input() {
                self.changed.notify_all();
                state = self.wait_while(state, |state| !state.machine.wants_input());
            }
            state.machine.handle(self.hub.now(), Input::LinkMessage { link, message });
        }
        self.changed.notify_all();
    }

    /// Waits until a request is answered.
    fn wait_for(&self, request: RequestId) {
        drop(self.wait_while(lock(&self.state), |state| state.requests.contains_key(&request)));
    }

    /// A request's connection is gone: reports that, unless its answer leaves or has left.
    fn abort(&self, request: RequestId) {
        let writing = |state: &mut State| state.requests.get(&request).is_some_and(|unanswered| unanswered.writing);
        drop(self.wait_while(lock(&self.state), writing));
        self.tell(|state, now| {
            if state.requests.remove(&request).is_some() {
                state.machine.handle(now, Input::Aborted { request });
            }
        });
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, condition).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the machine has to say, about one [`BATCH`] of it. Packets for the same link are put together.
    fn outputs(&mut self) -> Vec<Output> {
        let mut outputs: Vec<Output> = Vec::new();
        let mut length = 0;
        while length < BATCH && let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Reply { request, response } => {
                    let Some(unanswered) = self.requests.get_mut(&request) else { continue };
                    unanswered.writing = true;
                    let (wire, last) = (Arc::clone(&unanswered.wire), unanswered.last);
                    let bytes = render(response.status(), response.headers(), response.body(), last);
                    length += bytes.len();
                    outputs.push(Output { to: To::Request(request), wire, bytes, last });
                }
                Transmit::Link { link, frame } => {
                    let Some(output) = self.link_output(&mut outputs, link) else { continue };
                    length += frame.packet_len();
                    encode(&mut output.bytes, &frame);
                }
                Transmit::CloseLink { link } => {
                    let Some(output) = self.link_output(&mut outputs, link) else { continue };
                    // An empty close frame is always valid.
                    let _ = websocket::encode_close(&mut output.bytes, None, None);
                    output.last = true;
                }
                _ => {}
            }
        }
        outputs
    }

    /// The output to this link, if it is up: the latest one when that goes there, a new one otherwise.
    fn link_output<'a>(&self, outputs: &'a mut Vec<Output>, link: LinkId) -> Option<&'a mut Output> {
        let wire = Arc::clone(self.links.get(&link)?);
        if outputs.last().is_none_or(|latest| latest.to != To::Link(link)) {
            outputs.push(Output { to: To::Link(link), wire, bytes: BytesMut::new(), last: false });
        }
        outputs.last_mut()
    }
}

/// A TCP connection. One thread reads from it, several may write.
struct Wire {
    stream: TcpStream,
    writing: Mutex<()>,
}

impl Wire {
    /// Writes whole frames or a whole response; whether that worked. If not, the thread that reads comes to the end, too.
    fn write(&self, bytes: &[u8], last: bool) -> bool {
        let _turn = lock(&self.writing);
        let written = (&self.stream).write_all(bytes).is_ok();
        if last || !written {
            // It fails when the connection is gone, which is what is wanted.
            let _ = self.stream.shutdown(if written { Shutdown::Write } else { Shutdown::Both });
        }
        written
    }
}

/// A TCP connection as its own thread sees it: it speaks HTTP, and perhaps becomes a link.
struct Http {
    hub: Arc<Hub>,
    wire: Arc<Wire>,
    /// What was read and not used yet.
    buffer: BytesMut,
    /// Whether nothing more is expected: what still comes is read and ignored, because closing earlier could destroy the last answer.
    last: bool,
}

/// What is needed of a request's head.
struct Request {
    method: String,
    target: String,
    origin: Option<Vec<u8>>,
    content_type: ContentType,
    /// Length of the body.
    length: usize,
    expects_continue: bool,
    keep_alive: bool,
    /// Whether it asks for a WebSocket, and in the right way.
    websocket: Option<Result<AcceptKey, RequestError>>,
}

impl Http {
    /// The thread: one request after the other. While one waits for its answer, the next one is read, because that is how the end of
    /// the connection is seen.
    fn serve(mut self) {
        let mut unanswered: Option<(Arc<Peer>, RequestId)> = None;
        loop {
            let request = self.read_request();
            match (unanswered.take(), &request) {
                (Some((peer, earlier)), Ok(_)) => peer.wait_for(earlier),
                (Some((peer, earlier)), Err(_)) => peer.abort(earlier),
                (None, _) => {}
            }
            let Ok(request) = request else { return };
            unanswered = self.handle(&request);
        }
    }

    /// Answers a request, or hands it to the peer that will.
    fn handle(&mut self, request: &Request) -> Option<(Arc<Peer>, RequestId)> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if !path.starts_with("/socket.io/") {
            return self.answer(request, 404, &[], b"");
        }
        if let Some(Err(error)) = &request.websocket {
            return self.answer(request, error.status(), error.headers(), error.to_string().as_bytes());
        }
        let (method, origin) = (request.method.as_str(), request.origin.as_deref());
        let head = RequestHead { method, query, origin, websocket: request.websocket.is_some() };
        let answer = match self.hub.engine.route(&head) {
            Route::Open(handshake) => {
                let ask = handshake.ask();
                match self.hub.open(handshake) {
                    Ok(peer) => return self.ask(peer, ask, true, request),
                    Err(response) => response,
                }
            }
            Route::Session { sid, ask } => match self.hub.peer(sid) {
                Some(peer) => return self.ask(peer, ask, false, request),
                None => ask.refuse(Refusal::UnknownSid),
            },
            Route::Reply(response) => response,
            _ => Refusal::BadRequest.response(false),
        };
        self.respond(request, &answer)
    }

    /// Hands a request to its peer.
    fn ask(&mut self, peer: Arc<Peer>, ask: Ask, first: bool, request: &Request) -> Option<(Arc<Peer>, RequestId)> {
        let (hub, wire) = (Arc::clone(&self.hub), Arc::clone(&self.wire));
        let admit = |state: &State| if first { Ok(()) } else { state.machine.session().admit(&ask) };
        if let (AskKind::Link(kind), Some(Ok(accept))) = (ask.kind(), &request.websocket) {
            if let Err(response) = admit(&lock(&peer.state)) {
                return self.respond(request, &response);
            }
            // If this fails, reading does so too.
            wire.write(
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {}\r\n\r\n",
                    accept.as_str()
                )
                .as_bytes(),
                false,
            );
            let link = LinkId(hub.name());
            peer.tell(|state, now| {
                state.links.insert(link, wire);
                state.machine.handle(now, Input::LinkUp { link, kind });
            });
            let cause = self.read_link(&peer, link);
            peer.tell(|state, now| {
                state.links.remove(&link);
                state.machine.handle(now, Input::LinkDown { link, cause });
            });
            self.last = true;
            return None;
        }
        let (name, content_type) = (RequestId(hub.name()), request.content_type);
        let (is_post, too_large) = (ask.kind() == AskKind::Post, request.length > hub.config().max_payload);
        if is_post && request.expects_continue && !too_large {
            wire.write(b"HTTP/1.1 100 Continue\r\n\r\n", false);
        }
        self.last |= is_post && too_large;
        let unanswered = Unanswered { wire, last: self.last, writing: false };
        let admitted = peer.tell(|state, now| {
            admit(state)?;
            state.requests.insert(name, unanswered);
            let post = Input::Post { request: name, content_type };
            state.machine.handle(now, if is_post { post } else { Input::Poll { request: name } });
            Ok(())
        });
        if let Err(response) = admitted {
            return self.respond(request, &response);
        }
        if is_post && too_large {
            peer.tell(|state, now| state.machine.handle(now, Input::BodyTooLarge { request: name }));
        } else if is_post {
            match self.read_body(request.length) {
                Ok(body) => peer.tell(|state, now| state.machine.handle(now, Input::Body { request: name, body })),
                Err(_) => self.last = true,
            }
        }
        Some((peer, name))
    }
}
