//! The members of a namespace: its `proto::Namespace` and the table of its sockets, behind one lock. No application code runs
//! under this lock.
//!
//! An emit to several sockets takes the lock, pushes the packet into the mailbox of each recipient, and wakes the recipients
//! after releasing the lock. Each recipient writes once, however many packets were sent meanwhile. Room events are queued under
//! the lock. They are passed to the observers without the lock, and by one task at a time, so that every observer gets them in
//! order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use engineio_proto::{Instant, SendError};
use socketio_proto::server::{self as proto, NamespaceEvent, Operation, ReservedAck, Target};
use socketio_proto::{AckError, AckId, EmitError, Encoded, Parser, Payload, PrivateId, SocketId};

use super::encoder;
use super::recovery::KeptValues;
use super::state::{
    AckSink, AnswerOf, AnswersSink, AwaitedAnswers, Command, Members, NamespaceInner, RoomEvent, Socket, SocketInner,
    SocketKey,
};
use crate::handler::panic_message;
use crate::log_limit::{log_limited, truncate};
use crate::metrics::Counters;
use crate::sync::lock;

impl<P: Parser> NamespaceInner<P> {
    /// Runs `work` on the machine, then reports the outcomes to the application.
    fn with<T>(&self, work: impl FnOnce(&mut proto::Namespace<SocketKey>) -> T) -> T {
        let mut members = lock(&self.members);
        let result = work(&mut members.machine);
        let outcomes = members.take_events();
        drop(members);
        self.tell(outcomes);
        result
    }

    /// Adds a socket whose CONNECT reply is queued. Everything that is sent to the socket from now on comes after the reply.
    /// With `pid`, the client may return after a lost connection.
    pub(crate) fn add(
        &self,
        id: &SocketId,
        pid: Option<PrivateId>,
        make: impl FnOnce(SocketKey) -> SocketInner<P>,
    ) -> Arc<SocketInner<P>> {
        let mut members = lock(&self.members);
        let key = members.next_key();
        let socket = Arc::new(make(key));
        members.sockets.insert(Arc::clone(&socket));
        match pid {
            Some(pid) => members.machine.add_recoverable(key, id, pid),
            None => members.machine.add(key, id),
        }
        let outcomes = members.take_events();
        drop(members);
        self.tell(outcomes);
        socket
    }

    /// Removes a socket that has left.
    pub(crate) fn remove(&self, socket: &SocketInner<P>) {
        let mut members = lock(&self.members);
        let index = usize::try_from(socket.key.index).unwrap_or(usize::MAX);
        if members.sockets.get(index).is_none_or(|there| there.key != socket.key) {
            return;
        }
        members.machine.remove(socket.key);
        // Before the socket is removed from the table, because the events refer to it.
        let outcomes = members.take_events();
        let removed = members.sockets.try_remove(index);
        drop(members);
        drop(removed);
        self.tell(outcomes);
    }

    /// Makes the sockets of a target join rooms.
    pub(crate) fn join(&self, target: &Target<SocketKey>, rooms: &[&str]) {
        self.with(|machine| drop(machine.apply(Operation::Join { target, rooms })));
    }

    /// Makes the sockets of a target leave rooms.
    pub(crate) fn leave(&self, target: &Target<SocketKey>, rooms: &[&str]) {
        self.with(|machine| drop(machine.apply(Operation::Leave { target, rooms })));
    }

    /// The rooms of a socket.
    pub(crate) fn rooms(&self, key: SocketKey) -> Vec<String> {
        lock(&self.members).machine.rooms(key).map(|room| room.to_string()).collect()
    }

    /// Whether a socket is in a room.
    pub(crate) fn is_in(&self, key: SocketKey, room: &str) -> bool {
        lock(&self.members).machine.rooms(key).any(|joined| **joined == *room)
    }

    /// Adds an observer of rooms.
    pub(crate) fn observe_rooms(&self) {
        let mut members = lock(&self.members);
        members.observers = members.observers.saturating_add(1);
        members.machine.observe_rooms();
    }

