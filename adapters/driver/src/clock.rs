//! The driver's clock: microseconds since the server was made, by the runtime's time.

use engineio_proto::Instant;

use crate::runtime::Runtime;

/// Tells the time to machines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: std::time::Instant::now() }
    }

    pub(crate) fn now(&self, runtime: &impl Runtime) -> Instant {
        let elapsed = runtime.now().saturating_duration_since(self.epoch);
        // Without the 128 bits of `as_micros`: this lasts for 580 000 years.
        let seconds = elapsed.as_secs().saturating_mul(1_000_000);
        Instant::from_micros(seconds.saturating_add(u64::from(elapsed.subsec_micros())))
    }
}
