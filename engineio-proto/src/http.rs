//! The part of HTTP that the protocol needs: the head of a request, and a complete response.
//!
//! These types depend on no HTTP library, so a driver can use any library, or none.
//!
//! Source of statuses, headers and bodies: engine.io `lib/server.ts` and `lib/transports/polling.ts`.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::handshake::Query;
use crate::server::Refusal;
use crate::wire::EncodedBody;

/// The parts of a request that determine how it is routed. The driver has already matched the path.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "drivers build it with a literal; a new field needs their attention anyway"
)]
pub struct RequestHead<'a> {
    /// The method exactly as received. Methods are case-sensitive: `get` is not `GET`.
    pub method: &'a str,
    /// The query without its question mark, still percent-encoded. Empty if the target has none.
    pub query: &'a str,
    /// The value of the `Origin` header.
    pub origin: Option<&'a [u8]>,
    /// Whether the request asks for an upgrade to WebSocket: `Upgrade` lists `websocket`, and `Connection` lists `upgrade`. One header
    /// without the other, as some proxies pass it on, is not an upgrade (RFC 9110 section 7.8). [`RequestHead::new`] checks both.
    pub websocket: bool,
}

impl<'a> RequestHead<'a> {
    /// Makes a head from the output of an HTTP parser: the method, the target (path and query), and the name and value of every header
    /// line. Names may be in any case.
    ///
    /// With a map of headers, such as that of the `http` crate:
    /// `RequestHead::new(method, target, headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))`.
    #[must_use]
    pub fn new(method: &'a str, target: &'a str, fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut origin = None;
        let (mut upgrade, mut connection) = (false, false);
        for (name, value) in fields {
            if name.eq_ignore_ascii_case("origin") {
                origin = Some(value);
            } else if name.eq_ignore_ascii_case("upgrade") {
                upgrade |= lists(value, b"websocket");
            } else if name.eq_ignore_ascii_case("connection") {
                connection |= lists(value, b"upgrade");
            }
        }
        Self { method, query, origin, websocket: upgrade && connection }
    }
}

impl RequestHead<'_> {
    /// Whether a request with this method and query polls a session. The response to such a request may be held until a packet is queued.
    #[must_use]
    pub fn may_be_held(method: &str, query: &str) -> bool {
        method == "GET" && Query::names_session(query)
    }
}

/// Whether a comma-separated list contains `token`, in any case.
fn lists(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

/// The content type of a POST or of the response to a GET, as far as the protocol distinguishes them.
///
/// Exhaustive: the protocol has these two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ContentType {
    /// Any other content type, or none.
    Text,
    /// Exactly `application/octet-stream`. It is a binary payload in revision 3, and is refused in revision 4.
    OctetStream,
}

impl ContentType {
    /// Reads the value of the `Content-Type` header of a POST.
    #[must_use]
    pub fn from_header(value: Option<&[u8]>) -> Self {
        if value == Some(OCTET_STREAM.as_bytes()) { Self::OctetStream } else { Self::Text }
    }

    /// Reads the value of the `Content-Type` header of a response. Parameters such as a charset do not matter here.
    ///
    /// Source: engine.io-client 3.5 `lib/transports/polling-xhr.js`, `onLoad`.
    #[must_use]
    pub fn from_response_header(value: Option<&[u8]>) -> Self {
        let media_type = value.and_then(|value| value.split(|byte| *byte == b';').next()).unwrap_or_default();
        Self::from_header(Some(media_type.trim_ascii()))
    }

    /// The value of the `Content-Type` header of a client's POST.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain;charset=UTF-8",
            Self::OctetStream => OCTET_STREAM,
        }
    }
}

const OCTET_STREAM: &str = "application/octet-stream";
const NO_STORE: (&str, &str) = ("cache-control", "no-store");

/// A complete response. The driver writes the status, [`Response::headers`], a `Content-Length` and the body. [`Response::to_http1`]
/// encodes all of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Response {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Bytes,
    refusal: Option<Refusal<'static>>,
    may_compress: bool,
}

impl Response {
    /// A response that the driver makes where the protocol has none, for example for another path or an invalid HTTP request.
    #[must_use]
    pub const fn new(status: u16, headers: &'static [(&'static str, &'static str)], body: Bytes) -> Self {
        Self { status, headers, body, refusal: None, may_compress: false }
    }

