//! The delay before each attempt to reconnect: it doubles, up to a limit, and is changed at random, so that the clients of a server that
//! has restarted do not all return at the same moment.
//!
//! Source: socket.io-client `lib/contrib/backo2.ts`.

use core::time::Duration;

/// The greatest power of two that a float can be. The delay is at its limit long before.
const DOUBLING_LIMIT: u32 = 1023;

/// The delays of one client.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    attempts: u32,
    /// The state of a SplitMix64 generator. The delays are no secret, so its quality suffices.
    random: u64,
}

impl Backoff {
    pub(super) const fn new(seed: u64) -> Self {
        Self { attempts: 0, random: seed }
    }

    /// The number of delays since the last reset.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next delay, in whole milliseconds.
    pub(super) fn next(&mut self, least: Duration, most: Duration, randomization_factor: f64) -> Duration {
        let random = self.random();
        let delay = delay(least, most, randomization_factor, self.attempts, random);
        self.attempts = self.attempts.saturating_add(1);
        delay
    }

    /// A number from 0 to 1, without 1.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The upper 53 bits are what a float holds.
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The delay after `attempts` earlier ones, for a random number from 0 to 1. The same random number decides how far the delay is changed,
/// and in which direction, as in the reference: so at most 45 % are subtracted.
fn delay(least: Duration, most: Duration, randomization_factor: f64, attempts: u32, random: f64) -> Duration {
    let factor = if randomization_factor > 0.0 && randomization_factor <= 1.0 { randomization_factor } else { 0.0 };
    let doubled = millis(least) * power_of_two(attempts);
    let change = truncated(random * factor * doubled) as f64;
    let changed = if truncated(random * 10.0).is_multiple_of(2) { doubled - change } else { doubled + change };
    Duration::from_millis(truncated(changed.min(millis(most))))
}

fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Without the fraction. The value is not negative.
const fn truncated(value: f64) -> u64 {
    value as u64
}

const fn power_of_two(exponent: u32) -> f64 {
    let exponent = if exponent < DOUBLING_LIMIT { exponent } else { DOUBLING_LIMIT };
    // The exponent of a float starts at bit 52, with a bias of 1023.
    f64::from_bits((1023 + exponent as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(5);

    /// What backo2 computes, with the functions of `std`.
    fn reference(min: f64, max: f64, jitter: f64, attempts: i32, random: f64) -> u64 {
        let jitter = if jitter > 0.0 && jitter <= 1.0 { jitter } else { 0.0 };
        let mut ms = min * 2_f64.powi(attempts);
        if jitter != 0.0 {
            let deviation = (random * jitter * ms).floor();
            ms = if ((random * 10.0).floor() as i64) & 1 == 0 { ms - deviation } else { ms + deviation };
        }
        ms.min(max).trunc() as u64
    }

    proptest! {
        #[test]
        fn a_delay_is_that_of_the_reference(
            min in 0_u32..100_000,
            max in 0_u32..10_000_000,
            jitter in -0.5_f64..1.5,
            attempts in 0_u32..1100,
            random in 0.0_f64..1.0,
        ) {
            let (least, most) = (Duration::from_millis(min.into()), Duration::from_millis(max.into()));
            let expected = reference(min.into(), max.into(), jitter, attempts.min(1023) as i32, random);
            prop_assert_eq!(delay(least, most, jitter, attempts, random), Duration::from_millis(expected));
        }

        #[test]
        fn the_delays_of_the_defaults_are_in_their_ranges(seed: u64) {
            let mut backoff = Backoff::new(seed);
            for (least, most) in [(551, 1500), (1101, 3000), (2201, 5000), (4401, 5000), (5000, 5000), (5000, 5000)] {
                let delay = backoff.next(LEAST, MOST, 0.5).as_millis();
                prop_assert!((least..=most).contains(&delay), "{delay}");
            }
            prop_assert_eq!(backoff.attempts(), 6);
            backoff.reset();
            prop_assert!(backoff.next(LEAST, MOST, 0.5).as_millis() <= 1500);
        }
    }

    #[test]
    fn the_generator_is_uniform_and_below_one() {
        let mut backoff = Backoff::new(1);
        let mut buckets = [0_u32; 10];
        for _ in 0..10_000 {
            let random = backoff.random();
            assert!((0.0..1.0).contains(&random));
            buckets[(random * 10.0) as usize] += 1;
        }
        assert!(buckets.iter().all(|&count| (850..1150).contains(&count)), "{buckets:?}");
    }

    #[test]
    fn without_randomness_the_delay_doubles_and_far_attempts_have_the_greatest_delay() {
        let mut backoff = Backoff::new(7);
        let delays = [1000, 2000, 4000, 5000, 5000].map(Duration::from_millis);
        assert_eq!([(); 5].map(|()| backoff.next(LEAST, MOST, 0.0)), delays);
        assert_eq!(delay(LEAST, MOST, 0.0, u32::MAX, 0.9), MOST);
        assert_eq!(
            delay(LEAST, Duration::MAX, 1.0, u32::MAX, 0.99),
            Duration::from_millis(u64::MAX).min(Duration::from_millis(truncated(millis(Duration::MAX))))
        );
        assert_eq!(delay(Duration::ZERO, MOST, 0.5, 3, 0.9), Duration::ZERO);
    }
}
