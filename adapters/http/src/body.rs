//! The body of a message: by its length, in chunks, or until the end of the connection.

use bytes::BytesMut;

use crate::{Error, Limits};

/// Reserved for a body at most before it arrives.
const RESERVE: usize = 16 * 1024;

/// Decodes a body that arrives in pieces.
#[derive(Debug)]
pub(crate) enum BodyDecoder {
    /// This many bytes are missing.
    Length(u64),
    Chunked(Chunks),
    UntilEnd {
        /// How many bytes there may be.
        left: usize,
    },
}

impl BodyDecoder {
    pub(crate) fn length(length: u64, body: &mut BytesMut, limits: &Limits) -> Result<Self, Error> {
        let size = usize::try_from(length).ok().filter(|size| *size <= limits.max_body).ok_or(Error::BodyTooLarge)?;
        body.reserve(size.min(RESERVE));
        Ok(Self::Length(length))
    }

    /// Whether the body is empty because its length is 0.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Moves the next part of `input` to the end of `body`. Returns whether that was the whole body.
    pub(crate) fn decode(&mut self, input: &mut &[u8], body: &mut BytesMut, limits: &Limits) -> Result<bool, Error> {
        match self {
            Self::Length(missing) => {
                *missing -= take(input, usize::try_from(*missing).unwrap_or(usize::MAX), body) as u64;
                Ok(*missing == 0)
            }
            Self::UntilEnd { left } => {
                *left -= take(input, *left, body);
                if input.is_empty() { Ok(false) } else { Err(Error::BodyTooLarge) }
            }
            Self::Chunked(chunks) => chunks.decode(input, body, limits),
        }
    }
}

/// Moves at most `limit` bytes, and returns how many.
fn take(input: &mut &[u8], limit: usize, body: &mut BytesMut) -> usize {
    let (part, rest) = input.split_at_checked(limit).unwrap_or((input, &[]));
    body.extend_from_slice(part);
    *input = rest;
    part.len()
}

/// Decodes chunks. Between two pieces it keeps only numbers.
#[derive(Debug)]
pub(crate) struct Chunks {
    part: Part,
    /// How many digits the size may still have.
    digits: u8,
    /// The size of the chunk, or how much of it is missing.
    size: u64,
    body: usize,
    extensions: usize,
    trailers: usize,
}

/// The most digits of the size of a chunk.
const MAX_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug)]
enum Part {
    /// A digit of the size of a chunk must follow.
    Size,
    /// A digit, an extension, or the end of the line.
    SizeOrEnd,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    /// The first byte of a trailer, or of the blank line.
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
}

impl Chunks {
    pub(crate) const fn new() -> Self {
        Self { part: Part::Size, digits: MAX_DIGITS, size: 0, body: 0, extensions: 0, trailers: 0 }
    }

    fn decode(&mut self, input: &mut &[u8], body: &mut BytesMut, limits: &Limits) -> Result<bool, Error> {
        while let Some((&byte, rest)) = input.split_first() {
            if let Part::Data = self.part {
                self.size -= take(input, usize::try_from(self.size).unwrap_or(usize::MAX), body) as u64;
                if self.size == 0 {
                    self.part = Part::DataReturn;
                }
                continue;
            }
            *input = rest;
            self.part = match (self.part, byte) {
                (Part::Size | Part::SizeOrEnd, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    // Zeros in front count as well. So the size fits in 64 bits.
                    self.digits = self.digits.checked_sub(1).ok_or(Error::InvalidChunk)?;
                    self.size = self.size << 4 | u64::from(digit);
                    Part::SizeOrEnd
                }
                (Part::SizeOrEnd, b';' | b' ' | b'\t') => self.extension(limits)?,
                (Part::SizeOrEnd | Part::Extension, b'\r') => Part::SizeFeed,
                (Part::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension(limits)?,
                (Part::SizeFeed, b'\n') if self.size == 0 => Part::TrailerStart,
                (Part::SizeFeed, b'\n') => {
                    let size = usize::try_from(self.size).ok().and_then(|size| self.body.checked_add(size));
                    self.body = size.filter(|size| *size <= limits.max_body).ok_or(Error::BodyTooLarge)?;
                    Part::Data
                }
                (Part::DataReturn, b'\r') => Part::DataFeed,
                (Part::DataFeed, b'\n') => {
                    self.digits = MAX_DIGITS;
                    Part::Size
                }
                (Part::TrailerStart, b'\r') => Part::LastFeed,
                (Part::TrailerStart | Part::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                    self.trailers += 1;
                    if self.trailers > limits.max_trailers {
                        return Err(Error::TrailersTooLarge);
                    }
                    Part::Trailer
                }
                (Part::Trailer, b'\r') => Part::TrailerFeed,
                (Part::TrailerFeed, b'\n') => Part::TrailerStart,
                (Part::LastFeed, b'\n') => return Ok(true),
                (Part::SizeOrEnd | Part::Extension | Part::TrailerStart | Part::Trailer, b'\n') => {
                    return Err(Error::BareLf);
                }
                _ => return Err(Error::InvalidChunk),
            };
        }
        Ok(false)
    }

    const fn extension(&mut self, limits: &Limits) -> Result<Part, Error> {
        self.extensions += 1;
        if self.extensions > limits.max_chunk_extensions {
            Err(Error::ChunkExtensionsTooLarge)
        } else {
            Ok(Part::Extension)
        }
    }
}
