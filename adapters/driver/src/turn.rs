//! The one task of a peer: it owns the machine and the links, and takes turns.
//!
//! A turn applies what is in the mailbox, handles all input of one read, fires what is due, runs the application on what happened,
//! applies what the application asked for meanwhile, and writes once. Nothing is locked while handlers run: they reach their own peer
//! as everybody does, through its mailbox. No channel, no further task and no timer object belongs to a peer.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use engineio_proto::server::{AskKind, Carrier, Input, LinkDownCause, Machine, Session, Transmit};
use engineio_proto::{Config, Instant, LinkId, RequestId, Response};
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, select};

use crate::hub::{Hub, PeerOf, TaskGuard};
use crate::link::{Link, Read, WebSocket};
use crate::peer::{Arrival, Mail};
use crate::runtime::Runtime;
use crate::spare;
use crate::timers::Armed;
use crate::upgrade::Upgrade;

/// Reads of one turn: a flooding peer gives way to its neighbours after this many times 64 KiB.
const READS_PER_TURN: usize = 4;
/// Rounds of application and output of one turn: a peer with a thousand small events gives way too.
const PASSES_PER_TURN: usize = 16;
/// Events of one round.
pub(crate) const EVENTS_PER_PASS: usize = 256;
/// How long a link may take to go once it was closed.
const LINGER: Duration = Duration::from_secs(10);

/// What runs on top of the machines. One value serves all peers.
pub(crate) trait Application: Send + Sync + Sized + 'static {
    /// The machine of a peer.
    type Machine: Machine + Send + 'static;
    /// What other tasks can ask of a peer's machine.
    type Command: Send + 'static;
    /// What all tasks see of a peer.
    type Shared: Send + Sync + 'static;
    /// What the peer's task alone sees: sockets, handlers that wait, acks.
    type Local: Send + 'static;

    /// What all tasks are to see of a peer whose session this request opens.
    fn shared(&self, parts: &http::request::Parts, config: &Config) -> Self::Shared;

    /// Asks a peer to go in order.
    fn go() -> Self::Command;

    /// Cuts a peer off.
    fn cut_off() -> Self::Command;

    /// A session was accepted.
    fn open(&self, now: Instant, session: Session, peer: &Arc<PeerOf<Self>>) -> (Self::Machine, Self::Local);

    /// A deadline has passed that the application has set by its [`Alarm`](crate::timers::Alarm). Does nothing unless it sets some.
    fn handle_timeout(&self, _now: Instant) {}

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

impl<A: Application> Core<'_, A> {
    /// Has the machine go for the server's shutdown, in order where there is something to wait for. A client that polls, has no GET open and
    /// nothing to fetch is not waited for: it may never come again, and learns from the refusal of its next request (the reference's
    /// `Server.close` discards everybody at once, engine.io `lib/server.ts`).
    pub(crate) fn shut_down(&mut self, close: impl FnOnce(&mut A::Machine, Instant)) {
        let machine = &mut *self.machine;
        let polls = machine.session().carrier() == Carrier::Polling;
        let nothing_to_fetch = polls && machine.buffered_bytes() == 0 && !machine.is_writable();
        close(machine, self.now);
        if nothing_to_fetch {
            machine.discard(self.now);
        }
    }
}

/// The task of a peer.
pub(crate) struct PeerTask<A: Application, R: Runtime> {
    hub: Arc<Hub<A>>,
    runtime: R,
    peer: Arc<PeerOf<A>>,
    machine: A::Machine,
    local: A::Local,
    links: Vec<Link<R::Stream>>,
    /// Links whose HTTP side has not let go yet; `true` for the one that opens the session.
    connecting: Vec<(LinkId, Upgrade<R::Stream>, bool)>,
    /// GETs that wait until the links have been read.
    deferred_polls: Vec<Arrival>,
    /// Requests that wait for their answer.
    replies: VecDeque<(RequestId, oneshot::Sender<Response>)>,
    /// What the timers will wake this task for.
    armed: Option<Armed>,
    /// Bounds how long the last packets of a closed session may take.
    closing: Option<Pin<Box<R::Sleep>>>,
    /// A shutdown waits for this task.
    _guard: TaskGuard,
}

