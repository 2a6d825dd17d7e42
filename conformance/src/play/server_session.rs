//! The suite as a server: accepts the requests of the client under test, and serves its sessions.
//!
//! The listener queues every request until a step accepts it. Requests of a session that a step has accepted are served directly, as a
//! correct server would.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::Context;
use super::client_session::link_message;
use super::events::{Event, EventSender, Inbox, Task, TimedEvent};
use super::link::{Link, LinkConfig, Side};
use super::player::Startup;
use crate::wire::http::{RequestHead, Response, header, read_body, read_request_head, request_framing};
use crate::wire::packets::{Payload, Revision, decode_body, encode_body};
use crate::wire::{BoxStream, Source, printable, websocket};

/// A request of the client.
#[derive(Debug)]
pub(crate) struct IncomingRequest {
    pub(crate) at: Instant,
    pub(crate) head: RequestHead,
    pub(crate) body: Vec<u8>,
    reply: Option<oneshot::Sender<Reply>>,
}

/// What to do with the request.
enum Reply {
    Answer(Response),
    /// Turn the connection into a link. The halves of the stream are sent back through this channel.
    Link(oneshot::Sender<Halves>),
}

type Halves = (Source<ReadHalf<BoxStream>>, WriteHalf<BoxStream>);

impl std::fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Answer(_) => "Answer",
            Self::Link(_) => "Link",
        })
    }
}

impl IncomingRequest {
    pub(crate) fn answer(&mut self, response: Response) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(Reply::Answer(response));
        }
    }

    /// Aborts the connection.
    pub(crate) fn abort(&mut self) {
        self.reply = None;
    }

    /// Waits until the client disconnects.
    pub(crate) async fn disconnected(&mut self) {
        match &mut self.reply {
            Some(reply) => reply.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Accepts the WebSocket that this request opens.
    async fn accept_websocket(
        &mut self,
        context: &Arc<Context>,
        who: &str,
        config: Arc<LinkConfig>,
    ) -> Result<Link, String> {
        let reply = self.reply.take().ok_or("the request is already answered")?;
        let (sender, halves) = oneshot::channel();
        let _ = reply.send(Reply::Link(sender));
        let (source, writer) = halves.await.map_err(|_| "the client has disconnected")?;
        Ok(Link::upgraded(context, who, source, writer, config))
    }
}

/// Accepts connections, and queues the requests that no step has accepted yet.
#[derive(Debug)]
pub(crate) struct Listener {
    receiver: mpsc::UnboundedReceiver<IncomingRequest>,
    pending: VecDeque<IncomingRequest>,
    sessions: Sessions,
    _listening: Task,
}

type Sessions = Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<IncomingRequest>>>>;

impl Listener {
    /// Listens on a free port of this machine. Also returns the URL for the client.
    pub(crate) async fn bind(context: &Arc<Context>) -> io::Result<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, receiver) = mpsc::unbounded_channel();
        let sessions = Sessions::default();
        let listening = Task::spawn({
            let (context, sessions) = (Arc::clone(context), Arc::clone(&sessions));
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(
                        Arc::clone(&context),
                        Box::new(stream),
                        sender.clone(),
                        Arc::clone(&sessions),
                    ));
                }
            }
        });
        Ok((Self { receiver, pending: VecDeque::new(), sessions, _listening: listening }, url))
    }

    /// Waits for the first request that `fits`, which may already be queued. `startup` is set until the first request of a newly started
    /// program, and holds the time that is left after that request.
    pub(crate) async fn accept(
        &mut self,
        mut deadline: Instant,
        startup: Option<Startup>,
        mut fits: impl FnMut(&RequestHead) -> Result<bool, String>,
    ) -> Result<Option<IncomingRequest>, String> {
        let (time, mut exited) = startup.map(|program| (program.time, program.exited)).unzip();
        let mut skipped = VecDeque::new();
        let found = loop {
            let next = match self.pending.pop_front() {
                Some(request) => Some(request),
                None => tokio::select! {
                    biased;
                    next = timeout_at(deadline, self.receiver.recv()) => next.ok().flatten(),
                    // A program that has exited gets no extra time to start.
                    () = program_exited(&mut exited) => {
                        exited = None;
                        deadline = time.map_or(deadline, |time| deadline.min(Instant::now() + time));
                        continue;
                    }
                },
            };
            match next {
                Some(request) if fits(&request.head)? => break Some(request),
                Some(request) => {
                    if let Some(time) = time {
                        deadline = deadline.min(Instant::now() + time);
                    }
                    skipped.push_back(request);
                }
                None => break None,
            }
        };
        skipped.append(&mut self.pending);
        self.pending = skipped;
        Ok(found)
    }

    /// The requests that no step has accepted, for reports.
    pub(crate) fn describe(&self) -> String {
        let targets = self.pending.iter().map(|request| format!("{} {}", request.head.method, request.head.target));
        targets.collect::<Vec<_>>().join(", ")
    }
}

