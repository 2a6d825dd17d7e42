//! The decoder in both roles: the events do not depend on how a stream is cut and read, and it buffers no more than the limits allow.

use arbitrary::{Result, Unstructured};
use bytes::BufMut as _;
use engineio_websocket::{Arena, Decoder, Error, Event, Limits, Role};

use super::{limits, stream};
use crate::input::Cuts;

/// Input: role, RSV1, limits, cuts, and a stream.
pub fn websocket_decoder(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let bits = input.arbitrary::<u8>()?;
    let role = if bits & 1 == 1 { Role::Client } else { Role::Server };
    let limits = limits(&mut input)?;
    let decoder = || Decoder::new(role, limits).allow_rsv1(bits & 2 == 2);
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let stream = stream(&mut input, role)?;
    let whole = feed(&mut decoder(), &mut Arena::new(), &stream);
    let sum: usize = whole.0.iter().map(length).sum();
    assert!(sum <= stream.len(), "{sum} bytes from {}", stream.len());
    for event in &whole.0 {
        assert!(length(event) <= limits.max_message || is_control(event), "{event:?}");
    }
    assert_eq!(cut(&limits, decoder(), &stream, cuts.clone(), false), whole, "cut");
    assert_eq!(cut(&limits, decoder(), &stream, cuts.clone(), true), whole, "read directly into the payload buffer");
    cuts.next(&mut &stream[..]);
    assert_eq!(cut(&limits, decoder(), &stream, cuts, true), whole, "in other chunks");
    Ok(())
}

fn length(event: &Event) -> usize {
    match event {
        Event::Text(text) => text.len(),
        Event::Binary(bytes) | Event::Ping(bytes) | Event::Pong(bytes) => bytes.len(),
        Event::Compressed { payload, .. } => payload.len(),
        Event::Close(frame) => frame.as_ref().map_or(0, |frame| frame.reason.len() + 2),
        _ => 0,
    }
}

const fn is_control(event: &Event) -> bool {
    matches!(event, Event::Ping(_) | Event::Pong(_) | Event::Close(_))
}

pub(super) type Outcome = (Vec<Event>, Result<(), Error>);

pub(super) fn feed(decoder: &mut Decoder, arena: &mut Arena, bytes: &[u8]) -> Outcome {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut events = Vec::new();
    loop {
        match decoder.decode(&mut input, arena) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => {
                assert!(input.is_empty(), "the decoder left input although it has no more events");
                return (events, Ok(()));
            }
            Err(error) => {
                assert_eq!(decoder.decode(&mut &mut [][..], arena), Err(error), "errors persist");
                return (events, Err(error));
            }
        }
    }
}

/// Decodes the bytes in chunks. With `direct`, they are written into the buffer that the decoder offers.
pub(super) fn cut(
    limits: &Limits,
    mut decoder: Decoder,
    mut bytes: &[u8],
    mut cuts: Cuts<'_>,
    direct: bool,
) -> Outcome {
    let mut arena = Arena::new();
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let mut piece = cuts.next(&mut bytes);
        if direct && let Some(mut room) = decoder.payload_buffer() {
            let count = room.remaining_mut().min(piece.len());
            room.put_slice(&piece[..count]);
            piece = &piece[count..];
            let (more, result) = feed(&mut decoder, &mut arena, &[]);
            events.extend(more);
            if result.is_err() {
                return (events, result);
            }
        }
        let (more, result) = feed(&mut decoder, &mut arena, piece);
        events.extend(more);
        assert!(decoder.buffered_bytes() <= limits.max_message + 125, "{} kept", decoder.buffered_bytes());
        if result.is_err() {
            return (events, result);
        }
    }
    assert!(!decoder.is_idle() || decoder.buffered_bytes() == 0, "idle, with {} bytes", decoder.buffered_bytes());
    (events, Ok(()))
}
