//! A Socket.IO server out of the machines alone, over the standard library's threads: what `echo.rs` does on `/` and `/custom`, over
//! polling, WebSocket and the upgrade between them. Flags: `--port` (0 takes a free one), `--ping-interval` and `--ping-timeout` in
//! milliseconds, `--max-payload` in bytes. HTTP, which is none of the machines' business, is in `bare/wire.rs`.
//!
//! Two kinds of threads share a [`Peer`], a machine behind a lock. Each TCP connection has one that reads, and hands in what came
//! ([`Visitor`]). Each peer has one that runs the application, writes what the machine has to say, and wakes for its timers. What must
//! wait does so in the machine, so its limits are the limits: a reader stops while the machine wants no input, and what a slow peer does
//! not take is kept until there is too much. No lock is held while reading or writing. Their order: namespace, table of peers, peer.

use std::collections::{BTreeMap, HashMap};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::{env, io, iter, thread, time, time::Duration};

use engineio_proto::server::{Ask, AskKind, Handshake, Input, LinkDownCause, Refusal, Route, Server, Transmit};
use engineio_proto::{Config, Instant, LinkId, LinkKind, Message, RequestHead, RequestId, Response, SendError, Sid};
use engineio_websocket::{self as websocket, Closed, ConnectionEvent, handshake::AcceptKey};
use socketio_proto::server::{Connection, Namespace, Target};
use socketio_proto::{EmitError, Encoder, Event, Json, Outgoing, Parser as _, Pending, SocketId};

use self::wire::{Reader, Request, Wire, lock};

#[path = "bare/wire.rs"]
mod wire;

