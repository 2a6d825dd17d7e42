//! A namespace: its handlers, its sockets, its rooms.
//!
//! The rooms' machine and the table of sockets are behind one lock, under which nothing of the application runs. A broadcast takes it,
//! pushes the packet into each recipient's mailbox, and wakes them after the lock was let go: each of them writes once, whatever was
//! broadcast meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use engineio_proto::{Instant, SendError, Sid};
use futures_channel::oneshot;
use slab::Slab;
use socketio_proto::server::{self as proto, NamespaceEvent, Target};
use socketio_proto::{
    AckError, AckId, Args, DisconnectReason, EmitError, EncodeError, Encoded, Json, Outgoing, Parser, Payload,
    ReadError,
};

use super::application::{AckSink, Command, SocketPeer};
use super::broadcast::Broadcast;
use super::encoder;
use super::kept::Kept;
use super::socket::{Event, Socket, SocketInner};
use crate::handler::{ErasedHandler, Handler, HandlerResult, Outcome, erase, panic_message};
use crate::handshake::Handshake;
use crate::loud::{Times, brief, loud_once};
use crate::sync::lock;

/// A socket in the table of its namespace: where it is, and a number that tells it from those who were there before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SocketKey {
    index: u32,
    serial: u32,
}

/// A namespace. A handle: clones are the same namespace.
pub struct Namespace<P: Parser = Json>(pub(crate) Arc<NamespaceInner<P>>);

pub(crate) struct NamespaceInner<P: Parser> {
    pub(crate) name: Box<str>,
    parser: P,
    /// Of one packet.
    max_attachments: u8,
    /// Panics of the handler for rooms, which sockets can cause as often as they like.
    room_panicked: Times,
    members: Mutex<Members<P>>,
    handlers: Mutex<Arc<Handlers<P>>>,
}

struct Members<P: Parser> {
    machine: proto::Namespace<SocketKey>,
    sockets: Slab<Arc<SocketInner<P>>>,
    last_serial: u32,
    gathering: HashMap<AckId, Gathering<P>>,
}

/// A broadcast with acks whose answers are coming in.
struct Gathering<P: Parser> {
    recipients: Vec<Arc<SocketInner<P>>>,
    answers: Vec<(Socket<P>, Result<Payload, AckError>)>,
    sink: AnswersSink<P>,
}

pub(crate) type AnswersSink<P> = oneshot::Sender<Vec<(Socket<P>, Result<Payload, AckError>)>>;

/// A handler that several tables share: sockets keep the table that was there when they connected.
pub(crate) type SharedHandler<A, T = HandlerResult> = Arc<ErasedHandler<A, T>>;

type EventHandler<P> = SharedHandler<(Socket<P>, Event<P>)>;

/// The handlers of a namespace. A socket keeps those that were there when it connected.
pub(crate) struct Handlers<P: Parser> {
    pub(crate) guard: Option<SharedHandler<(ConnectRequest<P>,), GuardResult>>,
    pub(crate) connect: Option<SharedHandler<(Socket<P>,)>>,
    /// Sorted by length, then name: a look-up hardly ever compares more than one name.
    events: Vec<(Box<str>, EventHandler<P>)>,
    any: Option<EventHandler<P>>,
    pub(crate) disconnecting: Option<SharedHandler<(Socket<P>, DisconnectReason)>>,
    pub(crate) disconnect: Option<SharedHandler<(Socket<P>, DisconnectReason)>>,
    pub(crate) room: Option<Arc<dyn Fn(RoomEvent) + Send + Sync>>,
}

/// A client that wants to join a namespace; what a guard decides on.
pub struct ConnectRequest<P: Parser = Json> {
    pub(crate) peer: Arc<SocketPeer<P>>,
    pub(crate) auth: Option<Payload>,
    pub(crate) kept: Arc<Kept>,
}

/// What a guard decides.
pub type GuardResult = Result<(), Refusal>;

