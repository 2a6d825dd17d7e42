//! A Socket.IO client built only from the state machines and the threads of the standard library: polling, WebSocket, the upgrade between
//! them, and reconnection. It is the counterpart of the server in `bare.rs`, and an example for people who write their own driver.
//!
//! Arguments: `http://HOST:PORT[/NAMESPACE]`, `--transport polling|websocket` (default: polling, then an upgrade), and `--max-payload` in
//! bytes. It prints events, and acknowledges them with their own arguments. It emits each line that it reads: `["name",1]` is an event,
//! `?["name",1]` asks for an ack, and anything else is the event `message`, with text, or bytes after `binary `. At the end of the input
//! it waits for acks, then closes. Besides the machines it uses `httparse`, `getrandom`, `bytes` and `serde_json`.
//!
//! All threads share the machine behind a lock. The main thread does what the machine asks for, and runs the application. Each connection
//! has a thread that dials, reads, and passes input to the machine. No thread reads or writes under the lock.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{collections::HashMap, env, thread, time, time::Duration};

use bytes::{Bytes, BytesMut};
use engineio_proto::client::{self as engine, Input, Method, Transmit};
use engineio_proto::{ContentType, Instant, LinkDownCause, LinkId, LinkKind, Message, RequestId, Text, Transport};
use engineio_websocket::{self as websocket, Closed, ConnectionEvent, handshake::ClientHandshake};
use socketio_proto::client::{Client, Config, Event, SocketOptions};
use socketio_proto::{DecodeError, Encoder, Json, Limits, PacketType, Payload};

/// The size of a read, and the longest head of a response.
const READ: usize = 16 * 1024;
/// Lines are not read while this much waits to be sent.
const QUEUE: usize = 1024 * 1024;
/// How long a dial and an ack may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may send nothing, or take nothing. A server sends pings, by default every 25 s.
const SILENCE: Duration = Duration::from_secs(120);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let url = env::args().nth(1).ok_or("usage: bare_client http://HOST:PORT[/NAMESPACE]")?;
    let server = url.strip_prefix("http://").ok_or("the URL must begin with `http://`: this example has no TLS")?;
    let (host, namespace) = server.split_once('/').unwrap_or((server, ""));
    let flag = |name: &str| env::args().skip_while(|given| given != name).nth(1);
    let mut config = engine::Config::default();
    let max_payload = flag("--max-payload").map_or(Ok(config.max_payload), |bytes| bytes.parse())?;
    config.max_payload = max_payload;
    match flag("--transport").as_deref() {
        Some("polling") => config.transports = vec![Transport::Polling],
        Some("websocket") => config.transports = vec![Transport::Link(LinkKind::WebSocket)],
        Some(other) => return Err(format!("unknown transport `{other}`: use `polling` or `websocket`").into()),
        None => {}
    }
    let mut client = Client::new(Arc::new(config), Json, Arc::new(Config::default()), u64::from_ne_bytes(random()?));
    let socket = client.socket(namespace, SocketOptions::default())?;
    client.connect(Instant::ZERO, socket);
    let state = State { client, dials: HashMap::new(), links: HashMap::new(), awaited_acks: 0 };
    let (state, changed, epoch) = (Mutex::new(state), Condvar::new(), time::Instant::now());
    let driver = Arc::new(Driver { host: host.into(), max_payload, epoch, state, changed });
    let input = Arc::clone(&driver);
    thread::spawn(move || input.emit_lines());
    driver.run();
    Ok(())
}

/// Shared by all threads.
struct Driver {
    host: String,
    max_payload: usize,
    epoch: time::Instant,
    state: Mutex<State>,
    /// Signals that the main thread has work, or that the machine may want more.
    changed: Condvar,
}

struct State {
    client: Client,
    /// Requests that are not answered, and links that are not up. The stream is missing until there is one.
    dials: HashMap<Id, Option<Arc<TcpStream>>>,
    links: HashMap<LinkId, (Arc<TcpStream>, websocket::Connection)>,
    awaited_acks: usize,
}

/// What a connection is for. The machine makes the ids, and uses none of them twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    Request(RequestId),
    Link(LinkId),
}

