//! A Socket.IO server built only from the state machines and the threads of the standard library. It does what `echo.rs` does on `/` and
//! `/custom`, over polling, WebSocket and the upgrade. Flags: `--port` (0 selects a free one), `--ping-interval` and `--ping-timeout` in
//! milliseconds, `--max-payload` in bytes. Besides the machines it uses `getrandom`, `bytes` and `serde_json`.
//!
//! `bare_client.rs` is its counterpart. Two kinds of threads share a [`Peer`], a machine behind a lock. Each TCP connection has one that passes input to the machine
//! ([`Visitor`]). Each peer has one that writes the machine's output, runs the application and wakes for timers. All queues are in the
//! machine: visitors stop reading while it wants no input, and it limits the output of a slow peer. No thread reads or writes under a
//! lock. Lock order: namespace, peers, peer.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{env, iter, thread, time, time::Duration};

use bytes::{Bytes, BytesMut};
use engineio_http::{Error, Limits, server as http};
use engineio_proto::server::{
    BodyFault, Handshake, Input, LinkDownCause, Refusal, RequestKind, Route, Server, Transmit,
};
use engineio_proto::{Config, ContentType, Instant, LinkId, Message, RequestHead, RequestId, Response, SendError, Sid};
use engineio_websocket::{self as websocket, Closed, ConnectionEvent, handshake};
use serde_json::{Value, json};
use socketio_proto::server::{Connection, Namespace, Namespaces, Operation, Target};
use socketio_proto::{EmitError, Encoder, Event, Json, Outgoing, Parser as _, Payload, Pending, SocketHandle};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flag = |name: &str| env::args().skip_while(|given| given != name).nth(1).map(|value| value.parse()).transpose();
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(flag("--ping-interval")?.unwrap_or(25_000));
    config.ping_timeout = Duration::from_millis(flag("--ping-timeout")?.unwrap_or(20_000).max(1));
    config.set_max_payload(flag("--max-payload")?.unwrap_or(1_000_000).try_into()?);
    let listener = TcpListener::bind(("127.0.0.1", flag("--port")?.unwrap_or(3000).try_into()?))?;
    eprintln!("listening on {}", listener.local_addr()?);
    let hub = Arc::new(Hub {
        // A peer that sends and reads nothing for this long would have missed a heartbeat.
        patience: config.ping_interval + config.ping_timeout,
        engine: Server::new(config),
        peers: Mutex::default(),
        namespaces: ["/", "/custom"].map(|name| (name.into(), Mutex::default())).into_iter().collect(),
        epoch: time::Instant::now(),
    });
    for (name, stream) in (0..).zip(listener.incoming()) {
        let hub = Arc::clone(&hub);
        let start = |stream: TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(hub.patience))?;
            let (stream, deadline) = (Arc::new(stream), time::Instant::now() + hub.patience);
            let http = http::Connection::new(Limits::default().with_max_body(hub.engine.config().max_payload));
            let visitor = Visitor { hub, name, stream, http, buffer: BytesMut::new(), deadline };
            thread::Builder::new().spawn(|| visitor.run())
        };
        if let Err(error) = stream.and_then(start) {
            eprintln!("cannot serve a connection: {error}");
            // Out of descriptors or threads, and nothing reports when some are free again.
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// Shared by all threads.
struct Hub {
    patience: Duration,
    engine: Server,
    peers: Mutex<HashMap<Sid, Arc<Peer>>>,
    /// The members of each namespace: a session, and its socket there.
    namespaces: Namespaces<Mutex<Namespace<(Sid, SocketHandle)>>>,
    epoch: time::Instant,
}

impl Hub {
    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// Opens a session and starts the thread of its peer.
    fn open(self: &Arc<Self>, handshake: Handshake) -> Option<Arc<Peer>> {
        let (now, sid) = (self.now(), Sid::from_random(random()?));
        let machine = Connection::new(now, handshake.accept(now, sid), Json, Arc::default());
        let state = State { machine, held: HashMap::new(), links: HashMap::new() };
        let peer = Arc::new(Peer { hub: Arc::clone(self), sid, state: Mutex::new(state), changed: Condvar::new() });
        let running = Arc::clone(&peer);
        thread::Builder::new().spawn(move || running.run()).ok()?;
        Some(peer)
    }

    /// The application.
    fn handle(&self, peer: &Peer, event: Event, encoder: &mut Encoder) {
        match event {
            Event::ConnectRequested(pending) => self.connect(peer, pending, encoder),
            Event::Received { socket, payload, ack } => match (payload.name().unwrap_or_default(), ack) {
                ("message", _) => peer.send(|to, _| to.emit(encoder, socket, "message-back", &payload)),
                ("message-with-ack", Some(token)) => peer.send(|to, _| to.ack(encoder, token, &payload)),
                ("broadcast", _) => self.broadcast((peer.sid, socket), &payload, encoder),
                ("disconnect-me", _) => peer.tell(|state, now| state.machine.disconnect(now, socket)),
                ("close-me", _) => peer.tell(|state, now| state.machine.close(now)),
                _ => {}
            },
            Event::Disconnected { socket, .. } => {
                self.namespaces.iter().for_each(|(_, all)| lock(all).remove((peer.sid, socket)))
            }
            // Before `Closed`, `Disconnected` was emitted for every socket. The application needs no other event.
            _ => {}
        }
    }

    fn connect(&self, peer: &Peer, pending: Pending, encoder: &mut Encoder) {
        let (Some(members), Some(random)) = (self.namespaces.requested(&pending), random()) else {
            return peer.tell(|state, now| state.machine.refuse_unknown(now, pending));
        };
        let auth = pending.auth().and_then(|auth| auth.get::<Value>(0).ok()).unwrap_or_else(|| json!({}));
        // Locked until the socket is a member: no broadcast is sent before the answer, and none is missed after it.
        let mut members = lock(members);
        peer.send(|to, now| {
            let id = to.socket_id(&pending, random);
            let socket = to.accept(now, pending, &id)?;
            members.add((peer.sid, socket), &id);
            to.emit(encoder, socket, "auth", &[auth])
        });
    }

    fn broadcast(&self, from: (Sid, SocketHandle), payload: &Payload, encoder: &mut Encoder) {
        let mut namespaces = self.namespaces.iter().map(|(name, members)| (name, lock(members)));
        let Some((name, mut members)) = namespaces.find(|(_, members)| members.contains(from)) else { return };
        let Ok(encoded) = Json.encode(&Outgoing::event(name, None, "broadcast-back", payload), encoder) else { return };
        let peers = lock(&self.peers);
        for (sid, socket) in members.apply(Operation::Emit { target: &Target::everybody() }) {
            peers.get(&sid).inspect(|peer| peer.send(|to, _| to.send(socket, &encoded)));
        }
    }
}

/// A peer.
struct Peer {
    hub: Arc<Hub>,
    sid: Sid,
    state: Mutex<State>,
    /// Signals that there is work for the peer's thread, or that the machine may want input again.
    changed: Condvar,
}

struct State {
    machine: Connection,
    /// The connections whose requests are not answered yet.
    held: HashMap<RequestId, Arc<TcpStream>>,
    links: HashMap<LinkId, (Arc<TcpStream>, websocket::Connection)>,
}

/// Bytes to write.
struct Output {
    stream: Arc<TcpStream>,
    bytes: Bytes,
    /// The request that they answer. The machine is told whether the write succeeded.
    request: Option<RequestId>,
    /// Whether to end the connection after them.
    last: bool,
}

impl Peer {
    /// The peer's thread.
    fn run(self: Arc<Self>) {
        lock(&self.hub.peers).insert(self.sid, Arc::clone(&self));
        let mut encoder = Encoder::new();
        loop {
            let (mut state, now) = (lock(&self.state), self.hub.now());
            state.machine.handle_timeout(now); // Does nothing before the deadline.
            // Only a limited number at once, because their output is written after them.
            let events: Vec<Event> = iter::from_fn(|| state.machine.poll_event()).take(64).collect();
            let outputs = state.outputs();
            self.changed.notify_all();
            if events.is_empty() && outputs.is_empty() {
                if state.machine.is_drained() && state.links.is_empty() {
                    break;
                }
                let sleep = state.machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE) - now;
                drop(self.changed.wait_timeout(state, sleep));
                continue;
            }
            drop(state);
            for Output { stream, bytes, request, last } in outputs {
                // If writing fails, so does reading: the visitor reports the end of a link.
                let written = write(&stream, &bytes, last);
                if let Some(request) = request {
                    let input = if written { Input::Replied { request } } else { Input::Aborted { request } };
                    self.tell(|state, now| state.machine.handle(now, input));
                }
            }
            events.into_iter().for_each(|event| self.hub.handle(&self, event, &mut encoder));
        }
        lock(&self.hub.peers).remove(&self.sid);
    }

    /// Applies a change to the state, and wakes all threads that may wait for it.
    fn tell<T>(&self, what: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = what(&mut lock(&self.state), self.hub.now());
        self.changed.notify_all();
        result
    }

    /// Sends a packet. A peer with a full queue is discarded, because it would miss packets. Any other error means that it is closed.
    fn send(&self, what: impl FnOnce(&mut Connection, Instant) -> Result<(), EmitError>) {
        self.tell(|state, now| {
            if let Err(EmitError::Send(SendError::Full)) = what(&mut state.machine, now) {
                state.machine.discard(now);
            }
        });
    }
}