impl Outcome<GuardResult> for GuardResult {
    fn into_outcome(self) -> GuardResult {
        self
    }
}

/// Why a client may not join: what it gets as `connect_error`.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

/// What happened to a room. The machine's event with the sockets' ids.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RoomEvent {
    /// A room got its first member.
    Created {
        /// Its name.
        room: String,
    },
    /// A room lost its last member.
    Deleted {
        /// Its name.
        room: String,
    },
    /// A socket joined a room.
    Joined {
        /// The socket's id.
        socket: Sid,
        /// The room's name.
        room: String,
    },
    /// A socket left a room.
    Left {
        /// The socket's id.
        socket: Sid,
        /// The room's name.
        room: String,
    },
}

impl<P: Parser> NamespaceInner<P> {
    pub(crate) fn new(name: &str, parser: P, max_attachments: u8) -> Self {
        let members = Members {
            machine: proto::Namespace::new(),
            sockets: Slab::new(),
            last_serial: 0,
            gathering: HashMap::new(),
        };
        Self {
            name: name.into(),
            parser,
            max_attachments,
            room_panicked: Times::new(),
            members: Mutex::new(members),
            handlers: Mutex::new(Arc::new(Handlers::new())),
        }
    }

    /// Encodes a packet for sockets of this namespace.
    pub(crate) fn encode<A: Args + ?Sized>(&self, packet: &Outgoing<'_, A>) -> Result<Encoded, EncodeError> {
        encoder::encode(&self.parser, self.max_attachments, packet)
    }

    pub(crate) fn handlers(&self) -> Arc<Handlers<P>> {
        Arc::clone(&lock(&self.handlers))
    }

    fn change_handlers(&self, change: impl FnOnce(&mut Handlers<P>)) {
        let mut handlers = lock(&self.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = std::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // Dropped after the lock was let go: handlers hold what is the application's.
        drop(old);
    }

    /// Works on the rooms, and then tells the application what came of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut proto::Namespace<SocketKey>) -> T) -> T {
        let mut members = lock(&self.members);
        let result = work(&mut members.machine);
        let news = members.news();
        drop(members);
        self.tell(news);
        result
    }

    /// Adds a socket: `reply` queues the CONNECT reply, and in the same step, before anybody can broadcast to it, the socket is here.
    pub(crate) fn add<E>(
        &self,
        sid: Sid,
        reply: impl FnOnce() -> Result<socketio_proto::SocketHandle, E>,
        make: impl FnOnce(socketio_proto::SocketHandle, SocketKey) -> SocketInner<P>,
    ) -> Result<Arc<SocketInner<P>>, E> {
        let mut members = lock(&self.members);
        let id = reply()?;
        members.last_serial = members.last_serial.wrapping_add(1);
        let serial = members.last_serial;
        let vacant = members.sockets.vacant_entry();
        // A table of 2^32 sockets does not fit into memory.
        let key = SocketKey { index: u32::try_from(vacant.key()).unwrap_or(u32::MAX), serial };
        let socket = Arc::clone(vacant.insert(Arc::new(make(id, key))));
        members.machine.add(key, sid);
        let news = members.news();
        drop(members);
        self.tell(news);
        Ok(socket)
    }

    /// A socket is gone.
    pub(crate) fn remove(&self, socket: &SocketInner<P>) {
        let mut members = lock(&self.members);
        let index = usize::try_from(socket.key.index).unwrap_or(usize::MAX);
        if members.sockets.get(index).is_none_or(|there| there.key != socket.key) {
            return;
        }
        members.machine.remove(socket.key);
        // While the socket is still in the table: the news are about it.
        let news = members.news();
        let removed = members.sockets.try_remove(index);
        drop(members);
        drop(removed);
        self.tell(news);
    }

