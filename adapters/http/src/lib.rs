//! HTTP/1.1 (RFC 9112) as sans-IO state machines: `no_std`, without sockets, clocks or threads.
//!
//! [`server::Connection`] turns the bytes of a client into requests, and answers into bytes. [`client::Connection`] does the reverse. Both
//! know when a connection may carry another message, and both hand over the bytes of a WebSocket that follow the head of an upgrade.
//!
//! Everything that the peer sends is limited ([`Limits`]), and what two implementations may understand differently is an error ([`Error`]):
//! two lengths, a length and chunks, an encoding other than `chunked`, headers over several lines, lines that do not end in CR LF. No
//! input makes a machine panic, and events do not depend on how the input is split, except that a body may come in more parts, and that
//! [`Error::TooMuchAhead`] counts what has arrived until then.
//!
//! It is enough for Engine.IO and small servers. What it does not have: trailers and chunk extensions, which are ignored; request bodies
//! of unknown length for clients; and timeouts. A driver limits how long a head may take, and how long a connection may be idle.
//!
//! The feature `portable-atomic` is for processors without compare-and-swap, such as Cortex-M0. It makes `bytes` take its atomic counters
//! from the crate `portable-atomic`. The firmware must also enable the feature `critical-section` or `unsafe-assume-single-core` of that
//! crate. On other processors the feature changes nothing.
//!
//! # A server
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use engineio_http::{Limits, server::{Connection, Event}};
//!
//! fn serve(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
//!     let mut http = Connection::new(Limits::default());
//!     let mut buffer = [0; 4096];
//!     while !http.is_finished() {
//!         match stream.read(&mut buffer)? {
//!             0 => http.handle_end(),
//!             count => http.handle(&buffer[..count]),
//!         }
//!         while let Some(event) = http.poll_event() {
//!             // An error means that there is nothing to answer any more.
//!             let _ = match event {
//!                 Event::End => http.respond(200, [("content-type", "text/plain")], "hello"),
//!                 Event::Failed(error) => http.respond(error.status(), [], ""),
//!                 _ => Ok(()),
//!             };
//!             while let Some(bytes) = http.poll_transmit() {
//!                 stream.write_all(&bytes)?;
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # struct Peer(&'static [u8], Vec<u8>);
//! # impl Read for Peer { fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> { self.0.read(buffer) } }
//! # impl Write for Peer {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.1.write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut peer = Peer(b"GET / HTTP/1.1\r\nhost: h\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", Vec::new());
//! # serve(&mut peer).unwrap();
//! # let answer = "HTTP/1.1 200 \r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";
//! # assert_eq!(String::from_utf8(peer.1).unwrap(), answer.repeat(2));
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod body;
pub mod client;
mod encode;
mod error;
mod head;
mod limits;
pub mod server;

pub use self::error::{Error, SendError};
pub use self::head::Headers;
pub use self::limits::{Limits, MAX_HEADERS};
