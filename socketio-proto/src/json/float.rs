//! Formats floats with the same digits as JavaScript.
//!
//! `zmij` computes the digits. It returns the shortest digits that read back as the same float. Of several such strings it
//! returns the nearest to the float, and of two equally near ones the even one. JavaScript engines do the same. This module
//! decides where the decimal point goes, which differs from `zmij` for very small and very large floats.
//!
//! Source: ECMA-262, `Number::toString`.

use alloc::string::String;

use super::ser::integer;

/// Writes a float as `JSON.stringify` does: with plain digits from 1e-6 up to, but not including, 1e21, otherwise with an
/// exponent, and as `null` if it is not finite. `wide` is the same value as an `f64`.
pub(super) fn float<F: zmij::Float>(out: &mut String, value: F, wide: f64) {
    let magnitude = wide.abs();
    if !magnitude.is_finite() {
        out.push_str("null");
        return;
    }
    #[allow(clippy::cast_possible_truncation, reason = "the comparison tells whether it fitted")]
    let whole = wide as i64;
    #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
    if magnitude < 9e15 && whole as f64 == wide {
        // -0 becomes 0, as in JavaScript.
        integer(out, whole);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    if (1e-5..9e15).contains(&magnitude) {
        out.push_str(shortest);
    } else {
        laid_out(out, shortest);
    }
}

/// Writes digits that have an exponent where JavaScript has none, or that end in `.0`.
#[cold]
fn laid_out(out: &mut String, shortest: &str) {
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return out.push_str(shortest.strip_suffix(".0").unwrap_or(shortest));
    };
    let (sign, unsigned) = digits.strip_prefix('-').map_or(("", digits), |unsigned| ("-", unsigned));
    let significant = || unsigned.chars().filter(char::is_ascii_digit);
    match exponent.parse::<isize>() {
        Ok(exponent @ -6..0) => {
            out.push_str(sign);
            out.push_str("0.");
            out.extend((1..exponent.unsigned_abs()).map(|_| '0'));
            out.extend(significant());
        }
        Ok(exponent @ 0..21) => {
            out.push_str(sign);
            out.extend(significant());
            out.extend((significant().count()..=exponent.unsigned_abs()).map(|_| '0'));
        }
        _ => out.push_str(shortest),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::fmt::{Display, LowerExp};

    use proptest::prelude::*;

    use super::*;

    fn written<F: zmij::Float>(value: F, wide: f64) -> String {
        let mut out = String::new();
        float(&mut out, value, wide);
        out
    }

    /// The same by the standard library. It computes equally many digits, but of two equally near values it takes the upper
    /// one.
    fn by_the_standard_library<F: Display + LowerExp>(value: F) -> String {
        let scientific = format!("{value:e}");
        match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
            Some((_, Ok(-6..21))) => format!("{value}"),
            Some((digits, Ok(exponent))) => format!("{digits}e{exponent:+}"),
            _ => scientific,
        }
    }

    /// Whether the writer uses the digits: the value is neither written as an integer nor as `null`.
    fn is_left_to_the_digits(value: f64) -> bool {
        value.is_finite() && (value.abs() >= 9e15 || value % 1.0 != 0.0)
    }

    fn same_but_for_the_last_digit(one: &str, other: &str) -> bool {
        let differences = one.bytes().zip(other.bytes()).filter(|(one, other)| one != other);
        one.len() == other.len() && differences.count() <= 1
    }

    #[test]
    fn of_two_that_are_as_near_the_even_one_is_taken() {
        // Node prints these values. The standard library prints 3 as the last digit.
        for (eighths, expected) in
            [(79_999_999_999_998.5, "9999999999999.812"), (80_000_000_000_008.5, "10000000000001.062")]
        {
            assert_eq!(written(eighths / 8.0, eighths / 8.0), expected);
        }
    }

    #[test]
    fn the_limits_of_plain_digits_are_where_javascript_has_them() {
        for exponent in -330..309 {
            for digits in ["1", "1.5", "-9.999999999999999"] {
                let text = format!("{digits}e{exponent}");
                let Ok(near) = text.parse::<f64>() else { panic!("{text}") };
                for value in [near.next_down(), near, near.next_up()] {
                    if is_left_to_the_digits(value) {
                        let (ours, theirs) = (written(value, value), by_the_standard_library(value));
                        assert!(same_but_for_the_last_digit(&ours, &theirs), "{ours} {theirs}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn digits_are_the_shortest_that_read_back_the_same(bits: u64, short_bits: u32) {
            let (value, short) = (f64::from_bits(bits), f32::from_bits(short_bits));
            prop_assume!(is_left_to_the_digits(value));
            let (ours, theirs) = (written(value, value), by_the_standard_library(value));
            prop_assert!(same_but_for_the_last_digit(&ours, &theirs), "{} {}", ours, theirs);
            prop_assert_eq!(ours.parse(), Ok(value));
            prop_assume!(is_left_to_the_digits(short.into()));
            let (ours, theirs) = (written(short, short.into()), by_the_standard_library(short));
            prop_assert!(same_but_for_the_last_digit(&ours, &theirs), "{} {}", ours, theirs);
            prop_assert_eq!(ours.parse(), Ok(short));
        }
    }
}
