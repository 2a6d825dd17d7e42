//! Handlers: functions and closures of the application, sync or async, with or without a `Result`, whose arguments are extracted.
//!
//! A handler starts in the turn of its connection, with no lock held. A handler that completes at once (every sync handler, and an async
//! handler that does not wait) costs no scheduling. A future that is pending moves to the connection's set of waiting handlers, and later
//! events are handled in the meantime. Panics are caught in both cases.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::extract::{Extract, HandlerInput, Source, Uses, not_extracted};

/// The result of a handler, as the driver sees it: its value is dropped, and its error is logged.
pub type HandlerResult = Result<(), String>;

/// An error type for handlers that use `?`. Any error converts into it, and so does text: `Err("not yet".into())`.
///
/// Such a handler ends with `Ok::<(), Failure>(())`, from which the compiler infers the type. An `async fn` states it:
/// `async fn note(Data(note): Data<String>) -> Result<(), Failure>`.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A return value of a handler, which converts into `T`.
///
/// Handlers return `()`, `Result<V, E>` or `Option<V>`. The value is dropped, whatever its type. The error of a `Result` is a failure of
/// the handler. `None` is not: with `?` on an `Option`, a handler ends early. Middleware returns
/// [`MiddlewareResult`](crate::MiddlewareResult).
#[diagnostic::on_unimplemented(
    message = "this handler cannot return `{Self}`",
    note = "handlers return `()`, `Option<_>`, `Result<_, E>` where `E: Display`, or a future of one of these",
    note = "middleware returns `Result<(), Refusal>`, or a future of it",
    note = "a handler that uses `?` ends with `Ok::<(), Failure>(())`"
)]
pub trait Outcome<T> {
    /// Converts the return value.
    fn into_outcome(self) -> T;
}

impl Outcome<HandlerResult> for () {
    fn into_outcome(self) -> HandlerResult {
        Ok(())
    }
}

impl<V, E: Display> Outcome<HandlerResult> for Result<V, E> {
    #[inline(always)]
    fn into_outcome(self) -> HandlerResult {
        match self {
            Ok(_) => Ok(()),
            Err(error) => Err(text_of(&error)),
        }
    }
}

#[cold]
fn text_of(error: &impl Display) -> String {
    error.to_string()
}

impl<V> Outcome<HandlerResult> for Option<V> {
    fn into_outcome(self) -> HandlerResult {
        Ok(())
    }
}

/// A function or closure that can be a handler: `Fn` with up to eight arguments that can be extracted ([`Extract`]) from `A`, in any order,
/// which returns an [`Outcome`] or a future of one.
///
/// `A` is what a handler of this kind is started with: `(Socket,)` for `on_connect`, `(Socket, Event)` for events, `(Socket,
/// DisconnectReason)` for `on_disconnect` and `on_disconnecting`, `(ConnectRequest,)` for middleware, and `(HandlerFailure,)` for
/// `on_error`. `M` distinguishes the functions and is inferred. If an argument cannot be extracted, for example because the client has sent a number where `Data<String>` needs a string,
/// the handler is not started. This is logged, as its other failures are.
///
/// ```
/// use socketio_driver::{Ack, Data, Failure, Server, Socket, State};
///
/// #[derive(Clone)]
/// struct Greeting(String);
///
/// /// For `socket.emit("hello", "ann", 3, (answer) => ..)`.
/// async fn hello(
///     socket: Socket,
///     Data((name, times)): Data<(String, usize)>,
///     State(greeting): State<Greeting>,
///     ack: Option<Ack>,
/// ) -> Result<(), Failure> {
///     let text = format!("{} {name}! ", greeting.0).repeat(times);
///     socket.emit("greeting", &text)?;
///     if let Some(ack) = ack {
///         ack.send(text.len())?;
///     }
///     Ok(())
/// }
///
/// let server = Server::builder().state(Greeting("Hello".to_owned())).build();
/// server.on("hello", hello).on("shout", |socket: Socket, Data(text): Data<String>| socket.emit("shout", text.to_uppercase()));
/// ```
///
/// The arguments of a closure need explicit types, from which the compiler infers the rest. An `async` closure works only if it captures
/// nothing, also if it is `async move`: its future would borrow what the closure owns, but must be `'static`. (The compiler then says that
/// the closure is not a handler, or that it does not implement `Fn`. Its hints do not show the remedy.) Write a closure that clones what
/// its future needs and returns an `async move` block:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use socketio_driver::{Event, Failure, Server, Socket};
///
/// let count = Arc::new(AtomicU64::new(0));
/// // Not `async move |_: Socket, event: Event| { .. count .. }`, but:
/// Server::new().on("count", move |_: Socket, event: Event| {
///     let count = Arc::clone(&count);
///     async move {
///         event.ack(count.fetch_add(1, Ordering::Relaxed))?;
///         Ok::<(), Failure>(())
///     }
/// });
/// ```
///
/// [`State`](crate::State) and [`Server`](crate::Server) do without the clone: `async |event: Event, State(count): State<Arc<AtomicU64>>| ..` captures nothing.
///
/// What is not a handler does not compile:
///
/// ```compile_fail
/// # use socketio_driver::{DisconnectReason, Server, Socket};
/// // An event has no reason.
/// Server::new().on("x", |socket: Socket, reason: DisconnectReason| {});
/// ```
///
/// ```compile_fail
/// # use socketio_driver::{Event, Server, Socket};
/// // A number is not an outcome.
/// Server::new().on("x", |event: Event| 3);
/// ```
///
/// ```compile_fail
/// # use socketio_driver::{Event, Server, Socket};
/// // The future borrows `name`, which the closure owns.
/// let name = String::from("x");
/// Server::new().on("x", async move |event: Event| println!("{name}"));
/// ```
///
/// ```compile_fail
/// # use socketio_driver::{Data, Server};
/// // The argument would borrow from an event that is gone when the handler waits: use `Data<String>`, or `Event::read`.
/// Server::new().on("x", |Data(text): Data<&str>| {});
/// ```
#[diagnostic::on_unimplemented(
    message = "this is not a handler that can be started with `{A}`",
    label = "not a function with arguments that can be extracted from `{A}` and a valid return type",
    note = "a handler takes up to eight arguments with explicit types, in any order. All kinds: `Server`, `State<T>`, `Extension<T>`, `Auth<T>`. \
            All but middleware: `Socket`, `Namespace`. `on`: `Event`, `Data<T>`, `TryData<T>`, `Ack`, `Option<Ack>`, `EventName`. \
            `on_disconnect` and `on_disconnecting`: `DisconnectReason`. `on_upgrade`: `Transport`. `middleware`: `ConnectRequest`. `on_error`: `HandlerFailure`. \
            And your own `impl Extract`",
    note = "it returns `()`, `Option<_>`, `Result<_, E>` where `E: Display` (middleware: `Result<(), Refusal>`; `filter`: `Event`, \
            `Option<Event>`, or a `Result` of one), or a future of one of these that is `Send + 'static`",
    note = "an `async` closure cannot capture; write `move |socket: Socket, event: Event| {{ let store = store.clone(); async move {{ .. \
            }} }}`, or take `State<Store>`"
)]
pub trait Handler<A: Source, T, M>: Send + Sync + 'static {
    /// Starts the handler. A future is returned without being polled.
    fn start(&self, input: &mut HandlerInput<A>) -> Started<T>;
}