    /// The sockets of a target.
    pub(crate) fn sockets(&self, target: &Target<SocketKey>) -> Vec<Socket<P>> {
        self.recipients(Operation::Fetch { target })
    }

    /// Number of sockets of a target.
    pub(crate) fn count(&self, target: &Target<SocketKey>) -> usize {
        lock(&self.members).machine.apply(Operation::Fetch { target }).count()
    }

    /// Disconnects the sockets of a target.
    pub(crate) fn disconnect(&self, target: &Target<SocketKey>) {
        self.recipients(Operation::Disconnect { target }).iter().for_each(Socket::disconnect);
    }

    /// Applies an operation whose recipients are used without the lock.
    fn recipients(&self, operation: Operation<'_, SocketKey>) -> Vec<Socket<P>> {
        let mut members = lock(&self.members);
        let Members { machine, sockets, .. } = &mut *members;
        let recipients = machine.apply(operation);
        recipients.filter_map(|key| find(sockets, key)).cloned().map(Socket).collect()
    }

    /// The socket with this id.
    pub(crate) fn socket(&self, id: &str) -> Option<Socket<P>> {
        let members = lock(&self.members);
        find(&members.sockets, members.machine.find(id)?).cloned().map(Socket)
    }

    /// What the namespace holds now.
    pub(crate) fn counts(&self) -> proto::NamespaceCounts {
        lock(&self.members).machine.counts()
    }

    /// What is kept for clients that may return.
    pub(crate) fn kept(&self) -> proto::Kept {
        lock(&self.members).machine.kept()
    }

    /// Number of sockets.
    pub(crate) fn len(&self) -> usize {
        lock(&self.members).machine.len()
    }

    /// Pushes a packet into the mailbox of each socket of a target.
    pub(crate) fn emit(&self, target: &Target<SocketKey>, encoded: &Encoded, volatile: bool) {
        let mut delivery = Delivery::new(encoder::weight(encoded), volatile);
        let mut observed = self.observed();
        {
            let mut members = lock(&self.members);
            let Members { machine, sockets, .. } = &mut *members;
            let recipients = machine.apply(Operation::Emit { target });
            for socket in recipients.filter_map(|key| find(sockets, key)) {
                let send = || Command::Send { socket: socket.handle, encoded: encoded.clone(), volatile };
                if delivery.push(socket, send) {
                    observed.add(socket);
                }
            }
        }
        delivery.finish(&self.alarm.counters);
        observed.tell(self, encoded);
    }

    /// Pushes a packet into the mailbox of one socket, as an operation of the machine. Returns the errors of
    /// [`Peer::push`](crate::peer::Peer::push).
    pub(crate) fn emit_to(&self, socket: &SocketInner<P>, encoded: Encoded, volatile: bool) -> Result<(), EmitError> {
        let bytes = encoder::weight(&encoded);
        let mut members = lock(&self.members);
        let mut recipients = members.machine.apply(Operation::Emit { target: &Target::socket(socket.key) });
        if recipients.next().is_none() {
            drop(members);
            return Err(EmitError::Disconnected);
        }
        let command = || Command::Send { socket: socket.handle, encoded, volatile };
        let (pushed, waker) = socket.peer.push_quietly(bytes, command);
        drop(members);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(pushed?)
    }

    /// Reserves an ack id for an emit to several sockets.
    pub(crate) fn reserve_ack(&self) -> ReservedAck {
        lock(&self.members).machine.reserve_ack()
    }

