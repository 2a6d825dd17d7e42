//! The client's end of a simulated network: the [model](super::Client), which shares no code with the machines, or a client's
//! [machine](MachineEnd), with all that [`Watched`] checks.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use core::fmt::Debug;
use core::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::client::{Client, ClientAction, ClientEvent};
use super::invariants::{Violation, Watched, WatchedEvent};
use crate::client::{self, ClientMachine};
use crate::error::SendError;
use crate::event::{Event, LinkDownCause};
use crate::framing::Decoder;
use crate::http::ContentType;
use crate::id::{LinkId, RequestId};
use crate::message::Message;
use crate::time::Instant;

/// The client's end of a simulated network. Requests and links have numbers that the client chooses.
pub trait ClientEnd {
    /// An event for the client's application.
    type Event: Debug;

    /// The next action to perform.
    fn poll_action(&mut self) -> Option<ClientAction>;

    /// The next event.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`ClientEnd::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// Handles a deadline that has passed.
    fn handle_timeout(&mut self, now: Instant);

    /// Whether the client is open.
    fn is_open(&self) -> bool;

    /// Whether the client is closed.
    fn is_closed(&self) -> bool;

    /// Whether the client reads from its links.
    fn wants_input(&self) -> bool {
        true
    }

    /// Handles the answer to a request.
    fn response(&mut self, now: Instant, request: u64, status: u16, content_type: ContentType, body: Bytes);

    /// Handles the loss of a request's connection.
    fn failed(&mut self, now: Instant, request: u64);

    /// Handles a link that is up.
    fn link_up(&mut self, now: Instant, link: u64);

    /// Handles a message of a WebSocket.
    fn link_message(&mut self, now: Instant, link: u64, message: Message);

    /// Handles bytes of a WebTransport stream.
    fn link_bytes(&mut self, now: Instant, link: u64, bytes: Bytes);

    /// Handles a link that went down, or never came up.
    fn link_down(&mut self, now: Instant, link: u64, cause: LinkDownCause);

    /// Ends the client as if its process had died: it does nothing more.
    fn crash(&mut self);

    /// Checks what must hold at any time.
    ///
    /// # Errors
    /// The first violation.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }

    /// Checks the end of a run, when nothing is in transit any more.
    ///
    /// # Errors
    /// The first violation.
    fn check_end(&mut self, _now: Instant) -> Result<(), Violation> {
        Ok(())
    }

    /// Everything that the client received and returned, if logging was requested.
    fn log(&self) -> String {
        String::new()
    }
}

/// A client's end whose application sends and receives messages, for [scenarios](super::scenario) and for [exploration](super::explore).
pub trait MessageEnd: ClientEnd {
    /// Whether the client ends by itself if the network fails before it is open.
    const HAS_OPEN_TIMEOUT: bool;

    /// Opens the session. The model opens it when it is created.
    fn open(&mut self, _now: Instant) {}

    /// Sends a message.
    ///
    /// # Errors
    /// As [`client::Client::send`].
    fn send(&mut self, message: Message) -> Result<(), SendError>;

    /// Closes gracefully.
    fn close(&mut self, now: Instant);

    /// Whether the client is open, has nothing left to send, and is not about to leave polling.
    fn is_settled(&self) -> bool;

    /// The next event that matters here.
    fn next_event(&mut self) -> Option<ClientEvent>;
}

/// The model, with the decoders of its streams.
#[derive(Clone, Hash, Debug)]
pub struct ModelEnd {
    client: Client,
    streams: BTreeMap<u64, Decoder>,
}

impl ModelEnd {
    /// This client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client, streams: BTreeMap::new() }
    }
}

impl Deref for ModelEnd {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for ModelEnd {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl ClientEnd for ModelEnd {
    type Event = ClientEvent;

