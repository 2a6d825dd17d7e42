//! Interprets the bytes of a fuzzer. They are consumed from the front, and zeros follow the end. Seeds can therefore be written by hand,
//! and changing a byte changes one decision.

use arbitrary::{Arbitrary, Result, Unstructured};
use engineio_proto::Text;

/// At most 255 bytes, their number in front.
///
/// By [`Arbitrary`] a slice takes half of what is left on average, by a length at the very end. The first acts of a script would take it
/// all, and a byte behind them would change every one of them.
pub(crate) fn short<'a>(input: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let length = usize::from(input.arbitrary::<u8>()?);
    input.bytes(length.min(input.len()))
}

/// As [`short`], made UTF-8.
pub(crate) fn short_text(input: &mut Unstructured<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(short(input)?).into_owned())
}

/// Everything that is left, as it is: what a decoder is given.
pub(crate) fn rest<'a>(input: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    input.bytes(input.len())
}

/// Everything that is left, made UTF-8.
pub(crate) fn rest_text(input: &mut Unstructured<'_>) -> Result<Text> {
    Ok(Text::from(&*String::from_utf8_lossy(rest(input)?)))
}

/// Where a stream is cut: at most seven sizes, to be gone through again and again.
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
    /// Cuts off the next piece. It has at least one byte if there is one.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let size = self.sizes.get(self.at).copied().unwrap_or(1);
        self.at = (self.at + 1) % self.sizes.len().max(1);
        // Small sizes are in bytes, and large ones are multiples of 256.
        let size = if size < 128 { usize::from(size) } else { (usize::from(size) - 127) * 256 };
        let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len().max(1)).min(bytes.len()));
        *bytes = rest;
        piece
    }

    /// Cuts all of the bytes into pieces.
    pub(crate) fn all<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            pieces.push(self.next(&mut bytes));
        }
        pieces
    }
}
