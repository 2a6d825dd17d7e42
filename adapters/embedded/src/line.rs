//! One connection to the server: its stream, the opening handshake, then the WebSocket.

use alloc::format;

use bytes::{Buf as _, Bytes, BytesMut};
use engineio_http::client as http;
use engineio_proto::{Instant, LinkId};
use engineio_websocket::handshake::ClientHandshake;
use engineio_websocket::{Arena, Connection, Limits};

use crate::config::Config;

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 2 * 1024;
/// The largest number of its headers.
const MAX_HEADERS: usize = 24;
/// The size of a block that small messages share, in bytes.
const ARENA_BLOCK: usize = 512;

pub(crate) struct Line<S> {
    pub(crate) link: LinkId,
    pub(crate) stream: S,
    pub(crate) phase: Phase,
    /// What is being written.
    pub(crate) out: Bytes,
    /// Whether something was written that a stream with a buffer may still keep.
    pub(crate) unflushed: bool,
    /// Set when the machine has given up the link. What is still to be written may take until then.
    pub(crate) ends_at: Option<Instant>,
}

pub(crate) enum Phase {
    /// The response has not arrived completely.
    Handshake {
        http: http::Connection,
        handshake: ClientHandshake<'static>,
        seed: [u8; 16],
    },
    Open(Connection),
}

/// The response is not one that opens a WebSocket.
pub(crate) struct Refused;

impl<S> Line<S> {
    /// The request is the first that is written. `None` if its host or path have characters that HTTP does not allow there.
    pub(crate) fn new(
        link: LinkId,
        stream: S,
        [key, seed]: [[u8; 16]; 2],
        config: &Config,
        query: &str,
    ) -> Option<Self> {
        let handshake = ClientHandshake::new(key);
        let limits = engineio_http::Limits::default().with_max_head(MAX_HEAD).with_max_headers(MAX_HEADERS);
        let mut http = http::Connection::new(limits);
        let target = format!("{}?{query}", config.path);
        http.request("GET", &target, &config.host, handshake.headers(), None).ok()?;
        let phase = Phase::Handshake { http, handshake, seed };
        Some(Self { link, stream, phase, out: Bytes::new(), unflushed: false, ends_at: None })
    }

    /// The WebSocket, once it is open.
    pub(crate) fn websocket(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(websocket) => Some(websocket),
            Phase::Handshake { .. } => None,
        }
    }

    /// Takes what is to be written next, and returns whether there is anything.
    pub(crate) fn has_output(&mut self) -> bool {
        if !self.out.has_remaining() {
            let next = match &mut self.phase {
                Phase::Handshake { http, .. } => http.poll_transmit(),
                Phase::Open(websocket) => websocket.poll_transmit(),
            };
            self.out = next.unwrap_or_default();
        }
        self.out.has_remaining()
    }

    /// Handles bytes from the server. Returns true if they complete the handshake.
    pub(crate) fn handle(&mut self, input: &mut [u8], config: &Config) -> Result<bool, Refused> {
        let (http, handshake, seed) = match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.handle(input);
                return Ok(false);
            }
            Phase::Handshake { http, handshake, seed } => (http, handshake, *seed),
        };
        http.handle(input);
        let response = match http.poll_event() {
            None => return Ok(false),
            Some(http::Event::Response(response)) => response,
            Some(_) => return Err(Refused),
        };
        handshake.check(response.status(), response.headers().iter()).map_err(|_| Refused)?;
        let mut early = BytesMut::from(http.upgrade().map_err(|_| Refused)?);
        let limits = Limits::default().with_max_message(config.engine.max_payload);
        // The machine limits what waits to be sent.
        let mut websocket =
            Connection::client(limits, seed).with_max_outgoing(usize::MAX).with_arena(Arena::with_block(ARENA_BLOCK));
        websocket.handle(&mut early);
        self.phase = Phase::Open(websocket);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, path: &str) -> bool {
        let mut config = Config::small(host);
        config.path = path.into();
        let line = Line::new(LinkId(1), (), [[1; 16]; 2], &config, "EIO=4&transport=websocket");
        line.is_some_and(|mut line| line.has_output())
    }

    #[test]
    fn a_host_or_path_that_http_does_not_allow_is_never_sent() {
        assert!(request("server:3000", "/socket.io/"));
        assert!(!request("server\r\nx: y", "/socket.io/"));
        assert!(!request("server", "/socket.io/ HTTP/1.1\r\nx:"));
    }
}
