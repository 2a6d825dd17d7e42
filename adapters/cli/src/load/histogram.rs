//! A histogram of times, of fixed size, which threads fill at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each power of two is divided into so many buckets of equal width, so that a result is at most 1/64 too large.
const DIVISIONS: usize = 1 << DIVISION_BITS;
const DIVISION_BITS: u32 = 6;

/// Buckets for all times that fit into 64 bits of nanoseconds.
const BUCKETS: usize = (64 - DIVISION_BITS as usize + 1) * DIVISIONS;

#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(nanoseconds)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
        self.max.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// `None` if nothing was recorded.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.sum.load(Ordering::Relaxed).checked_div(self.count()).map(Duration::from_nanos)
    }

    /// `None` if nothing was recorded.
    pub(super) fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.max.load(Ordering::Relaxed)))
    }

    /// The time that this many of a thousand do not exceed. `None` if nothing was recorded.
    pub(super) fn permille(&self, permille: u64) -> Option<Duration> {
        let count = self.count();
        let rank = count.saturating_mul(permille).div_ceil(1000).max(1);
        let mut before: u64 = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            before = before.saturating_add(bucket.load(Ordering::Relaxed));
            if count > 0 && before >= rank {
                let highest = Duration::from_nanos(highest_of(index));
                return Some(self.max().map_or(highest, |max| highest.min(max)));
            }
        }
        None
    }
}

/// Values below two times [`DIVISIONS`] have a bucket each. Above, a bucket is a division of a power of two.
fn bucket_of(value: u64) -> usize {
    let shift = (63 - value.max(1).leading_zeros()).saturating_sub(DIVISION_BITS);
    // Below two times `DIVISIONS`.
    let division = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    (shift as usize).saturating_mul(DIVISIONS).saturating_add(division)
}

/// The highest value of a bucket.
fn highest_of(index: usize) -> u64 {
    let shift = (index / DIVISIONS).saturating_sub(1);
    let division = index - shift * DIVISIONS;
    let lowest = u64::try_from(division).unwrap_or(u64::MAX) << shift;
    lowest | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_in_the_bucket_whose_highest_value_is_at_most_a_sixtyfourth_above_it() {
        let around =
            |bit: u32| [(1_u64 << bit).wrapping_sub(1), 1 << bit, (1 << bit) | 1, (1 << bit) | (1 << bit >> 1)];
        let mut last = 0;
        for value in (0..64).flat_map(around).chain([u64::MAX]) {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS, "{value}");
            let highest = highest_of(bucket);
            assert!(value <= highest && highest - value <= value / 64, "{value}: {highest}");
            assert_eq!(bucket_of(highest), bucket, "{value}");
            last = last.max(bucket);
        }
        assert_eq!(last, BUCKETS - 1);
        assert!((1..BUCKETS).all(|index| highest_of(index) > highest_of(index - 1)));
    }

    #[test]
    fn percentiles_are_those_of_the_recorded_times() {
        let histogram = Histogram::new();
        assert_eq!((histogram.permille(500), histogram.max(), histogram.mean()), (None, None, None));
        (1..=1000).for_each(|milliseconds| histogram.record(Duration::from_millis(milliseconds)));
        assert_eq!((histogram.count(), histogram.max()), (1000, Some(Duration::from_secs(1))));
        assert_eq!(histogram.mean(), Some(Duration::from_micros(500_500)));
        for permille in [1, 500, 900, 990, 1000] {
            let exact = Duration::from_millis(permille);
            let found = histogram.permille(permille).unwrap();
            assert!(found >= exact && found <= exact + exact / 64, "{permille}: {found:?}");
        }
    }
}
