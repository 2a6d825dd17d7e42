//! Clients: their sockets on namespaces, events and acks.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use socketio_proto::{Args, Decoder as _, Encoder, Outgoing, Packet, PacketType, Parser, Payload};

use super::line::{Dial, End, Line, Transport};
use super::world::World;
use crate::socketio::Server;
use crate::sync::lock;

/// A client that is about to connect.
#[must_use = "call `connect`"]
pub struct Connect<P: Parser> {
    world: World,
    via: Via<P>,
    auth: Option<serde_json::Value>,
}

enum Via<P: Parser> {
    /// A new connection.
    New { dial: Dial<Server<P>>, parser: P, transport: Transport },
    /// That of another client.
    Existing(Arc<Mutex<Connection<P>>>),
}

/// Why a client could not connect.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server refused the namespace: `connect_error` in JavaScript.
    Refused {
        /// `err.message` in JavaScript.
        message: String,
        /// `err.data` in JavaScript.
        data: Option<serde_json::Value>,
    },
    /// The server refused the HTTP request.
    Http {
        /// The status of the response.
        status: u16,
        /// Its body.
        body: String,
    },
    /// The connection was closed before the server answered.
    Closed,
    /// The server did not answer within the [patience](super::TestServer::set_patience).
    NoAnswer,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, data: None } => write!(f, "the server refused the client: {message}"),
            Self::Refused { message, data: Some(data) } => {
                write!(f, "the server refused the client: {message}, with the data {data}")
            }
            Self::Http { status, body } => write!(f, "the server refused the request with status {status}: {body}"),
            Self::Closed => f.write_str("the connection was closed before the server answered"),
            Self::NoAnswer => f.write_str("the server did not answer"),
        }
    }
}

impl Error for ConnectError {}

/// How a client left a namespace, in the words of the JavaScript client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Left {
    /// `io server disconnect`: the server disconnected the socket. Clients do not reconnect after this.
    ByServer,
    /// `io client disconnect`: the client left, or closed the connection.
    ByClient,
    /// `transport close`: the server closed the connection. Clients reconnect.
    TransportClose,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByServer => "io server disconnect",
            Self::ByClient => "io client disconnect",
            Self::TransportClose => "transport close",
        })
    }
}

/// One connection with the sockets on it.
pub(super) struct Connection<P: Parser> {
    dial: Dial<Server<P>>,
    line: Line,
    /// What the connection was opened with.
    transport: Transport,
    parser: P,
    decoder: P::Decoder,
    encoder: Encoder,
    spaces: BTreeMap<String, Space>,
    next_ack: u64,
}

#[derive(Default)]
struct Space {
    auth: Option<serde_json::Value>,
    state: State,
    /// What the server calls the socket when its client returns, and the offset of the last event.
    pid: Option<String>,
    offset: Option<String>,
    recovered: bool,
    events: VecDeque<Packet>,
    /// What the server has answered.
    acks: BTreeMap<u64, Payload>,
}

#[derive(Default)]
enum State {
    #[default]
    Requested,
    Joined(String),
    Refused(ConnectError),
    Left(Left),
}

impl<P: Parser> Connect<P> {
    pub(super) fn new(world: World, dial: Dial<Server<P>>, parser: P) -> Self {
        Self { world, via: Via::New { dial, parser, transport: Transport::WebSocket }, auth: None }
    }

    /// Sets the `auth` object. Without it, none is sent.
    ///
    /// # Panics
    /// If it cannot be serialised.
    #[track_caller]
    pub fn auth(mut self, auth: impl serde::Serialize) -> Self {
        self.auth = Some(serde_json::to_value(auth).expect("`auth` can be serialised"));
        self
    }

    /// Connects through HTTP requests. [`Client::upgrade`] upgrades to a WebSocket. Default: a WebSocket from the start.
    pub fn polling(mut self) -> Self {
        if let Via::New { transport, .. } = &mut self.via {
            *transport = Transport::Polling;
        }
        self
    }

