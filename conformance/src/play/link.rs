//! A WebSocket, from either side, or a WebTransport stream. Dropping it cuts the connection.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::Context;
use super::events::{Event, EventSender, Inbox, Task, describe_frame};
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
pub(crate) enum LinkTransport {
    WebSocket,
    WebTransport,
}

/// Which packets a link handles by itself, and how.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    pub(crate) side: Side,
    pub(crate) transport: LinkTransport,
    pub(crate) revision: Revision,
    /// The link carries a session: noops are hidden from the script, and a close packet is the end.
    pub(crate) session: AtomicBool,
}

impl LinkConfig {
    pub(crate) fn new(side: Side, revision: Revision, session: bool) -> Arc<Self> {
        Arc::new(Self { side, transport: LinkTransport::WebSocket, revision, session: AtomicBool::new(session) })
    }

    /// For a client on WebTransport, which requires revision 4.
    pub(crate) fn webtransport(session: bool) -> Arc<Self> {
        let session = AtomicBool::new(session);
        Arc::new(Self { side: Side::Client, transport: LinkTransport::WebTransport, revision: Revision::Four, session })
    }
}

/// What to do on a link.
#[derive(Debug)]
enum Command {
    Write(Vec<u8>, Option<oneshot::Sender<()>>),
    /// Close the WebTransport session. There is no frame for it.
    Close(u32, String),
    /// Open another stream of the WebTransport session, and write these bytes to it.
    Stream(Vec<u8>),
}

/// The sending half of a link.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    sender: UnboundedSender<Command>,
    side: Side,
    transport: LinkTransport,
}

/// How long a step waits until its bytes are written. If the peer does not read, the script continues: what the peer does next counts.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

impl Outbox {
    /// Queues a frame.
    pub(crate) fn queue_frame(&self, context: &Context, who: &str, frame: &Frame) {
        context.transcript.sent(who, describe_frame(frame));
        let _ = self.sender.send(Command::Write(frame.encode(None), None));
    }

    /// Queues a message.
    pub(crate) fn queue_message(&self, context: &Context, who: &str, payload: Payload) {
        match self.transport {
            LinkTransport::WebSocket => self.queue_frame(context, who, &self.message(payload)),
            LinkTransport::WebTransport => {
                context.transcript.sent(who, payload.describe());
                let _ = self.sender.send(Command::Write(webtransport::encode(&payload), None));
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
        let _ = self.sender.send(Command::Write(bytes, Some(written)));
        let _ = tokio::time::timeout(WRITE_TIMEOUT, done).await;
    }
}

/// A WebSocket, or a WebTransport session with its stream.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) config: Arc<LinkConfig>,
    who: String,
    _task: Task,
}

impl Link {
    /// Opens a WebSocket on a server. The response arrives in the inbox.
    pub(crate) fn open_websocket(
        context: &Arc<Context>,
        who: &str,
        head: RequestHead,
        config: Arc<LinkConfig>,
    ) -> Self {
        let (events, inbox) = Inbox::new();
        let (sender, commands) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: config.side, transport: config.transport };
        let task = Task::spawn({
            let (context, who, config, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&config), outbox.clone());
            async move { connect_websocket(&context, &who, &head, &config, &outbox, commands, &events).await }
        });
        Self { inbox, outbox, config, who: who.to_owned(), _task: task }
    }

    /// Opens a WebTransport session. Its stream is opened by the first write.
    pub(crate) fn open_webtransport(context: &Arc<Context>, who: &str, config: Arc<LinkConfig>) -> Self {
        let (events, inbox) = Inbox::new();
        let (sender, commands) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: config.side, transport: config.transport };
        let task = Task::spawn({
            let (context, who, config, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&config), outbox.clone());
            async move {
                let end = run_webtransport(&context, &who, &config, &outbox, commands, &events).await;
                context.transcript.received(&who, end.describe());
                events.send(end);
            }
        });
        Self { inbox, outbox, config, who: who.to_owned(), _task: task }
    }

    /// Takes over the server's side of a connection whose opening handshake is complete.
    pub(crate) fn upgraded<R, W>(
        context: &Arc<Context>,
        who: &str,
        source: Source<R>,
        writer: W,
        config: Arc<LinkConfig>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (events, inbox) = Inbox::new();
        let (sender, commands) = mpsc::unbounded_channel();
        let outbox = Outbox { sender, side: config.side, transport: config.transport };
        let task = Task::spawn({
            let (context, who, config, outbox) =
                (Arc::clone(context), who.to_owned(), Arc::clone(&config), outbox.clone());
            async move { run_websocket(&context, &who, source, writer, &config, &outbox, commands, &events).await }
        });
        Self { inbox, outbox, config, who: who.to_owned(), _task: task }
    }

    /// Sends a message.
    pub(crate) async fn send(&self, context: &Context, payload: Payload) {
        match self.config.transport {
            LinkTransport::WebSocket => self.send_frame(context, &self.outbox.message(payload), None).await,
            LinkTransport::WebTransport => {
                context.transcript.sent(&self.who, payload.describe());
                self.outbox.write(webtransport::encode(&payload)).await;
            }
        }
    }

    /// Sends a WebTransport frame with this announced length.
    pub(crate) async fn send_stream_frame(&self, context: &Context, binary: bool, content: &[u8], announced: u64) {
        let header = Header::new(binary, announced);
        context.transcript.sent(&self.who, format!("length {announced} {}", printable(content)));
        self.outbox.write([&header.bytes, content].concat()).await;
    }

    /// Sends a frame unchanged, with another announced length if one is given.
    pub(crate) async fn send_frame(&self, context: &Context, frame: &Frame, announced: Option<u64>) {
        context.transcript.sent(&self.who, describe_frame(frame));
        self.outbox.write(frame.encode(announced)).await;
    }

    /// Writes raw bytes without framing.
    pub(crate) async fn send_bytes(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.sent(&self.who, format!("bytes {}", printable(&bytes)));
        self.outbox.write(bytes).await;
    }

    /// Opens another stream of a WebTransport session. Data that arrives on it is ignored.
    pub(crate) fn open_stream(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.sent(&self.who, format!("another stream: {}", printable(&bytes)));
        let _ = self.outbox.sender.send(Command::Stream(bytes));
    }

    /// Sends a close frame, which is empty without a code. A WebTransport session is closed, with code 0 if there is none.
    pub(crate) async fn close(&self, context: &Context, code: Option<u16>, reason: &str) {
        if self.config.transport == LinkTransport::WebTransport {
            context.transcript.sent(&self.who, "closes the session");
            let _ = self.outbox.sender.send(Command::Close(code.map_or(0, u32::from), reason.to_owned()));
            return;
        }
        let mut payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        payload.extend(reason.as_bytes());
        self.send_frame(context, &Frame::new(CLOSE, payload, self.outbox.side == Side::Client), None).await;
    }
}

