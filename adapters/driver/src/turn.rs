//! What the task of a peer does in a turn, on either end: it reads and writes links, runs the application, and sets its timer.
//!
//! [`Turn`] is the machine of a peer with its links, and knows nothing of servers: what else is asked of the task (requests, replies, links
//! that are about to come) is the caller's, [`ServerTask`](crate::server_task). Nothing is locked while handlers run: they reach their own
//! peer as everybody does, through its mailbox. No channel, no further task and no timer object belongs to a peer.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use engineio_proto::server::{Input, LinkDownCause, ServerMachine};
use engineio_proto::{Instant, LinkId, Machine as _};
use engineio_websocket::Error;
use futures_util::future::{BoxFuture, select};

use crate::link::{Link, Read};
use crate::peer::Peer;
use crate::runtime::{Runtime, Stream};
use crate::spare;
use crate::tasks::Tasks;
use crate::timers::{Timer, Timers};

/// Reads of one turn: a flooding peer gives way to its neighbours after this many times 64 KiB.
const READS_PER_TURN: usize = 4;
/// Rounds of application and output of one turn: a peer with a thousand small events gives way too.
pub(crate) const PASSES_PER_TURN: usize = 16;
/// Events of one round.
pub(crate) const EVENTS_PER_PASS: usize = 256;
/// How long a link may take to go once it was closed.
const LINGER: Duration = Duration::from_secs(10);

/// A peer of this application.
pub(crate) type PeerOf<A> = Peer<<A as Application>::Command, <A as Application>::Shared>;

/// What runs on top of the machines. One value serves all peers.
pub(crate) trait Application: Send + Sync + Sized + 'static {
    /// The machine of a peer.
    type Machine: ServerMachine + Send + 'static;
    /// What other tasks can ask of a peer's machine.
    type Command: Send + 'static;
    /// What all tasks see of a peer.
    type Shared: Send + Sync + 'static;
    /// What the peer's task alone sees: sockets, handlers that wait, acks.
    type Local: Send + 'static;

    /// Applies a command.
    fn execute(&self, core: &mut Core<'_, Self>, command: Self::Command);

    /// Runs the application on what happened and what it is ready for, at most [`EVENTS_PER_PASS`]. Whether there was anything. While it is not ready,
    /// events stay in the machine, and fill it until it wants no more input; outcomes of acks do not wait.
    fn dispatch(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool;

    /// The task is about to end in order: handlers that still wait, to be run to their end by themselves.
    fn leftover(&self, local: &mut Self::Local) -> Option<BoxFuture<'static, ()>>;

    /// The task ends, in whatever way: leaves no trace of the peer.
    fn finish(&self, peer: &Arc<PeerOf<Self>>, local: &mut Self::Local);
}

/// The part of a task that the application works on.
pub(crate) struct Core<'a, A: Application> {
    pub(crate) now: Instant,
    pub(crate) peer: &'a Arc<PeerOf<A>>,
    pub(crate) machine: &'a mut A::Machine,
    pub(crate) local: &'a mut A::Local,
    /// Whether a packet would leave at once: nothing waits, neither in the machine nor in the link.
    pub(crate) link_is_flushed: bool,
}

/// The machine of a peer, and its links.
pub(crate) struct Turn<A: Application, S> {
    pub(crate) peer: Arc<PeerOf<A>>,
    pub(crate) machine: A::Machine,
    pub(crate) local: A::Local,
    links: Vec<Link<S>>,
    /// What the timers will wake the task for.
    timer: Option<Timer>,
}

impl<A: Application, S: Stream> Turn<A, S> {
    pub(crate) fn new(peer: Arc<PeerOf<A>>, machine: A::Machine, local: A::Local) -> Self {
        Self { peer, machine, local, links: Vec::new(), timer: None }
    }

