//! The clients of the soak. Half of them are quiet: they connect, join their rooms and answer pings. The others come and go.
//!
//!     load ADDRESS CLIENTS CONNECTS_PER_SECOND PAUSE SEED
//!
//! `PAUSE` is the mean time between two actions of one client, in milliseconds.
//!
//! Each line of standard input is a phase, and is answered with one line of JSON when all clients are in it:
//!
//! * `churn`: clients connect and do what they do. Answered at once.
//! * `rest`: every client is connected and in its rooms, and only answers pings.
//! * `leave`: every client has left.
//!
//! What a client is (revision, transport, namespaces, rooms) depends on its number alone, so the server holds the same at each rest.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufRead as _, Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use soak::random::Random;
use soak::session::{End, Session, Transport};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

const PATH: &str = "/socket.io/";
/// Clients in one room.
const ROOM: u64 = 20;
/// How many namespaces on demand are asked for.
const ON_DEMAND: u64 = 500;
/// A client whose connection was lost returns within this time, in milliseconds: most of them in time for recovery.
const AWAY: u64 = 12_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Churn,
    Rest,
    Leave,
}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    phase: watch::Receiver<Phase>,
    clients: u64,
    /// How many phases have begun, and how many clients are where the newest wants them.
    begun: Cell<u64>,
    settled: Cell<u64>,
    /// The moment at which the next connection may be opened, and the time between two.
    next_connect: Cell<Instant>,
    between: Duration,
    pause: Duration,
    counts: RefCell<BTreeMap<String, u64>>,
}

impl Shared {
    fn count(&self, what: &str) {
        *self.counts.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    async fn turn_to_connect(&self) {
        let at = self.next_connect.get().max(Instant::now());
        self.next_connect.set(at + self.between);
        sleep_until(at).await;
    }

    fn is(&self, phase: Phase) -> bool {
        *self.phase.borrow() == phase
    }

    /// Counts a client as settled in this phase as long as the future runs.
    async fn settled<T>(&self, future: impl Future<Output = T>) -> T {
        let phase = self.begun.get();
        self.settled.set(self.settled.get() + 1);
        let output = future.await;
        if self.begun.get() == phase {
            self.settled.set(self.settled.get() - 1);
        }
        output
    }
}

/// A socket that may be recovered.
#[derive(Default)]
struct Former {
    id: String,
    pid: Option<String>,
    offset: Option<String>,
}

struct Client {
    shared: Rc<Shared>,
    number: u64,
    random: Random,
    phase: watch::Receiver<Phase>,
    revision: u8,
    transport: Transport,
    former: Former,
}

impl Client {
    fn new(shared: &Rc<Shared>, number: u64, seed: u64) -> Self {
        let revision = if number % 5 == 4 { 3 } else { 4 };
        let transport = match number % 7 {
            0..3 => Transport::WebSocket,
            3..5 => Transport::Upgrade,
            _ => Transport::Polling,
        };
        Self {
            shared: Rc::clone(shared),
            number,
            random: Random::new(seed ^ number.wrapping_mul(0x1234_5678_9abc_def1)),
            phase: shared.phase.clone(),
            revision,
            transport,
            former: Former::default(),
        }
    }

    fn is_quiet(&self) -> bool {
        self.number % 2 == 0
    }

    fn room(&self) -> u64 {
        self.number / ROOM
    }

