//! A session of the suite on the server under test. It does what a correct client does by itself, so that scripts describe only the rest.
//!
//! A polling session polls from the first step that waits for one of its packets, and answers pings. A script that controls the polls
//! itself uses named ones. The first of them takes over a pending poll.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Context;
use super::events::{Event, EventSender, Inbox, Task, TimedEvent};
use super::exchange::{Exchange, exchange};
use super::link::{Link, LinkConfig, LinkTransport, Outbox, Side};
use crate::wire::http::{Headers, RequestHead, Response, header};
use crate::wire::packets::{Payload, Revision, decode_body, encode_body};

/// How to open a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionOptions {
    pub(crate) name: String,
    /// Query parameters other than `transport` and `sid`. Includes `EIO`.
    pub(crate) query: String,
    pub(crate) revision: Revision,
    pub(crate) headers: Headers,
}

/// State that all tasks of a session share.
#[derive(Debug)]
pub(crate) struct Shared {
    context: Arc<Context>,
    options: SessionOptions,
    sid: String,
    /// One POST at a time, as the protocol requires.
    posting: Arc<tokio::sync::Mutex<()>>,
    events: EventSender,
    /// Where packets are sent if the session is on a link.
    outbox: Mutex<Option<Outbox>>,
}

/// A session that the suite has opened as a client.
#[derive(Debug)]
pub(crate) struct ClientSession {
    pub(crate) shared: Arc<Shared>,
    /// The handshake, for the variables of the script.
    pub(crate) handshake: Json,
    inbox: Inbox,
    link: Option<Link>,
    poller: Option<Poller>,
    _heartbeat: Option<Task>,
}

/// A background poll loop that can hand over its pending poll.
#[derive(Debug)]
struct Poller {
    stop: Arc<Notify>,
    task: JoinHandle<Option<Exchange>>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ClientSession {
    /// Opens a session over polling.
    pub(crate) async fn open_polling(context: &Arc<Context>, options: SessionOptions) -> Result<Self, String> {
        let head = request(context, &options, "polling", "", "GET");
        let event = exchange(context, &options.name, &head, None, None).await;
        let Event::Answer(response) = event else { return Err(event.describe()) };
        if response.status != 200 {
            return Err(format!("the answer {}", response.summary()));
        }
        let packets =
            packets(options.revision, &response).ok_or_else(|| format!("the answer {}", response.summary()))?;
        let mut packets = packets.into_iter();
        let handshake = match packets.next() {
            Some(Payload::Text(text)) => handshake(&text)?,
            other => return Err(format!("{other:?}")),
        };
        let session = Self::new(context, options, handshake, None)?;
        for packet in packets {
            session.shared.events.send(Event::Packet(packet));
        }
        Ok(session)
    }

    /// Opens a session over WebSocket or WebTransport.
    pub(crate) async fn open_link(
        context: &Arc<Context>,
        options: SessionOptions,
        transport: LinkTransport,
        timeout: Duration,
    ) -> Result<Self, String> {
        let mut link = match transport {
            LinkTransport::WebSocket => {
                let head = websocket_request(request(context, &options, "websocket", "", "GET"));
                Link::open_websocket(
                    context,
                    &options.name,
                    head,
                    LinkConfig::new(Side::Client, options.revision, true),
                )
            }
            LinkTransport::WebTransport => {
                let link = Link::open_webtransport(context, &options.name, LinkConfig::webtransport(true));
                link.send(context, Payload::Text("0".to_owned())).await;
                link
            }
        };
        let deadline = Instant::now() + timeout;
        loop {
            let Some(arrived) = link.inbox.next(deadline).await else {
                return Err("no open packet arrived".to_owned());
            };
            match arrived.event {
                Event::Opened(_) | Event::Ping(_) | Event::Pong(_) => {}
                Event::Packet(Payload::Text(text)) => {
                    return Self::new(context, options, handshake(&text)?, Some(link));
                }
                other => return Err(other.describe()),
            }
        }
    }

    fn new(
        context: &Arc<Context>,
        options: SessionOptions,
        handshake: Json,
        link: Option<Link>,
    ) -> Result<Self, String> {
        let sid = handshake.get("sid").and_then(Json::as_str).ok_or("the open packet has no sid")?.to_owned();
        let (events, inbox) = Inbox::new();
        let outbox = Mutex::new(link.as_ref().map(|link| link.outbox.clone()));
        let revision = options.revision;
        let posting = Arc::default();
        let shared = Arc::new(Shared { context: Arc::clone(context), options, sid, posting, events, outbox });
        let interval = handshake.get("pingInterval").and_then(Json::as_u64).map(Duration::from_millis);
        let heartbeat = interval.filter(|_| revision == Revision::Three).map(|interval| {
            let shared = Arc::clone(&shared);
            Task::spawn(async move { heartbeat(&shared, interval).await })
        });
        Ok(Self { shared, handshake, inbox, link, poller: None, _heartbeat: heartbeat })
    }

    pub(crate) fn revision(&self) -> Revision {
        self.shared.options.revision
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.link.is_none()
    }

    /// The next packet, or the end of the session.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Option<TimedEvent> {
        if let Some(arrived) = self.inbox.try_next() {
            return Some(arrived);
        }
        match &mut self.link {
            Some(link) => link.inbox.next(deadline).await,
            None => {
                self.start_polling();
                self.inbox.next(deadline).await
            }
        }
    }