impl Driver {
    /// The loop of a driver: poll the machine until it has nothing more to do, then wait for input or for the deadline. Reconnection needs
    /// no code: the deadline is also that of the next attempt, and the machine is not drained before.
    fn run(self: Arc<Self>) {
        let mut encoder = Encoder::new();
        loop {
            let (mut state, now) = (self.lock(), self.now());
            state.client.handle_timeout(now); // Does nothing before the deadline.
            let event = state.client.poll_event();
            while let Some(transmit) = state.client.poll_transmit() {
                self.perform(&mut state, transmit);
            }
            let outputs = state.outputs();
            self.changed.notify_all();
            if event.is_none() && outputs.is_empty() {
                if state.client.is_drained() && state.links.is_empty() {
                    return;
                }
                let deadline = state.client.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
                drop(self.changed.wait_timeout(state, deadline - now));
                continue;
            }
            drop(state);
            for (mut stream, bytes, last) in outputs.iter().map(|(stream, bytes, last)| (&**stream, bytes, last)) {
                // If writing fails, so does reading, and its thread reports the end of the link.
                if stream.write_all(bytes).is_err() || *last {
                    let _ = stream.shutdown(if *last { Shutdown::Write } else { Shutdown::Both });
                }
            }
            event.into_iter().for_each(|event| self.handle(event, &mut encoder));
        }
    }

    /// Starts what the machine asks for. How it ends is an input, later.
    fn perform(self: &Arc<Self>, state: &mut State, transmit: Transmit) {
        match transmit {
            // Ends with `Response`, whatever the status, or `Failed`. The server holds a GET, and a POST can be in progress beside it.
            Transmit::Request { request, method, query } => self.dial(state, Id::Request(request), Some(method), query),
            // Ends with `LinkUp` or `LinkDown`. An upgrade is no different: its probe is a packet.
            Transmit::Connect { link, kind: LinkKind::WebSocket, query } => {
                self.dial(state, Id::Link(link), None, query)
            }
            // The machine has forgotten this request: nothing is reported.
            Transmit::Cancel { request } => state.abort(Id::Request(request)),
            // A link that the server has closed needs no more packets.
            Transmit::Link { link, frame } => {
                let parts = [frame.head(), frame.data()];
                state.links.get_mut(&link).map(|(_, websocket)| websocket.send_parts(frame.is_binary(), &parts));
            }
            // The machine has forgotten this link, which may not be up yet. `SILENCE` limits how long the server may take to answer.
            Transmit::CloseLink { link } => {
                state.abort(Id::Link(link));
                state.links.get_mut(&link).map(|(_, websocket)| websocket.close(1000, ""));
            }
            // WebTransport, which is not among the `transports` of the configuration.
            _ => {}
        }
    }

    /// The application.
    fn handle(&self, event: Event, encoder: &mut Encoder) {
        match event {
            Event::Connected { id, .. } => println!("connected {id}"),
            Event::Received { payload, ack, .. } => {
                println!("{} {}", payload.name().unwrap_or_default(), shown(&payload));
                // Fails if the connection is lost, or its queue is full.
                let answer = |token| self.tell(|state, _| state.client.ack(encoder, token, &payload));
                ack.map(answer).and_then(Result::err).inspect(|error| eprintln!("cannot acknowledge: {error}"));
            }
            Event::Acked { outcome, .. } => {
                println!("ack {}", outcome.map_or_else(|error| error.to_string(), |payload| shown(&payload)));
                self.tell(|state, _| state.awaited_acks -= 1);
            }
            // A socket that is refused does not try again, and the machine closes a connection that no socket uses.
            Event::ConnectError { error, .. } => println!("not connected: {error}"),
            Event::Disconnected { reason, .. } => println!("disconnected: {reason}"),
            Event::Upgraded(_) => println!("upgraded"),
            _ => {}
        }
    }

