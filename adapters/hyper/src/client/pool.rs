//! The connections of one client that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::uri::{Authority, Scheme};
use hyper::rt::{Read, Write};

use super::connection::Live;
use super::proxy::Way;

/// The maximum number of connections that are kept: one for GETs, one for POSTs.
const MAX_IDLE: usize = 2;

/// How long a connection may be idle if the server does not tell. Most load balancers wait 60 s.
const IDLE: Duration = Duration::from_secs(50);

/// A connection is not used in the last second before the server closes it: the request might come too late.
const MARGIN: u64 = 1;

/// Which requests a connection may be used for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<Authority>,
}

pub(super) struct Pool<I: Read + Write>(Mutex<Vec<Idle<I>>>);

struct Idle<I: Read + Write> {
    key: Key,
    live: Live<I>,
    until: Option<Instant>,
    way: Way,
}

impl<I: Read + Write + Unpin + Send> Pool<I> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Takes a connection that may be used for these requests, the latest first. It may have been closed since.
    pub(super) fn take(&self, key: &Key, now: Instant) -> Option<(Live<I>, Way)> {
        let expired;
        let taken;
        {
            let mut idle = self.lock();
            (expired, *idle) =
                idle.drain(..).partition::<Vec<_>, _>(|idle| idle.until.is_some_and(|until| until <= now));
            let place = idle.iter().rposition(|idle| idle.key == *key);
            taken = place.map(|place| idle.remove(place));
        }
        // Closes connections, which should not be done under the lock.
        drop(expired);
        taken.map(|idle| (idle.live, idle.way))
    }

    /// Keeps a connection after a response with these headers, unless two newer ones are kept.
    pub(super) fn keep(&self, key: Key, live: Live<I>, way: Way, now: Instant, headers: &HeaderMap) {
        let idle = announced(headers).unwrap_or(IDLE);
        if idle.is_zero() {
            return;
        }
        let mut kept = self.lock();
        let surplus = (kept.len() >= MAX_IDLE).then(|| kept.remove(0));
        kept.push(Idle { key, live, until: now.checked_add(idle), way });
        drop(kept);
        drop(surplus);
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let closed = std::mem::take(&mut *self.lock());
        drop(closed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<I>>> {
        // Nothing under the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the server keeps an idle connection, with a margin: `Keep-Alive: timeout=5`.
fn announced(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let parameters = value.split(',').filter_map(|parameter| parameter.trim().split_once('='));
    let mut timeouts = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    let seconds: u64 = timeouts.next()?.1.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(MARGIN)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_connection_is_left_a_second_before_the_server_closes_it() {
        let announced = |value: &'static str| {
            announced(&HeaderMap::from_iter([(
                http::header::HeaderName::from_static("keep-alive"),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(announced("timeout=5"), Some(Duration::from_secs(4)));
        assert_eq!(announced("max=100, Timeout = 75"), Some(Duration::from_secs(74)));
        assert_eq!(announced("timeout=0"), Some(Duration::ZERO));
        assert_eq!(announced("timeout=soon"), None);
        assert_eq!(announced("max=100"), None);
        assert_eq!(super::announced(&HeaderMap::new()), None);
    }
}
