//! Interprets the bytes of a fuzzer. They are consumed from the front, and zeros follow the end. Seeds can therefore be written by hand,
//! and changing a byte changes one decision.

use arbitrary::{Arbitrary, Result, Unstructured};
use engineio_proto::Text;

/// Returns at most 255 bytes, preceded by their number.
///
/// The slice of [`Arbitrary`] takes half of the rest on average, with a length at the very end of the input. The first steps of a script
/// would consume everything, and each later byte would change all of them.
pub(crate) fn short<'a>(input: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let length = usize::from(input.arbitrary::<u8>()?);
    input.bytes(length.min(input.len()))
}

/// Like [`short`], converted to UTF-8.
pub(crate) fn short_text(input: &mut Unstructured<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(short(input)?).into_owned())
}

/// Returns the rest of the input unchanged, for a decoder.
pub(crate) fn rest<'a>(input: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    input.bytes(input.len())
}

/// Returns the rest of the input, converted to UTF-8.
pub(crate) fn rest_text(input: &mut Unstructured<'_>) -> Result<Text> {
    Ok(Text::from(&*String::from_utf8_lossy(rest(input)?)))
}

/// The sizes of the chunks of a stream: at most seven, which are repeated.
#[derive(Clone, Debug)]
pub(crate) struct Cuts<'a> {
    sizes: &'a [u8],
    at: usize,
}

impl<'a> Arbitrary<'a> for Cuts<'a> {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let count = input.int_in_range(0..=7)?;
        Ok(Cuts { sizes: input.bytes(input.len().min(count))?, at: 0 })
    }
}

impl Cuts<'_> {
    /// Cuts off the next chunk. It has at least one byte unless the stream is at its end.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let size = self.sizes.get(self.at).copied().unwrap_or(1);
        self.at = (self.at + 1) % self.sizes.len().max(1);
        // Small sizes are in bytes, and large ones are multiples of 256.
        let size = if size < 128 { usize::from(size) } else { (usize::from(size) - 127) * 256 };
        let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len().max(1)).min(bytes.len()));
        *bytes = rest;
        piece
    }

    /// Splits the bytes into chunks.
    pub(crate) fn all<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            pieces.push(self.next(&mut bytes));
        }
        pieces
    }
}