    fn poll_action(&mut self) -> Option<ClientAction> {
        self.client.poll_action()
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        self.client.poll_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    fn is_open(&self) -> bool {
        self.client.is_open()
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn response(&mut self, now: Instant, request: u64, status: u16, _content_type: ContentType, body: Bytes) {
        self.client.response(now, request, status, body);
    }

    fn failed(&mut self, _now: Instant, request: u64) {
        self.client.failed(request);
    }

    fn link_up(&mut self, _now: Instant, link: u64) {
        self.client.link_up(link);
    }

    fn link_message(&mut self, now: Instant, link: u64, message: Message) {
        if let Ok(packet) = self.client.decode(message) {
            self.client.link_packet(now, link, packet);
        }
    }

    fn link_bytes(&mut self, now: Instant, link: u64, bytes: Bytes) {
        let decoder = self.streams.entry(link).or_insert_with(|| Decoder::new(usize::MAX));
        decoder.push(bytes);
        while let Ok(Some(packet)) = decoder.next() {
            self.client.link_packet(now, link, packet);
        }
    }

    fn link_down(&mut self, _now: Instant, link: u64, _cause: LinkDownCause) {
        self.streams.remove(&link);
        self.client.link_down(link);
    }

    fn crash(&mut self) {
        self.client.crash();
    }
}

/// A client's machine: a [`client::Client`], or a machine that owns one.
#[derive(Clone, Hash, Debug)]
pub struct MachineEnd<M> {
    machine: Watched<M>,
    crashed: bool,
}

impl<M: ClientMachine<Event: WatchedEvent>> MachineEnd<M> {
    /// This machine, which the caller then tells to open its session. With `log`, its inputs and outputs are recorded.
    pub fn new(machine: M, log: bool) -> Self {
        let config = machine.client().config();
        let (limits, max_payload) = (config.limits.clone(), config.max_payload);
        Self { machine: Watched::new(machine, limits, max_payload, log), crashed: false }
    }

    /// Like [`MachineEnd::new`], and keeps only the state that the invariants need.
    pub fn without_history(machine: M) -> Self {
        let config = machine.client().config();
        let (limits, max_payload) = (config.limits.clone(), config.max_payload);
        Self { machine: Watched::without_history(machine, limits, max_payload), crashed: false }
    }

    /// The machine.
    pub const fn machine(&self) -> &Watched<M> {
        &self.machine
    }

    /// The machine, for commands.
    pub const fn machine_mut(&mut self) -> &mut Watched<M> {
        &mut self.machine
    }

    /// The client, read-only.
    pub fn client(&self) -> &client::Client {
        self.machine.get().client()
    }

    fn handle(&mut self, now: Instant, input: client::Input) {
        if !self.crashed {
            self.machine.handle(now, input);
        }
    }
}

impl<M: ClientMachine<Event: WatchedEvent>> ClientEnd for MachineEnd<M> {
    type Event = M::Event;

    fn poll_action(&mut self) -> Option<ClientAction> {
        if self.crashed {
            return None;
        }
        Some(match self.machine.poll_transmit()? {
            client::Transmit::Request { request, method: client::Method::Get, query } => {
                ClientAction::Get { request: request.0, query: query.to_string() }
            }
            client::Transmit::Request { request, method: client::Method::Post { body, content_type }, query } => {
                ClientAction::Post { request: request.0, query: query.to_string(), body, content_type }
            }
            client::Transmit::Cancel { request } => ClientAction::Cancel { request: request.0 },
            client::Transmit::Connect { link, kind, query } => {
                ClientAction::Connect { link: link.0, kind, query: query.to_string() }
            }
            client::Transmit::Link { link, frame } => ClientAction::Send { link: link.0, frame },
            client::Transmit::CloseLink { link } => ClientAction::Close { link: link.0 },
        })
    }

    fn poll_event(&mut self) -> Option<M::Event> {
        if self.crashed { None } else { self.machine.poll_event() }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.crashed { None } else { self.machine.get().poll_timeout() }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if !self.crashed {
            self.machine.handle_timeout(now);
        }
    }

    fn is_open(&self) -> bool {
        !self.crashed && self.client().is_open()
    }

    fn is_closed(&self) -> bool {
        self.crashed || self.client().is_closed()
    }

    fn wants_input(&self) -> bool {
        self.crashed || self.machine.get().wants_input()
    }

    fn response(&mut self, now: Instant, request: u64, status: u16, content_type: ContentType, body: Bytes) {
        self.handle(now, client::Input::Response { request: RequestId(request), status, content_type, body });
    }

    fn failed(&mut self, now: Instant, request: u64) {
        self.handle(now, client::Input::Failed { request: RequestId(request) });
    }

    fn link_up(&mut self, now: Instant, link: u64) {
        self.handle(now, client::Input::LinkUp { link: LinkId(link) });
    }

    fn link_message(&mut self, now: Instant, link: u64, message: Message) {
        self.handle(now, client::Input::LinkMessage { link: LinkId(link), message });
    }

    fn link_bytes(&mut self, now: Instant, link: u64, chunk: Bytes) {
        self.handle(now, client::Input::LinkBytes { link: LinkId(link), chunk });
    }

    fn link_down(&mut self, now: Instant, link: u64, cause: LinkDownCause) {
        self.handle(now, client::Input::LinkDown { link: LinkId(link), cause });
    }

    fn crash(&mut self) {
        self.crashed = true;
    }

    fn check(&self) -> Result<(), Violation> {
        if self.crashed { Ok(()) } else { self.machine.check() }
    }

    fn check_end(&mut self, now: Instant) -> Result<(), Violation> {
        if self.crashed {
            return Ok(());
        }
        self.machine.check_settled()?;
        if self.machine.ended() { self.machine.check_after_end(now) } else { Ok(()) }
    }

    fn log(&self) -> String {
        self.machine.log().into()
    }
}

/// A client's machine that sends messages.
pub trait MessageMachine: ClientMachine<Event = Event> {
    /// Opens the session. See [`client::Client::open`].
    fn open(&mut self, now: Instant);

    /// Sends a message. See [`client::Client::send`].
    ///
    /// # Errors
    /// See [`client::Client::send`].
    fn send(&mut self, message: Message) -> Result<(), SendError>;
}

impl MessageMachine for client::Client {
    fn open(&mut self, now: Instant) {
        self.open(now);
    }

    fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send(message)
    }
}

impl MessageEnd for ModelEnd {
    const HAS_OPEN_TIMEOUT: bool = false;