    /// The thread that reads the input.
    fn emit_lines(&self) {
        let mut encoder = Encoder::new();
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            drop(self.wait_while(|state| state.client.buffered_bytes() > QUEUE));
            let emitted = parse(&line).map_err(Error::from).and_then(|(event, asks)| {
                let name = event.name().unwrap_or_default();
                self.tell(|State { client, awaited_acks, .. }, now| {
                    let Some(socket) = client.sockets().next() else { return Ok(()) };
                    if !asks {
                        return Ok(client.emit(now, &mut encoder, socket, name, &event)?);
                    }
                    client.emit_with_ack(now, &mut encoder, socket, name, &event, Some(PATIENCE))?;
                    *awaited_acks += 1;
                    Ok(())
                })
            });
            _ = emitted.inspect_err(|error| eprintln!("cannot emit: {error}"));
        }
        // What was emitted before is sent once the connection is open.
        drop(self.wait_while(|state| state.awaited_acks > 0 || !state.client.is_open()));
        self.tell(|state, now| state.client.close(now));
    }

    fn dial(self: &Arc<Self>, state: &mut State, id: Id, method: Option<Method>, query: Text) {
        state.dials.insert(id, None);
        let driver = Arc::clone(self);
        thread::spawn(move || {
            let Err(error) = driver.connect(id, method, &query) else { return };
            let input = match id {
                Id::Request(request) => Input::Failed { request },
                Id::Link(link) => Input::LinkDown { link, cause: LinkDownCause::Failed },
            };
            driver.tell(|state, now| {
                state.dials.remove(&id).inspect(|_| eprintln!("failed: {error}"));
                state.client.handle(now, input); // Ignored if the machine has forgotten the id.
            });
        });
    }

    /// The thread of a connection, which carries one request, or becomes a link if there is no `method`. HTTP allows more, but that does
    /// not concern the machine: any HTTP library can replace this code.
    fn connect(&self, id: Id, method: Option<Method>, query: &str) -> Result<(), Error> {
        let mut dialed = Err(io::Error::other("the name has no address"));
        for address in self.host.to_socket_addrs()? {
            dialed = dialed.or_else(|_| TcpStream::connect_timeout(&address, PATIENCE));
        }
        let stream = Arc::new(dialed.map_err(|error| format!("cannot connect to {}: {error}", self.host))?);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let abortable = |state: &mut State, _| state.dials.get_mut(&id).map(|dial| *dial = Some(Arc::clone(&stream)));
        self.tell(abortable).ok_or("no longer needed")?;

        let handshake = ClientHandshake::new(random()?);
        let (verb, fields, body) = match method {
            Some(Method::Post { body, content_type }) => {
                let (content_type, length) = (content_type.as_str(), body.len());
                (
                    "POST",
                    format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n"),
                    body,
                )
            }
            Some(_) => ("GET", "Connection: close\r\n".into(), Bytes::new()),
            None => {
                ("GET", handshake.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect(), Bytes::new())
            }
        };
        let head = format!("{verb} /socket.io/?{query} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.host);
        (&*stream).write_all(&[head.as_bytes(), &body].concat())?;

        let mut bytes = BytesMut::new();
        let end = |bytes: &[u8]| bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        while end(&bytes).is_none() {
            if bytes.len() > READ || read(&stream, &mut bytes)? == 0 {
                return Err("the response has no head, or a head that is too long".into());
            }
        }
        let head = bytes.split_to(end(&bytes).unwrap_or_default());
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&head)?;
        let (status, fields) = (response.code.unwrap_or_default(), response.headers);
        let request = match id {
            Id::Request(request) => request,
            Id::Link(link) => {
                handshake.check(status, fields.iter().map(|field| (field.name, field.value)))?;
                return self.read_link(link, stream, bytes);
            }
        };
        // The server ends the connection after the body.
        while read(&stream, &mut bytes)? > 0 {
            if bytes.len() > self.max_payload.saturating_add(READ) {
                return Err("the response is too large: raise `--max-payload`".into());
            }
        }
        let field = |name| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
        if field("transfer-encoding").is_some() {
            bytes = unchunked(&bytes).ok_or("the response is incomplete")?;
        } else if field("content-length").is_some_and(|length| length != bytes.len().to_string().as_bytes()) {
            return Err("the response is incomplete".into());
        }
        let (content_type, body) = (ContentType::from_response_header(field("content-type")), bytes.freeze());
        self.tell(|state, now| {
            state.dials.remove(&id);
            state.client.handle(now, Input::Response { request, status, content_type, body });
        });
        Ok(())
    }

    /// Passes the messages of a link to the machine, no faster than it accepts them, until the link ends.
    fn read_link(&self, link: LinkId, stream: Arc<TcpStream>, mut bytes: BytesMut) -> Result<(), Error> {
        let limits = websocket::Limits::default().with_max_message(self.max_payload);
        // The machine already limits what waits to be sent.
        let websocket = websocket::Connection::client(limits, random()?).with_max_outgoing(usize::MAX);
        self.tell(|state, now| {
            state.dials.remove(&Id::Link(link)).map(|_| state.links.insert(link, (Arc::clone(&stream), websocket)));
            state.client.handle(now, Input::LinkUp { link });
        });
        let mut ended = false;
        while !ended {
            // Bytes may have arrived together with the head.
            ended = bytes.is_empty() && !read(&stream, &mut bytes).is_ok_and(|count| count > 0);
            let mut state = self.wait_while(|state| !state.client.wants_input());
            let State { client, links, .. } = &mut *state;
            let Some((_, websocket)) = links.get_mut(&link) else { break };
            websocket.handle(&mut bytes.split());
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
                client.handle(self.now(), input);
            }
            self.changed.notify_all();
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// The state is valid wherever a thread could panic, so a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change to the state, and wakes the threads that may wait for it.
    fn tell<T>(&self, what: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = what(&mut self.lock(), self.now());
        self.changed.notify_all();
        result
    }
}