/// Waits until the program has exited. Waits forever if there is no program.
async fn program_exited(exited: &mut Option<watch::Receiver<Option<String>>>) {
    match exited {
        Some(exited) => drop(exited.wait_for(Option::is_some).await),
        None => std::future::pending().await,
    }
}

async fn connection(
    context: Arc<Context>,
    stream: BoxStream,
    queue: mpsc::UnboundedSender<IncomingRequest>,
    sessions: Sessions,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut source = Source::new(reader);
    loop {
        let head = match read_request_head(&mut source).await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return context.transcript.received("client", error.to_string()),
        };
        let Ok(body) = read_body(&mut source, request_framing(&head)).await else {
            return context
                .transcript
                .received("client", format!("{} {} with an incomplete body", head.method, head.target));
        };
        let mut line = format!("{} {}", head.method, head.target);
        if head.is_upgrade() {
            line.push_str(" (WebSocket)");
        }
        if !body.is_empty() {
            line.push_str(&format!("\n{}", printable(&body)));
        }
        context.transcript.received("client", line);
        let (reply, mut replied) = oneshot::channel();
        let key = header(&head.headers, "sec-websocket-key").unwrap_or_default().to_owned();
        let session = (!head.is_upgrade())
            .then(|| head.query("sid"))
            .flatten()
            .and_then(|sid| sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&sid).cloned());
        let request = IncomingRequest { at: Instant::now(), head, body, reply: Some(reply) };
        let _ = match session {
            Some(session) => session.send(request),
            None => queue.send(request),
        };
        let answer = loop {
            tokio::select! {
                answer = &mut replied => break answer,
                // The next request may arrive early. The end of the stream means that the client cancels the request.
                more = source.fill(), if source.buffered().is_empty() => if !matches!(more, Ok(true)) {
                    return context.transcript.received("client", "the connection of a request was cut");
                },
            }
        };
        match answer {
            Ok(Reply::Answer(response)) => {
                context.transcript.sent("client", response.summary());
                if writer.write_all(&response.encode()).await.is_err() {
                    return;
                }
            }
            Ok(Reply::Link(halves)) => {
                let headers = [
                    ("Upgrade", "websocket"),
                    ("Connection", "Upgrade"),
                    ("Sec-WebSocket-Accept", &websocket::accept(&key)),
                ];
                let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
                let response =
                    Response { status: 101, reason: "Switching Protocols".to_owned(), headers, body: Vec::new() };
                context.transcript.sent("client", "101");
                if writer.write_all(&response.encode()).await.is_ok() {
                    let _ = halves.send((source, writer));
                }
                return;
            }
            Err(_) => return context.transcript.sent("client", "the connection is cut"),
        }
    }
}

/// A session of the client under test that the suite serves.
#[derive(Debug)]
pub(crate) struct ServerSession {
    context: Arc<Context>,
    name: String,
    pub(crate) sid: String,
    revision: Revision,
    inbox: Inbox,
    polling: Arc<Mutex<Polling>>,
    link: Option<Link>,
    interval: Option<Duration>,
    _serving: Option<Task>,
    _heartbeat: Option<Task>,
}

/// The held poll, and the packets that are queued for the next one.
#[derive(Debug, Default)]
struct Polling {
    held_poll: Option<IncomingRequest>,
    queue: Vec<Payload>,
    revision: Option<Revision>,
}

impl Polling {
    /// Answers the held poll if packets are queued.
    fn flush(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        if let Some(mut poll) = self.held_poll.take() {
            let revision = self.revision.unwrap_or(Revision::Four);
            poll.answer(text_response(200, &encode_body(revision, &self.queue)));
            self.queue.clear();
        }
    }
}

/// A response as the reference server sends it.
pub(crate) fn text_response(status: u16, body: &[u8]) -> Response {
    let headers = vec![
        ("Content-Type".to_owned(), "text/plain; charset=UTF-8".to_owned()),
        ("Cache-Control".to_owned(), "no-store".to_owned()),
    ];
    Response { status, reason: "-".to_owned(), headers, body: body.to_vec() }
}

/// Returns whether a request opens a session on this transport.
pub(crate) fn is_handshake(head: &RequestHead, transport: &str) -> bool {
    head.query("sid").is_none()
        && head.query("transport").as_deref() == Some(transport)
        && head.is_upgrade() == (transport == "websocket")
}

/// The revision that a client requests. As in servers, everything other than 4 means 3.
fn revision_of(head: &RequestHead) -> Revision {
    if head.query("EIO").as_deref() == Some("4") { Revision::Four } else { Revision::Three }
}

