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

/// Encodes a packet of at most so many attachments: as many as the server takes, or what it has taken could not be passed on.
pub(crate) fn encode<P: Parser, A: Args + ?Sized>(
    parser: &P,
    max_attachments: u8,
    packet: &Outgoing<'_, A>,
) -> Result<Encoded, EncodeError> {
    let encode = |encoder: &mut Encoder| {
        // The thread may serve other servers too.
        encoder.set_max_attachments(max_attachments);
        parser.encode(packet, encoder)
    };
    ENCODER.with(|encoder| match encoder.try_borrow_mut() {
        Ok(mut encoder) => encode(&mut encoder),
        // A value's `Serialize` is user code, and may emit itself.
        Err(_) => encode(&mut Encoder::new()),
    })
}