    fn send(&mut self, message: Message) -> Result<(), SendError> {
        if !self.client.is_open() {
            return Err(SendError::NotConnected);
        }
        self.client.send(message);
        Ok(())
    }

    fn close(&mut self, _now: Instant) {
        self.client.close();
    }

    fn is_settled(&self) -> bool {
        self.client.is_settled()
    }

    fn next_event(&mut self) -> Option<ClientEvent> {
        self.client.poll_event()
    }
}

impl<M: MessageMachine> MessageEnd for MachineEnd<M> {
    const HAS_OPEN_TIMEOUT: bool = true;

    fn open(&mut self, now: Instant) {
        self.machine.timed_command(now, 0, |machine, now| machine.open(now));
    }

    fn send(&mut self, message: Message) -> Result<(), SendError> {
        if self.crashed {
            return Err(SendError::Closed);
        }
        let size = message.len().saturating_add(64);
        self.machine.command(size, |machine| machine.send(message))
    }

    fn close(&mut self, now: Instant) {
        if !self.crashed {
            self.machine.timed_command(now, 0, |machine, now| machine.close(now));
        }
    }

    fn is_settled(&self) -> bool {
        // A client that is pausing its polls is not writable.
        !self.crashed && self.machine.get().is_writable() && self.machine.get().buffered_bytes() == 0
    }

    fn next_event(&mut self) -> Option<ClientEvent> {
        loop {
            return Some(match self.poll_event()? {
                Event::Open => ClientEvent::Open,
                Event::Message(message) => ClientEvent::Message(message),
                Event::Upgraded(_) => ClientEvent::Upgraded,
                Event::Closed(reason) => ClientEvent::Closed(reason.as_str()),
                Event::UpgradeFailed(_) | Event::Ping | Event::Writable => continue,
            });
        }
    }
}
