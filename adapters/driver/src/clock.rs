//! The clock of a server's machines: microseconds since its first request, by the runtime's time.

use std::sync::OnceLock;

use engineio_proto::Instant;

use crate::runtime::Runtime;

/// Tells the time to machines. Its epoch is when it was first asked: only a runtime knows the time, and a server is made before it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    epoch: OnceLock<std::time::Instant>,
}

impl Clock {
    pub(crate) fn now(&self, runtime: &impl Runtime) -> Instant {
        let now = runtime.now();
        let elapsed = now.saturating_duration_since(*self.epoch.get_or_init(|| now));
        // Without the 128 bits of `as_micros`: this lasts for 580 000 years.
        let seconds = elapsed.as_secs().saturating_mul(1_000_000);
        Instant::from_micros(seconds.saturating_add(u64::from(elapsed.subsec_micros())))
    }
}
