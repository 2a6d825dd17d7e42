//! What one end of a peer has to say: packets in their order, and beside them what is no packet of a link.
//!
//! Packets are limited by their weight: one that does not fit is refused ([`SendError::Full`]), and the sender hears of it when half of the
//! room is free again. What is said beside them (answers, the ends of links) is one each for something that was handed in, so that
//! it needs no limit.

use crate::config::Limits;
use crate::error::SendError;
use crate::packet::Frame;
use crate::queue::{Queue, Weigh as _, WeighedQueue};

/// What waits to be polled; `T` is what is said beside packets.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    packets: WeighedQueue<Frame>,
    control: Queue<T>,
    /// Whether a packet was refused for lack of room, and nobody was told yet that there is room again.
    refused: bool,
}

impl<T> Outbox<T> {
    pub(crate) const fn new() -> Self {
        Self { packets: WeighedQueue::new(), control: Queue::new(), refused: false }
    }

    /// Whether these packets fit, when `waiting` bytes wait already, here or elsewhere. Anything fits when nothing waits.
    #[inline]
    pub(crate) fn check_room(&mut self, frames: &[Frame], waiting: usize, limits: &Limits) -> Result<(), SendError> {
        if waiting > 0 {
            let sum = |sum: usize, frame: &Frame| sum.saturating_add(frame.weight());
            if frames.iter().fold(waiting, sum) > limits.max_outbound {
                self.refused = true;
                return Err(SendError::Full);
            }
        }
        Ok(())
    }

    /// Whether a refusal is still to be made up for.
    #[inline]
    pub(crate) const fn has_refused(&self) -> bool {
        self.refused
    }

    /// Whether it is time to say that there is room again; true once for each refusal.
    pub(crate) const fn take_writable(&mut self, waiting: usize, limits: &Limits) -> bool {
        let writable = self.refused && waiting <= limits.max_outbound / 2;
        self.refused &= !writable;
        writable
    }

    #[inline]
    pub(crate) fn push(&mut self, frame: Frame) {
        self.packets.push(frame);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        self.packets.pop()
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<&Frame> {
        self.packets.first()
    }

    #[inline]
    pub(crate) fn drop_first(&mut self) {
        self.packets.drop_first();
    }

    /// All packets that wait.
    pub(crate) fn packets(&self) -> impl Iterator<Item = &Frame> + Clone {
        self.packets.iter()
    }

    /// Whether no packet waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes of the packets that wait.
    #[inline]
    pub(crate) const fn weight(&self) -> usize {
        self.packets.weight()
    }

    /// Forgets the packets.
    pub(crate) fn clear(&mut self) {
        self.packets.clear();
    }

    pub(crate) fn push_control(&mut self, item: T) {
        self.control.push(item);
    }

    #[inline]
    pub(crate) fn pop_control(&mut self) -> Option<T> {
        self.control.pop()
    }

    #[inline]
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Gives memory back that a quiet peer has no use for.
    pub(crate) fn release(&mut self) {
        self.packets.release();
        self.control.release();
    }
}
