//! Frames written by hand, and helpers that decode them.

use engineio_websocket::{Arena, Decoder, Error, Event, Limits, Role, apply_mask};

/// First bytes of frames.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame of a client: masked, with the length in its shortest form.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0xa1, 0x5e, 0x03, 0xff];
    let mut masked = payload.to_vec();
    apply_mask(&mut masked, key);
    [&header(first, 0x80, payload.len())[..], &key, &masked].concat()
}

/// A frame of a server: not masked.
pub(crate) fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&header(first, 0, payload.len())[..], payload].concat()
}

/// A header without the masking key.
pub(crate) fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(mask | u8::try_from(length).unwrap()),
        126..0x1_0000 => {
            bytes.push(mask | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes
}

/// The events that a decoder emitted, and the error that ended it, if any.
pub(crate) type Outcome = (Vec<Event>, Result<(), Error>);

/// Decodes all of `bytes` at once.
pub(crate) fn feed(decoder: &mut Decoder, arena: &mut Arena, bytes: &[u8]) -> Outcome {
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
            Err(error) => return (events, Err(error)),
        }
    }
}

/// Returns the events in `bytes`, which must be valid.
pub(crate) fn good(decoder: &mut Decoder, arena: &mut Arena, bytes: &[u8]) -> Vec<Event> {
    let (events, result) = feed(decoder, arena, bytes);
    assert_eq!(result, Ok(()));
    events
}

/// The result of a server with the default limits that decodes `bytes`.
pub(crate) fn server(bytes: &[u8]) -> Outcome {
    feed(&mut Decoder::new(Role::Server, Limits::default()), &mut Arena::new(), bytes)
}

/// The result of a client with the default limits that decodes `bytes`.
pub(crate) fn client(bytes: &[u8]) -> Outcome {
    feed(&mut Decoder::new(Role::Client, Limits::default()), &mut Arena::new(), bytes)
}

pub(crate) fn text(text: &str) -> Event {
    Event::Text(text.into())
}

pub(crate) fn binary(bytes: &[u8]) -> Event {
    Event::Binary(bytes.to_vec().into())
}
