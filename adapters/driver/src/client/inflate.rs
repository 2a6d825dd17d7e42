//! Compressed responses.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::error::ConnectError;

/// The value of `Accept-Encoding`.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// Inflates the body of a response. Stops when it has more than `limit` bytes.
pub(super) fn inflate(coding: &str, body: &Bytes, limit: usize) -> Result<Bytes, ConnectError> {
    let inflated = if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
        read(GzDecoder::new(&**body), limit)
    } else if coding.eq_ignore_ascii_case("deflate") {
        read(ZlibDecoder::new(&**body), limit)
    } else {
        Err(io::ErrorKind::Unsupported.into())
    };
    let inflated = inflated.map_err(|_| ConnectError::Coding { coding: coding.to_owned() })?;
    if inflated.len() > limit { Err(ConnectError::BodyTooLarge { limit }) } else { Ok(inflated.into()) }
}

/// Reads at most one byte more than the limit.
fn read(decoder: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut inflated)?;
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn both_codings_are_inflated_up_to_the_limit() {
        let data = vec![b'x'; 1000];
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&data).unwrap();
        let deflated = Bytes::from(encoder.finish().unwrap());
        for (coding, body) in [("gzip", gzip(&data)), ("X-GZIP", gzip(&data)), ("deflate", deflated)] {
            assert_eq!(inflate(coding, &body, 1000).unwrap(), data, "{coding}");
            let error = inflate(coding, &body, 999).unwrap_err();
            assert!(matches!(error, ConnectError::BodyTooLarge { limit: 999 }), "{error}");
        }
    }

    #[test]
    fn a_body_that_is_cut_off_or_not_compressed_or_of_another_coding_is_an_error() {
        let body = gzip(&[b'x'; 1000]);
        for (coding, body) in [("gzip", body.slice(..body.len() - 1)), ("gzip", Bytes::from("0{}")), ("br", body)] {
            let error = inflate(coding, &body, 5000).unwrap_err();
            assert!(matches!(error, ConnectError::Coding { .. }), "{error}");
        }
    }
}
