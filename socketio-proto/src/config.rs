//! Settings of the Socket.IO level, with the reference's defaults, and the limits that the reference does not have.

use core::time::Duration;

/// Settings that all connections of a server share. Defaults are those of socket.io 4.8 where it has the option.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Time from the opening of the session until a first namespace is joined; then the connection is closed. Also how long each
    /// request to join may wait for the application's answer; then it is refused with the message `timeout`. Default 45 s.
    pub connect_timeout: Duration,
    /// Whether `connect_timeout` runs again when a connection leaves its last namespace. The reference does not. Default false.
    pub rearm_connect_timeout: bool,
    /// Limits against peers that are slow or hostile.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(45), rearm_connect_timeout: false, limits: Limits::default() }
    }
}

/// Caps of one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Attachments of one packet that is received. Default 10, as in socket.io-parser 4.2.6 and later.
    ///
    /// What is sent is limited by the [`Encoder`](crate::Encoder), which starts with the same number: the adapters' servers set both to this,
    /// so that what was accepted can be passed on. Clients of the reference take 10, unless their parser was told otherwise.
    pub max_attachments: u8,
    /// Bytes of all attachments of one packet. Default `usize::MAX`, no limit of its own: each attachment is a message, and so at most
    /// [`max_payload`](engineio_proto::Config::max_payload) bytes long, and there are at most `max_attachments`. As in the reference.
    pub max_attachment_bytes: usize,
    /// Nesting of arrays and objects in a payload. Default 128, as in serde_json.
    pub max_depth: u16,
    /// Length in bytes of the name of a namespace that may be asked for. A longer one is refused with the message `Invalid namespace`, as
    /// if there were none of that name, and the application is not asked. Decoders take any name: it costs nothing beside the message
    /// that it came in. Default 512.
    pub max_namespace_length: usize,
    /// Namespaces that a connection may have joined or asked to join; a further one is refused with the message `too many namespaces`.
    /// Default 128.
    pub max_namespaces: usize,
    /// CONNECT packets that may wait for an answer of the application; a further one is refused with the message
    /// `too many namespaces`. Default 16.
    pub max_pending: usize,
    /// Acks that may be awaited from the peer. Default 65 536.
    pub max_awaited_acks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: usize::MAX,
            max_depth: 128,
            max_namespace_length: 512,
            max_namespaces: 128,
            max_pending: 16,
            max_awaited_acks: 65_536,
        }
    }
}
