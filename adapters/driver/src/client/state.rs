//! The shared state of a client and of its sockets, and the commands that tasks send to its connection.
//!
//! These types refer to each other, so they are in one file. Their methods are in the other files of this folder.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use engineio_proto::Text;
use engineio_proto::server::Transport;
use futures_channel::oneshot;
use socketio_proto::{
    AckId, AckToken, Args, DisconnectReason, EncodeError, Encoded, Json, Outgoing, Parser, Payload, SocketHandle,
    SocketId,
};

use super::failure::ConnectFailure;
use crate::extensions::Extensions;
use crate::handler::HandlerResult;
use crate::inbox::Inbox;
use crate::log_limit::LogCounters;
use crate::peer::{Peer, set_transport, transport_of};
use crate::socketio::{AnswerSink, Event, SharedHandler, States, encoder};
use crate::sync::lock;
use crate::tasks::Tasks;

/// The mailbox of a client.
pub(crate) type ClientPeer<P> = Peer<Command<P>, Shared<P>>;

/// The state of a client that all tasks can access.
pub(crate) struct Shared<P: Parser> {
    pub(super) parser: P,
    /// The limit for one packet.
    pub(super) max_attachments: u8,
    next_ack: AtomicU32,
    /// Whether sockets send events again until they are acknowledged.
    pub(super) retries: bool,
    /// Size of an inbox in bytes at which the client stops reading.
    pub(super) soft_inbound: usize,
    /// Number of inboxes over that limit.
    pub(super) full_inboxes: AtomicUsize,
    pub(super) log_counters: LogCounters,
    transport: AtomicU8,
    /// The sockets, one for each namespace. Most clients have one. Emptied when the task ends.
    pub(super) sockets: Mutex<Vec<Arc<SocketInner<P>>>>,
    /// The observers of the connection.
    pub(super) observers: Mutex<Arc<Vec<Observer<P>>>>,
    /// Makes handles for handlers. Empty once the application has dropped its last handle.
    pub(super) handle: Mutex<Weak<Handle<P>>>,
    pub(super) states: States,
}

/// Called with what happens to a connection.
pub(super) type Observer<P> = SharedHandler<(Client<P>, ConnectionEvent)>;

/// Keeps a client's connection open: when the last one is dropped, the connection is closed.
pub(super) struct Handle<P: Parser> {
    pub(super) peer: Arc<ClientPeer<P>>,
    /// Links that linger, and handlers that outlive the client.
    pub(super) tasks: Tasks,
}

/// A connection to a server, with any number of sockets. See the [module](super).
///
/// This is a handle: clones refer to the same connection. When the last handle is dropped, sockets of the client included, the connection
/// is closed as by [`Client::close`]. A handler that owns a handle keeps it open.
pub struct Client<P: Parser = Json>(pub(super) Arc<Handle<P>>);

/// This client on one namespace. This is a handle: clones refer to the same socket. It keeps the connection open, as a [`Client`] does.
pub struct Socket<P: Parser = Json> {
    pub(super) inner: Arc<SocketInner<P>>,
    pub(super) handle: Arc<Handle<P>>,
}

pub(crate) struct SocketInner<P: Parser> {
    pub(super) namespace: Text,
    /// The handle in the machine, which learns of the socket with the first command.
    pub(super) handle: OnceLock<SocketHandle>,
    pub(super) status: Mutex<Status>,
    /// Payloads, and the tokens to ack them.
    pub(super) inbox: Inbox<(Payload, Option<AckToken>)>,
    pub(super) handlers: Mutex<Arc<Handlers<P>>>,
    pub(super) extensions: Extensions,
}

/// The state of a socket, as its task knows it.
#[derive(Default)]
pub(super) struct Status {
    /// The id, while the socket is connected.
    pub(super) id: Option<SocketId>,
    pub(super) recovered: bool,
    /// Whether the socket is connected or will be, without a command of the application.
    pub(super) active: bool,
    /// The commands to connect that the task has not executed yet. What happened before them changes nothing about `active`.
    pub(super) connecting: u32,
    /// Those who wait until it is connected or has failed to connect.
    pub(super) waiting: Vec<oneshot::Sender<Result<(), ConnectFailure>>>,
}

