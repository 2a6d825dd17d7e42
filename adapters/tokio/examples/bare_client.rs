//! A Socket.IO client built only from the state machines and the threads of the standard library: polling, WebSocket, the upgrade between
//! them, and reconnection. It is the counterpart of the server in `bare.rs`, and an example for people who write their own driver.
//!
//! Arguments: `http://HOST:PORT[/NAMESPACE]`, `--transport polling|websocket` (default: polling, then an upgrade), and `--max-payload` in
//! bytes. It prints events, and acknowledges them with their own arguments. It emits each line that it reads: `["name",1]` is an event,
//! `?["name",1]` asks for an ack, and anything else is the event `message`, with text, or bytes after `binary `. At the end of the input
//! it waits for acks, then closes. Besides the machines it uses `getrandom`, `bytes` and `serde_json`.
//!
//! All threads share the machine behind a lock. The main thread does what the machine asks for, and runs the application. Each connection
//! has a thread that dials, reads, and passes input to the machine. No thread reads or writes under the lock.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{collections::HashMap, env, iter, thread, time, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use engineio_http::client as http;
use engineio_proto::client::{self as engine, Input, Method, Transmit};
use engineio_proto::{ContentType, Instant, LinkDownCause, LinkId, LinkKind, Message, RequestId};
use engineio_websocket::{self as websocket, Closed, ConnectionEvent, handshake::ClientHandshake};
use socketio_proto::client::{Client, Config, Event, SocketOptions};
use socketio_proto::{DecodeError, Encoder, Json, Limits, PacketType, Payload, SocketHandle};

/// The size of a read. Also, no lines are read while this much waits to be sent.
const READ: usize = 16 * 1024;
/// How long the server may send nothing, take nothing, or leave an event unacknowledged. Its pings must be more frequent.
const PATIENCE: Duration = Duration::from_secs(60);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let url = env::args().nth(1).ok_or("usage: bare_client http://HOST:PORT[/NAMESPACE]")?;
    let server = url.strip_prefix("http://").ok_or("the URL must begin with `http://`: this example has no TLS")?;
    let (host, namespace) = server.split_once('/').unwrap_or((server, ""));
    let flag = |name: &str| env::args().skip_while(|given| given != name).nth(1);
    let (transport, mut config) = (flag("--transport"), engine::Config::default());
    config.transports.retain(|known| transport.as_ref().is_none_or(|name| known.as_str() == name));
    config.max_payload = flag("--max-payload").map_or(Ok(config.max_payload), |bytes| bytes.parse())?;
    let (max_payload, epoch) = (config.max_payload, time::Instant::now());
    let mut client = Client::new(Arc::new(config), Json, Arc::new(Config::default()), u64::from_ne_bytes(random()?));
    let socket = client.socket(namespace, SocketOptions::default())?;
    client.connect(Instant::ZERO, socket);
    let state = Mutex::new(State { client, dials: HashMap::new(), links: HashMap::new(), awaited_acks: 0 });
    let driver = Arc::new(Driver { host: host.into(), max_payload, socket, epoch, state, changed: Condvar::new() });
    let input = Arc::clone(&driver);
    thread::spawn(move || input.emit_lines());
    driver.run();
    Ok(())
}

/// Shared by all threads.
struct Driver {
    host: String,
    max_payload: usize,
    socket: SocketHandle,
    epoch: time::Instant,
    state: Mutex<State>,
    /// Signals that the main thread has work, or that the machine may want more.
    changed: Condvar,
}

struct State {
    client: Client,
    /// The ids of requests that are not answered, and of links that are not up. The stream is missing until it is connected.
    dials: HashMap<u64, Option<Arc<TcpStream>>>,
    links: HashMap<LinkId, (Arc<TcpStream>, websocket::Connection)>,
    awaited_acks: usize,
}