impl State {
    /// The machine's output. Requests and links that are no longer here are already closed.
    fn outputs(&mut self) -> Vec<Output> {
        let mut outputs = vec![];
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Reply { request, response } => outputs.extend(self.held.remove(&request).map(|stream| {
                    let bytes = response.to_http1(true).into();
                    Output { stream, bytes, request: Some(request), last: true }
                })),
                Transmit::Link { link, frame } => {
                    // Fails once the peer has closed the link, which then needs no more messages.
                    let parts = [frame.head(), frame.data()];
                    self.links.get_mut(&link).map(|(_, websocket)| websocket.send_parts(frame.is_binary(), &parts));
                }
                Transmit::CloseLink { link } => {
                    self.links.get_mut(&link).map(|(_, websocket)| websocket.close(1000, ""));
                }
                _ => {}
            }
        }
        self.links.retain(|_, (stream, websocket)| {
            let bytes = websocket.poll_transmit().unwrap_or_default();
            let last = websocket.is_finished();
            if last || !bytes.is_empty() {
                outputs.push(Output { stream: Arc::clone(stream), bytes, request: None, last });
            }
            !last
        });
        outputs
    }
}

/// The thread that reads from a TCP connection. The connection carries one request, or becomes a link. HTTP allows more, but that does
/// not concern the machines: any HTTP library can take the place of `http`.
struct Visitor {
    hub: Arc<Hub>,
    /// The id of its request, or of its link.
    name: u64,
    stream: Arc<TcpStream>,
    http: http::Connection,
    /// Bytes that are read but not used yet.
    buffer: BytesMut,
    /// When the request must have arrived and been answered, or when the next bytes must arrive on a link.
    deadline: time::Instant,
}

