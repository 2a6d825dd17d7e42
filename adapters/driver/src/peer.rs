//! The mailbox of a peer, which is all that other tasks can access. Everything else of a peer belongs to its own task.
//!
//! An emit, a broadcast and an HTTP request each lock the mailbox for one push. The mailbox counts its own bytes and those that the machine
//! still holds, so an emit can determine at once whether the peer's queue is full.

use std::fmt;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use engineio_proto::server::{BodyFault, RequestKind, SessionRequest, Transport};
use engineio_proto::{ContentType, LinkId, LinkKind, RequestId, Response, SendError, Sid};
use futures_channel::oneshot;

use crate::spare;
use crate::sync::lock;
use crate::upgrade::AnyUpgrade;

/// An event of an HTTP request, for its session.
pub(crate) enum HttpEvent {
    /// A GET or a POST, which the session admits or refuses.
    Request {
        request: RequestId,
        session_request: SessionRequest,
        content_type: ContentType,
        reply: oneshot::Sender<Response>,
    },
    /// The body of a POST.
    Body { request: RequestId, body: Bytes },
    /// The body of a POST was not read to its end.
    BodyRejected { request: RequestId, fault: BodyFault },
    /// A reply was written.
    Replied { request: RequestId },
    /// The connection of a request was lost.
    Aborted { request: RequestId },
    /// A link, which the session admits or refuses. The answer decides between `101` and a refusal.
    Link {
        link: LinkId,
        session_request: SessionRequest,
        upgrade: AnyUpgrade,
        admission: oneshot::Sender<Result<(), Response>>,
    },
    /// The link that opened the session.
    FirstLink { link: LinkId, upgrade: AnyUpgrade },
}

impl HttpEvent {
    /// Whether this is a GET, which is held until a packet is queued.
    pub(crate) fn is_poll(&self) -> bool {
        matches!(self, Self::Request { session_request, .. } if session_request.kind() == RequestKind::Get)
    }
}

/// A peer's state for other tasks. `C` is a command of the application to the peer's machine. `S` is the application's own state of a peer.
pub(crate) struct Peer<C, S> {
    sid: Sid,
    max_outbound: usize,
    mailbox: Mutex<Mailbox<C>>,
    /// The application's own state of a peer.
    pub(crate) shared: S,
}

struct Mailbox<C> {
    commands: Vec<C>,
    http: Vec<HttpEvent>,
    /// The size of the packets in `commands`, in bytes.
    bytes: usize,
    /// The number of bytes that the machine and its links held at the end of the last turn.
    buffered: usize,
    /// Whether the task will check the mailbox without being woken.
    awake: bool,
    closed: bool,
    task: Option<Waker>,
    /// Set while a message was refused, or a task waits for capacity.
    wanted: Option<Box<Wanted>>,
}

/// The capacity that other tasks wait for. Most peers never need this.
#[derive(Default)]
struct Wanted {
    /// The largest message that was refused.
    bytes: usize,
    waiting: Vec<Waker>,
}

/// The contents of a mailbox.
pub(crate) struct Contents<C> {
    pub(crate) commands: Vec<C>,
    /// The size of the packets in `commands`, in bytes.
    pub(crate) bytes: usize,
    pub(crate) http: Vec<HttpEvent>,
}

/// The transport that [`set_transport`] has stored.
pub(crate) fn transport_of(stored: &AtomicU8) -> Transport {
    match stored.load(Ordering::Relaxed) {
        0 => Transport::Polling,
        1 => Transport::Link(LinkKind::WebSocket),
        _ => Transport::Link(LinkKind::WebTransport),
    }
}

/// Stores the transport of a session, where other tasks can read it.
pub(crate) fn set_transport(stored: &AtomicU8, transport: Transport) {
    let number = match transport {
        Transport::Polling => 0,
        Transport::Link(LinkKind::WebSocket) => 1,
        Transport::Link(LinkKind::WebTransport) => 2,
    };
    stored.store(number, Ordering::Relaxed);
}

