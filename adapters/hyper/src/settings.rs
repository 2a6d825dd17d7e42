//! The settings of a listener.

use std::time::Duration;

/// Limits and deadlines of HTTP connections. They do not apply to a connection that has become a WebSocket. `Duration::MAX` disables a
/// deadline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The largest head of a request in bytes: the request line and all headers. A larger one is answered with status 431. At least 8
    /// 192. The default is 16 KiB, as in Node's HTTP server.
    ///
    /// Bodies are also read, and responses buffered, in chunks of this size.
    /// [`ServerBuilder::max_head_bytes`](socketio_driver::ServerBuilder::max_head_bytes) limits how much of the handshake's head a
    /// session keeps.
    pub max_head_bytes: usize,
    /// The maximum number of header lines of a request. A request with more is answered with status 431. The default is 100.
    pub max_headers: usize,
    /// The time in which the head of a request must arrive. It is measured from the opening of the connection for the first request. For
    /// a later one it is measured from its first byte, unless that arrived together with the previous request.
    ///
    /// A connection that exceeds it is closed, after a response with status 408 if a part of a head has arrived. The default is 30 s.
    pub head_timeout: Duration,
    /// The time that a connection may be idle between two requests. The server announces it (`Keep-Alive: timeout=`), and waits 1 s longer.
    ///
    /// Choose a longer time than the idle timeout of the load balancer in front, which is 60 s for most. Otherwise the load balancer may
    /// send a request on a connection that is being closed, and answer its client with status 502. The default is 75 s.
    pub idle_timeout: Duration,
    /// The time in which a peer must read the next 64 KiB of a response, or the rest of it. If it does not, its connection is closed and
    /// its session ends. The default is 20 s.
    pub write_timeout: Duration,
    /// How long a connection that is closed with unread input keeps reading and discarding it. The default is 2 s.
    pub linger: Duration,
    /// The maximum number of connections that linger at the same time. Further connections are closed at once. The default is 1 024.
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
