//! The clock of a server's machines: microseconds since its first request, on the runtime's clock.

use std::fmt;
use std::sync::OnceLock;
use std::time::Instant as RuntimeInstant;

use engineio_proto::Instant;

use crate::runtime::Runtime;

/// The clock of the machines. A server is created before its runtime is known, and only a runtime has a clock. So this clock starts
/// with the first request.
#[derive(Default)]
pub(crate) struct Clock(OnceLock<Started>);

struct Started {
    epoch: RuntimeInstant,
    /// Reads the runtime's time, for callers that have no runtime.
    read: Box<dyn Fn() -> RuntimeInstant + Send + Sync>,
}

impl Clock {
    /// The current time on the clock of this runtime. Starts the clock.
    pub(crate) fn now<R: Runtime>(&self, runtime: &R) -> Instant {
        let now = runtime.now();
        let start = || {
            let runtime = runtime.clone();
            Started { epoch: now, read: Box::new(move || runtime.now()) }
        };
        since(self.0.get_or_init(start).epoch, now)
    }

    /// The current time. Zero before the first request, when nothing needs the time yet.
    pub(crate) fn read(&self) -> Instant {
        self.0.get().map_or(Instant::ZERO, |started| since(started.epoch, (started.read)()))
    }
}

fn since(epoch: RuntimeInstant, now: RuntimeInstant) -> Instant {
    let elapsed = now.saturating_duration_since(epoch);
    // Avoids the 128 bits of `as_micros`. It wraps after 580 000 years.
    let seconds = elapsed.as_secs().wrapping_mul(1_000_000);
    Instant::from_micros(seconds.wrapping_add(u64::from(elapsed.subsec_micros())))
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.read()).finish()
    }
}
