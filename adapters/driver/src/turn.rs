//! One turn of a peer's task, on a server or a client: reads and writes links, and runs the application.
//!
//! [`Turn`] is the machine of a peer with its links. It does not depend on servers: the caller, [`ServerTask`](crate::server_task), handles
//! requests, replies, pending upgrades and the timer. No lock is held while handlers run, and they reach their own peer through its mailbox, as other
//! tasks do. A peer has no channel and no further task.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use engineio_proto::server::LinkDownCause;
use engineio_proto::{Instant, LinkId, LinkInput as _, Machine};
use engineio_websocket::Error;
use futures_util::future::{BoxFuture, select};

use crate::backlog::Backlog;
use crate::link::{Link, Read, Received};
use crate::log_limit::{Occurrences, log_limited, truncate};
use crate::metrics::{Counters, Traffic};
use crate::peer::Peer;
use crate::runtime::{Runtime, Stream};
use crate::spare;
use crate::tasks::Tasks;

/// The maximum number of reads in one turn: a flooding peer yields to others after this many times 64 KiB.
const READS_PER_TURN: usize = 4;
/// The maximum number of rounds of application and output in one turn: a peer with a thousand small events yields as well. All events of a
/// turn take some 300 microseconds, for which the other peers wait.
pub(crate) const PASSES_PER_TURN: usize = 2;
/// The maximum number of events in one round.
pub(crate) const EVENTS_PER_PASS: usize = 128;
/// The longest time for which a closed link lingers.
const LINGER: Duration = Duration::from_secs(10);

/// A peer of this application.
pub(crate) type PeerOf<A> = Peer<<A as Application>::Command, <A as Application>::Shared>;

/// The layer above the machines. One value serves all peers.
pub(crate) trait Application: Send + Sync + Sized + 'static {
    /// The machine of a peer.
    type Machine: Machine + Send + 'static;
    /// A command from another task to a peer's machine.
    type Command: Send + 'static;
    /// The state of a peer that all tasks can access.
    type Shared: Send + Sync + 'static;
    /// The state of a peer that only its own task can access: sockets, waiting handlers, acks.
    type Local: Send + 'static;

    /// The counters of the server.
    fn counters(&self) -> &Counters;

    /// Applies a command. `link_is_flushed` is whether a packet would be written at once, because the links have no buffered output.
    fn execute(&self, core: &mut Core<'_, Self>, link_is_flushed: bool, command: Self::Command);

    /// Runs the application on the machine's events, as far as it is ready for them, at most [`EVENTS_PER_PASS`]. Returns whether there
    /// were any. While the application is not ready, events stay in the machine, which fills up until it wants no more input. Outcomes of
    /// acks are handled in any case.
    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool;

    /// The number of bytes in the outbound queue of a peer at which the application wants to be told, if it does.
    fn backlog_mark(&self) -> Option<usize> {
        None
    }

    /// Tells the application that a queue has passed the mark.
    fn backlog(&self, _core: &mut Core<'_, Self>, _backlog: Backlog) {}

    /// Whether no handler waits, which is nearly always the case.
    fn is_idle(&self, _local: &Self::Local) -> bool {
        true
    }

    /// The number of bytes that are held for sending.
    fn buffered(&self, machine: &Self::Machine, _local: &Self::Local) -> usize {
        machine.buffered_bytes()
    }

    /// The number of handlers that wait.
    fn waiting(&self, _local: &Self::Local) -> usize {
        0
    }

    /// Called before the task ends normally. Returns a future that runs the waiting handlers to their end.
    fn leftover(&self, local: &mut Self::Local) -> Option<BoxFuture<'static, ()>>;

    /// Called when the task ends, for whatever reason. Removes all traces of the peer.
    fn finish(&self, peer: &Arc<PeerOf<Self>>, local: &mut Self::Local);
}

/// The part of a task that the application works on.
pub(crate) struct Core<'a, A: Application> {
    pub(crate) now: Instant,
    pub(crate) peer: &'a Arc<PeerOf<A>>,
    pub(crate) counters: &'a Counters,
    pub(crate) machine: &'a mut A::Machine,
    pub(crate) local: &'a mut A::Local,
}

impl<A: Application> Core<'_, A> {
    /// The handler of `on_backlog` has panicked: the session is closed.
    #[cold]
    pub(crate) fn backlog_panicked(&mut self, panic: &str, times: &Occurrences) {
        let (session, panic) = (self.peer.sid(), truncate(panic));
        self.counters.handlers_panicked.add(1);
        log_limited!(times, error, %session, handler = "backlog", panic, "a handler panicked: its connection is closed");
        self.machine.discard(self.now);
    }
}

/// An input of an application's machine.
type InputOf<A> = <<A as Application>::Machine as Machine>::Input;

/// The machine of a peer, and its links.
pub(crate) struct Turn<A: Application, S> {
    pub(crate) peer: Arc<PeerOf<A>>,
    pub(crate) machine: A::Machine,
    pub(crate) local: A::Local,
    links: Vec<Link<S>>,
}

impl<A: Application, S: Stream> Turn<A, S> {
    pub(crate) fn new(peer: Arc<PeerOf<A>>, machine: A::Machine, local: A::Local) -> Self {
        Self { peer, machine, local, links: Vec::new() }
    }