impl<A: Application, R: Runtime> PeerTask<A, R> {
    pub(crate) fn new(hub: Arc<Hub<A>>, guard: TaskGuard, runtime: R, peer: Arc<PeerOf<A>>, session: Session) -> Self {
        let (machine, local) = hub.application.open(hub.clock.now(&runtime), session, &peer);
        Self {
            hub,
            runtime,
            peer,
            machine,
            local,
            links: Vec::new(),
            connecting: Vec::new(),
            deferred_polls: Vec::new(),
            replies: VecDeque::new(),
            armed: None,
            closing: None,
            _guard: guard,
        }
    }

    /// The application, and what it works on.
    fn split(&mut self, now: Instant) -> (&A, Core<'_, A>) {
        let core = Core {
            now,
            peer: &self.peer,
            link_is_flushed: self.links.iter().all(Link::is_flushed),
            machine: &mut self.machine,
            local: &mut self.local,
        };
        (&self.hub.application, core)
    }

    /// Applies what other tasks, and the handlers of this turn, have put into the mailbox. Whether there was anything.
    fn open_mail(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(Mail { mut commands, bytes, arrivals }) = self.peer.take() else { return false };
        for arrival in arrivals {
            // A GET brings no packet. What has come over a link was sent before it, an upgrade packet for one.
            let waits = !self.links.is_empty() && arrival.is_poll();
            if let Arrival::Aborted { .. } = arrival {
                // It may be one of those.
                for poll in std::mem::take(&mut self.deferred_polls) {
                    self.arrive(now, poll);
                }
            }
            if waits {
                self.deferred_polls.push(arrival);
            } else {
                self.arrive(now, arrival);
            }
        }
        if bytes.saturating_add(self.machine.buffered_bytes()) > self.hub.config().limits.max_outbound {
            // The mailbox has taken them without knowing what the machine has said on its own in this turn.
            self.transmit(now, cx);
        }
        let (application, mut core) = self.split(now);
        for command in commands.drain(..) {
            application.execute(&mut core, command);
        }
        spare::give(commands);
        true
    }

    fn arrive(&mut self, now: Instant, arrival: Arrival) {
        let input = match arrival {
            Arrival::Request { request, ask, content_type, reply } => match self.machine.session().admit(&ask) {
                Ok(()) => {
                    self.replies.push_back((request, reply));
                    match ask.kind() {
                        AskKind::Post => Input::Post { request, content_type },
                        _ => Input::Poll { request },
                    }
                }
                Err(response) => return drop(reply.send(response)),
            },
            Arrival::Body { request, body } => Input::Body { request, body },
            Arrival::BodyRejected { request, fault } => Input::BodyRejected { request, fault },
            Arrival::Replied { request } => Input::Replied { request },
            Arrival::Aborted { request } => {
                self.replies.retain(|(waiting, _)| *waiting != request);
                Input::Aborted { request }
            }
            Arrival::Link { link, ask, upgrade, admission } => {
                let answer = self.machine.session().admit(&ask);
                let admitted = answer.is_ok();
                if admission.send(answer).is_ok() && admitted {
                    self.connecting.push((link, upgrade.of(), false));
                }
                return;
            }
            Arrival::FirstLink { link, upgrade } => return self.connecting.push((link, upgrade.of(), true)),
        };
        self.machine.handle(now, input);
    }

    /// Takes over links whose HTTP side has let go.
    fn connect(&mut self, now: Instant, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some((link, upgrade, first)) = self.connecting.get_mut(index) {
            let (link, first) = (*link, *first);
            let Poll::Ready(upgraded) = Pin::new(upgrade).poll(cx) else {
                index = index.saturating_add(1);
                continue;
            };
            self.connecting.swap_remove(index);
            match upgraded {
                Ok((stream, early)) => {
                    // Exactly: nearly every peer has one link all its life.
                    self.links.reserve_exact(1);
                    let websocket = WebSocket::new(None, self.hub.config().max_payload);
                    let link = Link::new(link, stream, websocket, early);
                    self.machine.handle(now, Input::LinkUp { link: link.id(), kind: link.kind() });
                    self.links.push(link);
                }
                Err(error) => {
                    tracing::debug!(session = %self.peer.sid(), %error, "the HTTP server did not hand over a WebSocket");
                    if first {
                        self.machine.discard(now);
                    }
                }
            }
        }
        if self.connecting.is_empty() {
            self.connecting = Vec::new();
        }
    }

