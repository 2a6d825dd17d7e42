//! What a fuzzer's bytes mean: read from the front, zeros behind the end, so that a seed can be written by hand and a byte that
//! changes is one decision that changes.

use engineio_proto::Text;

/// The bytes that are still to be spent.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was spent: whoever loops stops then.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes.
    pub(crate) fn pair(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Eight bytes.
    pub(crate) fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// A number below `limit`, which is at most 256, out of one byte.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// Whether a byte is odd.
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of these, by one byte.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// So many bytes, or all that there are.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as a byte in front says.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// As [`Input::short`], made UTF-8.
    pub(crate) fn short_text(&mut self) -> String {
        String::from_utf8_lossy(self.short()).into_owned()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// Everything that is left, made UTF-8.
    pub(crate) fn rest_text(&mut self) -> Text {
        Text::from(&*String::from_utf8_lossy(self.rest()))
    }

    /// A few sizes for pieces, to be gone through again and again.
    pub(crate) fn cuts(&mut self) -> Cuts<'a> {
        let count = self.below(8);
        Cuts { sizes: self.take(count), at: 0 }
    }
}

/// Where a stream is cut.
#[derive(Clone, Debug)]
pub(crate) struct Cuts<'a> {
    sizes: &'a [u8],
    at: usize,
}

impl Cuts<'_> {
    /// The next piece of these bytes; at least one byte of them, if there is one.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let size = self.sizes.get(self.at).copied().unwrap_or(1);
        self.at = (self.at + 1) % self.sizes.len().max(1);
        // Small ones byte by byte, and a few that are large.
        let size = if size < 128 { usize::from(size) } else { (usize::from(size) - 127) * 256 };
        let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len().max(1)).min(bytes.len()));
        *bytes = rest;
        piece
    }

    /// All pieces of these bytes.
    pub(crate) fn all<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            pieces.push(self.next(&mut bytes));
        }
        pieces
    }
}