    /// Puts a packet into the mailbox of everybody it is for.
    pub(crate) fn broadcast(&self, target: &Target<SocketKey>, encoded: &Encoded, volatile: bool) {
        let mut wakers = Vec::new();
        {
            let members = lock(&self.members);
            let bytes = encoder::weight(encoded);
            for socket in members.machine.recipients(target).filter_map(|key| members.socket(key)) {
                let send = || Command::Send { socket: socket.id, encoded: encoded.clone(), volatile };
                deliver(socket, bytes, volatile, send, &mut wakers);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// As [`NamespaceInner::broadcast`], with acks. The answers go to `sink`.
    pub(crate) fn broadcast_with_ack(
        self: &Arc<Self>,
        target: &Target<SocketKey>,
        encoded: &Encoded,
        id: AckId,
        timeout: Duration,
        volatile: bool,
        sink: AnswersSink<P>,
    ) {
        let mut wakers = Vec::new();
        let mut members = lock(&self.members);
        // Every recipient's connection keeps the time for its own answer; the machine's own deadline would come too late to matter.
        let recipients = members.machine.gather(Instant::ZERO, target, id, Duration::MAX);
        let recipients: Vec<_> = recipients.into_iter().filter_map(|key| members.socket(key).cloned()).collect();
        let answers = Vec::with_capacity(recipients.len());
        members.gathering.insert(id, Gathering { recipients: recipients.clone(), answers, sink });
        let bytes = encoder::weight(encoded);
        for socket in recipients {
            let sink = AckSink::Broadcast { namespace: Arc::clone(self), key: socket.key };
            let timeout = Some(timeout);
            let ask = || Command::Ask { socket: socket.id, encoded: encoded.clone(), id, timeout, volatile, sink };
            if !deliver(&socket, bytes, volatile, ask, &mut wakers) {
                members.machine.handle_ack(socket.key, id, Err(AckError::Disconnected));
            }
        }
        let news = members.news();
        drop(members);
        wakers.into_iter().for_each(Waker::wake);
        self.tell(news);
    }

    /// A recipient of a broadcast answered, or will not.
    pub(crate) fn acked(&self, key: SocketKey, id: AckId, outcome: Result<Payload, AckError>) {
        self.with(|machine| machine.handle_ack(key, id, outcome));
    }

    pub(crate) fn sockets(&self, target: &Target<SocketKey>) -> Vec<Socket<P>> {
        let members = lock(&self.members);
        members.machine.recipients(target).filter_map(|key| members.socket(key)).cloned().map(Socket).collect()
    }

    /// Hands out what the machine said, with no lock held.
    fn tell(&self, news: News<P>) {
        for (sink, answers) in news.answers {
            // Nobody waits any more: the answers are of no interest.
            let _ = sink.send(answers);
        }
        if news.rooms.is_empty() {
            return;
        }
        if let Some(room) = &self.handlers().room {
            for event in news.rooms {
                // Whoever caused the event is not to blame.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| room(event))) {
                    let (panic, namespace) = (panic_message(panic.as_ref()), &*self.name);
                    let panic = brief(&panic);
                    loud_once!(self.room_panicked, error, namespace, handler = "room", panic, "a handler panicked");
                }
            }
        }
    }
}

/// Puts a packet into one mailbox. A recipient that has no room for it is closed: it would miss a packet without knowing.
/// A volatile packet may be missed.
fn deliver<P: Parser>(
    socket: &SocketInner<P>,
    bytes: usize,
    volatile: bool,
    command: impl FnOnce() -> Command<P>,
    wakers: &mut Vec<Waker>,
) -> bool {
    match socket.peer.push_quietly(bytes, command) {
        Ok(waker) => {
            wakers.extend(waker);
            true
        }
        Err(SendError::Full) if !volatile => {
            let (session, times) = (socket.peer.sid(), &socket.peer.shared.loud.full);
            loud_once!(times, warn, %session, socket = %socket.sid, "closed: its outbound queue is full (limits.max_outbound), and a broadcast did not fit");
            if let Ok(waker) = socket.peer.push_quietly(0, || Command::Discard) {
                wakers.extend(waker);
            }
            false
        }
        Err(_) => false,
    }
}

/// What the machine said and the application has yet to hear.
struct News<P: Parser> {
    rooms: Vec<RoomEvent>,
    #[allow(clippy::type_complexity, reason = "a list of what to send where")]
    answers: Vec<(AnswersSink<P>, Vec<(Socket<P>, Result<Payload, AckError>)>)>,
}

impl<P: Parser> Members<P> {
    fn socket(&self, key: SocketKey) -> Option<&Arc<SocketInner<P>>> {
        self.sockets.get(usize::try_from(key.index).ok()?).filter(|socket| socket.key == key)
    }

    fn news(&mut self) -> News<P> {
        let mut news = News { rooms: Vec::new(), answers: Vec::new() };
        while let Some(event) = self.machine.poll_event() {
            match event {
                NamespaceEvent::RoomCreated { room } => news.rooms.push(RoomEvent::Created { room: room.to_string() }),
                NamespaceEvent::RoomDeleted { room } => news.rooms.push(RoomEvent::Deleted { room: room.to_string() }),
                NamespaceEvent::Joined { socket, room } => {
                    let Some(socket) = self.socket(socket).map(|socket| socket.sid) else { continue };
                    news.rooms.push(RoomEvent::Joined { socket, room: room.to_string() });
                }
                NamespaceEvent::Left { socket, room } => {
                    let Some(socket) = self.socket(socket).map(|socket| socket.sid) else { continue };
                    news.rooms.push(RoomEvent::Left { socket, room: room.to_string() });
                }
                NamespaceEvent::Acked { broadcast, socket, outcome } => {
                    if let Some(gathering) = self.gathering.get_mut(&broadcast)
                        && let Some(socket) = gathering.recipients.iter().find(|recipient| recipient.key == socket)
                    {
                        gathering.answers.push((Socket(Arc::clone(socket)), outcome));
                    }
                }
                NamespaceEvent::BroadcastDone { broadcast } => {
                    if let Some(gathering) = self.gathering.remove(&broadcast) {
                        news.answers.push((gathering.sink, gathering.answers));
                    }
                }
                _ => {}
            }
        }
        news
    }
}

/// Says so when an event of this name can never come (socket.io-parser `lib/index.ts`, `RESERVED_EVENTS`).
fn never_sent(event: &str) {
    let instead = match event {
        "connect" | "connect_error" => "`on_connect` runs for every socket that joined, and `guard` decides who may",
        "disconnect" => "`on_disconnect` runs for every socket that has left",
        "disconnecting" => "`on_disconnecting` runs for every socket that is about to leave",
        "newListener" | "removeListener" => "the reference keeps it for itself",
        // Clients may send it, but hardly do.
        "connection" => {
            return tracing::warn!("a handler for the event \"connection\": sockets that join are `on_connect`'s");
        }
        _ => return,
    };
    #[allow(clippy::panic, reason = "the application's own mistake, told when it sets up its handlers")]
    {
        panic!("no client can send an event of the name \"{event}\": {instead}");
    }
}

/// So many names are no reason for a search.
const FEW_EVENTS: usize = 16;

impl<P: Parser> Handlers<P> {
    fn new() -> Self {
        Self {
            guard: None,
            connect: None,
            events: Vec::new(),
            any: None,
            disconnecting: None,
            disconnect: None,
            room: None,
        }
    }

    fn find(&self, event: &str) -> Result<usize, usize> {
        self.events.binary_search_by(|(name, _)| (name.len(), &**name).cmp(&(event.len(), event)))
    }

    /// The handler for an event of this name, and its place.
    pub(crate) fn event(&self, name: &str) -> Option<(usize, &EventHandler<P>)> {
        // A few names are looked at one by one: nearly all differ in length already, which costs less than the steps of a search.
        let index = if self.events.len() <= FEW_EVENTS {
            self.events.iter().position(|(known, _)| **known == *name)
        } else {
            self.find(name).ok()
        };
        if let Some(index) = index
            && let Some((_, handler)) = self.events.get(index)
        {
            return Some((index, handler));
        }
        self.any.as_ref().map(|any| (self.events.len(), any))
    }

    /// The handler that sees the event whose own handler is at this place.
    pub(crate) fn witness(&self, index: usize) -> Option<&EventHandler<P>> {
        self.any.as_ref().filter(|_| index < self.events.len())
    }

    /// The event handler at this place.
    pub(crate) fn at(&self, index: usize) -> Option<&EventHandler<P>> {
        self.events.get(index).map(|(_, handler)| handler)
    }

    /// The place of [`Namespace::on_any`]'s handler.
    pub(crate) fn any_place(&self) -> usize {
        self.events.len()
    }

    /// The name of the event handler at this place, for logs.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.events.get(index).map_or("any", |(name, _)| name)
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
            room: self.room.clone(),
        }
    }
}

