//! Base64: the encoding of binary messages on transports that only take text.
//!
//! The encoder uses the standard alphabet with padding. The decoder also accepts the URL-safe alphabet, missing padding and line breaks.
//! The feature `simd` uses vector instructions for the standard alphabet. They accept the same input and produce the same output as the
//! scalar code.

use alloc::vec;
use alloc::vec::Vec;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};

use crate::error::ParseError;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The engine for the standard alphabet. The processor's features are detected once.
#[cfg(all(feature = "simd", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn standard() -> &'static base64::engine::Simd {
    extern crate std;
    static STANDARD: std::sync::LazyLock<base64::engine::Simd> =
        std::sync::LazyLock::new(|| base64::engine::Simd::standard(LENIENT));
    &STANDARD
}

/// The engine for the standard alphabet.
#[cfg(not(all(feature = "simd", any(target_arch = "x86_64", target_arch = "aarch64"))))]
const fn standard() -> &'static GeneralPurpose {
    static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    &STANDARD
}

/// The length of `length` bytes in base64, padding included.
pub(crate) const fn encoded_len(length: usize) -> usize {
    length.div_ceil(3).saturating_mul(4)
}

/// Encodes bytes.
pub(crate) fn encode(data: &[u8]) -> Bytes {
    let mut encoded = vec![0; encoded_len(data.len())];
    // This cannot fail: the buffer has exactly the length of padded base64.
    let written = standard().encode_slice(data, &mut encoded).unwrap_or(0);
    encoded.truncate(written);
    encoded.into()
}

/// Encodes bytes and appends them to `out`.
pub(crate) fn append(data: &[u8], out: &mut BytesMut) {
    let start = out.len();
    out.resize(start.saturating_add(encoded_len(data.len())), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = standard().encode_slice(data, room).unwrap_or(0);
    out.truncate(start.saturating_add(written));
}

/// Decodes base64 in either alphabet, with or without padding and line breaks.
pub(crate) fn decode(encoded: &[u8]) -> Result<Bytes, ParseError> {
    // Most clients send the standard alphabet on one line. Only other input takes a second pass.
    decode_line(standard(), encoded).or_else(|| decode_other(encoded)).ok_or(ParseError::Base64)
}

fn decode_other(encoded: &[u8]) -> Option<Bytes> {
    let joined: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if memchr::memchr2(b'-', b'_', encoded).is_some() {
        decode_line(&URL_SAFE, &joined)
    } else {
        decode_line(standard(), &joined)
    }
}

fn decode_line(engine: &impl Engine, encoded: &[u8]) -> Option<Bytes> {
    let padding = encoded.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let symbols = encoded.len().saturating_sub(padding);
    // Six bits per symbol. A vector of the exact length becomes `Bytes` without another allocation.
    let length = (symbols / 4).saturating_mul(3).saturating_add(symbols % 4 * 3 / 4);
    let mut decoded = vec![0; length];
    let written = engine.decode_slice(encoded, &mut decoded).ok()?;
    decoded.truncate(written);
    Some(decoded.into())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    /// Does not use vector instructions, whichever features are on.
    const SCALAR: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

    proptest! {
        #[test]
        fn what_is_written_is_what_the_base64_crate_writes(data in prop::collection::vec(any::<u8>(), 0..600)) {
            let expected = SCALAR.encode(&data);
            prop_assert_eq!(&encode(&data)[..], expected.as_bytes());
            let mut out = BytesMut::from("before");
            append(&data, &mut out);
            prop_assert_eq!(str::from_utf8(&out).unwrap(), format!("before{expected}"));
            prop_assert_eq!(encoded_len(data.len()), expected.len());
            prop_assert_eq!(&decode(expected.as_bytes()).unwrap()[..], &data[..]);
        }

        #[test]
        fn verdicts_are_those_of_the_base64_crate(
            start in "([A-Za-z0-9+/]{4}){0,12}|([A-Za-z0-9+/]{4}){12,60}",
            end in "[A-Za-z0-9+/=_-]{0,5}[A\n\r]{0,2}={0,3}",
            odd in prop::option::of((any::<prop::sample::Index>(), "[-_\n=é~\0]")),
        ) {
            let mut encoded = start + &end;
            if let Some((place, odd)) = odd && !encoded.is_empty() {
                encoded.insert_str(place.index(encoded.len()), &odd);
            }
            let engine = if encoded.contains(['-', '_']) { &URL_SAFE } else { &SCALAR };
            let expected = engine.decode(encoded.replace(['\n', '\r'], "")).ok();
            prop_assert_eq!(decode(encoded.as_bytes()).ok().map(Vec::from), expected);
        }
    }
}
