//! Limits repeated warnings and errors that peers can cause, so that a peer cannot fill a disk, for example by not reading.
//!
//! Each of these messages is logged at its level once per session and kind of handler, or once per object that it is about. Repetitions are
//! logged at `debug` with their number. Texts that may contain input from a peer are truncated.

use std::sync::atomic::{AtomicU32, Ordering};

/// The maximum length of a logged text in bytes.
const MAX_TEXT: usize = 500;

/// Counts how often something happened.
#[derive(Debug, Default)]
pub(crate) struct Occurrences(AtomicU32);

impl Occurrences {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Counts one more occurrence and returns the number of occurrences. Saturates.
    pub(crate) fn count(&self) -> u32 {
        let more = |times: u32| Some(times.saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.unwrap_or_else(|times| times).saturating_add(1)
    }
}

/// The counters of one session, for what is logged at its level once per session.
#[derive(Debug, Default)]
pub(crate) struct LogCounters {
    pub(crate) middleware: Occurrences,
    pub(crate) connect: HandlerFailures,
    /// Handlers of events (Socket.IO) or messages (Engine.IO).
    pub(crate) events: HandlerFailures,
    pub(crate) disconnecting: HandlerFailures,
    pub(crate) disconnect: HandlerFailures,
    /// The outbound queue was full, which closes the session.
    pub(crate) full: Occurrences,
}

/// The failures and panics of one kind of handler.
#[derive(Debug, Default)]
pub(crate) struct HandlerFailures {
    pub(crate) failed: Occurrences,
    pub(crate) panicked: Occurrences,
}

/// Logs at `$level` the first time. After that, logs at `debug` with the field `times`.
macro_rules! log_limited {
    ($times:expr, $level:ident, $($what:tt)+) => {
        match $times.count() {
            1 => tracing::$level!($($what)+),
            times => tracing::debug!(times, $($what)+),
        }
    };
}
pub(crate) use log_limited;

/// The text, truncated to [`MAX_TEXT`] bytes.
pub(crate) fn truncate(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_and_stay_at_their_end() {
        let times = Occurrences::new();
        assert_eq!([times.count(), times.count(), times.count()], [1, 2, 3]);
        let times = Occurrences(AtomicU32::new(u32::MAX - 1));
        assert_eq!([times.count(), times.count(), times.count()], [u32::MAX; 3]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(truncate(""), "");
        let exact = "x".repeat(MAX_TEXT);
        assert_eq!(truncate(&exact), exact);
        assert_eq!(truncate(&format!("{exact}y")), exact);
        assert_eq!(truncate(&"€".repeat(MAX_TEXT)), "€".repeat(MAX_TEXT / 3));
    }
}
