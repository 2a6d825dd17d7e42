//! The task of a peer on a server. It owns the peer's [`Turn`], the pending requests, and the links whose upgrade is pending, and handles
//! the end of the session.
//!
//! One turn applies what is in the mailbox, handles all input of one read, fires due deadlines, runs the application, applies the commands
//! that the application gave meanwhile, and writes once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use engineio_proto::server::{Handshake, Input, RequestKind, ServerMachine, Session, Transmit, Transport};
use engineio_proto::{Instant, LinkId, LinkKind, Machine as _, RequestId, Response, Sid};
use engineio_websocket::Error;
use futures_channel::oneshot;

use crate::backlog::Backlog;
use crate::hub::{Hub, ServerApplication};
use crate::link::{Link, Protocol, WebSocket};
use crate::metrics::Traffic;
use crate::peer::{Contents, HttpEvent};
use crate::runtime::Runtime;
use crate::tasks::TaskGuard;
use crate::timers::Timer;
use crate::turn::{Core, PASSES_PER_TURN, PeerOf, Turn, linger};
use crate::upgrade::Upgrade;

/// RFC 6455 section 7.4.1: the server is shutting down.
const GOING_AWAY: u16 = 1001;

impl<A: ServerApplication> Core<'_, A> {
    /// Closes the machine for the server's shutdown, gracefully if there is something to wait for. A polling client without a held GET and
    /// without queued packets is discarded: it may never send another GET, and the refusal of its next request informs it. (The reference's
    /// `Server.close` discards all clients at once, engine.io `lib/server.ts`.)
    pub(crate) fn shut_down(&mut self, close: impl FnOnce(&mut A::Machine, Instant)) {
        let machine = &mut *self.machine;
        let polls = machine.session().transport() == Transport::Polling;
        let nothing_to_fetch = polls && machine.buffered_bytes() == 0 && !machine.is_writable();
        close(machine, self.now);
        if nothing_to_fetch {
            machine.discard(self.now);
        }
    }
}

/// Opens a session: adds it to the hub, and spawns its task.
///
/// # Errors
/// The refusal, if the server is shutting down or no unused id was found.
pub(crate) fn open<A: ServerApplication, R: Runtime>(
    hub: &Arc<Hub<A>>,
    runtime: &R,
    handshake: Handshake,
    shared: A::Shared,
    generate: impl Fn() -> Option<Sid>,
) -> Result<Arc<PeerOf<A>>, Response> {
    hub.run_timers(runtime);
    // Counted before it can be asked to close, so that a shutdown waits for it.
    let guard = hub.tasks.enter();
    let peer = match hub.add(shared, generate) {
        Ok(peer) => peer,
        Err(refusal) => return Err(handshake.refuse(refusal)),
    };
    let now = hub.clock.now(runtime);
    let session = handshake.accept(now, peer.sid());
    hub.counters.sessions_opened.add(1);
    // Spawned directly: an async block around it would contain it twice and double its memory.
    runtime.spawn(ServerTask::new(Arc::clone(hub), guard, runtime.clone(), Arc::clone(&peer), now, session));
    Ok(peer)
}

/// The task of a peer.
struct ServerTask<A: ServerApplication, R: Runtime> {
    turn: Turn<A, R::Stream>,
    /// The timer that wakes the task, if one is set.
    timer: Option<Timer>,
    hub: Arc<Hub<A>>,
    runtime: R,
    /// Boxed, because most sessions leave HTTP early.
    http: Option<Box<HttpState<R::Stream>>>,
    /// Whether the queue has passed the application's mark.
    backlogged: bool,
    /// The waiting handlers that are counted.
    waiting: u32,
    /// The span of the session, if its level is on. It is entered for each turn.
    span: Option<Box<tracing::Span>>,
    /// The timeout for the last packets of a closed session.
    closing: Option<Pin<Box<R::Sleep>>>,
    /// Lets a shutdown wait for this task.
    _guard: TaskGuard,
}

/// What a session that uses HTTP waits for. A session that has left HTTP has none of it.
struct HttpState<S> {
    /// Links whose upgrade is pending. The flag is true for the link that opens the session.
    upgrading: Vec<(LinkId, Upgrade<S>, bool)>,
    /// Whether one of them came since they were last polled.
    has_new_links: bool,
    /// GETs that are deferred until the links have been read.
    deferred_polls: Vec<HttpEvent>,
    /// Pending requests.
    replies: VecDeque<(RequestId, oneshot::Sender<Response>)>,
}

