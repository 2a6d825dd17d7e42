//! HTTP/1.1 with hyper for Socket.IO and Engine.IO servers, on any runtime. Clients are in [`client`].
//!
//! An adapter such as `socketio-tokio` provides a [`Runtime`](socketio_driver::Runtime) and a [`Listener`]. [`serve`] does the rest.
//! hyper parses requests and writes responses. This crate adds what hyper leaves to its user, once for all runtimes:
//!
//! * **Deadlines** ([`Settings`]) for the head of a request, for idle connections, and for responses that the peer does not read.
//! * **No response is lost when a connection ends.** A peer that half-closes the connection after a complete request still gets its
//!   response. If the body of a refused request was not read, the connection lingers: it keeps reading for a moment before it closes, so
//!   that a reset does not overtake the response.
//! * **A response counts as written when the operating system has taken all of it**, not when it is in hyper's buffer.
//! * **If hyper refuses an invalid HTTP/1 request by itself, the response explains why.**
//!
//! | file | responsibility |
//! |---|---|
//! | `serve` | accepts connections, and shuts the server down |
//! | `connection` | connects hyper to the endpoint, for one connection |
//! | `stream` | the byte stream of a connection: deadlines, half-closed peers, lingering |
//! | `exchange` | the state that a request shares with its stream |
//! | `connections` | counts connections, and signals the shutdown to them |
//! | `layer` | layers of tower around the endpoint |
//! | `settings` | limits and deadlines |

pub mod client;
mod connection;
mod connections;
mod exchange;
mod layer;
mod serve;
mod settings;
mod stream;

pub use self::layer::{Inner, Layered, RequestBody};
pub use self::serve::{Listener, Serve, serve};
pub use self::settings::Settings;
