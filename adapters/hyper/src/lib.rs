//! HTTP/1.1 by hyper under Socket.IO and Engine.IO servers, on any runtime.
//!
//! An adapter such as `socketio-tokio` brings a [`Runtime`](socketio_driver::Runtime) and a [`Listener`]; [`serve`] does the rest. hyper
//! parses requests and writes responses. What it leaves to its user is here, once for all runtimes:
//!
//! * **Deadlines** ([`Settings`]): a request's head, an idle connection, and a response that its peer does not take have a limited time.
//! * **No answer is lost at the end of a connection.** A peer that ends its half behind a complete request is answered. A connection that
//!   is closed over the body of a refused request reads on for a moment, so that a reset does not overtake the answer.
//! * **A response counts as written when the system has taken all of it**, not when it lies in hyper's buffer.
//! * **A request of HTTP/1 that hyper refuses by itself is told why.**
//!
//! | file | what |
//! |---|---|
//! | `serve` | the listener's loop, and the end of a server |
//! | `connection` | one connection: hyper, and the endpoint behind it |
//! | `stream` | the byte stream of a connection: deadlines, half-closed peers, lingering |
//! | `exchange` | what a request and its stream tell each other |
//! | `connections` | counts connections, and tells them to end |
//! | `settings` | limits and deadlines |

mod connection;
mod connections;
mod exchange;
mod serve;
mod settings;
mod stream;

pub use self::serve::{Listener, Serve, serve};
pub use self::settings::Settings;
