//! `allow_request`: the application accepts or refuses the HTTP request of a handshake, at once or after waiting.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::request::Parts;

use crate::handler::{Deferred, Immediate, panic_message};
use crate::log_limit::{Occurrences, log_limited};

/// What an `allow_request` callback returns: `Result<(), String>`, or a future of it that is `Send + 'static`. An error refuses the request
/// with its text. `M` distinguishes the two and is inferred.
#[diagnostic::on_unimplemented(
    message = "`allow_request` cannot return `{Self}`",
    note = "it returns `Result<(), String>`, or a future of it that is `Send + 'static`",
    note = "a future cannot borrow the request; clone what it needs: `|request| {{ let token = request.headers.get(\"x-token\").cloned(); \
            async move {{ .. }} }}`"
)]
pub trait Permission<M> {
    /// Whether it may have to be waited for.
    #[doc(hidden)]
    const WAITS: bool;

    #[doc(hidden)]
    fn decide(self) -> Decision;
}

/// What an `allow_request` callback has decided.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "holds a future of the application")]
pub enum Decision {
    /// It decided at once.
    Made(Result<(), String>),
    /// It decides later.
    Waits(BoxFuture<'static, Result<(), String>>),
}

impl Permission<Immediate> for Result<(), String> {
    const WAITS: bool = false;

    fn decide(self) -> Decision {
        Decision::Made(self)
    }
}

impl<F: Future<Output = Result<(), String>> + Send + 'static> Permission<Deferred> for F {
    const WAITS: bool = true;

    fn decide(self) -> Decision {
        Decision::Waits(Box::pin(self))
    }
}

/// Why `allow_request` did not accept a request.
pub(crate) enum NotAllowed {
    /// It refused the request with this message.
    Refused(String),
    /// Too many requests wait for it.
    Busy,
}

/// The callback, and the requests that wait for it.
pub(crate) struct AllowRequest {
    callback: Box<dyn Fn(&Parts) -> Decision + Send + Sync>,
    /// Whether it returns a future.
    pub(crate) waits: bool,
    waiting: AtomicUsize,
}

/// A request that waits. Dropping it makes space for another one.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AllowRequest {
    pub(crate) fn new<R: Permission<M>, M>(callback: impl Fn(&Parts) -> R + Send + Sync + 'static) -> Self {
        Self {
            callback: Box::new(move |parts| callback(parts).decide()),
            waits: R::WAITS,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Asks the application. A panic refuses the request, and is passed to `panicked`.
    pub(crate) async fn ask(
        &self,
        parts: &Parts,
        max_waiting: usize,
        panicked: impl Fn(&str),
    ) -> Result<(), NotAllowed> {
        let refused = |panic: Box<dyn std::any::Any + Send>| {
            panicked(&panic_message(panic.as_ref()));
            Err(String::new())
        };
        let waiting = self.waits.then(|| Waiting(&self.waiting));
        if waiting.is_some() && self.waiting.fetch_add(1, Ordering::Relaxed) >= max_waiting {
            static BUSY: Occurrences = Occurrences::new();
            log_limited!(
                BUSY,
                warn,
                max_waiting,
                "a handshake was refused because too many wait for `allow_request`: answer sooner, or raise `max_waiting_requests`"
            );
            return Err(NotAllowed::Busy);
        }
        let decision = catch_unwind(AssertUnwindSafe(|| (self.callback)(parts)));
        let allowed = match decision {
            Ok(Decision::Made(allowed)) => allowed,
            Ok(Decision::Waits(future)) => AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(refused),
            Err(panic) => refused(panic),
        };
        drop(waiting);
        allowed.map_err(NotAllowed::Refused)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::OnceLock;

    use super::*;

    fn parts(depth: usize) -> Parts {
        http::Request::builder().header("depth", depth).body(()).unwrap().into_parts().0
    }

    fn ask(allow: &AllowRequest, depth: usize) -> Result<(), String> {
        match allow.ask(&parts(depth), 1, |_| {}).now_or_never() {
            Some(Err(NotAllowed::Busy)) => Err("busy".to_owned()),
            Some(Err(NotAllowed::Refused(message))) => Err(message),
            Some(Ok(())) => Ok(()),
            None => Err("it waits".to_owned()),
        }
    }

    #[test]
    fn only_callbacks_that_return_a_future_count_as_waiting() {
        static AT_ONCE: OnceLock<AllowRequest> = OnceLock::new();
        static LATER: OnceLock<AllowRequest> = OnceLock::new();

        // While the callback decides on one request, another one arrives.
        fn nested(allow: &OnceLock<AllowRequest>, parts: &Parts) -> Result<(), String> {
            let is_outer = parts.headers.get("depth").is_some_and(|depth| depth == "0");
            if is_outer { ask(allow.get().unwrap(), 1) } else { Ok(()) }
        }

        let at_once = AT_ONCE.get_or_init(|| AllowRequest::new(|parts| nested(&AT_ONCE, parts)));
        assert_eq!(ask(at_once, 0), Ok(()));
        let later = LATER.get_or_init(|| AllowRequest::new(|parts| ready(nested(&LATER, parts))));
        assert_eq!(ask(later, 0), Err("busy".to_owned()));
        assert_eq!(ask(later, 1), Ok(()), "the one that waited has left");
    }
}
