//! Engine.IO as state machines without I/O: bytes and time go in, actions come out.
//!
//! The machines in this crate never read a clock, a socket or a random device. They never block, lock or spawn, and they never panic on
//! input from a peer. A *driver* does the I/O: an async runtime, a thread, a bare-metal loop or a test. It calls the machines and performs
//! the actions that they return:
//!
//! | method | what it does |
//! |---|---|
//! | `handle(now, input)` | passes an input to the machine: a request arrived, a link went down. Cannot fail |
//! | `handle_timeout(now)` | reports that the deadline has passed. Cannot fail, and does nothing before the deadline |
//! | `open`, `send`, `close`, `accept`, ... | commands of the application. A command that fails has changed nothing |
//! | `poll_transmit` | returns the next thing to write |
//! | `poll_event` | returns the next event |
//! | `poll_timeout` | returns the deadline at which to call `handle_timeout`. It may change with every input, command and poll |
//! | `wants_input` | returns whether to read from the peer's link. If not, stop reading until the application has taken events |
//! | `is_drained` | returns whether the session has ended and has nothing left to poll. Then drop the session and its id |
//!
//! The driver may pass any number of inputs and commands before it polls, and may poll in any order. A mistake of the peer is not an error
//! of a method: the peer gets the answer that the protocol defines, and [`Event::Closed`] has the reason why the session ended.
//!
//! A session no longer uses a link after it has returned [`server::Transmit::CloseLink`]. The driver must limit how long it waits for the
//! peer to answer that close, because the session may have no deadline for it: `poll_timeout` may be `None`, and `is_drained` may be true.
//! Later input from the link can be discarded.
//!
//! For a server, start with [`server::Server::route`], which routes a request, and [`server::Session`], which is one peer. The following
//! example is the loop of a driver, which keeps responses in a map instead of writing them:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use engineio_proto::server::{Input, Route, Server, Session, Transmit};
//! use engineio_proto::{Config, ContentType, Event, Instant, RequestHead, RequestId, Sid};
//!
//! /// Polls a session until it has nothing more to do. The application echoes messages.
//! fn drain(session: &mut Session, responses: &mut BTreeMap<RequestId, Vec<u8>>) {
//!     loop {
//!         if let Some(event) = session.poll_event() {
//!             match event {
//!                 Event::Message(message) => session.send(message).expect("the queue has capacity"),
//!                 Event::Closed(reason) => println!("closed: {reason}"),
//!                 _ => {}
//!             }
//!         } else if let Some(transmit) = session.poll_transmit() {
//!             match transmit {
//!                 Transmit::Reply { request, response } => {
//!                     responses.insert(request, response.body().to_vec());
//!                 }
//!                 other => unreachable!("no link was opened: {other:?}"),
//!             }
//!         } else {
//!             break; // A driver sleeps here until the next input, or until `session.poll_timeout()`.
//!         }
//!     }
//! }
//!
//! let mut responses = BTreeMap::new();
//! let mut now = Instant::ZERO;
//! let server = Server::new(Config::default());
//!
//! // The first GET opens a session. The driver chooses and stores the session's id.
//! let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
//! let Route::Open(handshake) = server.route(&head) else { panic!("it opens a session") };
//! let secret = [7; 15]; // Use a cryptographically secure generator.
//! let mut session = handshake.accept(now, Sid::from_random(secret));
//! session.handle(now, Input::Get { request: RequestId(1) });
//! drain(&mut session, &mut responses);
//! assert!(responses[&RequestId(1)].starts_with(br#"0{"sid":"BwcHBwcHBwcHBwcHBwcH","#));
//!
//! // A GET is held until a POST brings a message. Both are answered.
//! session.handle(now, Input::Replied { request: RequestId(1) });
//! session.handle(now, Input::Get { request: RequestId(2) });
//! session.handle(now, Input::Post { request: RequestId(3), content_type: ContentType::Text });
//! session.handle(now, Input::Body { request: RequestId(3), body: "4hello".into() });
//! drain(&mut session, &mut responses);
//! assert_eq!(responses[&RequestId(3)], b"ok");
//! assert_eq!(responses[&RequestId(2)], b"4hello");
//!
//! // When the deadline passes, a ping is queued for the next GET.
//! now = session.poll_timeout().expect("pings have deadlines");
//! session.handle_timeout(now);
//! session.handle(now, Input::Replied { request: RequestId(2) });
//! session.handle(now, Input::Replied { request: RequestId(3) });
//! session.handle(now, Input::Get { request: RequestId(4) });
//! drain(&mut session, &mut responses);
//! assert_eq!(responses[&RequestId(4)], b"2");
//! ```
//!
//! # A client
//!
//! [`client::Client`] is the other end. It asks for requests and links, and its driver makes them. The driver below has the answers of a
//! server in a list, and makes no connection:
//!
//! ```
//! use std::sync::Arc;
//!
//! use engineio_proto::client::{Client, Config, Input, Method, Transmit};
//! use engineio_proto::{ContentType, Event, Instant};
//!
//! let now = Instant::ZERO;
//! let mut config = Config::default();
//! config.upgrade = false;
//! let mut client = Client::new(Arc::new(config));
//! client.open(now);
//!
//! let open = r#"0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
//! let mut answers_to_gets = [open, "4hello", "6", "1"].into_iter();
//! let mut posted = Vec::new();
//! loop {
//!     if let Some(event) = client.poll_event() {
//!         match event {
//!             Event::Message(message) => client.send(message).expect("the queue has capacity"),
//!             Event::Closed(reason) => assert_eq!(reason.as_str(), "transport close"),
//!             _ => {}
//!         }
//!     } else if let Some(transmit) = client.poll_transmit() {
//!         match transmit {
//!             Transmit::Request { request, method, query } => {
//!                 println!("{method:?} http://127.0.0.1/engine.io/?{query}");
//!                 let body = match method {
//!                     Method::Post { body, .. } => {
//!                         posted.push(body);
//!                         "ok"
//!                     }
//!                     _ => answers_to_gets.next().expect("the session has ended"),
//!                 };
//!                 let (content_type, body) = (ContentType::Text, body.into());
//!                 client.handle(now, Input::Response { request, status: 200, content_type, body });
//!             }
//!             other => unreachable!("no link was asked for, and no request takes time: {other:?}"),
//!         }
//!     } else {
//!         break; // A driver sleeps here until the next input, or until `client.poll_timeout()`.
//!     }
//! }
//! assert_eq!(posted, ["4hello"]);
//! assert!(client.is_drained());
//! ```
//!
//! # Codecs
//!
//! The codecs can be used without the machines: [`Packet`] and [`Frame`], [`payload`], [`framing`].
//!
//! # Chips without compare-and-swap
//!
//! Processors without an atomic compare-and-swap (Cortex-M0, RISC-V without the `A` extension) have no `alloc::sync::Arc`. For these, turn
//! on the feature `portable-atomic`, which is off by default: [`Arc`] and the counters of `bytes` then use the crate `portable-atomic`. On
//! other processors the feature changes nothing.
//!
//! The firmware selects how atomic operations are implemented, with a feature of `portable-atomic`: `critical-section`, for which most
//! hardware crates have an implementation, or `unsafe-assume-single-core`. Without either, `portable-atomic` fails to compile with a
//! message that explains it.
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
//! * `simd` (off by default): encodes and decodes base64, the form of binary messages in polling, with vector instructions if the
//!   processor has AVX2 or NEON. This is four times as fast. The feature needs `std`; the adapters turn it on.
//! * `testkit` (off by default): a simulated network, a model of a client, and a checker of the invariants, for both ends.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base64;
pub mod client;
mod config;
mod error;
mod event;
mod form;
pub mod framing;
mod handshake;
mod heartbeat;
mod http;
mod id;
mod json;
mod link;
mod machine;
mod message;
mod outbox;
mod packet;
pub mod payload;
mod queue;
pub mod server;
mod shared;
#[cfg(feature = "testkit")]
pub mod testkit;
mod time;
mod timer;
mod wire;

pub use self::config::{Config, Limits, Transports};
pub use self::error::{ParseError, SendError};
pub use self::event::{CloseReason, Event, LinkDownCause, LinkKind, Transport, TransportError};
pub use self::form::query_parameters;
pub use self::http::{ContentType, RequestHead, Response};
pub use self::id::{InvalidSid, LinkId, RequestId, Sid};
pub use self::machine::{LinkInput, Machine};
pub use self::message::{Message, Text};
pub use self::packet::{Frame, Packet, PacketType};
pub use self::shared::Arc;
pub use self::time::Instant;
pub use self::timer::Timers;
pub use self::wire::Revision;
