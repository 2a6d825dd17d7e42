//! WebSocket (RFC 6455) as sans-IO state machines: `no_std`, without sockets, clocks, random devices or threads.
//!
//! There are three layers. Each can be used alone:
//!
//! * [`handshake`] validates the HTTP headers that open a WebSocket, and provides the headers of the answer.
//! * [`Decoder`] turns bytes into [`Event`]s. The `encode_*` functions and [`FrameHeader`] turn messages into bytes. Servers with many
//!   connections use this layer: a decoder takes about 100 bytes, small payloads share an [`Arena`], and large frames can be read
//!   directly into their final place ([`Decoder::payload_buffer`]).
//! * [`Connection`] is a whole WebSocket connection. It answers pings, performs the closing handshake, and queues messages in both
//!   directions within bounds.
//!
//! Fragmented messages are emitted whole. Limits are checked before memory is allocated, see [`Limits`].
//!
//! # Compression
//!
//! With the feature `deflate`, messages can be compressed (permessage-deflate, RFC 7692). It is off unless the handshake agrees on it:
//!
//! * [`handshake::deflate()`] selects an offer of the client, and [`handshake::ClientHandshake::with_deflate`] makes one. The terms are
//!   always those without context takeover: each message is compressed by itself, and an idle connection holds no memory for it.
//! * `Decoder::inflate` inflates what the peer has compressed. The limit on the size of a message holds for the inflated message, and
//!   inflating ends there.
//! * `Deflater` compresses a message. One can serve all connections of a thread, and a compressed message can be sent to any number of
//!   peers.
//! * `Connection::with_deflate` does both for one connection.
//!
//! Compress where bandwidth costs more than time: one message of 4 KiB takes some 40 µs to compress and 6 µs to inflate. Do not compress a
//! secret together with text that an attacker chooses: the length of the frame reveals what they have in common (the attack CRIME).
//!
//! For another compressor, or other terms, use [`Decoder::allow_rsv1`] and [`FrameKind::rsv1`] instead.
//!
//! # Features
//!
//! The feature `deflate` adds the crate `miniz_oxide`.
//!
//! The feature `portable-atomic` is for processors without compare-and-swap, such as Cortex-M0. It makes `bytes` take its atomic counters
//! from the crate `portable-atomic`. The firmware must also enable the feature `critical-section` or `unsafe-assume-single-core` of that
//! crate. On other processors the feature changes nothing.
//!
//! # A server's connection
//!
//! After the handshake, over any stream that can be read and written:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use engineio_websocket::{Connection, ConnectionEvent, Limits};
//!
//! fn echo(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
//!     let mut websocket = Connection::server(Limits::default());
//!     let mut buffer = [0; 16 * 1024];
//!     while !websocket.is_finished() {
//!         match stream.read(&mut buffer)? {
//!             0 => websocket.handle_end(),
//!             count => websocket.handle(&mut buffer[..count]),
//!         }
//!         while let Some(event) = websocket.poll_event() {
//!             // An error means that the connection is closing, or that the peer does not read. Either way nothing can be echoed.
//!             let _ = match event {
//!                 ConnectionEvent::Text(text) => websocket.send_text(&text),
//!                 ConnectionEvent::Binary(data) => websocket.send_binary(&data),
//!                 _ => Ok(()),
//!             };
//!         }
//!         while let Some(bytes) = websocket.poll_transmit() {
//!             stream.write_all(&bytes)?;
//!         }
//!     }
//!     Ok(())
//! }
//! # // A stream whose peer sends "hi" and closes.
//! # struct Peer(std::collections::VecDeque<u8>, Vec<u8>);
//! # impl Read for Peer {
//! #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> { self.0.read(buffer) }
//! # }
//! # impl Write for Peer {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.1.write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut sent = Vec::new();
//! # engineio_websocket::encode_text(&mut sent, "hi", Some([1, 2, 3, 4]));
//! # engineio_websocket::encode_close(&mut sent, Some((1000, "")), Some([5, 6, 7, 8])).unwrap();
//! # let mut peer = Peer(sent.into(), Vec::new());
//! # echo(&mut peer).unwrap();
//! # assert_eq!(peer.1, b"\x81\x02hi\x88\x02\x03\xe8");
//! ```
//!
//! # Under an Engine.IO session
//!
//! The headers of a request become a link of an `engineio-proto` session like this:
//!
//! ```
//! use engineio_websocket::handshake::{accept, protocols};
//! use engineio_websocket::{Connection, Limits};
//!
//! /// The WebSocket that a request asks for, or the response to write before closing the connection.
//! fn open<'a>(
//!     headers: impl IntoIterator<Item = (&'a str, &'a [u8])> + Clone,
//!     max_payload: usize,
//! ) -> Result<Connection, Vec<u8>> {
//!     // First of all, so that a request refused here has not opened a session.
//!     let key = accept(headers.clone()).map_err(|error| error.to_http1())?;
//!     // The first one the client offers, if any: subprotocols have no meaning in Engine.IO.
//!     let protocol = protocols(headers).next();
//!     // The maximum message size that the session announces to its peer.
//!     let limits = Limits::default().with_max_message(max_payload);
//!     // The queue of the session limits what waits to be sent, so its packets must not be refused a second time.
//!     let websocket = Connection::server(limits).with_max_outgoing(usize::MAX);
//!     // `poll_transmit` returns the 101 response first. With an HTTP library, the library writes it.
//!     Ok(websocket.with_response(&key, protocol))
//! }
//!
//! let headers = [
//!     ("upgrade", &b"websocket"[..]),
//!     ("connection", b"Upgrade"),
//!     ("sec-websocket-version", b"13"),
//!     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
//! ];
//! let mut websocket = open(headers, 1_000_000).expect("a good request");
//! // A packet of the session: `frame.is_binary()`, `frame.head()`, `frame.data()`.
//! websocket.send_parts(false, &[b"4", b"hello"])?;
//! let written = websocket.poll_transmit().expect("the answer, and a frame");
//! assert!(written.starts_with(b"HTTP/1.1 101 "));
//! assert!(written.ends_with(b"\r\n\r\n\x81\x064hello"));
//!
//! let refusal = open([], 1_000_000).expect_err("no headers, no WebSocket");
//! assert!(refusal.starts_with(b"HTTP/1.1 400 "));
//! # Ok::<(), engineio_websocket::SendError>(())
//! ```
//!
//! From then on the driver passes everything between the two:
//!
//! | from one | to the other |
//! |---|---|
//! | the WebSocket is created, and the session admits the request | `Input::LinkUp` |
//! | [`ConnectionEvent::Text`], [`ConnectionEvent::Binary`] | `Input::LinkMessage`; the content has the same types |
//! | [`ConnectionEvent::Closed`] | `Input::LinkDown`: `Failed` for [`Closed::Error`], otherwise `Closed` |
//! | `Transmit::Link` | [`Connection::send_parts`] |
//! | `Transmit::CloseLink` | [`Connection::close`] with 1000, and a deadline in the driver for the peer's answer |
//!
//! Both have a method `wants_input`. Read only while both return `true`. `adapters/tokio/examples/bare.rs` in the repository is a
//! complete server built this way.
//!
//! # The decoder alone
//!
//! The same server with one read buffer, one arena and one output buffer for many connections:
//!
//! ```
//! use bytes::BytesMut;
//! use engineio_websocket::{Arena, Decoder, Error, Event, encode_close, encode_pong, encode_text};
//!
//! /// Handles the bytes of one read. Returns whether the connection stays open.
//! fn turn(decoder: &mut Decoder, mut input: &mut [u8], arena: &mut Arena, out: &mut BytesMut) -> bool {
//!     loop {
//!         match decoder.decode(&mut input, arena) {
//!             Ok(Some(Event::Text(text))) => encode_text(out, &text, None),
//!             // The payload of a ping fits a pong, and a received close frame may be sent.
//!             Ok(Some(Event::Ping(payload))) => _ = encode_pong(out, &payload, None),
//!             Ok(Some(Event::Close(close))) => {
//!                 _ = encode_close(out, close.as_ref().map(|close| (close.code, &*close.reason)), None);
//!                 return false;
//!             }
//!             Ok(Some(_)) => {}
//!             Ok(None) => return true,
//!             Err(error) => {
//!                 _ = encode_close(out, Some((error.close_code(), "")), None);
//!                 return false;
//!             }
//!         }
//!     }
//! }
//! # use engineio_websocket::{Limits, Role};
//! # let mut decoder = Decoder::new(Role::Server, Limits::default());
//! # let mut input = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i', 0x88, 0x80, 0, 0, 0, 0];
//! # let mut out = BytesMut::new();
//! # assert!(!turn(&mut decoder, &mut input, &mut Arena::new(), &mut out));
//! # assert_eq!(out, &b"\x81\x02hi\x88\x00"[..]);
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod arena;
mod close;
mod connection;
mod decoder;
#[cfg(feature = "deflate")]
mod deflate;
mod encode;
mod error;
mod event;
mod frame;
pub mod handshake;
mod limits;
mod mask;

pub use self::arena::Arena;
pub use self::close::{CloseFrame, MAX_REASON, close_code, is_valid_close_code};
pub use self::connection::{Closed, Connection, ConnectionEvent, SendError};
pub use self::decoder::Decoder;
#[cfg(feature = "deflate")]
pub use self::deflate::Deflater;
pub use self::encode::{EncodeError, encode_binary, encode_close, encode_frame, encode_ping, encode_pong, encode_text};
pub use self::error::Error;
pub use self::event::Event;
pub use self::frame::{FrameHeader, FrameKind, MAX_CONTROL, MAX_HEADER, Opcode, Role, encode_header};
pub use self::limits::Limits;
pub use self::mask::{MaskKeys, apply_mask};
