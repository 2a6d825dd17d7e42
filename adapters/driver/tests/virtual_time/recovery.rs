//! Connection state recovery (I13): many tasks emit while clients lose their connections and return. A client gets every event that was
//! addressed to it, once and in order, or is told that it is a new socket.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Serialize, Serializer};
use socketio_driver::{ConnectRequest, Recovery, Refusal, RoomEvent, Runtime as _, Server, Socket};

use crate::support::{PipeSettings, Poller, Sim, WebSocket};
use crate::{Log, end};

const PATH: &str = "/socket.io/";
const CLIENTS: usize = 4;

/// To whom an event was sent. Clients are in the room of their parity.
#[derive(Clone, Copy, Debug)]
enum To {
    All,
    Parity(usize),
    Only(usize),
}

impl To {
    fn includes(self, client: usize) -> bool {
        match self {
            Self::All => true,
            Self::Parity(parity) => client % 2 == parity,
            Self::Only(only) => client == only,
        }
    }
}

/// All events, in the order in which they were sent. The number of an event is its index.
#[derive(Default)]
struct Sent {
    events: Mutex<Vec<To>>,
    /// The ids of the clients' sockets.
    ids: Mutex<[String; CLIENTS]>,
    emitting: AtomicUsize,
    recovered: AtomicUsize,
    renewed: AtomicUsize,
}

impl Sent {
    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    fn push(&self, to: To) -> usize {
        let mut events = self.events.lock().unwrap();
        events.push(to);
        events.len() - 1
    }

    fn id(&self, client: usize) -> String {
        self.ids.lock().unwrap()[client].clone()
    }

    /// The events for a client from this one on.
    fn expected(&self, client: usize, from: usize) -> VecDeque<usize> {
        let events = self.events.lock().unwrap();
        (from..events.len()).filter(|number| events[*number].includes(client)).collect()
    }
}

/// The number of an event, which is drawn while it is encoded, after another event was sent from there.
struct Nested<'a>(&'a Server, &'a Sent);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(server, sent) = self;
        server.emit("n", sent.push(To::All)).unwrap();
        sent.push(To::All).serialize(serializer)
    }
}

/// The client's number, which the application stores with the socket.
struct Client(usize);

fn server(sim: &Sim, sent: &Arc<Sent>, recovery: Recovery) -> Server {
    #[derive(serde::Deserialize)]
    struct Auth {
        client: usize,
    }

    let server = Server::builder()
        .ping_interval(Duration::from_secs(3))
        .ping_timeout(Duration::from_secs(2))
        .connection_state_recovery(recovery)
        .build();
    let (sent, sim) = (Arc::clone(sent), sim.clone());
    server.on_connect(move |socket: Socket| {
        let Auth { client } = socket.read_auth().unwrap();
        if socket.recovered() {
            sent.recovered.fetch_add(1, Ordering::Relaxed);
            assert_eq!(socket.get::<Client>().unwrap().0, client, "its values are there");
            assert!(socket.is_in(&(client % 2).to_string()) && socket.is_in(socket.id().as_str()));
            assert_eq!((socket.rooms().len(), socket.id().as_str()), (2, &*sent.id(client)));
        } else {
            sent.renewed.fetch_add(1, Ordering::Relaxed);
            assert!(socket.get::<Client>().is_none());
            socket.insert(Client(client));
            socket.join(&(client % 2).to_string());
            sent.ids.lock().unwrap()[client] = socket.id().to_string();
            // The connection may be lost already.
            let _ = socket.emit("start", sent.len());
        }
        let _ = sim.seed();
    });
    server
}

/// Sends events of all kinds.
async fn emit(sim: Sim, server: Server, sent: Arc<Sent>) {
    for _ in 0..30 {
        sim.sleep(sim.duration(Duration::from_millis(600))).await;
        let client = sim.index(CLIENTS);
        match sim.index(8) {
            0 => server.emit("n", Nested(&server, &sent)).unwrap(),
            1 => server.to(&(client % 2).to_string()).emit("n", sent.push(To::Parity(client % 2))).unwrap(),
            // A room, which is there also while the client is not.
            2 if !sent.id(client).is_empty() => {
                server.to(&sent.id(client)).emit("n", sent.push(To::Only(client))).unwrap();
            }
            3 | 4 => {
                // Only a connected socket takes an event.
                if let Some(socket) = server.of("/").socket(&sent.id(client))
                    && socket.emit("n", sent.len()).is_ok()
                {
                    sent.push(To::Only(client));
                }
            }
            5 => server.broadcast().volatile().emit("v", ()).unwrap(),
            _ => server.emit("n", sent.push(To::All)).unwrap(),
        }
    }
    sent.emitting.fetch_sub(1, Ordering::Relaxed);
}

