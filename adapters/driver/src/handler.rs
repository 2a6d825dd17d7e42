//! Handlers: closures of the application, sync or async, with or without a `Result`.
//!
//! A handler starts in the turn of its connection, with no lock held. What is done at once (every sync handler, and every async one
//! that does not wait) costs no scheduling; a future that waits moves to the connection's set of waiting handlers, and later events
//! go on. A panic is caught wherever it happens.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

/// A handler's result as the driver sees it: the error is logged.
pub type HandlerResult = Result<(), String>;

/// What can go wrong in a handler, whatever it is: for handlers that use `?`. A text is one too: `Err("not yet".into())`.
///
/// The last line of such a closure names it: `Ok::<(), Failure>(())`.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a handler may return, turned into `T`. Handlers may return `()` or `Result<(), E>`, where the error is logged; a middleware returns
/// [`MiddlewareResult`](crate::MiddlewareResult).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what this handler may return",
    note = "handlers return `()`, `Result<(), E>` where `E: Display`, or a future of one of these",
    note = "middleware returns `Result<(), Refusal>`, or a future of it",
    note = "with `?`, let the handler end with `Ok::<(), Failure>(())`"
)]
pub trait Outcome<T> {
    /// Turns it into what the driver works with.
    fn into_outcome(self) -> T;
}

impl Outcome<HandlerResult> for () {
    fn into_outcome(self) -> HandlerResult {
        Ok(())
    }
}

impl<E: Display> Outcome<HandlerResult> for Result<(), E> {
    fn into_outcome(self) -> HandlerResult {
        self.map_err(|error| error.to_string())
    }
}

/// A closure that can handle something: `Fn(A) -> R`, with one argument or two, where `R` is an [`Outcome`] or a future of one. `M` tells
/// the two kinds apart and is inferred.
///
/// The arguments are named with their types, for they are how the compiler tells what `R` is. An `async` closure may stand where nothing is
/// captured; one that captures lends its captures to its future, which has to outlive it. Then a closure clones what its future is to
/// own:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use socketio_driver::{Event, Failure, Server, Socket};
///
/// let count = Arc::new(AtomicU64::new(0));
/// Server::new().on("count", move |_: Socket, event: Event| {
///     let count = Arc::clone(&count);
///     async move {
///         event.ack(count.fetch_add(1, Ordering::Relaxed))?;
///         Ok::<(), Failure>(())
///     }
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "this is no handler for `{A}`",
    label = "not a closure of these arguments that returns what a handler may",
    note = "a handler takes the members of `{A}` as its arguments, each named with its type: `|socket: Socket|` for `on_connect`, \
            `|socket: Socket, event: Event|` for `on`, `|socket: Socket, reason: DisconnectReason|` for `on_disconnect`, \
            `|request: ConnectRequest|` for `middleware`",
    note = "it returns `()`, `Result<(), E>` where `E: Display` (a middleware: `Result<(), Refusal>`), or a future of one of these that is \
            `Send + 'static`",
    note = "an `async` closure cannot capture; write `move |socket: Socket, event: Event| {{ let store = store.clone(); async move {{ .. \
            }} }}`"
)]
pub trait Handler<A, T, M>: Send + Sync + 'static {
    /// Starts it.
    fn start(&self, arguments: A) -> Started<T>;
}

/// A handler that was started.
#[allow(missing_debug_implementations, reason = "holds a future of the application")]
pub enum Started<T> {
    /// It is done.
    Done(T),
    /// It is a future, which was not polled yet.
    Waits(BoxFuture<'static, T>),
}

/// Marks handlers that return their result.
#[derive(Debug)]
pub enum Immediate {}
/// Marks handlers that return a future.
#[derive(Debug)]
pub enum Deferred {}

impl<F, A, R, T> Handler<(A,), T, Immediate> for F
where
    F: Fn(A) -> R + Send + Sync + 'static,
    R: Outcome<T>,
{
    fn start(&self, (argument,): (A,)) -> Started<T> {
        Started::Done(self(argument).into_outcome())
    }
}

impl<F, A, R, T: 'static> Handler<(A,), T, Deferred> for F
where
    F: Fn(A) -> R + Send + Sync + 'static,
    R: Future<Output: Outcome<T>> + Send + 'static,
{
    fn start(&self, (argument,): (A,)) -> Started<T> {
        Started::Waits(Box::pin(self(argument).map(Outcome::into_outcome)))
    }
}

impl<F, A, B, R, T> Handler<(A, B), T, Immediate> for F
where
    F: Fn(A, B) -> R + Send + Sync + 'static,
    R: Outcome<T>,
{
    fn start(&self, (first, second): (A, B)) -> Started<T> {
        Started::Done(self(first, second).into_outcome())
    }
}

impl<F, A, B, R, T: 'static> Handler<(A, B), T, Deferred> for F
where
    F: Fn(A, B) -> R + Send + Sync + 'static,
    R: Future<Output: Outcome<T>> + Send + 'static,
{
    fn start(&self, (first, second): (A, B)) -> Started<T> {
        Started::Waits(Box::pin(self(first, second).map(Outcome::into_outcome)))
    }
}

/// A handler whose types are forgotten.
pub(crate) type ErasedHandler<A, T> = Box<dyn Fn(A) -> Started<T> + Send + Sync>;

pub(crate) fn erase<A: 'static, T: 'static, M>(handler: impl Handler<A, T, M>) -> ErasedHandler<A, T> {
    Box::new(move |arguments| handler.start(arguments))
}

/// What became of a handler.
pub(crate) enum Ended<T> {
    /// It returned.
    Returned(T),
    /// It panicked, with this message.
    Panicked(String),
}

/// Runs a handler to its first wait.
///
/// # Errors
/// The rest of it, when it waits.
pub(crate) fn run<T>(
    cx: &mut Context<'_>,
    start: impl FnOnce() -> Started<T>,
) -> Result<Ended<T>, BoxFuture<'static, T>> {
    match catch_unwind(AssertUnwindSafe(start)) {
        Ok(Started::Done(value)) => Ok(Ended::Returned(value)),
        Ok(Started::Waits(mut future)) => match poll_caught(&mut future, cx) {
            Poll::Ready(ended) => Ok(ended),
            Poll::Pending => Err(future),
        },
        Err(panic) => Ok(Ended::Panicked(panic_message(panic.as_ref()))),
    }
}

