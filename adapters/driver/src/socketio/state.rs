//! The shared state of namespaces and their sockets, and the commands that tasks send to a connection.
//!
//! These types refer to each other: a namespace contains sockets and handlers, a handler takes a socket, and a socket refers to
//! its namespace. So they are in one file. Their methods are in the other files of this folder, which all depend on this one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engineio_proto::server::Transport;
use engineio_proto::{Message, Text};
use futures_channel::oneshot;
use http::request::Parts;
use slab::Slab;
use socketio_proto::{
    AckError, AckId, AckToken, Args, Decoder as _, DisconnectReason, EncodeError, Encoded, Encoder, Json, Limits,
    Outgoing, Parser, Payload, SocketHandle, SocketId, server as proto,
};

use super::answer::AnswerSink;
use super::encoder;
use super::handlers::NamedHandler;
use super::recovery::KeptValues;
use super::registry::{Latch, Role};
use super::states::States;
use crate::client::ClientPeer;
use crate::extensions::Extensions;
use crate::handler::{ErasedHandler, HandlerResult};
use crate::handshake::Handshake;
use crate::inbox::Inbox;
use crate::log_limit::{LogCounters, Occurrences};
use crate::peer::{Peer, set_transport, transport_of};
use crate::sync::lock;
use crate::timers::Alarm;

/// A peer that uses Socket.IO.
pub(crate) type SocketPeer<P> = Peer<Command<P>, Shared>;

/// The state of a peer that all tasks can access.
pub(crate) struct Shared {
    pub(crate) handshake: Handshake,
    next_ack: AtomicU32,
    /// Size of an inbox in bytes at which the server stops reading from the peer.
    pub(crate) soft_inbound: usize,
    /// Number of inboxes over that limit.
    pub(crate) full_inboxes: AtomicUsize,
    pub(crate) log_counters: LogCounters,
    transport: AtomicU8,
}

impl Shared {
    pub(crate) fn new(parts: &Parts, config: &engineio_proto::Config) -> Self {
        Self {
            handshake: Handshake::new(parts),
            next_ack: AtomicU32::new(0),
            soft_inbound: config.limits.soft_inbound,
            full_inboxes: AtomicUsize::new(0),
            log_counters: LogCounters::default(),
            transport: AtomicU8::new(0),
        }
    }

    /// What carries the session.
    pub(crate) fn transport(&self) -> Transport {
        transport_of(&self.transport)
    }

    pub(crate) fn set_transport(&self, transport: Transport) {
        set_transport(&self.transport, transport);
    }

    /// Returns an even id below 2^31. Odd ids are used by namespaces.
    pub(crate) fn next_ack_id(&self) -> AckId {
        AckId(self.next_ack.fetch_add(2, Ordering::Relaxed) & 0x7fff_fffe)
    }
}

/// Commands that other tasks send to a connection.
pub(crate) enum Command<P: Parser> {
    Send {
        socket: SocketHandle,
        encoded: Encoded,
        volatile: bool,
    },
    SendWithAck {
        socket: SocketHandle,
        encoded: Encoded,
        id: AckId,
        timeout: Option<Duration>,
        volatile: bool,
        sink: AckSink<P>,
    },
    Ack {
        encoded: Encoded,
    },
    Disconnect {
        socket: SocketHandle,
    },
    Close,
    CloseSession,
    ShutDown,
    Discard,
}

/// The receiver of the outcome of an ack.
pub(crate) enum AckSink<P: Parser> {
    Socket(AnswerSink),
    Broadcast { namespace: Arc<NamespaceInner<P>>, key: SocketKey },
}

/// One client on one namespace. This is a handle: clones refer to the same socket. It does not keep the connection open. A
/// handle that is kept after the socket has disconnected keeps the namespace and the handshake in memory, but no connection and no
/// queued packets.
pub struct Socket<P: Parser = Json>(pub(crate) Arc<SocketInner<P>>);