enum Link {
    WebSocket(Box<WebSocket>),
    Poller(Poller<Server>, VecDeque<String>),
}

impl Link {
    async fn open(sim: &Sim, server: &Server) -> Self {
        if sim.chance(400) {
            return Self::Poller(Poller::open(sim, server, PATH).await, VecDeque::new());
        }
        let settings =
            PipeSettings { splits: sim.chance(500), max_delay: Duration::from_millis(50), ..PipeSettings::default() };
        Self::WebSocket(Box::new(WebSocket::open(sim, server, PATH, settings).await))
    }

    async fn send(&mut self, packet: &str) {
        match self {
            // The connection may be lost.
            Self::WebSocket(peer) => drop(peer.send(packet).await),
            Self::Poller(peer, _) => drop(peer.post(packet.to_owned()).await),
        }
    }

    async fn next(&mut self) -> Option<String> {
        match self {
            Self::WebSocket(peer) => peer.next().await,
            Self::Poller(peer, arrived) => {
                if arrived.is_empty() {
                    let reply = peer.get().await;
                    if reply.status != 200 {
                        return None;
                    }
                    arrived.extend(reply.body.split('\x1e').map(str::to_owned));
                }
                arrived.pop_front()
            }
        }
    }

    fn cut(self) {
        // A GET of the poller was dropped with its future.
        if let Self::WebSocket(peer) = self {
            peer.pipe.reset();
        }
    }
}

/// What a client knows.
struct Known {
    client: usize,
    pid: Option<String>,
    offset: Option<String>,
    /// The number of the first event that it has not received; `None` before the first event of a new socket.
    next: Option<usize>,
}

