//! Packets from an application: every transport of every revision delivers them unchanged (I7).

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use engineio_proto::payload::jsonp::Callback;
use engineio_proto::{Frame, Message, Packet, PacketType, framing, payload};

use super::packet::write_again;
use super::webtransport::decode;
use crate::input::{Cuts, short, short_text};

const TYPES: [PacketType; 7] = [
    PacketType::Message,
    PacketType::Open,
    PacketType::Close,
    PacketType::Ping,
    PacketType::Pong,
    PacketType::Upgrade,
    PacketType::Noop,
];

/// Input: cuts, then packets. A packet is a type (or bytes), the number of repetitions of the data, and the data.
pub fn engine_encode(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let mut packets = Vec::new();
    let mut bytes = 0;
    while !input.is_empty() && packets.len() < 20 && bytes < 100_000 {
        let packet = packet(&mut input)?;
        bytes += packet.data.len();
        packets.push(packet);
    }
    packets.iter().for_each(write_again);
    super::payload::write_again(&packets);

    let mut stream = Vec::new();
    for packet in &packets {
        let frame = Frame::from(packet.clone());
        // A frame of length 0 is an error, so the packet is encoded as a session does it.
        let frame = if frame.packet_len() == 0 { frame.into_base64() } else { frame };
        stream.extend_from_slice(framing::header(&frame).as_bytes());
        stream.extend_from_slice(frame.head());
        stream.extend_from_slice(frame.data());
    }
    assert_eq!(decode(usize::MAX, &cuts.all(&stream)), (packets.clone(), None));

    // The argument of the script's callback is the payload.
    let frames: Vec<Frame> = packets.into_iter().map(Frame::from).collect();
    let mut body = BytesMut::new();
    payload::encode(&frames, &mut body);
    let mut script = BytesMut::new();
    Callback::from_query("7").encode(&body, &mut script);
    assert_eq!(super::jsonp::argument(&script, "7").as_bytes(), &body[..]);
    Ok(())
}

fn packet(input: &mut Unstructured<'_>) -> Result<Packet> {
    let kind = input.choose_index(TYPES.len() + 3)?;
    // Lengths around those at which a header grows.
    let times = match input.arbitrary::<u8>()? {
        0xff => 300,
        0xfe => 60,
        times => usize::from(times % 4) + 1,
    };
    if kind >= TYPES.len() {
        return Ok(Packet::from(Message::Binary(Bytes::from(short(input)?.repeat(times)))));
    }
    Ok(Packet { packet_type: TYPES[kind], data: Message::Text(short_text(input)?.repeat(times).into()) })
}
