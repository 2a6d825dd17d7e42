//! Connection state recovery: emitting packets that are kept for clients whose connection was lost, and the return of these clients. Which
//! packets a client has missed, and for how long anything is kept, is decided by the namespace's machine; see the docs of its file
//! `server/recovery.rs` for the order of packets.
//!
//! An emit draws a random offset and encodes the packet with it, without a lock. Under the namespace's lock it then appends the packet to
//! the store and pushes it into the mailboxes of the recipients.

use std::any::TypeId;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use engineio_proto::{Frame, Instant, Message, SendError};
use socketio_proto::server::{self as proto, Claim, Operation, RecoveryConfig, Target};
use socketio_proto::{
    Args, DisconnectReason, EmitError, EncodeError, Encoded, Encoder, Offset, Outgoing, Parser, PrivateId, SocketId,
};

use super::data::Closed;
use super::encoder;
use super::members::{Delivery, find};
use super::state::{Command, Members, NamespaceInner, OwnHandlers, Socket, SocketInner, SocketKey};
use crate::extensions::Extensions;
use crate::sync::lock;

/// Connection state recovery: a client whose connection was lost returns as the same socket. It has the same id, the same rooms and the
/// same values ([`Socket::insert`]), and gets what it has missed. See
/// [`ServerBuilder::connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
///
/// The limits apply to each namespace. If one of them is reached, the oldest packets or sockets are dropped. A client that needs them
/// becomes an ordinary new socket: it never gets only a part of what it has missed.
///
/// ```
/// use std::time::Duration;
///
/// use socketio_driver::{Recovery, Server, Socket};
///
/// let recovery = Recovery { max_disconnection_duration: Duration::from_secs(30), ..Recovery::default() };
/// let server = Server::builder().connection_state_recovery(recovery).build();
/// server.on_connect(|socket: Socket| {
///     if !socket.recovered() {
///         socket.join("news");
///     }
/// });
/// ```
#[derive(Clone, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "applications write it with a literal, with the other fields from the default"
)]
pub struct Recovery {
    /// How long a client may be away. Default: 2 minutes, as in the reference.
    pub max_disconnection_duration: Duration,
    /// Whether the middleware of the namespace is skipped for clients that are recovered. If it runs, it can refuse them. Default: true, as
    /// in the reference.
    pub skip_middlewares: bool,
    /// Maximum size in bytes of the packets that a namespace keeps, with an estimate for its tables. Default: 16 MiB.
    pub max_bytes: usize,
    /// Maximum number of lost sockets that a namespace keeps. Default: 10 000.
    pub max_sessions: usize,
    /// Maximum size in bytes of the lost sockets that a namespace keeps, without the values that the application stored with them
    /// ([`Socket::insert`]), whose size is unknown. Default: 16 MiB.
    pub max_session_bytes: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        let RecoveryConfig { max_disconnection_duration, max_bytes, max_sessions, max_session_bytes, .. } =
            RecoveryConfig::default();
        Self { max_disconnection_duration, skip_middlewares: true, max_bytes, max_sessions, max_session_bytes }
    }
}

impl Recovery {
    /// The settings of the machine. A loss of a connection is noticed after `unnoticed` at the latest.
    pub(super) fn config(&self, unnoticed: Duration) -> RecoveryConfig {
        let mut config = RecoveryConfig::default();
        config.max_disconnection_duration = self.max_disconnection_duration;
        config.max_packet_age = self.max_disconnection_duration.saturating_add(unnoticed);
        config.max_bytes = self.max_bytes;
        config.max_sessions = self.max_sessions;
        config.max_session_bytes = self.max_session_bytes;
        config
    }
}

/// What is kept for a socket beside its machine's session: what the application stored with it. A value that belongs to a socket and shall
/// survive a lost connection is added here, in [`NamespaceInner::suspend`] and in [`NamespaceInner::restore`].
#[derive(Default)]
pub(crate) struct KeptValues {
    extensions: Extensions,
}

/// A socket that was recovered, and what its connection has to send.
pub(crate) struct Recovered<P: Parser> {
    pub(crate) socket: Arc<SocketInner<P>>,
    pub(crate) pid: PrivateId,
    pub(crate) missed: Vec<Encoded>,
}

/// Bytes of the operating system's generator. Each emit needs a few of them, and a system call for each would cost more than the emit.
struct RandomBytes {
    bytes: [u8; 1020],
    used: usize,
}

thread_local! {
    static RANDOM: RefCell<RandomBytes> = const { RefCell::new(RandomBytes { bytes: [0; 1020], used: 1020 }) };
}