impl Known {
    fn connect(&self) -> String {
        match (&self.pid, &self.offset) {
            (Some(pid), Some(offset)) => {
                format!(r#"40{{"client":{},"pid":"{pid}","offset":"{offset}"}}"#, self.client)
            }
            _ => format!(r#"40{{"client":{}}}"#, self.client),
        }
    }

    /// Handles the reply to CONNECT. Returns whether the client is recovered.
    fn connected(&mut self, reply: &str) -> bool {
        let pid = reply.split(r#""pid":""#).nth(1).unwrap().trim_end_matches(r#""}"#).to_owned();
        let recovered = self.pid.as_ref() == Some(&pid);
        if !recovered {
            (self.pid, self.offset, self.next) = (Some(pid), None, None);
        }
        recovered
    }

    fn receive(&mut self, event: &str, sent: &Sent) {
        let event: Vec<serde_json::Value> = serde_json::from_str(&event[2..]).unwrap();
        let [name, number, offset] = &event[..] else {
            return assert_eq!(event, ["v"], "a volatile event has no offset");
        };
        let number = usize::try_from(number.as_u64().unwrap()).unwrap();
        self.offset = Some(offset.as_str().unwrap().to_owned());
        if name == "start" {
            assert_eq!(self.next, None, "a recovered socket is not started again");
            self.next = Some(number);
            return;
        }
        // An event may overtake the first one of the connect handler, which runs after the socket has joined the namespace.
        let Some(next) = self.next else { return };
        assert_eq!(sent.expected(self.client, next).front(), Some(&number), "client {}, at {next}", self.client);
        self.next = Some(number + 1);
    }
}

/// Connects, loses the connection, and returns, until everything was sent. Then it waits for the rest.
async fn live(sim: Sim, server: Server, sent: Arc<Sent>, client: usize, away: Duration) {
    let mut known = Known { client, pid: None, offset: None, next: None };
    loop {
        let last = sent.emitting.load(Ordering::Relaxed) == 0;
        let mut link = Link::open(&sim, &server).await;
        link.send(&known.connect()).await;
        let until = sim.elapsed() + if last { Duration::from_secs(20) } else { sim.duration(Duration::from_secs(4)) };
        let (mut connected, mut early) = (false, Vec::new());
        while until > sim.elapsed() {
            let wait = sim.sleep(until - sim.elapsed());
            let packet = match select(pin!(link.next()), pin!(wait)).await {
                Either::Left((Some(packet), _)) => packet,
                _ => break,
            };
            if packet == "2" {
                link.send("3").await;
            } else if packet.starts_with("40") {
                let recovered = known.connected(&packet);
                connected = true;
                assert!(recovered || early.is_empty(), "a new socket has missed nothing: {early:?}");
                early.drain(..).for_each(|event: String| known.receive(&event, &sent));
            } else if packet.starts_with("42") {
                if connected { known.receive(&packet, &sent) } else { early.push(packet) }
            }
        }
        if last && connected {
            let expected = known.next.map(|next| sent.expected(client, next));
            assert!(expected.is_some_and(|expected| expected.is_empty()), "client {client} misses events");
            link.cut();
            return;
        }
        link.cut();
        sim.sleep(sim.duration(away)).await;
    }
}

/// Returns how often clients were recovered, and how often they were new.
async fn play(sim: Sim, recovery: Recovery, away: Duration) -> (usize, usize) {
    const EMITTERS: usize = 3;
    let sent = Arc::new(Sent { emitting: EMITTERS.into(), ..Sent::default() });
    let server = server(&sim, &sent, recovery);
    for _ in 0..EMITTERS {
        sim.spawn(emit(sim.clone(), server.clone(), Arc::clone(&sent)));
    }
    let living = Arc::new(AtomicUsize::new(CLIENTS));
    for client in 0..CLIENTS {
        let (living, life) = (Arc::clone(&living), live(sim.clone(), server.clone(), Arc::clone(&sent), client, away));
        sim.spawn(async move {
            life.await;
            living.fetch_sub(1, Ordering::Relaxed);
        });
    }
    while living.load(Ordering::Relaxed) > 0 && sim.panics().is_empty() {
        sim.sleep(Duration::from_secs(1)).await;
    }
    assert!(sim.panics().is_empty(), "{:?}", sim.panics());
    let counts = (sent.recovered.load(Ordering::Relaxed), sent.renewed.load(Ordering::Relaxed));
    drop(sent);
    end(&sim, server, ()).await;
    counts
}

#[test]
fn clients_that_return_in_time_get_all_events_in_order_and_only_those() {
    let counts = Arc::new(Mutex::new((0, 0)));
    let total = Arc::clone(&counts);
    Sim::run_each_seed(60, move |sim| {
        let total = Arc::clone(&total);
        async move {
            let (recovered, renewed) = play(sim, Recovery::default(), Duration::from_secs(2)).await;
            let mut total = total.lock().unwrap();
            *total = (total.0 + recovered, total.1 + renewed);
        }
    });
    let (recovered, renewed) = *counts.lock().unwrap();
    println!("{recovered} recovered, {renewed} new");
    assert!(std::env::var_os("SEED").is_some() || recovered > renewed, "{recovered} recovered, {renewed} new");
}

#[test]
fn with_little_time_and_memory_clients_get_all_events_or_are_told_that_they_are_new() {
    Sim::run_each_seed(60, |sim| async move {
        let recovery = Recovery {
            max_disconnection_duration: Duration::from_millis(1500),
            max_bytes: 2000 + sim.index(8000),
            max_sessions: 1 + sim.index(4),
            ..Recovery::default()
        };
        play(sim, recovery, Duration::from_secs(3)).await;
    });
}

/// A client that has joined `/`: its connection, and its `pid` if there is one.
async fn join(sim: &Sim, server: &Server, auth: &str) -> (WebSocket, Option<String>) {
    join_at(sim, server, "", auth).await
}

/// Same as [`join`], on a namespace, whose name ends with a comma.
async fn join_at(sim: &Sim, server: &Server, namespace: &str, auth: &str) -> (WebSocket, Option<String>) {
    let mut peer = WebSocket::open(sim, server, PATH, PipeSettings::default()).await;
    peer.send(&format!("40{namespace}{auth}")).await.unwrap();
    let mut early = Vec::new();
    loop {
        let packet = peer.next().await.unwrap();
        if packet.starts_with("40") {
            assert!(early.is_empty(), "{early:?} before {packet}");
            let pid = packet.split(r#""pid":""#).nth(1).map(|rest| rest.trim_end_matches(r#""}"#).to_owned());
            return (peer, pid);
        }
        early.push(packet);
    }
}

fn last_argument(packet: &str) -> String {
    let event: Vec<serde_json::Value> = serde_json::from_str(&packet[packet.find('[').unwrap()..]).unwrap();
    event.last().unwrap().as_str().unwrap().to_owned()
}

fn claim(pid: &str, offset: &str) -> String {
    format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#)
}

/// A server that logs its sockets, and whose clients get `hello` when they join.
fn greeting(recovery: Recovery, log: &Log) -> Server {
    let log = log.clone();
    let server = Server::builder().connection_state_recovery(recovery).build();
    server.on_connect(move |socket: Socket| {
        log.push(if socket.recovered() { "recovered" } else { "new" });
        socket.emit("hello", ())
    });
    server
}

#[test]
fn item_131_volatile_events_and_those_with_an_ack_have_no_offset_and_are_not_recovered() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let log = Log::default();
        let server = greeting(Recovery::default(), &log);
        let (mut peer, pid) = join(&sim, &server, "").await;
        let offset = last_argument(&peer.next().await.unwrap());
        let emit = |server: &Server| {
            server.broadcast().volatile().emit("volatile", "v").unwrap();
            drop(server.broadcast().emit_with_ack("ask", "a", Duration::from_secs(1)).unwrap());
            server.sockets().iter().for_each(|socket| {
                socket.emit_volatile("volatile", "v").unwrap();
                drop(socket.emit_with_ack("ask", "a").unwrap());
            });
        };
        sim.settle().await;
        emit(&server);
        // The second volatile event is dropped, because the first is not written yet.
        let (one, two) = (peer.next().await.unwrap(), peer.next().await.unwrap());
        assert_eq!((&*one, &*two), (r#"42["volatile","v"]"#, r#"421["ask","a"]"#));
        assert_eq!(peer.next().await.unwrap(), r#"420["ask","a"]"#);
        peer.pipe.reset();
        sim.sleep(Duration::from_millis(10)).await;
        emit(&server);
        let (mut peer, again) = join(&sim, &server, &claim(pid.as_ref().unwrap(), &offset)).await;
        assert_eq!(again, pid);
        assert!(peer.next().await.unwrap().starts_with(r#"42["hello""#), "only what the connect handler sends");
        assert_eq!(log.lines(), ["new", "recovered"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn item_132_middleware_is_skipped_for_recovered_clients_or_runs_and_may_refuse_them() {
    for skip_middlewares in [true, false] {
        let sim = Sim::new(1);
        sim.clone().run(async move {
            let log = Log::default();
            let server = greeting(Recovery { skip_middlewares, ..Recovery::default() }, &log);
            let (ran, refuses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (count, refusing) = (Arc::clone(&ran), Arc::clone(&refuses));
            server.middleware(move |_: ConnectRequest| {
                count.fetch_add(1, Ordering::Relaxed);
                if refusing.load(Ordering::Relaxed) > 0 { Err("no".into()) } else { Ok(()) }
            });
            let (mut peer, pid) = join(&sim, &server, "").await;
            let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
            peer.pipe.reset();
            sim.sleep(Duration::from_millis(10)).await;
            refuses.store(1, Ordering::Relaxed);
            if !skip_middlewares {
                let mut refused = WebSocket::open(&sim, &server, PATH, PipeSettings::default()).await;
                refused.send(&format!("40{claim}")).await.unwrap();
                assert_eq!(refused.next().await.unwrap(), r#"44{"message":"no"}"#);
                // A refused client has not used up its claim.
                refuses.store(0, Ordering::Relaxed);
            }
            let (peer, again) = join(&sim, &server, &claim).await;
            assert_eq!((again, ran.load(Ordering::Relaxed)), (pid, if skip_middlewares { 1 } else { 3 }));
            assert_eq!(log.lines(), ["new", "recovered"]);
            end(&sim, server, peer).await;
        });
    }
}

#[test]
fn item_134_without_recovery_there_is_no_pid_and_no_offset_and_a_claim_is_ignored() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let server = Server::new();
        server.on_connect(|socket: Socket| {
            assert!(!socket.recovered());
            socket.emit("hello", ())
        });
        let (mut peer, pid) = join(&sim, &server, &claim(&"A".repeat(24), &"A".repeat(16))).await;
        assert_eq!((pid, &*peer.next().await.unwrap()), (None, r#"42["hello"]"#));
        end(&sim, server, peer).await;
    });
}

#[test]
fn item_135_who_was_disconnected_by_either_side_is_a_new_one() {
    for by_client in [true, false] {
        let sim = Sim::new(1);
        sim.clone().run(async move {
            let log = Log::default();
            let server = greeting(Recovery::default(), &log);
            let (mut peer, pid) = join(&sim, &server, "").await;
            let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
            if by_client {
                peer.send("41").await.unwrap();
            } else {
                server.broadcast().disconnect();
                assert_eq!(peer.next().await.unwrap(), "41");
            }
            sim.settle().await;
            let (other, new) = join(&sim, &server, &claim).await;
            assert_ne!(new, pid);
            assert_eq!(log.lines(), ["new", "new"]);
            end(&sim, server, (peer, other)).await;
        });
    }
}

#[test]
fn item_136_of_two_that_claim_one_socket_at_once_one_is_recovered() {
    Sim::run_each_seed(20, |sim| async move {
        let log = Log::default();
        let server = greeting(Recovery::default(), &log);
        let (mut peer, pid) = join(&sim, &server, "").await;
        let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
        peer.pipe.reset();
        sim.sleep(Duration::from_millis(10)).await;
        let (one, two) = futures_util::join!(join(&sim, &server, &claim), join(&sim, &server, &claim));
        assert_ne!(one.1 == pid, two.1 == pid, "one of them");
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, ["new", "new", "recovered"]);
        end(&sim, server, (one, two)).await;
    });
}

#[test]
fn values_of_lost_sockets_are_dropped_when_their_clients_cannot_return_any_more() {
    for shuts_down in [false, true] {
        let sim = Sim::new(1);
        sim.clone().run(async move {
            let recovery = Recovery { max_disconnection_duration: Duration::from_secs(10), ..Recovery::default() };
            let server = Server::builder().connection_state_recovery(recovery).build();
            let value = Arc::new(());
            let kept = Arc::clone(&value);
            server.on_connect(move |socket: Socket| {
                // The socket, too: a cycle, as long as the values are kept.
                socket.insert((Arc::clone(&kept), socket.clone()));
                socket.emit("hello", ())
            });
            let before = Arc::strong_count(&value);
            let (mut peer, _) = join(&sim, &server, "").await;
            peer.next().await.unwrap();
            peer.pipe.reset();
            sim.sleep(Duration::from_secs(9)).await;
            assert_eq!(Arc::strong_count(&value), before + 1);
            if shuts_down {
                server.shut_down(sim.sleep(Duration::from_secs(1))).await;
            } else {
                // Deadlines are rounded up a little.
                sim.sleep(Duration::from_secs(2)).await;
            }
            assert_eq!(Arc::strong_count(&value), before);
            end(&sim, server, peer).await;
        });
    }
}

#[test]
fn the_handle_of_a_socket_from_before_its_recovery_does_not_send_to_it_either() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let log = Log::default();
        let server = greeting(Recovery::default(), &log);
        let (mut peer, pid) = join(&sim, &server, "").await;
        let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
        let old = server.sockets().remove(0);
        peer.pipe.reset();
        sim.sleep(Duration::from_millis(10)).await;
        let (mut peer, _) = join(&sim, &server, &claim).await;
        let (mut other, _) = join(&sim, &server, "").await;
        assert!(peer.next().await.unwrap().starts_with(r#"42["hello""#));
        assert!(other.next().await.unwrap().starts_with(r#"42["hello""#));
        old.broadcast().emit("from", "old").unwrap();
        old.broadcast().volatile().emit("volatile", "old").unwrap();
        assert_eq!(old.broadcast().count(), 1);
        server.emit("fence", ()).unwrap();
        assert!(peer.next().await.unwrap().starts_with(r#"42["fence""#), "it has sent the others itself");
        assert!(other.next().await.unwrap().starts_with(r#"42["from","old""#));
        end(&sim, server, (peer, other)).await;
    });
}

#[test]
fn a_recovery_that_fails_leaves_the_namespace_once_and_may_be_claimed_again() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let recovery = Recovery { skip_middlewares: false, ..Recovery::default() };
        let builder = Server::builder().connection_state_recovery(recovery).cleanup_empty_child_namespaces(true);
        let server = builder.connect_timeout(Duration::from_secs(1)).build();
        let (waits, slow) = (sim.clone(), Arc::new(AtomicUsize::new(0)));
        let is_slow = Arc::clone(&slow);
        server
            .matching(|name| name == "/x")
            .middleware(move |_: ConnectRequest| {
                let wait = waits.sleep(Duration::from_secs(is_slow.load(Ordering::Relaxed).try_into().unwrap()));
                async move {
                    wait.await;
                    Ok::<(), Refusal>(())
                }
            })
            .on_connect(|socket: Socket| socket.emit("hello", ()));
        let (mut there, _) = join_at(&sim, &server, "/x,", "").await;
        let (mut peer, pid) = join_at(&sim, &server, "/x,", "").await;
        let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
        peer.pipe.reset();
        sim.sleep(Duration::from_millis(10)).await;
        assert_eq!(server.get("/x").unwrap().len(), 1);
        // The middleware takes longer than a client may take to join, so the socket is restored, and no connection accepts it.
        slow.store(2, Ordering::Relaxed);
        let (mut late, _) = join(&sim, &server, "").await;
        late.send(&format!("40/x,{claim}")).await.unwrap();
        assert_eq!(late.next().await.unwrap(), r#"44/x,{"message":"timeout"}"#);
        sim.sleep(Duration::from_secs(2)).await;
        assert_eq!(server.get("/x").expect("a client is there").len(), 1);
        slow.store(0, Ordering::Relaxed);
        let (again, same) = join_at(&sim, &server, "/x,", &claim).await;
        assert_eq!(same, pid);
        there.send("41/x,").await.unwrap();
        sim.settle().await;
        assert_eq!(server.get("/x").unwrap().len(), 1);
        drop(again);
        sim.sleep(Duration::from_secs(60)).await;
        assert!(server.get("/x").is_none(), "the last one has left");
        end(&sim, server, (there, late)).await;
    });
}

#[test]
fn a_socket_that_is_restored_in_the_moment_in_which_its_namespace_is_removed_is_refused_and_leaves_nothing() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let server = Server::builder().connection_state_recovery(Recovery::default()).build();
        let namespace = server.of("/x");
        let value = Arc::new(());
        let kept = Arc::clone(&value);
        namespace.on_connect(move |socket: Socket| {
            // A cycle.
            socket.insert((Arc::clone(&kept), socket.clone()));
            socket.emit("hello", ())
        });
        let before = Arc::strong_count(&value);
        let (mut peer, pid) = join_at(&sim, &server, "/x,", "").await;
        let claim = claim(pid.as_ref().unwrap(), &last_argument(&peer.next().await.unwrap()));
        peer.pipe.reset();
        sim.sleep(Duration::from_millis(10)).await;
        assert_eq!(Arc::strong_count(&value), before + 1);
        // It runs while the socket is restored.
        let (removes, armed) = (server.clone(), AtomicUsize::new(1));
        namespace.on_room(move |event: RoomEvent| {
            if matches!(event, RoomEvent::Joined { .. }) && armed.swap(0, Ordering::Relaxed) == 1 {
                assert!(removes.remove("/x"));
            }
        });
        let mut peer = WebSocket::open(&sim, &server, PATH, PipeSettings::default()).await;
        peer.send(&format!("40/x,{claim}")).await.unwrap();
        assert_eq!(peer.next().await.unwrap(), r#"44/x,{"message":"Invalid namespace"}"#);
        sim.settle().await;
        assert_eq!((namespace.len(), Arc::strong_count(&value)), (0, before));
        end(&sim, server, (peer, namespace)).await;
    });
}

#[test]
fn from_the_beginning_of_a_shutdown_or_with_the_removal_of_a_namespace_nothing_is_kept() {
    for removed in [false, true] {
        let sim = Sim::new(1);
        sim.clone().run(async move {
            let server = Server::builder().connection_state_recovery(Recovery::default()).build();
            let value = Arc::new(());
            let kept = Arc::clone(&value);
            let namespace = server.of("/x");
            namespace.on_connect(move |socket: Socket| {
                socket.insert((Arc::clone(&kept), socket.clone()));
                socket.emit("hello", ())
            });
            let before = Arc::strong_count(&value);
            let (mut lost, _) = join_at(&sim, &server, "/x,", "").await;
            let (mut there, _) = join_at(&sim, &server, "/x,", "").await;
            assert!(lost.next().await.is_some() && there.next().await.is_some());
            lost.pipe.reset();
            sim.sleep(Duration::from_millis(10)).await;
            assert_eq!(Arc::strong_count(&value), before + 2);
            if removed {
                assert!(server.remove("/x"));
                assert_eq!(Arc::strong_count(&value), before + 1, "what was kept is gone at once");
            } else {
                // It has something to fetch and does not, so the shutdown waits for it.
                let silent = Poller::open(&sim, &server, PATH).await;
                assert_eq!(silent.post("40").await.body, "ok");
                let (ends, wait) = (server.clone(), sim.sleep(Duration::from_secs(50)));
                sim.spawn(async move { ends.shut_down(wait).await });
            }
            sim.sleep(Duration::from_secs(1)).await;
            assert_eq!(Arc::strong_count(&value), before, "removed: {removed}");
            end(&sim, server, (there, namespace)).await;
        });
    }
}