impl ServerSession {
    /// Answers a handshake. `wanted` overrides values of the open packet. `null` removes one.
    pub(crate) async fn new(
        context: &Arc<Context>,
        listener: &Listener,
        name: &str,
        sid: String,
        mut request: IncomingRequest,
        wanted: Option<Json>,
    ) -> Result<Self, String> {
        let mut handshake =
            json!({"sid": sid, "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1_000_000});
        if let (Json::Object(handshake), Some(Json::Object(wanted))) = (&mut handshake, wanted) {
            handshake.extend(wanted);
            handshake.retain(|_, value| !value.is_null());
        }
        let sid = handshake.get("sid").and_then(Json::as_str).unwrap_or_default().to_owned();
        let revision = revision_of(&request.head);
        let (events, inbox) = Inbox::new();
        let open = Payload::Text(format!("0{handshake}"));
        let polling = Arc::new(Mutex::new(Polling { revision: Some(revision), ..Polling::default() }));
        let mut session = Self {
            context: Arc::clone(context),
            name: name.to_owned(),
            sid: sid.clone(),
            revision,
            inbox,
            polling,
            link: None,
            interval: None,
            _serving: None,
            _heartbeat: None,
        };
        if request.head.is_upgrade() {
            let link = request.accept_websocket(context, name, LinkConfig::new(Side::Server, revision, true)).await?;
            link.send(context, open).await;
            session.link = Some(link);
        } else {
            let (sender, mut requests) = mpsc::unbounded_channel();
            listener.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(sid, sender);
            request.answer(text_response(200, &encode_body(revision, &[open])));
            session._serving = Some(Task::spawn({
                let (context, polling) = (Arc::clone(context), Arc::clone(&session.polling));
                async move {
                    loop {
                        tokio::select! {
                            biased;
                            request = requests.recv() => match request {
                                Some(request) => serve(&context, &polling, revision, request, &events),
                                None => return,
                            },
                            // Servers take this as the end of the session.
                            () = poll_cut(&polling) => events.send(Event::closed("the client has cut its poll")),
                        }
                    }
                }
            }));
        }
        let interval = handshake.get("pingInterval").and_then(Json::as_u64).filter(|interval| *interval > 0);
        session.interval = interval.filter(|_| revision == Revision::Four).map(Duration::from_millis);
        session.start_heartbeat();
        Ok(session)
    }

    /// Starts the heartbeat on the current transport of the session.
    fn start_heartbeat(&mut self) {
        let Some(interval) = self.interval else { return };
        let context = Arc::clone(&self.context);
        let polling = Arc::clone(&self.polling);
        let outbox = self.link.as_ref().map(|link| link.outbox.clone());
        let name = self.name.clone();
        self._heartbeat = Some(Task::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if !context.answers_heartbeats() {
                    continue;
                }
                let ping = Payload::Text("2".to_owned());
                match &outbox {
                    Some(outbox) => outbox.queue_message(&context, &name, ping),
                    None => {
                        let mut polling = polling.lock().unwrap_or_else(PoisonError::into_inner);
                        polling.queue.push(ping);
                        polling.flush();
                    }
                }
            }
        }));
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) async fn next(&mut self, deadline: Instant) -> Option<TimedEvent> {
        if let Some(arrived) = self.inbox.try_next() {
            return Some(arrived);
        }
        match &mut self.link {
            Some(link) => link.inbox.next(deadline).await,
            None => self.inbox.next(deadline).await,
        }
    }

    pub(crate) async fn send(&mut self, packets: Vec<Payload>) {
        match &self.link {
            Some(link) => {
                for packet in packets {
                    link.send(&self.context, link_message(self.revision, packet)).await;
                }
            }
            None => {
                let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
                polling.queue.extend(packets);
                polling.flush();
            }
        }
    }

    /// Returns the requests of the session to the listener's queue, including a held poll, so that the script answers them.
    pub(crate) fn release_requests(&mut self, listener: &mut Listener) {
        listener.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.sid);
        self._heartbeat = None;
        listener.pending.extend(self.polling.lock().unwrap_or_else(PoisonError::into_inner).held_poll.take());
    }

    /// Answers all requests of the session as for an unknown session, including those that wait.
    pub(crate) fn refuse_requests(&mut self, listener: &mut Listener) {
        let refuse = |mut request: IncomingRequest| {
            request.answer(text_response(400, br#"{"code":1,"message":"Session ID unknown"}"#))
        };
        let (sender, mut requests) = mpsc::unbounded_channel();
        listener.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(self.sid.clone(), sender);
        while let Ok(request) = listener.receiver.try_recv() {
            listener.pending.push_back(request);
        }
        let named = |request: &IncomingRequest| {
            !request.head.is_upgrade() && request.head.query("sid").as_ref() == Some(&self.sid)
        };
        let (ours, others): (Vec<_>, Vec<_>) = listener.pending.drain(..).partition(named);
        listener.pending.extend(others);
        ours.into_iter().for_each(refuse);
        self._heartbeat = None;
        self._serving = Some(Task::spawn(async move {
            while let Some(request) = requests.recv().await {
                refuse(request);
            }
        }));
    }

    /// Closes the session from the server's side.
    pub(crate) async fn close(&mut self, code: Option<u16>, reason: &str) {
        match &self.link {
            Some(link) => link.close(&self.context, code, reason).await,
            None => self.send(vec![Payload::Text("1".to_owned())]).await,
        }
    }

    /// Cuts the connections of the session and stops serving it.
    pub(crate) fn abort(&mut self) {
        self.link = None;
        self._serving = None;
        self._heartbeat = None;
        self.polling.lock().unwrap_or_else(PoisonError::into_inner).held_poll = None;
    }

    /// Performs the server's part of an upgrade whose request has arrived.
    pub(crate) async fn upgrade(&mut self, mut request: IncomingRequest, timeout: Duration) -> Result<(), String> {
        let mut link = request
            .accept_websocket(&self.context, &self.name, LinkConfig::new(Side::Server, self.revision, true))
            .await?;
        let deadline = Instant::now() + timeout;
        expect_packet(&mut link, "2probe", deadline).await?;
        link.send(&self.context, Payload::Text("3probe".to_owned())).await;
        {
            let mut polling = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
            if polling.held_poll.is_some() {
                polling.queue.push(Payload::Text("6".to_owned()));
                polling.flush();
            }
        }
        expect_packet(&mut link, "5", deadline).await?;
        let queue = std::mem::take(&mut self.polling.lock().unwrap_or_else(PoisonError::into_inner).queue);
        self.link = Some(link);
        self.start_heartbeat();
        self.send(queue).await;
        Ok(())
    }

    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }
}

