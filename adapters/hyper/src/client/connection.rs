//! A request and its response on one connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::rt::{Read, Write};
use socketio_driver::client::ConnectError;

/// The largest head of a response in bytes. Bodies are also read in pieces of this size.
const MAX_HEAD: usize = 64 * 1024;

/// The maximum number of header lines of a response. Node's client has no limit but that of bytes; hyper's default is the same.
const MAX_HEADERS: usize = 100;

/// A connection to a server or a proxy. It only makes progress inside its own methods.
pub(super) struct Live<I: Read + Write> {
    sender: SendRequest<Full<Bytes>>,
    /// Boxed, because it is moved into the pool and out again. `None` after its end.
    connection: Option<Box<Connection<I, Full<Bytes>>>>,
}

/// Why a request failed.
pub(super) struct Failed {
    pub(super) error: ConnectError,
    /// The request, if nothing of it was written.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

/// Begins HTTP on a connection.
pub(super) async fn handshake<I>(io: I) -> Result<(SendRequest<Full<Bytes>>, Connection<I, Full<Bytes>>), ConnectError>
where
    I: Read + Write + Unpin,
{
    Builder::new().max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS).handshake(io).await.map_err(failure)
}

/// What an error of hyper means.
pub(super) fn failure(error: hyper::Error) -> ConnectError {
    if error.is_parse() || error.is_parse_too_large() {
        ConnectError::InvalidResponse { source: error.into() }
    } else {
        ConnectError::Lost { source: error.into() }
    }
}

impl<I: Read + Write + Unpin + Send> Live<I> {
    pub(super) async fn new(io: I) -> Result<Self, ConnectError> {
        let (sender, connection) = handshake(io).await?;
        Ok(Self { sender, connection: Some(Box::new(connection)) })
    }

    /// Reads and writes as far as possible.
    fn progress(&mut self, cx: &mut Context<'_>) {
        // An error also goes to the request or to the body, or comes from a connection that nobody uses.
        if let Some(connection) = &mut self.connection
            && Pin::new(&mut **connection).poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    /// Whether the connection takes another request. One that the server has closed does not.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.progress(cx);
            Poll::Ready(self.connection.is_some() && self.sender.is_ready())
        })
        .await
    }

    /// Sends a request, and returns the head of the response.
    pub(super) async fn send(&mut self, request: Box<Request<Full<Bytes>>>) -> Result<Response<Incoming>, Failed> {
        // A new connection has to be polled before it takes a request.
        poll_fn(|cx| {
            self.progress(cx);
            self.sender.poll_ready(cx).map(drop)
        })
        .await;
        let mut response = pin!(self.sender.try_send_request(*request));
        let connection = &mut self.connection;
        poll_fn(|cx| {
            if let Some(running) = connection
                && Pin::new(&mut **running).poll(cx).is_ready()
            {
                *connection = None;
            }
            response.as_mut().poll(cx)
        })
        .await
        .map_err(|mut refused| {
            let unsent = refused.take_message();
            Failed { error: failure(refused.into_error()), unsent }
        })
    }

    /// Reads the body of the response, at most `limit` bytes. A body in one piece is not copied.
    pub(super) async fn collect(&mut self, mut body: Incoming, limit: usize) -> Result<Bytes, ConnectError> {
        let too_large = || ConnectError::BodyTooLarge { limit };
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = self.frame(&mut body).await {
            // Trailers are ignored.
            let Ok(data) = frame.map_err(failure)?.into_data() else { continue };
            let length = first.len().saturating_add(joined.len()).saturating_add(data.len());
            if length > limit {
                return Err(too_large());
            }
            if length == data.len() {
                first = data;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut first));
                joined.extend_from_slice(&data);
            }
        }
        Ok(if joined.is_empty() { first } else { joined.freeze() })
    }

    async fn frame(&mut self, body: &mut Incoming) -> Option<Result<http_body::Frame<Bytes>, hyper::Error>> {
        poll_fn(|cx| {
            self.progress(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }
}
