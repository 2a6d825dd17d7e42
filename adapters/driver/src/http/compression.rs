//! Compression of the responses to polls.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::yield_now;

/// How much is compressed before other tasks may run, in bytes.
const PIECE: usize = 64 * 1024;

/// Compression of the responses to polls, with gzip or deflate. Pass it to
/// [`ServerBuilder::compression`](crate::ServerBuilder::compression).
///
/// The client's `Accept-Encoding` selects the coding. WebSocket messages are not affected.
///
/// Do not compress secrets together with text that an attacker chooses: the size of the response then tells something about the secret (the
/// BREACH attack).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    threshold: usize,
    level: u32,
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Compression {
    /// Compresses responses of at least 1 024 bytes, with level 6, as the reference does.
    #[must_use]
    pub const fn new() -> Self {
        Self { threshold: 1024, level: 6 }
    }

    /// The size in bytes from which on a response is compressed. Default: 1 024.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// From 1 (fast) to 9 (small). Default: 6.
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = if level == 0 {
            1
        } else if level > 9 {
            9
        } else {
            level
        };
        self
    }

    /// Whether a response of this size is compressed, and how.
    pub(crate) fn coding(&self, request: &HeaderMap, bytes: usize) -> Option<Coding> {
        if bytes < self.threshold { None } else { Coding::select(request) }
    }

    /// Compresses a body. Other tasks run in between.
    pub(crate) async fn compress(&self, coding: Coding, body: &Bytes) -> Option<Bytes> {
        let mut encoder = Encoder::new(coding, flate2::Compression::new(self.level), body.len() / 4);
        for (index, piece) in body.chunks(PIECE).enumerate() {
            if index > 0 {
                yield_now().await;
            }
            encoder.write_all(piece).ok()?;
        }
        Some(encoder.finish().ok()?.into())
    }
}

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The coding that the client prefers: the highest weight, then the first in its list. `*` stands for codings that are not in the list.
    /// This is how the reference selects (npm `accepts`).
    fn select(request: &HeaderMap) -> Option<Self> {
        let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        // The weight of each, and its place in the list.
        let (mut gzip, mut deflate, mut rest) = (None, None, None);
        for (place, item) in lines.flat_map(|line| line.split(',')).enumerate() {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.split(';').find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
            });
            let weight = weight.unwrap_or(1.0);
            let name = name.trim();
            let slot = if name.eq_ignore_ascii_case("gzip") {
                &mut gzip
            } else if name.eq_ignore_ascii_case("deflate") {
                &mut deflate
            } else if name == "*" {
                &mut rest
            } else {
                continue;
            };
            slot.get_or_insert((weight, place));
        }
        let candidates = [(Self::Gzip, gzip.or(rest)), (Self::Deflate, deflate.or(rest))];
        let mut best: Option<(Self, f32, usize)> = None;
        for (coding, offer) in candidates {
            let Some((weight, place)) = offer.filter(|(weight, _)| *weight > 0.0) else { continue };
            if best.is_none_or(|(_, most, first)| weight > most || (weight >= most && place < first)) {
                best = Some((coding, weight, place));
            }
        }
        best.map(|(coding, ..)| coding)
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding, level: flate2::Compression, capacity: usize) -> Self {
        let output = Vec::with_capacity(capacity);
        match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(output, level)),
            Coding::Deflate => Self::Deflate(ZlibEncoder::new(output, level)),
        }
    }

    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(piece),
            Self::Deflate(encoder) => encoder.write_all(piece),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_coding_is_the_one_that_the_client_prefers() {
        for (accept, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("br", None),
            ("identity", None),
            ("", None),
            ("gzip;q=0, deflate", Some(Coding::Deflate)),
            ("deflate;q=0.5, gzip;q=0.1", Some(Coding::Deflate)),
            ("*", Some(Coding::Gzip)),
            ("gzip;q=0, *", Some(Coding::Deflate)),
            ("*;q=0", None),
            ("deflate, gzip", Some(Coding::Deflate)),
            ("GZIP ; Q=0.5 , identity", Some(Coding::Gzip)),
            ("gzip;q=nonsense", Some(Coding::Gzip)),
            ("gzip;q=NaN", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
            assert_eq!(Coding::select(&headers), coding, "{accept}");
        }
    }
}