/// Accepts a WebSocket that does not belong to a session.
pub(crate) async fn accept_link(
    context: &Arc<Context>,
    who: &str,
    mut request: IncomingRequest,
) -> Result<Link, String> {
    let revision = revision_of(&request.head);
    request.accept_websocket(context, who, LinkConfig::new(Side::Server, revision, false)).await
}

async fn expect_packet(link: &mut Link, wanted: &str, deadline: Instant) -> Result<(), String> {
    loop {
        match link.inbox.next(deadline).await.map(|arrived| arrived.event) {
            Some(Event::Ping(_) | Event::Pong(_)) => {}
            Some(Event::Packet(packet)) if packet.is(wanted) => return Ok(()),
            Some(other) => return Err(format!("{} instead of {wanted}", other.describe())),
            None => return Err(format!("no {wanted}")),
        }
    }
}

/// Waits until the client cuts the connection of the held poll, and drops that poll. After a new poll, it has to be called again.
async fn poll_cut(polling: &Mutex<Polling>) {
    std::future::poll_fn(|cx| {
        let mut state = polling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reply) = state.held_poll.as_mut().and_then(|poll| poll.reply.as_mut()) else { return Poll::Pending };
        let cut = reply.poll_closed(cx);
        if cut.is_ready() {
            state.held_poll = None;
        }
        cut
    })
    .await;
}

/// Handles one request of a polling session.
fn serve(
    context: &Arc<Context>,
    polling: &Arc<Mutex<Polling>>,
    revision: Revision,
    mut request: IncomingRequest,
    events: &EventSender,
) {
    let mut state = polling.lock().unwrap_or_else(PoisonError::into_inner);
    if request.head.method == "GET" {
        if let Some(held_poll) = &state.held_poll
            && held_poll.reply.as_ref().is_some_and(|reply| !reply.is_closed())
        {
            request.answer(text_response(400, b""));
            return events.send(Event::closed("a second poll overlaps the first"));
        }
        state.held_poll = Some(request);
        return state.flush();
    }
    let binary = header(&request.head.headers, "content-type").is_some_and(|value| value.contains("octet-stream"));
    let packets = decode_body(revision, binary, &request.body);
    let headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
    request.answer(Response { status: 200, reason: "OK".to_owned(), headers, body: b"ok".to_vec() });
    let Some(packets) = packets else {
        return events.send(Event::closed(format!("a POST does not consist of packets: {}", printable(&request.body))));
    };
    for packet in packets {
        if context.answers_heartbeats() && revision == Revision::Four && packet.is("3") {
            continue;
        }
        if context.answers_heartbeats() && revision == Revision::Three && packet.is("2") {
            state.queue.push(Payload::Text("3".to_owned()));
            state.flush();
            continue;
        }
        if packet.is("1") {
            state.queue.push(Payload::Text("6".to_owned()));
            state.flush();
            return events.send(Event::closed("by a close packet"));
        }
        events.send(Event::Packet(packet));
    }
}
