//! One packet, revisions 3 and 4: every accepted packet is encoded and decoded unchanged (I7).

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use engineio_proto::{Frame, Message, Packet, PacketType};

use super::on_link;
use crate::input::{rest, rest_text};

/// Input: a byte that selects text or binary, then the message.
pub fn engine_packet(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let message = if input.arbitrary::<bool>()? {
        Message::Binary(Bytes::copy_from_slice(rest(&mut input)?))
    } else {
        Message::Text(rest_text(&mut input)?)
    };
    let length = message.len();
    for decoded in [Packet::decode(message.clone()), Packet::decode_v3(message)].into_iter().flatten() {
        assert!(decoded.data.len() <= length, "{decoded:?} from {length} bytes");
        write_again(&decoded);
    }
    Ok(())
}

/// Checks that every encoding of a packet is decoded as the same packet.
pub(super) fn write_again(packet: &Packet) {
    if matches!(packet.data, Message::Binary(_)) {
        assert_eq!(packet.packet_type, PacketType::Message, "only messages are binary");
    }
    let frame = Frame::from(packet.clone());
    for fourth in [frame.clone(), frame.clone().into_base64()] {
        assert_eq!(Packet::decode(on_link(&fourth)).as_ref(), Ok(packet), "{fourth:?}");
    }
    let third = frame.clone().into_v3();
    let in_base64 = [third.clone().into_base64(), frame.into_base64().into_v3()];
    for third in in_base64.iter().chain([&third]) {
        assert_eq!(Packet::decode_v3(on_link(third)).as_ref(), Ok(packet), "{third:?}");
    }
    assert_eq!(in_base64[0], in_base64[1]);
}