    fn start_polling(&mut self) {
        if self.poller.is_some() {
            return;
        }
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn({
            let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&stop));
            async move {
                loop {
                    let mut poll = Exchange::from_future(
                        &shared.options.name,
                        Shared::poll(Arc::clone(&shared), shared.options.name.clone()),
                    );
                    let far = Instant::now() + Duration::from_secs(86_400);
                    tokio::select! {
                        arrived = poll.inbox.next(far) => if shared.handle_poll_response(arrived?) {
                            return None;
                        },
                        () = stop.notified() => return Some(poll),
                    }
                }
            }
        });
        self.poller = Some(Poller { stop, task });
    }

    /// Stops polling in the background and returns the pending poll.
    async fn take_poll(&mut self) -> Option<Exchange> {
        let mut poller = self.poller.take()?;
        poller.stop.notify_one();
        (&mut poller.task).await.ok().flatten()
    }

    /// Returns the pending poll, or a new one, as a separate request.
    pub(crate) async fn poll(&mut self, who: &str) -> Exchange {
        match self.take_poll().await {
            Some(poll) => {
                self.shared.context.transcript.note(format!("the pending poll is {who} now"));
                poll
            }
            None => Exchange::from_future(who, Shared::poll(Arc::clone(&self.shared), who.to_owned())),
        }
    }

    /// Sends a POST as a separate request, which does not wait for other requests.
    pub(crate) fn post(&self, who: &str, packets: &[Payload]) -> Exchange {
        let shared = Arc::clone(&self.shared);
        let body = encode_body(self.revision(), packets);
        let who_task = who.to_owned();
        // While it runs, pongs wait, because they must not overlap it.
        let running = Arc::clone(&shared.posting).try_lock_owned().ok();
        Exchange::from_future(who, async move {
            let event = shared.post_body(&who_task, body).await;
            drop(running);
            event
        })
    }

    /// Sends packets on the current transport. A refusal ends the session, and is reported to the step that waits for packets.
    pub(crate) async fn send(&mut self, packets: Vec<Payload>, timeout: Duration) {
        match &self.link {
            Some(link) => {
                for packet in packets {
                    link.send(&self.shared.context, link_message(self.revision(), packet)).await;
                }
            }
            None => match tokio::time::timeout(timeout, self.shared.post(&packets)).await {
                Ok(Event::Answer(response)) if response.status == 200 => {}
                Ok(Event::Answer(response)) => {
                    self.shared.events.send(Event::closed(format!("the POST got the answer {}", response.summary())));
                }
                Ok(event) => self.shared.events.send(event),
                Err(_) => self.shared.events.send(Event::closed("by the suite, because the POST got no answer")),
            },
        }
    }

    /// Upgrades from polling to a link as the reference client does.
    pub(crate) async fn upgrade(&mut self, transport: LinkTransport, timeout: Duration) -> Result<(), String> {
        let context = Arc::clone(&self.shared.context);
        let who = self.shared.options.name.clone();
        let mut poll = self.take_poll().await;
        let mut link = match transport {
            LinkTransport::WebSocket => self.open_websocket(&who, Vec::new(), false),
            LinkTransport::WebTransport => self.open_webtransport(&who).await,
        };
        let deadline = Instant::now() + timeout;
        link.send(&context, Payload::Text("2probe".to_owned())).await;
        loop {
            match link.inbox.next(deadline).await.map(|arrived| arrived.event) {
                Some(Event::Opened(_) | Event::Ping(_) | Event::Pong(_)) => {}
                Some(Event::Packet(packet)) if packet.is("3probe") => break,
                Some(other) => return Err(other.describe()),
                None => return Err("no 3probe".to_owned()),
            }
        }
        if let Some(poll) = &mut poll {
            let Some(arrived) = poll.inbox.next(deadline).await else {
                return Err("the poll that was held during the upgrade got no answer".to_owned());
            };
            if self.shared.handle_poll_response(arrived) {
                return Err("the session ended during the upgrade".to_owned());
            }
        }
        link.config.session.store(true, Ordering::Relaxed);
        link.send(&context, Payload::Text("5".to_owned())).await;
        *self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.outbox.clone());
        self.link = Some(link);
        Ok(())
    }

    /// Opens a WebSocket that names this session.
    pub(crate) fn open_websocket(&self, who: &str, headers: Headers, session: bool) -> Link {
        let sid = format!("&sid={}", self.shared.sid);
        let mut head = websocket_request(request(&self.shared.context, &self.shared.options, "websocket", &sid, "GET"));
        super::set_headers(&mut head.headers, headers);
        Link::open_websocket(&self.shared.context, who, head, LinkConfig::new(Side::Client, self.revision(), session))
    }

    /// Opens a WebTransport session whose first packet names this session.
    pub(crate) async fn open_webtransport(&self, who: &str) -> Link {
        let link = Link::open_webtransport(&self.shared.context, who, LinkConfig::webtransport(false));
        let hello = format!("0{}", serde_json::json!({ "sid": self.shared.sid }));
        link.send(&self.shared.context, Payload::Text(hello)).await;
        link
    }

    /// Closes the session as a correct client does.
    pub(crate) async fn close(&mut self, code: Option<u16>, reason: &str, timeout: Duration) {
        match &self.link {
            Some(link) => link.close(&self.shared.context, Some(code.unwrap_or(1000)), reason).await,
            None => self.send(vec![Payload::Text("1".to_owned())], timeout).await,
        }
    }

    /// Cuts all connections of the session.
    pub(crate) fn abort(&mut self) {
        self.poller = None;
        if let Some(link) = &mut self.link {
            // Replacing the link drops its task, which drops the stream.
            let config = Arc::clone(&link.config);
            *link = Link::upgraded(
                &self.shared.context,
                &self.shared.options.name,
                crate::wire::Source::new(tokio::io::empty()),
                tokio::io::sink(),
                config,
            );
        } else {
            self.shared.events.send(Event::closed("by this script"));
        }
    }

    /// Polls once with the id of the session, to check whether the server still accepts it.
    pub(crate) async fn poll_once(&self) -> Event {
        Shared::poll(Arc::clone(&self.shared), self.shared.options.name.clone()).await
    }

    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }
}

