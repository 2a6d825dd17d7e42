//! The settings of a client.

use alloc::string::String;
use core::time::Duration;

use engineio_proto::{LinkKind, Transport};

/// The settings of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The value of the request's `Host`. If it is not valid, no connection can be opened.
    pub host: String,
    /// The path of the request, which begins with a slash. Default: `/socket.io/`.
    pub path: String,
    /// The settings of the session. The only transport is WebSocket, whatever [`transports`](engineio_proto::client::Config::transports)
    /// says.
    pub engine: engineio_proto::client::Config,
    /// The settings of reconnection and of the sockets.
    pub socketio: socketio_proto::client::Config,
}

impl Config {
    /// The settings for a server of this `host`, with the defaults of the machines, except that a closing connection has 2 s to write its
    /// last bytes: the next one waits for it.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let mut engine = engineio_proto::client::Config::default();
        engine.transports = [Transport::Link(LinkKind::WebSocket)].into();
        engine.close_timeout = Duration::from_secs(2);
        Self {
            host: host.into(),
            path: "/socket.io/".into(),
            engine,
            socketio: socketio_proto::client::Config::default(),
        }
    }

    /// The settings for a small machine: messages of at most 8 KiB, 4 namespaces, 8 awaited acks, 2 attachments, 4 KiB of events that wait
    /// for a connection, 8 KiB that wait to be written, and 8 KiB that wait to be taken, or 16 KiB while an ack is awaited.
    #[must_use]
    pub fn small(host: &str) -> Self {
        let mut config = Self::new(host);
        config.engine.max_payload = 8 * 1024;
        config.engine.limits.max_outbound = 8 * 1024;
        config.engine.limits.soft_inbound = 8 * 1024;
        config.engine.limits.max_inbound = 16 * 1024;
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
