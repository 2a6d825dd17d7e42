//! Complete sessions of many peers, generated from a seed and checked.
//!
//! Peers poll, upgrade, or connect with a WebSocket. They send numbered messages, which the server echoes. They are slow, go silent, lose
//! their connections, or leave. Handlers wait, keep sending until they succeed, close, or panic. Other clients send unwanted requests, and
//! the process oversleeps. The test checks that, whatever happens:
//!
//! * The server receives what a peer has sent, in order, without gaps or duplicates, up to some point.
//! * The peer receives what the server was able to send, in the same way; all of it if the peer closes gracefully.
//! * Every session is opened once and closed once, every request is answered, and no task and no session is left at the end.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use socketio_driver::{
    CloseReason, DisconnectReason, EmitError, Endpoint, EngineServer, EngineSocket, Event, Message, Runtime as _,
    SendError, Server, Socket,
};

use crate::end;
use crate::support::{Ending, PipeSettings, Poller, Reply, Sim, Upgrading, WebSocket, request};

/// What the server recorded of one session.
#[derive(Clone, Debug, Default, PartialEq)]
struct SessionRecord {
    opened: usize,
    closed: usize,
    received: Vec<u64>,
    /// The messages that it was able to send.
    sent: Vec<u64>,
    /// The messages that were refused: the peer's queue was full, or the session had ended.
    refused: usize,
}

/// What the server recorded.
#[derive(Default)]
struct ServerRecord {
    by_session: BTreeMap<String, SessionRecord>,
    /// The ids of sessions, oldest first.
    ids: Vec<String>,
    /// How often waiting for space ended without success.
    failed_waits: usize,
}

type Sessions = Arc<Mutex<ServerRecord>>;

/// What a peer has recorded at its end.
#[derive(Debug)]
struct PeerRecord {
    sid: String,
    sent: u64,
    received: Vec<u64>,
    /// It waited for every echo, and closed gracefully.
    graceful: bool,
}

/// The format of messages on the wire.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Protocol {
    Engine,
    Socket,
}

impl Protocol {
    const fn path(self) -> &'static str {
        match self {
            Self::Engine => "/engine.io/",
            Self::Socket => "/socket.io/",
        }
    }

    /// A packet with this number and `padding` additional bytes.
    fn packet(self, number: u64, padding: usize) -> String {
        let padding = "x".repeat(padding);
        match self {
            Self::Engine => format!("4{number}{padding}"),
            Self::Socket => format!(r#"42["m","{number}{padding}"]"#),
        }
    }

    /// The number in a packet, if it is a message.
    fn number(self, packet: &str) -> Option<u64> {
        let text = match self {
            Self::Engine => packet.strip_prefix('4')?,
            Self::Socket => packet.strip_prefix(r#"42["m",""#)?.strip_suffix(r#""]"#)?,
        };
        text.trim_end_matches('x').parse().ok()
    }
}

fn number_of(text: &str) -> u64 {
    text.trim_end_matches('x').parse().unwrap()
}

fn record<R>(sessions: &Sessions, sid: &str, change: impl FnOnce(&mut SessionRecord) -> R) -> R {
    let mut server_record = sessions.lock().unwrap();
    if !server_record.by_session.contains_key(sid) {
        server_record.ids.push(sid.to_owned());
    }
    change(server_record.by_session.entry(sid.to_owned()).or_default())
}

/// The handlers, for sockets of both kinds.
#[derive(Clone)]
struct Handlers {
    sim: Sim,
    sessions: Sessions,
}

/// A socket of Engine.IO or Socket.IO.
trait EchoSocket: Clone + Send + Sync + 'static {
    /// Whether handlers may panic. Not with Socket.IO yet: a discarded connection drops the events that it has read, and then emits those
    /// that its session still had.
    const MAY_PANIC: bool;

    fn session(&self) -> String;
    fn echo(&self, text: &str) -> Result<(), SendError>;
    fn wait_for_capacity(&self) -> impl Future<Output = Result<(), SendError>> + Send;
    fn end(&self);
}

impl EchoSocket for EngineSocket {
    const MAY_PANIC: bool = true;

