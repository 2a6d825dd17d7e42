//! Random numbers that a seed repeats: everything that happens by chance in a simulation is drawn from one of these.

use alloc::vec::Vec;
use core::time::Duration;

/// A generator of the SplitMix64 family: fast, seeded, and no more random than a simulation needs.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// Spent from its end, before any chance.
    script: Option<Vec<u8>>,
}

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, script: None }
    }

    /// No chance at all: numbers made of these bytes, then zeros. A fuzzer that changes a byte changes one decision.
    #[must_use]
    pub fn scripted(bytes: &[u8]) -> Self {
        Self { state: 0, script: Some(bytes.iter().rev().copied().collect()) }
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        if let Some(script) = &mut self.script {
            let mut byte = || u64::from(script.pop().unwrap_or(0));
            return byte() << 8 | byte();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64().checked_rem(limit).unwrap_or(0)
    }

    /// A length or an index below `limit`; 0 when that is 0.
    pub fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(u64::try_from(limit).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// True this often in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A duration from `least` to `most`, in microseconds.
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least.saturating_add(Duration::from_micros(self.below(span.saturating_add(1))))
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }
}