    /// Same as [`NamespaceInner::emit`], with acks. The answers are sent to `sink`.
    pub(crate) fn emit_with_ack(
        self: &Arc<Self>,
        target: &Target<SocketKey>,
        encoded: &Encoded,
        ack: ReservedAck,
        timeout: Duration,
        volatile: bool,
        sink: AnswersSink<P>,
    ) {
        let (id, mut observed) = (ack.id(), self.observed());
        let (mut delivery, mut unreached) = (Delivery::new(encoder::weight(encoded), volatile), Vec::new());
        let mut members = lock(&self.members);
        let Members { machine, sockets, broadcasts, .. } = &mut *members;
        broadcasts.insert(id, AwaitedAnswers { answers: Vec::new(), sink });
        // The connection of each recipient has the same timeout, from the turn in which it executes the command.
        let operation = Operation::EmitWithAck { target, ack, deadline: self.alarm.now() + timeout };
        for socket in machine.apply(operation).filter_map(|key| find(sockets, key)) {
            let sink = AckSink::Broadcast { namespace: Arc::clone(self), key: socket.key };
            let (socket_handle, timeout) = (socket.handle, Some(timeout));
            let send = || Command::SendWithAck {
                socket: socket_handle,
                encoded: encoded.clone(),
                id,
                timeout,
                volatile,
                sink,
            };
            if delivery.push(socket, send) {
                observed.add(socket);
            } else {
                unreached.push(socket.key);
            }
        }
        for key in unreached {
            machine.handle_ack(key, id, Err(AckError::Disconnected));
        }
        let next = members.machine.poll_timeout();
        let outcomes = members.take_events();
        drop(members);
        delivery.finish(&self.alarm.counters);
        if let Some(deadline) = next {
            self.alarm.set(deadline);
        }
        self.tell(outcomes);
        observed.tell(self, encoded);
    }

    /// The deadline of the machine has passed. Sets the next one.
    pub(crate) fn handle_timeout(&self, now: Instant) {
        let next = self.with(|machine| {
            machine.handle_timeout(now);
            machine.poll_timeout()
        });
        if let Some(deadline) = next {
            self.alarm.set(deadline);
        }
    }

    /// Records the outcome of an ack from one recipient.
    pub(crate) fn handle_ack(&self, key: SocketKey, id: AckId, outcome: Result<Payload, AckError>) {
        self.with(|machine| machine.handle_ack(key, id, outcome));
    }

    /// Reports the outcomes to the application, without a lock.
    pub(super) fn tell(&self, outcomes: Outcomes<P>) {
        for (sink, answers) in outcomes.answers {
            // Nothing waits for the answers any more, so they are dropped.
            let _ = sink.send(answers);
        }
        drop(outcomes.forgotten);
        if outcomes.rooms {
            self.notify_observers();
        }
    }

    /// Passes queued room events to the observers. Does nothing if another task is already doing so, or a caller further up the
    /// stack.
    fn notify_observers(&self) {
        if std::mem::replace(&mut lock(&self.members).notifying, true) {
            return;
        }
        let notifying = Notifying(self);
        loop {
            let (event, observers) = {
                let mut members = lock(&self.members);
                let Some(next) = members.room_events.pop_front() else {
                    members.notifying = false;
                    break;
                };
                next
            };
            for observer in self.handlers().rooms.iter().take(observers) {
                // A panic of an observer is not the fault of the task that caused the event.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(event.clone()))) {
                    let (panic, namespace) = (panic_message(panic.as_ref()), &*self.name);
                    let panic = truncate(&panic);
                    log_limited!(self.room_panicked, error, namespace, handler = "room", panic, "a handler panicked");
                }
            }
        }
        std::mem::forget(notifying);
    }
}

/// Lets other tasks notify the observers if this one panics, for example in the subscriber of the log.
struct Notifying<'a, P: Parser>(&'a NamespaceInner<P>);

impl<P: Parser> Drop for Notifying<'_, P> {
    fn drop(&mut self) {
        lock(&self.0.members).notifying = false;
    }
}

/// A packet that is pushed into the mailboxes of its recipients while the namespace is locked. [`Delivery::finish`] does the rest
/// without the lock: it runs wakers and the subscriber of the log.
pub(super) struct Delivery<P: Parser> {
    bytes: usize,
    volatile: bool,
    recipients: usize,
    wakers: Vec<Waker>,
    /// Recipients that were closed.
    full: Vec<Arc<SocketInner<P>>>,
}

impl<P: Parser> Delivery<P> {
    pub(super) const fn new(bytes: usize, volatile: bool) -> Self {
        Self { bytes, volatile, recipients: 0, wakers: Vec::new(), full: Vec::new() }
    }

