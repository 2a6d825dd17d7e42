//! What a peer can make happen as often as it likes is loud in the log once: for its session and each kind of handler, or for what it
//! happens to. After that it is said at `debug`, with a number that tells how often it was. So nobody fills a disk by not reading what
//! they are sent.
//!
//! Texts that may hold what a peer has sent are cut.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a text that are logged at most.
const MAX_TEXT: usize = 500;

/// How often something happened.
#[derive(Debug, Default)]
pub(crate) struct Times(AtomicU32);

impl Times {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// It happened again: how often by now. Stays at the end of its range.
    pub(crate) fn another(&self) -> u32 {
        let more = |times: u32| Some(times.saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.unwrap_or_else(|times| times).saturating_add(1)
    }
}

/// What may be loud once for each session.
#[derive(Debug, Default)]
pub(crate) struct Loud {
    pub(crate) middleware: Times,
    pub(crate) connect: Ends,
    /// Handlers of events, or messages.
    pub(crate) events: Ends,
    pub(crate) disconnecting: Ends,
    pub(crate) disconnect: Ends,
    /// The outbound queue was full, and the session was closed for it.
    pub(crate) full: Times,
}

/// Bad ends of one kind of handler.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) failed: Times,
    pub(crate) panicked: Times,
}

/// Logs at `$level` the first time, and at `debug`, with the field `times`, from then on.
macro_rules! loud_once {
    ($times:expr, $level:ident, $($what:tt)+) => {
        match $times.another() {
            1 => tracing::$level!($($what)+),
            times => tracing::debug!(times, $($what)+),
        }
    };
}
pub(crate) use loud_once;

/// The text, or its beginning if it is long.
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