    fn session(&self) -> String {
        self.id().to_string()
    }

    fn echo(&self, text: &str) -> Result<(), SendError> {
        self.send(text)
    }

    async fn wait_for_capacity(&self) -> Result<(), SendError> {
        self.ready().await
    }

    fn end(&self) {
        self.close();
    }
}

impl EchoSocket for Socket {
    const MAY_PANIC: bool = true;

    fn session(&self) -> String {
        self.session_id().to_string()
    }

    fn echo(&self, text: &str) -> Result<(), SendError> {
        self.emit("m", text).map_err(|error| match error {
            EmitError::Send(error) => error,
            _ => SendError::Closed,
        })
    }

    async fn wait_for_capacity(&self) -> Result<(), SendError> {
        self.ready().await
    }

    fn end(&self) {
        self.close();
    }
}

impl Handlers {
    fn opened(&self, socket: &impl EchoSocket) {
        record(&self.sessions, &socket.session(), |record| record.opened += 1);
    }

    fn closed(&self, socket: &impl EchoSocket) {
        record(&self.sessions, &socket.session(), |record| record.closed += 1);
    }

    /// Records a message at once, and echoes it now or later, at random.
    fn received<S: EchoSocket>(&self, socket: S, text: String) -> impl Future<Output = ()> + Send + use<S> {
        let Self { sim, sessions } = self.clone();
        let (sid, number) = (socket.session(), number_of(&text));
        record(&sessions, &sid, |record| record.received.push(number));
        async move {
            if sim.chance(200) {
                sim.sleep(sim.duration(Duration::from_millis(300))).await;
            }
            if S::MAY_PANIC && sim.chance(3) {
                record(&sessions, &sid, |record| record.refused += 1);
                panic!("expected panic");
            }
            let retries = sim.chance(200);
            let mut tries = 0;
            loop {
                match socket.echo(&text) {
                    Ok(()) => break record(&sessions, &sid, |record| record.sent.push(number)),
                    Err(SendError::Full) if retries && socket.wait_for_capacity().await.is_ok() => {}
                    Err(_) => break record(&sessions, &sid, |record| record.refused += 1),
                }
                tries += 1;
                if tries > 100 {
                    sessions.lock().unwrap().failed_waits += 1;
                    break;
                }
            }
            if sim.chance(3) {
                socket.end();
            }
        }
    }
}

fn engine_server(handlers: &Handlers, max_outbound: usize) -> EngineServer {
    let [opens, messages, closes] = [handlers.clone(), handlers.clone(), handlers.clone()];
    EngineServer::builder()
        .config(|config| {
            config.limits.max_outbound = max_outbound;
            config.limits.soft_inbound = 4000;
        })
        .on_connect(move |socket: EngineSocket| opens.opened(&socket))
        .on_message(move |socket: EngineSocket, message: Message| {
            let Message::Text(text) = message else { panic!("it was a text") };
            messages.received(socket, text.to_string())
        })
        .on_close(move |socket: EngineSocket, _: CloseReason| closes.closed(&socket))
        .build()
}

fn socket_server(handlers: &Handlers, max_outbound: usize) -> Server {
    let server = Server::builder()
        .engine(|config| {
            config.limits.max_outbound = max_outbound;
            config.limits.soft_inbound = 4000;
        })
        .build();
    let [opens, messages, closes] = [handlers.clone(), handlers.clone(), handlers.clone()];
    server
        .on_connect(move |socket: Socket| opens.opened(&socket))
        .on("m", move |socket: Socket, event: Event| messages.received(socket, event.read().unwrap()))
        .on_disconnect(move |socket: Socket, _: DisconnectReason| closes.closed(&socket));
    server
}

