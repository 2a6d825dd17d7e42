//! A WebSocket, from either side, or a WebTransport stream. Dropping it cuts the connection.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::Context;
use super::inbox::{Event, Inbox, Post, Task, shown_frame};
use crate::wire::http::{RequestHead, header, read_response};
use crate::wire::packets::{Payload, Revision};
use crate::wire::websocket::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, read_frame};
use crate::wire::webtransport::{self, Header};
use crate::wire::{MAX_BODY, Source, printable};

/// The side of the WebSocket that the suite plays. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The transport of a link. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    WebSocket,
    WebTransport,
}

/// How a link handles packets by itself.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) side: Side,
    pub(crate) carrier: Carrier,
    pub(crate) revision: Revision,
    /// The link carries a session: noops are hidden from the script, and a close packet is the end.
    pub(crate) session: AtomicBool,
}

impl Manner {
    pub(crate) fn new(side: Side, revision: Revision, session: bool) -> Arc<Self> {
        Arc::new(Self { side, carrier: Carrier::WebSocket, revision, session: AtomicBool::new(session) })
    }

    /// For a client on WebTransport, which requires revision 4.
    pub(crate) fn on_webtransport(session: bool) -> Arc<Self> {
        let session = AtomicBool::new(session);
        Arc::new(Self { side: Side::Client, carrier: Carrier::WebTransport, revision: Revision::Four, session })
    }
}

/// What to do on a link.
#[derive(Debug)]
enum Order {
    Write(Vec<u8>, Option<oneshot::Sender<()>>),
    /// Close the WebTransport session. There is no frame for it.
    Close(u32, String),
    /// Open another stream of the WebTransport session, and write these bytes to it.
    Stream(Vec<u8>),
}

/// The sending half of a link.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    sender: UnboundedSender<Order>,
    side: Side,
    carrier: Carrier,
}

/// How long a step waits until its bytes are written. If the peer does not read, the script continues: what the peer does next counts.
const WRITING: Duration = Duration::from_secs(2);

impl Outbox {
    /// Queues a frame.
    pub(crate) fn put(&self, context: &Context, who: &str, frame: &Frame) {
        context.transcript.out(who, shown_frame(frame));
        let _ = self.sender.send(Order::Write(frame.encode(None), None));
    }

    /// Queues a message.
    pub(crate) fn put_message(&self, context: &Context, who: &str, payload: Payload) {
        match self.carrier {
            Carrier::WebSocket => self.put(context, who, &self.message(payload)),
            Carrier::WebTransport => {
                context.transcript.out(who, payload.shown());
                let _ = self.sender.send(Order::Write(webtransport::encode(&payload), None));
            }
        }
    }

    fn message(&self, payload: Payload) -> Frame {
        let masked = self.side == Side::Client;
        match payload {
            Payload::Text(text) => Frame::new(TEXT, text, masked),
            Payload::Bytes(bytes) => Frame::new(BINARY, bytes, masked),
        }
    }

    /// Writes bytes and waits until they are written, up to a limit.
    async fn write(&self, bytes: Vec<u8>) {
        let (written, done) = oneshot::channel();
        let _ = self.sender.send(Order::Write(bytes, Some(written)));
        let _ = tokio::time::timeout(WRITING, done).await;
    }
}

/// A WebSocket, or a WebTransport session with its stream.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) manner: Arc<Manner>,
    who: String,
    _task: Task,
}

