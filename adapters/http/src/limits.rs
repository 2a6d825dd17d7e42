//! Limits on the data that is accepted from a peer before the connection fails.

/// Bounds on what one peer can make a connection hold. All sizes are in bytes.
///
/// A connection holds at most one head, one body, and as many bytes after them as a head may have, plus a few hundred bytes of its own.
/// Memory grows with the bytes received. An announced length alone reserves at most 16 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest head: first line, headers and the blank line. For a client, all heads of one response count together, which limits
    /// interim responses. A larger head is [`Error::HeadTooLarge`](crate::Error::HeadTooLarge). The same number limits the bytes that
    /// may arrive behind a request before it is answered ([`Error::TooMuchAhead`](crate::Error::TooMuchAhead)). The default is 16 384, the
    /// `maxHeaderSize` of Node.
    pub max_head: usize,
    /// The largest number of headers. More are [`Error::TooManyHeaders`](crate::Error::TooManyHeaders). The default is [`MAX_HEADERS`],
    /// and a larger number counts as that.
    pub max_headers: usize,
    /// The largest body, without the framing of its chunks. A larger body is [`Error::BodyTooLarge`](crate::Error::BodyTooLarge), reported
    /// when its length is announced, or when the chunk arrives that is too much. The default is 1 000 000, the `maxPayload` of the
    /// Engine.IO reference server.
    pub max_body: usize,
    /// The largest size of all chunk extensions of a body together. They are ignored. More are
    /// [`Error::ChunkExtensionsTooLarge`](crate::Error::ChunkExtensionsTooLarge). The default is 4096.
    pub max_chunk_extensions: usize,
    /// The largest size of all trailers behind a chunked body. They are ignored. More are
    /// [`Error::TrailersTooLarge`](crate::Error::TrailersTooLarge). The default is 4096.
    pub max_trailers: usize,
}

/// The largest number of headers that a head can have, whatever the [`Limits`]. A head is parsed in an array of this size on the stack.
pub const MAX_HEADERS: usize = 100;

impl Limits {
    /// Sets [`max_head`](Self::max_head).
    #[must_use]
    pub const fn with_max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// Sets [`max_headers`](Self::max_headers).
    #[must_use]
    pub const fn with_max_headers(mut self, headers: usize) -> Self {
        self.max_headers = headers;
        self
    }

    /// Sets [`max_body`](Self::max_body).
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets [`max_chunk_extensions`](Self::max_chunk_extensions).
    #[must_use]
    pub const fn with_max_chunk_extensions(mut self, bytes: usize) -> Self {
        self.max_chunk_extensions = bytes;
        self
    }

    /// Sets [`max_trailers`](Self::max_trailers).
    #[must_use]
    pub const fn with_max_trailers(mut self, bytes: usize) -> Self {
        self.max_trailers = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head: 16 * 1024,
            max_headers: MAX_HEADERS,
            max_body: 1_000_000,
            max_chunk_extensions: 4096,
            max_trailers: 4096,
        }
    }
}
