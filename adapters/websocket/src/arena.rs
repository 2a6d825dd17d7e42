//! Where small payloads live: one block of memory that many messages share.
//!
//! A message must outlive the read buffer it arrived in, and an allocation for every small message would cost more
//! than decoding it. So small payloads are copied, one behind the other, into a block; each message is a counted
//! slice of it. When the block is full and all its slices were dropped, which is the usual case, it is used again
//! from the start; otherwise its slices keep it and a new block begins.

use bytes::{Bytes, BytesMut};

/// Size of a block in bytes, unless [`Arena::with_block`] says otherwise.
const DEFAULT_BLOCK: usize = 8 * 1024;

/// A payload larger than this fraction of a block gets memory of its own: a block must hold several, and a large
/// payload pays for its allocation.
const SHARE: usize = 4;

/// Memory for small payloads, shared by all connections of a thread.
///
/// A payload of at most a quarter of the block (2 KiB by default) is copied into the block and handed out as a slice
/// of it; a larger one gets an allocation of exactly its size. In the steady state, where messages are dropped before
/// the block is full, storing allocates nothing.
///
/// A slice that is kept pins its whole block, so an application that keeps one small message for long holds at most
/// one block for it. Copy the message if that matters.
///
/// An arena that was not used yet holds no memory.
#[derive(Debug)]
pub struct Arena {
    /// What was gathered, empty between calls of the decoder; its capacity is what is left of the block.
    room: BytesMut,
    block: usize,
}

impl Arena {
    /// An arena with blocks of 8 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_block(DEFAULT_BLOCK)
    }

    /// An arena with blocks of `block` bytes; the default is 8192. A payload of at most a quarter of the block shares it, and a larger one
    /// has memory of its own, so a block of 64 bytes serves payloads of up to 16. With less than 4 every payload has memory of its own.
    ///
    /// The block is allocated in one piece, for the first payload that shares it: a size that the allocator cannot give ends the
    /// program then.
    #[must_use]
    pub fn with_block(block: usize) -> Self {
        Self { room: BytesMut::new(), block }
    }

    /// The largest payload, in bytes, that is put into the shared block.
    #[must_use]
    pub fn largest_shared(&self) -> usize {
        self.block / SHARE
    }

    /// Copies `payload` and returns the copy: a slice of the block, or memory of its own if it is large.
    #[inline]
    pub fn store(&mut self, payload: &[u8]) -> Bytes {
        if payload.len() > self.largest_shared() {
            return Bytes::copy_from_slice(payload);
        }
        if payload.is_empty() {
            // An empty slice of the block would pin the block for nothing.
            return Bytes::new();
        }
        if self.room.capacity() < payload.len() {
            self.begin_block();
        }
        self.room.extend_from_slice(payload);
        self.room.split().freeze()
    }

    /// Whether so many bytes fit behind what was gathered; begins a new block for the first ones.
    #[inline]
    pub(crate) fn has_room(&mut self, length: usize) -> bool {
        let gathered = self.room.len();
        if self.room.capacity().saturating_sub(gathered) >= length {
            return true;
        }
        if gathered == 0 && length <= self.largest_shared() {
            self.begin_block();
            return true;
        }
        false
    }

    /// Adds bytes for which there [is room](Self::has_room) to what [`Arena::take`] will return.
    #[inline]
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        self.room.extend_from_slice(bytes);
    }

    /// Takes what was gathered. Nothing may be stored before.
    #[inline]
    pub(crate) fn take(&mut self) -> Bytes {
        self.room.split().freeze()
    }

    /// Starts at the front of the block again, or with a new one if a slice of this one is still alive.
    #[cold]
    fn begin_block(&mut self) {
        if !self.room.try_reclaim(self.block) {
            self.room = BytesMut::with_capacity(self.block);
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn block_is_used_again_when_its_slices_were_dropped() {
        let mut arena = Arena::with_block(64);
        let first = arena.store(b"0123456789abcdef").as_ptr();
        for _ in 0..3 {
            arena.store(b"0123456789abcdef");
        }
        assert_eq!(arena.store(b"0123456789abcdef").as_ptr(), first);
    }

    #[test]
    fn slices_that_are_kept_are_never_overwritten() {
        let mut arena = Arena::with_block(64);
        let kept: Vec<_> = (0..100_u8).map(|n| (n, arena.store(&[n; 10]))).collect();
        for (n, slice) in kept {
            assert_eq!(slice, vec![n; 10]);
        }
    }

    #[test]
    fn large_and_empty_payloads_stay_out_of_the_block() {
        let mut arena = Arena::with_block(64);
        assert_eq!(arena.store(&[7; 17]), vec![7; 17]);
        assert!(arena.store(&[]).is_empty());
        assert_eq!(arena.room.capacity(), 0);
    }
}