pub(crate) struct SocketInner<P: Parser> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) namespace: Arc<NamespaceInner<P>>,
    /// Identifies the socket within its connection.
    pub(crate) handle: SocketHandle,
    /// Identifies the socket within its namespace.
    pub(crate) key: SocketKey,
    /// Identifies the socket everywhere else.
    pub(crate) id: SocketId,
    pub(crate) auth: Option<Payload>,
    /// Payloads and the tokens to ack them. Not [`Event`]s, because they refer to the socket itself.
    pub(crate) inbox: Inbox<(Payload, Option<AckToken>)>,
    pub(crate) connected: AtomicBool,
    pub(crate) extensions: Extensions,
    /// Whether it has left its namespace, and those who waited for that were told.
    pub(super) has_left: AtomicBool,
    /// Whether the socket has, or had, handlers of its own: [`OwnHandlers`] among its values.
    pub(super) has_own: AtomicBool,
    /// Whether the client has returned after a lost connection.
    pub(crate) recovered: bool,
}

/// Identifies a socket in the table of its namespace: its index, and a serial number that distinguishes it from earlier sockets
/// at this index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SocketKey {
    pub(super) index: u32,
    pub(super) serial: u32,
}

/// An event that a client has sent.
pub struct Event<P: Parser = Json> {
    pub(super) payload: Payload,
    pub(super) ack: Option<Ack<P>>,
}

/// The right to send the ack of an event, once.
#[must_use = "the client waits for the answer"]
pub struct Ack<P: Parser = Json> {
    pub(super) from: AckFrom<P>,
    /// `None` after it was used.
    pub(super) token: Option<AckToken>,
    /// Where the token goes if the ack is dropped unused.
    pub(super) home: Option<Arc<AckHome>>,
}

/// Which end sends an ack.
pub(super) enum AckFrom<P: Parser> {
    /// A socket of a server.
    Server(Arc<SocketInner<P>>),
    /// A client.
    Client(Arc<ClientPeer<P>>),
}

/// Keeps an ack that a handler has dropped unused, for the handler of its failure.
pub(crate) type AckHome = Mutex<Option<AckToken>>;

/// A client's request to join a namespace, on which middleware decides.
pub struct ConnectRequest<P: Parser = Json> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) namespace: Text,
    pub(crate) auth: Option<Payload>,
    pub(crate) extensions: Arc<Extensions>,
    /// The state of the server.
    pub(super) states: Arc<States>,
}

/// The decision of a middleware: whether a client may join.
pub type MiddlewareResult = Result<(), Refusal>;

/// The reason why a client may not join a namespace. The client receives it as `connect_error`.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

/// A namespace: a part of a server with middleware, handlers, sockets and rooms of its own. Clients join it by its name
/// (`io("https://host/admin")` in JavaScript), and several namespaces share the connection of a client. This is a handle: clones refer to
/// the same namespace. [`Server::of`](crate::Server::of) creates one.
///
/// What is set on it applies to clients that join afterwards.
pub struct Namespace<P: Parser = Json>(pub(crate) Arc<NamespaceInner<P>>);

pub(crate) struct NamespaceInner<P: Parser> {
    pub(crate) name: Text,
    parser: P,
    /// The limit for one packet.
    max_attachments: u8,
    pub(super) emits: Emits,
    pub(super) alarm: Arc<Alarm>,
    pub(super) members: Mutex<Members<P>>,
    handlers: Mutex<Arc<Handlers<P>>>,
    /// Panics of room observers, which clients may be able to cause repeatedly.
    pub(super) room_panicked: Occurrences,
    pub(super) role: Role<P>,
    pub(super) latch: Latch,
    /// Whether it was removed from the server.
    pub(super) removed: AtomicBool,
    /// Whether anything observes, or has observed, what is sent to the sockets.
    pub(super) observed: AtomicBool,
    /// Panics of these observers.
    pub(super) observer_panicked: Occurrences,
    /// Whether clients can return after a lost connection.
    pub(super) recovers: bool,
    /// Whether that has ended, because the namespace was removed, or its server shuts down.
    pub(super) keeps_nothing: AtomicBool,
    /// The state of the server.
    pub(super) states: Arc<States>,
}

