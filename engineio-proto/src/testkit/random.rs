//! Seeded random numbers. Everything random in a simulation comes from here, so that a seed reproduces it.

use core::time::Duration;

/// The source of a script's decisions: a random number generator ([`Random`]), or the bytes of a fuzzer.
pub trait Choices {
    /// A number below `limit`; 0 if `limit` is 0.
    fn below(&mut self, limit: u64) -> u64;

    /// A length or an index below `limit`; 0 if `limit` is 0.
    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(u64::try_from(limit).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// Returns true with a probability of `per_mille` in a thousand.
    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A duration from `least` to `most`, in whole microseconds.
    fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least.saturating_add(Duration::from_micros(self.below(span.saturating_add(1))))
    }

    /// One of the choices; `None` if there are none.
    fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }
}

/// A SplitMix64 generator: fast, seeded, and random enough for a simulation.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next random number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// See [`Choices::below`].
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64().checked_rem(limit).unwrap_or(0)
    }

    /// See [`Choices::index`].
    pub fn index(&mut self, limit: usize) -> usize {
        Choices::index(self, limit)
    }

    /// See [`Choices::chance`].
    pub fn chance(&mut self, per_mille: u64) -> bool {
        Choices::chance(self, per_mille)
    }

    /// See [`Choices::duration`].
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        Choices::duration(self, least, most)
    }

    /// See [`Choices::pick`].
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        Choices::pick(self, choices)
    }
}

impl Choices for Random {
    fn below(&mut self, limit: u64) -> u64 {
        Self::below(self, limit)
    }
}