fn random_offset() -> Result<Offset, EncodeError> {
    RANDOM.with_borrow_mut(|random| {
        if random.used >= random.bytes.len() {
            getrandom::fill(&mut random.bytes)
                .map_err(|error| EncodeError::Serialize(format!("no randomness for an offset: {error}")))?;
            random.used = 0;
        }
        let end = random.used.saturating_add(12);
        let mut bytes = [0; 12];
        if let Some(fresh) = random.bytes.get_mut(random.used..end) {
            bytes.copy_from_slice(fresh);
            // An offset that was handed out is not kept where nobody needs it.
            fresh.fill(0);
        }
        random.used = end;
        Ok(Offset::from_random(bytes))
    })
}

/// A new private id; `None` without randomness.
pub(crate) fn private_id() -> Option<PrivateId> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).ok().map(|()| PrivateId::from_random(bytes))
}

/// Copies binary messages. The others are written by the encoder. So what is kept shares no memory with the application or with received
/// messages: its size is its own, and dropping it runs no code of the application.
fn detached(encoded: Encoded) -> Encoded {
    let detach = |frame: &Frame| match frame.is_binary() {
        true => Frame::message(Message::Binary(Bytes::copy_from_slice(frame.data()))),
        false => frame.clone(),
    };
    match &encoded {
        Encoded::One(frame) => Encoded::One(detach(frame)),
        Encoded::Many(frames) => Encoded::Many(frames.iter().map(detach).collect()),
    }
}

/// The deadline to set after a step of the machine: only if it is earlier than before.
fn earlier(before: Option<Instant>, after: Option<Instant>) -> Option<Instant> {
    after.filter(|after| before.is_none_or(|before| *after < before))
}

impl<P: Parser> NamespaceInner<P> {
    /// Turns recovery on, in a namespace that is still empty.
    pub(crate) fn with_recovery(mut self, config: RecoveryConfig) -> Self {
        lock(&self.members).machine = proto::Namespace::with_recovery(config);
        self.recovers = true;
        self
    }

    fn encode_with_offset<A: Args + ?Sized>(&self, event: &str, args: &A) -> Result<(Offset, Encoded), EmitError> {
        let offset = random_offset()?;
        let packet = Outgoing::event(&self.name, None, event, args).with_offset(offset);
        // In memory of its own, because a piece that packets share would be kept as long as the last of them.
        let mut encoder = Encoder::with_piece(0);
        Ok((offset, detached(self.encode_with(&mut encoder, &packet)?)))
    }

    /// Same as [`NamespaceInner::emit`], for a packet that is kept for clients whose connection was lost.
    pub(crate) fn emit_recoverable<A: Args + ?Sized>(
        &self,
        target: &Target<SocketKey>,
        event: &str,
        args: &A,
        compress: bool,
    ) -> Result<(), EmitError> {
        let (offset, encoded) = self.encode_with_offset(event, args)?;
        let encoded = encoded.with_compress(compress);
        let mut delivery = Delivery::new(encoder::weight(&encoded), false);
        let mut observed = self.observed();
        let deadline = {
            let mut members = lock(&self.members);
            let Members { machine, sockets, .. } = &mut *members;
            let before = machine.poll_timeout();
            // Under the lock, so that packets expire in the order of the store.
            let now = self.alarm.now();
            let recipients = machine.apply(Operation::EmitWithOffset { target, now, offset, encoded: &encoded });
            for socket in recipients.filter_map(|key| find(sockets, key)) {
                let send = || Command::Send { socket: socket.handle, encoded: encoded.clone(), volatile: false };
                if delivery.push(socket, send) {
                    observed.add(socket);
                }
            }
            earlier(before, machine.poll_timeout())
        };
        delivery.finish(&self.alarm.counters);
        self.set_alarm(deadline);
        observed.tell(self, &encoded);
        Ok(())
    }

