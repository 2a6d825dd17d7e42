//! Limits on the data that is accepted from a peer before the connection is closed.

/// Bounds on what one peer can make a [`Decoder`](crate::Decoder) hold.
///
/// A decoder holds at most `max_message + 125` bytes on the heap: one unfinished message and one unfinished control frame that interrupts
/// it. Memory grows with the bytes received. An announced length alone reserves at most 64 KiB. While it inflates a compressed message, it
/// also holds the inflated one, and 11 KiB. While that grows, its memory may be twice `max_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message in bytes, over all its frames. The limit is checked when the header arrives, before the payload. A larger
    /// message is [`Error::MessageTooBig`](crate::Error::MessageTooBig). A compressed message must be within the limit before and after it
    /// is inflated. The default is 1 000 000, the `maxPayload` of the Engine.IO
    /// reference server.
    pub max_message: usize,
    /// The largest number of frames per message, which limits a stream of empty fragments. Control frames between the fragments do not
    /// count. A message with more frames is [`Error::TooManyFragments`](crate::Error::TooManyFragments). The default is 16 384, the
    /// `maxFragments` of Node's `ws`, which the Engine.IO reference server does not change.
    ///
    /// `ws` has another limit, `maxBufferedChunks`, on the chunks in which the transport delivers one frame. Here chunks cost nothing but
    /// their bytes, because they are appended to one buffer.
    pub max_fragments: u32,
}

impl Limits {
    /// Sets [`max_message`](Self::max_message).
    #[must_use]
    pub const fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets [`max_fragments`](Self::max_fragments).
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
