//! All peers of one server: the table of session ids, their shared state, and the server's shutdown.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engineio_proto::server::{Refusal, Server, ServerMachine, Session, SessionRequest};
use engineio_proto::{Config, Instant, LinkId, RequestId, Response, Sid};
use futures_util::future::{Either, select};

use crate::clock::Clock;
use crate::log_limit::{Occurrences, log_limited};
use crate::metrics::{Counters, EngineMetrics};
use crate::peer::Peer;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::timers::{Alarm, Sleeper, Timers};
use crate::turn::{Application, PeerOf};

/// The layer above the machines of a server.
pub(crate) trait ServerApplication: Application<Machine: ServerMachine> {
    /// The shared state of a peer whose session this request opens.
    fn shared(&self, parts: &http::request::Parts, config: &Config) -> Self::Shared;

    /// Called when a session was accepted.
    fn open(&self, now: Instant, session: Session, peer: &Arc<PeerOf<Self>>) -> (Self::Machine, Self::Local);

    /// Called when a deadline has passed that the application has set with its [`Alarm`]. By default, does nothing.
    fn handle_timeout(&self, _now: Instant) {}

    /// Asks a peer to close for the server's shutdown.
    fn shut_down() -> Self::Command;

    /// Discards a peer and its queued packets.
    fn discard() -> Self::Command;
}

/// All peers of one server.
pub(crate) struct Hub<A: ServerApplication> {
    pub(crate) application: A,
    pub(crate) server: Server,
    pub(crate) clock: Arc<Clock>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) tasks: Tasks,
    pub(crate) counters: Arc<Counters>,
    /// The maximum number of sessions.
    pub(crate) max_sessions: usize,
    peers: Mutex<HashMap<Sid, Arc<PeerOf<A>>, SidHash>>,
    last_id: AtomicU64,
    shutting_down: AtomicBool,
    draining: AtomicBool,
}

/// By default, the keys in the table come from the operating system's generator, so they are as good as hashed. A peer chooses only which
/// keys are looked up, and cannot make keys collide. Keys that the application generates may have parts that a peer chooses, so they are
/// hashed with a seed.
#[derive(Default)]
pub(crate) struct SidHash(Option<RandomState>);

impl BuildHasher for SidHash {
    type Hasher = SidHasher;

    fn build_hasher(&self) -> SidHasher {
        match &self.0 {
            None => SidHasher::Plain(0),
            Some(seeded) => SidHasher::Seeded(seeded.build_hasher()),
        }
    }
}

pub(crate) enum SidHasher {
    Plain(u64),
    Seeded(DefaultHasher),
}

impl Hasher for SidHasher {
    fn write(&mut self, bytes: &[u8]) {
        let hash = match self {
            Self::Plain(hash) => hash,
            Self::Seeded(hasher) => return hasher.write(bytes),
        };
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            *hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        match self {
            Self::Plain(hash) => *hash,
            Self::Seeded(hasher) => hasher.finish(),
        }
    }
}

/// Attempts at a session id that is not in use before the handshake is refused.
const SID_ATTEMPTS: usize = 3;