    /// Reads from every link until it has nothing more for now. True when there may be more: the turn has read enough, or the machine
    /// wants no more for now. Nobody will wake the task for that.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut reads = 0;
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            if reads == READS_PER_TURN || !self.machine.wants_input() {
                return true;
            }
            let id = link.id();
            let machine = &mut self.machine;
            match link.poll_read(cx, |message| machine.handle(now, Input::LinkMessage { link: id, message })) {
                Read::Pending => index = index.saturating_add(1),
                Read::Some => reads = reads.saturating_add(1),
                Read::Down(cause) => self.link_down(now, index, cause),
                Read::Failed(error) => {
                    self.log_failed_link(error);
                    self.link_down(now, index, LinkDownCause::Failed);
                }
            }
        }
        false
    }

    #[cold]
    fn log_failed_link(&self, error: engineio_websocket::Error) {
        let session = self.peer.sid();
        if error == engineio_websocket::Error::MessageTooBig {
            let limit = self.hub.config().max_payload;
            tracing::debug!(%session, limit, "a WebSocket message is too large: raise ServerBuilder::max_payload to take it");
        } else {
            tracing::debug!(%session, %error, "a WebSocket failed");
        }
    }

    fn link_down(&mut self, now: Instant, index: usize, cause: LinkDownCause) {
        let link = self.links.swap_remove(index);
        self.machine.handle(now, Input::LinkDown { link: link.id(), cause });
        self.linger(link);
    }

    /// Leaves a link to a task of its own, which sees it out.
    fn linger(&self, link: Link<R::Stream>) {
        let sleep = self.runtime.sleep(LINGER);
        self.spawn_counted(async move {
            let (lingering, sleep) = (std::pin::pin!(link.linger()), std::pin::pin!(sleep));
            // Whichever comes first, the link is done with.
            let _ = select(lingering, sleep).await;
        });
    }

    /// Spawns a task that a shutdown waits for.
    fn spawn_counted(&self, task: impl Future<Output = ()> + Send + 'static) {
        let guard = self.hub.tasks.enter();
        self.runtime.spawn(async move {
            let _guard = guard;
            task.await;
        });
    }

    /// Hands out what the machine has to send. Whether there was anything.
    fn transmit(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        let mut index = 0;
        while index < self.links.len() {
            if self.write(now, cx, index, &mut any) {
                index = index.saturating_add(1);
            }
        }
        while let Some(transmit) = self.machine.poll_control() {
            any = true;
            match transmit {
                Transmit::Reply { request, response } => {
                    if let Some(index) = self.replies.iter().position(|(waiting, _)| *waiting == request)
                        // Requests are mostly answered in the order in which they came.
                        && let Some((_, reply)) = self.replies.swap_remove_front(index)
                        && reply.send(response).is_err()
                    {
                        self.machine.handle(now, Input::Aborted { request });
                    }
                }
                Transmit::CloseLink { link: id } => {
                    if let Some(index) = self.links.iter().position(|link| link.id() == id) {
                        let mut link = self.links.swap_remove(index);
                        link.close(self.hub.is_shutting_down().then_some((GOING_AWAY, "")));
                        self.linger(link);
                    }
                    self.connecting.retain(|(connecting, ..)| *connecting != id);
                }
                _ => {}
            }
        }
        any
    }

    /// Writes what the machine has for a link. False when the link is down.
    fn write(&mut self, now: Instant, cx: &mut Context<'_>, index: usize, any: &mut bool) -> bool {
        let Some(link) = self.links.get_mut(index) else { return false };
        let id = link.id();
        let machine = &mut self.machine;
        // While a link takes nothing, its packets stay in the machine, which counts them.
        let written = link.poll_write(cx, |batch| {
            machine.poll_frames(id, |frame| {
                *any = true;
                batch.add(frame)
            });
        });
        if written.is_err() {
            self.link_down(now, index, LinkDownCause::Failed);
            return false;
        }
        true
    }

    /// Sees to it that the task is woken for the machine's next deadline.
    fn arm(&mut self, now: Instant) {
        let Some(deadline) = self.machine.poll_timeout() else { return };
        if self.armed.is_none_or(|armed| deadline < armed.deadline || armed.wake_at <= now) {
            self.armed = Some(self.hub.timers.arm(now, deadline, self.peer.sid(), self.armed));
        }
    }

    /// Whether nothing is left to do. A closed session's last packets get [`Config::close_timeout`](engineio_proto::Config).
    fn is_done(&mut self, cx: &mut Context<'_>) -> bool {
        if self.machine.is_drained() {
            return true;
        }
        if !self.machine.session().is_closed() {
            return false;
        }
        let patience = self.hub.config().close_timeout;
        let closing = self.closing.get_or_insert_with(|| Box::pin(self.runtime.sleep(patience)));
        closing.as_mut().poll(cx).is_ready()
    }
}