    async fn run(mut self) {
        loop {
            if self.shared.is(Phase::Leave) {
                let shared = Rc::clone(&self.shared);
                let _ = shared.settled(self.phase.changed()).await;
                continue;
            }
            self.shared.turn_to_connect().await;
            match self.session().await {
                Ok(()) => {}
                Err(error) => {
                    // An answer that violates the protocol, or the end of a connection that should work.
                    let what = if error.kind() == ErrorKind::InvalidData { "wrong" } else { "lost" };
                    self.shared.count(&format!("{what}: {error}"));
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// A session from its beginning to its end.
    async fn session(&mut self) -> Result<()> {
        let mut session = Session::open(self.shared.address, PATH, self.revision, self.transport).await?;
        self.shared.count(&format!("opened: revision {}, {:?}", self.revision, self.transport));
        self.connect(&mut session).await?;
        let actions = if self.is_quiet() { u64::MAX } else { 3 + self.random.below(20) };
        for _ in 0..actions {
            let mut phase = self.phase.clone();
            let now = *phase.borrow_and_update();
            match now {
                Phase::Leave => break,
                Phase::Rest => {
                    let shared = Rc::clone(&self.shared);
                    shared.settled(self.idle(&mut session, async move { _ = phase.changed().await })).await?;
                }
                Phase::Churn => {
                    let quiet = self.is_quiet();
                    let pause = self.shared.pause.mul_f64(self.random.below(2000) as f64 / 1000.0);
                    let pause = async move {
                        tokio::select! {
                            () = sleep(pause), if !quiet => {}
                            _ = phase.changed() => {}
                        }
                    };
                    self.idle(&mut session, pause).await?;
                    if self.shared.is(Phase::Churn) && !quiet {
                        self.act(&mut session).await?;
                    }
                }
            }
        }
        let how = match self.random.below(20) {
            0..5 => End::Leave,
            5..8 => End::Close,
            8..12 => End::Drop,
            12..17 => End::Reset,
            17..18 => End::Invalid,
            _ => End::Silence,
        };
        if matches!(how, End::Leave | End::Invalid) {
            self.former = Former::default();
        }
        self.shared.count(&format!("ended: {how:?}"));
        // The server may have ended it first.
        let _ = session.end(how).await;
        let away = Duration::from_millis(self.random.below(AWAY));
        tokio::select! {
            () = sleep(away) => {}
            _ = self.phase.changed() => {}
        }
        Ok(())
    }

    /// Joins the client's namespaces and rooms.
    async fn connect(&mut self, session: &mut Session) -> Result<()> {
        let mut recovered = false;
        if self.revision == 4 {
            let former = std::mem::take(&mut self.former);
            let claim = match (&former.pid, &former.offset) {
                (Some(pid), Some(offset)) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
                _ => String::new(),
            };
            session.send(&format!("40{claim}")).await?;
            let reply = session.await_some(|packet| packet.strip_prefix("40").map(str::to_owned)).await?;
            let reply: serde_json::Value = serde_json::from_str(&reply)?;
            let text = |name: &str| reply[name].as_str().map(str::to_owned);
            self.former = Former { id: text("sid").unwrap_or_default(), pid: text("pid"), offset: None };
            if !claim.is_empty() {
                recovered = self.former.id == former.id;
                if recovered {
                    self.former.offset = former.offset;
                }
                self.shared.count(if recovered { "returned: recovered" } else { "returned: as a new socket" });
            }
        } else {
            session.await_some(|packet| (packet == "40").then_some(())).await?;
        }
        self.hear(session, |packet| packet.starts_with("42[\"auth\"")).await?;
        if !recovered {
            self.join(session).await?;
        }
        if self.number % 4 == 1 {
            self.enter(session, "/custom").await?;
        }
        if self.number % 8 == 3 {
            self.enter(session, &format!("/dynamic-{}", self.number % 50)).await?;
        }
        Ok(())
    }

    async fn join(&mut self, session: &mut Session) -> Result<()> {
        session.send(&format!(r#"42["join","room-{}"]"#, self.room())).await?;
        self.hear(session, |packet| packet.starts_with("42[\"joined\"")).await
    }

    async fn enter(&mut self, session: &mut Session, name: &str) -> Result<()> {
        session.send(&format!("40{name}")).await?;
        let reply = format!("40{name}");
        self.hear(session, |packet| packet.starts_with(&reply)).await
    }

    /// Waits for a packet, and notes the offsets of those before.
    async fn hear(&mut self, session: &mut Session, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let former = &mut self.former;
        session
            .await_some(|packet| {
                note(former, packet);
                wanted(packet).then_some(())
            })
            .await
    }

    async fn idle(&mut self, session: &mut Session, until: impl Future<Output = ()>) -> Result<()> {
        let former = &mut self.former;
        let mut unanswered = Vec::new();
        session
            .idle(until, |packet| {
                note(former, packet);
                unanswered.extend(question(packet));
            })
            .await?;
        // Too late for most, which must be ignored.
        for id in unanswered {
            session.send(&format!(r#"43{id}["late"]"#)).await?;
        }
        Ok(())
    }

    /// Does one of the things that clients do.
    async fn act(&mut self, session: &mut Session) -> Result<()> {
        let number = self.random.below(1_000_000);
        let everybody = self.random.below(3 * self.shared.clients) == 0;
        let (what, packet, answer) = match self.random.below(12) {
            _ if everybody => {
                ("broadcast", format!(r#"42["broadcast",{number}]"#), format!(r#"42["broadcast-back",{number}"#))
            }
            0 | 1 => ("message", format!(r#"42["message",{number}]"#), format!(r#"42["message-back",{number}"#)),
            2 | 3 => ("ack", format!(r#"42{number}["message-with-ack",{number}]"#), format!("43{number}[{number}")),
            4 | 5 => (
                "room",
                format!(r#"42["to-room","room-{}",{number}]"#, self.room()),
                format!(r#"42["room-back",{number}"#),
            ),
            6 => ("question", format!(r#"42["emit-with-ack",{number}]"#), String::new()),
            7 => ("question to a room", format!(r#"42["ask-room","room-{}"]"#, self.room()), "42[\"asked\"".to_owned()),
            8 => {
                // Leaves its room and joins it again, as each session must have it at a rest.
                session.send(&format!(r#"42["leave","room-{}"]"#, self.room())).await?;
                self.hear(session, |packet| packet.starts_with("42[\"left\"")).await?;
                self.shared.count("done: room left and joined");
                return self.join(session).await;
            }
            9 => {
                let name = format!("/dynamic-{}", 1000 + self.random.below(ON_DEMAND));
                self.enter(session, &name).await?;
                self.shared.count("done: namespace on demand");
                return session.send(&format!("41{name},")).await;
            }
            10 => ("wrong namespace", format!("40/wrong-{number}"), format!("44/wrong-{number},")),
            _ => ("refusing namespace", "40/refuse".to_owned(), "44/refuse,".to_owned()),
        };
        session.send(&packet).await?;
        if what == "question" {
            let answers = self.random.below(4) > 0;
            let id = session.await_some(question).await?;
            if answers {
                session.send(&format!("43{id}[{number}]")).await?;
                // The answer may come too late on a busy machine.
                self.hear(session, |packet| packet.starts_with("42[\"acked\"") || packet.starts_with("42[\"ack-t"))
                    .await?;
            } else {
                self.hear(session, |packet| packet.starts_with("42[\"ack-timeout\"")).await?;
            }
        } else {
            self.hear(session, |packet| packet.starts_with(&answer)).await?;
        }
        self.shared.count(&format!("done: {what}"));
        Ok(())
    }
}

/// Notes the offset of a packet of the main namespace: its last argument.
fn note(former: &mut Former, packet: &str) {
    if former.pid.is_some()
        && packet.starts_with("42[")
        && let Some(rest) = packet.strip_suffix("\"]")
        && let Some((_, last)) = rest.rsplit_once(",\"")
        && last.len() == 16
    {
        former.offset = Some(last.to_owned());
    }
}

/// The ack id of a question of the server.
fn question(packet: &str) -> Option<String> {
    let (id, _) = packet.strip_prefix("42")?.split_once("[\"ack-me\"")?;
    Some(id.to_owned())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "an argument is missing"));
    let wrong = |error| Error::new(ErrorKind::InvalidInput, format!("{error}"));
    let address: SocketAddr =
        argument()?.parse().map_err(|error| Error::new(ErrorKind::InvalidInput, format!("{error}")))?;
    let mut number = || argument()?.parse::<u64>().map_err(wrong);
    let (clients, rate, pause, seed) = (number()?, number()?, number()?, number()?);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let (announce, phase) = watch::channel(Phase::Leave);
        let shared = Rc::new(Shared {
            address,
            phase,
            clients,
            begun: Cell::new(0),
            settled: Cell::new(0),
            next_connect: Cell::new(Instant::now()),
            between: Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1),
            pause: Duration::from_millis(pause),
            counts: RefCell::default(),
        });
        for number in 0..clients {
            tokio::task::spawn_local(Client::new(&shared, number, seed).run());
        }
        let (lines, mut received) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if lines.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        while let Some(line) = received.recv().await {
            let phase = match line.as_str() {
                "churn" => Phase::Churn,
                "rest" => Phase::Rest,
                "leave" => Phase::Leave,
                _ => return Err(Error::new(ErrorKind::InvalidInput, line)),
            };
            shared.begun.set(shared.begun.get() + 1);
            shared.settled.set(0);
            announce.send_replace(phase);
            while phase != Phase::Churn && shared.settled.get() < clients {
                sleep(Duration::from_millis(100)).await;
            }
            println!("{}", serde_json::to_string(&*shared.counts.borrow())?);
        }
        Ok(())
    })
}