/// How a plain emit of a socket reaches the peer. Fixed when the server is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Emits {
    /// Directly through the mailbox of the peer.
    Direct,
    /// As an operation of the namespace's machine, in one order with all its other operations.
    Ordered,
}

/// The state behind the lock of a namespace. No application code runs under the lock.
pub(super) struct Members<P: Parser> {
    pub(super) machine: proto::Namespace<SocketKey>,
    pub(super) sockets: Slab<Arc<SocketInner<P>>>,
    pub(super) last_serial: u32,
    /// Broadcasts with acks that are still awaited.
    pub(super) broadcasts: HashMap<AckId, AwaitedAnswers<P>>,
    /// Events that observers have not received yet, in order.
    /// Each with the number of observers at that time: later ones do not receive it.
    pub(super) room_events: VecDeque<(RoomEvent, usize)>,
    /// How many observers there are: so many of the handlers' `rooms`.
    pub(super) observers: usize,
    /// Whether a task is passing events to the observers. Other tasks leave their events to it, so that the order is kept.
    pub(super) notifying: bool,
    /// What is kept for sockets whose clients may return.
    pub(super) kept: HashMap<SocketKey, KeptValues>,
}

/// The answers to a broadcast that have arrived so far.
pub(super) struct AwaitedAnswers<P: Parser> {
    pub(super) answers: Vec<AnswerOf<P>>,
    pub(super) sink: AnswersSink<P>,
}

/// The answer of one recipient of a broadcast.
pub(crate) type AnswerOf<P> = (Socket<P>, Result<Payload, AckError>);

pub(crate) type AnswersSink<P> = oneshot::Sender<Vec<AnswerOf<P>>>;

/// A change of a room, passed to [`Namespace::on_room`]. `Created` comes before the first `Joined`, and `Deleted` after the last `Left`.
/// The room of a socket's own id counts too.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RoomEvent {
    /// A room got its first member.
    Created {
        /// The room's name.
        room: Text,
    },
    /// A room lost its last member.
    Deleted {
        /// The room's name.
        room: Text,
    },
    /// A socket joined a room.
    Joined {
        /// The socket's id.
        socket: SocketId,
        /// The room's name.
        room: Text,
    },
    /// A socket left a room.
    Left {
        /// The socket's id.
        socket: SocketId,
        /// The room's name.
        room: Text,
    },
}

/// A handler that several tables share: each socket keeps the table that was current when it connected.
pub(crate) type SharedHandler<A, T = HandlerResult> = Arc<ErasedHandler<A, T>>;

pub(crate) type EventHandler<P> = SharedHandler<(Socket<P>, Event<P>)>;

pub(crate) type RoomObserver = Arc<dyn Fn(RoomEvent) + Send + Sync>;

/// What a filter makes of an event: passes it on, drops it, or fails.
pub type FilterResult<P = Json> = Result<Option<Event<P>>, String>;

pub(crate) type Filter<P> = SharedHandler<(Socket<P>, Event<P>), FilterResult<P>>;

pub(crate) type DisconnectHandler<P> = SharedHandler<(Socket<P>, DisconnectReason)>;

/// A handler did not succeed. The handler of [`Namespace::on_error`] gets it.
#[non_exhaustive]
pub struct HandlerFailure<P: Parser = Json> {
    /// The socket.
    pub socket: Socket<P>,
    /// Which handler it was.
    pub handler: HandlerKind,
    /// The name of the event, if the handler was started with one.
    pub event: Option<String>,
    /// How it failed.
    pub kind: FailureKind,
    /// The text of the error or of the panic, or why the handler was not started.
    pub error: String,
    /// The right to send the ack, if the client waits for one and the handler has dropped it unused. `None` as well if another handler has
    /// it, or a task to which the handler has passed it.
    pub ack: Option<Ack<P>>,
}