/// Sends unwanted requests, to sessions of other peers and to unknown ones. None of these requests removes a packet from a session.
async fn send_unwanted_requests<E: Endpoint>(sim: Sim, server: E, path: &'static str, sessions: Sessions) {
    for _ in 0..sim.index(12) {
        sim.sleep(sim.duration(Duration::from_secs(4))).await;
        let ids = sessions.lock().unwrap().ids.clone();
        let sid = if sim.chance(800) && !ids.is_empty() { ids[sim.index(ids.len())].clone() } else { "x".repeat(20) };
        let poller = Poller { sim: sim.clone(), server: server.clone(), path, sid };
        let target = poller.target("polling");
        let answer = |method: &'static str, target: String, body| {
            let request = request(&sim, method, &target, body);
            let (sim, server) = (sim.clone(), server.clone());
            async move { Reply::read(server.respond(&sim, request, None).await).await.status }
        };
        let status = match sim.index(6) {
            // An invalid packet ends the session.
            0 if sim.chance(100) => poller.post("9").await.status,
            1 => answer("DELETE", target, None).await,
            2 => answer("GET", poller.target("websocket"), None).await,
            3 => answer("GET", target.replace("EIO=4", "EIO=3"), None).await,
            _ => {
                let target = poller.target("websocket");
                let link =
                    WebSocket::upgrade(&sim, &server, &target, PipeSettings::default(), Upgrading::default()).await;
                match link {
                    Ok(mut link) => {
                        let _ = link.send("2probe").await;
                        sim.sleep(sim.duration(Duration::from_secs(2))).await;
                        101
                    }
                    Err(reply) => reply.status,
                }
            }
        };
        assert!([101, 200, 400, 500].contains(&status), "unexpected status: {status}");
    }
}

/// How a peer ends, unless something else ends it first.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// It waits for its echoes, and closes.
    Closes,
    /// Its connections are cut.
    Resets,
    /// It stops sending and reading.
    StopsReading,
    /// It stays connected until the server closes the session.
    Stays,
}

/// The state that the tasks of one peer share.
#[derive(Default)]
struct Shared {
    received: Vec<u64>,
    pings: usize,
    /// The peer has noticed the end of the session.
    over: bool,
    /// No more GETs are to be sent.
    stop: bool,
}

/// A running peer.
struct Peer<E> {
    sim: Sim,
    poller: Poller<E>,
    protocol: Protocol,
    shared: Arc<Mutex<Shared>>,
    sent: u64,
}

impl<E: Endpoint> Peer<E> {
    fn shared<R>(&self, look: impl FnOnce(&mut Shared) -> R) -> R {
        look(&mut self.shared.lock().unwrap())
    }

    fn is_over(&self) -> bool {
        self.shared(|shared| shared.over)
    }

    fn next_packet(&mut self) -> String {
        let padding = match self.sim.index(10) {
            0 => self.sim.index(9000),
            1 => self.sim.index(1000),
            _ => 0,
        };
        self.sent += 1;
        self.protocol.packet(self.sent - 1, padding)
    }

    /// Handles a received packet.
    fn handle_packet(protocol: Protocol, shared: &mut Shared, packet: &str) {
        match packet {
            "2" => shared.pings += 1,
            "1" => shared.over = true,
            "6" => {}
            // The client has joined, or the server's shutdown disconnects it.
            packet if protocol == Protocol::Socket && (packet.starts_with("40") || packet == "41") => {}
            packet => {
                shared.received.push(protocol.number(packet).unwrap_or_else(|| panic!("unexpected packet: {packet}")))
            }
        }
    }

    /// Sends GETs one at a time, until it is told to stop or the session ends.
    fn poll_in_background(&self) -> futures_channel::oneshot::Receiver<()> {
        let (ended, end) = futures_channel::oneshot::channel();
        let (poller, shared, protocol, sim) =
            (self.poller.clone(), Arc::clone(&self.shared), self.protocol, self.sim.clone());
        self.sim.spawn(async move {
            loop {
                let mut response = poller.get_unread().await;
                if sim.chance(300) {
                    // The bytes are written a while later.
                    let confirmation = response.body_mut().take_confirmation();
                    sim.sleep(sim.duration(Duration::from_millis(200))).await;
                    if let Some(confirmation) = confirmation {
                        confirmation.written();
                    }
                }
                let reply = Reply::read(response).await;
                let mut shared = shared.lock().unwrap();
                match reply.status {
                    200 => {
                        reply.body.split('\u{1e}').for_each(|packet| Self::handle_packet(protocol, &mut shared, packet))
                    }
                    400 => shared.over = true,
                    status => panic!("a GET was answered with {status}"),
                }
                if shared.over || shared.stop {
                    break;
                }
            }
            let _ = ended.send(());
        });
        end
    }

