//! Settings of the Socket.IO level, with the defaults of the reference, and limits that the reference does not have.

use core::time::Duration;

/// Settings that all connections of a server share. The defaults are those of socket.io 4.8 where it has the option.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How long a client may take to join a first namespace after the session is open. After that, the connection is closed.
    /// The application has the same time to answer each request to join a namespace. After that, the request is refused with
    /// the message `timeout`. Default: 45 s.
    pub connect_timeout: Duration,
    /// Whether `connect_timeout` starts again when a client leaves its last namespace. It does not in the reference. Default:
    /// false.
    pub rearm_connect_timeout: bool,
    /// Whether a child namespace, which a client's request has created, is removed when its last client has left or was refused. The
    /// next request creates it again. Default: false, as in the reference.
    pub cleanup_empty_child_namespaces: bool,
    /// Maximum number of child namespaces of a server, because requests of clients create them. At this number, a request that would
    /// create one more is refused with the message `Invalid namespace`. The reference has no limit. Default: 10 000.
    pub max_child_namespaces: usize,
    /// Limits that protect against slow or hostile peers.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            rearm_connect_timeout: false,
            cleanup_empty_child_namespaces: false,
            max_child_namespaces: 10_000,
            limits: Limits::default(),
        }
    }
}

/// Limits for one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum number of attachments in a received packet. Default: 10, as in socket.io-parser 4.2.6 and later.
    ///
    /// The limit for sent packets is in the [`Encoder`](crate::Encoder), with the same default. The servers of the adapters set
    /// both to this value, so that a received packet can be relayed. Clients of the reference accept 10 attachments, unless
    /// their parser is configured otherwise.
    pub max_attachments: u8,
    /// Maximum size of all attachments of one packet together, in bytes. Default: `usize::MAX`, which means no separate limit.
    /// Each attachment is a message of at most [`max_payload`](engineio_proto::Config::max_payload) bytes, and a packet has at
    /// most `max_attachments` of them. This is the behaviour of the reference.
    pub max_attachment_bytes: usize,
    /// Maximum nesting of arrays and objects in a payload. Default: 128, as in `serde_json`.
    pub max_depth: u16,
    /// Maximum length of a requested namespace's name, in bytes. A request with a longer name is refused with the message
    /// `Invalid namespace`, as if the namespace did not exist, and is not passed to the application. Decoders accept any
    /// length, because the name shares the memory of its message. Default: 512.
    pub max_namespace_length: usize,
    /// Maximum number of namespaces that a connection has joined or requested. Further requests are refused with the message
    /// `too many namespaces`. Default: 128.
    pub max_namespaces: usize,
    /// Maximum number of pending CONNECT packets, which await an answer of the application. Further requests are refused with
    /// the message `too many namespaces`. Default: 16.
    pub max_pending: usize,
    /// Maximum number of acks that are awaited from the peer. Default: 65 536.
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
