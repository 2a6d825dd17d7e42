//! HTTP bodies: a response body that reports whether it was written, and a request body that is read up to a limit.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The largest piece of a body that is passed to the HTTP library, in bytes.
const PIECE: usize = 64 * 1024;

/// A response body, complete from the start unless a layer has made it. Its [`Confirmation`] reports whether the body was written to the
/// end.
pub struct Body {
    bytes: Bytes,
    confirmation: Option<Confirmation>,
    /// The body of a layer, instead of bytes.
    wrapped: Option<Pin<Box<Wrapped>>>,
}

type Wrapped = dyn HttpBody<Data = Bytes, Error = io::Error> + Send;

/// Reports to a session whether a response was written to the end. Dropping it reports that the response was lost.
#[must_use = "dropping it reports that the response was lost"]
pub struct Confirmation(Option<Box<dyn FnOnce(bool) + Send>>);

impl Confirmation {
    pub(crate) fn new(tell: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Reports that the response was written to the end.
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
        Self { bytes, confirmation: None, wrapped: None }
    }

    pub(crate) fn confirmed(bytes: Bytes, confirmation: Confirmation) -> Self {
        Self { bytes, confirmation: Some(confirmation), wrapped: None }
    }

    /// A body that a layer around an endpoint has made from another one, whose confirmation it was. This is for adapters.
    pub fn wrap(
        body: impl HttpBody<Data = Bytes, Error = io::Error> + Send + 'static,
        confirmation: Option<Confirmation>,
    ) -> Self {
        Self { bytes: Bytes::new(), confirmation, wrapped: Some(Box::pin(body)) }
    }

    /// The bytes that were not taken yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the confirmation, for an adapter that owns the connection and knows when the bytes of the response were written to it.
    /// Otherwise a body counts as written when the HTTP library has taken all of it, although the library may still buffer a part.
    pub fn take_confirmation(&mut self) -> Option<Confirmation> {
        self.confirmation.take()
    }
}

/// An empty body, for layers that answer by themselves.
impl Default for Body {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // HTTP libraries do not poll an empty body.
        if self.is_end_stream()
            && let Some(confirmation) = self.confirmation.take()
        {
            confirmation.written();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(wrapped) = &mut self.wrapped {
            let polled = wrapped.as_mut().poll_frame(cx);
            if (matches!(polled, Poll::Ready(None)) || wrapped.is_end_stream())
                && let Some(confirmation) = self.confirmation.take()
            {
                confirmation.written();
            }
            return polled;
        }
        // In pieces, so that a large body counts as written only when the connection has taken all of it but the last piece.
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
        self.wrapped.as_ref().map_or(self.bytes.is_empty(), |wrapped| wrapped.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(wrapped) = &self.wrapped {
            return wrapped.size_hint();
        }
        SizeHint::with_exact(self.bytes.len().try_into().unwrap_or(u64::MAX))
    }
}

/// The result of reading a request's body.
pub(crate) enum Collected {
    /// The whole body.
    Whole(Bytes),
    /// The body has more bytes than the limit. The rest was not read.
    TooLarge,
    /// The body has more chunks than the limit. The rest was not read.
    TooManyChunks,
    /// The connection was lost, or the body was malformed.
    Broken,
}

/// The body of a request. It is not polled again after its end.
pub(crate) struct RequestBody<'a, B> {
    body: Pin<&'a mut B>,
    /// The body returned its end or an error.
    ended: bool,
}

impl<'a, B: HttpBody> RequestBody<'a, B> {
    pub(crate) fn new(body: Pin<&'a mut B>) -> Self {
        Self { body, ended: false }
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    /// Reads a body of at most `max_bytes` bytes in at most `max_chunks` chunks. A body in one chunk is not copied.
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

    /// Reads and discards the rest, up to `max_bytes` bytes. Returns whether the body ended within that limit.
    pub(crate) async fn drain(&mut self, max_bytes: usize) -> bool {
        // The body cannot end within the limit, so waiting gains nothing.
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

    /// The next chunk. Trailers are ignored.
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