impl Visitor {
    fn run(mut self) {
        let peer = match self.next() {
            Some(http::Event::Request(head)) => self.request(&head),
            Some(http::Event::Failed(error)) => Err(Response::new(error.status(), &[], Bytes::new())),
            _ => return,
        };
        if let Err(refusal) = &peer {
            write(&self.stream, &refusal.to_http1(true), true);
        }
        // Read and ignore further input: that detects a disconnect, and closing over unread input could destroy the answer.
        while self.next().is_some() {}
        if let (Ok(peer), request) = (peer, RequestId(self.name)) {
            let unanswered = |state: &mut State| state.held.remove(&request).is_some();
            peer.tell(|state, now| unanswered(state).then(|| state.machine.handle(now, Input::Aborted { request })));
        }
    }

    /// Finds the peer of a request and passes the request to it. Returns the response if the request is refused.
    fn request(&mut self, http: &http::Request) -> Result<Arc<Peer>, Response> {
        let status = |status| Response::new(status, &[], Bytes::new());
        let target = http.target().strip_prefix("/socket.io/").ok_or_else(|| status(404))?;
        let fields = http.headers().iter();
        // From here on the machines decide.
        let head = RequestHead::new(http.method(), target, fields.clone());
        let key = head.websocket.then(|| handshake::accept(fields.clone())).transpose();
        let key = key.map_err(|error| Response::new(error.status(), error.headers(), Bytes::new()))?;
        let known = |sid| lock(&self.hub.peers).get(&sid).cloned();
        let (session_request, peer) = match self.hub.engine.route(&head) {
            Route::Open(new) => (new.session_request(), self.hub.open(new).ok_or(Refusal::Unavailable)),
            Route::Session { sid, session_request } => (session_request, known(sid).ok_or(Refusal::UnknownSid)),
            Route::Reply(response) => return Err(response),
            _ => return Err(status(400)),
        };
        let peer = peer.map_err(|refusal| session_request.refuse(refusal))?;
        let (request, link, stream) = (RequestId(self.name), LinkId(self.name), Arc::clone(&self.stream));
        peer.tell(|state, now| {
            state.machine.session().admit(&session_request)?;
            let input = if let (RequestKind::Link(kind), Some(key)) = (session_request.kind(), key) {
                let limits = websocket::Limits::default().with_max_message(self.hub.engine.config().max_payload);
                // The session already limits what waits to be sent.
                let websocket = websocket::Connection::server(limits).with_max_outgoing(usize::MAX);
                let protocol = handshake::protocols(fields.clone()).next();
                state.links.insert(link, (stream, websocket.with_response(&key, protocol)));
                Input::LinkUp { link, kind }
            } else {
                state.held.insert(request, stream);
                let content_type = ContentType::from_header(http.headers().get("content-type"));
                let post = session_request.kind() == RequestKind::Post;
                if post { Input::Post { request, content_type } } else { Input::Get { request } }
            };
            state.machine.handle(now, input);
            Ok(())
        })?;
        let mut body = BytesMut::new();
        while session_request.kind() == RequestKind::Post
            && let Some(event) = self.next()
        {
            let input = match event {
                http::Event::End => Input::Body { request, body: body.split().freeze() },
                http::Event::Failed(Error::BodyTooLarge) => Input::BodyRejected { request, fault: BodyFault::TooLarge },
                http::Event::Body(part) => {
                    body.extend_from_slice(&part);
                    continue;
                }
                _ => continue,
            };
            peer.tell(|state, now| state.machine.handle(now, input));
        }
        matches!(session_request.kind(), RequestKind::Link(_)).then(|| self.read_link(&peer, link));
        Ok(peer)
    }

