//! Random numbers that a seed repeats: everything that happens by chance in a simulation is drawn from one of these.

use core::time::Duration;

/// Where the decisions of a script come from: chance ([`Random`]), or the bytes of a fuzzer.
pub trait Choices {
    /// A number below `limit`; 0 when that is 0.
    fn below(&mut self, limit: u64) -> u64;

    /// A length or an index below `limit`; 0 when that is 0.
    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(u64::try_from(limit).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// True this often in a thousand.
    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A duration from `least` to `most`, in microseconds.
    fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least.saturating_add(Duration::from_micros(self.below(span.saturating_add(1))))
    }

    /// One of these.
    fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }
}

/// A generator of the SplitMix64 family: fast, seeded, and no more random than a simulation needs.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// As [`Choices::below`].
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64().checked_rem(limit).unwrap_or(0)
    }

    /// As [`Choices::index`].
    pub fn index(&mut self, limit: usize) -> usize {
        Choices::index(self, limit)
    }

    /// As [`Choices::chance`].
    pub fn chance(&mut self, per_mille: u64) -> bool {
        Choices::chance(self, per_mille)
    }

    /// As [`Choices::duration`].
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        Choices::duration(self, least, most)
    }

    /// As [`Choices::pick`].
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        Choices::pick(self, choices)
    }
}

impl Choices for Random {
    fn below(&mut self, limit: u64) -> u64 {
        Self::below(self, limit)
    }
}