    fn core(&mut self, now: Instant) -> Core<'_, A> {
        Core {
            now,
            peer: &self.peer,
            link_is_flushed: self.links.iter().all(Link::is_flushed),
            machine: &mut self.machine,
            local: &mut self.local,
        }
    }

    /// Applies commands.
    pub(crate) fn execute(&mut self, application: &A, now: Instant, mut commands: Vec<A::Command>) {
        let mut core = self.core(now);
        for command in commands.drain(..) {
            application.execute(&mut core, command);
        }
        spare::give(commands);
    }

    /// Runs the application on what happened. Whether anything has.
    pub(crate) fn dispatch(&mut self, application: &A, now: Instant, cx: &mut Context<'_>) -> bool {
        application.dispatch(&mut self.core(now), cx)
    }

    pub(crate) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// A link is up.
    pub(crate) fn link_up(&mut self, now: Instant, link: Link<S>) {
        self.machine.handle(now, Input::LinkUp { link: link.id(), kind: link.kind() });
        // Exactly: nearly every peer has one link all its life.
        self.links.reserve_exact(1);
        self.links.push(link);
    }

    /// Takes a link away that the machine is through with.
    pub(crate) fn take_link(&mut self, id: LinkId) -> Option<Link<S>> {
        let index = self.links.iter().position(|link| link.id() == id)?;
        Some(self.links.swap_remove(index))
    }

    fn link_down(&mut self, now: Instant, index: usize, cause: LinkDownCause) -> Link<S> {
        let link = self.links.swap_remove(index);
        self.machine.handle(now, Input::LinkDown { link: link.id(), cause });
        link
    }

    /// Reads from every link until it has nothing more for now. Those that go down are handed to `down`, with the rule that their peer broke,
    /// if it did. True when there may be more: the turn has read enough, or the machine wants no more for now. Nobody will wake the task
    /// for that.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
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
            match link.poll_read(cx, |message| machine.handle(now, Input::LinkMessage { link: id, message })) {
                Read::Pending => index = index.saturating_add(1),
                Read::Some => reads = reads.saturating_add(1),
                Read::Down(cause) => down(self.link_down(now, index, cause), None),
                Read::Failed(error) => down(self.link_down(now, index, LinkDownCause::Failed), Some(error)),
            }
        }
        false
    }

    /// Writes what the machine has for its links. Those that fail are handed to `down`. Whether there was anything.
    pub(crate) fn write(&mut self, now: Instant, cx: &mut Context<'_>, mut down: impl FnMut(Link<S>)) -> bool {
        let mut any = false;
        let mut index: usize = 0;
        while let Some(link) = self.links.get_mut(index) {
            let id = link.id();
            let machine = &mut self.machine;
            // While a link takes nothing, its packets stay in the machine, which counts them.
            let written = link.poll_write(cx, |batch| {
                machine.poll_frames(id, |frame| {
                    any = true;
                    batch.add(frame)
                });
            });
            match written {
                Ok(()) => index = index.saturating_add(1),
                Err(_) => down(self.link_down(now, index, LinkDownCause::Failed)),
            }
        }
        any
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.machine.handle_timeout(now);
        }
    }

    /// Sees to it that the task is woken for the machine's next deadline.
    pub(crate) fn set_timer(&mut self, timers: &Timers, now: Instant) {
        let Some(deadline) = self.machine.poll_timeout() else { return };
        if self.timer.is_none_or(|timer| deadline < timer.deadline || timer.wake_at <= now) {
            self.timer = Some(timers.set(now, deadline, self.peer.sid(), self.timer));
        }
    }

    /// The task is not to be woken any more.
    pub(crate) fn cancel_timer(&mut self, timers: &Timers) {
        if let Some(timer) = self.timer.take() {
            timers.cancel(self.peer.sid(), timer);
        }
    }

    /// Bytes that wait to be sent, in the machine and in its links.
    fn buffered(&self) -> usize {
        self.links.iter().map(Link::buffered).fold(self.machine.buffered_bytes(), usize::saturating_add)
    }

    /// Ends a turn: the task sleeps, unless another turn is to follow at once or the mailbox is not empty.
    pub(crate) fn end(&self, cx: &Context<'_>, again: bool) {
        let buffered = self.buffered();
        if again {
            self.peer.set_buffered(buffered);
        }
        if again || !self.peer.sleep(cx, buffered) {
            cx.waker().wake_by_ref();
        }
    }
}

/// Leaves a link that is no longer the machine's to a task of its own, which sees it out.
pub(crate) fn linger<R: Runtime>(tasks: &Tasks, runtime: &R, link: Link<R::Stream>) {
    let sleep = runtime.sleep(LINGER);
    tasks.spawn(runtime, async move {
        let (lingering, sleep) = (std::pin::pin!(link.linger()), std::pin::pin!(sleep));
        // Whichever comes first, the link is done with.
        let _ = select(lingering, sleep).await;
    });
}
