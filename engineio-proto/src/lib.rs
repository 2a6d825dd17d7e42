//! Engine.IO as state machines: bytes and time in, actions out.
//!
//! No machine here reads a clock, a socket or a random device; none blocks, locks, spawns, or panics on anything a peer sends.
//! Whoever has those things (a *driver*: an async runtime, a thread, a bare-metal loop, a test) calls the machines, and does
//! what they say:
//!
//! | verb | what it does |
//! |---|---|
//! | `handle(now, input)` | takes a fact from outside: a request came, a link went down. Cannot fail |
//! | `handle_timeout(now)` | the deadline has passed. Cannot fail, and does nothing before its time |
//! | `send`, `close`, `accept`, .. | commands of the application. May fail, and then have changed nothing |
//! | `poll_transmit` | the next thing to write |
//! | `poll_event` | the next thing that happened |
//! | `poll_timeout` | when to call `handle_timeout`; ask again after every input, command and poll |
//! | `wants_input` | whether to go on reading from the peer's link. If not, leave what comes in the socket until events were taken |
//! | `is_drained` | whether all is over and said. Then drop the session and forget its id |
//!
//! Inputs and commands may come in any number before the polls, and the polls in any order. What a peer does wrong is no
//! error here: it gets the answer that the protocol has for it, and [`Event::Closed`] says why the session ended.
//!
//! A session is through with a link once it has given out [`server::Transmit::CloseLink`]. The peer may take forever to answer that close,
//! and no deadline of the session's may be left (`poll_timeout` may be `None`, and `is_drained` true): how long to wait before the
//! transport is ended is for the driver to bound. What still comes over the link can be thrown away.
//!
//! Start with [`server::Server::route`], which says where a request goes, and [`server::Session`], which is one peer. A driver's loop,
//! with a map for the responses that a real one would write:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use engineio_proto::server::{Input, Route, Server, Session, Transmit};
//! use engineio_proto::{Config, ContentType, Event, Instant, RequestHead, RequestId, Sid};
//!
//! /// Does what a session says, until it has nothing more to say. The application echoes.
//! fn drain(session: &mut Session, responses: &mut BTreeMap<RequestId, Vec<u8>>) {
//!     loop {
//!         if let Some(event) = session.poll_event() {
//!             match event {
//!                 Event::Message(message) => session.send(message).expect("there is room"),
//!                 Event::Closed(reason) => println!("closed: {reason}"),
//!                 _ => {}
//!             }
//!         } else if let Some(transmit) = session.poll_transmit() {
//!             match transmit {
//!                 Transmit::Reply { request, response } => {
//!                     responses.insert(request, response.body().to_vec());
//!                 }
//!                 other => unreachable!("nobody has opened a link: {other:?}"),
//!             }
//!         } else {
//!             break; // Sleep until something comes, or until `session.poll_timeout()`.
//!         }
//!     }
//! }
//!
//! let mut responses = BTreeMap::new();
//! let mut now = Instant::ZERO;
//! let server = Server::new(Config::default());
//!
//! // A first GET comes. It opens a session, whose id is the driver's to make up and to remember.
//! let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
//! let Route::Open(handshake) = server.route(&head) else { panic!("it opens a session") };
//! let secret = [7; 15]; // Of a cryptographically secure generator.
//! let mut session = handshake.accept(now, Sid::from_random(secret));
//! session.handle(now, Input::Poll { request: RequestId(1) });
//! drain(&mut session, &mut responses);
//! assert!(responses[&RequestId(1)].starts_with(br#"0{"sid":"BwcHBwcHBwcHBwcHBwcH","#));
//!
//! // Then a GET that is held, and a POST with a message: both are answered.
//! session.handle(now, Input::Replied { request: RequestId(1) });
//! session.handle(now, Input::Poll { request: RequestId(2) });
//! session.handle(now, Input::Post { request: RequestId(3), content_type: ContentType::Text });
//! session.handle(now, Input::Body { request: RequestId(3), body: "4hello".into() });
//! drain(&mut session, &mut responses);
//! assert_eq!(responses[&RequestId(3)], b"ok");
//! assert_eq!(responses[&RequestId(2)], b"4hello");
//!
//! // Nothing happens for a while: a ping is due, and is queued for the next GET.
//! now = session.poll_timeout().expect("pings have deadlines");
//! session.handle_timeout(now);
//! session.handle(now, Input::Replied { request: RequestId(2) });
//! session.handle(now, Input::Replied { request: RequestId(3) });
//! session.handle(now, Input::Poll { request: RequestId(4) });
//! drain(&mut session, &mut responses);
//! assert_eq!(responses[&RequestId(4)], b"2");
//! ```
//!
//! Beneath them lie the codecs, for whoever needs only those: [`Packet`] and [`Frame`], [`payload`], [`framing`].
//!
//! # Chips without compare-and-swap
//!
//! A processor without an atomic compare-and-swap (Cortex-M0, RISC-V without the `A` extension) has no `alloc::sync::Arc`. Turn on the
//! feature `portable-atomic` (off by default) for it: [`Arc`] and the counters of `bytes` then stand on the crate `portable-atomic`. On
//! other processors the feature changes nothing.
//!
//! The firmware decides how an atomic operation is made, by a feature of `portable-atomic`: `critical-section`, for which most hardware
//! crates have an implementation, or `unsafe-assume-single-core`. Without either of them, `portable-atomic` does not compile, and says so.
//!
//! ```toml
//! [dependencies]
//! engineio-proto = { version = "0.1", features = ["portable-atomic"] }
//! portable-atomic = { version = "1", features = ["critical-section"] }
//! # The implementation. On a Cortex-M with one core, for example:
//! cortex-m = { version = "0.7", features = ["critical-section-single-core"] }
//! ```
//!
//! # Other features
//!
//! Feature `simd` (off by default, needs std, turned on by the adapters) writes and reads base64, which binary messages become when
//! they are polled, with vector instructions where the processor has AVX2 or NEON: four times as fast. Feature `testkit` (off by default) has a simulated network,
//! a model of a client and a checker of the invariants.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base64;
mod config;
mod error;
mod event;
mod form;
pub mod framing;
mod handshake;
mod http;
mod id;
mod json;
mod message;
mod packet;
pub mod payload;
pub mod server;
mod shared;
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
pub use self::shared::Arc;
pub use self::time::Instant;
