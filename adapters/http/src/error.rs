//! What a peer did wrong, with the status that tells it, and what a caller did wrong.

/// A violation of HTTP/1.1 or of the [`Limits`](crate::Limits) by the peer. Nothing more is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A head larger than [`Limits::max_head`](crate::Limits::max_head).
    #[error("the peer sent a head that is larger than the limit")]
    HeadTooLarge,
    /// More headers than [`Limits::max_headers`](crate::Limits::max_headers).
    #[error("the peer sent more headers than the limit allows")]
    TooManyHeaders,
    /// A head that is not HTTP/1.x. Among others, this is a header over several lines, or a space before its colon: servers differ in how
    /// they read these, which serves attacks.
    #[error("the peer sent a head that is not valid HTTP/1.1")]
    InvalidHead,
    /// A line of a head, of the framing of a chunk or of a trailer does not end in CR LF.
    #[error("the peer ended a line without CR LF")]
    BareLf,
    /// A request with several `Host` headers. One without any is accepted, as by most servers, although RFC 9112 section 3.2 forbids it:
    /// nothing here depends on the host.
    #[error("the request has more than one Host header")]
    RepeatedHost,
    /// A `Content-Length` that is not a number, or does not fit in 64 bits.
    #[error("the peer sent a Content-Length that is not a valid number")]
    InvalidLength,
    /// More than one `Content-Length`, even if all are equal.
    #[error("the peer sent more than one Content-Length")]
    RepeatedLength,
    /// `Transfer-Encoding` and `Content-Length` in one message (RFC 9112 section 6.1).
    #[error("the peer sent both Transfer-Encoding and Content-Length")]
    LengthAndEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 section 6.1).
    #[error("the peer sent Transfer-Encoding in a message of HTTP/1.0")]
    EncodingInHttp10,
    /// A `Transfer-Encoding` other than `chunked` alone.
    #[error("the peer sent a Transfer-Encoding other than chunked")]
    UnsupportedEncoding,
    /// An `Expect` other than `100-continue`.
    #[error("the request expects something other than 100-continue")]
    UnsupportedExpectation,
    /// A body larger than [`Limits::max_body`](crate::Limits::max_body).
    #[error("the peer sent a body that is larger than the limit")]
    BodyTooLarge,
    /// The framing of a chunk is not valid (RFC 9112 section 7.1).
    #[error("the peer sent an invalid chunk")]
    InvalidChunk,
    /// More chunk extensions than [`Limits::max_chunk_extensions`](crate::Limits::max_chunk_extensions).
    #[error("the peer sent more chunk extensions than the limit allows")]
    ChunkExtensionsTooLarge,
    /// More trailers than [`Limits::max_trailers`](crate::Limits::max_trailers).
    #[error("the peer sent more trailers than the limit allows")]
    TrailersTooLarge,
    /// More bytes than [`Limits::max_head`](crate::Limits::max_head) behind a message, before it was dealt with: pipelined requests, or what
    /// follows a response that switches protocols.
    #[error("the peer sent more ahead of the answer than the limit allows")]
    TooMuchAhead,
    /// The server ended the connection before the end of the response.
    #[error("the server ended the connection before the end of the response")]
    Incomplete,
    /// The status 101, but the request had no `Upgrade` header.
    #[error("the server switched protocols, which the request did not ask for")]
    UnaskedSwitch,
}

impl Error {
    /// The status of the response that tells a client. A client ignores it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders | Self::TrailersTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::UnsupportedExpectation => 417,
            Self::UnsupportedEncoding => 501,
            _ => 400,
        }
    }
}

/// A call that the state of the connection does not allow, or text that would break the head. The connection is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A server answers without an open request, a second time, or continues a response that has ended. A client sends a request before
    /// the previous response has ended, or after it had to close.
    #[error("the connection is in another state: poll its events, and open a new connection if it is closing")]
    State,
    /// A method, target, name or value has bytes that HTTP/1.1 does not allow there.
    #[error("the head has bytes that HTTP/1.1 does not allow: encode them")]
    InvalidHead,
    /// `Content-Length` and `Transfer-Encoding` are written by the connection.
    #[error("the connection writes Content-Length and Transfer-Encoding itself: remove them")]
    Framing,
    /// A status outside 200 to 599. A connection sends 100 by itself, and leaves 101 to the caller of `upgrade`.
    #[error("the status is not one of a final response")]
    Status,
}