    pub(crate) fn core<'a>(&'a mut self, application: &'a A, now: Instant) -> Core<'a, A> {
        Core {
            now,
            peer: &self.peer,
            counters: application.counters(),
            machine: &mut self.machine,
            local: &mut self.local,
        }
    }

    /// Applies commands.
    pub(crate) fn execute(&mut self, application: &A, now: Instant, mut commands: Vec<A::Command>) {
        let link_is_flushed = self.links.iter().all(Link::is_flushed);
        let mut core = self.core(application, now);
        for command in commands.drain(..) {
            application.execute(&mut core, link_is_flushed, command);
        }
        spare::give(commands);
    }

    /// Runs the application on the machine's events. Returns whether there were any.
    pub(crate) fn dispatch(&mut self, application: &A, now: Instant, cx: &mut Context<'_>) -> bool {
        application.dispatch(&mut self.core(application, now), cx)
    }

    pub(crate) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Adds a link that is up.
    pub(crate) fn link_up(&mut self, now: Instant, link: Link<S>) {
        self.machine.handle(now, InputOf::<A>::link_up(link.id(), link.kind()));
        // Reserved exactly, because nearly every peer has only one link.
        self.links.reserve_exact(1);
        self.links.push(link);
    }

    /// Removes a link that the machine has closed.
    pub(crate) fn take_link(&mut self, id: LinkId) -> Option<Link<S>> {
        let index = self.links.iter().position(|link| link.id() == id)?;
        Some(self.links.swap_remove(index))
    }

    fn link_down(&mut self, now: Instant, index: usize, cause: LinkDownCause) -> Link<S> {
        let link = self.links.swap_remove(index);
        self.machine.handle(now, InputOf::<A>::link_down(link.id(), cause));
        link
    }

    /// Reads from every link until nothing more is available. Links that go down are passed to `down`, with the error if the peer has
    /// violated the protocol. Returns true if more may be available, because the turn has read enough or the machine wants no more input.
    /// The task is not woken for that.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        traffic: &mut Traffic,
        mut down: impl FnMut(Link<S>, Option<Error>),
    ) -> bool {
        let mut reads: usize = 0;
        let mut index: usize = 0;
        while let Some(link) = self.links.get_mut(index) {
            if reads == READS_PER_TURN || !self.machine.wants_input() {
                return true;
            }
            let id = link.id();
            let machine = &mut self.machine;
            let read = link.poll_read(cx, |received| {
                let input = match received {
                    Received::Message(message) => {
                        traffic.received(message.len());
                        InputOf::<A>::link_message(id, message)
                    }
                    Received::Bytes(chunk) => {
                        traffic.received(chunk.len());
                        InputOf::<A>::link_bytes(id, chunk)
                    }
                };
                machine.handle(now, input);
            });
            match read {
                Read::Pending => index = index.saturating_add(1),
                Read::Some => reads = reads.saturating_add(1),
                Read::Enough => return true,
                Read::Down(cause) => down(self.link_down(now, index, cause), None),
                Read::Failed(error) => down(self.link_down(now, index, LinkDownCause::Failed), Some(error)),
            }
        }
        false
    }

    /// Writes the machine's packets to its links. Links that fail are passed to `down`. Returns whether there were any packets.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        traffic: &mut Traffic,
        mut down: impl FnMut(Link<S>),
    ) -> bool {
        let before = traffic.packets_sent();
        // The machine has events then.
        let mut lost = false;
        let mut index: usize = 0;
        while let Some(link) = self.links.get_mut(index) {
            let id = link.id();
            let machine = &mut self.machine;
            // While a link accepts nothing, its packets stay in the machine, which counts them.
            let written = link.poll_write(cx, traffic, |batch| machine.poll_frames(id, |frame| batch.add(frame)));
            match written {
                Ok(()) => index = index.saturating_add(1),
                Err(_) => {
                    lost = true;
                    down(self.link_down(now, index, LinkDownCause::Failed));
                }
            }
        }
        lost || traffic.packets_sent() != before
    }

    /// Fires due deadlines.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.machine.handle_timeout(now);
        }
    }

    /// Tells the application that the queue has passed the mark.
    pub(crate) fn backlog(&mut self, application: &A, now: Instant, backlog: Backlog) {
        application.backlog(&mut self.core(application, now), backlog);
    }

    /// The number of bytes that are queued for sending, in the machine and in its links.
    pub(crate) fn buffered(&self, application: &A) -> usize {
        let held = application.buffered(&self.machine, &self.local);
        self.links.iter().map(Link::buffered).fold(held, usize::saturating_add)
    }

    /// Ends a turn: the task sleeps, unless another turn follows at once or the mailbox is not empty.
    pub(crate) fn end(&self, application: &A, runtime: &impl Runtime, cx: &mut Context<'_>, again: bool) {
        let buffered = self.buffered(application);
        if again {
            self.peer.set_buffered(buffered);
        }
        if again || !self.peer.sleep(cx, buffered) {
            runtime.yield_now(cx);
        }
    }
}

/// Spawns a task in which a link lingers after its machine has closed it.
pub(crate) fn linger(tasks: &Tasks, runtime: &impl Runtime, link: Link<impl Stream>) {
    let sleep = runtime.sleep(LINGER);
    tasks.spawn(runtime, async move {
        let (lingering, sleep) = (std::pin::pin!(link.linger()), std::pin::pin!(sleep));
        // The link is dropped when either has completed.
        let _ = select(lingering, sleep).await;
    });
}