impl<C: 'static, S> Peer<C, S> {
    pub(crate) fn new(sid: Sid, max_outbound: usize, shared: S) -> Self {
        let mailbox = Mailbox {
            commands: Vec::new(),
            http: Vec::new(),
            bytes: 0,
            buffered: 0,
            // The task's first turn runs without a wake-up.
            awake: true,
            closed: false,
            task: None,
            wanted: None,
        };
        Self { sid, max_outbound, mailbox: Mutex::new(mailbox), shared }
    }

    /// The session's id.
    pub(crate) fn sid(&self) -> Sid {
        self.sid
    }

    /// Pushes a command that sends `bytes` bytes. A command of 0 bytes is always accepted. The command is created only if it is accepted.
    ///
    /// A packet must count as much as in the machine's queue (`Frame::queued_len`). Otherwise the machine might not have the capacity for
    /// it.
    pub(crate) fn push(&self, bytes: usize, command: impl FnOnce() -> C) -> Result<(), SendError> {
        let (pushed, waker) = self.push_quietly(bytes, command);
        if let Some(waker) = waker {
            waker.wake();
        }
        pushed
    }

    /// As [`Peer::push`], but the caller wakes the task, with the returned waker, whether or not the command was accepted.
    pub(crate) fn push_quietly(
        &self,
        bytes: usize,
        command: impl FnOnce() -> C,
    ) -> (Result<(), SendError>, Option<Waker>) {
        let mut mailbox = lock(&self.mailbox);
        if mailbox.closed {
            return (Err(SendError::Closed), None);
        }
        if bytes > 0 && !mailbox.takes(bytes, self.max_outbound) {
            let wanted = mailbox.wanted.get_or_insert_default();
            wanted.bytes = wanted.bytes.max(bytes);
            // A `Replied` that the task has not handled frees capacity.
            let waker = if mailbox.http.is_empty() { None } else { mailbox.waker() };
            return (Err(SendError::Full), waker);
        }
        mailbox.bytes = mailbox.bytes.saturating_add(bytes);
        if mailbox.commands.capacity() == 0 {
            mailbox.commands = spare::take();
        }
        mailbox.commands.push(command());
        (Ok(()), mailbox.waker())
    }

    /// Pushes an HTTP event. Returns false if the session has ended: the caller then answers the request itself.
    pub(crate) fn push_http(&self, event: HttpEvent) -> bool {
        let mut mailbox = lock(&self.mailbox);
        if mailbox.closed {
            return false;
        }
        let urgent = mailbox.is_urgent(&event, self.max_outbound);
        mailbox.http.push(event);
        let waker = if urgent { mailbox.waker() } else { None };
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The number of bytes that are queued for sending.
    pub(crate) fn queued(&self) -> usize {
        lock(&self.mailbox).outbound()
    }

    /// Wakes the task for a turn.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.mailbox).waker();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until at most half of the outbound limit is used and there is capacity for the largest message that was refused meanwhile. An
    /// empty queue accepts any message.
    pub(crate) async fn ready(&self) -> Result<(), SendError> {
        poll_fn(|cx| {
            let mut mailbox = lock(&self.mailbox);
            if mailbox.closed {
                return Poll::Ready(Err(SendError::Closed));
            }
            if mailbox.is_ready(self.max_outbound) {
                return Poll::Ready(Ok(()));
            }
            let wanted = mailbox.wanted.get_or_insert_default();
            wanted.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            wanted.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// For the task: takes the contents, and counts them as the machine's from now on. The task gives the vector of commands back to
    /// [`spare`]. Inlined, because every other call finds nothing.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Contents<C>> {
        let mut mailbox = lock(&self.mailbox);
        mailbox.awake = true;
        if mailbox.commands.is_empty() && mailbox.http.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut mailbox.bytes);
        mailbox.buffered = mailbox.buffered.saturating_add(bytes);
        Some(Contents {
            bytes,
            commands: std::mem::take(&mut mailbox.commands),
            http: std::mem::take(&mut mailbox.http),
        })
    }

    /// For the task, at the end of a turn that is followed by another one: sets how much the machine still holds.
    pub(crate) fn set_buffered(&self, buffered: usize) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.buffered = buffered;
        let wanted = mailbox.take_wanted(self.max_outbound);
        drop(mailbox);
        wake(wanted);
    }

    /// For the task, at the end of a turn: sets how much the machine still holds. Returns false if the mailbox is not empty, so that
    /// another turn must follow.
    pub(crate) fn sleep(&self, cx: &Context<'_>, buffered: usize) -> bool {
        let mut mailbox = lock(&self.mailbox);
        mailbox.buffered = buffered;
        if !mailbox.commands.is_empty() || mailbox.http.iter().any(|event| mailbox.is_urgent(event, self.max_outbound))
        {
            return false;
        }
        mailbox.awake = false;
        if !mailbox.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            mailbox.task = Some(cx.waker().clone());
        }
        let wanted = mailbox.take_wanted(self.max_outbound);
        drop(mailbox);
        wake(wanted);
        true
    }

    /// For the task, at its end: closes the mailbox, and returns its contents.
    pub(crate) fn close(&self) -> Contents<C> {
        let mut mailbox = lock(&self.mailbox);
        mailbox.closed = true;
        mailbox.task = None;
        let contents = Contents {
            bytes: 0,
            commands: std::mem::take(&mut mailbox.commands),
            http: std::mem::take(&mut mailbox.http),
        };
        let wanted = mailbox.wanted.take();
        drop(mailbox);
        wake(wanted);
        contents
    }
}

