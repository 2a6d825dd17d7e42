//! One encoder per thread.

use std::cell::RefCell;

use engineio_proto::Frame;
use socketio_proto::{Args, EncodeError, Encoded, Encoder, Outgoing, Parser};

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

/// The number of bytes that a packet counts towards the outbound limit.
#[inline]
pub(crate) fn weight(encoded: &Encoded) -> usize {
    match encoded {
        Encoded::One(frame) => frame.queued_len(),
        Encoded::Many(frames) => frames.iter().map(Frame::queued_len).sum(),
    }
}

/// Same as [`encode`], with this encoder.
pub(crate) fn encode_with<P: Parser, A: Args + ?Sized>(
    parser: &P,
    max_attachments: u8,
    packet: &Outgoing<'_, A>,
    encoder: &mut Encoder,
) -> Result<Encoded, EncodeError> {
    // The thread may run other servers as well.
    encoder.set_max_attachments(max_attachments);
    parser.encode(packet, encoder)
}

/// Encodes a packet with at most `max_attachments` attachments. This is the server's inbound limit, so that every accepted
/// packet can be relayed.
pub(crate) fn encode<P: Parser, A: Args + ?Sized>(
    parser: &P,
    max_attachments: u8,
    packet: &Outgoing<'_, A>,
) -> Result<Encoded, EncodeError> {
    let encode = |encoder: &mut Encoder| encode_with(parser, max_attachments, packet, encoder);
    ENCODER.with(|encoder| match encoder.try_borrow_mut() {
        Ok(mut encoder) => encode(&mut encoder),
        // A `Serialize` implementation is user code, and may emit an event itself.
        Err(_) => encode(&mut Encoder::new()),
    })
}
