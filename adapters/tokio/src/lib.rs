//! Socket.IO and Engine.IO servers on tokio, hyper and tower.

mod layer;
mod runtime;
mod serve;

pub use self::layer::{SocketLayer, SocketService};
pub use self::runtime::{Stream, Tokio};
pub use self::serve::{Serve, serve};
pub use socketio_driver::*;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