    /// Pushes the packet into one mailbox. If the mailbox is full, the connection of the recipient is closed, because it would
    /// otherwise miss a packet without noticing. A volatile packet is dropped instead.
    pub(super) fn push(&mut self, socket: &Arc<SocketInner<P>>, command: impl FnOnce() -> Command<P>) -> bool {
        let (pushed, waker) = socket.peer.push_quietly(self.bytes, command);
        self.recipients = self.recipients.saturating_add(1);
        self.wakers.extend(waker);
        if pushed == Err(SendError::Full) && !self.volatile {
            let (_, waker) = socket.peer.push_quietly(0, || Command::Discard);
            self.wakers.extend(waker);
            self.full.push(Arc::clone(socket));
        }
        pushed.is_ok()
    }

    pub(super) fn finish(self, counters: &Counters) {
        counters.broadcasts.add(1);
        counters.recipients.add(self.recipients);
        counters.queues_overflowed.add(self.full.len());
        self.wakers.into_iter().for_each(Waker::wake);
        for socket in self.full {
            let (session, times) = (socket.peer.sid(), &socket.peer.shared.log_counters.full);
            log_limited!(times, warn, %session, socket = %socket.id, "closed: its outbound queue is full (limits.max_outbound), and a broadcast did not fit");
        }
    }
}

/// The socket with this key, if it is still a member.
pub(super) fn find<P: Parser>(
    sockets: &slab::Slab<Arc<SocketInner<P>>>,
    key: SocketKey,
) -> Option<&Arc<SocketInner<P>>> {
    sockets.get(usize::try_from(key.index).ok()?).filter(|socket| socket.key == key)
}

/// Outcomes of the machine that were not reported to the application yet.
pub(super) struct Outcomes<P: Parser> {
    answers: Vec<(AnswersSink<P>, Vec<AnswerOf<P>>)>,
    /// Whether there are room events for the observers.
    rooms: bool,
    /// What was kept for sockets that cannot return any more.
    forgotten: Vec<KeptValues>,
}

impl<P: Parser> Members<P> {
    /// The key of the socket that is inserted into the table next.
    pub(super) fn next_key(&mut self) -> SocketKey {
        self.last_serial = self.last_serial.wrapping_add(1);
        // A table of 2^32 sockets does not fit in memory.
        let index = u32::try_from(self.sockets.vacant_key()).unwrap_or(u32::MAX);
        SocketKey { index, serial: self.last_serial }
    }

