//! The task of a client. It owns the client's [`Turn`], performs the requests and connects the links that the machine asks for, and wakes
//! at the machine's deadlines.
//!
//! Requests and new links are futures of the [`Connector`], which the task polls itself: a client has no further task while its connection
//! is open. A task ends when its application says so, and when its runtime drops it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use engineio_proto::client::{ClientMachine, Input, Method, Transmit};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::{ContentType, Instant, LinkId, LinkKind, Machine as _, RequestId, Text};
use engineio_websocket::MaskKeys;
use futures_channel::oneshot;
use futures_util::TryFutureExt as _;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::connector::Connector;
use super::error::{ConnectError, request_refused};
use super::http_client::{ConnectedWebSocket, HttpClient};
use crate::clock::Clock;
use crate::deflate::agreed;
use crate::link::{Link, Protocol, WebSocket};
use crate::metrics::Traffic;
use crate::peer::Contents;
use crate::runtime::Runtime;
use crate::tasks::Tasks;
use crate::turn::{Application, PASSES_PER_TURN, PeerOf, Turn, linger};

/// The layer above the machine of a client.
pub(crate) trait ClientApplication: Application<Machine: ClientMachine> {
    /// What the task and the application share.
    fn lifecycle(local: &mut Self::Local) -> &mut Lifecycle;
}

/// What the task of a client and its application share: what the network has reported, and the end of the client.
#[derive(Default)]
pub(crate) struct Lifecycle {
    /// Why a request or a link has failed, for the failure that the machine reports next. It says more than the machine can know.
    pub(crate) cause: Option<Arc<ConnectError>>,
    /// Those who wait until the connection is closed, and nothing is left to send.
    pub(crate) closing: Vec<oneshot::Sender<()>>,
    /// Whether no handle is left, so that nobody can use the client any more.
    pub(crate) abandoned: bool,
}

/// What a task is made of.
pub(crate) struct Parts<A: Application, C, R> {
    pub(crate) application: A,
    pub(crate) machine: A::Machine,
    pub(crate) local: A::Local,
    pub(crate) peer: Arc<PeerOf<A>>,
    pub(crate) http: HttpClient<C>,
    pub(crate) runtime: R,
    /// The size limit of one inbound body or message.
    pub(crate) max_payload: usize,
    /// Smaller messages are not compressed, where the server has agreed on permessage-deflate.
    pub(crate) deflate_threshold: u32,
    pub(crate) tasks: Tasks,
}

/// Spawns the task of a client.
pub(crate) fn spawn<A: ClientApplication, C: Connector, R: Runtime>(parts: Parts<A, C, R>) {
    let Parts { application, machine, local, peer, http, runtime, max_payload, deflate_threshold, tasks } = parts;
    let spawner = runtime.clone();
    spawner.spawn(ClientTask {
        turn: Turn::new(peer, machine, local),
        application,
        http,
        clock: Clock::default(),
        requests: Vec::new(),
        connecting: Vec::new(),
        has_new: false,
        polls: true,
        sleep: None,
        max_payload,
        deflate_threshold,
        tasks,
        runtime,
    });
}

/// A request that is in progress, and whether its response has packets, which that of a POST has not.
type Request = (RequestId, bool, BoxFuture<'static, Result<http::Response<Bytes>, ConnectError>>);
/// A link that is being connected.
type Connecting<S> = (LinkId, BoxFuture<'static, Result<Connected<S>, ConnectError>>);

/// The connection of a link.
enum Connected<S> {
    WebSocket(Box<ConnectedWebSocket<S>>),
    /// The stream of a WebTransport session.
    WebTransport(S),
}

/// The task of a client.
struct ClientTask<A: ClientApplication, C: Connector, R: Runtime> {
    turn: Turn<A, C::Stream>,
    application: A,
    http: HttpClient<C>,
    runtime: R,
    clock: Clock,
    /// At most one GET, one POST, and what the machine has not cancelled.
    requests: Vec<Request>,
    connecting: Vec<Connecting<C::Stream>>,
    /// Whether one of them was started since they were last polled.
    has_new: bool,
    /// Whether the machine polled at the end of the last turn.
    polls: bool,
    /// Wakes the task at a deadline of the machine.
    sleep: Option<(Instant, Pin<Box<R::Sleep>>)>,
    max_payload: usize,
    deflate_threshold: u32,
    /// Those that outlive the session: links that linger, and handlers.
    tasks: Tasks,
}

// No field is ever pinned in place.
impl<A: ClientApplication, C: Connector, R: Runtime> Unpin for ClientTask<A, C, R> {}

impl<A: ClientApplication, C: Connector, R: Runtime> Future for ClientTask<A, C, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        let mut traffic = Traffic::default();
        let polled = task.take_turn(cx, &mut traffic);
        task.application.counters().transported(&traffic);
        polled
    }
}

