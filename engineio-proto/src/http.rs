//! The little of HTTP that the protocol needs: the head of a request, and a complete response.
//!
//! Small types of our own, so that a driver can bind them to any HTTP library, or to none.
//! Source of statuses, headers and bodies: engine.io `lib/server.ts` and `lib/transports/polling.ts`.

use bytes::Bytes;

/// The parts of a request that decide what happens to it. The path was matched by the driver.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "drivers build it with a literal; a new part would have to be looked at by them anyway"
)]
pub struct RequestHead<'a> {
    /// The method, in capitals as it came.
    pub method: &'a str,
    /// The query, without its question mark, still percent-encoded; empty when there is none.
    pub query: &'a str,
    /// The value of the `Origin` header.
    pub origin: Option<&'a [u8]>,
    /// Whether the request asks for an upgrade to WebSocket.
    pub websocket: bool,
}

/// The type of a POST's body, as far as the protocol cares.
///
/// Exhaustive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentType {
    /// Anything but the other one, and none at all.
    Text,
    /// Exactly `application/octet-stream`: a binary payload in revision 3, refused in revision 4.
    OctetStream,
}

impl ContentType {
    /// From the value of the `Content-Type` header.
    #[must_use]
    pub fn from_header(value: Option<&[u8]>) -> Self {
        if value == Some(b"application/octet-stream") { Self::OctetStream } else { Self::Text }
    }
}

const NO_STORE: (&str, &str) = ("cache-control", "no-store");

/// A complete response: write the status, [`Response::headers`], a `Content-Length`, and the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Bytes,
}

impl Response {
    pub(crate) const fn new(status: u16, headers: &'static [(&'static str, &'static str)], body: Bytes) -> Self {
        Self { status, headers, body }
    }

    /// The answer to a GET: packets.
    pub(crate) const fn poll(body: Bytes) -> Self {
        Self::new(200, &[("content-type", "text/plain; charset=UTF-8"), NO_STORE], body)
    }

    /// The answer to a POST whose body was taken.
    pub(crate) const fn post_ok() -> Self {
        // HTML as in the reference: some browsers offer plain text as a download.
        Self::new(200, &[("content-type", "text/html"), NO_STORE], Bytes::from_static(b"ok"))
    }

    /// A status that says it all.
    pub(crate) const fn empty(status: u16) -> Self {
        Self::new(status, &[], Bytes::new())
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Header names (in lower case) and values, all but `content-length`.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body alone.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }
}
