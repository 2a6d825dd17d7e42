//! Base64: what a binary message becomes where only text can go.
//!
//! It is written in the standard alphabet with padding. With the feature `simd`, vector instructions do that, and read what is
//! written so; anything else that is accepted is read without them, so that the feature changes no verdict and no byte.

use alloc::vec;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};

use crate::error::ParseError;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The length that so many bytes have in base64.
pub(crate) const fn encoded_len(length: usize) -> usize {
    length.div_ceil(3).saturating_mul(4)
}

/// Bytes in base64.
pub(crate) fn encode(data: &[u8]) -> Bytes {
    #[cfg(feature = "simd")]
    let encoded = base64_simd::STANDARD.encode_to_string(data);
    #[cfg(not(feature = "simd"))]
    let encoded = STANDARD.encode(data);
    encoded.into()
}

/// Appends bytes in base64.
pub(crate) fn append(data: &[u8], out: &mut BytesMut) {
    let start = out.len();
    out.resize(start.saturating_add(encoded_len(data.len())), 0);
    // The room is exactly what padded base64 takes, so that this cannot fail.
    let room = out.get_mut(start..).unwrap_or_default();
    #[cfg(feature = "simd")]
    let written = base64_simd::STANDARD.encode(data, base64_simd::Out::from_slice(room)).len();
    #[cfg(not(feature = "simd"))]
    let written = STANDARD.encode_slice(data, room).unwrap_or(0);
    out.truncate(start.saturating_add(written));
}

/// Reads base64 of either alphabet, with or without padding and line breaks.
pub(crate) fn decode(encoded: &[u8]) -> Result<Bytes, ParseError> {
    #[cfg(feature = "simd")]
    if let Ok(decoded) = base64_simd::STANDARD.decode_to_vec(encoded) {
        return Ok(decoded.into());
    }
    decode_leniently(encoded).ok_or(ParseError::Base64)
}

fn decode_leniently(encoded: &[u8]) -> Option<Bytes> {
    // Most is in the standard alphabet and in one line: only what is not is looked at twice.
    decode_line(&STANDARD, encoded).or_else(|| {
        let engine = if memchr::memchr2(b'-', b'_', encoded).is_some() { &URL_SAFE } else { &STANDARD };
        let joined: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        decode_line(engine, &joined)
    })
}

fn decode_line(engine: &GeneralPurpose, encoded: &[u8]) -> Option<Bytes> {
    let padding = encoded.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let symbols = encoded.len().saturating_sub(padding);
    // Six bits each. A vector of the exact length becomes `Bytes` without another allocation.
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

    proptest! {
        #[test]
        fn what_is_written_is_what_the_base64_crate_writes(data: Vec<u8>) {
            let expected = base64::engine::general_purpose::STANDARD.encode(&data);
            prop_assert_eq!(&encode(&data)[..], expected.as_bytes());
            let mut out = BytesMut::from("before");
            append(&data, &mut out);
            prop_assert_eq!(str::from_utf8(&out).unwrap(), format!("before{expected}"));
            prop_assert_eq!(encoded_len(data.len()), expected.len());
            prop_assert_eq!(&decode(expected.as_bytes()).unwrap()[..], &data[..]);
            prop_assert_eq!(&decode_leniently(expected.as_bytes()).unwrap()[..], &data[..]);
        }

        #[test]
        fn verdicts_are_those_of_the_base64_crate(encoded in "([A-Za-z0-9+/]{4}){0,12}[A-Za-z0-9+/=_-]{0,5}[A\n\r]{0,2}={0,3}") {
            let expected = || {
                let engine = if encoded.contains(['-', '_']) { URL_SAFE } else { STANDARD };
                engine.decode(encoded.replace(['\n', '\r'], "")).ok()
            };
            prop_assert_eq!(decode(encoded.as_bytes()).ok().map(Vec::from), expected());
            prop_assert_eq!(decode_leniently(encoded.as_bytes()).map(Vec::from), expected());
        }
    }
}