impl Driver {
    /// The loop of a driver: poll the machine until it has nothing more to do, then wait for input or for the deadline. Reconnection needs
    /// no code: the deadline is also that of the next attempt, and the machine is not drained before.
    fn run(self: Arc<Self>) {
        let mut encoder = Encoder::new();
        loop {
            let (mut state, now, mut outputs) = (self.wait_while(|_| false), self.now(), vec![]);
            state.client.handle_timeout(now); // Does nothing before the deadline.
            let event = state.client.poll_event();
            while let Some(transmit) = state.client.poll_transmit() {
                self.perform(&mut state, transmit);
            }
            state.links.retain(|_, (stream, websocket)| {
                let (bytes, last) = (websocket.poll_transmit().unwrap_or_default(), websocket.is_finished());
                outputs.push((Arc::clone(stream), bytes, last));
                !last
            });
            outputs.retain(|(_, bytes, last)| *last || !bytes.is_empty());
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
            for (stream, bytes, last) in outputs {
                if (&*stream).write_all(&bytes).is_err() || last {
                    let _ = stream.shutdown(Shutdown::Both); // The thread that reads reports the end.
                }
            }
            event.into_iter().for_each(|event| self.handle(event, &mut encoder));
        }
    }

    /// Starts what the machine asks for. How it ends is an input, later.
    fn perform(self: &Arc<Self>, state: &mut State, transmit: Transmit) {
        let (id, method, query) = match transmit {
            // Ends with `Response`, whatever the status, or `Failed`. The server holds a GET, and a POST can be in progress beside it.
            Transmit::Request { request, method, query } => (request.0, Some(method), query),
            // Ends with `LinkUp` or `LinkDown`. An upgrade is no different: its probe is a packet.
            Transmit::Connect { link, kind: LinkKind::WebSocket, query } => (link.0, None, query),
            // The machine has forgotten this request: whatever is reported for it is ignored.
            Transmit::Cancel { request } => return state.abort(request.0),
            Transmit::Link { link, frame } => {
                let packet = [frame.head(), frame.data()];
                // Fails if the server has closed the link, which then needs no more packets.
                state.links.get_mut(&link).map(|(_, websocket)| websocket.send_parts(frame.is_binary(), &packet));
                return;
            }
            // The machine has forgotten this link, which may not be up yet. `PATIENCE` limits how long the server may take to answer.
            Transmit::CloseLink { link } => {
                state.links.get_mut(&link).map(|(_, websocket)| websocket.close(1000, ""));
                return state.abort(link.0);
            }
            // WebTransport, which is not among the `transports` of the configuration.
            _ => return,
        };
        state.dials.insert(id, None);
        let driver = Arc::clone(self);
        thread::spawn(move || {
            let is_link = method.is_none();
            let Err(error) = driver.connect(id, method, &query) else { return };
            let down = Input::LinkDown { link: LinkId(id), cause: LinkDownCause::Failed };
            driver.tell(|state, now| {
                state.dials.remove(&id).inspect(|_| eprintln!("failed: {error}"));
                state.client.handle(now, if is_link { down } else { Input::Failed { request: RequestId(id) } });
            });
        });
    }