    /// Adds a header to all requests of the connection.
    ///
    /// # Panics
    /// If this is not the name and the value of a header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Via::New { dial, .. } = &mut self.via {
            dial.add_header(name, value);
        }
        self
    }

    /// Adds a parameter to the query of the connection's requests.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Via::New { dial, .. } = &mut self.via {
            dial.add_parameter(name, value);
        }
        self
    }

    /// Sets the address of the client, which handlers read with [`Handshake::address`](crate::Handshake::address). Default: none.
    pub const fn address(mut self, address: SocketAddr) -> Self {
        if let Via::New { dial, .. } = &mut self.via {
            dial.address = Some(address);
        }
        self
    }

    /// Connects to a namespace, and waits for the server's answer.
    ///
    /// # Errors
    /// See [`ConnectError`]. `?` and `unwrap` show what the server said.
    #[track_caller]
    pub fn connect(self, namespace: &str) -> Result<Client<P>, ConnectError> {
        let Self { world, via, auth } = self;
        let namespace = if namespace.starts_with('/') { namespace.to_owned() } else { format!("/{namespace}") };
        let connection = match via {
            Via::Existing(connection) => connection,
            Via::New { dial, parser, transport } => Connection::open(dial, parser, transport),
        };
        let client = Client { world, connection, namespace };
        client.join(Space { auth, ..Space::default() }).map(|()| client)
    }
}

impl From<End> for ConnectError {
    fn from(end: End) -> Self {
        match end {
            End::Refused { status, body } => Self::Http { status, body },
            End::Closed { .. } | End::ByClient => Self::Closed,
        }
    }
}

impl<P: Parser> Connection<P> {
    fn open(dial: Dial<Server<P>>, parser: P, transport: Transport) -> Arc<Mutex<Self>> {
        let line = Line::open(&dial, transport);
        let decoder = parser.decoder(dial.endpoint.limits());
        let mut encoder = Encoder::new();
        encoder.set_max_attachments(u8::MAX);
        let (spaces, next_ack) = (BTreeMap::new(), 0);
        Arc::new(Mutex::new(Self { dial, line, transport, parser, decoder, encoder, spaces, next_ack }))
    }

    fn send<A: Args + ?Sized>(&mut self, packet: &Outgoing<'_, A>) {
        let encoded = self.parser.encode(packet, &mut self.encoder).expect("the packet can be encoded");
        self.line.send(encoded.frames().iter().cloned());
    }

    fn space(&mut self, namespace: &str) -> &mut Space {
        self.spaces.get_mut(namespace).expect("a client has requested it")
    }

    /// Takes what has arrived.
    fn take_input(&mut self) {
        while let Some(message) = self.line.receive() {
            match self.decoder.decode(message) {
                Ok(Some(packet)) => self.packet(packet),
                Ok(None) => {}
                Err(error) => panic!("the server has sent something that is not a packet: {error}"),
            }
        }
        if let Some(end) = self.line.end() {
            let left = if end == End::ByClient { Left::ByClient } else { Left::TransportClose };
            for space in self.spaces.values_mut() {
                if let State::Joined(_) = space.state {
                    space.state = State::Left(left);
                }
            }
        }
    }

    fn packet(&mut self, packet: Packet) {
        let Some(space) = self.spaces.get_mut(&*packet.namespace) else {
            panic!("the server has sent a packet for a namespace that nobody requested: {packet:?}");
        };
        match packet.packet_type {
            PacketType::Connect => {
                #[derive(serde::Deserialize)]
                struct Accepted {
                    sid: String,
                    pid: Option<String>,
                }
                let accepted: Option<Accepted> = packet.payload.and_then(|payload| payload.get(0).ok());
                let (id, pid) = accepted.map(|accepted| (accepted.sid, accepted.pid)).unwrap_or_default();
                space.recovered = pid.is_some() && pid == space.pid;
                (space.state, space.pid) = (State::Joined(id), pid);
            }
            PacketType::ConnectError => {
                #[derive(serde::Deserialize)]
                struct Refused {
                    message: String,
                    data: Option<serde_json::Value>,
                }
                let refused: Option<Refused> = packet.payload.as_ref().and_then(|payload| payload.get(0).ok());
                let Some(Refused { message, data }) = refused else {
                    panic!("a refusal has a message: {:?}", packet.payload);
                };
                space.state = State::Refused(ConnectError::Refused { message, data });
            }
            PacketType::Disconnect => space.state = State::Left(Left::ByServer),
            PacketType::Event => {
                // As the official client does: with recovery, the last argument of an event without an ack is its offset.
                let last = packet.payload.as_ref().filter(|_| packet.id.is_none());
                let last = last.and_then(|payload| payload.get::<String>(payload.len().checked_sub(1)?).ok());
                space.offset = last.or(space.offset.take());
                space.events.push_back(packet);
            }
            PacketType::Ack => {
                if let (Some(id), Some(payload)) = (packet.id, packet.payload) {
                    space.acks.insert(id, payload);
                }
            }
        }
    }
}

