//! The client side: a [`Client`] is the connection to one server and its sockets, one for each namespace. It is the manager of the
//! JavaScript client, and the mirror of a server's [`Connection`](crate::server::Connection).
//!
//! The client does no I/O. It asks for it with [`Transmit`](engineio_proto::client::Transmit): a request, a link, a packet on a link. The
//! driver performs it and passes in what happened. The driver owns the URL, headers, cookies, proxies and TLS. A driver's loop has three
//! parts: perform what is polled, handle the events, and wait for input or for the deadline.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//!
//! use engineio_proto::client::{Input, Transmit};
//! use engineio_proto::server::Transport;
//! use engineio_proto::{Instant, LinkKind};
//! use socketio_proto::client::{Client, Config, Event, SocketOptions};
//! use socketio_proto::{Encoder, Json};
//!
//! let mut engine = engineio_proto::client::Config::default();
//! engine.transports = vec![Transport::Link(LinkKind::WebSocket)];
//! let seed = 7; // Draw it at random.
//! let mut client = Client::new(Arc::new(engine), Json, Arc::new(Config::default()), seed);
//! let mut encoder = Encoder::new();
//! let mut now = Instant::ZERO;
//!
//! let socket = client.socket("/", SocketOptions::default())?;
//! client.connect(now, socket);
//! // The socket keeps the event until it is connected.
//! client.emit(now, &mut encoder, socket, "hello", "server")?;
//!
//! // The server of this example answers each packet with the next of these.
//! let mut answers = VecDeque::from([r#"40{"sid":"a"}"#, r#"421["question",1]"#, "41"]);
//! let mut sent = Vec::new();
//! let mut inputs = VecDeque::new();
//! loop {
//!     if let Some(transmit) = client.poll_transmit() {
//!         match transmit {
//!             Transmit::Connect { link, .. } => {
//!                 // A driver dials here, with the query at the end of its URL.
//!                 inputs.push_back(Input::LinkUp { link });
//!                 let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
//!                 inputs.push_back(Input::LinkMessage { link, message: open.into() });
//!             }
//!             Transmit::Link { link, frame } => {
//!                 sent.push(String::from_utf8([frame.head(), frame.data()].concat())?);
//!                 if let Some(answer) = answers.pop_front() {
//!                     inputs.push_back(Input::LinkMessage { link, message: answer.into() });
//!                 }
//!             }
//!             _ => {}
//!         }
//!     } else if let Some(event) = client.poll_event() {
//!         match event {
//!             Event::Connected { id, .. } => println!("connected as {id}"),
//!             Event::Received { payload, ack: Some(token), .. } => {
//!                 assert_eq!((payload.name(), payload.get::<u8>(0)?), (Some("question"), 1));
//!                 client.ack(&mut encoder, token, "answer")?;
//!             }
//!             Event::Disconnected { reason, .. } => assert_eq!(reason.as_str(), "io server disconnect"),
//!             _ => {}
//!         }
//!     } else if let Some(input) = inputs.pop_front() {
//!         client.handle(now, input);
//!     } else if let Some(deadline) = client.poll_timeout() {
//!         // A driver waits here, for input or until the deadline.
//!         now = deadline;
//!         client.handle_timeout(now);
//!     } else {
//!         break;
//!     }
//! }
//! assert_eq!(sent, ["40", r#"42["hello","server"]"#, r#"431["answer"]"#]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `adapters/tokio/examples/bare_client.rs` in the repository is a whole client without a runtime, on threads and `std::net`.
//!
//! # Events
//!
//! | event | what to do |
//! |---|---|
//! | [`AuthRequested`](Event::AuthRequested) | Get a token, then call [`Client::authenticate`]. |
//! | [`Connected`](Event::Connected), [`ConnectError`](Event::ConnectError), [`Disconnected`](Event::Disconnected), [`Error`](Event::Error) | Tell the application of the socket. |
//! | [`Received`](Event::Received) | Run the handler. Answer with [`Client::ack`]. |
//! | [`Acked`](Event::Acked) | Pass the outcome to the code that waits for it. |
//! | [`Opened`](Event::Opened), [`Closed`](Event::Closed), [`OpenFailed`](Event::OpenFailed), [`ReconnectAttempt`](Event::ReconnectAttempt), [`Reconnected`](Event::Reconnected), [`ReconnectError`](Event::ReconnectError), [`ReconnectFailed`](Event::ReconnectFailed), [`Upgraded`](Event::Upgraded), [`Ping`](Event::Ping) | Tell the application of the connection, if it wants to know. |
//! | [`Writable`](Event::Writable) | Send again what was refused with `Full` or `BufferFull`. |
//!
//! The order of events is that of the reference, except that outcomes of acks never wait behind other events. When a socket is connected:
//! what was received before, then [`Event::Connected`]. What was emitted before is then on its way already. When the connection ends:
//! [`Event::Closed`], then [`Event::Disconnected`] for each socket.
//!
//! # Reconnection
//!
//! The client opens its connection again unless the application has closed it, or no socket needs it. The delays are those of the
//! reference; see [`Config`]. [`Client::open`] makes the next attempt at once, [`Client::close`] ends the attempts, and so does
//! [`Client::set_reconnection`]. The client makes no attempt while [`soft_inbound`](engineio_proto::Limits::soft_inbound) bytes of events
//! are unread.
//!
//! What is delivered how often:
//!
//! * An event that was emitted is sent at most once. It is lost if the connection is lost while it is on its way. What is emitted while there
//!   is no connection is kept, up to [`Config::max_send_buffer`].
//! * With [`Retries`], an event is sent until the server acknowledges it.
//! * If the server keeps what its clients miss (connection state recovery), the client returns with the private id and the offset that the
//!   server gave it, and receives every event once. [`Event::Connected`] tells whether this has succeeded.
//!
//! # Differences from the reference
//!
//! * Acks without a timeout fail when the connection is lost. The reference drops them silently.
//! * A socket whose connection ends before the server has accepted it gets [`Event::ConnectError`]. The reference reports a disconnect of a
//!   socket that never was connected.
//! * What was received before an acceptance that never came is dropped, because the server sends it again. The reference delivers it twice.
//! * An ack for an event of an earlier connection is refused. The reference sends it, and the server may take it for another.
//! * A socket that one of the sides has disconnected makes no claim of recovery. A long string is not taken for an offset.
//! * All tries of an event with retries have the same ack id, so a late ack counts.
//! * Everything has a limit.
//!
//! Servers of Socket.IO 1 and 2 use protocol 4, over revision 3 of Engine.IO; see [`Client::new`]. They let clients join `/` without being
//! asked, the [`Auth`] of a socket becomes the query of its namespace, and both sides derive the ids of sockets.
//!
//! Source: socket.io-client 4.8.4 `lib/manager.ts`, `lib/socket.ts`, `lib/contrib/backo2.ts`; socket.io-client 2.5 `lib/socket.js`.

mod auth;
mod backoff;
mod config;
mod event;
mod machine;
mod manager;
mod retries;
mod send_buffer;
mod socket;

pub use self::config::{Auth, Config, Retries, SocketOptions};
pub use self::event::{AuthRequest, ConnectError, Event, OpenError, ServerError};
pub use self::manager::Client;