impl<P: Parser> Namespace<P> {
    /// The name; starts with `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Decides who may join: `Fn(ConnectRequest) -> Result<(), Refusal>`, or with a future of that. Runs before the socket exists; what it
    /// found out about the client goes on to the socket with [`ConnectRequest::insert`]. There is one guard; a later one replaces it.
    /// Handlers apply to sockets that connect after they were set.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use socketio_driver::{ConnectRequest, Refusal, Server, Socket};
    ///
    /// struct Sessions;
    /// struct User(String);
    ///
    /// impl Sessions {
    ///     async fn user(&self, token: &str) -> Option<User> {
    ///         (token == "secret").then(|| User("ann".to_owned()))
    ///     }
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Auth {
    ///     token: String,
    /// }
    ///
    /// let server = Server::new();
    /// let sessions = Arc::new(Sessions);
    /// server
    ///     .guard(move |request: ConnectRequest| {
    ///         let sessions = Arc::clone(&sessions);
    ///         async move {
    ///             let auth: Auth = request.read_auth().map_err(|_| "a token is needed")?;
    ///             let user = sessions.user(&auth.token).await.ok_or("not authorised")?;
    ///             request.insert(user);
    ///             Ok::<(), Refusal>(())
    ///         }
    ///     })
    ///     .on_connect(|socket: Socket| {
    ///         if let Some(user) = socket.get::<User>() {
    ///             println!("{} is here", user.0);
    ///         }
    ///     });
    /// ```
    pub fn guard<M>(&self, guard: impl Handler<(ConnectRequest<P>,), GuardResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.guard = Some(Arc::new(erase(guard))));
        self
    }