/// A client's socket on a namespace.
///
/// Its methods run the server until nothing is left to do. Those that wait for something let virtual time pass, at most the
/// [patience](super::TestServer::set_patience), and panic if it does not come. The message of the panic says what was expected, and what
/// has arrived instead.
///
/// A client that is dropped stays connected. [`Client::close`] closes its connection.
pub struct Client<P: Parser> {
    pub(super) world: World,
    connection: Arc<Mutex<Connection<P>>>,
    namespace: String,
}

impl<P: Parser> Client<P> {
    /// Requests the namespace, and waits for the server's answer.
    #[track_caller]
    fn join(&self, space: Space) -> Result<(), ConnectError> {
        let mut auth = space.auth.clone();
        if let (Some(pid), Some(offset)) = (&space.pid, &space.offset) {
            let claim = serde_json::json!({ "pid": pid, "offset": offset });
            match (&mut auth, claim) {
                (Some(serde_json::Value::Object(auth)), serde_json::Value::Object(claim)) => auth.extend(claim),
                (_, claim) => auth = Some(claim),
            }
        }
        let line = {
            let mut connection = lock(&self.connection);
            connection.spaces.insert(self.namespace.clone(), space);
            connection.line.clone()
        };
        line.wait_for_open(&self.world)?;
        lock(&self.connection).send(&Outgoing::new(PacketType::Connect, &self.namespace, auth.as_ref()));
        let answer = self.world.wait(|| {
            let mut connection = lock(&self.connection);
            connection.take_input();
            let end = connection.line.end();
            match &connection.space(&self.namespace).state {
                State::Requested => end.map(|end| Err(end.into())),
                State::Refused(error) => Some(Err(error.clone())),
                State::Joined(_) | State::Left(_) => Some(Ok(())),
            }
        });
        self.settle();
        answer.unwrap_or(Err(ConnectError::NoAnswer))
    }

    /// Connects again after the connection was lost, as the official client does: by a new connection, with the same options and the same
    /// `auth`. If the server has connection state recovery, the client claims its former socket; see [`Client::recovered`]. Events that were
    /// not read stay unread, and those that the client has missed come after them. Sockets of other namespaces reconnect by themselves.
    ///
    /// # Errors
    /// See [`ConnectError`].
    ///
    /// # Panics
    /// If the client is connected.
    #[track_caller]
    pub fn reconnect(&mut self) -> Result<(), ConnectError> {
        if self.is_connected() {
            self.fail_now("the client to have lost its connection");
        }
        let (space, connection) = {
            let mut connection = lock(&self.connection);
            let space = connection.spaces.remove(&self.namespace).unwrap_or_default();
            (space, Connection::open(connection.dial.clone(), connection.parser.clone(), connection.transport))
        };
        self.connection = connection;
        self.join(Space { state: State::Requested, recovered: false, ..space })
    }

