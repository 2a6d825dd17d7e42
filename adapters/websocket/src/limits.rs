//! How much of a peer's data is accepted before the connection ends.

/// Bounds on what one peer can make a [`Decoder`](crate::Decoder) hold.
///
/// A decoder holds at most `max_message + 125` bytes on the heap: one unfinished message and, while that waits for its
/// next piece, one unfinished control frame. Memory follows the bytes that arrived: an announced length alone makes
/// it take at most 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message in bytes, all its frames together; checked on the header, before the payload is awaited.
    /// Default 1 000 000, the `maxPayload` of the Engine.IO reference server. A larger one is
    /// [`Error::MessageTooBig`](crate::Error::MessageTooBig).
    pub max_message: usize,
    /// The largest number of frames of one message, so that a stream of empty pieces ends. Default 16 384, the `maxFragments` of Node's
    /// `ws`, which the Engine.IO reference server leaves as it is. One more is
    /// [`Error::TooManyFragments`](crate::Error::TooManyFragments). Control frames between the pieces do not count.
    ///
    /// `maxBufferedChunks`, the other limit of `ws`, is about the pieces in which a transport brings one frame. Here they cost nothing but
    /// their bytes: they are copied behind each other.
    pub max_fragments: u32,
}

impl Limits {
    /// The same with another [`max_message`](Self::max_message).
    #[must_use]
    pub const fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// The same with another [`max_fragments`](Self::max_fragments).
    #[must_use]
    pub const fn with_max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 1_000_000, max_fragments: 16 * 1024 }
    }
}
