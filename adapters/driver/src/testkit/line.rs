//! The client's end of an Engine.IO session: tasks that poll, or use a WebSocket, and pass messages on.
//!
//! What a client does besides is in the codecs: packets, payloads, and the WebSocket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engineio_proto::payload::{self, Packets};
use engineio_proto::{Frame, Message, Packet, PacketType};
use http::{HeaderName, HeaderValue};

use super::client::ConnectError;
use super::simulation::{Ending, PipeSettings, Reply, RequestBody, Sim, Upgrading, WebSocket, request, sid_of};
use super::world::World;
use crate::endpoint::Endpoint;
use crate::handshake::RemoteAddress;
use crate::sync::lock;

/// How a client is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// HTTP requests.
    Polling,
}

/// Makes the requests of one client.
#[derive(Clone)]
pub(super) struct Dial<E> {
    pub(super) sim: Sim,
    pub(super) endpoint: E,
    pub(super) path: String,
    /// Parameters of the handshake, each with its `&` before it.
    pub(super) query: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) address: Option<SocketAddr>,
}

impl<E: Endpoint> Dial<E> {
    fn target(&self, transport: &str, sid: Option<&str>) -> String {
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        format!("{}?EIO=4&transport={transport}{}{sid}", self.path, self.query)
    }

    /// Adds a header to all requests.
    #[track_caller]
    pub(super) fn add_header(&mut self, name: &str, value: &str) {
        let header = (name.parse().expect("the name of a header"), value.parse().expect("the value of a header"));
        self.headers.push(header);
    }

    /// Adds a parameter to the query of all requests.
    pub(super) fn add_parameter(&mut self, name: &str, value: &str) {
        for (before, text) in [('&', name), ('=', value)] {
            self.query.push(before);
            self.query.extend(text.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            }));
        }
    }

    fn dress(&self, request: &mut http::Request<RequestBody>) {
        request.headers_mut().extend(self.headers.iter().cloned().map(|(name, value)| (Some(name), value)));
        if let Some(address) = self.address {
            request.extensions_mut().insert(RemoteAddress(address));
        }
    }

    /// Sends a GET or a POST, and reads the response.
    async fn poll(&self, method: &str, sid: Option<&str>, body: Option<Bytes>) -> Reply {
        let body = body.map(|body| RequestBody::new(&self.sim, [(Duration::ZERO, body)], Ending::Complete));
        let mut request = request(&self.sim, method, &self.target("polling", sid), body);
        self.dress(&mut request);
        Reply::read(self.endpoint.respond(&self.sim, request, None).await).await
    }

    async fn websocket(&self, sid: Option<&str>) -> Result<WebSocket, Reply> {
        let target = self.target("websocket", sid);
        let respond = |mut request, upgrade| {
            self.dress(&mut request);
            self.endpoint.respond(&self.sim, request, upgrade)
        };
        WebSocket::upgrade_by(&self.sim, respond, &target, PipeSettings::default(), Upgrading::default()).await
    }
}

/// How a session ended, as its client sees it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum End {
    /// The handshake, or a later request, was refused.
    Refused { status: u16, body: String },
    /// The server closed it, or the connection was lost.
    Closed {
        /// The code of the WebSocket's close frame.
        code: Option<u16>,
    },
    /// The client closed or cut it.
    ByClient,
}

/// A session. This is a handle: clones refer to the same session.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sid: Option<String>,
    transport: Option<Transport>,
    outbox: Vec<Frame>,
    inbox: VecDeque<Message>,
    end: Option<End>,
    /// The client does not read, and does not answer pings.
    deaf: bool,
    closing: bool,
    cut: bool,
    upgrading: Option<Upgrade>,
    /// Requests that were not answered yet.
    requests: usize,
    waiting: Vec<Waker>,
}

#[derive(Clone, PartialEq, Debug)]
enum Upgrade {
    Probing,
    /// No more requests are sent.
    Pausing,
    Failed(String),
}

impl Line {
    /// Opens a session.
    pub(super) fn open<E: Endpoint>(dial: &Dial<E>, transport: Transport) -> Self {
        let (line, dial) = (Self::default(), dial.clone());
        lock(&line.0).transport = Some(transport);
        let (task_line, sim) = (line.clone(), dial.sim.clone());
        sim.spawn_task(async move {
            match transport {
                Transport::WebSocket => match dial.websocket(None).await {
                    Ok(websocket) => task_line.carry(websocket).await,
                    Err(reply) => task_line.refused(reply),
                },
                Transport::Polling => task_line.poll(dial).await,
            }
        });
        line
    }