type Commands = UnboundedReceiver<Command>;

/// Runs a WebTransport session until it ends. Returns how it ended.
async fn run_webtransport(
    context: &Context,
    who: &str,
    config: &LinkConfig,
    outbox: &Outbox,
    mut commands: Commands,
    events: &EventSender,
) -> Event {
    context.transcript.sent(who, format!("{} (WebTransport)", context.path));
    let session = match context.webtransport().await {
        Ok(session) => session,
        Err(event) => return event,
    };
    context.transcript.received(who, "the session is open");
    let traffic = async {
        let Some(first) = commands.recv().await else { return Event::closed("by this script") };
        if let Command::Close(code, reason) = &first {
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
            while let Some(command) = next {
                match command {
                    Command::Write(bytes, written) => {
                        let _ = writer.write_all(&bytes).await;
                        let _ = writer.flush().await;
                        if let Some(written) = written {
                            let _ = written.send(());
                        }
                    }
                    Command::Close(code, reason) => session.close(code, &reason),
                    Command::Stream(bytes) => {
                        if let Ok(mut stream) = session.stream().await {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.flush().await;
                            others.push(stream);
                        }
                    }
                }
                next = commands.recv().await;
            }
        };
        tokio::select! {
            () = writing => Event::closed("by this script"),
            end = read_packets(context, who, &mut source, config, outbox, events) => match end {
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
async fn read_packets<R: AsyncRead + Unpin>(
    context: &Context,
    who: &str,
    source: &mut Source<R>,
    config: &LinkConfig,
    outbox: &Outbox,
    events: &EventSender,
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
        context.transcript.received(who, packet.describe());
        match message_event(context, who, packet, config, outbox) {
            Some(end @ Event::Closed { .. }) => return Ok(end),
            Some(event) => events.send(event),
            None => {}
        }
    }
}

async fn connect_websocket(
    context: &Arc<Context>,
    who: &str,
    head: &RequestHead,
    config: &LinkConfig,
    outbox: &Outbox,
    commands: Commands,
    events: &EventSender,
) {
    let stream = match context.connect().await {
        Ok(stream) => stream,
        Err(event) => return events.send(event),
    };
    let (reader, mut writer) = tokio::io::split(stream);
    context.transcript.sent(who, format!("{} {} (WebSocket)", head.method, head.target));
    // Even if this fails, read the response.
    let _ = writer.write_all(&head.encode(None)).await;
    let _ = writer.flush().await;
    let mut source = Source::new(reader);
    match read_response(&mut source, &head.method).await {
        Ok(response) if response.status == 101 => {
            context.transcript.received(who, "101");
            let key = header(&head.headers, "sec-websocket-key").unwrap_or_default();
            let accepted = header(&response.headers, "sec-websocket-accept") == Some(&websocket::accept(key));
            events.send(Event::Opened(response));
            if !accepted {
                return events.send(Event::closed("by the suite, because Sec-WebSocket-Accept is missing or wrong"));
            }
            run_websocket(context, who, source, writer, config, outbox, commands, events).await;
        }
        Ok(response) => {
            context.transcript.received(who, response.summary());
            events.send(Event::Answer(response));
        }
        Err(error) => {
            context.transcript.received(who, error.to_string());
            events.send(Event::closed(error.to_string()));
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the two callers have exactly these at hand, and no two of them belong together"
)]
async fn run_websocket<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    context: &Context,
    who: &str,
    mut source: Source<R>,
    mut writer: W,
    config: &LinkConfig,
    outbox: &Outbox,
    mut commands: Commands,
    events: &EventSender,
) {
    let writing = async {
        while let Some(Command::Write(bytes, written)) = commands.recv().await {
            let _ = writer.write_all(&bytes).await;
            let _ = writer.flush().await;
            if let Some(written) = written {
                let _ = written.send(());
            }
        }
    };
    let reading = async {
        let end = read_frames(context, who, &mut source, config, outbox, events).await;
        context.transcript.received(who, end.describe());
        events.send(end);
        // The close frame that answers theirs must be written before the connection is cut.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}

/// Reads until the end, and returns how it ended.
async fn read_frames<R: AsyncRead + Unpin>(
    context: &Context,
    who: &str,
    source: &mut Source<R>,
    config: &LinkConfig,
    outbox: &Outbox,
    events: &EventSender,
) -> Event {
    let masked = config.side == Side::Client;
    let mut unfinished: Option<(u8, Vec<u8>)> = None;
    loop {
        let frame = match read_frame(source).await {
            Ok(frame) => frame,
            Err(error) => return Event::closed(format!("the connection ended without a close frame ({error})")),
        };
        context.transcript.received(who, describe_frame(&frame));
        if frame.masked == masked {
            return Event::closed("by the suite, because a server masked a frame, or a client did not");
        }
        match (frame.opcode, unfinished.take()) {
            (CLOSE, _) => {
                let answer = frame.payload.get(..2).unwrap_or_default();
                outbox.queue_frame(context, who, &Frame::new(CLOSE, answer, masked));
                return Event::Closed { code: Some(frame.close_code()), how: "by a close frame".to_owned() };
            }
            (PING, before) => {
                unfinished = before;
                outbox.queue_frame(context, who, &Frame::new(PONG, frame.payload.clone(), masked));
                events.send(Event::Ping(frame.payload));
            }
            (PONG, before) => {
                unfinished = before;
                events.send(Event::Pong(frame.payload));
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
                if let Some(event) = message_event(context, who, payload, config, outbox) {
                    if matches!(event, Event::Closed { .. }) {
                        return event;
                    }
                    events.send(event);
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
fn message_event(
    context: &Context,
    who: &str,
    payload: Payload,
    config: &LinkConfig,
    outbox: &Outbox,
) -> Option<Event> {
    if context.answers_heartbeats() {
        match (config.side, config.revision) {
            (Side::Client, Revision::Four) if payload.is("2") => {
                outbox.queue_message(context, who, Payload::Text("3".to_owned()));
                return None;
            }
            (Side::Client, Revision::Three) | (Side::Server, Revision::Four) if payload.is("3") => return None,
            (Side::Server, Revision::Three) if payload.is("2") => {
                outbox.queue_message(context, who, Payload::Text("3".to_owned()));
                return None;
            }
            _ => {}
        }
    }
    if !config.session.load(Ordering::Relaxed) {
        return Some(Event::Packet(payload));
    }
    if payload.is("6") {
        return None;
    }
    if payload.is("1") {
        return Some(Event::closed("by a close packet"));
    }
    Some(Event::Packet(match (payload, config.revision) {
        (Payload::Bytes(bytes), Revision::Three) => match bytes.strip_prefix(&[4]) {
            Some(message) => Payload::Bytes(message.to_vec()),
            None => return Some(Event::closed("by the suite, because a binary packet is not a message")),
        },
        (payload, _) => payload,
    }))
}