impl<C> Mailbox<C> {
    /// The number of bytes that are queued for sending, here and in the machine.
    fn outbound(&self) -> usize {
        self.bytes.saturating_add(self.buffered)
    }

    /// Whether there is capacity for a message. An empty queue accepts any message: otherwise one above the limit could never be sent.
    fn takes(&self, bytes: usize, max_outbound: usize) -> bool {
        let outbound = self.outbound();
        outbound == 0 || outbound.saturating_add(bytes) <= max_outbound
    }

    /// Whether `ready` may return. Takes the refused message into account, so that it is not refused again and again.
    fn is_ready(&self, max_outbound: usize) -> bool {
        let refused = self.wanted.as_ref().map_or(0, |wanted| wanted.bytes);
        self.outbound() <= max_outbound / 2 && self.takes(refused, max_outbound)
    }

    /// Takes the waiting tasks, if there is as much capacity as they need.
    fn take_wanted(&mut self, max_outbound: usize) -> Option<Box<Wanted>> {
        if self.wanted.is_some() && self.is_ready(max_outbound) { self.wanted.take() } else { None }
    }

    /// Whether the task must handle this event now. A `Replied` only frees capacity, which matters if the queue is more than half full or a
    /// task waits for capacity.
    fn is_urgent(&self, event: &HttpEvent, max_outbound: usize) -> bool {
        !matches!(event, HttpEvent::Replied { .. }) || self.buffered > max_outbound / 2 || self.wanted.is_some()
    }

    /// The waker to call, unless the task will check the mailbox anyway.
    fn waker(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.awake, true) { None } else { self.task.clone() }
    }
}

/// Wakes the tasks that wait for capacity.
fn wake(wanted: Option<Box<Wanted>>) {
    wanted.into_iter().flat_map(|wanted| wanted.waiting).for_each(Waker::wake);
}