impl<A: ClientApplication, C: Connector, R: Runtime> ClientTask<A, C, R> {
    fn take_turn(&mut self, cx: &mut Context<'_>, traffic: &mut Traffic) -> Poll<()> {
        let now = self.clock.now(&self.runtime);
        self.empty_mailbox(now);
        self.poll_connecting(now, cx);
        // Before the responses: if the answer to a probe has arrived with the response to a poll, the client must not poll again, because
        // the server may have answered its last poll.
        let more = self.read(now, cx, traffic);
        self.poll_requests(now, cx, traffic);
        self.turn.handle_timeout(now);
        let mut passes: usize = 0;
        loop {
            let happened = self.turn.dispatch(&self.application, now, cx);
            let asked = self.empty_mailbox(now);
            let left = self.transmit(now, cx, traffic);
            passes = passes.saturating_add(1);
            let more = (happened || asked || left) && self.turn.machine.has_events();
            if !more || passes == PASSES_PER_TURN {
                break;
            }
        }
        self.close_idle();
        if self.is_over() {
            if let Some(leftover) = self.application.leftover(&mut self.turn.local) {
                self.tasks.spawn(&self.runtime, leftover);
            }
            return Poll::Ready(());
        }
        let due = self.poll_sleep(now, cx);
        let again = due || self.has_new || (more && self.turn.machine.wants_input()) || passes == PASSES_PER_TURN;
        self.turn.end(&self.application, &self.runtime, cx, again);
        Poll::Pending
    }

    /// Applies what other tasks, and the handlers of this turn, have pushed into the mailbox. Returns whether there was anything.
    fn empty_mailbox(&mut self, now: Instant) -> bool {
        let Some(Contents { commands, .. }) = self.turn.peer.take() else { return false };
        self.turn.execute(&self.application, now, commands);
        true
    }

