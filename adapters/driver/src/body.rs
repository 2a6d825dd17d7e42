//! HTTP bodies: the response body that knows whether it was written, and the request body that is read up to a limit.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Bytes handed to the HTTP library at once.
const PIECE: usize = 64 * 1024;

/// A response body: complete from the start. Its [`Confirmation`] says whether it was written to the end.
pub struct Body {
    bytes: Bytes,
    confirmation: Option<Confirmation>,
}

/// Tells a session what became of a response. Dropping it says that the response was not written to the end.
#[must_use = "dropping it says that the response was lost"]
pub struct Confirmation(Option<Box<dyn FnOnce(bool) + Send>>);

impl Confirmation {
    pub(crate) fn new(tell: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// The response was written to the end.
    pub fn written(mut self) {
        if let Some(tell) = self.0.take() {
            tell(true);
        }
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(false);
        }
    }
}

impl std::fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confirmation").finish_non_exhaustive()
    }
}

impl Body {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, confirmation: None }
    }

    pub(crate) fn confirmed(bytes: Bytes, confirmation: Confirmation) -> Self {
        Self { bytes, confirmation: Some(confirmation) }
    }

    /// Takes over telling whether the response was written. For adapters that own the connection, and so know when its bytes have left;
    /// without it a body counts as written once the HTTP library has taken all of it, though that keeps a buffer of its own.
    pub fn take_confirmation(&mut self) -> Option<Confirmation> {
        self.confirmation.take()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // HTTP libraries do not ask an empty body for anything.
        if self.bytes.is_empty()
            && let Some(confirmation) = self.confirmation.take()
        {
            confirmation.written();
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
            && let Some(confirmation) = self.confirmation.take()
        {
            confirmation.written();
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
    /// More bytes than the limit; the rest was not read.
    TooLarge,
    /// More chunks than the limit; the rest was not read.
    TooManyChunks,
    /// The connection broke, or the body was malformed.
    Broken,
}

/// The body of a request, which is not polled again behind its end.
pub(crate) struct RequestBody<'a, B> {
    body: Pin<&'a mut B>,
    /// It has said that it is over, or that it is broken.
    ended: bool,
}

impl<'a, B: HttpBody> RequestBody<'a, B> {
    pub(crate) fn new(body: Pin<&'a mut B>) -> Self {
        Self { body, ended: false }
    }

    /// Whether nothing of it is left to be read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    /// Reads a body of at most `max_bytes` bytes in at most `max_chunks` reads. A body in one piece is not copied.
    pub(crate) async fn collect(&mut self, max_bytes: usize, max_chunks: usize) -> Collected {
        if self.is_longer_than(max_bytes) {
            return Collected::TooLarge;
        }
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        let mut chunks: usize = 0;
        loop {
            let mut data = match self.next_data().await {
                None if joined.is_empty() => return Collected::Whole(first),
                None => return Collected::Whole(joined.freeze()),
                Some(Err(_)) => return Collected::Broken,
                Some(Ok(data)) => data,
            };
            let length = data.remaining();
            chunks = chunks.saturating_add(1);
            if first.len().saturating_add(joined.len()).saturating_add(length) > max_bytes {
                return Collected::TooLarge;
            }
            if chunks > max_chunks {
                return Collected::TooManyChunks;
            }
            if first.is_empty() && joined.is_empty() {
                first = data.copy_to_bytes(length);
            } else {
                joined.extend_from_slice(&std::mem::take(&mut first));
                joined.extend_from_slice(&data.copy_to_bytes(length));
            }
        }
    }

    /// Reads the rest and forgets it, at most `max_bytes` bytes. Whether it came to its end.
    pub(crate) async fn drain(&mut self, max_bytes: usize) -> bool {
        // It will not come to its end within the limit, so that nothing is gained by waiting.
        if self.is_longer_than(max_bytes) {
            return false;
        }
        let mut read: usize = 0;
        while let Some(data) = self.next_data().await {
            let Ok(data) = data else { return false };
            read = read.saturating_add(data.remaining());
            if read > max_bytes {
                return false;
            }
        }
        true
    }

    fn is_longer_than(&self, bytes: usize) -> bool {
        self.body.size_hint().lower() > u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The next data. Trailers are skipped: they say nothing here.
    async fn next_data(&mut self) -> Option<Result<B::Data, B::Error>> {
        while !self.ended {
            match poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                end => {
                    self.ended = true;
                    return end.and_then(Result::err).map(Err);
                }
            }
        }
        None
    }
}