/// A started handler.
#[allow(missing_debug_implementations, reason = "holds a future of the application")]
pub enum Started<T> {
    /// The handler returned this result.
    Done(T),
    /// The handler returned this future, which is not polled yet.
    Waits(BoxFuture<'static, T>),
    /// The handler was not started: an argument could not be extracted, for this reason.
    NotStarted(String),
}

/// Marks handlers that return a result.
#[derive(Debug)]
pub enum Immediate {}
/// Marks handlers that return a future.
#[derive(Debug)]
pub enum Deferred {}

/// Extracts one argument after the other, each as a variable. Not as one tuple: that would be copied again.
macro_rules! extract_each {
    ($input:ident;) => {};
    ($input:ident; $first:ident $($rest:ident)*) => {
        $input.later = Uses::NOTHING$(.and($rest::USES))*;
        let $first = match $first::extract($input) {
            Ok(argument) => argument,
            Err(error) => return Started::NotStarted(not_extracted::<$first>(&error)),
        };
        extract_each!($input; $($rest)*);
    };
}

macro_rules! handlers {
    () => { handlers!(@one); };
    ($first:ident $($rest:ident)*) => {
        handlers!(@one $first $($rest)*);
        handlers!($($rest)*);
    };
    (@one $($argument:ident)*) => {
        impl<A, T, F, R, $($argument,)*> Handler<A, T, (Immediate, $($argument,)*)> for F
        where
            A: Source,
            F: Fn($($argument),*) -> R + Send + Sync + 'static,
            R: Outcome<T>,
            $($argument: Extract<A>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "values are named like their types, and may be none")]
            fn start(&self, input: &mut HandlerInput<A>) -> Started<T> {
                extract_each!(input; $($argument)*);
                Started::Done(self($($argument),*).into_outcome())
            }
        }

        impl<A, T: 'static, F, R, $($argument,)*> Handler<A, T, (Deferred, $($argument,)*)> for F
        where
            A: Source,
            F: Fn($($argument),*) -> R + Send + Sync + 'static,
            R: Future<Output: Outcome<T>> + Send + 'static,
            $($argument: Extract<A>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "values are named like their types, and may be none")]
            fn start(&self, input: &mut HandlerInput<A>) -> Started<T> {
                extract_each!(input; $($argument)*);
                Started::Waits(Box::pin(self($($argument),*).map(Outcome::into_outcome)))
            }
        }
    };
}

