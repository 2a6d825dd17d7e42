//! A request after which a connection leaves HTTP: a WebSocket handshake, and `CONNECT` to a proxy.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::Connection;
use hyper::rt::{Read, Write};
use socketio_driver::Runtime;
use socketio_driver::client::ConnectError;

use super::connection::{failure, handshake};

/// How much of the body of a refusal is read, in bytes.
const MAX_REFUSAL: usize = 4096;

/// How long to wait for it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(2);

/// The result of such a request.
pub(super) enum Switched<I> {
    /// The connection, and what was read beyond the response.
    Yes(Response<()>, I, Bytes),
    /// A status that does not switch, with the first bytes of its body.
    No(Response<Bytes>),
}

/// A connection that does not end its stream when HTTP ends.
struct Running<I: Read + Write> {
    connection: Connection<I, Full<Bytes>>,
    ended: bool,
}

impl<I: Read + Write + Unpin> Running<I> {
    fn progress(&mut self, cx: &mut Context<'_>) {
        // An error also goes to the request or the body.
        self.ended = self.ended || self.connection.poll_without_shutdown(cx).is_ready();
    }
}

/// Makes the request.
pub(super) async fn switch<I: Read + Write + Unpin>(
    runtime: &impl Runtime,
    io: I,
    request: Request<Full<Bytes>>,
) -> Result<Switched<I>, ConnectError> {
    let is_connect = request.method() == http::Method::CONNECT;
    let (mut sender, connection) = handshake(io).await?;
    let mut running = Running { connection, ended: false };
    poll_fn(|cx| {
        running.progress(cx);
        sender.poll_ready(cx)
    })
    .await
    .map_err(failure)?;
    let mut response = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        running.progress(cx);
        response.as_mut().poll(cx)
    })
    .await
    .map_err(failure)?;
    let (parts, body) = response.into_parts();
    let switches = if is_connect { parts.status.is_success() } else { parts.status == 101 };
    if !switches {
        let body = match select(pin!(beginning(&mut running, body)), pin!(runtime.sleep(REFUSAL_PATIENCE))).await {
            Either::Left((body, _)) => body,
            Either::Right(_) => Bytes::new(),
        };
        return Ok(Switched::No(Response::from_parts(parts, body)));
    }
    poll_fn(|cx| {
        running.progress(cx);
        if running.ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let connection = running.connection.into_parts();
    Ok(Switched::Yes(Response::from_parts(parts, ()), connection.io, connection.read_buf))
}

/// The first bytes of a body. An error ends it.
async fn beginning<I: Read + Write + Unpin>(running: &mut Running<I>, mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    while read.len() < MAX_REFUSAL {
        let frame = poll_fn(|cx| {
            running.progress(cx);
            Pin::new(&mut body).poll_frame(cx)
        });
        let Some(Ok(frame)) = frame.await else { break };
        if let Ok(data) = frame.into_data() {
            let room = MAX_REFUSAL.saturating_sub(read.len()).min(data.len());
            read.extend_from_slice(data.get(..room).unwrap_or_default());
        }
    }
    read.freeze()
}
