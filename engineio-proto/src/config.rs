//! Settings of a server, with the reference's defaults, and the limits that the reference does not have.

use core::time::Duration;

use crate::message::Message;

/// Settings that all sessions of a server share. Defaults are those of engine.io 6.6 (`lib/server.ts`).
///
/// A machine's deadlines are exact; a driver may be late for them. `socketio-driver` rounds one up by at most a fiftieth of its distance
/// and at most 100 ms, so that many peers share a wake-up. A GET that comes meanwhile fires the deadline all the same.
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Time between the last pong (or the opening) and the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// Time that a ping may stay unanswered. Default 20 s.
    pub ping_timeout: Duration,
    /// Time that a probe may take from the link to the upgrade packet; also how long a WebTransport session may take to send its first
    /// packet, and a handshake's session to get its first input. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Time that a polling session waits for a GET that takes its last packets after a graceful close. Default 30 s.
    pub close_timeout: Duration,
    /// Time that the body of a POST may take, from its head to its end; the driver keeps it. Default 30 s.
    pub body_timeout: Duration,
    /// Largest inbound unit in bytes: POST body, WebSocket message, WebTransport frame. Told to clients as `maxPayload`. Default 1 000 000.
    ///
    /// To let larger messages in, use [`Config::set_max_payload`]: [`Limits::max_inbound`] and [`Limits::max_outbound`] have to grow too.
    pub max_payload: usize,
    /// Which transports are served. Default: polling and WebSocket.
    pub transports: Transports,
    /// Whether the handshake names transports to upgrade to. As in the reference, a client that upgrades unasked is not refused. Default true.
    pub allow_upgrades: bool,
    /// A message that follows the open packet at once. Default none.
    pub initial_packet: Option<Message>,
    /// Limits against peers that are slow or hostile.
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
            initial_packet: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Sets [`max_payload`](Self::max_payload), and raises the limits that such messages would meet next: [`Limits::max_inbound`] and
    /// [`Limits::max_outbound`] become twice as large where they were smaller, so that one that is read and one that is written pass, each
    /// with another one behind it; [`Limits::max_body_chunks`] becomes one for each KiB, so that a body may come in small reads.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_payload = bytes;
        let two = bytes.saturating_mul(2);
        self.limits.max_inbound = self.limits.max_inbound.max(two);
        self.limits.max_outbound = self.limits.max_outbound.max(two);
        self.limits.max_body_chunks = self.limits.max_body_chunks.max(bytes / 1024);
    }
}

/// Caps of one session. The reference has none of these; the defaults are our own unless said otherwise.
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes that may wait to be sent, each packet with 40 for its keeping; a `send` beyond it is refused with [`SendError::Full`](crate::SendError::Full). Default 16 MiB.
    pub max_outbound: usize,
    /// Bytes of unread messages, each with 40 for its keeping, at which [`wants_input`](crate::server::Session::wants_input) turns false. Default 64 KiB.
    pub soft_inbound: usize,
    /// Bytes of unread messages, counted likewise, at which a session is closed, for its peer or its driver went on regardless. Default 16 MiB.
    pub max_inbound: usize,
    /// Chunks in which the body of a POST may come: what the driver reads at once. Default 10 000, as in the reference.
    pub max_body_chunks: usize,
    /// How long the pong's deadline is put off because this side, not the peer, has stopped reading; then the session ends with
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
#[allow(clippy::exhaustive_structs, reason = "the protocol knows these three")]
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
