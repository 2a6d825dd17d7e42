//! WebSocket frames, valid or not.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncRead;

use super::Source;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// An unmasked frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>, masked: bool) -> Self {
        Self { fin: true, reserved: 0, opcode, masked, payload: payload.into() }
    }

    /// The code of a close frame, or 1005 if it has none.
    pub(crate) fn close_code(&self) -> u16 {
        match self.payload.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        }
    }

    /// Encodes the frame. `announced` replaces the length in the header.
    pub(crate) fn encode(&self, announced: Option<u64>) -> Vec<u8> {
        // Any mask will do: nothing in the protocol under test depends on it.
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let announced = announced.unwrap_or(self.payload.len() as u64);
        let fin = if self.fin { 0x80 } else { 0 };
        let mut bytes = vec![fin | (self.reserved & 7) << 4 | (self.opcode & 15)];
        let mask_bit = if self.masked { 0x80 } else { 0 };
        match (u8::try_from(announced), u16::try_from(announced)) {
            (Ok(short @ 0..126), _) => bytes.push(mask_bit | short),
            (_, Ok(middle)) => {
                bytes.push(mask_bit | 126);
                bytes.extend(middle.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(announced.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// Reads one frame without validation.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(source: &mut Source<R>) -> io::Result<Frame> {
    let start = source.read_exact(2).await?;
    let (first, second) = match start.as_ref() {
        [first, second] => (*first, *second),
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let length = match second & 0x7f {
        126 => number(&source.read_exact(2).await?),
        127 => number(&source.read_exact(8).await?),
        short => u64::from(short),
    };
    let masked = second & 0x80 != 0;
    let mask = if masked { source.read_exact(4).await?.to_vec() } else { Vec::new() };
    let mut payload = source.read_exact(usize::try_from(length).unwrap_or(usize::MAX)).await?.to_vec();
    if masked {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Ok(Frame { fin: first & 0x80 != 0, reserved: first >> 4 & 7, opcode: first & 15, masked, payload })
}

/// The key of every client of the suite. A random key only protects against caches in between, and there are none here.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The value of `Sec-WebSocket-Accept` for a key.
pub(crate) fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_of_the_specification() {
        assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn frames_of_every_length_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let frame = Frame::new(BINARY, vec![7; length], masked);
                let bytes = frame.encode(None);
                assert_eq!(read_frame(&mut Source::new(bytes.as_slice())).await.unwrap(), frame);
            }
        }
    }
}
