//! One connection to the server: its stream, the opening handshake, then the WebSocket.

use alloc::format;
use alloc::vec::Vec;

use bytes::{Buf as _, Bytes};
use engineio_proto::{Instant, LinkId};
use engineio_websocket::handshake::ClientHandshake;
use engineio_websocket::{Arena, Connection, Limits};

use crate::config::Config;

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 2 * 1024;
/// The largest number of its fields.
const MAX_FIELDS: usize = 24;
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

#[expect(clippy::large_enum_variant, reason = "a client has one line, and a handshake soon becomes the other variant")]
pub(crate) enum Phase {
    /// The response has not arrived completely.
    Handshake {
        handshake: ClientHandshake<'static>,
        seed: [u8; 16],
        head: Vec<u8>,
    },
    Open(Connection),
}

/// The response is not one that opens a WebSocket.
pub(crate) struct Refused;

impl<S> Line<S> {
    /// The request is the first that is written.
    pub(crate) fn new(link: LinkId, stream: S, [key, seed]: [[u8; 16]; 2], config: &Config, query: &str) -> Self {
        let handshake = ClientHandshake::new(key);
        let mut request = format!("GET {}?{query} HTTP/1.1\r\nHost: {}\r\n", config.path, config.host);
        for (name, value) in handshake.headers() {
            request.push_str(name);
            request.push_str(": ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let phase = Phase::Handshake { handshake, seed, head: Vec::new() };
        Self { link, stream, phase, out: request.into(), unflushed: false, ends_at: None }
    }

    /// The WebSocket, once it is open.
    pub(crate) fn websocket(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(websocket) => Some(websocket),
            Phase::Handshake { .. } => None,
        }
    }

    /// Takes what the WebSocket has to write, and returns whether anything is left to write.
    pub(crate) fn has_output(&mut self) -> bool {
        if !self.out.has_remaining()
            && let Phase::Open(websocket) = &mut self.phase
        {
            self.out = websocket.poll_transmit().unwrap_or_default();
        }
        self.out.has_remaining()
    }

    /// Handles bytes from the server. Returns true if they complete the handshake.
    pub(crate) fn handle(&mut self, input: &mut [u8], config: &Config) -> Result<bool, Refused> {
        let (handshake, seed, head) = match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.handle(input);
                return Ok(false);
            }
            Phase::Handshake { handshake, seed, head } => (handshake, *seed, head),
        };
        head.extend_from_slice(input);
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = response.parse(head).map_err(|_| Refused)? else {
            return if head.len() > MAX_HEAD { Err(Refused) } else { Ok(false) };
        };
        let status = response.code.unwrap_or_default();
        let fields = response.headers.iter().map(|field| (field.name, field.value));
        handshake.check(status, fields).map_err(|_| Refused)?;
        let mut early = head.split_off(length);
        let limits = Limits::default().with_max_message(config.engine.max_payload);
        let mut websocket = Connection::client(limits, seed)
            .with_max_outgoing(config.max_outgoing)
            .with_arena(Arena::with_block(ARENA_BLOCK));
        websocket.handle(&mut early);
        self.phase = Phase::Open(websocket);
        Ok(true)
    }
}
