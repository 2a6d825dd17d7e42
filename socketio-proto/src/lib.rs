//! Socket.IO as state machines: bytes and time in, actions out.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ack;
mod config;
mod error;
mod event;
mod json;
mod packet;
pub mod parser;
mod payload;
mod rooms;
pub mod server;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use self::config::{Config, Limits};
pub use self::error::{DecodeError, EmitError, EncodeError, ReadError};
pub use self::event::{AckError, AckId, AckToken, DisconnectReason, Event, Pending, SocketId};
pub use self::packet::{Encoded, Outgoing, Packet, PacketType};
pub use self::parser::{Decoder, Encoder, Json, Parser};
pub use self::payload::{Args, ArgsSink, Payload};