    /// Sends packets in a POST. Returns false if the session has ended.
    async fn post(&self, packets: Vec<String>) -> bool {
        let body = packets.join("\u{1e}");
        let mut rest = Bytes::from(body);
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let length = if self.sim.chance(300) { 1 + self.sim.index(rest.len()) } else { rest.len() };
            let wait = if self.sim.chance(300) { self.sim.duration(Duration::from_millis(50)) } else { Duration::ZERO };
            pieces.push((wait, rest.split_to(length)));
        }
        let reply = self.poller.post_in_pieces(pieces, Ending::Complete).await;
        match reply.status {
            200 => true,
            400 => {
                self.shared(|shared| shared.over = true);
                false
            }
            status => panic!("a POST was answered with {status}"),
        }
    }

    /// Polls for a while. Returns false if the session has ended.
    async fn run_polling(&mut self, acts: usize) -> bool {
        for _ in 0..acts {
            self.sim.sleep(self.sim.duration(Duration::from_secs(3))).await;
            let pings = self.shared(|shared| std::mem::take(&mut shared.pings));
            let mut packets: Vec<_> = (0..pings).map(|_| "3".into()).collect();
            packets.extend((0..self.sim.index(4)).map(|_| self.next_packet()));
            if self.is_over() || (!packets.is_empty() && !self.post(packets).await) {
                return false;
            }
        }
        true
    }

    /// Reads and answers pings for this long. Returns false if the link is closed.
    async fn read_for(&mut self, websocket: &mut WebSocket, time: Duration) -> bool {
        let mut sleep = Box::pin(self.sim.sleep(time));
        loop {
            let next = match select(Box::pin(websocket.next()), sleep.as_mut()).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => return true,
            };
            let Some(packet) = next else { return false };
            let protocol = self.protocol;
            let pings = self.shared(|shared| {
                Self::handle_packet(protocol, shared, &packet);
                std::mem::take(&mut shared.pings)
            });
            if pings > 0 && websocket.send("3").await.is_err() {
                return false;
            }
        }
    }

    /// Sends and reads on a link for a while. Returns false if the link is closed.
    async fn run_on_link(&mut self, websocket: &mut WebSocket, acts: usize) -> bool {
        for _ in 0..acts {
            if self.sim.chance(100) {
                // A pause without reading.
                self.sim.sleep(self.sim.duration(Duration::from_secs(10))).await;
            }
            let time = self.sim.duration(Duration::from_secs(3));
            if !self.read_for(websocket, time).await {
                return false;
            }
            for _ in 0..self.sim.index(6) {
                let packet = self.next_packet();
                // A blocked write is abandoned after a while: both ends could be waiting for each other to read.
                let mut sending = Box::pin(websocket.send(&packet));
                let sent = poll_fn(|cx| sending.as_mut().poll_unpin(cx).map(|sent| sent.is_ok()));
                let wait = self.sim.sleep(Duration::from_secs(5));
                match select(sent, Box::pin(wait)).await {
                    Either::Left((true, _)) => {}
                    Either::Left((false, _)) => return false,
                    Either::Right(_) => break,
                }
            }
        }
        true
    }

    /// Waits until the server has echoed everything that it was able to, and returns whether it has.
    async fn echoes(&mut self, sessions: &Sessions, mut websocket: Option<&mut WebSocket>) -> bool {
        for _ in 0..60 {
            let sent = usize::try_from(self.sent).unwrap();
            let received = self.shared(|shared| shared.received.len());
            let has_all = |record: &mut SessionRecord| {
                record.received.len() == sent
                    && record.sent.len() + record.refused == sent
                    && record.sent.len() == received
            };
            if record(sessions, &self.poller.sid, has_all) {
                return true;
            }
            let wait = Duration::from_millis(500);
            let open = match websocket.as_deref_mut() {
                Some(websocket) => self.read_for(websocket, wait).await,
                None => {
                    self.sim.sleep(wait).await;
                    let pings = self.shared(|shared| std::mem::take(&mut shared.pings));
                    pings == 0 || self.post(vec!["3".into()]).await
                }
            };
            if !open || self.is_over() {
                return false;
            }
        }
        false
    }
}