    /// The application.
    fn handle(&self, event: Event, encoder: &mut Encoder) {
        match event {
            Event::Connected { id, .. } => println!("connected {id}"),
            Event::Received { payload, ack, .. } => {
                println!("{} {}", payload.name().unwrap_or_default(), shown(&payload));
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
            drop(self.wait_while(|state| state.client.buffered_bytes() > READ));
            let Ok((event, asks)) = parse(&line) else { continue };
            let (name, socket) = (event.name().unwrap_or_default(), self.socket);
            let emitted = self.tell(|State { client, awaited_acks, .. }, now| match asks {
                false => client.emit(now, &mut encoder, socket, name, &event),
                true => {
                    let sent = client.emit_with_ack(now, &mut encoder, socket, name, &event, Some(PATIENCE));
                    sent.map(|_| *awaited_acks += 1)
                }
            });
            let _ = emitted.inspect_err(|error| eprintln!("cannot emit: {error}"));
        }
        // What was emitted before is sent when the socket is connected.
        drop(self.wait_while(|state| state.awaited_acks > 0 || !state.client.is_connected(self.socket)));
        self.tell(|state, now| state.client.close(now));
    }

    /// The thread of a connection, which carries one request, or becomes a link if there is no `method`. HTTP allows more, but that does
    /// not concern the machine: any HTTP library can replace this code.
    fn connect(&self, id: u64, method: Option<Method>, query: &str) -> Result<(), Error> {
        let stream =
            TcpStream::connect(&self.host).map_err(|error| format!("cannot connect to {}: {error}", self.host));
        let stream = Arc::new(stream?);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let dialed = |state: &mut State, _| state.dials.get_mut(&id).map(|dial| *dial = Some(Arc::clone(&stream)));
        self.tell(dialed).ok_or("no longer needed")?;
        let mut http = http::Connection::new(engineio_http::Limits::default().with_max_body(self.max_payload));
        let handshake = method.is_none().then(|| random().map(ClientHandshake::new)).transpose()?;
        let mut fields = handshake.as_ref().map_or(vec![("connection", "close")], |link| link.headers().collect());
        let (mut verb, mut content) = ("GET", None);
        if let Some(Method::Post { body, content_type }) = method {
            fields.push(("content-type", content_type.as_str()));
            (verb, content) = ("POST", Some(body));
        }
        http.request(verb, &format!("/socket.io/?{query}"), &self.host, fields, content)?;
        iter::from_fn(|| http.poll_transmit()).try_for_each(|bytes| (&*stream).write_all(&bytes))?;

        let (mut head, mut body, mut buffer) = (None, BytesMut::new(), [0; READ]);
        loop {
            match http.poll_event() {
                Some(http::Event::Response(response)) => head = Some(response),
                Some(http::Event::Body(part)) => body.extend_from_slice(&part),
                Some(http::Event::Failed(error)) => return Err(error.into()),
                None if handshake.is_none() || head.is_none() => match (&*stream).read(&mut buffer)? {
                    0 => http.handle_end(),
                    count => http.handle(buffer.get(..count).unwrap_or_default()),
                },
                _ => break, // The response is complete, or the head of one that opens a link.
            }
        }
        let head = head.ok_or("there is no response")?;
        if let Some(handshake) = handshake {
            handshake.check(head.status(), head.headers().iter())?;
            return self.read_link(LinkId(id), &stream, http.upgrade()?);
        }
        let content_type = ContentType::from_response_header(head.headers().get("content-type"));
        let (request, status, body) = (RequestId(id), head.status(), body.freeze());
        self.tell(|state, now| {
            state.dials.remove(&id);
            state.client.handle(now, Input::Response { request, status, content_type, body });
        });
        Ok(())
    }

    /// Passes the messages of a link to the machine, no faster than it accepts them, until the link ends.
    fn read_link(&self, link: LinkId, stream: &Arc<TcpStream>, rest: Bytes) -> Result<(), Error> {
        let limits = websocket::Limits::default().with_max_message(self.max_payload);
        // The machine already limits what waits to be sent.
        let websocket = websocket::Connection::client(limits, random()?).with_max_outgoing(usize::MAX);
        self.tell(|state, now| {
            state.dials.remove(&link.0).map(|_| state.links.insert(link, (Arc::clone(stream), websocket)));
            state.client.handle(now, Input::LinkUp { link });
        });
        let (mut reader, mut buffer, mut ended) = (rest.reader().chain(&**stream), [0; READ], false);
        while !ended {
            let count = reader.read(&mut buffer).unwrap_or(0);
            ended = count == 0;
            let mut state = self.wait_while(|state| !state.client.wants_input());
            let State { client, links, .. } = &mut *state;
            let Some((_, websocket)) = links.get_mut(&link) else { return Ok(()) };
            websocket.handle(buffer.get_mut(..count).unwrap_or_default());
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
    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.wait_while(state, |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change to the state, and wakes the threads that may wait for it.
    fn tell<T>(&self, what: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = what(&mut self.wait_while(|_| false), self.now());
        self.changed.notify_all();
        result
    }
}

impl State {
    /// Ends a dial, if it is one: its thread then fails to read.
    fn abort(&mut self, id: u64) {
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

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut random = [0; N];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok(random)
}