/// The kind of a handler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum HandlerKind {
    /// [`Namespace::on_connect`].
    Connect,
    /// [`Namespace::on`], [`Socket::on`] or [`Socket::once`].
    Event,
    /// [`Namespace::on_any`] or [`Socket::on_any`].
    Any,
    /// [`Namespace::on_unhandled`].
    Unhandled,
    /// [`Namespace::filter`] or [`Socket::filter`].
    Filter,
    /// [`Namespace::on_upgrade`].
    Upgrade,
    /// [`Namespace::on_disconnecting`] or [`Socket::on_disconnecting`].
    Disconnecting,
    /// [`Namespace::on_disconnect`] or [`Socket::on_disconnect`].
    Disconnect,
    /// [`Namespace::on_error`]. Its own failures are logged.
    Error,
}

/// How a handler failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// It returned an error.
    Failed,
    /// It was not started, because an argument could not be extracted.
    NotStarted,
    /// It panicked.
    Panicked,
}

/// The handlers that an application has set for one socket. They are among its values. A change makes a new table, so that no lock is held
/// while a handler runs.
pub(super) struct OwnHandlers<P: Parser> {
    /// In the order in which they were set.
    pub(super) events: Vec<OwnEventHandler<P>>,
    pub(super) any: Option<EventHandler<P>>,
    pub(super) filters: Vec<Filter<P>>,
    pub(super) disconnecting: Option<DisconnectHandler<P>>,
    pub(super) disconnect: Option<DisconnectHandler<P>>,
    pub(super) outgoing: Vec<OutgoingObserver<P>>,
}

pub(super) struct OwnEventHandler<P: Parser> {
    pub(super) name: Arc<str>,
    /// Whether it is removed when it is started.
    pub(super) once: bool,
    pub(super) handler: EventHandler<P>,
}

/// Called with every event that is sent to a socket.
pub(crate) type OutgoingObserver<P> = Arc<dyn Fn(&Socket<P>, &Payload) + Send + Sync>;

/// The handlers of a namespace. A socket keeps the handlers that were set when it connected.
pub(crate) struct Handlers<P: Parser> {
    pub(crate) middleware: Vec<SharedHandler<(ConnectRequest<P>,), MiddlewareResult>>,
    pub(crate) connect: Option<SharedHandler<(Socket<P>,)>>,
    /// Sorted, for lookups.
    pub(super) events: Vec<NamedHandler<P>>,
    pub(super) any: Option<EventHandler<P>>,
    pub(crate) disconnecting: Option<DisconnectHandler<P>>,
    pub(crate) disconnect: Option<DisconnectHandler<P>>,
    pub(crate) rooms: Vec<RoomObserver>,
    pub(crate) upgrade: Option<SharedHandler<(Socket<P>, Transport)>>,
    pub(crate) filters: Vec<Filter<P>>,
    pub(crate) unhandled: Option<EventHandler<P>>,
    pub(crate) error: Option<SharedHandler<(HandlerFailure<P>,)>>,
    pub(crate) outgoing: Vec<OutgoingObserver<P>>,
    /// Whether more than the handler of its name may see an event.
    pub(crate) has_stages: bool,
}