impl State {
    /// The bytes that the links have to write, and whether they are the last.
    fn outputs(&mut self) -> Vec<(Arc<TcpStream>, Bytes, bool)> {
        let mut outputs = vec![];
        self.links.retain(|_, (stream, websocket)| {
            let (bytes, last) = (websocket.poll_transmit().unwrap_or_default(), websocket.is_finished());
            if last || !bytes.is_empty() {
                outputs.push((Arc::clone(stream), bytes, last));
            }
            !last
        });
        outputs
    }

    /// Ends a dial, if it is one: its thread then fails to read.
    fn abort(&mut self, id: Id) {
        self.dials.remove(&id).flatten().map(|stream| stream.shutdown(Shutdown::Both));
    }
}

/// The event that a line stands for, and whether it asks for an ack.
fn parse(line: &str) -> Result<(Payload, bool), DecodeError> {
    let event = |text: &str, bytes| Payload::from_json(PacketType::Event, text.into(), bytes, &Limits::default());
    if let Some(bytes) = line.strip_prefix("binary ") {
        return Ok((event(r#"["message",{"_placeholder":true,"num":0}]"#, vec![bytes.to_owned().into()])?, false));
    }
    let given = event(line.trim_start_matches('?'), vec![]).map(|event| (event, line.starts_with('?')));
    given.or_else(|_| Ok((event(&serde_json::json!(["message", line]).to_string(), vec![])?, false)))
}

/// The arguments as JSON, or as bytes.
fn shown(payload: &Payload) -> String {
    let raw = |index| payload.raw(index).unwrap_or_default().to_owned();
    let shown = |index| payload.bytes(index).map_or_else(|| raw(index), |bytes| format!("{bytes:?}"));
    (0..payload.len()).map(shown).collect::<Vec<_>>().join(" ")
}

/// Reads more bytes. Returns how many: none if the connection has ended.
fn read(mut stream: &TcpStream, bytes: &mut BytesMut) -> io::Result<usize> {
    let mut buffer = [0; READ];
    let count = stream.read(&mut buffer)?;
    bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(count)
}

/// The content of the chunks. `None` if the last chunk is missing.
fn unchunked(mut bytes: &[u8]) -> Option<BytesMut> {
    let mut body = BytesMut::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes) else { return None };
        let (chunk, rest) = bytes.get(start..)?.split_at_checked(size.try_into().ok()?)?;
        if chunk.is_empty() {
            return Some(body);
        }
        body.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut random = [0; N];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok(random)
}
