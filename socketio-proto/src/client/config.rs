//! The settings of a client and of its sockets, with the defaults of the reference, and limits that the reference does not have.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::Serialize;

use crate::config::Limits;
use crate::error::EncodeError;
use crate::json::ser::{Output, ValueSerializer};
use crate::packet::PacketType;
use crate::payload::Payload;

/// Settings of a client. Defaults are those of socket.io-client 4.8 (`lib/manager.ts`) where it has the option.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether the client tries to connect again after the connection was lost or could not be opened. It can be changed later:
    /// [`Client::set_reconnection`](super::Client::set_reconnection). Default: true.
    pub reconnection: bool,
    /// Maximum number of attempts to connect again, without the first attempt to connect. `None` means no limit. Default: `None`.
    pub reconnection_attempts: Option<u32>,
    /// The delay before the first attempt to connect again, before it is changed at random. It doubles with every further attempt.
    /// Default: 1 s.
    pub reconnection_delay: Duration,
    /// Maximum delay before an attempt to connect again. Default: 5 s.
    pub reconnection_delay_max: Duration,
    /// By which part of itself a delay is changed at random: 0 for not at all, 1 at most. Another number means 0. Default: 0.5.
    pub randomization_factor: f64,
    /// How long it may take to open the connection; the option `timeout` of the reference. It does not limit how long the server may
    /// take to accept a namespace. `None` means no limit. Default: 20 s.
    pub open_timeout: Option<Duration>,
    /// Maximum size of the events that a socket keeps while it is not connected, in bytes, counted as in
    /// [`Client::send_buffer_bytes`](super::Client::send_buffer_bytes). An event that does not fit is refused with
    /// [`EmitError::BufferFull`](crate::EmitError::BufferFull). The same limit applies to the queue of a socket with
    /// [`Retries`], separately. A single event may exceed it. The reference has no limit. Default: 16 MiB.
    pub max_send_buffer: usize,
    /// Limits that protect against a slow or hostile server. The limit on namespaces is that on the sockets of the client;
    /// `max_pending` has no meaning for a client.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reconnection: true,
            reconnection_attempts: None,
            reconnection_delay: Duration::from_secs(1),
            reconnection_delay_max: Duration::from_secs(5),
            randomization_factor: 0.5,
            open_timeout: Some(Duration::from_secs(20)),
            max_send_buffer: 16 << 20,
            limits: Limits::default(),
        }
    }
}

/// Settings of a socket. The default has no `auth`, no timeout and no retries, as in socket.io-client 4.8 (`lib/socket.ts`).
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct SocketOptions {
    /// What the socket sends when it joins its namespace.
    pub auth: Auth,
    /// The timeout of events with an ack that have no timeout of their own. Default: none.
    pub ack_timeout: Option<Duration>,
    /// Whether events are sent again until the server acknowledges them. Default: no.
    pub retries: Option<Retries>,
}

/// The data that a socket sends when it joins its namespace (the `auth` of the reference).
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// The same object each time. [`Auth::fixed`] makes it of a value.
    Fixed(Payload),
    /// The application is asked each time by [`Event::AuthRequested`](super::Event::AuthRequested), so that it can send a fresh token.
    Asked,
}

impl Auth {
    /// The same value each time.
    ///
    /// # Errors
    /// If the value cannot be serialised, or is not an object without binary data.
    pub fn fixed<T: Serialize + ?Sized>(auth: &T) -> Result<Self, EncodeError> {
        let (mut text, mut attachments) = (String::new(), Vec::new());
        let mut output = Output { text: &mut text, attachments: &mut attachments, max_attachments: 0 };
        auth.serialize(ValueSerializer(&mut output))?;
        let payload = Payload::from_json(PacketType::Connect, text.into(), Vec::new(), &Limits::default());
        payload.map(Self::Fixed).map_err(|_| EncodeError::invalid("the auth of a socket must be an object"))
    }
}

/// A socket with retries puts its events into a queue. It sends the first one, and the next one when the server has acknowledged it. An event
/// that is not acknowledged within the timeout, or before the connection is lost, is sent again. So the server gets every event at least
/// once, unless all tries fail, and may get it more than once.
///
/// Volatile events do not go through the queue. (socket.io-client: the options `retries` and `ackTimeout`, `lib/socket.ts`,
/// `_addToQueue`)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "neither value has a meaning without the other")]
pub struct Retries {
    /// How often an event is sent again. After that, it is dropped, its ack fails, and the next event is sent.
    pub count: u32,
    /// How long the server may take to acknowledge an event, at least 1 ms. An event with its own timeout uses that.
    pub timeout: Duration,
}