handlers!(A1 A2 A3 A4 A5 A6 A7 A8);

/// A handler without its type. Its arguments are taken out of the input that the caller has made, so that an event is not copied once more
/// on its way.
pub(crate) type ErasedHandler<A, T> = Box<dyn Fn(&mut HandlerInput<A>) -> Started<T> + Send + Sync>;

pub(crate) fn erase<A: Source, T: 'static, M>(handler: impl Handler<A, T, M>) -> ErasedHandler<A, T> {
    Box::new(move |input| handler.start(input))
}

/// How a handler ended.
pub(crate) enum Ended<T> {
    /// It returned.
    Returned(T),
    /// It was not started, for this reason.
    NotStarted(String),
    /// It panicked, with this message.
    Panicked(String),
}

/// Starts a handler, and polls its future once if it has one.
///
/// # Errors
/// The future, if it is pending.
pub(crate) fn run<T>(
    cx: &mut Context<'_>,
    start: impl FnOnce() -> Started<T>,
) -> Result<Ended<T>, BoxFuture<'static, T>> {
    match catch_unwind(AssertUnwindSafe(start)) {
        Ok(Started::Done(value)) => Ok(Ended::Returned(value)),
        Ok(Started::NotStarted(error)) => Ok(Ended::NotStarted(error)),
        Ok(Started::Waits(mut future)) => match poll_caught(&mut future, cx) {
            Poll::Ready(ended) => Ok(ended),
            Poll::Pending => Err(future),
        },
        Err(panic) => Ok(Ended::Panicked(panic_message(panic.as_ref()))),
    }
}

/// The limits of the waiting handlers of one connection: how many there may be, and how many bytes of events they may hold. While one of
/// the limits is reached, events stay in the machine. It fills up, and then stops reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxWaiting {
    handlers: usize,
    bytes: usize,
}

impl MaxWaiting {
    pub(crate) const DEFAULT: Self = Self { handlers: 1024, bytes: 16 << 20 };

    /// At least one. With zero, no event would ever be handled.
    pub(crate) fn set_handlers(&mut self, count: usize) {
        self.handlers = count.max(1);
    }

    /// A single event may exceed the limit: a handler starts while the handlers that wait hold fewer bytes.
    pub(crate) fn set_bytes(&mut self, count: usize) {
        self.bytes = count.max(1);
    }

    /// Whether another handler may start.
    #[inline]
    pub(crate) fn has_capacity(&self, handlers: usize, bytes: usize) -> bool {
        handlers < self.handlers && bytes < self.bytes
    }
}

/// The waiting handlers of one connection. `C` is the context of a handler, which is returned when it ends.
pub(crate) struct Waiting<C, T> {
    // Most connections never have a waiting handler.
    set: Option<Box<WaitingSet<C, T>>>,
}

struct WaitingSet<C, T> {
    futures: FuturesUnordered<Wait<C, T>>,
    bytes: usize,
}

struct Wait<C, T> {
    context: Option<C>,
    /// The size of the event that it handles.
    bytes: usize,
    future: BoxFuture<'static, T>,
}

impl<C: Unpin, T> Future for Wait<C, T> {
    type Output = (Option<C>, usize, Ended<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_caught(&mut self.future, cx).map(|ended| (self.context.take(), self.bytes, ended))
    }
}

pub(crate) fn poll_caught<T>(future: &mut BoxFuture<'static, T>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
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

    /// Whether no handler waits and the set is freed, which is nearly always the case.
    #[inline]
    pub(crate) const fn is_idle(&self) -> bool {
        self.set.is_none()
    }

    /// The number of waiting handlers.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.futures.len())
    }

    /// The number of bytes that they hold.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.bytes)
    }

    /// Adds a handler. When it ends, [`Waiting::poll_ended`] returns it with its context. `bytes` is the size of its event, which counts
    /// until the handler ends.
    pub(crate) fn add(&mut self, context: C, bytes: usize, future: BoxFuture<'static, T>) {
        let empty = || Box::new(WaitingSet { futures: FuturesUnordered::new(), bytes: 0 });
        let set = self.set.get_or_insert_with(empty);
        set.bytes = set.bytes.saturating_add(bytes);
        set.futures.push(Wait { context: Some(context), bytes, future });
    }

    /// Polls the handlers, and returns the next one that ended.
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

    /// Takes the waiting handlers as one future, which runs them to their end, and then what `ended` returns.
    pub(crate) fn take<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        ended: impl Fn(C, Ended<T>) -> Option<F> + Send + 'static,
    ) -> Option<impl Future<Output = ()> + Send + 'static>
    where
        C: Send + 'static,
        T: Send + 'static,
    {
        let set = self.set.take()?;
        Some(set.futures.for_each_concurrent(None, move |(context, _, end)| {
            let rest = context.and_then(|context| ended(context, end));
            async move {
                if let Some(rest) = rest {
                    rest.await;
                }
            }
        }))
    }
}
