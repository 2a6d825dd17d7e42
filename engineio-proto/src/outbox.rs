//! The outbound queue of a machine: packets in their order, and separately the outputs that are not packets of a link.
//!
//! Packets are limited by their weight. One that does not fit is refused ([`SendError::Full`]), and the machine emits an event when at
//! least half of the capacity is free again. The other outputs (replies, closes of links) are at most one for each request or link that
//! was passed in, so they need no limit.

use crate::config::Limits;
use crate::error::SendError;
use crate::packet::Frame;
use crate::queue::{Queue, WeighedQueue};

/// The outputs that wait to be polled. `T` is the type of those that are not packets.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    packets: WeighedQueue<Frame>,
    control: Queue<T>,
    /// Whether a packet was refused for lack of capacity, and no event has reported yet that there is capacity again.
    refused: bool,
}

impl<T> Outbox<T> {
    pub(crate) const fn new() -> Self {
        Self { packets: WeighedQueue::new(), control: Queue::new(), refused: false }
    }

    /// Checks whether packets of this weight fit if `waiting` bytes wait already, here or elsewhere. Everything fits if nothing waits.
    #[inline]
    pub(crate) fn check_capacity(&mut self, weight: usize, waiting: usize, limits: &Limits) -> Result<(), SendError> {
        if waiting > 0 && waiting.saturating_add(weight) > limits.max_outbound {
            self.refused = true;
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Whether a packet was refused since the last time that [`Outbox::take_writable`] returned true.
    #[inline]
    pub(crate) const fn has_refused(&self) -> bool {
        self.refused
    }

    /// Whether to report that there is capacity again. After a refusal, returns true once.
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

    /// The weight of the packets that wait.
    #[inline]
    pub(crate) const fn weight(&self) -> usize {
        self.packets.weight()
    }

    /// Drops the packets.
    pub(crate) fn clear(&mut self) {
        self.packets.clear();
    }

    /// Takes the packets out.
    pub(crate) fn take_packets(&mut self) -> WeighedQueue<Frame> {
        core::mem::replace(&mut self.packets, WeighedQueue::new())
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

    /// Frees memory that a quiet peer does not need.
    pub(crate) fn release(&mut self) {
        self.packets.release();
        self.control.release();
    }
}
