//! The settings of a client, with the reference's defaults, and limits that the reference does not have.

use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Limits;
use crate::event::{LinkKind, Transport};
use crate::wire::Revision;

/// Settings of a client. Defaults are those of engine.io-client 6.6 (`lib/socket.ts`).
#[derive(Clone, Hash, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The revision of the protocol: 4 for servers of Socket.IO 3 and later, 3 for servers of Socket.IO 1 and 2. Default 4.
    pub revision: Revision,
    /// The transports that the client may use, in the order in which it tries them. The first one opens the session. Default: polling,
    /// WebSocket.
    pub transports: Vec<Transport>,
    /// Whether a session that polls moves to a link, if the server offers it and [`Config::transports`] has it. Default true.
    pub upgrade: bool,
    /// Whether the next transport is tried if the session cannot be opened over one. Default false: the session then ends.
    pub try_all_transports: bool,
    /// Whether a client that has used a WebSocket successfully opens its next session over a WebSocket at once. Default false.
    pub remember_upgrade: bool,
    /// Whether binary messages are sent and requested as base64 (`b64=1`). Default false.
    pub force_base64: bool,
    /// Time within which the session must be open, over all transports that are tried. The reference has no limit here: its manager has one.
    /// Default 60 s.
    pub open_timeout: Duration,
    /// Time that a probe may take, from the request for its link to the switch. The reference has no limit. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Time that the last packets of a session have to be sent: over polling, the session ends after it, and on a link, they are dropped. The
    /// reference has no limit. Default 30 s.
    pub close_timeout: Duration,
    /// Size limit in bytes of one inbound response body, WebSocket message or WebTransport frame. The reference has no limit. Default
    /// 100 000 000.
    ///
    /// The driver must stop reading at the limit: the body of a response then has [failed](super::Input::Failed), and so has a
    /// [link](super::Input::LinkDown). The client checks bodies, and frames of WebTransport, too.
    pub max_payload: usize,
    /// Limits that protect the client from a slow or hostile server. [`Limits::max_body_chunks`] is the limit of a driver.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            revision: Revision::V4,
            transports: [Transport::Polling, Transport::Link(LinkKind::WebSocket)].into(),
            upgrade: true,
            try_all_transports: false,
            remember_upgrade: false,
            force_base64: false,
            open_timeout: Duration::from_secs(60),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            max_payload: 100_000_000,
            limits: Limits::default(),
        }
    }
}
