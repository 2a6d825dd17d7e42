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

    /// Takes a message. Returns the packet that it completes, and the bytes of all messages of that packet.
    #[inline]
    pub(crate) fn receive(&mut self, message: Message) -> Result<Option<(Packet, usize)>, DecodeError> {
        self.gathered = self.gathered.saturating_add(message.len());
        let packet = self.decoder.decode(message)?;
        Ok(packet.map(|packet| (packet, core::mem::take(&mut self.gathered))))
    }
}
