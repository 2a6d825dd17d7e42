//! The server's half: one peer ([`Connection`]), and everybody on one namespace ([`Namespace`]).

mod connection;
mod inbox;
mod machine;
mod namespace;
mod sockets;
mod timers;

pub use self::connection::Connection;
pub use self::namespace::{Namespace, NamespaceEvent, Recipients, Target};