impl<A: ServerApplication> Hub<A> {
    /// `application` creates the application, which may set its own deadlines.
    /// `generated` is whether the application generates the ids of sessions.
    pub(crate) fn new(application: impl FnOnce(Alarm) -> A, config: Config, generated: bool) -> Self {
        let (clock, timers) = (Arc::<Clock>::default(), Arc::<Timers>::default());
        let alarm = Alarm::new(Arc::clone(&clock), Arc::clone(&timers));
        Self {
            counters: Arc::clone(&alarm.counters),
            max_sessions: usize::MAX,
            application: application(alarm),
            clock,
            timers,
            server: Server::new(config),
            tasks: Tasks::default(),
            peers: Mutex::new(HashMap::with_hasher(SidHash(generated.then(RandomState::new)))),
            last_id: AtomicU64::new(0),
            shutting_down: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        self.server.config()
    }

    pub(crate) fn request_id(&self) -> RequestId {
        RequestId(self.last_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn link_id(&self) -> LinkId {
        LinkId(self.last_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn peer(&self, sid: &Sid) -> Option<Arc<PeerOf<A>>> {
        lock(&self.peers).get(sid).cloned()
    }

    /// The number of sessions.
    pub(crate) fn sessions(&self) -> usize {
        lock(&self.peers).len()
    }

    /// The counters of sessions, and what the table knows.
    pub(crate) fn metrics(&self) -> EngineMetrics {
        let mut metrics = self.counters.read();
        // The mailboxes are looked at without the lock of the table.
        let peers: Vec<_> = lock(&self.peers).values().cloned().collect();
        metrics.sessions = u64::try_from(peers.len()).unwrap_or(u64::MAX);
        metrics.timers = u64::try_from(self.timers.len()).unwrap_or(u64::MAX);
        for peer in peers {
            let queued = u64::try_from(peer.queued()).unwrap_or(u64::MAX);
            metrics.queued_bytes = metrics.queued_bytes.saturating_add(queued);
            metrics.longest_queue = metrics.longest_queue.max(queued);
        }
        metrics
    }

    pub(crate) fn remove(&self, sid: Sid) {
        let removed = lock(&self.peers).remove(&sid);
        // Dropped without the lock, because it holds values of the application.
        drop(removed);
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// Refuses new sessions from now on, asks all peers to close, and waits until they have ended. Discards peers that remain when
    /// `deadline` completes.
    pub(crate) async fn shut_down(&self, deadline: impl Future<Output = ()>) {
        self.shutting_down.store(true, Ordering::Relaxed);
        self.push_to_all(A::shut_down);
        let (finished, deadline) = (pin!(self.tasks.finished()), pin!(deadline));
        if let Either::Right(_) = select(finished, deadline).await {
            self.push_to_all(A::discard);
        }
    }

    /// Refuses new sessions from now on, and waits until all sessions have ended.
    pub(crate) async fn drain(&self) {
        // Under the lock of the table, so that a session that is added has started before its end is waited for.
        let peers = lock(&self.peers);
        self.draining.store(true, Ordering::Relaxed);
        drop(peers);
        self.tasks.finished().await;
    }

    /// All peers whose sessions have not ended.
    pub(crate) fn all(&self) -> Vec<Arc<PeerOf<A>>> {
        lock(&self.peers).values().cloned().collect()
    }

    fn push_to_all(&self, command: fn() -> A::Command) {
        for peer in self.all() {
            // A peer whose session has ended needs no command.
            let _ = peer.push(0, command);
        }
    }

    /// The answer to a request whose session has ended.
    pub(crate) fn unknown_sid(session_request: &SessionRequest) -> Response {
        session_request.refuse(Refusal::UnknownSid)
    }

    /// Adds a peer, with an id of `generate` that is not in use.
    ///
    /// # Errors
    /// The reason why the handshake is refused: the server is shutting down, too many sessions are open, or no unused id was found.
    pub(crate) fn add(
        &self,
        shared: A::Shared,
        generate: impl Fn() -> Option<Sid>,
    ) -> Result<Arc<PeerOf<A>>, Refusal<'static>> {
        for _ in 0..SID_ATTEMPTS {
            let Some(sid) = generate() else { break };
            let mut peers = lock(&self.peers);
            // Under the lock, so that no peer is added after all were asked to close.
            if self.is_shutting_down() || self.draining.load(Ordering::Relaxed) {
                // Dropped without the lock, because `shared` is a value of the application.
                drop(peers);
                return Err(Refusal::Unavailable);
            }
            if peers.len() >= self.max_sessions {
                drop(peers);
                let limit = self.max_sessions;
                tracing::debug!(
                    limit,
                    "a handshake was refused because too many sessions are open: see `max_sessions` of the server's builder"
                );
                return Err(Refusal::Unavailable);
            }
            let Entry::Vacant(vacant) = peers.entry(sid) else { continue };
            let peer = Peer::new(sid, self.config().limits.max_outbound, shared);
            return Ok(Arc::clone(vacant.insert(Arc::new(peer))));
        }
        Err(Refusal::IdGeneration)
    }

    /// Starts the timers' task with the first session, and again if its runtime has dropped it.
    pub(crate) fn run_timers<R: Runtime>(self: &Arc<Self>, runtime: &R) {
        let Some(running) = self.timers.start() else { return };
        let (hub, timers, clock, runtime_of_timers) =
            (Arc::downgrade(self), Arc::clone(&self.timers), Arc::clone(&self.clock), runtime.clone());
        runtime.spawn(async move {
            let _running = running;
            let wake = |sleeper| {
                let Some(hub) = hub.upgrade() else { return };
                match sleeper {
                    Sleeper::Peer(sid) => {
                        if let Some(peer) = hub.peer(&sid) {
                            peer.wake();
                        }
                    }
                    Sleeper::Application => hub.application.handle_timeout(clock.read()),
                }
            };
            timers.run(runtime_of_timers, &clock, wake).await;
        });
    }
}

impl<A: ServerApplication> Drop for Hub<A> {
    fn drop(&mut self) {
        self.timers.stop();
    }
}

/// A session id from the operating system's generator.
pub(crate) fn random_bytes() -> Option<[u8; 15]> {
    let mut random = [0; 15];
    match getrandom::fill(&mut random) {
        Ok(()) => Some(random),
        Err(error) => {
            static NO_RANDOMNESS: Occurrences = Occurrences::new();
            log_limited!(NO_RANDOMNESS, error, %error, "no randomness for a session id");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_spread_over_the_table() {
        let ids: Vec<Sid> = (0..1000).map(|_| Sid::from_random(random_bytes().unwrap())).collect();
        for hash in [SidHash::default(), SidHash(Some(RandomState::new()))] {
            let hashes = |bits: u32| {
                let hash = |sid| hash.hash_one(sid) >> (64 - bits);
                ids.iter().map(hash).collect::<std::collections::HashSet<_>>().len()
            };
            assert_eq!(hashes(64), 1000);
            assert!(hashes(7) >= 120, "all but a few of 128 groups are met");
        }
    }
}
