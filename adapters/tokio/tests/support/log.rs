//! Captures the log of the server, for tests that check it.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The captured messages, one per line: the level, then message and fields.
static LINES: Mutex<Vec<Arc<str>>> = Mutex::new(Vec::new());

struct Keeper(Level);

/// Starts capturing warnings and errors.
pub(crate) fn listen() {
    listen_to(Level::WARN);
}

/// Starts capturing messages of this level and above. A test program can use only one level.
pub(crate) fn listen_to(level: Level) {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| tracing::subscriber::set_global_default(Keeper(level)).unwrap());
}

/// Returns whether a line that contains all of these was logged.
pub(crate) fn says(parts: &[&str]) -> bool {
    count(parts) > 0
}

/// The number of logged lines that contain all of these.
pub(crate) fn count(parts: &[&str]) -> usize {
    LINES.lock().unwrap().iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// The length in bytes of the longest line that contains all of these.
pub(crate) fn longest(parts: &[&str]) -> usize {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).map(|line| line.len()).max().unwrap_or(0)
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("socketio") && *metadata.level() <= self.0
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0.into());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
