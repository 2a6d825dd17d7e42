//! Limits repeated warnings and errors that peers can cause, so that a peer cannot fill a disk, for example by not reading.
//!
//! Each of these messages is logged at its level once per session and kind of handler, or once per object that it is about. Repetitions are
//! logged at `debug` with their number. Texts that may contain input from a peer are truncated.

use std::sync::atomic::{AtomicU32, Ordering};

/// The maximum length of a logged text in bytes.
const MAX_TEXT: usize = 500;

/// Counts how often something happened.
#[derive(Debug, Default)]
pub(crate) struct Times(AtomicU32);

impl Times {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Counts one more occurrence and returns the number of occurrences. Saturates.
    pub(crate) fn another(&self) -> u32 {
        let more = |times: u32| Some(times.saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.unwrap_or_else(|times| times).saturating_add(1)
    }
}

/// The counters of one session, for what is logged at its level once per session.
#[derive(Debug, Default)]
pub(crate) struct Loud {
    pub(crate) middleware: Times,
    pub(crate) connect: Ends,
    /// Handlers of events (Socket.IO) or messages (Engine.IO).
    pub(crate) events: Ends,
    pub(crate) disconnecting: Ends,
    pub(crate) disconnect: Ends,
    /// The outbound queue was full, which closes the session.
    pub(crate) full: Times,
}

/// The failures and panics of one kind of handler.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) failed: Times,
    pub(crate) panicked: Times,
}

/// Logs at `$level` the first time. After that, logs at `debug` with the field `times`.
macro_rules! loud_once {
    ($times:expr, $level:ident, $($what:tt)+) => {
        match $times.another() {
            1 => tracing::$level!($($what)+),
            times => tracing::debug!(times, $($what)+),
        }
    };
}
pub(crate) use loud_once;

/// The text, truncated to [`MAX_TEXT`] bytes.
pub(crate) fn brief(text: &str) -> &str {
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
        let times = Times::new();
        assert_eq!([times.another(), times.another(), times.another()], [1, 2, 3]);
        let times = Times(AtomicU32::new(u32::MAX - 1));
        assert_eq!([times.another(), times.another(), times.another()], [u32::MAX; 3]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief(""), "");
        let exact = "x".repeat(MAX_TEXT);
        assert_eq!(brief(&exact), exact);
        assert_eq!(brief(&format!("{exact}y")), exact);
        assert_eq!(brief(&"€".repeat(MAX_TEXT)), "€".repeat(MAX_TEXT / 3));
    }
}