    /// Whether [`Client::reconnect`] has brought back the former socket: `socket.recovered` in JavaScript.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.settle();
        self.with(|space| space.recovered)
    }

    /// Prepares to join another namespace, on the same connection.
    pub fn same_connection(&self) -> Connect<P> {
        Connect { world: self.world.clone(), via: Via::Existing(Arc::clone(&self.connection)), auth: None }
    }

    /// The id of the socket, by which the server knows it.
    ///
    /// # Panics
    /// If the client has left.
    #[track_caller]
    #[must_use]
    pub fn id(&self) -> String {
        self.with(|space| if let State::Joined(id) = &space.state { Some(id.clone()) } else { None })
            .unwrap_or_else(|| self.fail("the client to be connected"))
    }

    /// Whether the client is on its namespace.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.settle();
        self.with(|space| matches!(space.state, State::Joined(_)))
    }

    /// How the client is connected now.
    #[must_use]
    pub fn transport(&self) -> Transport {
        lock(&self.connection).line.transport().unwrap_or(Transport::Polling)
    }

    /// Sends an event.
    ///
    /// # Panics
    /// If the arguments cannot be encoded.
    #[track_caller]
    pub fn emit<A: Args>(&mut self, event: &str, args: A) {
        lock(&self.connection).send(&Outgoing::event(&self.namespace, None, event, &args));
        self.settle();
    }

    /// Sends an event with the request for an ack.
    ///
    /// # Panics
    /// If the arguments cannot be encoded.
    #[track_caller]
    pub fn emit_with_ack<A: Args>(&mut self, event: &str, args: A) -> PendingAck<P> {
        let id = {
            let mut connection = lock(&self.connection);
            let id = connection.next_ack;
            connection.next_ack += 1;
            connection.send(&Outgoing::event(&self.namespace, Some(id), event, &args));
            id
        };
        self.settle();
        PendingAck { client: self.handle(), event: event.to_owned(), id }
    }

    /// Sends an event with the request for an ack, waits for it, and reads its arguments; see [`Event::read`](crate::Event::read).
    ///
    /// # Panics
    /// If the ack does not come, or has arguments of another type.
    #[track_caller]
    pub fn call<T: DeserializeOwned>(&mut self, event: &str, args: impl Args) -> T {
        self.emit_with_ack(event, args).wait()
    }

    /// Takes the oldest unread event of this name, and reads its arguments; see [`Event::read`](crate::Event::read). Waits for it if there
    /// is none. Other events stay unread.
    ///
    /// # Panics
    /// If the event does not come, or has arguments of another type.
    #[track_caller]
    pub fn receive<T: DeserializeOwned>(&mut self, event: &str) -> T {
        self.receive_event(event).read()
    }

    /// As [`Client::receive`], with the right to ack the event.
    ///
    /// # Panics
    /// If the event does not come.
    #[track_caller]
    pub fn receive_event(&mut self, event: &str) -> Received<P> {
        self.take(|packet| name_of(packet) == event).unwrap_or_else(|| self.fail(&format!("the event `{event}`")))
    }

    /// Takes the oldest unread event, whatever its name. Waits for one if there is none.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn receive_any(&mut self) -> Received<P> {
        self.take(|_| true).unwrap_or_else(|| self.fail("an event"))
    }

    /// Whether an event of this name has arrived and was not read. No time passes.
    #[must_use]
    pub fn has_received(&self, event: &str) -> bool {
        self.settle();
        self.with(|space| space.events.iter().any(|packet| name_of(packet) == event))
    }

    /// What has arrived and was not read, oldest first. No time passes, and it stays unread.
    #[must_use]
    pub fn unread(&self) -> Vec<Received<P>> {
        self.settle();
        let packets: Vec<_> = self.with(|space| space.events.iter().cloned().collect());
        packets.into_iter().map(|packet| self.received(packet)).collect()
    }

    /// Asserts that no event is unread. No time passes.
    ///
    /// # Panics
    /// If there is one.
    #[track_caller]
    pub fn assert_nothing_unread(&self) {
        if !self.unread().is_empty() {
            self.fail_now("no unread event");
        }
    }

    /// Forgets what has arrived.
    pub fn clear(&mut self) {
        self.settle();
        self.with(|space| space.events.clear());
    }

    /// Leaves the namespace, as `socket.disconnect()` does in JavaScript. The connection stays open for the other namespaces.
    pub fn disconnect(&mut self) {
        let packet_type = PacketType::Disconnect;
        {
            let mut connection = lock(&self.connection);
            let namespace = &*self.namespace;
            connection.send(&Outgoing::<()>::new(packet_type, namespace, None));
            connection.space(namespace).state = State::Left(Left::ByClient);
        }
        self.settle();
    }

    /// Closes the connection gracefully, with all namespaces.
    pub fn close(&mut self) {
        lock(&self.connection).line.close();
        self.settle();
    }

    /// Cuts the connection, as a network does that fails. A server notices a WebSocket that was cut at once, and a polling client that was
    /// cut with the timeout of its ping.
    pub fn cut(&mut self) {
        lock(&self.connection).line.cut();
        self.settle();
    }

    /// Stops reading. Pings stay unanswered, so the server closes the connection when `ping_timeout` has passed after the next ping. What
    /// the server sends meanwhile fills the connection (64 KiB) and then its queue. A GET that was sent before is still read.
    pub fn stop_reading(&mut self) {
        lock(&self.connection).line.set_deaf(true);
        self.settle();
    }

    /// Reads again.
    pub fn resume_reading(&mut self) {
        lock(&self.connection).line.set_deaf(false);
        self.settle();
    }

    /// Waits until the client has left its namespace, and returns how.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn disconnected(&mut self) -> Left {
        let left =
            self.world.wait(|| self.with(|space| if let State::Left(left) = space.state { Some(left) } else { None }));
        left.unwrap_or_else(|| self.fail("the client to be disconnected"))
    }

    /// Upgrades the connection from polling to a WebSocket, and waits for the end of the upgrade.
    ///
    /// # Errors
    /// Why the upgrade failed. The client goes on polling, if the session is still open.
    pub fn upgrade(&mut self) -> Result<(), String> {
        let (line, dial) = {
            let connection = lock(&self.connection);
            (connection.line.clone(), connection.dial.clone())
        };
        line.upgrade(&self.world, &dial)
    }

    fn handle(&self) -> Self {
        let (world, connection) = (self.world.clone(), Arc::clone(&self.connection));
        Self { world, connection, namespace: self.namespace.clone() }
    }

    /// Runs the server until nothing is left to do.
    fn settle(&self) {
        self.world.settle();
        lock(&self.connection).take_input();
    }

    fn with<T>(&self, look: impl FnOnce(&mut Space) -> T) -> T {
        let mut connection = lock(&self.connection);
        connection.take_input();
        look(connection.space(&self.namespace))
    }

    /// Waits for an event, and takes it.
    fn take(&self, wanted: impl Fn(&Packet) -> bool) -> Option<Received<P>> {
        let look = || {
            let mut connection = lock(&self.connection);
            connection.take_input();
            let space = connection.space(&self.namespace);
            let index = space.events.iter().position(&wanted);
            let packet = index.and_then(|index| space.events.remove(index));
            // Nothing comes any more.
            (packet.is_some() || !matches!(space.state, State::Joined(_))).then_some(packet)
        };
        self.world.wait(look).flatten().map(|packet| self.received(packet))
    }

    fn received(&self, packet: Packet) -> Received<P> {
        let payload = packet.payload.expect("an event has a payload");
        Received { client: self.handle(), payload, id: packet.id }
    }

    /// Panics, because something did not come.
    #[track_caller]
    fn fail(&self, expected: &str) -> ! {
        let patience = self.world.patience();
        self.fail_now(&format!("{expected}, within {patience:?} of virtual time"))
    }

    #[track_caller]
    fn fail_now(&self, expected: &str) -> ! {
        let unread = self.with(|space| {
            let lines: Vec<_> = space.events.iter().map(|packet| format!("\n    {}", Shown(packet))).collect();
            if lines.is_empty() { "\n    nothing".to_owned() } else { lines.concat() }
        });
        let state = self.with(|space| match &space.state {
            State::Requested => "has requested to connect".to_owned(),
            State::Joined(id) => format!("is connected, with the id {id}"),
            State::Refused(error) => format!("is not connected: {error}"),
            State::Left(left) => format!("has left: {left}"),
        });
        let (namespace, elapsed, seed) = (&self.namespace, self.world.elapsed(), self.world.seed());
        panic!(
            "expected {expected}\n  unread:{unread}\n  the client on {namespace} {state}\n  {elapsed:?} have passed, seed {seed}"
        )
    }
}

