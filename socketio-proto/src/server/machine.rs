//! Implements [`Machine`](engineio_proto::Machine) for [`Connection`], so that the same driver code runs sessions and connections.

use engineio_proto::server::{Input, ServerMachine, Session, Transmit};

use super::Connection;
use crate::event::Event;
use crate::parser::Parser;

impl<P: Parser> ServerMachine for Connection<P> {
    fn session(&self) -> &Session {
        self.session()
    }
}

engineio_proto::impl_machine!([P: Parser] Connection<P>, Event, Input, Transmit);
