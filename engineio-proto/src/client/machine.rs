//! [`ClientMachine`], which adds to [`Machine`] what the driver of a client needs. Implements both for [`Client`].

use super::{Client, Input, Transmit};
use crate::event::Event;
use crate::machine::Machine;

/// The machine of one client: a [`Client`], or a machine that owns one.
pub trait ClientMachine: Machine<Input = Input, Transmit = Transmit> {
    /// The client. It has the settings, the transport, and what the server said of the session.
    fn client(&self) -> &Client;
}

impl ClientMachine for Client {
    fn client(&self) -> &Client {
        self
    }
}

crate::impl_machine!([] Client, Event, Input, Transmit);