    /// Same as [`NamespaceInner::emit_to`], for a packet that is kept. If the connection is lost but the socket is still a member, the
    /// packet is kept for its return, and this is no error.
    pub(crate) fn emit_recoverable_to<A: Args + ?Sized>(
        &self,
        socket: &Arc<SocketInner<P>>,
        event: &str,
        args: &A,
    ) -> Result<(), EmitError> {
        let (offset, encoded) = self.encode_with_offset(event, args)?;
        let bytes = encoder::weight(&encoded);
        let mut members = lock(&self.members);
        let machine = &mut members.machine;
        if !machine.contains(socket.key) {
            return Err(EmitError::Disconnected);
        }
        let command = || Command::Send { socket: socket.handle, encoded: encoded.clone(), volatile: false };
        let (pushed, waker) = socket.peer.push_quietly(bytes, command);
        let mut deadline = None;
        if pushed != Err(SendError::Full) {
            let before = machine.poll_timeout();
            let (target, now) = (&Target::socket(socket.key), self.alarm.now());
            drop(machine.apply(Operation::EmitWithOffset { target, now, offset, encoded: &encoded }));
            deadline = earlier(before, machine.poll_timeout());
        }
        drop(members);
        if let Some(waker) = waker {
            waker.wake();
        }
        self.set_alarm(deadline);
        if pushed.is_ok() && self.is_observed() {
            self.tell_observers(std::slice::from_ref(socket), &encoded);
        }
        match pushed {
            Err(SendError::Full) => Err(SendError::Full.into()),
            _ => Ok(()),
        }
    }

    fn set_alarm(&self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.alarm.set(deadline);
        }
    }

    /// Removes a socket that has left. If its client may return, keeps what is needed for that.
    pub(crate) fn suspend(&self, socket: &SocketInner<P>, reason: &DisconnectReason) {
        if !self.recovers || !reason.is_recoverable() {
            return self.remove(socket);
        }
        // The socket's own handlers are set again by the connect handler, and its end is told to those who wait for it now.
        let ended = [TypeId::of::<OwnHandlers<P>>(), TypeId::of::<Closed>()];
        // Values that the application stores from now on would be lost.
        socket.connected.store(false, Ordering::Relaxed);
        let values = KeptValues { extensions: socket.extensions.copied_without(&ended) };
        let now = self.alarm.now();
        let mut members = lock(&self.members);
        if self.keeps_nothing.load(Ordering::Relaxed) {
            drop(members);
            return self.remove(socket);
        }
        let index = usize::try_from(socket.key.index).unwrap_or(usize::MAX);
        if members.sockets.get(index).is_none_or(|there| there.key != socket.key) {
            drop(members);
            return;
        }
        let before = members.machine.poll_timeout();
        let dropped = if members.machine.suspend(now, socket.key, reason, 0) {
            members.kept.insert(socket.key, values)
        } else {
            Some(values)
        };
        let deadline = earlier(before, members.machine.poll_timeout());
        // Before the socket is removed from the table, because the events refer to it.
        let outcomes = members.take_events();
        let removed = members.sockets.try_remove(index);
        drop(members);
        // Without the lock, because this may run code of the application.
        drop((dropped, removed));
        self.set_alarm(deadline);
        self.tell(outcomes);
    }

    /// Drops what is kept for lost clients, and keeps nothing from now on.
    pub(crate) fn keep_nothing(&self) {
        if self.recovers {
            self.keeps_nothing.store(true, Ordering::Relaxed);
            self.handle_timeout(Instant::FAR_FUTURE);
        }
    }

    /// Restores the socket that a client claims. What is sent to it from now on comes after what it has missed. `capacity` is the number of
    /// bytes that its connection can queue. `make` creates the socket.
    pub(crate) fn restore(
        &self,
        claim: &Claim,
        capacity: usize,
        make: impl FnOnce(SocketKey, SocketId) -> SocketInner<P>,
    ) -> Option<Recovered<P>> {
        let now = self.alarm.now();
        let mut members = lock(&self.members);
        let key = members.next_key();
        let Some(restored) = members.machine.restore(now, key, claim, capacity) else {
            let outcomes = members.take_events();
            drop(members);
            self.tell(outcomes);
            return None;
        };
        let values = members.kept.remove(&restored.former).unwrap_or_default();
        let socket = Arc::new(SocketInner { recovered: true, ..make(key, restored.id) });
        members.sockets.insert(Arc::clone(&socket));
        // What middleware has stored for the returned client goes first.
        socket.extensions.add_missing(&values.extensions);
        let outcomes = members.take_events();
        drop(members);
        // Without the lock, because this may run code of the application.
        drop(values);
        self.tell(outcomes);
        Some(Recovered { socket, pid: restored.pid, missed: restored.missed })
    }
}

impl<P: Parser> Socket<P> {
    /// Whether the client has returned after a lost connection, and this is the former socket: it has the same id, its rooms and its
    /// values, and the client gets what it has missed. Always false without
    /// [`ServerBuilder::connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn offsets_are_not_used_twice() {
        let offsets: HashSet<Offset> = (0..1000).map(|_| random_offset().unwrap()).collect();
        assert_eq!(offsets.len(), 1000);
    }
}