fn name_of(packet: &Packet) -> &str {
    packet.payload.as_ref().and_then(Payload::name).unwrap_or_default()
}

/// An event as the messages of panics show it.
struct Shown<'a>(&'a Packet);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(payload) = &self.0.payload else { return Ok(()) };
        write!(f, "`{}` {}", name_of(self.0), arguments(payload))?;
        if self.0.id.is_some() { f.write_str(", with the request for an ack") } else { Ok(()) }
    }
}

fn arguments(payload: &Payload) -> String {
    let values = (0..payload.len()).map(|index| match payload.get::<serde_json::Value>(index) {
        Ok(value) => value.to_string(),
        Err(_) => payload.bytes(index).map_or_else(|| "?".to_owned(), |bytes| format!("{bytes:?}")),
    });
    let mut text = values.collect::<Vec<_>>().join(", ");
    if text.len() > 300 {
        let end = (0..=300).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    format!("({text})")
}

impl<P: Parser> fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl<P: Parser> fmt::Debug for Connect<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// An event that a client has received.
pub struct Received<P: Parser> {
    client: Client<P>,
    payload: Payload,
    id: Option<u64>,
}

impl<P: Parser> Received<P> {
    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.payload.name().unwrap_or_default()
    }

    /// The arguments, as they were received.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Reads the arguments; see [`Event::read`](crate::Event::read).
    ///
    /// # Panics
    /// If they have another type.
    #[track_caller]
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        self.payload.read().unwrap_or_else(|error| {
            let (name, arguments) = (self.name(), arguments(&self.payload));
            panic!("`{name}` {arguments} cannot be read as {}: {error}", std::any::type_name::<T>())
        })
    }

    /// Whether the server requests an ack.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.id.is_some()
    }

    /// Sends the ack.
    ///
    /// # Panics
    /// If the server did not request one, or the arguments cannot be encoded.
    #[track_caller]
    pub fn ack(self, args: impl Args) {
        let Some(id) = self.id else { panic!("the server did not request an ack for `{}`", self.name()) };
        lock(&self.client.connection).send(&Outgoing::ack(&self.client.namespace, id, &args));
        self.client.settle();
    }
}