impl Shared {
    /// Polls once. If the response contains only pings, answers them and polls again.
    async fn poll(self: Arc<Self>, who: String) -> Event {
        let head = self.request("GET");
        loop {
            let event = exchange(&self.context, &who, &head, None, None).await;
            let Event::Answer(mut response) = event else { return event };
            let hidden = match self.options.revision {
                Revision::Four => "2",
                Revision::Three => "3",
            };
            if response.status != 200 || !self.context.answers_heartbeats() {
                return Event::Answer(response);
            }
            let Some(mut packets) = packets(self.options.revision, &response) else { return Event::Answer(response) };
            let before = packets.len();
            packets.retain(|packet| !packet.is(hidden));
            if packets.len() == before {
                return Event::Answer(response);
            }
            if self.options.revision == Revision::Four {
                self.post(&[Payload::Text("3".to_owned())]).await;
            }
            if !packets.is_empty() {
                response.body = encode_body(self.options.revision, &packets);
                if self.options.revision == Revision::Three {
                    // The body may have been in the binary format, and is text now.
                    response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                }
                return Event::Answer(response);
            }
        }
    }

    /// Sends a POST after all pending ones.
    async fn post(&self, packets: &[Payload]) -> Event {
        let _running = self.posting.lock().await;
        self.post_body(&self.options.name, encode_body(self.options.revision, packets)).await
    }