    /// Waits until the session is open.
    ///
    /// # Errors
    /// Why it was not opened.
    #[track_caller]
    pub(super) fn wait_for_open(&self, world: &World) -> Result<(), ConnectError> {
        match world.wait(|| (self.sid().is_some() || self.end().is_some()).then(|| self.end())) {
            None => Err(ConnectError::NoAnswer),
            Some(Some(end)) => Err(end.into()),
            Some(None) => Ok(()),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.0);
        let result = change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.0))
    }

    /// Waits until `ready` returns a value. It is asked after every change.
    async fn until<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            match ready(&mut state) {
                Some(value) => Poll::Ready(value),
                None => {
                    state.wait(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn send(&self, frames: impl IntoIterator<Item = Frame>) {
        self.change(|state| state.outbox.extend(frames));
    }

    pub(super) fn receive(&self) -> Option<Message> {
        lock(&self.0).inbox.pop_front()
    }

    pub(super) fn end(&self) -> Option<End> {
        self.look(|state| state.end.clone())
    }

    pub(super) fn transport(&self) -> Option<Transport> {
        self.look(|state| state.transport)
    }

    pub(super) fn sid(&self) -> Option<String> {
        self.look(|state| state.sid.clone())
    }

    pub(super) fn set_deaf(&self, deaf: bool) {
        self.change(|state| state.deaf = deaf);
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closing = true);
    }

    pub(super) fn cut(&self) {
        self.change(|state| {
            state.cut = true;
            state.end.get_or_insert(End::ByClient);
        });
    }

    fn refused(&self, reply: Reply) {
        self.end_with(End::Refused { status: reply.status, body: reply.body });
    }

    fn end_with(&self, end: End) {
        self.change(|state| _ = state.end.get_or_insert(end));
    }

    /// Takes a packet of the server.
    fn packet(&self, packet: Packet) {
        self.change(|state| match (packet.packet_type, packet.data) {
            (PacketType::Open, Message::Text(open)) => state.sid = Some(sid_of(&open)),
            (PacketType::Ping, _) => state.outbox.push(Frame::PONG),
            (PacketType::Message, message) => state.inbox.push_back(message),
            (PacketType::Close, _) => _ = state.end.get_or_insert(End::Closed { code: None }),
            _ => {}
        });
    }

    /// Uses a WebSocket until it ends.
    async fn carry(&self, mut websocket: WebSocket) {
        poll_fn(|cx| self.poll_carry(cx, &mut websocket)).await;
        let code = match &websocket.closed {
            Some(engineio_websocket::Closed::Peer(frame)) => frame.as_ref().map(|frame| frame.code),
            _ => None,
        };
        self.end_with(if self.look(|state| state.closing) { End::ByClient } else { End::Closed { code } });
    }

    fn poll_carry(&self, cx: &mut Context<'_>, websocket: &mut WebSocket) -> Poll<()> {
        loop {
            let (cut, closing, deaf, frames) = {
                let mut state = lock(&self.0);
                state.wait(cx);
                (state.cut, state.closing, state.deaf, std::mem::take(&mut state.outbox))
            };
            if cut {
                websocket.pipe.reset();
                return Poll::Ready(());
            }
            for frame in frames {
                // It fails only if the connection is closed. Then nothing is lost that could arrive.
                let _ = send(websocket, &frame);
            }
            if closing {
                // It may be closing already.
                let _ = websocket.connection.close(1000, "");
            }
            let _ = websocket.poll_send(cx);
            if deaf && !closing {
                return Poll::Pending;
            }
            match websocket.poll_message(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(message)) => {
                    self.packet(Packet::decode(message).expect("the server sends valid packets"));
                }
            }
        }
    }

    /// Polls until the session ends, or a WebSocket carries it.
    async fn poll<E: Endpoint>(self, dial: Dial<E>) {
        if !self.take_reply(dial.poll("GET", None, None).await) {
            return;
        }
        let (line, sender) = (self.clone(), dial.clone());
        dial.sim.spawn_task(async move { line.post(sender).await });
        loop {
            let polls = self.until(|state| {
                if state.closing || state.ends_polling() {
                    return Some(false);
                }
                (!state.deaf).then_some(true)
            });
            if !polls.await {
                return;
            }
            let sid = self.sid();
            lock(&self.0).requests += 1;
            let answer = Box::pin(dial.poll("GET", sid.as_deref(), None));
            let reply = self.unless_cut(answer).await;
            self.change(|state| state.requests -= 1);
            if !reply.is_some_and(|reply| self.take_reply(reply)) {
                return;
            }
        }
    }

    /// Waits for an answer. If the connection is cut, the request is dropped.
    async fn unless_cut(&self, mut answer: impl Future<Output = Reply> + Unpin) -> Option<Reply> {
        poll_fn(|cx| {
            {
                let mut state = lock(&self.0);
                if state.cut {
                    return Poll::Ready(None);
                }
                state.wait(cx);
            }
            std::pin::Pin::new(&mut answer).poll(cx).map(Some)
        })
        .await
    }

    /// Takes the answer to a GET. Returns whether the session goes on.
    fn take_reply(&self, reply: Reply) -> bool {
        if reply.status != 200 {
            if self.look(|state| state.closing) {
                self.end_with(End::ByClient);
            } else {
                self.refused(reply);
            }
            return false;
        }
        for packet in Packets::new(reply.body.into()).expect("the server sends text") {
            self.packet(packet.expect("the server sends valid packets"));
        }
        self.look(|state| state.end.is_none())
    }

    /// Sends what is to be sent, in POSTs.
    async fn post<E: Endpoint>(self, dial: Dial<E>) {
        loop {
            let frames = self
                .until(|state| {
                    if state.ends_polling() {
                        return Some(None);
                    }
                    if state.outbox.is_empty() && !state.closing {
                        return None;
                    }
                    let mut frames = std::mem::take(&mut state.outbox);
                    if state.closing {
                        frames.push(Frame::CLOSE);
                    }
                    state.requests += 1;
                    Some(Some(frames))
                })
                .await;
            let Some(frames) = frames else { return };
            let mut body = BytesMut::new();
            payload::encode(&frames, &mut body);
            let sid = self.sid();
            let answer = Box::pin(dial.poll("POST", sid.as_deref(), Some(body.freeze())));
            let reply = self.unless_cut(answer).await;
            self.change(|state| state.requests -= 1);
            match reply {
                None => return,
                Some(_) if self.look(|state| state.closing) => {
                    self.end_with(End::ByClient);
                }
                Some(reply) if reply.status != 200 => self.refused(reply),
                Some(_) => {}
            }
        }
    }

    /// Upgrades the session to a WebSocket, and waits for the end of the upgrade.
    ///
    /// # Errors
    /// Why the upgrade failed.
    pub(super) fn upgrade<E: Endpoint>(&self, world: &World, dial: &Dial<E>) -> Result<(), String> {
        if self.transport() == Some(Transport::WebSocket) {
            return Err("the client uses a WebSocket already".to_owned());
        }
        self.start_upgrade(dial);
        world.wait(|| self.upgraded()).unwrap_or_else(|| Err("the server did not answer".to_owned()))
    }

    /// Starts an upgrade to a WebSocket.
    fn start_upgrade<E: Endpoint>(&self, dial: &Dial<E>) {
        self.change(|state| state.upgrading = Some(Upgrade::Probing));
        let (line, dial) = (self.clone(), dial.clone());
        dial.sim.clone().spawn_task(async move {
            let failed = |why: String| line.change(|state| state.upgrading = Some(Upgrade::Failed(why)));
            let sid = line.sid();
            let mut websocket = match dial.websocket(sid.as_deref()).await {
                Ok(websocket) => websocket,
                Err(reply) => return failed(format!("status {}: {}", reply.status, reply.body)),
            };
            if websocket.send("2probe").await.is_err() || websocket.next().await.as_deref() != Some("3probe") {
                return failed("the server did not answer the probe".to_owned());
            }
            // The server answers the held GET, and what it answers comes before what the WebSocket carries.
            line.change(|state| state.upgrading = Some(Upgrade::Pausing));
            line.until(|state| (state.requests == 0 || state.is_over()).then_some(())).await;
            line.change(|state| {
                state.transport = Some(Transport::WebSocket);
                state.upgrading = None;
                state.outbox.insert(0, Frame::text(PacketType::Upgrade, "".into()));
            });
            line.carry(websocket).await;
        });
    }

    /// The outcome of an upgrade that was started.
    fn upgraded(&self) -> Option<Result<(), String>> {
        self.look(|state| match &state.upgrading {
            None => Some(Ok(())),
            Some(Upgrade::Failed(why)) => Some(Err(why.clone())),
            Some(_) => state.end.as_ref().map(|end| Err(format!("the session ended: {end:?}"))),
        })
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.end.is_some() || self.cut
    }

    /// Whether no further request is sent: the session is over, or a WebSocket takes over.
    fn ends_polling(&self) -> bool {
        self.is_over() || self.upgrading == Some(Upgrade::Pausing) || self.transport == Some(Transport::WebSocket)
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

fn send(websocket: &mut WebSocket, frame: &Frame) -> Result<(), engineio_websocket::SendError> {
    websocket.connection.send_parts(frame.is_binary(), &[frame.head(), frame.data()])
}
