//! HTTP bodies: the response body that knows whether it was written, and the request body that is read up to a limit.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Bytes handed to the HTTP library at once.
const PIECE: usize = 64 * 1024;

/// A response body: complete from the start. Tells whoever waits for it whether it was taken to the end or dropped before.
pub struct Body {
    bytes: Bytes,
    guard: Option<Box<dyn Guard>>,
}

/// Told what became of a response, exactly once.
pub(crate) trait Guard: Send {
    /// The response was taken to the end (`true`), or dropped before.
    fn finished(self: Box<Self>, written: bool);
}

impl Body {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, guard: None }
    }

    pub(crate) fn guarded(bytes: Bytes, guard: Box<dyn Guard>) -> Self {
        Self { bytes, guard: Some(guard) }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            // hyper does not ask an empty body for anything.
            guard.finished(self.bytes.is_empty());
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        // In pieces, so that a large body counts as written only when the connection has taken all but the last of it.
        let length = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(length);
        if self.bytes.is_empty()
            && let Some(guard) = self.guard.take()
        {
            guard.finished(true);
        }
        Poll::Ready(if piece.is_empty() { None } else { Some(Ok(Frame::data(piece))) })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len().try_into().unwrap_or(u64::MAX))
    }
}

/// What became of reading a request's body.
pub(crate) enum Collected {
    /// All of it.
    Whole(Bytes),
    /// More than the limit; the rest was not read.
    TooLarge,
    /// The connection broke, or the body was malformed.
    Broken,
}

/// Reads a body of at most `limit` bytes. A body in one piece is not copied.
pub(crate) async fn collect<B>(body: B, limit: usize) -> Collected
where
    B: HttpBody,
{
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Collected::TooLarge;
    }
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
        let mut data = match frame {
            None if joined.is_empty() => return Collected::Whole(first),
            None => return Collected::Whole(joined.freeze()),
            Some(Err(_)) => return Collected::Broken,
            // Trailers say nothing here.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => continue,
            },
        };
        let length = data.remaining();
        if first.len().saturating_add(joined.len()).saturating_add(length) > limit {
            return Collected::TooLarge;
        }
        if first.is_empty() && joined.is_empty() {
            first = data.copy_to_bytes(length);
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data.copy_to_bytes(length));
        }
    }
}