impl Link {
    /// Opens a WebSocket on a server. The response arrives in the inbox.
    pub(crate) fn dial(context: &Arc<Context>, who: &str, head: RequestHead, manner: Arc<Manner>) -> Self {
        let (post, inbox) = Inbox::new();
        let (sender, rest) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: manner.side, carrier: manner.carrier };
        let task = Task::spawn({
            let (context, who, manner, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&manner), outbox.clone());
            async move { dialled(&context, &who, &head, &manner, &outbox, rest, &post).await }
        });
        Self { inbox, outbox, manner, who: who.to_owned(), _task: task }
    }

    /// Opens a WebTransport session. Its stream is opened by the first write.
    pub(crate) fn webtransport(context: &Arc<Context>, who: &str, manner: Arc<Manner>) -> Self {
        let (post, inbox) = Inbox::new();
        let (sender, rest) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: manner.side, carrier: manner.carrier };
        let task = Task::spawn({
            let (context, who, manner, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&manner), outbox.clone());
            async move {
                let end = transported(&context, &who, &manner, &outbox, rest, &post).await;
                context.transcript.arrived(&who, end.shown());
                post.put(end);
            }
        });
        Self { inbox, outbox, manner, who: who.to_owned(), _task: task }
    }

    /// Takes over the server's side of a connection whose opening handshake is complete.
    pub(crate) fn over<R, W>(
        context: &Arc<Context>,
        who: &str,
        source: Source<R>,
        writer: W,
        manner: Arc<Manner>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (post, inbox) = Inbox::new();
        let (sender, rest) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: manner.side, carrier: manner.carrier };
        let task = Task::spawn({
            let (context, who, manner, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&manner), outbox.clone());
            async move { carry(&context, &who, source, writer, &manner, &outbox, rest, &post).await }
        });
        Self { inbox, outbox, manner, who: who.to_owned(), _task: task }
    }

    /// Sends a message.
    pub(crate) async fn send(&self, context: &Context, payload: Payload) {
        match self.manner.carrier {
            Carrier::WebSocket => self.frame(context, &self.outbox.message(payload), None).await,
            Carrier::WebTransport => {
                context.transcript.out(&self.who, payload.shown());
                self.outbox.write(webtransport::encode(&payload)).await;
            }
        }
    }

    /// Sends a WebTransport frame with this announced length.
    pub(crate) async fn stream_frame(&self, context: &Context, binary: bool, content: &[u8], announced: u64) {
        let header = Header::new(binary, announced);
        context.transcript.out(&self.who, format!("length {announced} {}", printable(content)));
        self.outbox.write([&header.bytes, content].concat()).await;
    }

    /// Sends a frame unchanged, with another announced length if one is given.
    pub(crate) async fn frame(&self, context: &Context, frame: &Frame, announced: Option<u64>) {
        context.transcript.out(&self.who, shown_frame(frame));
        self.outbox.write(frame.encode(announced)).await;
    }

    /// Writes raw bytes without framing.
    pub(crate) async fn bytes(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.out(&self.who, format!("bytes {}", printable(&bytes)));
        self.outbox.write(bytes).await;
    }

    /// Opens another stream of a WebTransport session. Data that arrives on it is ignored.
    pub(crate) fn stream(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.out(&self.who, format!("another stream: {}", printable(&bytes)));
        let _ = self.outbox.sender.send(Order::Stream(bytes));
    }

    /// Sends a close frame, which is empty without a code. A WebTransport session is closed, with code 0 if there is none.
    pub(crate) async fn close(&self, context: &Context, code: Option<u16>, reason: &str) {
        if self.manner.carrier == Carrier::WebTransport {
            context.transcript.out(&self.who, "closes the session");
            let _ = self.outbox.sender.send(Order::Close(code.map_or(0, u32::from), reason.to_owned()));
            return;
        }
        let mut payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        payload.extend(reason.as_bytes());
        self.frame(context, &Frame::new(CLOSE, payload, self.outbox.side == Side::Client), None).await;
    }
}

type Queue = UnboundedReceiver<Order>;