    /// Runs for every socket that joined: `Fn(Socket)`, sync or async. It starts before any event of the socket is handled.
    pub fn on_connect<M>(&self, handler: impl Handler<(Socket<P>,), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.connect = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs for every event of this name: `Fn(Socket, Event)`, or with a future; see [`Handler`] for what it may return. Handlers of one
    /// socket start in the order in which its events came; one that waits lets later ones go on. One that panics closes the connection.
    /// There is one handler for each name: a later one replaces it, for sockets that connect from then on.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use socketio_driver::{Event, Failure, Server, Socket};
    ///
    /// let server = Server::new();
    /// let notes = Arc::new(Mutex::new(Vec::<String>::new()));
    /// server.on("note", move |socket: Socket, event: Event| {
    ///     // What the future is to own is cloned before it: the closure stays, for the next event.
    ///     let notes = Arc::clone(&notes);
    ///     async move {
    ///         let note: String = event.read()?;
    ///         notes.lock().unwrap().push(note);
    ///         socket.broadcast().emit("note", event.payload())?;
    ///         Ok::<(), Failure>(())
    ///     }
    /// });
    /// ```
    ///
    /// # Panics
    /// When the name is one that no client can send, because the protocol keeps it for itself: `connect`, `connect_error`, `disconnect`,
    /// `disconnecting`, `newListener` and `removeListener`. For the first four there are [`Namespace::on_connect`],
    /// [`Namespace::on_disconnect`] and [`Namespace::on_disconnecting`].
    pub fn on<M>(&self, event: &str, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        never_sent(event);
        self.0.change_handlers(|handlers| {
            let handler = Arc::new(erase(handler));
            match handlers.find(event) {
                Ok(index) => drop(handlers.events.get_mut(index).map(|(_, old)| std::mem::replace(old, handler))),
                Err(index) => handlers.events.insert(index, (event.into(), handler)),
            }
        });
        self
    }

    /// Runs for every event: before the event's own handler, or, where there is none, in its place. The right to answer is the own
    /// handler's where there is one, so [`Event::take_ack`] is `None` here then.
    pub fn on_any<M>(&self, handler: impl Handler<(Socket<P>, Event<P>), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.any = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a socket is about to leave: its rooms are still there, until the handler returns or first waits.
    pub fn on_disconnecting<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnecting = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a socket has left.
    pub fn on_disconnect<M>(&self, handler: impl Handler<(Socket<P>, DisconnectReason), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.disconnect = Some(Arc::new(erase(handler))));
        self
    }

    /// Runs when a room comes or goes, or a socket joins or leaves one. Runs in whatever task caused it: keep it short.
    pub fn on_room(&self, handler: impl Fn(RoomEvent) + Send + Sync + 'static) -> &Self {
        self.0.change_handlers(|handlers| handlers.room = Some(Arc::new(handler)));
        self.0.with(|machine| machine.watch_rooms(true));
        self
    }

    /// Sends an event to everybody on the namespace.
    ///
    /// # Errors
    /// When the event cannot be encoded; nothing was sent.
    pub fn emit<A: Args>(&self, event: &str, args: A) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    /// A broadcast to everybody on the namespace, to be narrowed.
    pub fn broadcast(&self) -> Broadcast<P> {
        Broadcast::new(Arc::clone(&self.0), None)
    }

    /// A broadcast to a room. A socket's own id is a room too.
    pub fn to(&self, room: &str) -> Broadcast<P> {
        self.broadcast().to(room)
    }

    /// A broadcast to everybody who is not in this room.
    pub fn except(&self, room: &str) -> Broadcast<P> {
        self.broadcast().except(room)
    }

    /// The sockets on the namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket<P>> {
        self.0.sockets(&Target::everybody())
    }

