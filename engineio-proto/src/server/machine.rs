//! [`ServerMachine`], which adds to [`Machine`] what the driver of a server needs. Implements both for [`Session`].

use bytes::Bytes;

use super::{Input, LinkDownCause, Session, Transmit};
use crate::event::{Event, LinkKind};
use crate::id::LinkId;
use crate::machine::{LinkInput, Machine};
use crate::message::Message;

/// The machine of one peer, server side: a [`Session`], or a machine that owns one.
pub trait ServerMachine: Machine<Input = Input, Transmit = Transmit> {
    /// The session. It has the id, the settings, the transport, and [`Session::admit`].
    fn session(&self) -> &Session;
}

impl ServerMachine for Session {
    fn session(&self) -> &Session {
        self
    }
}

impl LinkInput for Input {
    fn link_up(link: LinkId, kind: LinkKind) -> Self {
        Self::LinkUp { link, kind }
    }

    #[inline]
    fn link_message(link: LinkId, message: Message) -> Self {
        Self::LinkMessage { link, message }
    }

    fn link_bytes(link: LinkId, chunk: Bytes) -> Self {
        Self::LinkBytes { link, chunk }
    }

    fn link_down(link: LinkId, cause: LinkDownCause) -> Self {
        Self::LinkDown { link, cause }
    }
}

crate::impl_machine!([] Session, Event, Input, Transmit);
