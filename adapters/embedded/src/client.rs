//! The client: runs the machine of [`socketio_proto::client`] over one stream.

use core::pin::pin;
use core::time::Duration;

use bytes::Buf as _;
use embedded_io_async::{Read as _, Write as _};
use engineio_proto::client::{Input, Transmit};
use engineio_proto::{Arc, Instant, LinkDownCause, LinkId, LinkKind, Message, Text, Transport};
use engineio_websocket::{Closed, ConnectionEvent};
use socketio_proto::client::{Client as Machine, Event, SocketOptions};
use socketio_proto::{AckId, AckToken, Args, EmitError, Encoder, Json, Parser, SocketHandle, SocketId};

use crate::config::Config;
use crate::line::{Line, Refused};
use crate::platform::Platform;
use crate::race::before;

/// How many bytes are read at once.
const READ: usize = 512;

/// As long as fewer bytes wait in the WebSocket, it takes a further packet. The others stay in the machine, which has a limit for them.
const WRITE: usize = 512;

/// A client, which connects to one server and joins its namespaces.
///
/// Nothing happens between the calls of [`Client::next`]: it connects, reads, writes, and keeps the session alive.
pub struct Client<L: Platform, P: Parser = Json> {
    machine: Machine<P>,
    encoder: Encoder,
    platform: L,
    config: Config,
    /// The link that the machine has asked for, and which is not dialed yet.
    wanted: Option<(LinkId, Text)>,
    line: Option<Line<L::Stream>>,
}

impl<L: Platform> Client<L> {
    /// Creates a client that speaks JSON. It connects once a socket does: see [`Client::connect`].
    pub fn new(config: Config, platform: L) -> Self {
        Self::with_parser(config, platform, Json)
    }
}

impl<L: Platform, P: Parser> Client<L, P> {
    /// Creates a client with another parser, which must be that of the server.
    pub fn with_parser(mut config: Config, mut platform: L, parser: P) -> Self {
        config.engine.transports = [Transport::Link(LinkKind::WebSocket)].into();
        let [a, b, c, d, e, f, g, h, ..] = platform.random();
        let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let (engine, socketio) = (Arc::new(config.engine.clone()), Arc::new(config.socketio.clone()));
        let machine = Machine::new(engine, parser, socketio, seed);
        Self { machine, encoder: Encoder::new(), platform, config, wanted: None, line: None }
    }

    /// Creates a socket for a namespace: `/` or `/name`. It joins once [`Client::connect`] is called.
    ///
    /// # Errors
    /// Fails if the client has too many sockets.
    pub fn socket(&mut self, namespace: &str, options: SocketOptions) -> Result<SocketHandle, EmitError> {
        self.machine.socket(namespace, options)
    }

    /// Lets a socket join its namespace, and opens the connection if it is not open.
    pub fn connect(&mut self, socket: SocketHandle) {
        self.machine.connect(self.platform.now(), socket);
    }

    /// Lets a socket leave its namespace. The connection closes if no other socket uses it.
    pub fn disconnect(&mut self, socket: SocketHandle) {
        self.machine.disconnect(self.platform.now(), socket);
    }

    /// Closes the connection after what waits to be sent. The client does not connect again by itself.
    pub fn close(&mut self) {
        self.machine.close(self.platform.now());
    }

    /// Whether a socket has joined its namespace.
    pub fn is_connected(&self, socket: SocketHandle) -> bool {
        self.machine.is_connected(socket)
    }

    /// The id that the server gave a socket.
    pub fn id(&self, socket: SocketHandle) -> Option<&SocketId> {
        self.machine.id(socket)
    }

    /// Emits an event. A socket that is not connected keeps it until it is. [`Client::next`] sends it.
    ///
    /// # Errors
    /// Fails if the event cannot be encoded, or if too much waits to be sent.
    pub fn emit<A: Args + ?Sized>(&mut self, socket: SocketHandle, event: &str, args: &A) -> Result<(), EmitError> {
        self.machine.emit(self.platform.now(), &mut self.encoder, socket, event, args)
    }

    /// Emits an event and asks for an ack. The outcome is an [`Event::Acked`] with the returned id.
    ///
    /// # Errors
    /// Fails as [`Client::emit`], and if too many acks are awaited.
    pub fn emit_with_ack<A: Args + ?Sized>(
        &mut self,
        socket: SocketHandle,
        event: &str,
        args: &A,
        timeout: Option<Duration>,
    ) -> Result<AckId, EmitError> {
        self.machine.emit_with_ack(self.platform.now(), &mut self.encoder, socket, event, args, timeout)
    }

    /// Acknowledges an event of the server.
    ///
    /// # Errors
    /// Fails if the arguments cannot be encoded, or if too much waits to be sent.
    pub fn ack<A: Args + ?Sized>(&mut self, token: AckToken, args: &A) -> Result<(), EmitError> {
        self.machine.ack(&mut self.encoder, token, args)
    }

    /// The machine, for what this type has no method for.
    pub fn machine(&self) -> &Machine<P> {
        &self.machine
    }

    /// The platform.
    pub fn platform(&mut self) -> &mut L {
        &mut self.platform
    }