/// The handlers of a socket. A change makes a new table, so that no lock is held while a handler runs.
pub(super) struct Handlers<P: Parser> {
    /// In the order in which they were set.
    pub(super) events: Vec<NamedHandler<P>>,
    pub(super) any: Option<EventHandler<P>>,
    pub(super) connect: Option<SharedHandler<(Socket<P>,)>>,
    pub(super) connect_error: Option<SharedHandler<(Socket<P>, ConnectFailure)>>,
    pub(super) disconnect: Option<SharedHandler<(Socket<P>, DisconnectReason)>>,
    /// Asked for the `auth` of each attempt.
    pub(super) auth: Option<SharedHandler<(Socket<P>,), AuthResult>>,
}

pub(super) struct NamedHandler<P: Parser> {
    pub(super) name: Arc<str>,
    /// Whether it is removed when it is started.
    pub(super) once: bool,
    pub(super) handler: EventHandler<P>,
}

pub(super) type EventHandler<P> = SharedHandler<(Socket<P>, Event<P>), HandlerResult>;

/// The `auth` of an attempt to join a namespace, as the driver sees it.
pub type AuthResult = Result<Option<serde_json::Value>, String>;

/// What happens to the connection of a client. See [`Client::on_event`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The connection is open. Its sockets join their namespaces.
    Open,
    /// An attempt to open the connection has failed.
    Error(ConnectFailure),
    /// The connection has moved to another transport.
    Upgraded(Transport),
    /// The server has sent a ping.
    Ping,
    /// The connection has ended.
    Closed(DisconnectReason),
    /// The attempt with this number, from 1, to open the connection again begins.
    ReconnectAttempt(u32),
    /// That attempt has failed.
    ReconnectError(ConnectFailure),
    /// All attempts have failed: no further one is made.
    ReconnectFailed,
    /// The connection is open again, after this number of attempts.
    Reconnect(u32),
}

/// Commands that other tasks send to a connection.
pub(crate) enum Command<P: Parser> {
    Connect {
        socket: Arc<SocketInner<P>>,
    },
    Disconnect {
        socket: Arc<SocketInner<P>>,
    },
    Send {
        socket: Arc<SocketInner<P>>,
        encoded: Encoded,
        volatile: bool,
    },
    SendWithAck {
        socket: Arc<SocketInner<P>>,
        encoded: Encoded,
        id: AckId,
        timeout: Option<Duration>,
        sink: Option<AnswerSink>,
    },
    Ack {
        token: Option<AckToken>,
        encoded: Encoded,
    },
    Open,
    Close,
    /// Tells when the connection is closed, and nothing is left to send.
    TellClosed(oneshot::Sender<()>),
    DropConnection,
    SetReconnection(bool),
    /// Ends the task, because no handle is left.
    Abandon,
}

/// Adds to a list that has one entry in most clients. By itself, a vector would begin with space for four.
pub(super) fn push_exact<T>(list: &mut Vec<T>, entry: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(entry);
}

impl<P: Parser> Shared<P> {
    pub(super) fn new(parser: P, max_attachments: u8, retries: bool, soft_inbound: usize, states: States) -> Self {
        Self {
            parser,
            max_attachments,
            next_ack: AtomicU32::new(0),
            retries,
            soft_inbound,
            full_inboxes: AtomicUsize::new(0),
            log_counters: LogCounters::default(),
            transport: AtomicU8::new(0),
            sockets: Mutex::default(),
            observers: Mutex::default(),
            handle: Mutex::new(Weak::new()),
            states,
        }
    }

    /// Encodes a packet.
    pub(crate) fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>) -> Result<Encoded, EncodeError> {
        encoder::encode(&self.parser, self.max_attachments, packet)
    }

    /// The next id of an ack, below 2^31.
    pub(super) fn next_ack_id(&self) -> AckId {
        AckId(self.next_ack.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff)
    }

    pub(super) fn transport(&self) -> Transport {
        transport_of(&self.transport)
    }

    pub(super) fn set_transport(&self, transport: Transport) {
        set_transport(&self.transport, transport);
    }

    /// A handle for handlers. `None` once the application has dropped its last one.
    pub(super) fn handle(&self) -> Option<Arc<Handle<P>>> {
        lock(&self.handle).upgrade()
    }
}
