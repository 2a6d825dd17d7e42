//! The transcript of a case: its traffic in both directions, with times.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The direction of an entry. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the suite to the implementation under test.
    Out,
    /// From the implementation under test to the suite.
    In,
    /// A remark of the suite, such as the step that begins here.
    Note,
}

/// A line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the start of the case.
    pub at: f64,
    /// The direction.
    pub direction: Direction,
    /// The name of the request, link or session in the script.
    pub who: String,
    /// The content in printable form, shortened if it is long.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Out => "-->",
            Direction::In => "<--",
            Direction::Note => return write!(formatter, "{:9.1}  ## {}", self.at, self.what),
        };
        write!(formatter, "{:9.1}  {arrow} {}: {}", self.at, self.who, self.what.replace('\n', "\n                  "))
    }
}

/// A transcript that the tasks of a case append to. Clones share the same transcript.
#[derive(Clone)]
pub(crate) struct Transcript {
    begin: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// The most entries kept, so that a flood does not exhaust memory. After that, only a final remark is added.
const MAX_ENTRIES: usize = 2000;

impl Transcript {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), entries: Arc::default() }
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.write(Direction::Note, "", what.into());
    }

    pub(crate) fn sent(&self, who: &str, what: impl Into<String>) {
        self.write(Direction::Out, who, what.into());
    }

    pub(crate) fn received(&self, who: &str, what: impl Into<String>) {
        self.write(Direction::In, who, what.into());
    }

    fn write(&self, direction: Direction, who: &str, what: String) {
        let at = (self.begin.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.push(Entry {
                at,
                direction: Direction::Note,
                who: String::new(),
                what: format!("more than {MAX_ENTRIES} lines: the rest is omitted"),
            });
        }
        if entries.len() < MAX_ENTRIES {
            entries.push(Entry { at, direction, who: who.to_owned(), what });
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