/// RFC 6455 section 7.4.1: the server goes down.
const GOING_AWAY: u16 = 1001;

// Nothing in it is ever pinned in place.
impl<A: Application, R: Runtime> Unpin for PeerTask<A, R> {}

impl<A: Application, R: Runtime> Future for PeerTask<A, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        let now = task.hub.clock.now(&task.runtime);
        task.open_mail(now, cx);
        if !task.connecting.is_empty() {
            task.connect(now, cx);
        }
        let more = task.read(now, cx);
        for poll in std::mem::take(&mut task.deferred_polls) {
            task.arrive(now, poll);
        }
        if task.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            task.machine.handle_timeout(now);
        }
        let mut passes: usize = 0;
        loop {
            let (application, mut core) = task.split(now);
            let happened = application.dispatch(&mut core, cx);
            let asked = task.open_mail(now, cx);
            // What leaves may have been the last of a session: the application hears of it in this turn.
            let left = task.transmit(now, cx);
            passes = passes.saturating_add(1);
            let more = (happened || asked || left) && task.machine.has_events();
            if !more || passes == PASSES_PER_TURN {
                break;
            }
        }
        if task.is_done(cx) {
            if let Some(leftover) = task.hub.application.leftover(&mut task.local) {
                task.spawn_counted(leftover);
            }
            return Poll::Ready(());
        }
        task.arm(now);
        let buffered = task.links.iter().map(Link::buffered).fold(task.machine.buffered_bytes(), usize::saturating_add);
        // What made the machine want input again may have happened in this very turn.
        let again =
            (more && task.machine.wants_input()) || passes == PASSES_PER_TURN || !task.deferred_polls.is_empty();
        if again {
            task.peer.go_on(buffered);
        }
        if again || !task.peer.rest(cx, buffered) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<A: Application, R: Runtime> Drop for PeerTask<A, R> {
    /// Runs at the end of every task, whether it finished, was dropped by its runtime, or panicked.
    fn drop(&mut self) {
        self.hub.remove(self.peer.sid());
        if let Some(armed) = self.armed {
            self.hub.timers.disarm(self.peer.sid(), armed);
        }
        let mail = self.peer.close();
        for arrival in std::mem::take(&mut self.deferred_polls).into_iter().chain(mail.arrivals) {
            match arrival {
                Arrival::Request { ask, reply, .. } => drop(reply.send(Hub::<A>::unknown_sid(&ask))),
                Arrival::Link { ask, admission, .. } => drop(admission.send(Err(Hub::<A>::unknown_sid(&ask)))),
                _ => {}
            }
        }
        self.hub.application.finish(&self.peer, &mut self.local);
    }
}