impl<C, S> fmt::Debug for Peer<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("sid", &self.sid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use futures_util::FutureExt as _;

    use super::*;

    const MAX: usize = 1000;

    /// A waker that counts its wake-ups.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A mailbox whose task sleeps, and the counter of its wake-ups.
    fn asleep() -> (Peer<u32, ()>, Arc<Woken>) {
        let (peer, woken) = (Peer::new(Sid::from_random([1; 15]), MAX, ()), Arc::<Woken>::default());
        assert!(rest(&peer, &woken, 0));
        (peer, woken)
    }

    fn rest(peer: &Peer<u32, ()>, woken: &Arc<Woken>, buffered: usize) -> bool {
        peer.sleep(&Context::from_waker(&Waker::from(Arc::clone(woken))), buffered)
    }

    fn replied(request: u64) -> HttpEvent {
        HttpEvent::Replied { request: RequestId(request) }
    }

    fn aborted(request: u64) -> HttpEvent {
        HttpEvent::Aborted { request: RequestId(request) }
    }

    #[test]
    fn everything_comes_out_once_and_in_order() {
        let (peer, _) = asleep();
        for command in 0..5 {
            peer.push(1, || command).unwrap();
            assert!(peer.push_http(aborted(command.into())));
        }
        let Contents { commands, http, .. } = peer.take().unwrap();
        assert_eq!(commands, [0, 1, 2, 3, 4]);
        let requests = http.iter().map(|event| match event {
            HttpEvent::Aborted { request } => request.0,
            _ => panic!("it was another one"),
        });
        assert!(requests.eq(0..5));
        assert!(peer.take().is_none());
    }

    #[test]
    fn the_task_is_woken_once_until_it_has_looked() {
        let (peer, woken) = asleep();
        peer.push(1, || 1).unwrap();
        peer.push(1, || 2).unwrap();
        peer.push_http(aborted(1));
        peer.wake();
        assert_eq!(woken.times(), 1);
        drop(peer.take());
        // The task is awake, and checks the mailbox again before it sleeps.
        peer.push(1, || 3).unwrap();
        assert_eq!(woken.times(), 1);
        assert!(!rest(&peer, &woken, 0), "it may not rest over what lies there");
        drop(peer.take());
        assert!(rest(&peer, &woken, 0));
        peer.wake();
        assert_eq!(woken.times(), 2);
    }

    #[test]
    fn a_waker_that_is_handed_out_is_the_only_one() {
        let (peer, woken) = asleep();
        let (pushed, waker) = peer.push_quietly(1, || 1);
        let waker = waker.filter(|_| pushed.is_ok()).unwrap();
        assert!(matches!(peer.push_quietly(1, || 2), (Ok(()), None)));
        peer.push(1, || 3).unwrap();
        assert_eq!(woken.times(), 0);
        waker.wake();
        assert_eq!(woken.times(), 1);
    }

    #[test]
    fn the_task_is_woken_by_the_waker_that_it_rested_with_last() {
        let (peer, first) = asleep();
        peer.wake();
        drop(peer.take());
        let second = Arc::<Woken>::default();
        assert!(rest(&peer, &second, 0));
        peer.wake();
        assert_eq!((first.times(), second.times()), (1, 1));
    }

    #[test]
    fn bytes_count_in_the_mailbox_and_then_in_the_machine() {
        let (peer, woken) = asleep();
        peer.push(600, || 1).unwrap();
        assert_eq!(peer.push(401, || 2), Err(SendError::Full));
        peer.push(400, || 3).unwrap();
        assert_eq!(peer.take().unwrap().commands, [1, 3]);
        assert_eq!(peer.push(1, || 4), Err(SendError::Full), "the machine has them now");
        peer.push(0, || 5).unwrap();
        drop(peer.take());
        assert!(rest(&peer, &woken, 999));
        peer.push(1, || 6).unwrap();
        assert_eq!(peer.push(1, || 7), Err(SendError::Full));
    }

    #[test]
    fn a_command_that_is_refused_is_not_made() {
        let (peer, woken) = asleep();
        peer.push(1, || 1).unwrap();
        assert_eq!(peer.push(MAX, || unreachable!("there is no room")), Err(SendError::Full));
        drop(peer.take());
        assert!(rest(&peer, &woken, 0));
        peer.push(10 * MAX, || 2).unwrap();
        peer.close();
        assert_eq!(peer.push(0, || unreachable!("it is closed")), Err(SendError::Closed));
    }

    #[test]
    fn that_a_reply_was_written_wakes_the_task_only_where_room_is_scarce() {
        let (peer, woken) = asleep();
        peer.push_http(replied(1));
        assert_eq!(woken.times(), 0);
        peer.wake();
        assert_eq!(peer.take().unwrap().http.len(), 1);
        assert!(rest(&peer, &woken, MAX / 2 + 1));
        peer.push_http(replied(2));
        assert_eq!(woken.times(), 2);
        assert!(!rest(&peer, &woken, MAX / 2 + 1));
        drop(peer.take());
        // A refusal makes free capacity urgent as well.
        assert!(rest(&peer, &woken, MAX / 2));
        peer.push_http(replied(3));
        assert_eq!(woken.times(), 2);
        assert_eq!(peer.push(MAX, || 1), Err(SendError::Full));
        assert_eq!(woken.times(), 3);
    }

    #[test]
    fn who_waits_for_room_is_woken_when_half_is_free() {
        let (peer, woken) = asleep();
        peer.push(800, || 1).unwrap();
        let waiting = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&waiting));
        let cx = &mut Context::from_waker(&waker);
        let mut ready = Box::pin(peer.ready());
        assert!(ready.poll_unpin(cx).is_pending());
        assert!(ready.poll_unpin(cx).is_pending());
        drop(peer.take());
        assert!(rest(&peer, &woken, 501));
        assert_eq!(waiting.times(), 0);
        peer.wake();
        peer.set_buffered(500);
        assert_eq!(waiting.times(), 1, "once, though it was polled twice");
        assert_eq!(ready.poll_unpin(cx), Poll::Ready(Ok(())));
    }

    #[test]
    fn who_was_refused_is_ready_when_that_message_would_be_taken() {
        let (peer, woken) = asleep();
        peer.push(300, || 1).unwrap();
        drop(peer.take());
        assert!(rest(&peer, &woken, 300));
        assert_eq!(peer.ready().now_or_never(), Some(Ok(())), "nothing was refused");
        assert_eq!(peer.push(800, || 2), Err(SendError::Full));
        let mut ready = Box::pin(peer.ready());
        assert_eq!(ready.as_mut().now_or_never(), None, "less than half is used, and it would be refused again");
        peer.wake();
        peer.set_buffered(201);
        assert_eq!(ready.as_mut().now_or_never(), None);
        peer.set_buffered(200);
        assert_eq!(ready.now_or_never(), Some(Ok(())));
        peer.push(800, || 3).unwrap();
        drop(peer.take());
        // It is forgotten once there was capacity.
        peer.set_buffered(500);
        assert_eq!(peer.ready().now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_message_above_the_limit_is_taken_when_nothing_waits() {
        let (peer, woken) = asleep();
        peer.push(1, || 1).unwrap();
        assert_eq!(peer.push(10 * MAX, || 2), Err(SendError::Full));
        drop(peer.take());
        assert!(rest(&peer, &woken, 1));
        assert_eq!(peer.ready().now_or_never(), None);
        // The reply may have been all that was queued, so the task must handle it.
        let wakes = woken.times();
        peer.push_http(replied(1));
        assert_eq!(woken.times(), wakes + 1);
        drop(peer.take());
        assert!(rest(&peer, &woken, 0));
        assert_eq!(peer.ready().now_or_never(), Some(Ok(())));
        peer.push(10 * MAX, || 3).unwrap();
    }

    #[test]
    fn a_mailbox_that_is_closed_gives_everything_back_and_takes_nothing() {
        let (peer, woken) = asleep();
        peer.push(800, || 1).unwrap();
        peer.push_http(replied(1));
        peer.push_http(aborted(2));
        let waiting = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&waiting));
        let mut ready = Box::pin(peer.ready());
        assert!(ready.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let Contents { commands, http, .. } = peer.close();
        assert_eq!((commands.len(), http.len()), (1, 2));
        assert_eq!(waiting.times(), 1);
        assert_eq!(ready.now_or_never(), Some(Err(SendError::Closed)));
        assert!(!peer.push_http(aborted(3)));
        let wakes = woken.times();
        peer.wake();
        assert_eq!(woken.times(), wakes, "there is no task");
        assert!(peer.take().is_none());
    }
}