/// Runs a WebTransport session until it ends. Returns how it ended.
async fn transported(
    context: &Context,
    who: &str,
    manner: &Manner,
    outbox: &Outbox,
    mut rest: Queue,
    post: &Post,
) -> Event {
    context.transcript.out(who, format!("{} (WebTransport)", context.path));
    let session = match context.webtransport().await {
        Ok(session) => session,
        Err(event) => return event,
    };
    context.transcript.arrived(who, "the session is open");
    let traffic = async {
        let Some(first) = rest.recv().await else { return Event::closed("by this script") };
        if let Order::Close(code, reason) = &first {
            session.close(*code, reason);
            return Event::closed("by this script");
        }
        let stream = match session.stream().await {
            Ok(stream) => stream,
            Err(error) => return Event::closed(format!("no stream: {error}")),
        };
        let (reader, mut writer) = tokio::io::split(stream);
        let mut source = Source::new(reader);
        let writing = async {
            let mut others = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Write(bytes, written) => {
                        let _ = writer.write_all(&bytes).await;
                        let _ = writer.flush().await;
                        if let Some(written) = written {
                            let _ = written.send(());
                        }
                    }
                    Order::Close(code, reason) => session.close(code, &reason),
                    Order::Stream(bytes) => {
                        if let Ok(mut stream) = session.stream().await {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.flush().await;
                            others.push(stream);
                        }
                    }
                }
                next = rest.recv().await;
            }
        };
        tokio::select! {
            () = writing => Event::closed("by this script"),
            end = read_stream(context, who, &mut source, manner, outbox, post) => match end {
                Ok(end) => end,
                // The session may report a better reason.
                Err(end) => match tokio::time::timeout(Duration::from_millis(100), session.ended()).await {
                    Ok(how) => Event::closed(how),
                    Err(_) => Event::closed(end),
                },
            },
        }
    };
    let mut traffic = std::pin::pin!(traffic);
    tokio::select! {
        end = &mut traffic => end,
        how = session.ended() => {
            // Packets that arrived before the end may still have to be read.
            let _ = tokio::time::timeout(Duration::from_millis(100), traffic).await;
            Event::closed(how)
        }
    }
}