impl<S> HttpState<S> {
    fn new() -> Self {
        Self { upgrading: Vec::new(), has_new_links: false, deferred_polls: Vec::new(), replies: VecDeque::new() }
    }

    fn is_empty(&self) -> bool {
        self.upgrading.is_empty() && self.deferred_polls.is_empty() && self.replies.is_empty()
    }

    fn add_link(&mut self, link: LinkId, upgrade: Upgrade<S>, first: bool) {
        self.upgrading.push((link, upgrade, first));
        self.has_new_links = true;
    }
}

impl<A: ServerApplication, R: Runtime> ServerTask<A, R> {
    fn new(
        hub: Arc<Hub<A>>,
        guard: TaskGuard,
        runtime: R,
        peer: Arc<PeerOf<A>>,
        now: Instant,
        session: Session,
    ) -> Self {
        let (machine, local) = hub.application.open(now, session, &peer);
        let span = tracing::debug_span!(target: "socketio_driver::session", "session", id = %peer.sid());
        let span = (!span.is_disabled()).then(|| Box::new(span));
        Self {
            turn: Turn::new(peer, machine, local),
            timer: None,
            hub,
            runtime,
            http: None,
            backlogged: false,
            waiting: 0,
            span,
            closing: None,
            _guard: guard,
        }
    }

    /// Applies what other tasks, and the handlers of this turn, have pushed into the mailbox. Returns whether there was anything.
    #[inline(always)]
    fn empty_mailbox(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) -> bool {
        match self.turn.peer.take() {
            Some(contents) => {
                self.handle_contents(now, cx, traffic, contents);
                true
            }
            None => false,
        }
    }

    fn handle_contents(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        traffic: &mut Traffic,
        Contents { commands, bytes, http }: Contents<A::Command>,
    ) {
        if !http.is_empty() {
            self.handle_requests(now, traffic, http);
        }
        if bytes.saturating_add(self.turn.machine.buffered_bytes()) > self.hub.config().limits.max_outbound {
            // The mailbox accepted them without counting the packets that the machine itself has queued in this turn.
            self.transmit(now, cx, traffic);
        }
        self.turn.execute(&self.hub.application, now, commands);
    }

    fn handle_requests(&mut self, now: Instant, traffic: &mut Traffic, http: Vec<HttpEvent>) {
        for event in http {
            if let HttpEvent::Aborted { .. } = event {
                // The aborted request may be one of the deferred GETs.
                self.handle_deferred_polls(now);
            }
            // A GET carries no packet. The peer sent what has arrived on a link before it, for example an upgrade packet.
            if self.turn.has_links() && event.is_poll() {
                self.http_state().deferred_polls.push(event);
            } else {
                if let HttpEvent::Body { body, .. } = &event {
                    traffic.body_received(body);
                }
                self.handle_http(now, event);
            }
        }
    }

    fn handle_deferred_polls(&mut self, now: Instant) {
        for poll in self.http.as_mut().map(|http| std::mem::take(&mut http.deferred_polls)).unwrap_or_default() {
            self.handle_http(now, poll);
        }
    }

    fn http_state(&mut self) -> &mut HttpState<R::Stream> {
        self.http.get_or_insert_with(|| Box::new(HttpState::new()))
    }

    /// Frees the state of HTTP if the session has a link and needs it no more.
    fn release_http(&mut self) {
        if self.turn.has_links() && self.http.as_ref().is_some_and(|http| http.is_empty()) {
            self.http = None;
        }
    }

    fn handle_http(&mut self, now: Instant, event: HttpEvent) {
        let machine = &mut self.turn.machine;
        let input = match event {
            HttpEvent::Request { request, session_request, content_type, reply } => {
                match machine.session().admit(&session_request) {
                    Ok(()) => {
                        self.http_state().replies.push_back((request, reply));
                        match session_request.kind() {
                            RequestKind::Post => Input::Post { request, content_type },
                            _ => Input::Get { request },
                        }
                    }
                    Err(response) => return drop(reply.send(response)),
                }
            }
            HttpEvent::Body { request, body } => Input::Body { request, body },
            HttpEvent::BodyRejected { request, fault } => Input::BodyRejected { request, fault },
            HttpEvent::Replied { request } => Input::Replied { request },
            HttpEvent::Aborted { request } => {
                if let Some(http) = &mut self.http {
                    http.replies.retain(|(waiting, _)| *waiting != request);
                }
                Input::Aborted { request }
            }
            HttpEvent::Link { link, session_request, upgrade, admission } => {
                let answer = machine.session().admit(&session_request);
                let admitted = answer.is_ok();
                if admission.send(answer).is_ok() && admitted {
                    self.http_state().add_link(link, upgrade.of(), false);
                }
                return;
            }
            HttpEvent::FirstLink { link, upgrade } => return self.http_state().add_link(link, upgrade.of(), true),
        };
        self.turn.machine.handle(now, input);
    }