/// How long a request may take to come, a connection may be idle, and a peer may take to hang up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events and bytes of output that a peer's thread takes at once, so that neither has to wait long for the other.
const EVENTS: usize = 64;
const OUTPUT: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flag = |name: &str| env::args().skip_while(|given| given != name).nth(1).map(|value| value.parse()).transpose();
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(flag("--ping-interval")?.unwrap_or(25_000));
    config.ping_timeout = Duration::from_millis(flag("--ping-timeout")?.unwrap_or(20_000).max(1));
    config.max_payload = flag("--max-payload")?.unwrap_or(1_000_000).try_into()?;
    let listener = TcpListener::bind(("127.0.0.1", flag("--port")?.unwrap_or(3000).try_into()?))?;
    eprintln!("listening on {}", listener.local_addr()?);
    let hub = Arc::new(Hub {
        engine: Server::new(config),
        socketio: Arc::default(),
        peers: Mutex::default(),
        namespaces: ["/", "/custom"].map(|name| (name, Mutex::default())).into(),
        epoch: time::Instant::now(),
        names: AtomicU64::new(0),
    });
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(|stream| Visitor::start(Arc::clone(&hub), stream)) {
            eprintln!("a connection is not served: {error}");
            // Descriptors or threads have run out, and nothing tells when there are some again.
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// What all threads share.
struct Hub {
    engine: Server,
    socketio: Arc<socketio_proto::Config>,
    peers: Mutex<HashMap<Sid, Arc<Peer>>>,
    /// Who is on each namespace: a session, and its socket there.
    namespaces: BTreeMap<&'static str, Mutex<Namespace<(Sid, SocketId)>>>,
    epoch: time::Instant,
    names: AtomicU64,
}

impl Hub {
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    fn peer(&self, sid: Sid) -> Option<Arc<Peer>> {
        lock(&self.peers).get(&sid).cloned()
    }

    /// Opens a session, and starts its peer's thread.
    fn open(self: &Arc<Self>, handshake: Handshake) -> io::Result<Arc<Peer>> {
        let (now, sid) = (self.now(), random_sid()?);
        let machine = Connection::new(now, handshake.accept(now, sid), Json, Arc::clone(&self.socketio));
        let state = State { machine, held: HashMap::new(), links: HashMap::new(), writing: vec![] };
        let peer = Arc::new(Peer { hub: Arc::clone(self), sid, state: Mutex::new(state), changed: Condvar::new() });
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
                    let mut joined = self.namespaces.iter().map(|(name, members)| (name, lock(members)));
                    let Some((name, members)) = joined.find(|(_, all)| all.contains((peer.sid, socket))) else {
                        return;
                    };
                    let packet = Outgoing::event(name, None, "broadcast-back", &payload);
                    let Ok(encoded) = Json.encode(&packet, encoder) else { return };
                    for (sid, socket) in members.recipients(&Target::everybody()) {
                        self.peer(sid).inspect(|peer| peer.emit(|to| to.send(socket, &encoded)));
                    }
                }
                _ => {}
            },
            Event::Disconnected { socket, .. } => {
                self.namespaces.values().for_each(|all| lock(all).remove((peer.sid, socket)))
            }
            // Before `Closed`, `Disconnected` came for every socket; and nobody waits for what else there is.
            _ => {}
        }
    }

    fn connect(&self, peer: &Peer, pending: Pending, encoder: &mut Encoder) {
        let (Some(members), Ok(sid)) = (self.namespaces.get(&**pending.namespace()), random_sid()) else {
            return peer.emit(|to| to.refuse(self.now(), pending, "Invalid namespace", None::<&()>));
        };
        // Locked until the socket is a member: no broadcast gets ahead of the answer, and none is missed after it.
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

/// A request that waits for its peer's answer.
type Held = Option<(Arc<Peer>, RequestId)>;

/// One peer.
struct Peer {
    hub: Arc<Hub>,
    sid: Sid,
    state: Mutex<State>,
    /// Something came in for the peer's thread to do, or was done that a reader waits for.
    changed: Condvar,
}

struct State {
    machine: Connection,
    /// Requests without an answer: where it goes, and whether the connection ends with it.
    held: HashMap<RequestId, (Arc<Wire>, bool)>,
    links: HashMap<LinkId, Arc<Wire>>,
    /// Requests whose answers are being written.
    writing: Vec<RequestId>,
}

/// Something to write.
struct Output {
    /// The request that it answers, if the machine wants to know what came of it.
    request: Option<RequestId>,
    wire: Arc<Wire>,
    bytes: Vec<u8>,
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
                // The end of a link is reported by the thread that reads from it.
                if let Some(request) = request {
                    lock(&self.state).writing.retain(|&writing| writing != request);
                    self.hand_in(if written { Input::Replied { request } } else { Input::Aborted { request } });
                }
            }
            events.into_iter().for_each(|event| self.hub.handle(&self, event, &mut encoder));
        }
        lock(&self.hub.peers).remove(&self.sid);
    }

    /// Waits for something to write or to handle; `None` when there will be nothing any more.
    fn next(&self) -> Option<(Vec<Output>, Vec<Event>)> {
        let mut state = lock(&self.state);
        loop {
            let now = self.hub.now();
            if state.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.machine.handle_timeout(now);
            }
            let events: Vec<Event> = iter::from_fn(|| state.machine.poll_event()).take(EVENTS).collect();
            let outputs = state.outputs();
            if !events.is_empty() || !outputs.is_empty() {
                return Some((outputs, events));
            } else if state.machine.is_drained() {
                return None;
            }
            self.changed.notify_all();
            let sleep = state.machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE) - now;
            state = self.changed.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Does something to the state, and wakes everybody whom it may concern.
    fn tell<T>(&self, what: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = what(&mut lock(&self.state), self.hub.now());
        self.changed.notify_all();
        result
    }

    fn hand_in(&self, input: Input) {
        self.tell(|state, now| state.machine.handle(now, input));
    }

    /// Sends something. A peer whose queue is full is given up rather than left with a gap; any other error means that it has gone.
    fn emit(&self, send: impl FnOnce(&mut Connection) -> Result<(), EmitError>) {
        self.tell(|state, now| {
            if let Err(EmitError::Send(SendError::Full)) = send(&mut state.machine) {
                state.machine.discard(now);
            }
        });
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) {
        let waited = self.changed.wait_while(lock(&self.state), |state| condition(state));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    /// What the machine has to say. It names nothing that is not here, except what has gone.
    fn outputs(&mut self) -> Vec<Output> {
        let (mut outputs, mut length) = (Vec::<Output>::new(), 0);
        while let Some(transmit) = (length < OUTPUT).then(|| self.machine.poll_transmit()).flatten() {
            let output = match transmit {
                Transmit::Reply { request, response } => self.held.remove(&request).map(|(wire, last)| {
                    self.writing.push(request);
                    (Some(request), wire, wire::response(&response, last), last)
                }),
                Transmit::Link { link, frame } => {
                    self.links.get(&link).map(|wire| (None, Arc::clone(wire), wire::frame(&frame), false))
                }
                Transmit::CloseLink { link } => {
                    self.links.get(&link).map(|wire| (None, Arc::clone(wire), wire::close_frame(), true))
                }
                _ => None,
            };
            let Some((request, wire, bytes, last)) = output else { continue };
            length += bytes.len();
            match outputs.last_mut() {
                // Frames for the same link leave in one write.
                Some(latest) if latest.request.is_none() && Arc::ptr_eq(&latest.wire, &wire) => {
                    latest.bytes.extend(bytes);
                    latest.last = last;
                }
                _ => outputs.push(Output { request, wire, bytes, last }),
            }
        }
        outputs
    }
}

/// A TCP connection, as its own thread sees it: the one that reads.
struct Visitor {
    hub: Arc<Hub>,
    reader: Reader,
}

impl Visitor {
    /// Starts the connection's thread.
    fn start(hub: Arc<Hub>, stream: TcpStream) -> io::Result<()> {
        let Config { ping_interval, ping_timeout, .. } = *hub.engine.config().as_ref();
        // A GET is held for an interval at most, and on a link there is a pong after that. Who takes nothing for as long as a ping may
        // stay unanswered would not have answered one.
        let reader = Reader::new(stream, PATIENCE.max(ping_interval + ping_timeout), ping_timeout)?;
        thread::Builder::new().spawn(|| Self { hub, reader }.run())?;
        Ok(())
    }

