//! Assembles received messages into packets, and counts the bytes that each packet was received in.

use engineio_proto::Message;

use crate::error::DecodeError;
use crate::packet::Packet;
use crate::parser::Decoder;

/// A decoder, and the bytes of the packet whose attachments are incomplete.
#[derive(Debug)]
pub(crate) struct Assembly<D> {
    decoder: D,
    gathered: usize,
}

impl<D: Decoder> Assembly<D> {
    pub(crate) const fn new(decoder: D) -> Self {
        Self { decoder, gathered: 0 }
    }

    /// Takes a message. Returns the packet that it completes.
    // The packet is not moved once more, neither here nor into a pair with its bytes: most of what a server does is to receive packets.
    #[inline(always)]
    pub(crate) fn receive(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        self.gathered = self.gathered.saturating_add(message.len());
        self.decoder.decode(message)
    }

    /// The bytes of all messages of the packet that [`Assembly::receive`] has returned last.
    #[inline]
    pub(crate) fn take_bytes(&mut self) -> usize {
        core::mem::take(&mut self.gathered)
    }
}
