//! The server's half: one peer ([`Connection`]), and everybody on one namespace ([`Namespace`]).

mod connection;
mod namespace;

pub use self::connection::Connection;
pub use self::namespace::{BroadcastId, Delivery, Namespace, NamespaceEvent, Target};