impl<P: Parser> fmt::Debug for Received<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.name(), arguments(&self.payload))
    }
}

/// The ack of an event that a client has sent.
#[must_use = "wait for the ack, or use `emit`"]
pub struct PendingAck<P: Parser> {
    client: Client<P>,
    event: String,
    id: u64,
}

impl<P: Parser> PendingAck<P> {
    /// Whether the ack has arrived. No time passes.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.client.settle();
        self.client.with(|space| space.acks.contains_key(&self.id))
    }

    /// Waits for the ack, and reads its arguments; see [`Event::read`](crate::Event::read).
    ///
    /// # Panics
    /// If it does not come, or has arguments of another type.
    #[track_caller]
    pub fn wait<T: DeserializeOwned>(self) -> T {
        let Self { client, event, id } = &self;
        let payload = client.world.wait(|| {
            client.with(|space| {
                let payload = space.acks.remove(id);
                (payload.is_some() || !matches!(space.state, State::Joined(_))).then_some(payload)
            })
        });
        let payload = payload.flatten().unwrap_or_else(|| client.fail(&format!("the ack of `{event}`")));
        payload.read().unwrap_or_else(|error| {
            let arguments = arguments(&payload);
            panic!("the ack of `{event}`, {arguments}, cannot be read as {}: {error}", std::any::type_name::<T>())
        })
    }
}

impl<P: Parser> fmt::Debug for PendingAck<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAck").field("event", &self.event).finish_non_exhaustive()
    }
}
