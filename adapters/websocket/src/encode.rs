//! Encodes frames. Each function appends one whole frame to a buffer.
//!
//! A server passes `None` as the mask. A client passes a fresh key for every frame, which the author of the payload must not be able to
//! guess: see [`MaskKeys`](crate::MaskKeys). A [`BufMut`] that cannot grow panics when it is full. Use `Vec<u8>` or `BytesMut`.

use bytes::BufMut;

use crate::close::{MAX_REASON, is_valid_close_code};
use crate::frame::{FrameKind, MAX_CONTROL, Opcode, encode_header};
use crate::mask::apply_mask;

/// Number of bytes masked at a time, on the stack. A multiple of four, so that every piece begins with the first byte of the key.
const MASK_PIECE: usize = 256;

/// Why a control frame was not written. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload of a ping or pong is longer than 125 bytes, or the reason of a close frame is longer than 123.
    #[error("a control frame holds at most 125 bytes")]
    ControlTooLong,
    /// The code may not be sent, see [`is_valid_close_code`].
    #[error("{0} is not a valid close code")]
    CloseCode(u16),
}

/// Appends a text message in one frame.
#[inline]
pub fn encode_text(out: &mut impl BufMut, text: &str, mask: Option<[u8; 4]>) {
    encode_frame(out, Opcode::Text.into(), text.as_bytes(), mask);
}

/// Appends a binary message in one frame.
#[inline]
pub fn encode_binary(out: &mut impl BufMut, data: &[u8], mask: Option<[u8; 4]>) {
    encode_frame(out, Opcode::Binary.into(), data, mask);
}

/// Appends a ping.
///
/// # Errors
/// If the payload is longer than 125 bytes.
pub fn encode_ping(out: &mut impl BufMut, payload: &[u8], mask: Option<[u8; 4]>) -> Result<(), EncodeError> {
    encode_control(out, Opcode::Ping, payload, mask)
}

/// Appends a pong.
///
/// # Errors
/// If the payload is longer than 125 bytes.
pub fn encode_pong(out: &mut impl BufMut, payload: &[u8], mask: Option<[u8; 4]>) -> Result<(), EncodeError> {
    encode_control(out, Opcode::Pong, payload, mask)
}

/// Appends a close frame with a code and a reason, or an empty one. No frame may follow it.
///
/// # Errors
/// If the code may not be sent, or the reason is longer than 123 bytes.
pub fn encode_close(
    out: &mut impl BufMut,
    close: Option<(u16, &str)>,
    mask: Option<[u8; 4]>,
) -> Result<(), EncodeError> {
    let Some((code, reason)) = close else {
        return encode_control(out, Opcode::Close, &[], mask);
    };
    if !is_valid_close_code(code) {
        return Err(EncodeError::CloseCode(code));
    }
    let mut payload = [0; MAX_CONTROL];
    let length = reason.len().saturating_add(2);
    let (Some(payload), true) = (payload.get_mut(..length), reason.len() <= MAX_REASON) else {
        return Err(EncodeError::ControlTooLong);
    };
    let (mut front, mut rest) = payload.split_at_mut(2);
    front.put_u16(code);
    rest.put_slice(reason.as_bytes());
    encode_control(out, Opcode::Close, payload, mask)
}

fn encode_control(
    out: &mut impl BufMut,
    opcode: Opcode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) -> Result<(), EncodeError> {
    if payload.len() > MAX_CONTROL {
        return Err(EncodeError::ControlTooLong);
    }
    encode_frame(out, opcode.into(), payload, mask);
    Ok(())
}

/// Appends any frame, such as a fragment of a message or a frame with the bit of a compression extension. The other functions are simpler
/// for everything else.
///
/// Does not check that the frame may follow the frames before it, nor that a control frame has at most 125 bytes.
#[inline]
pub fn encode_frame(out: &mut impl BufMut, kind: FrameKind, payload: &[u8], mask: Option<[u8; 4]>) {
    encode_header(out, kind, payload.len(), mask);
    let Some(key) = mask else {
        return out.put_slice(payload);
    };
    let mut piece = [0; MASK_PIECE];
    for plain in payload.chunks(MASK_PIECE) {
        let Some(masked) = piece.get_mut(..plain.len()) else { continue };
        masked.copy_from_slice(plain);
        apply_mask(masked, key);
        out.put_slice(masked);
    }
}
