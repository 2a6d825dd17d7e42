//! What is counted, the progress bar, and the result.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::histogram::Histogram;
use crate::Exit;
use crate::value::printable;

/// Errors of more kinds are counted together, because the server may send any text.
const MAX_KINDS: usize = 50;

/// What all connections count.
#[derive(Debug)]
pub(super) struct Counters {
    /// The connections that were made, also if they were lost later.
    pub(super) connected: AtomicU64,
    /// The connections that could not be made.
    pub(super) failed: AtomicU64,
    /// The connections that were made, and ended too early.
    pub(super) lost: AtomicU64,
    pub(super) sent: AtomicU64,
    /// Events that the server sent.
    pub(super) received: AtomicU64,
    /// Nanoseconds that the latest message was late.
    lateness: AtomicU64,
    /// From the start of an attempt to connect until the namespace was joined.
    pub(super) connecting: Histogram,
    /// From an event until its ack.
    pub(super) round_trips: Histogram,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            connected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            lateness: AtomicU64::new(0),
            connecting: Histogram::new(),
            round_trips: Histogram::new(),
            errors: Mutex::default(),
        }
    }

    /// Counts an error of this kind.
    pub(super) fn error(&self, kind: &str) {
        let Ok(mut errors) = self.errors.lock() else { return };
        let kind = printable(kind);
        let kind = if errors.contains_key(&kind) || errors.len() < MAX_KINDS { kind } else { "others".to_owned() };
        let count = errors.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// The number of connections that were made or failed.
    pub(super) fn tried(&self) -> u64 {
        self.connected.load(Ordering::Relaxed).saturating_add(self.failed.load(Ordering::Relaxed))
    }

    /// A message was sent, so much too late.
    pub(super) fn late(&self, time: Duration) {
        self.lateness.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// What is asked for, for the result.
#[derive(Clone, Serialize, Debug)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) namespace: String,
    pub(super) connections: u64,
    /// Messages for each connection and second. `None` if the next one is sent when an ack comes.
    pub(super) rate: Option<f64>,
    /// Messages without an ack that a connection has at most. `None` with a rate.
    pub(super) window: Option<u64>,
    /// Whether the server acknowledges.
    pub(super) acks: bool,
    /// Bytes of the arguments in JSON.
    pub(super) payload_bytes: u64,
}

/// The result. Times are in milliseconds.
#[derive(Serialize, Debug)]
pub(super) struct Report {
    #[serde(flatten)]
    plan: Plan,
    /// Whether the user ended it.
    interrupted: bool,
    connected: u64,
    failed: u64,
    lost: u64,
    /// For how long messages were sent.
    seconds: f64,
    sent: u64,
    acked: u64,
    received: u64,
    /// Acks, or messages without acks, in each second.
    per_second: f64,
    connect_ms: Option<Times>,
    round_trip_ms: Option<Times>,
    /// How late the latest message was sent. More than a few milliseconds mean that this machine is too slow for the load.
    max_lateness_ms: f64,
    errors: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Serialize, Debug)]
struct Times {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Times {
    fn of(histogram: &Histogram) -> Option<Self> {
        Some(Self {
            count: histogram.count(),
            mean: milliseconds(histogram.mean()?),
            p50: milliseconds(histogram.permille(500)?),
            p90: milliseconds(histogram.permille(900)?),
            p99: milliseconds(histogram.permille(990)?),
            max: milliseconds(histogram.max()?),
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    // In steps of a microsecond, which is more than the clock knows.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Report {
    /// In the time, so many messages were `done`: acknowledged, or sent if there are no acks. Acks that came later are in the other numbers.
    pub(super) fn new(plan: Plan, counters: &Counters, (done, time): (u64, Duration), interrupted: bool) -> Self {
        let round_trip_ms = Times::of(&counters.round_trips);
        let seconds = time.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = if seconds > 0.0 { (done as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
        Self {
            plan,
            interrupted,
            connected: counters.connected.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            seconds: (seconds * 1e3).round() / 1e3,
            sent: counters.sent.load(Ordering::Relaxed),
            acked: counters.round_trips.count(),
            received: counters.received.load(Ordering::Relaxed),
            per_second,
            connect_ms: Times::of(&counters.connecting),
            round_trip_ms,
            max_lateness_ms: milliseconds(Duration::from_nanos(counters.lateness.load(Ordering::Relaxed))),
            errors: counters.errors.lock().map(|errors| errors.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.connected, self.errors.is_empty()) {
            (0, _) => Exit::Unreachable,
            (_, false) => Exit::Failed,
            (_, true) => Exit::Success,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "connections   {} of {}, {} failed, {} lost",
            self.connected, self.plan.connections, self.failed, self.lost
        );
        let answered = if self.plan.acks { format!(", {} acknowledged", self.acked) } else { String::new() };
        let _ = writeln!(text, "messages      {} sent{answered}, {} received", self.sent, self.received);
        let _ = writeln!(text, "throughput    {} per second, for {} s", self.per_second, self.seconds);
        for (name, times) in [("connect", self.connect_ms), ("round trip", self.round_trip_ms)] {
            if let Some(Times { mean, p50, p90, p99, max, .. }) = times {
                let _ =
                    writeln!(text, "{name:<13} mean {mean} ms, p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms");
            }
        }
        if self.max_lateness_ms > 50.0 {
            let _ = writeln!(
                text,
                "warning       messages were sent up to {} ms late: this machine is too slow for the load",
                self.max_lateness_ms
            );
        }
        for (kind, count) in &self.errors {
            let _ = writeln!(text, "error         {count} x {kind}");
        }
        text
    }
}

/// The bar on a terminal. Elsewhere, nothing is shown.
pub(super) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{prefix:11} [{bar:30}] {pos}/{len}  {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_sends_many_different_errors_fills_no_memory() {
        let counters = Counters::new();
        (0..1000).for_each(|number| counters.error(&format!("refused: {number}")));
        counters.error("refused: 1");
        let errors = counters.errors.lock().unwrap();
        assert_eq!((errors.len(), errors["refused: 1"], errors["others"]), (MAX_KINDS + 1, 2, 950));
    }
}