    /// One request after the other. The next one is read while one waits for its answer: only so a hang-up is noticed.
    fn run(mut self) {
        let mut held: Held = None;
        loop {
            let request = self.reader.read_request();
            match (held, &request) {
                (Some((peer, held)), Some(_)) => {
                    peer.wait_while(|state| state.held.contains_key(&held) || state.writing.contains(&held));
                }
                (Some((peer, held)), None) if lock(&peer.state).held.remove(&held).is_some() => {
                    peer.hand_in(Input::Aborted { request: held });
                }
                _ => {}
            }
            let Some(request) = request else { return };
            held = self.request(&request).map_err(|refusal| self.reader.answer(&refusal)).unwrap_or_default();
        }
    }

    /// Finds the peer for a request, or the answer that refuses it.
    fn request(&mut self, request: &Request) -> Result<Held, Response> {
        let Request { method, path, query, origin, key, .. } = request;
        if !path.starts_with("/socket.io/") {
            self.reader.refuse(404);
            return Ok(None);
        }
        let head = RequestHead { method, query, origin: origin.as_deref(), websocket: key.is_some() };
        let (peer, ask, first) = match self.hub.engine.route(&head) {
            Route::Open(handshake) => {
                let ask = handshake.ask();
                (self.hub.open(handshake).map_err(|_| Refusal::Unavailable), ask, true)
            }
            Route::Session { sid, ask } => (self.hub.peer(sid).ok_or(Refusal::UnknownSid), ask, false),
            Route::Reply(response) => return Err(response),
            _ => return Err(Refusal::BadRequest.response(key.is_some())),
        };
        match (peer, ask.kind(), key) {
            (Ok(peer), AskKind::Link(kind), Some(key)) => self.link(&peer, (!first).then_some(ask), kind, key),
            (Ok(peer), ..) => self.hold(peer, &ask, request),
            (Err(refusal), ..) => Err(ask.refuse(refusal)),
        }
    }

    /// Hands in a GET, or a POST and its body.
    fn hold(&mut self, peer: Arc<Peer>, ask: &Ask, request: &Request) -> Result<Held, Response> {
        let Request { content_type, length, .. } = *request;
        let too_large = length > self.hub.engine.config().max_payload;
        self.reader.last |= too_large;
        let request = RequestId(self.hub.names.fetch_add(1, Ordering::Relaxed));
        let post = ask.kind() == AskKind::Post;
        peer.tell(|state, now| {
            state.machine.session().admit(ask)?;
            state.held.insert(request, (Arc::clone(&self.reader.wire), self.reader.last));
            let input = if post { Input::Post { request, content_type } } else { Input::Poll { request } };
            state.machine.handle(now, input);
            Ok(())
        })?;
        if post && too_large {
            peer.hand_in(Input::BodyTooLarge { request });
        } else if post && let Some(body) = self.reader.read_body(length) {
            peer.hand_in(Input::Body { request, body });
        }
        Ok(Some((peer, request)))
    }

    /// Becomes a link, and hands in its messages, no faster than its peer wants them, until its end.
    fn link(&mut self, peer: &Peer, ask: Option<Ask>, kind: LinkKind, key: &AcceptKey) -> Result<Held, Response> {
        // A session's first link is admitted already.
        ask.map_or(Ok(()), |ask| lock(&peer.state).machine.session().admit(&ask))?;
        self.reader.wire.write(&wire::switching_protocols(key), false);
        let link = LinkId(self.hub.names.fetch_add(1, Ordering::Relaxed));
        peer.tell(|state, now| {
            state.links.insert(link, Arc::clone(&self.reader.wire));
            state.machine.handle(now, Input::LinkUp { link, kind });
            // If it has ended meanwhile, so may have its thread, and nobody would close the link.
            self.reader.last = state.machine.session().is_closed();
        });
        let limits = websocket::Limits::default().with_max_message(self.hub.engine.config().max_payload);
        let mut websocket = websocket::Connection::server(limits);
        let mut cause = LinkDownCause::Closed;
        while !self.reader.last {
            websocket.handle(&mut self.reader.buffer.split());
            while let Some(event) = websocket.poll_event() {
                let message = match event {
                    ConnectionEvent::Text(text) => Message::Text(text),
                    ConnectionEvent::Binary(data) => Message::Binary(data),
                    ConnectionEvent::Closed(why) => {
                        self.reader.last = true;
                        cause = if matches!(why, Closed::Error(_)) { LinkDownCause::Failed } else { cause };
                        continue;
                    }
                    _ => continue,
                };
                peer.wait_while(|state| !state.machine.wants_input());
                peer.hand_in(Input::LinkMessage { link, message });
            }
            // A pong, or the answer to a close frame. Packets do not come this way.
            if let Some(bytes) = websocket.poll_transmit() {
                self.reader.wire.write(&bytes, self.reader.last);
            }
            if !self.reader.last {
                self.reader.read_more();
            }
        }
        peer.tell(|state, now| {
            state.links.remove(&link);
            state.machine.handle(now, Input::LinkDown { link, cause });
        });
        Ok(None)
    }
}

/// An id that nobody can guess.
fn random_sid() -> io::Result<Sid> {
    let mut random = [0; 15];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Sid::from_random(random))
}