    /// Marks the response as this refusal.
    pub(crate) const fn refusing(mut self, refusal: Refusal<'static>) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Why the request is refused, if this response refuses it. The message of [`Refusal::Forbidden`] is empty here: it is in the body.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal<'static>> {
        self.refusal
    }

    /// The response to a GET, whose body has packets.
    pub(crate) fn poll(EncodedBody { body, content_type, may_compress }: EncodedBody) -> Self {
        let headers: &[_] = match content_type {
            ContentType::Text => &[("content-type", "text/plain; charset=UTF-8"), NO_STORE],
            ContentType::OctetStream => &[("content-type", OCTET_STREAM), NO_STORE],
        };
        Self { status: 200, headers, body, refusal: None, may_compress }
    }

    /// Whether the driver may compress the body: it has packets, and all of them [may be compressed](crate::Frame::compress).
    #[must_use]
    pub const fn may_compress(&self) -> bool {
        self.may_compress
    }

    /// The response to a POST whose body was accepted.
    pub(crate) const fn post_ok() -> Self {
        // HTML as in the reference: some browsers offer plain text as a download.
        Self::new(200, &[("content-type", "text/html"), NO_STORE], Bytes::from_static(b"ok"))
    }

    /// A response without a body.
    pub(crate) const fn empty(status: u16) -> Self {
        Self::new(status, &[], Bytes::new())
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The names (in lower case) and values of all headers but `content-length`.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Converts the response into its body.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The whole response as HTTP/1.1 (RFC 9112), for drivers without an HTTP library. The reason phrase is empty, which the RFC allows.
    /// With `close`, it has a `connection: close` header, unless its own headers include `connection`.
    #[must_use]
    pub fn to_http1(&self, close: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} \r\ncontent-length: {}\r\n", self.status, self.body.len());
        let spoken_of = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection"));
        let end = (close && !spoken_of).then_some(&("connection", "close"));
        for (name, value) in self.headers.iter().chain(end) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_in_header_fields_whatever_their_case() {
        let fields =
            [("Host", &b"h"[..]), ("origin", b"http://o"), ("UPGRADE", b"WebSocket"), ("CoNNection", b"UpGrade")];
        let head = RequestHead::new("GET", "/socket.io/?EIO=4&b=?", fields);
        assert_eq!((head.method, head.query, head.origin), ("GET", "EIO=4&b=?", Some(&b"http://o"[..])));
        assert!(head.websocket);
        let head = RequestHead::new("POST", "/socket.io/", [("upgrade", &b"h2c"[..])]);
        assert_eq!((head.query, head.origin, head.websocket), ("", None, false));
    }

    #[test]
    fn an_upgrade_takes_both_headers() {
        let websocket = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            RequestHead::new("GET", "/socket.io/", fields).websocket
        };
        let upgrade = ("upgrade", "websocket");
        for connection in ["upgrade", "Upgrade", "keep-alive, Upgrade", "keep-alive ,\tUPGRADE , x"] {
            assert!(websocket(&[upgrade, ("connection", connection)]), "{connection}");
        }
        assert!(websocket(&[("connection", "upgrade"), ("connection", "keep-alive"), ("upgrade", "h2c"), upgrade]));
        assert!(websocket(&[("connection", "upgrade"), ("upgrade", "h2c, websocket")]));
        for connection in ["", "keep-alive", "close", "upgrades", "up grade", "keep-alive upgrade"] {
            assert!(!websocket(&[upgrade, ("connection", connection)]), "{connection}");
        }
        assert!(!websocket(&[upgrade]));
        for protocol in ["", "h2c", "websockets", "websocket/13"] {
            assert!(!websocket(&[("connection", "upgrade"), ("upgrade", protocol)]), "{protocol}");
        }
        assert!(!websocket(&[("connection", "upgrade")]));
    }

    #[test]
    fn a_response_is_written_whole() {
        let body = Bytes::from_static(b"2");
        let response = Response::poll(EncodedBody { body, content_type: ContentType::Text, may_compress: true });
        let expected = "HTTP/1.1 200 \r\ncontent-length: 1\r\ncontent-type: text/plain; charset=UTF-8\r\ncache-control: no-store\r\n\r\n2";
        assert_eq!(response.to_http1(false), expected.as_bytes());
        let closing = Response::empty(404).to_http1(true);
        assert_eq!(closing, b"HTTP/1.1 404 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn what_a_response_says_of_its_connection_is_said_once() {
        let response = Response::new(426, &[("Connection", "Upgrade")], Bytes::new());
        assert_eq!(response.to_http1(true), b"HTTP/1.1 426 \r\ncontent-length: 0\r\nConnection: Upgrade\r\n\r\n");
    }
}