    /// Takes over links whose upgrade is complete.
    fn connect_links(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Self { turn, hub, http: Some(http), .. } = self else { return };
        http.has_new_links = false;
        let mut index: usize = 0;
        while let Some((link, upgrade, first)) = http.upgrading.get_mut(index) {
            let (link, first, kind, compression) = (*link, *first, upgrade.kind, upgrade.compression);
            let Poll::Ready(upgraded) = Pin::new(upgrade).poll(cx) else {
                index = index.saturating_add(1);
                continue;
            };
            http.upgrading.swap_remove(index);
            match upgraded {
                Ok((stream, early)) => {
                    let protocol = match kind {
                        LinkKind::WebTransport => Protocol::WebTransport,
                        _ => Protocol::WebSocket(
                            WebSocket::new(None, hub.config().max_payload).with_compression(compression),
                        ),
                    };
                    turn.link_up(now, Link::new(link, stream, protocol, early));
                }
                Err(error) => {
                    tracing::debug!(session = %turn.peer.sid(), %error, "the HTTP server did not hand over a WebSocket");
                    if first {
                        turn.machine.discard(now);
                    }
                }
            }
        }
        if http.upgrading.is_empty() {
            http.upgrading = Vec::new();
        }
        self.release_http();
    }

    /// Reads from the links. See [`Turn::read`].
    fn read(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) -> bool {
        let Self { turn, hub, runtime, .. } = self;
        let session = turn.peer.sid();
        turn.read(now, cx, traffic, |link, error| {
            if let Some(error) = error {
                log_failed_link(session, error, hub.config().max_payload);
            }
            linger(&hub.tasks, runtime, link);
        })
    }

    /// Sends the machine's output. Returns whether there was any.
    fn transmit(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) -> bool {
        let Self { turn, hub, runtime, .. } = self;
        let mut any = turn.write(now, cx, traffic, |link| linger(&hub.tasks, runtime, link));
        while let Some(transmit) = self.turn.machine.poll_control() {
            any = true;
            match transmit {
                Transmit::Reply { request, response } => {
                    if let Some(http) = &mut self.http
                        && let Some(index) = http.replies.iter().position(|(waiting, _)| *waiting == request)
                        // Requests are mostly answered in their order.
                        && let Some((_, reply)) = http.replies.swap_remove_front(index)
                    {
                        traffic.reply_sent(response.body());
                        // If the request was dropped, its guard reports `Aborted`, before or after this.
                        let _ = reply.send(response);
                        self.release_http();
                    }
                }
                Transmit::CloseLink { link: id } => {
                    if let Some(mut link) = self.turn.take_link(id) {
                        link.close(self.hub.is_shutting_down().then_some((GOING_AWAY, "")));
                        linger(&self.hub.tasks, &self.runtime, link);
                    }
                }
                _ => {}
            }
        }
        any
    }

    /// Sets the timer for the machine's next deadline.
    fn set_timer(&mut self, now: Instant) {
        let Some(deadline) = self.turn.machine.poll_timeout() else { return };
        if self.timer.is_none_or(|timer| deadline < timer.deadline || timer.wake_at <= now) {
            self.timer = Some(self.hub.timers.set(now, deadline, self.turn.peer.sid(), self.timer));
        }
    }

    /// Counts the handlers that wait.
    #[cold]
    fn count_waiting(&mut self) {
        let waiting = u32::try_from(self.hub.application.waiting(&self.turn.local)).unwrap_or(u32::MAX);
        if waiting != self.waiting {
            let (before, now) = (self.waiting, waiting);
            self.hub.counters.waiting_changed(before as usize, now as usize);
            self.waiting = waiting;
        }
    }

    /// Tells the application if the queue has passed its mark, and returns whether another turn must follow.
    #[inline]
    fn watches_backlog(&mut self, now: Instant) -> bool {
        match self.hub.application.backlog_mark() {
            None => false,
            Some(mark) => self.compare_backlog(now, mark),
        }
    }

