//! Limits and deadlines of HTTP connections.

use std::time::Duration;

/// Limits and deadlines of HTTP connections. A connection that has become a WebSocket is subject to none of them. `Duration::MAX` switches
/// a deadline off.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of a request's head: the request line and all headers. A request with more is answered 431. At least 8 192. Default 16 KiB,
    /// as Node's HTTP server. Bodies are read, and responses buffered, in pieces of this size too. What a session keeps of the head of its handshake is limited by
    /// [`ServerBuilder::max_head_bytes`](socketio_driver::ServerBuilder::max_head_bytes).
    pub max_head_bytes: usize,
    /// Header lines of a request. A request with more is answered 431. Default 100.
    pub max_headers: usize,
    /// Time from the opening of a connection until the first request's head is complete, and from the first byte of each later one that did not come with the request before. A
    /// connection that takes longer is answered 408 if it has sent a part of a head, and closed. Default 30 s.
    pub head_timeout: Duration,
    /// Time that a connection may be idle between two requests. Clients are told (`Keep-Alive: timeout=`) and get a second more. Choose it
    /// longer than a load balancer in front keeps its connections, which is 60 s for most: otherwise it may send a request into a
    /// connection that is being closed, and answer its client 502. Default 75 s.
    pub idle_timeout: Duration,
    /// Time in which a peer has to take the next 64 KiB of a response, or the rest of it. A connection whose peer does not is closed, and
    /// its session ends. Default 20 s.
    pub write_timeout: Duration,
    /// Time for which a connection goes on reading, and forgets what it reads, when it is closed over input that nobody wanted. Default 2 s.
    pub linger: Duration,
    /// Connections that may linger at the same time; a further one is closed at once. Default 1 024.
    pub max_lingering: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_head_bytes: 16 * 1024,
            max_headers: 100,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(20),
            linger: Duration::from_secs(2),
            max_lingering: 1024,
        }
    }
}
