//! The CPU time of the calling thread, also as a measurement for criterion.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Returns the CPU time of this thread, in nanoseconds.
pub fn thread_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to a valid timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A criterion measurement that uses [`thread_nanoseconds`].
pub struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        thread_nanoseconds()
    }

    fn end(&self, start: u64) -> u64 {
        thread_nanoseconds() - start
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, nanoseconds: &u64) -> f64 {
        *nanoseconds as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // Wall time is in nanoseconds as well.
        WallTime.formatter()
    }
}
