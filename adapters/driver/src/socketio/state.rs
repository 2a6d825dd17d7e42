//! The state of namespaces and their sockets, as all tasks see it, and what a task can ask of a connection.
//!
//! These types hold each other: a namespace its sockets and handlers, a handler takes a socket, a socket knows its namespace. So they are one
//! file. What can be done with them is in the files beside it, each of which knows this one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engineio_proto::Text;
use futures_channel::oneshot;
use http::request::Parts;
use slab::Slab;
use socketio_proto::{
    AckError, AckId, AckToken, Args, DisconnectReason, EncodeError, Encoded, Json, Outgoing, Parser, Payload,
    SocketHandle, SocketId, server as proto,
};

use super::answer::AnswerSink;
use super::encoder;
use super::extensions::Extensions;
use crate::handler::{ErasedHandler, HandlerResult};
use crate::handshake::Handshake;
use crate::inbox::Inbox;
use crate::loud::{Loud, Times};
use crate::peer::Peer;
use crate::sync::lock;
use crate::timers::Alarm;

/// A peer that speaks Socket.IO.
pub(crate) type SocketPeer<P> = Peer<Command<P>, Shared>;

/// What everybody sees of a peer.
pub(crate) struct Shared {
    pub(crate) handshake: Handshake,
    next_ack: AtomicU32,
    /// Bytes in an inbox at which the peer is no longer read from.
    pub(crate) soft_inbound: usize,
    /// Inboxes over that limit.
    pub(crate) full_inboxes: AtomicUsize,
    pub(crate) loud: Loud,
}

impl Shared {
    pub(crate) fn new(parts: &Parts, config: &engineio_proto::Config) -> Self {
        Self {
            handshake: Handshake::new(parts),
            next_ack: AtomicU32::new(0),
            soft_inbound: config.limits.soft_inbound,
            full_inboxes: AtomicUsize::new(0),
            loud: Loud::default(),
        }
    }

    /// Even, below 2^31: odd ids are the namespaces'.
    pub(crate) fn next_ack_id(&self) -> AckId {
        AckId(self.next_ack.fetch_add(2, Ordering::Relaxed) & 0x7fff_fffe)
    }
}

/// What other tasks can ask of a connection.
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
    ShutDown,
    Discard,
}

/// Where the outcome of an ack goes.
pub(crate) enum AckSink<P: Parser> {
    Socket(AnswerSink),
    Broadcast { namespace: Arc<NamespaceInner<P>>, key: SocketKey },
}

/// One peer on one namespace. A handle: clones are the same socket. Holding one does not keep the connection open, and after the
/// disconnect it holds no more than itself.
pub struct Socket<P: Parser = Json>(pub(crate) Arc<SocketInner<P>>);

pub(crate) struct SocketInner<P: Parser> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) namespace: Arc<NamespaceInner<P>>,
    /// What its connection knows it by.
    pub(crate) handle: SocketHandle,
    /// What its namespace knows it by.
    pub(crate) key: SocketKey,
    /// What everybody else knows it by.
    pub(crate) id: SocketId,
    pub(crate) auth: Option<Payload>,
    /// Payloads, and the right to answer them. Not [`Event`]s, which hold the socket itself.
    pub(crate) inbox: Inbox<(Payload, Option<AckToken>)>,
    pub(crate) connected: AtomicBool,
    pub(crate) extensions: Extensions,
}

/// A socket in the table of its namespace: where it is, and a number that tells it from those who were there before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SocketKey {
    pub(super) index: u32,
    pub(super) serial: u32,
}

/// An event of a client.
pub struct Event<P: Parser = Json> {
    pub(super) payload: Payload,
    pub(super) ack: Option<Ack<P>>,
}

/// The right to answer an event once.
#[must_use = "the client waits for the answer"]
pub struct Ack<P: Parser = Json> {
    pub(super) socket: Arc<SocketInner<P>>,
    pub(super) token: AckToken,
}

/// A client that wants to join a namespace; what a guard decides on.
pub struct ConnectRequest<P: Parser = Json> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) auth: Option<Payload>,
    pub(crate) extensions: Arc<Extensions>,
}

/// What a guard decides.
pub type GuardResult = Result<(), Refusal>;

/// Why a client may not join: what it gets as `connect_error`.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

/// A namespace. A handle: clones are the same namespace.
pub struct Namespace<P: Parser = Json>(pub(crate) Arc<NamespaceInner<P>>);

pub(crate) struct NamespaceInner<P: Parser> {
    pub(crate) name: Text,
    parser: P,
    /// Of one packet.
    max_attachments: u8,
    pub(super) emits: Emits,
    pub(super) alarm: Arc<Alarm>,
    pub(super) members: Mutex<Members<P>>,
    handlers: Mutex<Arc<Handlers<P>>>,
    /// Panics of observers of rooms, which sockets can cause as often as they like.
    pub(super) room_panicked: Times,
}