/// Runs one peer.
async fn run_peer<E: Endpoint>(sim: Sim, server: E, protocol: Protocol, sessions: Sessions) -> PeerRecord {
    let end = [End::Closes, End::Closes, End::Resets, End::StopsReading, End::Stays][sim.index(5)];
    let settings = PipeSettings {
        capacity: [500, 4000, 64 * 1024][sim.index(3)],
        splits: sim.chance(500),
        max_delay: sim.duration(Duration::from_millis(100)),
    };
    let acts = 1 + sim.index(8);
    let mut graceful = false;
    let mut peer;
    let mut websocket = None;
    if sim.chance(400) {
        let target = format!("{}?EIO=4&transport=websocket", protocol.path());
        let upgrading = Upgrading { delay: sim.duration(Duration::from_millis(100)), ..Upgrading::default() };
        let mut link = WebSocket::upgrade(&sim, &server, &target, settings, upgrading).await.unwrap();
        let Some(open) = link.next().await else {
            // The server was shut down before the link was handed over.
            return PeerRecord { sid: String::new(), sent: 0, received: Vec::new(), graceful: false };
        };
        if protocol == Protocol::Socket {
            link.send("40").await.unwrap();
        }
        let poller = Poller {
            sim: sim.clone(),
            server: server.clone(),
            path: protocol.path(),
            sid: crate::support::sid_of(&open),
        };
        peer = Peer { sim: sim.clone(), poller, protocol, shared: Arc::default(), sent: 0 };
        websocket = Some(link);
    } else {
        let poller = Poller::open(&sim, &server, protocol.path()).await;
        peer = Peer { sim: sim.clone(), poller, protocol, shared: Arc::default(), sent: 0 };
        let polls = peer.poll_in_background();
        let joins = protocol == Protocol::Engine || peer.post(vec!["40".into()]).await;
        let mut open = joins && peer.run_polling(acts).await;
        if open && sim.chance(500) {
            let target = peer.poller.target("websocket");
            let fails = sim.chance(200);
            let upgrading =
                Upgrading { delay: sim.duration(Duration::from_millis(200)), fails, ..Upgrading::default() };
            if let Ok(mut link) = WebSocket::upgrade(&sim, &server, &target, settings, upgrading).await
                && link.send("2probe").await.is_ok()
                && link.next().await.as_deref() == Some("3probe")
                && sim.chance(900)
            {
                // As in the JavaScript client, the GET that is held ends first.
                peer.shared(|shared| shared.stop = true);
                let _ = polls.await;
                if link.send("5").await.is_ok() {
                    websocket = Some(link);
                } else {
                    open = false;
                }
            }
        }
        if websocket.is_none() {
            open = open && peer.run_polling(acts).await;
            match end {
                End::Closes if open && peer.echoes(&sessions, None).await => {
                    graceful = peer.post(vec!["1".into()]).await;
                }
                _ => peer.shared(|shared| shared.stop = true),
            }
        }
    }
    if let Some(mut link) = websocket {
        let open = peer.run_on_link(&mut link, acts).await;
        match end {
            End::Closes if open && peer.echoes(&sessions, Some(&mut link)).await => {
                link.close().await;
                graceful = true;
            }
            End::Resets => link.pipe.reset(),
            End::StopsReading => sim.sleep(Duration::from_secs(60)).await,
            _ => while peer.read_for(&mut link, Duration::from_secs(20)).await && end == End::Stays {},
        }
    }
    let Peer { poller, sent, shared, .. } = peer;
    // GETs in flight still end.
    while Arc::strong_count(&shared) > 1 {
        sim.sleep(Duration::from_secs(1)).await;
    }
    let received = std::mem::take(&mut shared.lock().unwrap().received);
    PeerRecord { sid: poller.sid, sent, received, graceful }
}