    #[cold]
    fn compare_backlog(&mut self, now: Instant, mark: usize) -> bool {
        let queued = self.turn.buffered(&self.hub.application);
        let is_high = if self.backlogged { queued > mark / 2 } else { queued >= mark };
        if is_high == self.backlogged {
            return false;
        }
        self.backlogged = is_high;
        let backlog = if is_high { Backlog::High(queued) } else { Backlog::Low(queued) };
        tracing::debug!(session = %self.turn.peer.sid(), ?backlog, "an outbound queue has passed its mark");
        self.turn.backlog(&self.hub.application, now, backlog);
        // The handler may have panicked, which ends the session.
        self.turn.machine.session().is_closed()
    }

    /// Whether nothing is left to do. The last packets of a closed session time out after
    /// [`Config::close_timeout`](engineio_proto::Config).
    fn is_done(&mut self, cx: &mut Context<'_>) -> bool {
        if self.turn.machine.is_drained() {
            return true;
        }
        if !self.turn.machine.session().is_closed() {
            return false;
        }
        let patience = self.hub.config().close_timeout;
        let closing = self.closing.get_or_insert_with(|| Box::pin(self.runtime.sleep(patience)));
        closing.as_mut().poll(cx).is_ready()
    }
}

#[cold]
fn log_failed_link(session: Sid, error: Error, limit: usize) {
    if error == Error::MessageTooBig {
        tracing::debug!(%session, limit, "a WebSocket message is too large: raise ServerBuilder::max_payload to take it");
    } else {
        tracing::debug!(%session, %error, "a WebSocket failed");
    }
}

// No field is ever pinned in place.
impl<A: ServerApplication, R: Runtime> Unpin for ServerTask<A, R> {}

impl<A: ServerApplication, R: Runtime> Future for ServerTask<A, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        match task.span.take() {
            None => task.take_turn(cx),
            Some(span) => task.take_turn_in(span, cx),
        }
    }
}

impl<A: ServerApplication, R: Runtime> ServerTask<A, R> {
    #[cold]
    fn take_turn_in(&mut self, span: Box<tracing::Span>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = span.in_scope(|| self.take_turn(cx));
        self.span = Some(span);
        polled
    }

    fn take_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut traffic = Traffic::default();
        let polls = self.turn.machine.session().transport() == Transport::Polling;
        let polled = self.transport(cx, &mut traffic);
        if polls && self.turn.machine.session().transport() != Transport::Polling {
            self.hub.counters.sessions_upgraded.add(1);
        }
        self.hub.counters.transported(&traffic);
        polled
    }

    fn transport(&mut self, cx: &mut Context<'_>, traffic: &mut Traffic) -> Poll<()> {
        let task = self;
        let now = task.hub.clock.now(&task.runtime);
        task.empty_mailbox(now, cx, traffic);
        if task.http.as_ref().is_some_and(|http| !http.upgrading.is_empty()) {
            task.connect_links(now, cx);
        }
        let more = task.read(now, cx, traffic);
        if task.http.is_some() {
            task.handle_deferred_polls(now);
        }
        task.turn.handle_timeout(now);
        let mut passes: usize = 0;
        loop {
            let happened = task.turn.dispatch(&task.hub.application, now, cx);
            let asked = task.empty_mailbox(now, cx, traffic);
            // The output may have been the last of a session: the application handles the end in this turn.
            let left = task.transmit(now, cx, traffic);
            passes = passes.saturating_add(1);
            let more = (happened || asked || left) && task.turn.machine.has_events();
            if !more || passes == PASSES_PER_TURN {
                break;
            }
        }
        if task.waiting > 0 || !task.hub.application.is_idle(&task.turn.local) {
            task.count_waiting();
        }
        if task.is_done(cx) {
            if let Some(leftover) = task.hub.application.leftover(&mut task.turn.local) {
                task.hub.tasks.spawn(&task.runtime, leftover);
            }
            return Poll::Ready(());
        }
        task.set_timer(now);
        // The machine may have started to want input again in this turn.
        let again = (more && task.turn.machine.wants_input())
            || passes == PASSES_PER_TURN
            // The upgrade of a link that came during this turn was not polled, so it has no waker.
            || task.http.as_ref().is_some_and(|http| http.has_new_links || !http.deferred_polls.is_empty())
            || task.watches_backlog(now);
        task.turn.end(&task.hub.application, &task.runtime, cx, again);
        Poll::Pending
    }
}