/// How the plain emits of a socket travel. Fixed when the server is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Emits {
    /// Straight to the mailbox of the peer.
    Direct,
    /// As operations of the namespace's machine, in one order with everything else that it does.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "recovery and clusters will want it; the tests hold both ways against each other")
    )]
    Ordered,
}

/// What a namespace's lock guards. Nothing of the application runs under it.
pub(super) struct Members<P: Parser> {
    pub(super) machine: proto::Namespace<SocketKey>,
    pub(super) sockets: Slab<Arc<SocketInner<P>>>,
    pub(super) last_serial: u32,
    /// Broadcasts with acks whose answers are coming in.
    pub(super) broadcasts: HashMap<AckId, AwaitedAnswers<P>>,
    /// What observers have yet to be told, in order.
    pub(super) room_events: VecDeque<RoomEvent>,
    /// Somebody tells them: others leave it to them, so that the order stays.
    pub(super) telling: bool,
}

/// The answers to a broadcast that have come so far.
pub(super) struct AwaitedAnswers<P: Parser> {
    pub(super) answers: Vec<AnswerOf<P>>,
    pub(super) sink: AnswersSink<P>,
}

/// What one recipient of a broadcast answered.
pub(crate) type AnswerOf<P> = (Socket<P>, Result<Payload, AckError>);

pub(crate) type AnswersSink<P> = oneshot::Sender<Vec<AnswerOf<P>>>;

/// What happened to a room. The machine's event with the sockets' ids.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RoomEvent {
    /// A room got its first member.
    Created {
        /// Its name.
        room: Text,
    },
    /// A room lost its last member.
    Deleted {
        /// Its name.
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

/// A handler that several tables share: sockets keep the table that was there when they connected.
pub(crate) type SharedHandler<A, T = HandlerResult> = Arc<ErasedHandler<A, T>>;

pub(crate) type EventHandler<P> = SharedHandler<(Socket<P>, Event<P>)>;

pub(crate) type RoomObserver = Arc<dyn Fn(RoomEvent) + Send + Sync>;

/// The handlers of a namespace. A socket keeps those that were there when it connected.
pub(crate) struct Handlers<P: Parser> {
    pub(crate) guard: Option<SharedHandler<(ConnectRequest<P>,), GuardResult>>,
    pub(crate) connect: Option<SharedHandler<(Socket<P>,)>>,
    /// Sorted by length, then name: a look-up hardly ever compares more than one name.
    pub(super) events: Vec<(Box<str>, EventHandler<P>)>,
    pub(super) any: Option<EventHandler<P>>,
    pub(crate) disconnecting: Option<SharedHandler<(Socket<P>, DisconnectReason)>>,
    pub(crate) disconnect: Option<SharedHandler<(Socket<P>, DisconnectReason)>>,
    pub(crate) rooms: Vec<RoomObserver>,
}

impl<P: Parser> SocketInner<P> {
    pub(crate) fn new(
        peer: Arc<SocketPeer<P>>,
        namespace: Arc<NamespaceInner<P>>,
        (handle, key, id): (SocketHandle, SocketKey, SocketId),
        auth: Option<Payload>,
        extensions: Extensions,
    ) -> Self {
        let connected = AtomicBool::new(true);
        Self { peer, namespace, handle, key, id, auth, inbox: Inbox::new(), connected, extensions }
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
            telling: false,
        };
        Self {
            name,
            parser,
            max_attachments,
            emits,
            alarm,
            members: Mutex::new(members),
            handlers: Mutex::new(Arc::new(Handlers::new())),
            room_panicked: Times::new(),
        }
    }

    /// Encodes a packet for sockets of this namespace.
    pub(crate) fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>) -> Result<Encoded, EncodeError> {
        encoder::encode(&self.parser, self.max_attachments, packet)
    }

    pub(crate) fn handlers(&self) -> Arc<Handlers<P>> {
        Arc::clone(&lock(&self.handlers))
    }

    pub(super) fn change_handlers(&self, change: impl FnOnce(&mut Handlers<P>)) {
        let mut handlers = lock(&self.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // Dropped after the lock was let go: handlers hold what is the application's.
        drop(old);
    }
}

impl<P: Parser> Handlers<P> {
    fn new() -> Self {
        Self {
            guard: None,
            connect: None,
            events: Vec::new(),
            any: None,
            disconnecting: None,
            disconnect: None,
            rooms: Vec::new(),
        }
    }
}

impl<P: Parser> Clone for Handlers<P> {
    fn clone(&self) -> Self {
        Self {
            guard: self.guard.clone(),
            connect: self.connect.clone(),
            events: self.events.clone(),
            any: self.any.clone(),
            disconnecting: self.disconnecting.clone(),
            disconnect: self.disconnect.clone(),
            rooms: self.rooms.clone(),
        }
    }
}