    /// Passes the messages of a link to its peer, no faster than the machine accepts them, until the link ends.
    fn read_link(&mut self, peer: &Peer, link: LinkId) {
        let mut ended = false;
        // Bytes may have arrived together with the request.
        self.buffer.extend_from_slice(&self.http.upgrade().unwrap_or_default());
        while !ended {
            self.deadline = time::Instant::now() + self.hub.patience;
            ended = self.buffer.is_empty() && !self.read();
            let state = peer.changed.wait_while(lock(&peer.state), |state| !state.machine.wants_input());
            let State { machine, links, .. } = &mut *state.unwrap_or_else(PoisonError::into_inner);
            let Some((_, websocket)) = links.get_mut(&link) else { return };
            websocket.handle(&mut self.buffer.split());
            if ended {
                websocket.handle_end();
            }
            while let Some(event) = websocket.poll_event() {
                let input = match event {
                    ConnectionEvent::Text(text) => Input::LinkMessage { link, message: Message::Text(text) },
                    ConnectionEvent::Binary(data) => Input::LinkMessage { link, message: Message::Binary(data) },
                    ConnectionEvent::Closed(Closed::Error(_)) => Input::LinkDown { link, cause: LinkDownCause::Failed },
                    ConnectionEvent::Closed(_) => Input::LinkDown { link, cause: LinkDownCause::Closed },
                    _ => continue,
                };
                machine.handle(self.hub.now(), input);
            }
            peer.changed.notify_all();
        }
    }

    /// Reads until something has happened. `None` if the connection ends first.
    fn next(&mut self) -> Option<http::Event> {
        let mut event = self.http.poll_event();
        while event.is_none() {
            self.read().then(|| self.http.handle(&self.buffer.split()))?;
            event = self.http.poll_event();
        }
        event
    }

    /// Reads more input before the deadline. Returns false if nothing arrives, or the connection has ended.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        // After the deadline this fails, because a timeout of zero cannot be set.
        let ready = self.stream.set_read_timeout(Some(self.deadline.saturating_duration_since(time::Instant::now())));
        let count = ready.and_then(|()| (&*self.stream).read(&mut bytes)).unwrap_or(0);
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        count > 0
    }
}

/// Writes all bytes, and closes our half if they are the last. Returns false on failure; then reading fails, too.
fn write(mut stream: &TcpStream, bytes: &[u8], last: bool) -> bool {
    let written = stream.write_all(bytes).is_ok();
    if last || !written {
        let _ = stream.shutdown(if written { Shutdown::Write } else { Shutdown::Both }); // Fails if the peer was first.
    }
    written
}

/// Random bytes for an id that cannot be guessed.
fn random() -> Option<[u8; 15]> {
    let mut random = [0; 15];
    getrandom::fill(&mut random).ok().map(|()| random)
}

/// The locked data is valid wherever a thread could panic, so a poisoned lock can be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
