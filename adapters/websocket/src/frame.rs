//! Encodes and decodes frame headers (RFC 6455 section 5.2).
//!
//! The decoder reports an error as early as the available bytes allow. The encoder always uses the shortest form of the length.

use core::ops::Deref;

use bytes::BufMut;

use crate::error::Error;

/// The longest header in bytes: two, a 64-bit length and a mask key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// Values of the 7-bit length that announce a longer length field.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// The end of a connection that this is. The enum is exhaustive because there are only two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Accepts connections. Its frames are not masked, and received frames must be masked.
    Server,
    /// Opens connections. Its frames are masked, and received frames must not be masked.
    Client,
}

/// The type of a frame. The enum is exhaustive: RFC 6455 reserves every other code, and a version that used one would be a different
/// protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The last frame that an endpoint sends.
    Close,
    /// Requests a pong with the same payload.
    Ping,
    /// Answers a ping, or is unsolicited.
    Pong,
}

impl Opcode {
    /// Returns whether this is a control frame: close, ping or pong. Control frames may come between the fragments of a message, are
    /// never fragmented and hold at most 125 bytes.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn to_bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A decoded header. The length of the payload is kept separately, because only an unfinished frame needs it later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    pub(crate) opcode: Opcode,
    /// Zero for a frame without a mask.
    pub(crate) key: [u8; 4],
}

/// A complete header, decoded from the front of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) header: Header,
    /// Length of the header itself, 2 to 14.
    pub(crate) size: usize,
    /// Length of the payload.
    pub(crate) length: u64,
}

/// Decodes the header at the front of `bytes`. Returns `None` if it is incomplete.
///
/// `allow_rsv1` is set if an extension that uses the bit is negotiated (section 5.2). It applies to the first frame of a data message.
#[inline]
pub(crate) fn parse_header(bytes: &[u8], role: Role, allow_rsv1: bool) -> Result<Option<Parsed>, Error> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let Some(opcode) = Opcode::from_bits(first & OPCODE) else {
        return Err(Error::ReservedOpcode(first & OPCODE));
    };
    let fin = first & FIN != 0;
    let rsv1 = first & RSV1 != 0;
    let compressible = matches!(opcode, Opcode::Text | Opcode::Binary);
    if first & RSV2_RSV3 != 0 || (rsv1 && !(allow_rsv1 && compressible)) {
        return Err(Error::ReservedBit);
    }
    let masked = second & MASKED != 0;
    match role {
        Role::Server if !masked => return Err(Error::Unmasked),
        Role::Client if masked => return Err(Error::Masked),
        Role::Server | Role::Client => {}
    }
    let short = second & LENGTH;
    if opcode.is_control() {
        if !fin {
            return Err(Error::ControlFragmented);
        }
        if usize::from(short) > MAX_CONTROL {
            return Err(Error::ControlTooLong);
        }
    }
    let (length, rest) = match short {
        LENGTH_16 => {
            let Some((length, rest)) = rest.split_first_chunk::<2>() else {
                return Ok(None);
            };
            let length = u16::from_be_bytes(*length);
            if length < u16::from(LENGTH_16) {
                return Err(Error::LengthNotMinimal);
            }
            (u64::from(length), rest)
        }
        LENGTH_64 => {
            let Some((length, rest)) = rest.split_first_chunk::<8>() else {
                return Ok(None);
            };
            let length = u64::from_be_bytes(*length);
            if length <= u64::from(u16::MAX) {
                return Err(Error::LengthNotMinimal);
            }
            if length > u64::MAX >> 1 {
                return Err(Error::LengthOutOfRange);
            }
            (length, rest)
        }
        _ => (u64::from(short), rest),
    };
    let (key, rest) = if masked {
        let Some((key, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        (*key, rest)
    } else {
        ([0; 4], rest)
    };
    let size = bytes.len().saturating_sub(rest.len());
    Ok(Some(Parsed { header: Header { fin, rsv1, opcode, key }, size, length }))
}

/// The header fields of a frame to send, without the length and the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameKind {
    /// The type of the frame.
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// The bit of permessage-deflate (RFC 7692). It is set on the first frame of a compressed message.
    pub rsv1: bool,
}

impl From<Opcode> for FrameKind {
    /// A whole message in one frame, not compressed.
    fn from(opcode: Opcode) -> Self {
        Self { opcode, fin: true, rsv1: false }
    }
}

/// Appends the header of a frame with a payload of `length` bytes. Like [`FrameHeader`], but for a buffer that grows. The payload
/// follows, masked if there is a mask.
#[inline]
pub fn encode_header(out: &mut impl BufMut, kind: FrameKind, length: usize, mask: Option<[u8; 4]>) {
    let fin = if kind.fin { FIN } else { 0 };
    let rsv1 = if kind.rsv1 { RSV1 } else { 0 };
    let first = fin | rsv1 | kind.opcode.to_bits();
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < LENGTH_16 => out.put_slice(&[first, masked | short]),
        (_, Ok(length)) => {
            let [high, low] = length.to_be_bytes();
            out.put_slice(&[first, masked | LENGTH_16, high, low]);
        }
        (_, Err(_)) => {
            out.put_slice(&[first, masked | LENGTH_64]);
            // There is no `usize` of more than 64 bits, so the fallback is never used.
            out.put_u64(u64::try_from(length).unwrap_or(u64::MAX));
        }
    }
    if let Some(key) = mask {
        out.put_slice(&key);
    }
}

/// An encoded header of 2 to 14 bytes. Dereferences to a slice.
#[derive(Clone, Copy, Debug)]
pub struct FrameHeader {
    bytes: [u8; MAX_HEADER],
    size: usize,
}

impl FrameHeader {
    /// Encodes the header of a frame with a payload of `length` bytes. It takes 2, 4 or 10 bytes for a server (`mask` is `None`), and
    /// four more with the `mask` of a client.
    ///
    /// Does not check that the length is below 2^63, nor that a control frame has at most 125 bytes, as RFC 6455 requires.
    #[must_use]
    #[inline]
    pub fn new(kind: FrameKind, length: usize, mask: Option<[u8; 4]>) -> Self {
        let mut bytes = [0; MAX_HEADER];
        let mut room = &mut bytes[..];
        encode_header(&mut room, kind, length, mask);
        let left = room.len();
        Self { bytes, size: MAX_HEADER.saturating_sub(left) }
    }
}

impl Deref for FrameHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }
}

impl AsRef<[u8]> for FrameHeader {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
