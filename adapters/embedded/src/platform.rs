//! What the client needs from the machine that it runs on.

use core::fmt::Debug;

use embedded_io_async::{Read, Write};
use engineio_proto::Instant;

/// A clock, random bytes, and streams to the server. An application implements it for its board.
pub trait Platform {
    /// A stream of bytes to the server: a TCP connection, or a UART that something joins to one.
    ///
    /// [`Client::next`](crate::Client::next) can be dropped without loss if a dropped `read` or `write` has transferred nothing.
    type Stream: Read + Write;
    /// Why a stream cannot be opened.
    type Error: Debug;

    /// The time since any fixed moment. It never goes back.
    fn now(&self) -> Instant;

    /// Waits until this time. It may be [`Instant::FAR_FUTURE`].
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()>;

    /// 16 random bytes. They must be secret, and new for each call, because the masks of the WebSocket are derived from them.
    fn random(&mut self) -> [u8; 16];

    /// Opens a stream to the server. The client has dropped the stream before. It calls this again for each attempt to connect, and drops
    /// the future if it takes longer than the client's `open_timeout`.
    fn connect(&self) -> impl Future<Output = Result<Self::Stream, Self::Error>>;
}
