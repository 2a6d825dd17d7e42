//! Engine.IO as state machines: bytes and time in, actions out.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod error;
mod event;
pub mod framing;
mod handshake;
mod http;
mod id;
mod json;
mod message;
mod packet;
pub mod payload;
pub mod server;
#[cfg(feature = "testkit")]
pub mod testkit;
mod time;
mod timer;

pub use self::config::{Config, Limits, Transports};
pub use self::error::{ParseError, SendError};
pub use self::event::{CloseReason, Event, LinkKind, TransportError};
pub use self::http::{ContentType, RequestHead, Response};
pub use self::id::{InvalidSid, LinkId, RequestId, Sid};
pub use self::message::{Message, Text};
pub use self::packet::{Frame, Packet, PacketType};
pub use self::time::Instant;