/// Reads packets until a packet closes the session. Returns an error if the stream ends first.
async fn read_stream<R: AsyncRead + Unpin>(
    context: &Context,
    who: &str,
    source: &mut Source<R>,
    manner: &Manner,
    outbox: &Outbox,
    post: &Post,
) -> Result<Event, String> {
    let refused = |why: &str| Ok(Event::closed(format!("by the suite, because {why}")));
    loop {
        let header = match Header::read(source).await {
            Ok(Some(header)) => header,
            Ok(None) => return Err("the stream ended".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        if header.length == 0 {
            return refused("a frame was empty");
        }
        if header != Header::new(header.binary, header.length) {
            return refused("a length is encoded in more bytes than necessary");
        }
        let packet = match webtransport::packet(source, &header).await {
            Ok(packet) => packet,
            Err(error) if error.kind() == ErrorKind::InvalidData => return refused(&error.to_string()),
            Err(error) => return Err(error.to_string()),
        };
        context.transcript.arrived(who, packet.shown());
        match taken(context, who, packet, manner, outbox) {
            Some(end @ Event::Closed { .. }) => return Ok(end),
            Some(event) => post.put(event),
            None => {}
        }
    }
}

async fn dialled(
    context: &Arc<Context>,
    who: &str,
    head: &RequestHead,
    manner: &Manner,
    outbox: &Outbox,
    rest: Queue,
    post: &Post,
) {
    let stream = match context.connect().await {
        Ok(stream) => stream,
        Err(event) => return post.put(event),
    };
    let (reader, mut writer) = tokio::io::split(stream);
    context.transcript.out(who, format!("{} {} (WebSocket)", head.method, head.target));
    // Even if this fails, read the response.
    let _ = writer.write_all(&head.encode(None)).await;
    let _ = writer.flush().await;
    let mut source = Source::new(reader);
    match read_response(&mut source, &head.method).await {
        Ok(response) if response.status == 101 => {
            context.transcript.arrived(who, "101");
            let key = header(&head.headers, "sec-websocket-key").unwrap_or_default();
            let accepted = header(&response.headers, "sec-websocket-accept") == Some(&websocket::accept(key));
            post.put(Event::Opened(response));
            if !accepted {
                return post.put(Event::closed("by the suite, because Sec-WebSocket-Accept is missing or wrong"));
            }
            carry(context, who, source, writer, manner, outbox, rest, post).await;
        }
        Ok(response) => {
            context.transcript.arrived(who, response.summary());
            post.put(Event::Answer(response));
        }
        Err(error) => {
            context.transcript.arrived(who, error.to_string());
            post.put(Event::closed(error.to_string()));
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the two callers have exactly these at hand, and no two of them belong together"
)]
async fn carry<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    context: &Context,
    who: &str,
    mut source: Source<R>,
    mut writer: W,
    manner: &Manner,
    outbox: &Outbox,
    mut rest: Queue,
    post: &Post,
) {
    let writing = async {
        while let Some(Order::Write(bytes, written)) = rest.recv().await {
            let _ = writer.write_all(&bytes).await;
            let _ = writer.flush().await;
            if let Some(written) = written {
                let _ = written.send(());
            }
        }
    };
    let reading = async {
        let end = read(context, who, &mut source, manner, outbox, post).await;
        context.transcript.arrived(who, end.shown());
        post.put(end);
        // The close frame that answers theirs must be written before the connection is cut.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}

/// Reads until the end, and returns how it ended.
async fn read<R: AsyncRead + Unpin>(
    context: &Context,
    who: &str,
    source: &mut Source<R>,
    manner: &Manner,
    outbox: &Outbox,
    post: &Post,
) -> Event {
    let masked = manner.side == Side::Client;
    let mut unfinished: Option<(u8, Vec<u8>)> = None;
    loop {
        let frame = match read_frame(source).await {
            Ok(frame) => frame,
            Err(error) => return Event::closed(format!("the connection ended without a close frame ({error})")),
        };
        context.transcript.arrived(who, shown_frame(&frame));
        if frame.masked == masked {
            return Event::closed("by the suite, because a server masked a frame, or a client did not");
        }
        match (frame.opcode, unfinished.take()) {
            (CLOSE, _) => {
                let answer = frame.payload.get(..2).unwrap_or_default();
                outbox.put(context, who, &Frame::new(CLOSE, answer, masked));
                return Event::Closed { code: Some(frame.close_code()), how: "by a close frame".to_owned() };
            }
            (PING, before) => {
                unfinished = before;
                outbox.put(context, who, &Frame::new(PONG, frame.payload.clone(), masked));
                post.put(Event::Ping(frame.payload));
            }
            (PONG, before) => {
                unfinished = before;
                post.put(Event::Pong(frame.payload));
            }
            (opcode @ (TEXT | BINARY), None) => unfinished = Some((opcode, frame.payload)),
            (CONTINUATION, Some((opcode, mut payload))) => {
                payload.extend(frame.payload);
                unfinished = Some((opcode, payload));
            }
            (opcode, _) => {
                return Event::closed(format!("by the suite, because a frame of type {opcode} is not allowed here"));
            }
        }
        match unfinished.take() {
            Some((opcode, payload)) if frame.fin && frame.opcode < CLOSE => {
                let payload = match opcode {
                    TEXT => match String::from_utf8(payload) {
                        Ok(text) => Payload::Text(text),
                        Err(_) => return Event::closed("by the suite, because a text frame is not UTF-8"),
                    },
                    _ => Payload::Bytes(payload),
                };
                if let Some(event) = taken(context, who, payload, manner, outbox) {
                    if matches!(event, Event::Closed { .. }) {
                        return event;
                    }
                    post.put(event);
                }
            }
            Some((_, payload)) if payload.len() > MAX_BODY => {
                return Event::closed("by the suite, because a message is too large");
            }
            other => unfinished = other,
        }
    }
}

/// Converts a message to an event for the script. Returns `None` if the link handles it by itself.
fn taken(context: &Context, who: &str, payload: Payload, manner: &Manner, outbox: &Outbox) -> Option<Event> {
    if context.answers_heartbeats() {
        match (manner.side, manner.revision) {
            (Side::Client, Revision::Four) if payload.is("2") => {
                outbox.put_message(context, who, Payload::Text("3".to_owned()));
                return None;
            }
            (Side::Client, Revision::Three) | (Side::Server, Revision::Four) if payload.is("3") => return None,
            (Side::Server, Revision::Three) if payload.is("2") => {
                outbox.put_message(context, who, Payload::Text("3".to_owned()));
                return None;
            }
            _ => {}
        }
    }
    if !manner.session.load(Ordering::Relaxed) {
        return Some(Event::Packet(payload));
    }
    if payload.is("6") {
        return None;
    }
    if payload.is("1") {
        return Some(Event::closed("by a close packet"));
    }
    Some(Event::Packet(match (payload, manner.revision) {
        (Payload::Bytes(bytes), Revision::Three) => match bytes.strip_prefix(&[4]) {
            Some(message) => Payload::Bytes(message.to_vec()),
            None => return Some(Event::closed("by the suite, because a binary packet is not a message")),
        },
        (payload, _) => payload,
    }))
}