    /// Takes the events of the machine. The sockets that they refer to must still be in the table.
    pub(super) fn take_events(&mut self) -> Outcomes<P> {
        let mut outcomes = Outcomes { answers: Vec::new(), rooms: false, forgotten: Vec::new() };
        while let Some(event) = self.machine.poll_event() {
            let room_event = match event {
                NamespaceEvent::RoomCreated { room } => RoomEvent::Created { room },
                NamespaceEvent::RoomDeleted { room } => RoomEvent::Deleted { room },
                NamespaceEvent::Joined { socket, room } => {
                    let Some(socket) = find(&self.sockets, socket) else { continue };
                    RoomEvent::Joined { socket: socket.id.clone(), room }
                }
                NamespaceEvent::Left { socket, room } => {
                    let Some(socket) = find(&self.sockets, socket) else { continue };
                    RoomEvent::Left { socket: socket.id.clone(), room }
                }
                NamespaceEvent::Acked { broadcast, socket, outcome } => {
                    if let Some(awaited) = self.broadcasts.get_mut(&broadcast)
                        && let Some(socket) = find(&self.sockets, socket)
                    {
                        awaited.answers.push((Socket(Arc::clone(socket)), outcome));
                    }
                    continue;
                }
                NamespaceEvent::BroadcastDone { broadcast } => {
                    if let Some(awaited) = self.broadcasts.remove(&broadcast) {
                        outcomes.answers.push((awaited.sink, awaited.answers));
                    }
                    continue;
                }
                NamespaceEvent::Forgotten { socket } => {
                    outcomes.forgotten.extend(self.kept.remove(&socket));
                    continue;
                }
                _ => continue,
            };
            outcomes.rooms = true;
            self.room_events.push_back((room_event, self.observers));
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engineio_proto::Sid;
    use proptest::prelude::*;
    use socketio_proto::{Json, SocketHandle};

    use super::super::state::{Emits, Shared, SocketPeer};
    use super::*;
    use crate::clock::Clock;
    use crate::extensions::Extensions;
    use crate::peer::Peer;
    use crate::runtime::Runtime as _;
    use crate::testkit::Sim;
    use crate::timers::{Alarm, Sleeper, Timers};

    /// Enough for about ten packets, so that queues become full sometimes.
    const MAX_OUTBOUND: usize = 300;
    const SOCKETS: u8 = 4;

    #[derive(Clone, Debug)]
    enum Act {
        Emit {
            socket: u8,
            volatile: bool,
        },
        Broadcast {
            room: Option<u8>,
            sender: u8,
            volatile: bool,
        },
        Join {
            socket: u8,
            room: u8,
        },
        Leave {
            socket: u8,
            room: u8,
        },
        Remove {
            socket: u8,
        },
        /// The task of a peer takes the commands from its mailbox and executes them.
        TakeTurn {
            socket: u8,
        },
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let (socket, room) = (0..SOCKETS, 0..3_u8);
        let act = prop_oneof![
            6 => (socket.clone(), any::<bool>()).prop_map(|(socket, volatile)| Act::Emit { socket, volatile }),
            4 => (prop::option::of(room.clone()), socket.clone(), any::<bool>())
                .prop_map(|(room, sender, volatile)| Act::Broadcast { room, sender, volatile }),
            2 => (socket.clone(), room.clone()).prop_map(|(socket, room)| Act::Join { socket, room }),
            1 => (socket.clone(), room).prop_map(|(socket, room)| Act::Leave { socket, room }),
            1 => socket.clone().prop_map(|socket| Act::Remove { socket }),
            3 => socket.prop_map(|socket| Act::TakeTurn { socket }),
        ];
        prop::collection::vec(act, 0..60)
    }

    struct World {
        namespace: Arc<NamespaceInner<Json>>,
        sockets: Vec<Socket<Json>>,
        removed: BTreeSet<u8>,
        /// All commands of all peers, and the result of each emit.
        log: Vec<String>,
    }

    impl World {
        fn new(emits: Emits) -> Self {
            Self::with_alarm(emits, Alarm::new(Arc::default(), Arc::default()))
        }

        fn with_alarm(emits: Emits, alarm: Alarm) -> Self {
            let alarm = Arc::new(alarm);
            let namespace = Arc::new(NamespaceInner::new("/".into(), Json, 10, emits, alarm));
            let (parts, ()) = http::Request::new(()).into_parts();
            let socket = |number: u8| {
                let shared = Shared::new(&parts, &engineio_proto::Config::default());
                let peer: Arc<SocketPeer<Json>> =
                    Arc::new(Peer::new(Sid::from_random([number; 15]), MAX_OUTBOUND, shared));
                let id = SocketId::from_random([number; 15]);
                Socket(namespace.add(&id, None, |key| {
                    let names = (SocketHandle(number.into()), key, id.clone());
                    SocketInner::new(peer, Arc::clone(&namespace), names, None, Extensions::default())
                }))
            };
            let sockets = (0..SOCKETS).map(socket).collect();
            Self { namespace, sockets, removed: BTreeSet::new(), log: Vec::new() }
        }

        fn act(&mut self, number: usize, act: &Act) {
            let socket = |socket: u8| &self.sockets[usize::from(socket)];
            match *act {
                Act::Emit { socket: to, volatile } => {
                    let sent =
                        if volatile { socket(to).emit_volatile("n", number) } else { socket(to).emit("n", number) };
                    self.log.push(format!("{number}: {sent:?}"));
                }
                Act::Broadcast { room, sender, volatile } => {
                    let mut broadcast = socket(sender).broadcast();
                    if let Some(room) = room {
                        broadcast = broadcast.to(&room.to_string());
                    }
                    if volatile {
                        broadcast = broadcast.volatile();
                    }
                    broadcast.emit("b", number).unwrap();
                }
                Act::Join { socket: who, room } => socket(who).join(&room.to_string()),
                Act::Leave { socket: who, room } => socket(who).leave(&room.to_string()),
                Act::Remove { socket: who } => {
                    if self.removed.insert(who) {
                        self.namespace.remove(&self.sockets[usize::from(who)].0);
                        self.sockets[usize::from(who)].0.disconnected();
                    }
                }
                Act::TakeTurn { socket } => self.take_turn(socket),
            }
        }

        fn take_turn(&mut self, number: u8) {
            let peer = &self.sockets[usize::from(number)].0.peer;
            for command in peer.take().into_iter().flat_map(|contents| contents.commands) {
                self.log.push(match command {
                    Command::Send { socket, encoded, volatile } => {
                        format!("{number} gets {:?} for {socket:?}, volatile {volatile}", encoded.frames())
                    }
                    Command::Discard => format!("{number} is closed"),
                    _ => panic!("nobody asked for this"),
                });
            }
            peer.set_buffered(0);
        }
    }

    fn play(emits: Emits, acts: &[Act]) -> Vec<String> {
        let mut world = World::new(emits);
        for (number, act) in acts.iter().enumerate() {
            world.act(number, act);
        }
        (0..SOCKETS).for_each(|socket| world.take_turn(socket));
        world.log
    }

    #[test]
    fn who_asks_for_the_end_of_a_socket_is_told_or_sees_that_it_has_left_and_nothing_is_stored_with_it_then() {
        use futures_util::FutureExt as _;

        use super::super::data::Closed;

        let mut world = World::new(Emits::Direct);
        let socket = world.sockets.remove(0);
        let mut early = Box::pin(socket.closed());
        assert!(early.as_mut().now_or_never().is_none());
        // Another task that has looked at the table before the socket left it: as late as the table still has the socket here.
        socket.0.tell_closed();
        socket.0.forget();
        let late = socket.closed();
        assert!(socket.0.extensions.get::<Closed>().is_none(), "nothing would drop it");
        assert_eq!((early.now_or_never(), late.now_or_never()), (Some(()), Some(())));
    }

    proptest! {
        #[test]
        fn plain_emits_do_the_same_whether_or_not_they_are_operations_of_the_namespace(acts in acts()) {
            prop_assert_eq!(play(Emits::Direct, &acts), play(Emits::Ordered, &acts));
        }
    }
    #[test]
    fn the_time_for_answers_is_kept_though_no_recipient_ever_looks_into_its_mailbox() {
        let sim = Sim::new(0);
        sim.clone().run(async move {
            let (clock, timers) = (Arc::<Clock>::default(), Arc::<Timers>::default());
            let world = World::with_alarm(Emits::Direct, Alarm::new(Arc::clone(&clock), Arc::clone(&timers)));
            let namespace = Arc::clone(&world.namespace);
            let (runs, runtime) = (Arc::clone(&timers), sim.clone());
            sim.spawn(async move {
                let told = |_: Sleeper| namespace.handle_timeout(clock.read());
                runs.run(runtime, &clock, told).await;
            });
            sim.sleep(Duration::from_secs(3)).await;
            let all = [1, 2, 3].map(|seconds| {
                let broadcast = world.sockets[0].broadcast();
                broadcast.emit_with_ack("ask", (), Duration::from_secs(seconds)).unwrap()
            });
            for (answers, seconds) in all.into_iter().zip(4..) {
                let answers = answers.await.answers;
                assert_eq!(sim.elapsed().as_secs(), seconds);
                let outcomes: Vec<_> = answers.into_iter().map(|(_, outcome)| outcome).collect();
                assert_eq!(outcomes, [Err(AckError::Timeout), Err(AckError::Timeout), Err(AckError::Timeout)]);
            }
            timers.stop();
        });
    }
}
