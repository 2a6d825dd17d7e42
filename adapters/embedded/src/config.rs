//! The settings of a client.

use alloc::string::String;
use core::time::Duration;

use engineio_proto::{LinkKind, Transport};

/// The settings of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The value of the request's `Host`. It must not contain a line break.
    pub host: String,
    /// The path of the request, which begins with a slash. Default: `/socket.io/`.
    pub path: String,
    /// The settings of the session. The only transport is WebSocket, whatever [`transports`](engineio_proto::client::Config::transports)
    /// says.
    pub engine: engineio_proto::client::Config,
    /// The settings of reconnection and of the sockets.
    pub socketio: socketio_proto::client::Config,
    /// Maximum size of what waits to be written, in bytes. An event that does not fit ends the connection. Default: 64 KiB.
    pub max_outgoing: usize,
    /// How long the last bytes of a connection may take to be written. Default: 2 s.
    pub close_timeout: Duration,
}

impl Config {
    /// The settings for a server of this `host`, with the defaults of the reference.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let mut engine = engineio_proto::client::Config::default();
        engine.transports = [Transport::Link(LinkKind::WebSocket)].into();
        Self {
            host: host.into(),
            path: "/socket.io/".into(),
            engine,
            socketio: socketio_proto::client::Config::default(),
            max_outgoing: 64 * 1024,
            close_timeout: Duration::from_secs(2),
        }
    }

    /// The settings for a small machine: messages of at most 8 KiB, 4 namespaces, 8 awaited acks, 2 attachments, 4 KiB of events that wait
    /// for a connection, and 8 KiB that wait to be written.
    #[must_use]
    pub fn small(host: &str) -> Self {
        let mut config = Self::new(host);
        config.engine.max_payload = 8 * 1024;
        config.max_outgoing = 8 * 1024;
        config.socketio.max_send_buffer = 4 * 1024;
        let limits = &mut config.socketio.limits;
        limits.max_attachments = 2;
        limits.max_attachment_bytes = 8 * 1024;
        limits.max_depth = 16;
        limits.max_namespaces = 4;
        limits.max_awaited_acks = 8;
        config
    }
}
