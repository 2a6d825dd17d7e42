//! Peers: one polls, and one uses a WebSocket.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use engineio_websocket::handshake::ClientHandshake;
use engineio_websocket::{Closed, Connection, ConnectionEvent, Limits};
use futures_channel::oneshot;
use http_body::{Body as HttpBody, Frame};
use socketio_driver::{Body, Endpoint, Message, Runtime as _, Upgrade};

use super::pipe::{PipeEnd, PipeSettings, pipe};
use super::sim::{Sim, Sleep};

/// The body of a request: chunks, each after a delay.
pub(crate) struct RequestBody {
    sim: Sim,
    pieces: VecDeque<(Duration, Bytes)>,
    ending: Ending,
    wait: Option<Pin<Box<Sleep>>>,
}

/// How the body of a request ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Ending {
    /// After its last chunk.
    Complete,
    /// The connection breaks.
    Breaks,
    /// Never.
    Stalls,
}

impl RequestBody {
    pub(crate) fn empty(sim: &Sim) -> Self {
        Self::new(sim, [], Ending::Complete)
    }

    pub(crate) fn new(sim: &Sim, pieces: impl IntoIterator<Item = (Duration, Bytes)>, ending: Ending) -> Self {
        Self { sim: sim.clone(), pieces: pieces.into_iter().collect(), ending, wait: None }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((wait, _)) = self.pieces.front().cloned() else {
            return match self.ending {
                Ending::Complete => Poll::Ready(None),
                Ending::Breaks => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                Ending::Stalls => Poll::Pending,
            };
        };
        if !wait.is_zero() {
            let sim = self.sim.clone();
            let wait = self.wait.get_or_insert_with(|| Box::pin(sim.sleep(wait)));
            ready!(wait.as_mut().poll(cx));
        }
        self.wait = None;
        Poll::Ready(self.pieces.pop_front().map(|(_, piece)| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.ending == Ending::Complete
    }
}

/// A response whose body was read to its end.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) async fn read(response: http::Response<Body>) -> Self {
        let status = response.status().as_u16();
        let (mut body, mut read) = (response.into_body(), Vec::new());
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.expect("a body from memory does not break off");
            read.extend_from_slice(frame.data_ref().expect("a piece of data"));
        }
        Self { status, body: String::from_utf8(read).expect("the body is text") }
    }
}

pub(crate) fn request(sim: &Sim, method: &str, target: &str, body: Option<RequestBody>) -> http::Request<RequestBody> {
    let body = body.unwrap_or_else(|| RequestBody::empty(sim));
    http::Request::builder().method(method).uri(target).body(body).expect("a valid request")
}

/// A peer that polls.
#[derive(Clone)]
pub(crate) struct Poller<E> {
    pub(crate) sim: Sim,
    pub(crate) server: E,
    pub(crate) path: &'static str,
    pub(crate) sid: String,
}

impl<E: Endpoint> Poller<E> {
    /// Opens a session.
    pub(crate) async fn open(sim: &Sim, server: &E, path: &'static str) -> Self {
        let target = format!("{path}?EIO=4&transport=polling");
        let reply = Reply::read(server.respond(sim, request(sim, "GET", &target, None), None).await).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        Self { sim: sim.clone(), server: server.clone(), path, sid: sid_of(&reply.body) }
    }

    pub(crate) fn target(&self, transport: &str) -> String {
        format!("{}?EIO=4&transport={transport}&sid={}", self.path, self.sid)
    }

    /// Sends a GET and does not read the body of the answer.
    pub(crate) async fn get_unread(&self) -> http::Response<Body> {
        self.server.respond(&self.sim, request(&self.sim, "GET", &self.target("polling"), None), None).await
    }

    /// Sends a GET and reads the answer.
    pub(crate) async fn get(&self) -> Reply {
        Reply::read(self.get_unread().await).await
    }

    /// Sends a POST and reads the answer.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Reply {
        self.post_in_pieces([(Duration::ZERO, body.into())], Ending::Complete).await
    }

    pub(crate) async fn post_in_pieces(
        &self,
        pieces: impl IntoIterator<Item = (Duration, Bytes)>,
        ending: Ending,
    ) -> Reply {
        let body = RequestBody::new(&self.sim, pieces, ending);
        let request = request(&self.sim, "POST", &self.target("polling"), Some(body));
        Reply::read(self.server.respond(&self.sim, request, None).await).await
    }
}

/// The id in an open packet.
pub(crate) fn sid_of(open: &str) -> String {
    let (_, rest) = open.split_once(r#""sid":""#).expect("an open packet");
    rest.split_once('"').expect("an open packet").0.to_owned()
}

/// How the HTTP server hands over an upgraded connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgrading {
    /// The delay before it does.
    pub(crate) delay: Duration,
    /// Whether it fails to.
    pub(crate) fails: bool,
    /// Frames that came with the request.
    pub(crate) early: Bytes,
}

/// A peer that uses a WebSocket.
pub(crate) struct WebSocket {
    pub(crate) pipe: PipeEnd,
    pub(crate) connection: Connection,
    pub(crate) closed: Option<Closed>,
    /// The payloads of the received pongs.
    pub(crate) pongs: Vec<Bytes>,
    /// The id of the session that it opened.
    pub(crate) sid: String,
    /// The bytes that are not written yet.
    unsent: VecDeque<Bytes>,
}

