//! The request that opened a session, kept in one block of memory of exact size and parsed on demand.

use std::net::SocketAddr;
use std::time::SystemTime;

use engineio_proto::Revision;
use http::request::Parts;

/// The address of the peer. Listeners add it to the extensions of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoteAddress(pub SocketAddr);

/// The request that opened a session.
#[derive(Debug)]
pub struct Handshake {
    /// `path?query`, then a line `name: value` for each header. Each line ends with a line feed. The types of the HTTP library are not
    /// kept, because they would keep its read buffer alive.
    head: Box<[u8]>,
    address: Option<SocketAddr>,
    issued: SystemTime,
}

impl Handshake {
    /// The number of bytes that a handshake keeps of this request.
    pub(crate) fn length(parts: &Parts) -> usize {
        let length = |(name, value): (&[u8], &[u8])| name.len().saturating_add(value.len()).saturating_add(3);
        headers(parts).map(length).fold(target(parts).len().saturating_add(1), usize::saturating_add)
    }

    pub(crate) fn new(parts: &Parts) -> Self {
        let mut head = Vec::with_capacity(Self::length(parts));
        head.extend_from_slice(target(parts).as_bytes());
        head.push(b'\n');
        for (name, value) in headers(parts) {
            head.extend_from_slice(name);
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.push(b'\n');
        }
        Self {
            head: head.into_boxed_slice(),
            address: parts.extensions.get::<RemoteAddress>().map(|address| address.0),
            issued: SystemTime::now(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.head.split(|byte| *byte == b'\n')
    }

    /// The path and query, as the client sent them.
    #[must_use]
    pub fn target(&self) -> &str {
        self.lines().next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
    }

    /// The query without its question mark, still percent-encoded.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The revision of Engine.IO that the client uses (`socket.conn.protocol` in the reference). Clients of revision 3 use protocol 4 of
    /// Socket.IO, clients of revision 4 use protocol 5.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision::from_query(self.query())
    }

    /// The names (in lower case) and values of the headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((std::str::from_utf8(name).ok()?, value.get(2..)?))
        })
    }

    /// The value of a header, if the request has it and it is UTF-8. `name` must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| *key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The address of the peer, if the listener provides it. `serve` always does. With axum and other servers, it is the [`RemoteAddress`]
    /// in the extensions of the request.
    ///
    /// Behind a proxy, this is the address of the proxy. [`Handshake::header`] returns what the proxy adds about the client.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// When the session was opened.
    #[must_use]
    pub const fn issued(&self) -> SystemTime {
        self.issued
    }
}

fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |target| target.as_str())
}

fn headers(parts: &Parts) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}
