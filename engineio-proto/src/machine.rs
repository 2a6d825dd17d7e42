//! [`Machine`], the trait of the methods that all machines share, and [`LinkInput`], the inputs that they share.

use bytes::Bytes;

use crate::event::{LinkDownCause, LinkKind};
use crate::id::LinkId;
use crate::message::Message;
use crate::packet::Frame;
use crate::time::Instant;

/// The inputs about links, which servers and clients share, so that one driver can serve both.
pub trait LinkInput {
    /// A link is up. On a client, the machine knows its kind already.
    fn link_up(link: LinkId, kind: LinkKind) -> Self;

    /// A WebSocket delivered a message.
    fn link_message(link: LinkId, message: Message) -> Self;

    /// A WebTransport stream delivered bytes.
    fn link_bytes(link: LinkId, chunk: Bytes) -> Self;

    /// A link went down.
    fn link_down(link: LinkId, cause: LinkDownCause) -> Self;
}

/// The machine of one peer: a [`Session`](crate::server::Session), a [`Client`](crate::client::Client), or a machine that owns one of them,
/// such as a Socket.IO connection.
///
/// For code that is generic over machines, such as a driver or a simulated network. Each method has the guarantees of the session's method
/// of the same name. Any number of inputs and commands may come before the polls, and the polls may come in any order. Methods that only
/// one machine has (`send`, `emit`, ...) are not part of the trait.
pub trait Machine {
    /// An event for the application.
    type Event;
    /// An input from the driver.
    type Input: LinkInput;
    /// An output for the driver, such as a reply to write or a packet to send.
    type Transmit;

    /// Handles an input; see [`Session::handle`](crate::server::Session::handle).
    fn handle(&mut self, now: Instant, input: Self::Input);

    /// Reports that the deadline has passed; see [`Session::handle_timeout`](crate::server::Session::handle_timeout).
    fn handle_timeout(&mut self, now: Instant);

    /// Closes gracefully, after queued packets are sent; see [`Session::close`](crate::server::Session::close).
    fn close(&mut self, now: Instant);

    /// Closes at once and drops queued packets; see [`Session::discard`](crate::server::Session::discard).
    fn discard(&mut self, now: Instant);

    /// Returns the next output to write; see [`Session::poll_transmit`](crate::server::Session::poll_transmit).
    fn poll_transmit(&mut self) -> Option<Self::Transmit>;

    /// Returns the next output that is not a packet of a link; see [`Session::poll_control`](crate::server::Session::poll_control).
    fn poll_control(&mut self) -> Option<Self::Transmit>;

    /// Passes the packets for a link to `write` by reference; see [`Session::poll_frames`](crate::server::Session::poll_frames).
    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool);

    /// Returns the next event; see [`Session::poll_event`](crate::server::Session::poll_event).
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Whether [`Machine::poll_event`] may return an event; see [`Session::has_events`](crate::server::Session::has_events).
    fn has_events(&self) -> bool;

    /// The deadline at which to call [`Machine::handle_timeout`], or `None` if no timer is set.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether to read from the peer's link; see [`Session::wants_input`](crate::server::Session::wants_input).
    fn wants_input(&self) -> bool;

    /// Whether a message would be sent at once; see [`Session::is_writable`](crate::server::Session::is_writable).
    fn is_writable(&self) -> bool;

    /// Bytes that wait to be sent; see [`Session::buffered_bytes`](crate::server::Session::buffered_bytes).
    fn buffered_bytes(&self) -> usize;

    /// Whether the machine has ended and has nothing left to poll; see [`Session::is_drained`](crate::server::Session::is_drained).
    fn is_drained(&self) -> bool;
}

/// Implements [`Machine`] for a type by its own methods of the same names.
#[doc(hidden)]
#[macro_export]
macro_rules! impl_machine {
    ([$($generics:tt)*] $machine:ty, $event:ty, $input:ty, $transmit:ty) => {
        impl<$($generics)*> $crate::Machine for $machine {
            type Event = $event;
            type Input = $input;
            type Transmit = $transmit;

            #[inline]
            fn handle(&mut self, now: $crate::Instant, input: $input) {
                self.handle(now, input);
            }

            fn handle_timeout(&mut self, now: $crate::Instant) {
                self.handle_timeout(now);
            }

            fn close(&mut self, now: $crate::Instant) {
                self.close(now);
            }

            fn discard(&mut self, now: $crate::Instant) {
                self.discard(now);
            }

            #[inline]
            fn poll_transmit(&mut self) -> Option<$transmit> {
                self.poll_transmit()
            }

            #[inline]
            fn poll_control(&mut self) -> Option<$transmit> {
                self.poll_control()
            }

            #[inline]
            fn poll_frames(&mut self, link: $crate::LinkId, write: impl FnMut(&$crate::Frame) -> bool) {
                self.poll_frames(link, write);
            }

            #[inline]
            fn poll_event(&mut self) -> Option<$event> {
                self.poll_event()
            }

            #[inline]
            fn has_events(&self) -> bool {
                self.has_events()
            }

            #[inline]
            fn poll_timeout(&self) -> Option<$crate::Instant> {
                self.poll_timeout()
            }

            #[inline]
            fn wants_input(&self) -> bool {
                self.wants_input()
            }

            fn is_writable(&self) -> bool {
                self.is_writable()
            }

            #[inline]
            fn buffered_bytes(&self) -> usize {
                self.buffered_bytes()
            }

            fn is_drained(&self) -> bool {
                self.is_drained()
            }
        }
    };
}