/// How many handlers of one connection may wait at the same time, and how many bytes they may hold: what they were started for. While they
/// are over one of these, events stay in the machine, which fills up and reads no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxWaiting {
    handlers: usize,
    bytes: usize,
}

impl MaxWaiting {
    pub(crate) const DEFAULT: Self = Self { handlers: 1024, bytes: 16 << 20 };

    /// One at least, or nothing would ever be handled.
    pub(crate) fn set_handlers(&mut self, count: usize) {
        self.handlers = count.max(1);
    }

    /// An event is handled while fewer wait, however large it is.
    pub(crate) fn set_bytes(&mut self, count: usize) {
        self.bytes = count.max(1);
    }

    /// Whether another handler may start.
    #[inline]
    pub(crate) fn has_room(&self, handlers: usize, bytes: usize) -> bool {
        handlers < self.handlers && bytes < self.bytes
    }
}

/// Handlers that wait, of one connection. `C` says what each is, for when it ends.
pub(crate) struct Waiting<C, T> {
    // Most connections never have one.
    set: Option<Box<WaitingSet<C, T>>>,
}

struct WaitingSet<C, T> {
    futures: FuturesUnordered<Wait<C, T>>,
    bytes: usize,
}

struct Wait<C, T> {
    context: Option<C>,
    /// What it was started for holds so many.
    bytes: usize,
    future: BoxFuture<'static, T>,
}

impl<C: Unpin, T> Future for Wait<C, T> {
    type Output = (Option<C>, usize, Ended<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_caught(&mut self.future, cx).map(|ended| (self.context.take(), self.bytes, ended))
    }
}

fn poll_caught<T>(future: &mut BoxFuture<'static, T>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ended::Returned(value)),
        Err(panic) => Poll::Ready(Ended::Panicked(panic_message(panic.as_ref()))),
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

impl<C: Unpin, T> Waiting<C, T> {
    pub(crate) const fn new() -> Self {
        Self { set: None }
    }

    /// Whether none waits, and none has for a while: what there is nearly always.
    #[inline]
    pub(crate) const fn is_idle(&self) -> bool {
        self.set.is_none()
    }

    /// How many wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.futures.len())
    }

    /// How many bytes they hold.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.bytes)
    }

    /// Keeps a handler that waits: it comes back from [`Waiting::poll_ended`], with its context. What it was started for holds so many
    /// bytes, as far as anybody can tell until it ends.
    pub(crate) fn add(&mut self, context: C, bytes: usize, future: BoxFuture<'static, T>) {
        let empty = || Box::new(WaitingSet { futures: FuturesUnordered::new(), bytes: 0 });
        let set = self.set.get_or_insert_with(empty);
        set.bytes = set.bytes.saturating_add(bytes);
        set.futures.push(Wait { context: Some(context), bytes, future });
    }

    /// The next handler that ended.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Option<(C, Ended<T>)> {
        loop {
            let set = self.set.as_mut()?;
            match set.futures.poll_next_unpin(cx) {
                Poll::Pending => return None,
                Poll::Ready(None) => {
                    self.set = None;
                    return None;
                }
                Poll::Ready(Some((context, bytes, ended))) => {
                    set.bytes = set.bytes.saturating_sub(bytes);
                    if let Some(context) = context {
                        return Some((context, ended));
                    }
                }
            }
        }
    }

    /// Takes what still waits, to be run to its end by somebody else.
    pub(crate) fn take(
        &mut self,
        ended: impl Fn(C, Ended<T>) + Send + 'static,
    ) -> Option<impl Future<Output = ()> + Send + 'static>
    where
        C: Send + 'static,
        T: Send + 'static,
    {
        let set = self.set.take()?;
        Some(set.futures.for_each(move |(context, _, end)| {
            if let Some(context) = context {
                ended(context, end);
            }
            std::future::ready(())
        }))
    }
}
