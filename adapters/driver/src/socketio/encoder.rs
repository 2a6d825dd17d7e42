//! One encoder for each thread.
//!
//! It is taken out while it is used: a value's `Serialize` is user code, and may emit itself.

use std::cell::Cell;

use socketio_proto::{Args, EncodeError, Encoded, Encoder, Outgoing, Parser};

use crate::peer::KEEPING;

thread_local! {
    static ENCODER: Cell<Option<Encoder>> = const { Cell::new(None) };
}

/// What a packet counts against the outbound limit.
pub(crate) fn weight(encoded: &Encoded) -> usize {
    encoded.frames().iter().map(|frame| frame.packet_len().saturating_add(KEEPING)).sum()
}

/// Encodes a packet.
pub(crate) fn encode<P: Parser, A: Args + ?Sized>(
    parser: &P,
    packet: &Outgoing<'_, A>,
) -> Result<Encoded, EncodeError> {
    let mut encoder = ENCODER.take().unwrap_or_default();
    let encoded = parser.encode(packet, &mut encoder);
    ENCODER.set(Some(encoder));
    encoded
}