impl<P: Parser> SocketInner<P> {
    pub(crate) fn new(
        peer: Arc<SocketPeer<P>>,
        namespace: Arc<NamespaceInner<P>>,
        (handle, key, id): (SocketHandle, SocketKey, SocketId),
        auth: Option<Payload>,
        extensions: Extensions,
    ) -> Self {
        Self {
            peer,
            namespace,
            handle,
            key,
            id,
            auth,
            inbox: Inbox::new(),
            connected: AtomicBool::new(true),
            extensions,
            has_left: AtomicBool::new(false),
            has_own: AtomicBool::new(false),
            recovered: false,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

impl<P: Parser> NamespaceInner<P> {
    pub(crate) fn new(name: Text, parser: P, max_attachments: u8, emits: Emits, alarm: Arc<Alarm>) -> Self {
        let members = Members {
            machine: proto::Namespace::new(),
            sockets: Slab::new(),
            last_serial: 0,
            broadcasts: HashMap::new(),
            room_events: VecDeque::new(),
            observers: 0,
            notifying: false,
            kept: HashMap::new(),
        };
        Self {
            name,
            parser,
            max_attachments,
            emits,
            alarm,
            members: Mutex::new(members),
            handlers: Mutex::new(Arc::new(Handlers::new())),
            room_panicked: Occurrences::new(),
            role: Role::Static,
            latch: Latch::default(),
            removed: AtomicBool::new(false),
            observed: AtomicBool::new(false),
            observer_panicked: Occurrences::new(),
            recovers: false,
            keeps_nothing: AtomicBool::new(false),
            states: Arc::default(),
        }
    }

    /// Sets the handlers and the role of a namespace that was just created.
    pub(super) fn with_role(mut self, role: Role<P>, handlers: Arc<Handlers<P>>) -> Self {
        handlers.rooms.iter().for_each(|_| self.observe_rooms());
        *self.observed.get_mut() = !handlers.outgoing.is_empty();
        self.role = role;
        self.handlers = Mutex::new(handlers);
        self
    }

    /// Encodes a packet for sockets of this namespace.
    pub(crate) fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>) -> Result<Encoded, EncodeError> {
        encoder::encode(&self.parser, self.max_attachments, packet)
    }

    /// Decodes a packet that was encoded for sockets of this namespace, whose limits do not apply.
    pub(super) fn decode(&self, encoded: &Encoded) -> Option<Payload> {
        let mut limits = Limits::default();
        limits.max_attachments = u8::MAX;
        limits.max_depth = u16::MAX;
        let mut decoder = self.parser.decoder(&limits);
        let messages = encoded.frames().iter().map(|frame| match frame.is_binary() {
            true => Some(Message::Binary(frame.data().clone())),
            false => Text::try_from(frame.data().clone()).ok().map(Message::Text),
        });
        messages.map_while(|message| decoder.decode(message?).ok()).flatten().last()?.payload
    }

    /// Same as [`NamespaceInner::encode`], with this encoder.
    pub(super) fn encode_with<A: Args + ?Sized>(
        &self,
        encoder: &mut Encoder,
        packet: &Outgoing<'_, A>,
    ) -> Result<Encoded, EncodeError> {
        encoder::encode_with(&self.parser, self.max_attachments, packet, encoder)
    }

    pub(crate) fn handlers(&self) -> Arc<Handlers<P>> {
        Arc::clone(&lock(&self.handlers))
    }

    pub(super) fn change_handlers(&self, change: impl FnOnce(&mut Handlers<P>)) {
        let mut handlers = lock(&self.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        changed.has_stages = changed.any.is_some() || !changed.filters.is_empty() || changed.unhandled.is_some();
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // After the lock is released, because dropping handlers runs application code.
        drop(old);
    }
}

impl<P: Parser> Handlers<P> {
    pub(super) fn new() -> Self {
        Self {
            middleware: Vec::new(),
            connect: None,
            events: Vec::new(),
            any: None,
            disconnecting: None,
            disconnect: None,
            rooms: Vec::new(),
            upgrade: None,
            filters: Vec::new(),
            unhandled: None,
            error: None,
            outgoing: Vec::new(),
            has_stages: false,
        }
    }
}

impl<P: Parser> Clone for Handlers<P> {
    fn clone(&self) -> Self {
        Self {
            middleware: self.middleware.clone(),
            connect: self.connect.clone(),
            events: self.events.clone(),
            any: self.any.clone(),
            disconnecting: self.disconnecting.clone(),
            disconnect: self.disconnect.clone(),
            rooms: self.rooms.clone(),
            upgrade: self.upgrade.clone(),
            filters: self.filters.clone(),
            unhandled: self.unhandled.clone(),
            error: self.error.clone(),
            outgoing: self.outgoing.clone(),
            has_stages: self.has_stages,
        }
    }
}