impl WebSocket {
    /// Opens a WebSocket with a new session, and takes the open packet.
    pub(crate) async fn open<E: Endpoint>(sim: &Sim, server: &E, path: &str, settings: PipeSettings) -> Self {
        let target = format!("{path}?EIO=4&transport=websocket");
        let mut websocket =
            Self::upgrade(sim, server, &target, settings, Upgrading::default()).await.expect("the upgrade is accepted");
        let open = websocket.next().await.expect("an open packet");
        websocket.sid = sid_of(&open);
        websocket
    }

    /// Requests a WebSocket.
    ///
    /// # Errors
    /// The response that refuses it.
    pub(crate) async fn upgrade<E: Endpoint>(
        sim: &Sim,
        server: &E,
        target: &str,
        settings: PipeSettings,
        upgrading: Upgrading,
    ) -> Result<Self, Reply> {
        let respond = |request, upgrade| server.respond(sim, request, upgrade);
        Self::upgrade_by(sim, respond, target, settings, upgrading).await
    }

    /// As [`WebSocket::upgrade`], with any endpoint.
    ///
    /// # Errors
    /// The response that refuses it.
    pub(crate) async fn upgrade_by<F: Future<Output = http::Response<Body>>>(
        sim: &Sim,
        respond: impl FnOnce(http::Request<RequestBody>, Option<Upgrade<PipeEnd>>) -> F,
        target: &str,
        settings: PipeSettings,
        upgrading: Upgrading,
    ) -> Result<Self, Reply> {
        let handshake = ClientHandshake::new([7; 16]);
        let mut request = request(sim, "GET", target, None);
        for (name, value) in handshake.headers() {
            request.headers_mut().insert(name, value.parse().expect("a header's value"));
        }
        let (pipe, server_end) = pipe(sim, settings);
        let (let_go, gone) = oneshot::channel();
        let early = upgrading.early.clone();
        let upgrade = Upgrade::new(async move {
            let () = gone.await.map_err(io::Error::other)?;
            Ok((server_end, early))
        });
        let response = respond(request, Some(upgrade)).await;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Reply::read(response).await);
        }
        let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        handshake.check(101, headers).expect("the answer belongs to the request");
        drop(response);
        if !upgrading.delay.is_zero() {
            sim.sleep(upgrading.delay).await;
        }
        if !upgrading.fails {
            // The session may have ended already.
            let _ = let_go.send(());
        }
        let connection = Connection::client(Limits::default().with_max_message(usize::MAX), [3; 16]);
        Ok(Self { pipe, connection, closed: None, pongs: Vec::new(), sid: String::new(), unsent: VecDeque::new() })
    }

    /// The next message: text as is, binary as `b` and hexadecimal digits. Returns `None` at the end, and sets [`WebSocket::closed`].
    pub(crate) async fn next(&mut self) -> Option<String> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        self.poll_message(cx).map(|message| match message? {
            Message::Text(text) => Some(text.to_string()),
            Message::Binary(data) => {
                let digits = data.iter().map(|byte| format!("{byte:02x}"));
                Some(digits.fold("b".to_owned(), |text, digits| text + &digits))
            }
        })
    }

    /// As [`WebSocket::poll_next`], with the message as it is.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            let mut fails = self.poll_send(cx).is_err();
            match self.connection.poll_event() {
                Some(ConnectionEvent::Text(text)) => return Poll::Ready(Some(Message::Text(text))),
                Some(ConnectionEvent::Binary(data)) => return Poll::Ready(Some(Message::Binary(data))),
                Some(ConnectionEvent::Closed(closed)) => {
                    self.closed = Some(closed);
                    continue;
                }
                Some(ConnectionEvent::Pong(payload)) => {
                    self.pongs.push(payload);
                    continue;
                }
                Some(_) => continue,
                None if self.closed.is_some() => {
                    // The answer to a close frame is still written.
                    let _ = self.poll_send(cx);
                    return Poll::Ready(None);
                }
                None => {}
            }
            if !fails {
                match ready!(self.pipe.poll_read_bytes(cx, 64 * 1024)) {
                    Ok(bytes) if !bytes.is_empty() => self.connection.handle(&mut bytes.to_vec()),
                    _ => fails = true,
                }
            }
            if fails {
                self.connection.handle_end();
            }
        }
    }

    /// Writes what the connection has to send, as far as the pipe accepts it.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        use bytes::Buf as _;
        use socketio_driver::Stream as _;
        self.unsent.extend(self.connection.poll_transmit());
        while let Some(bytes) = self.unsent.front_mut() {
            match self.pipe.poll_write(cx, &[io::IoSlice::new(bytes)]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(written) => bytes.advance(written?),
            }
            if bytes.is_empty() {
                self.unsent.pop_front();
            }
        }
        Ok(())
    }

    /// Sends a text, and waits until the pipe has accepted it.
    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.connection.send_text(text).map_err(io::Error::other)?;
        poll_fn(|cx| {
            let sent = self.poll_send(cx);
            if sent.is_ok() && !self.unsent.is_empty() { Poll::Pending } else { Poll::Ready(sent) }
        })
        .await
    }

    /// Starts the closing handshake, and waits for its end.
    pub(crate) async fn close(&mut self) {
        // It may be closing already.
        let _ = self.connection.close(1000, "");
        while self.next().await.is_some() {}
    }
}