/// Plays one seed and checks it. Returns what happened, for a comparison.
fn run_seed(sim: &Sim) -> (u64, Vec<(u64, Vec<u64>, bool)>) {
    let sessions = Sessions::default();
    let max_outbound = [20_000, 16 << 20][sim.index(2)];
    if sim.chance(300) {
        sim.delay_timers(Duration::from_secs(2));
    }
    let handlers = Handlers { sim: sim.clone(), sessions: Arc::clone(&sessions) };
    let records = if sim.chance(500) {
        let server = engine_server(&handlers, max_outbound);
        sim.run(run_peers(sim.clone(), server, Protocol::Engine, Arc::clone(&sessions)))
    } else {
        let server = socket_server(&handlers, max_outbound);
        sim.run(run_peers(sim.clone(), server, Protocol::Socket, Arc::clone(&sessions)))
    };
    let sessions = sessions.lock().unwrap();
    for PeerRecord { sid, sent, received, graceful } in &records {
        let record = sessions.by_session.get(sid).cloned().unwrap_or_default();
        assert!(record.opened <= 1 && record.closed == record.opened, "{record:?}");
        assert!(
            record.received.iter().copied().eq(0..record.received.len() as u64),
            "not in order, or not once: {record:?}"
        );
        assert!(record.received.len() as u64 <= *sent);
        assert!(record.sent.starts_with(received), "sent {:?}, received {received:?}", record.sent);
        if *graceful {
            assert_eq!((record.received.len() as u64, &record.sent), (*sent, received));
        }
    }
    assert_eq!(sessions.failed_waits, 0, "a wait for capacity ended, but the queue was still full");
    (sim.digest(), records.into_iter().map(|record| (record.sent, record.received, record.graceful)).collect())
}

/// Runs some peers concurrently, and shuts the server down during or after their sessions.
async fn run_peers<E: Endpoint>(sim: Sim, server: E, protocol: Protocol, sessions: Sessions) -> Vec<PeerRecord> {
    let records = Arc::<Mutex<BTreeMap<usize, PeerRecord>>>::default();
    let count = 1 + sim.index(6);
    for index in 0..count {
        let (runtime, server, sessions, records) =
            (sim.clone(), server.clone(), sessions.clone(), Arc::clone(&records));
        sim.spawn(async move {
            let record = run_peer(runtime, server, protocol, sessions).await;
            records.lock().unwrap().insert(index, record);
        });
        sim.sleep(sim.duration(Duration::from_secs(2))).await;
    }
    if sim.chance(400) {
        sim.spawn(send_unwanted_requests(sim.clone(), server.clone(), protocol.path(), sessions.clone()));
    }
    let seconds = if sim.chance(700) { 200 } else { 1 + sim.index(40) };
    for _ in 0..seconds {
        sim.sleep(Duration::from_secs(1)).await;
        if records.lock().unwrap().len() == count {
            break;
        }
    }
    server.shut_down(sim.sleep(Duration::from_secs(20))).await;
    while records.lock().unwrap().len() < count {
        sim.sleep(Duration::from_secs(1)).await;
        assert!(sim.panics().is_empty(), "{:?}", sim.panics());
    }
    // The unwanted requests go on for a while.
    sim.sleep(Duration::from_secs(120)).await;
    end(&sim, server, ()).await;
    std::mem::take(&mut *records.lock().unwrap()).into_values().collect()
}

#[test]
fn random_peers_lose_no_message_get_none_twice_and_leave_no_state() {
    let delivered = std::cell::Cell::new(0);
    Sim::each_seed(400, |sim| {
        let (_, records) = run_seed(sim);
        let messages: usize =
            records.iter().map(|(_, received, graceful)| if *graceful { received.len() } else { 0 }).sum();
        delivered.set(delivered.get() + messages);
    });
    if std::env::var_os("SEED").is_none() {
        assert!(delivered.get() > 1000, "too few sessions closed gracefully: {} messages", delivered.get());
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    Sim::each_seed(20, |sim| assert_eq!(run_seed(sim), run_seed(&Sim::new(sim.seed()))));
}
