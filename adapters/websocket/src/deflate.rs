//! Compresses and inflates messages for permessage-deflate (RFC 7692 section 7.2), without context takeover: every message stands for
//! itself, and nothing is kept between two of them.
//!
//! The last four bytes of a compressed message are always the same. The sender cuts them off, and the receiver appends them. They end an
//! empty block, which shows that the message is whole.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::error::Error;

/// What follows a compressed message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The least memory reserved for an inflated message.
const FIRST_RESERVE: usize = 1024;

/// A larger output buffer of a [`Deflater`] is freed after the message.
const KEPT_BUFFER: usize = 64 * 1024;

/// A message may have this many blocks with Huffman codes, whatever its size. The tables of each one cost some 4 µs, so a stream of small
/// messages costs no more than one of large messages.
const FREE_BLOCKS: usize = 4;

/// A message may have one more such block for each so many bytes, compressed and inflated together.
const BYTES_PER_BLOCK: usize = 32;

/// The level of compression. The next level takes two to five times as long, for a tenth less.
const LEVEL: i32 = 1;

/// Raw deflate, without the header of zlib.
const RAW: i32 = -15;

const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
    | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
    | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

/// Inflates the payload of a message that came in this many frames, to at most `max` bytes.
///
/// Blocks marked as the last one may be followed by others (RFC 7692 section 7.2.3.4). A message without any block is empty, as for
/// Node's `ws`.
pub(crate) fn inflate(payload: &[u8], frames: usize, max: usize) -> Result<Vec<u8>, Error> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    // One byte more than the limit, to see that a message exceeds it.
    let end = max.saturating_add(1);
    let mut inflater = Box::<DecompressorOxide>::default();
    let mut out = vec![0; payload.len().saturating_mul(4).max(FIRST_RESERVE).min(end)];
    let mut length: usize = 0;
    let mut blocks: usize = 0;
    let mut input = payload;
    let mut in_tail = false;
    let mut begins_block = true;
    loop {
        if begins_block && has_codes(&inflater, input) {
            blocks = blocks.saturating_add(1);
            // Node's `ws` ends a block with each frame.
            let allowed = FREE_BLOCKS.saturating_add(frames);
            if blocks > allowed.saturating_add(payload.len().saturating_add(length) / BYTES_PER_BLOCK) {
                return Err(Error::TooManyBlocks);
            }
        }
        let (status, consumed, written) = decompress(&mut inflater, input, &mut out, length, FLAGS);
        input = input.get(consumed..).unwrap_or_default();
        length = length.saturating_add(written);
        begins_block = matches!(status, TINFLStatus::BlockBoundary | TINFLStatus::Done);
        if length > max {
            return Err(Error::MessageTooBig);
        }
        if in_tail && written > 0 {
            // It is part of a block that was cut off.
            return Err(Error::Deflate);
        }
        match status {
            TINFLStatus::HasMoreOutput => {
                let size = out.len().saturating_mul(2).min(end);
                out.reserve_exact(size.saturating_sub(out.len()));
                out.resize(size, 0);
            }
            TINFLStatus::NeedsMoreInput if !in_tail => {
                input = &TAIL;
                in_tail = true;
            }
            TINFLStatus::BlockBoundary | TINFLStatus::Done => {
                if input.is_empty() && (in_tail || status == TINFLStatus::Done) {
                    out.truncate(length);
                    return Ok(out);
                }
                if status == TINFLStatus::Done {
                    inflater.init();
                }
            }
            _ => return Err(Error::Deflate),
        }
    }
}

/// Whether the block that begins here is one with Huffman codes, and not one of plain bytes.
fn has_codes(inflater: &DecompressorOxide, input: &[u8]) -> bool {
    // Up to seven bits of its header were read with the block before it.
    let (count, bits) = inflater.block_boundary_state().map_or((0, 0), |state| (state.num_bits, state.bit_buf));
    // If nothing is left, the tail follows, which is zero.
    let next = u16::from(input.first().copied().unwrap_or_default());
    let header = u16::from(bits) | next << count.min(7);
    // The first bit tells whether it is the last block, the next two are its type.
    header & 0b110 != 0
}

/// Compresses messages for permessage-deflate.
///
/// It takes about 300 KiB, and carries nothing from one message to the next. So one of a thread can serve all its connections.
///
/// ```
/// use bytes::BytesMut;
/// use engineio_websocket::{Deflater, FrameKind, Opcode, encode_frame};
///
/// let text = "to be or not to be, that is to be the question ".repeat(100);
/// let mut deflater = Deflater::new();
/// let mut out = BytesMut::new();
/// match deflater.deflate(&[text.as_bytes()]) {
///     Some(payload) => encode_frame(&mut out, FrameKind { opcode: Opcode::Text, fin: true, rsv1: true }, &payload, None),
///     None => encode_frame(&mut out, Opcode::Text.into(), text.as_bytes(), None),
/// }
/// assert!(out.len() < text.len() / 10);
/// ```
pub struct Deflater {
    compressor: Box<CompressorOxide>,
    out: Vec<u8>,
}

impl Deflater {
    /// Allocates a compressor. It is tuned for speed, like level 1 of zlib.
    #[must_use]
    pub fn new() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, 0);
        Self { compressor: Box::new(CompressorOxide::new(flags)), out: Vec::new() }
    }

    /// Compresses the message whose bytes are in `parts`, such as the header of a packet and its data. Returns the payload of its frame,
    /// whose header has RSV1 set.
    ///
    /// Returns `None` if that is not smaller than the message: send it as it is then. The reach of the compression is 32 KiB. If less was
    /// agreed on, only compress messages for which [`Deflate::takes`](crate::handshake::Deflate::takes) returns true.
    #[must_use]
    pub fn deflate(&mut self, parts: &[&[u8]]) -> Option<Bytes> {
        let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        self.compressor.reset();
        self.out.clear();
        // Room for the tail too, but not for as many bytes as the message has: a full buffer means that it got no smaller.
        self.out.resize(length.saturating_add(TAIL.len()), 0);
        let payload = self.compress(parts).map(Bytes::copy_from_slice);
        if self.out.capacity() > KEPT_BUFFER {
            self.out = Vec::new();
        }
        payload
    }

    fn compress(&mut self, parts: &[&[u8]]) -> Option<&[u8]> {
        let mut written: usize = 0;
        let pieces = parts.iter().map(|part| (*part, TDEFLFlush::None)).chain([(&[][..], TDEFLFlush::Sync)]);
        for (mut input, flush) in pieces {
            loop {
                let room = self.out.get_mut(written..).filter(|room| !room.is_empty())?;
                let (status, consumed, added) = compress(&mut self.compressor, input, room, flush);
                written = written.saturating_add(added);
                input = input.get(consumed..).unwrap_or_default();
                if status != TDEFLStatus::Okay || written >= self.out.len() {
                    return None;
                }
                if input.is_empty() {
                    break;
                }
            }
        }
        self.out.get(..written)?.strip_suffix(&TAIL)
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}