    async fn post_body(&self, who: &str, body: Vec<u8>) -> Event {
        let mut head = self.request("POST");
        super::set_headers(&mut head.headers, vec![("Content-Type".to_owned(), "text/plain;charset=UTF-8".to_owned())]);
        exchange(&self.context, who, &head, Some(&body), None).await
    }

    fn request(&self, method: &str) -> RequestHead {
        request(&self.context, &self.options, "polling", &format!("&sid={}", self.sid), method)
    }

    /// Emits the packets in the response to a poll. Returns whether that was the last poll.
    fn handle_poll_response(&self, arrived: TimedEvent) -> bool {
        let send = |event| self.events.send_at(TimedEvent { at: arrived.at, event });
        match arrived.event {
            Event::Answer(response) if response.status == 200 => {
                let Some(packets) = packets(self.options.revision, &response) else {
                    send(Event::closed(format!("by the suite, because a poll got the answer {}", response.summary())));
                    return true;
                };
                for packet in packets {
                    if packet.is("1") {
                        send(Event::closed("by a close packet"));
                        return true;
                    }
                    if !packet.is("6") {
                        send(Event::Packet(packet));
                    }
                }
                false
            }
            Event::Answer(response) => {
                send(Event::closed(format!("a poll got the answer {}", response.summary())));
                true
            }
            other => {
                send(other);
                true
            }
        }
    }
}

/// In revision 3, the client sends the pings.
async fn heartbeat(shared: &Arc<Shared>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if !shared.context.answers_heartbeats() {
            continue;
        }
        let outbox = shared.outbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match outbox {
            Some(outbox) => {
                outbox.queue_message(&shared.context, &shared.options.name, Payload::Text("2".to_owned()));
            }
            None => {
                shared.post(&[Payload::Text("2".to_owned())]).await;
            }
        }
    }
}

/// Encodes a packet as a message of a link. In revision 3, binary data starts with its type.
pub(super) fn link_message(revision: Revision, packet: Payload) -> Payload {
    match (revision, packet) {
        (Revision::Three, Payload::Bytes(mut bytes)) => {
            bytes.insert(0, 4);
            Payload::Bytes(bytes)
        }
        (_, packet) => packet,
    }
}

fn packets(revision: Revision, response: &Response) -> Option<Vec<Payload>> {
    let binary = header(&response.headers, "content-type").is_some_and(|value| value.contains("octet-stream"));
    decode_body(revision, binary, &response.body)
}

fn handshake(text: &str) -> Result<Json, String> {
    text.strip_prefix('0')
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| format!("expected an open packet, got {text}"))
}

fn request(context: &Context, options: &SessionOptions, transport: &str, more: &str, method: &str) -> RequestHead {
    let separator = if options.query.is_empty() { "" } else { "&" };
    let target = format!("{}?{}{separator}transport={transport}{more}", context.path, options.query);
    let mut head = context.request(method, &target);
    super::set_headers(&mut head.headers, options.headers.clone());
    head
}

/// Adds the headers of a WebSocket request.
pub(crate) fn websocket_request(mut head: RequestHead) -> RequestHead {
    let mut headers = vec![
        ("Upgrade".to_owned(), "websocket".to_owned()),
        ("Connection".to_owned(), "Upgrade".to_owned()),
        ("Sec-WebSocket-Key".to_owned(), crate::wire::websocket::KEY.to_owned()),
        ("Sec-WebSocket-Version".to_owned(), "13".to_owned()),
    ];
    // Headers of the script take precedence.
    headers.retain(|(name, _)| header(&head.headers, name).is_none());
    head.headers.extend(headers);
    head
}