    /// Runs the client until there is an event. `None` if there is nothing left to do: no socket is connected or tries to be.
    ///
    /// The future can be dropped at any time, for example to emit something, and nothing is lost. The one exception is a
    /// [`Platform::connect`] that is in progress: it begins again.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let now = self.platform.now();
            self.machine.handle_timeout(now);
            self.read_messages(now);
            if let Some(event) = self.machine.poll_event() {
                return Some(event);
            }
            while let Some(transmit) = self.poll_transmit() {
                self.perform(now, transmit);
            }
            if self.machine.has_events() {
                continue;
            }
            if self.line.is_some() {
                self.transfer(now).await;
            } else if let Some((link, query)) = self.wanted.clone() {
                self.dial(link, &query).await;
            } else if let Some(deadline) = self.machine.poll_timeout() {
                self.platform.sleep_until(deadline).await;
            } else {
                return None;
            }
        }
    }

    /// Passes the messages that have arrived to the machine.
    fn read_messages(&mut self, now: Instant) {
        while self.machine.wants_input() {
            let Some(line) = &mut self.line else { return };
            let link = line.link;
            let Some(event) = line.websocket().and_then(|websocket| websocket.poll_event()) else { return };
            let message = match event {
                ConnectionEvent::Text(text) => Message::Text(text),
                ConnectionEvent::Binary(data) => Message::Binary(data),
                ConnectionEvent::Closed(closed) => {
                    // The answer to the peer's close frame is written before the stream is dropped.
                    line.ends_at.get_or_insert(now + self.config.engine.close_timeout);
                    let cause = match closed {
                        Closed::Error(_) => LinkDownCause::Failed,
                        _ => LinkDownCause::Closed,
                    };
                    self.machine.handle(now, Input::LinkDown { link, cause });
                    continue;
                }
                _ => continue,
            };
            self.machine.handle(now, Input::LinkMessage { link, message });
        }
    }

    /// The machine's next output. Packets only while the WebSocket has capacity.
    fn poll_transmit(&mut self) -> Option<Transmit> {
        let websocket = self.line.as_mut().and_then(Line::websocket);
        match websocket {
            Some(websocket) if websocket.outgoing_bytes() >= WRITE => self.machine.poll_control(),
            _ => self.machine.poll_transmit(),
        }
    }

    fn perform(&mut self, now: Instant, transmit: Transmit) {
        match transmit {
            Transmit::Connect { link, kind: LinkKind::WebSocket, query } => self.wanted = Some((link, query)),
            Transmit::Link { link, frame } => {
                let websocket = self.line.as_mut().filter(|line| line.link == link).and_then(Line::websocket);
                // Fails if the server has closed the WebSocket, which then needs no more packets.
                websocket.map(|websocket| websocket.send_parts(frame.is_binary(), &[frame.head(), frame.data()]));
            }
            Transmit::CloseLink { link } => {
                self.wanted.take_if(|(wanted, _)| *wanted == link);
                if let Some(line) = self.line.as_mut().filter(|line| line.link == link) {
                    line.ends_at = Some(now + self.config.engine.close_timeout);
                    match line.websocket() {
                        Some(websocket) => drop(websocket.close(1000, "")),
                        None => self.line = None,
                    }
                }
            }
            // Polling and WebTransport, which are not among the transports of the configuration.
            _ => {}
        }
    }

    /// Dials the link that the machine has asked for, until the machine gives up the attempt. Its other deadlines, such as those of acks,
    /// pass meanwhile, and what they report is returned after the attempt.
    async fn dial(&mut self, link: LinkId, query: &str) {
        let Self { machine, platform, .. } = self;
        let dialed = {
            let mut connect = pin!(platform.connect());
            loop {
                let deadline = machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
                if let Some(dialed) = before(connect.as_mut(), platform.sleep_until(deadline)).await {
                    break dialed;
                }
                machine.handle_timeout(platform.now());
                if !machine.is_opening() {
                    return;
                }
            }
        };
        self.wanted = None;
        let random = [platform.random(), platform.random()];
        self.line = dialed.ok().and_then(|stream| Line::new(link, stream, random, &self.config, query));
        if self.line.is_none() {
            let now = self.platform.now();
            self.machine.handle(now, Input::LinkDown { link, cause: LinkDownCause::Failed });
        }
    }

    /// Writes what waits to be written, or else reads, once, or until a deadline.
    async fn transfer(&mut self, now: Instant) {
        let Self { machine, platform, line: slot, config, .. } = self;
        let Some(line) = slot else { return };
        let has_output = line.has_output();
        let is_sent = !has_output && !line.unflushed;
        if line.ends_at.is_some_and(|ends_at| is_sent || ends_at <= now) {
            *slot = None;
            return;
        }
        let deadline = machine.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
        let deadline = line.ends_at.map_or(deadline, |ends_at| ends_at.min(deadline));
        let sleep = platform.sleep_until(deadline);
        if has_output {
            match before(line.stream.write(&line.out), sleep).await {
                None => {}
                Some(Ok(written)) if written > 0 && written <= line.out.len() => {
                    line.out.advance(written);
                    line.unflushed = true;
                }
                Some(_) => self.lost(now, LinkDownCause::Failed),
            }
            return;
        }
        if line.unflushed {
            match before(line.stream.flush(), sleep).await {
                None => {}
                Some(Ok(())) => line.unflushed = false,
                Some(Err(_)) => self.lost(now, LinkDownCause::Failed),
            }
            return;
        }
        let mut buffer = [0; READ];
        let Some(read) = before(line.stream.read(&mut buffer), sleep).await else { return };
        let (now, link) = (platform.now(), line.link);
        let Some(bytes) = read.ok().and_then(|count| buffer.get_mut(..count)).filter(|bytes| !bytes.is_empty()) else {
            return self.lost(now, LinkDownCause::Closed);
        };
        match line.handle(bytes, config) {
            Ok(false) => {}
            Ok(true) => machine.handle(now, Input::LinkUp { link }),
            Err(Refused) => self.lost(now, LinkDownCause::Failed),
        }
    }

    /// Drops the stream, and tells the machine, which ignores it if it has given up the link.
    fn lost(&mut self, now: Instant, cause: LinkDownCause) {
        if let Some(line) = self.line.take() {
            self.machine.handle(now, Input::LinkDown { link: line.link, cause });
        }
    }
}