impl<A: ServerApplication, R: Runtime> Drop for ServerTask<A, R> {
    /// Runs at the end of every task, whether it finished, was dropped by its runtime, or panicked.
    fn drop(&mut self) {
        let Self { turn, hub, .. } = self;
        if self.waiting > 0 {
            hub.counters.waiting_changed(self.waiting as usize, 0);
        }
        if !turn.machine.session().is_closed() {
            hub.counters.session_dropped();
        }
        hub.remove(turn.peer.sid());
        if let Some(timer) = self.timer.take() {
            hub.timers.cancel(turn.peer.sid(), timer);
        }
        let contents = turn.peer.close();
        let deferred_polls = self.http.as_mut().map(|http| std::mem::take(&mut http.deferred_polls));
        for event in deferred_polls.unwrap_or_default().into_iter().chain(contents.http) {
            match event {
                HttpEvent::Request { session_request, reply, .. } => {
                    drop(reply.send(Hub::<A>::unknown_sid(&session_request)))
                }
                HttpEvent::Link { session_request, admission, .. } => {
                    drop(admission.send(Err(Hub::<A>::unknown_sid(&session_request))))
                }
                _ => {}
            }
        }
        hub.application.finish(&turn.peer, &mut turn.local);
    }
}

/// The size of a peer's task.
#[cfg(test)]
pub(crate) const fn size_of_task<A: ServerApplication, R: Runtime>() -> usize {
    size_of::<ServerTask<A, R>>()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use engineio_proto::{Config, Event, Frame, Message};
    use futures_util::future::BoxFuture;
    use http::request::Parts;

    use super::*;
    use crate::http::HttpSettings;
    use crate::metrics::Counters;
    use crate::service::Service;
    use crate::sync::lock;
    use crate::testkit::{Ending, PipeSettings, Reply, RequestBody, Sim, Upgrading, WebSocket as Client, request};
    use crate::turn::Application;

    const PATH: &str = "/engine.io/";

    /// A minimal application: it echoes, and panics when told to.
    #[derive(Default)]
    struct Echo {
        counters: Counters,
        /// How often a task has ended.
        finished: Mutex<usize>,
        /// A client that requests its upgrade while the message `upgrade` is handled.
        upgrade: Mutex<Option<BoxFuture<'static, Client>>>,
    }

    enum Command {
        Close,
        Discard,
    }

    impl ServerApplication for Echo {
        fn shared(&self, _: &Parts, _: &Config) {}

        fn open(&self, _: Instant, session: Session, _: &Arc<PeerOf<Self>>) -> (Session, ()) {
            (session, ())
        }

        fn shut_down() -> Command {
            Command::Close
        }

        fn discard() -> Command {
            Command::Discard
        }
    }

    impl Application for Echo {
        type Machine = Session;
        type Command = Command;
        type Shared = ();
        type Local = ();

        fn counters(&self) -> &Counters {
            &self.counters
        }

        fn execute(&self, core: &mut Core<'_, Self>, _: bool, command: Command) {
            match command {
                Command::Close => core.shut_down(Session::close),
                Command::Discard => core.machine.discard(core.now),
            }
        }

        fn dispatch(&self, core: &mut Core<'_, Self>, _: &mut Context<'_>) -> bool {
            let mut any = false;
            while let Some(event) = core.machine.poll_event() {
                any = true;
                if let Event::Message(message) = event {
                    if message == Message::from("upgrade")
                        && let Some(upgrade) = lock(&self.upgrade).as_mut()
                    {
                        let waker = futures_util::task::noop_waker();
                        assert!(upgrade.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    }
                    assert_ne!(message, Message::from("panic"), "as it should");
                    core.machine.send_frame(Frame::message(message)).unwrap();
                }
            }
            any
        }

        fn leftover(&self, (): &mut ()) -> Option<BoxFuture<'static, ()>> {
            None
        }

        fn finish(&self, _: &Arc<PeerOf<Self>>, (): &mut ()) {
            *lock(&self.finished) += 1;
        }
    }

    type Server = Arc<Service<Echo>>;

    fn server() -> Server {
        Arc::new(Service::new(|_| Echo::default(), Config::default(), HttpSettings::new(PATH)))
    }

    /// What is left of closed peers: sessions, counted tasks, timers.
    async fn left(sim: &Sim, server: &Server) -> (usize, bool, usize) {
        sim.settle().await;
        let hub = &server.hub;
        let is_finished = futures_util::FutureExt::now_or_never(hub.tasks.finished()).is_some();
        (hub.sessions(), is_finished, hub.timers.len())
    }

    async fn open_by_polling(sim: &Sim, server: &Server) {
        let get = request(sim, "GET", &format!("{PATH}?EIO=4&transport=polling"), None);
        assert_eq!(Reply::read(server.respond(sim, get, None).await).await.status, 200);
    }

    #[test]
    fn nothing_is_left_of_a_task_however_it_ends() {
        Sim::run_each_seed(40, |sim| async move {
            let server = server();
            open_by_polling(&sim, &server).await;
            assert_eq!(left(&sim, &server).await, (1, false, 1));
            match sim.index(3) {
                // The deadlines of the session pass.
                0 => sim.sleep(Duration::from_secs(120)).await,
                1 => sim.drop_task(*sim.tasks().last().unwrap()),
                _ => server.hub.shut_down(sim.sleep(Duration::from_secs(1))).await,
            }
            assert_eq!(left(&sim, &server).await, (0, true, 0));
            assert_eq!(*lock(&server.hub.application.finished), 1);
        });
    }

    #[test]
    fn a_task_that_panics_leaves_nothing() {
        Sim::run_each_seed(20, |sim| async move {
            let server = server();
            let mut client = client(&sim, &server, Upgrading::default()).await;
            assert!(client.next().await.unwrap().starts_with('0'));
            client.send("4panic").await.unwrap();
            assert_eq!(client.next().await, None);
            assert_eq!(left(&sim, &server).await, (0, true, 0));
            assert_eq!(*lock(&server.hub.application.finished), 1);
            assert_eq!(sim.panics().len(), 1);
        });
    }

    #[test]
    fn a_link_that_http_never_lets_go_ends_with_its_session() {
        Sim::run_each_seed(20, |sim| async move {
            let server = server();
            let upgrading = Upgrading { delay: Duration::from_secs(1_000_000), ..Upgrading::default() };
            let (runtime, to) = (sim.clone(), Arc::clone(&server));
            let task = sim.spawn_task(async move { drop(client(&runtime, &to, upgrading).await) });
            sim.sleep(Duration::from_secs(9)).await;
            assert_eq!(left(&sim, &server).await, (1, false, 1));
            // A session without a first input times out.
            sim.sleep(Duration::from_secs(2)).await;
            assert_eq!(left(&sim, &server).await, (0, true, 0));
            sim.drop_task(task);
        });
    }

    #[test]
    fn a_link_that_comes_while_the_application_runs_is_read_without_waiting_for_something_else() {
        Sim::run_each_seed(20, |sim| async move {
            let server = server();
            let get = request(&sim, "GET", &format!("{PATH}?EIO=4&transport=polling"), None);
            let open = Reply::read(server.respond(&sim, get, None).await).await;
            let sid = crate::testkit::sid_of(&open.body);
            let (runtime, to, target) =
                (sim.clone(), Arc::clone(&server), format!("{PATH}?EIO=4&transport=websocket&sid={sid}"));
            *lock(&server.hub.application.upgrade) = Some(Box::pin(async move {
                let respond = |request, upgrade| to.respond(&runtime, request, upgrade);
                Client::upgrade_by(&runtime, respond, &target, PipeSettings::default(), Upgrading::default())
                    .await
                    .unwrap()
            }));
            let body = RequestBody::new(&sim, [(Duration::ZERO, "4upgrade".into())], Ending::Complete);
            let post = request(&sim, "POST", &format!("{PATH}?EIO=4&transport=polling&sid={sid}"), Some(body));
            assert_eq!(Reply::read(server.respond(&sim, post, None).await).await.body, "ok");
            let upgrade = lock(&server.hub.application.upgrade).take().unwrap();
            let mut client = upgrade.await;
            client.send("2probe").await.unwrap();
            assert_eq!(client.next().await.as_deref(), Some("3probe"));
            assert!(sim.elapsed() < Duration::from_secs(1), "{:?}", sim.elapsed());
            server.hub.shut_down(sim.sleep(Duration::from_secs(1))).await;
        });
    }

    /// A WebSocket client that opens its session.
    async fn client(sim: &Sim, server: &Server, upgrading: Upgrading) -> Client {
        let target = format!("{PATH}?EIO=4&transport=websocket");
        let respond = |request, upgrade| server.respond(sim, request, upgrade);
        Client::upgrade_by(sim, respond, &target, PipeSettings::default(), upgrading).await.unwrap()
    }
}
