//! Storage for small payloads: one block of memory that many messages share.
//!
//! A message must outlive the read buffer it arrived in, and allocating memory for every small message would cost more than decoding it.
//! So small payloads are copied into a block, one behind the other, and each message is a reference-counted slice of the block. When a
//! full block has no slices left, which is the usual case, it is reused from the start. Otherwise its slices keep it alive and a new
//! block is allocated.

use bytes::{Bytes, BytesMut};

/// Default size of a block in bytes. [`Arena::with_block`] sets another one.
const DEFAULT_BLOCK: usize = 8 * 1024;

/// A payload larger than this fraction of a block gets its own allocation: a block must hold several payloads, and for a large payload
/// the cost of an allocation does not matter.
const SHARE: usize = 4;

/// Memory for small payloads, shared by all connections of a thread.
///
/// A payload of at most a quarter of the block (2 KiB by default) is copied into the block and returned as a slice of it. A larger
/// payload gets an allocation of exactly its size. In the steady state, where messages are dropped before the block is full, storing
/// allocates nothing.
///
/// A slice keeps its whole block alive. An application that keeps one small message for a long time therefore holds up to one block for
/// it. Copy the message if that matters.
///
/// A new arena holds no memory until the first payload is stored.
#[derive(Debug)]
pub struct Arena {
    /// The bytes gathered so far, empty between calls of the decoder. The capacity is the unused rest of the block.
    room: BytesMut,
    block: usize,
}

impl Arena {
    /// Creates an arena with blocks of 8 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_block(DEFAULT_BLOCK)
    }

    /// Creates an arena with blocks of `block` bytes. The default is 8192.
    ///
    /// Payloads of at most a quarter of the block share it, so a block of 64 bytes serves payloads of up to 16 bytes. Larger payloads get
    /// their own allocation. With a block of less than 4 bytes, every payload does.
    ///
    /// The block is allocated in one piece when the first payload is stored in it. The program aborts then if the allocator cannot
    /// provide it.
    #[must_use]
    pub fn with_block(block: usize) -> Self {
        Self { room: BytesMut::new(), block }
    }

    /// The largest payload, in bytes, that is stored in the shared block.
    #[must_use]
    pub fn largest_shared(&self) -> usize {
        self.block / SHARE
    }

    /// Copies `payload` and returns the copy: a slice of the block, or a separate allocation if it is large.
    #[inline]
    pub fn store(&mut self, payload: &[u8]) -> Bytes {
        if payload.len() > self.largest_shared() {
            return Bytes::copy_from_slice(payload);
        }
        if payload.is_empty() {
            // An empty slice of the block would keep the block alive for nothing.
            return Bytes::new();
        }
        if self.room.capacity() < payload.len() {
            self.begin_block();
        }
        self.room.extend_from_slice(payload);
        self.room.split().freeze()
    }

    /// Returns whether `length` more bytes fit behind the gathered ones. Begins a new block if nothing is gathered yet.
    #[inline]
    pub(crate) fn has_capacity(&mut self, length: usize) -> bool {
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

    /// Appends bytes to what [`Arena::take`] returns. The caller has checked [`has_capacity`](Self::has_capacity).
    #[inline]
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        self.room.extend_from_slice(bytes);
    }

    /// Takes the gathered bytes. `store` must not be called between `gather` and `take`.
    #[inline]
    pub(crate) fn take(&mut self) -> Bytes {
        self.room.split().freeze()
    }

    /// Starts again at the front of the block, or allocates a new block if a slice of this one is still alive.
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
