//! The settings of a server, with the reference's defaults, and limits that the reference does not have.

use core::time::Duration;

use crate::message::Message;

/// Settings that all sessions of a server share. Defaults are those of engine.io 6.6 (`lib/server.ts`).
///
/// A machine's deadlines are exact, but a driver may be late for them. `socketio-driver` rounds a deadline up by at most a fiftieth of its
/// distance and by at most 100 ms, so that many peers share a wake-up. If a GET arrives
/// between the deadline and the late wake-up, the machine handles the deadline first.
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Time from the last pong (or from the opening of the session) to the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// Time within which the peer must answer a ping. Default 20 s.
    pub ping_timeout: Duration,
    /// Time that a probe may take, from its link to the upgrade packet. It also limits how long a WebTransport session may take to send its
    /// first packet, and how long a new session waits for its first input. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Time that a polling session waits, after a graceful close, for the GET that takes its last packets. Default 30 s.
    pub close_timeout: Duration,
    /// Time that the body of a POST may take, from the end of the head to the end of the body. The driver enforces it. Default 30 s.
    pub body_timeout: Duration,
    /// Size limit in bytes of one inbound POST body, WebSocket message or WebTransport frame. The open packet announces it as `maxPayload`.
    /// Default 1 000 000.
    ///
    /// To accept larger messages, use [`Config::set_max_payload`], which also raises the [`Limits`] that such messages would reach.
    pub max_payload: usize,
    /// The transports that the server offers. Default: polling and WebSocket.
    pub transports: Transports,
    /// Whether the open packet lists transports to upgrade to. As in the reference, a client that upgrades without being offered it is not
    /// refused. Default true.
    pub allow_upgrades: bool,
    /// Whether clients of revision 3 are accepted, which Socket.IO 1 and 2 use. Every request without `EIO=4` then opens a session of
    /// revision 3 ([`Revision`](crate::Revision)). Without it, such a handshake is refused with code 5. Default false.
    pub allow_eio3: bool,
    /// Whether clients may poll by JSONP (`j` in the query), as the reference allows. Default true.
    ///
    /// JSONP exists for browsers without CORS: any page can open a session with the cookies of its visitor, and read what the server sends,
    /// because a `<script>` has no `Origin`. If sessions are authorised by cookies, turn it off.
    pub allow_jsonp: bool,
    /// A message that is sent right after the open packet. Default none.
    pub initial_packet: Option<Message>,
    /// Limits that protect the server from slow and hostile peers.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            transports: Transports::default(),
            allow_upgrades: true,
            allow_eio3: false,
            allow_jsonp: true,
            initial_packet: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Sets [`max_payload`](Self::max_payload) to `bytes`, and raises the limits that messages of this size would reach next:
    ///
    /// * [`Limits::max_inbound`] and [`Limits::max_outbound`] to at least twice `bytes`, so that each queue can hold two such messages;
    /// * [`Limits::max_body_chunks`] to at least one chunk for each KiB, so that a body may arrive in small reads.
    ///
    /// Limits that are already larger stay as they are.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_payload = bytes;
        let two = bytes.saturating_mul(2);
        self.limits.max_inbound = self.limits.max_inbound.max(two);
        self.limits.max_outbound = self.limits.max_outbound.max(two);
        self.limits.max_body_chunks = self.limits.max_body_chunks.max(bytes / 1024);
    }
}

/// Limits of one session. Of these, the reference has only the limit on chunks. The other defaults are our own.
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes that may be queued to be sent. Each packet counts 40 bytes on top of its own. A `send` over this limit fails with
    /// [`SendError::Full`](crate::SendError::Full). Default 16 MiB.
    pub max_outbound: usize,
    /// Bytes of unread messages at which [`wants_input`](crate::server::Session::wants_input) turns false. Each message counts 40 bytes on
    /// top of its own. Default 64 KiB.
    pub soft_inbound: usize,
    /// Bytes of unread messages at which the session is closed, counted as for [`soft_inbound`](Self::soft_inbound). A session reaches this
    /// limit only if its driver reads although `wants_input` is false. A Socket.IO connection can also reach it while an ack is awaited,
    /// because it then keeps reading to find the ack. Default 16 MiB.
    pub max_inbound: usize,
    /// Chunks that the body of a POST may consist of; a chunk is what the driver reads at once. Default 10 000, as in the reference.
    pub max_body_chunks: usize,
    /// Time for which the deadline of a pong is extended while this side does not read. After it, the session ends with
    /// [`TransportError::Stalled`](crate::TransportError::Stalled). Default 5 min.
    pub max_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_outbound: 16 << 20,
            soft_inbound: 64 << 10,
            max_inbound: 16 << 20,
            max_body_chunks: 10_000,
            max_stall: Duration::from_secs(300),
        }
    }
}

/// A set of transports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "the protocol has these three")]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket.
    pub websocket: bool,
    /// WebTransport.
    pub webtransport: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { polling: true, websocket: true, webtransport: false }
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn what_larger_messages_would_meet_next_grows_with_them_and_nothing_shrinks() {
        let mut config = Config::default();
        config.set_max_payload(100_000_000);
        assert_eq!(config.max_payload, 100_000_000);
        assert_eq!((config.limits.max_inbound, config.limits.max_outbound), (200_000_000, 200_000_000));
        config.set_max_payload(1000);
        assert_eq!((config.max_payload, config.limits.max_inbound), (1000, 200_000_000));
        let mut config = Config::default();
        config.set_max_payload(1_000_000);
        assert_eq!((config.limits.max_inbound, config.limits.max_outbound), (16 << 20, 16 << 20));
        config.set_max_payload(usize::MAX);
        assert_eq!(config.limits.max_inbound, usize::MAX);
    }
}