    /// Passes on the responses that have arrived.
    fn poll_requests(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) {
        let mut index: usize = 0;
        while let Some((request, is_poll, future)) = self.requests.get_mut(index) {
            let (request, is_poll) = (*request, *is_poll);
            let Poll::Ready(result) = future.as_mut().poll(cx) else {
                index = index.saturating_add(1);
                continue;
            };
            drop(self.requests.swap_remove(index));
            let input = match result {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    if let Some(error) = request_refused(&parts, &body) {
                        self.failed(error);
                    }
                    if is_poll {
                        traffic.body_received(&body);
                    }
                    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
                    let content_type = ContentType::from_response_header(content_type);
                    Input::Response { request, status: parts.status.as_u16(), content_type, body }
                }
                Err(error) => {
                    self.failed(error);
                    Input::Failed { request }
                }
            };
            self.turn.machine.handle(now, input);
        }
        if self.requests.is_empty() {
            // Most clients have none, once they are on a link.
            self.requests = Vec::new();
        }
    }

    /// Passes on the links that are up.
    fn poll_connecting(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.has_new = false;
        let mut index: usize = 0;
        while let Some((link, future)) = self.connecting.get_mut(index) {
            let link = *link;
            let Poll::Ready(result) = future.as_mut().poll(cx) else {
                index = index.saturating_add(1);
                continue;
            };
            drop(self.connecting.swap_remove(index));
            match result.and_then(|connected| self.link(link, connected)) {
                Ok(link) => self.turn.link_up(now, link),
                Err(error) => {
                    self.failed(error);
                    self.turn.machine.handle(now, Input::LinkDown { link, cause: LinkDownCause::Failed });
                }
            }
        }
        if self.connecting.is_empty() {
            self.connecting = Vec::new();
        }
    }

    /// Makes a link of its connection.
    fn link(&self, id: LinkId, connected: Connected<C::Stream>) -> Result<Link<C::Stream>, ConnectError> {
        Ok(match connected {
            Connected::WebSocket(connected) => {
                let ConnectedWebSocket { stream, early, deflate, .. } = *connected;
                let websocket = WebSocket::new(Some(MaskKeys::new(mask_seed()?)), self.max_payload);
                let websocket = websocket.with_compression(agreed(deflate, self.deflate_threshold));
                Link::new(id, stream, Protocol::WebSocket(websocket), early)
            }
            Connected::WebTransport(stream) => Link::new(id, stream, Protocol::WebTransport, Bytes::new()),
        })
    }

    /// Reads from the links. See [`Turn::read`].
    fn read(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) -> bool {
        let Self { turn, tasks, runtime, .. } = self;
        let client = turn.peer.sid();
        turn.read(now, cx, traffic, |link, error| {
            if let Some(error) = error {
                tracing::debug!(%client, %error, "a WebSocket failed");
            }
            linger(tasks, runtime, link);
        })
    }

    /// Performs the machine's output. Returns whether there was any.
    fn transmit(&mut self, now: Instant, cx: &mut Context<'_>, traffic: &mut Traffic) -> bool {
        let Self { turn, tasks, runtime, .. } = self;
        let mut any = turn.write(now, cx, traffic, |link| linger(tasks, runtime, link));
        while let Some(transmit) = self.turn.machine.poll_control() {
            any = true;
            match transmit {
                Transmit::Request { request, method, query } => self.start_request(traffic, request, method, query),
                Transmit::Cancel { request } => self.requests.retain(|(known, ..)| *known != request),
                Transmit::Connect { link, kind, query } => {
                    self.has_new = true;
                    let connected: BoxFuture<'static, _> = match kind {
                        LinkKind::WebTransport => {
                            Box::pin(self.http.connect_webtransport().map_ok(Connected::WebTransport))
                        }
                        _ => Box::pin(
                            self.http
                                .connect_websocket(&query)
                                .map_ok(|connected| Connected::WebSocket(Box::new(connected))),
                        ),
                    };
                    self.connecting.push((link, connected));
                }
                Transmit::CloseLink { link: id } => {
                    self.connecting.retain(|(link, _)| *link != id);
                    if let Some(mut link) = self.turn.take_link(id) {
                        link.close(None);
                        linger(&self.tasks, &self.runtime, link);
                    }
                }
                _ => {}
            }
        }
        any
    }

    fn start_request(&mut self, traffic: &mut Traffic, request: RequestId, method: Method, query: Text) {
        let is_poll = match &method {
            Method::Post { body, .. } => {
                traffic.body_sent(body);
                false
            }
            _ => true,
        };
        self.has_new = true;
        self.requests.push((request, is_poll, self.http.request(method, &query)));
    }

    /// A request or a link has failed. The machine is told after this.
    fn failed(&mut self, error: ConnectError) {
        let client = self.turn.peer.sid();
        tracing::debug!(%client, %error, "a request or a connection failed");
        A::lifecycle(&mut self.turn.local).cause = Some(Arc::new(error));
    }

    /// Tells those who wait once the connection is closed. Returns whether the task may end.
    fn is_over(&mut self) -> bool {
        if !self.turn.machine.is_drained() {
            return false;
        }
        let lifecycle = A::lifecycle(&mut self.turn.local);
        for sender in std::mem::take(&mut lifecycle.closing) {
            let _ = sender.send(());
        }
        lifecycle.abandoned
    }

    /// Closes the connections of HTTP once the client has moved to a link, or its session has ended.
    fn close_idle(&mut self) {
        let machine = &self.turn.machine;
        let polls = machine.client().transport() == Transport::Polling && !machine.is_drained();
        if std::mem::replace(&mut self.polls, polls) && !polls {
            self.http.close_idle();
        }
    }

    /// Sleeps until the machine's next deadline. Returns true if it has passed.
    fn poll_sleep(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.turn.machine.poll_timeout() else {
            self.sleep = None;
            return false;
        };
        // A deadline that has moved on, as that of a heartbeat does, is noticed when the earlier one passes.
        if self.sleep.as_ref().is_none_or(|(wake_at, _)| deadline < *wake_at || *wake_at <= now) {
            let sleep = self.runtime.sleep(deadline - now);
            self.sleep = Some((deadline, Box::pin(sleep)));
        }
        self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready())
    }
}

/// The secret of a link's masking keys.
fn mask_seed() -> Result<[u8; 16], ConnectError> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| ConnectError::InvalidRequest {
        reason: format!("the operating system has no randomness: {error}"),
    })?;
    Ok(seed)
}

impl<A: ClientApplication, C: Connector, R: Runtime> Drop for ClientTask<A, C, R> {
    /// Runs at the end of every task, whether it finished, was dropped by its runtime, or panicked.
    fn drop(&mut self) {
        drop(self.turn.peer.close());
        self.application.finish(&self.turn.peer, &mut self.turn.local);
    }
}
