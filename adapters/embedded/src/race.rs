//! Waiting with a limit.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

/// Waits for `work`, but no longer than for `limit`. `None` if `limit` was first. `work` comes first if both are ready.
pub(crate) async fn before<T>(work: impl Future<Output = T>, limit: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut limit) = (pin!(work), pin!(limit));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => limit.as_mut().poll(cx).map(|()| None),
    })
    .await
}
