//! One encoder for each thread.

use std::cell::RefCell;

use engineio_proto::Frame;
use socketio_proto::{Args, EncodeError, Encoded, Encoder, Outgoing, Parser};

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

/// What a packet counts against the outbound limit.
pub(crate) fn weight(encoded: &Encoded) -> usize {
    encoded.frames().iter().map(Frame::queued_len).sum()
}

/// Encodes a packet.
pub(crate) fn encode<P: Parser, A: Args + ?Sized>(
    parser: &P,
    packet: &Outgoing<'_, A>,
) -> Result<Encoded, EncodeError> {
    ENCODER.with(|encoder| match encoder.try_borrow_mut() {
        Ok(mut encoder) => parser.encode(packet, &mut encoder),
        // A value's `Serialize` is user code, and may emit itself.
        Err(_) => parser.encode(packet, &mut Encoder::new()),
    })
}