    /// The socket with this id.
    #[must_use]
    pub fn socket(&self, sid: &str) -> Option<Socket<P>> {
        let members = lock(&self.0.members);
        members.socket(members.machine.find(sid)?).cloned().map(Socket)
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.0.members).machine.len()
    }

    /// Whether there is no socket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<P: Parser> Clone for Namespace<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Parser> fmt::Debug for Namespace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl<P: Parser> ConnectRequest<P> {
    /// The request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.peer.shared.handshake
    }

    /// What the client sent as `auth`, if it did: see [`ConnectRequest::read_auth`].
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        self.auth.as_ref()
    }

    /// Reads what the client sent as `auth`: an object, and an empty one when it sent none, as in the reference.
    ///
    /// # Errors
    /// When it is not of this type.
    pub fn read_auth<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        read_auth(self.auth.as_ref())
    }

    /// Hands a value to the socket that there will be if the client may join: its handlers find it with [`Socket::get`]. Returns the value
    /// of the same type that was there. What comes after the guard has decided is dropped.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.kept.insert(value)
    }
}

/// Reads an `auth`. The reference has an empty object where there was none (socket.io `lib/socket.ts`, `buildHandshake`).
pub(crate) fn read_auth<'de, T: serde::Deserialize<'de>>(auth: Option<&'de Payload>) -> Result<T, ReadError> {
    match auth {
        Some(auth) => auth.get(0),
        None => serde_json::from_str("{}").map_err(serde::de::Error::custom),
    }
}

impl<P: Parser> fmt::Debug for ConnectRequest<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl Refusal {
    /// A refusal with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds data: what the client finds as `err.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}
