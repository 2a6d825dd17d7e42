//! WebSocket: the decoder, compression, two connections with each other, one connection with an arbitrary peer, and the handshake.

mod connection;
mod decoder;
mod deflate;
mod handshake;
mod pair;

pub use self::connection::websocket_connection;
pub use self::decoder::websocket_decoder;
pub use self::deflate::websocket_deflate;
pub use self::handshake::websocket_handshake;
pub use self::pair::websocket_pair;

use arbitrary::{Result, Unstructured};
use engineio_websocket::{Limits, Role, apply_mask};

use crate::input::{rest, short};

/// Returns small limits, or the defaults.
fn limits(input: &mut Unstructured<'_>) -> Result<Limits> {
    Ok(if input.arbitrary::<bool>()? {
        Limits::default()
            .with_max_message(input.arbitrary::<u16>()?.into())
            .with_max_fragments(u32::from(input.arbitrary::<u8>()?))
    } else {
        Limits::default()
    })
}

/// Generates a stream for an end with this role: arbitrary bytes, or frames with correct lengths.
fn stream(input: &mut Unstructured<'_>, role: Role) -> Result<Vec<u8>> {
    if input.arbitrary::<bool>()? {
        return Ok(rest(input)?.to_vec());
    }
    let mut stream = Vec::new();
    while !input.is_empty() {
        let first = input.arbitrary::<u8>()?;
        let times = match input.arbitrary::<u8>()? {
            // Large enough to be read directly into the payload buffer.
            0xff => 300,
            0xfe => 16,
            times => usize::from(times % 3) + 1,
        };
        let payload = short(input)?.repeat(times);
        frame(&mut stream, first, payload, role);
    }
    Ok(stream)
}

/// Appends a frame with this first byte. It is masked if a server receives it.
fn frame(stream: &mut Vec<u8>, first: u8, mut payload: Vec<u8>, role: Role) {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    stream.push(first);
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => stream.push(mask | length.to_be_bytes()[1]),
        Ok(length) => {
            stream.push(mask | 126);
            stream.extend(length.to_be_bytes());
        }
        Err(_) => {
            stream.push(mask | 127);
            stream.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if role == Role::Server {
        let key = [first, 0x5e, 0x03, 0xff];
        stream.extend(key);
        apply_mask(&mut payload, key);
    }
    stream.extend(payload);
}
