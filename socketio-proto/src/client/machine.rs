//! Implements [`Machine`](engineio_proto::Machine) for [`Client`], so that the same driver code runs clients of Engine.IO and of Socket.IO.

use engineio_proto::client::{Client as Engine, ClientMachine, Input, Transmit};

use super::{Client, Event};
use crate::parser::Parser;

impl<P: Parser> ClientMachine for Client<P> {
    fn client(&self) -> &Engine {
        self.engine()
    }
}

engineio_proto::impl_machine!([P: Parser] Client<P>, Event, Input, Transmit);
