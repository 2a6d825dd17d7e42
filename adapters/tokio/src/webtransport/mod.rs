//! WebTransport over QUIC, by wtransport and quinn. Nothing else of this crate knows QUIC.
//!
//! | file | what |
//! |---|---|
//! | `listener` | the listener of a server |
//! | `certificate` | a self-signed certificate for development |
//! | `stream` | the stream of a session, for servers and clients |
//! | `connect` | the sessions of a client |
//! | `limits` | the settings of QUIC |

mod certificate;
mod connect;
mod limits;
mod listener;
mod stream;

pub use self::certificate::{DevelopmentCertificate, InvalidName};
pub(crate) use self::connect::connect;
pub use self::listener::{ServeWebTransport, WebTransport, serve_webtransport};
