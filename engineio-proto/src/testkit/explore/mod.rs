//! Explores every interleaving of a small world: a server's machine with the model of a client ([`explore`]), or with a client's machine
//! ([`explore_client`]).
//!
//! Machines are deterministic, and a small world has few states, so nothing needs to be random. It starts with a client that has sent its
//! first GET, takes every possible step, and continues from each state that is new. A state contains everything that can
//! influence later steps: the machine, the client, the items in transit, and the messages that were sent and received. All times are
//! relative to the current time, so that the same state an hour later counts as the same.
//!
//! # What is explored
//!
//! One peer opens by polling and upgrades to a WebSocket. Meanwhile, each end may send messages, deadlines fire (pings, the release of
//! GETs, timeouts), one end closes (the server gracefully or at once), and one fault happens ([`Fault`]): a request is cut or lost, a link
//! breaks or is lost, or a deadline fires before items in transit arrive. [`Plan`] sets the numbers. A [`Step`] is the smallest
//! action that a driver, a network or an application can take by itself: one head, one body, one packet, one poll, one deadline. Steps
//! can happen in any order, except that without a fault the network delivers everything before a deadline fires.
//!
//! After every step, everything that [`Watched`] checks must hold. Whenever nothing is in transit and both ends are open, every message
//! has arrived (I10), unless the client is pausing its polls or something was lost silently. At the end of a path both ends are closed
//! (a client that never opened is not), every request was answered or cut (I4), and `Closed` was emitted once and the machine answers late
//! requests (I5). Without a fault, an end that closed gracefully has lost nothing (I10), if the other end saw a graceful close: a POST
//! that crosses the close is refused, which the client sees as an error.
//!
//! # A counterexample
//!
//! The search is breadth-first, so no [`Counterexample`] is shorter. It displays as a numbered list of its steps, each with the inputs and
//! outputs of the machine. To replay it, in a debugger or after a change, pass its [`steps`](Counterexample::steps), which print as Rust,
//! to [`replay`] with the same plan.

mod world;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};
use core::time::Duration;

pub use self::world::Step;
use self::world::{Environment, World};
use super::client::{Client, ClientBehavior, ClientSettings};
use super::client_end::{MachineEnd, MessageEnd, MessageMachine, ModelEnd};
use super::invariants::Violation;
#[cfg(doc)]
use super::invariants::Watched;
use crate::client;
use crate::config::Config;
use crate::error::SendError;
use crate::event::{Event, LinkKind};
use crate::message::Message;
use crate::server::{Server, ServerMachine, Session};
use crate::shared::Arc;
use crate::time::Instant;
use crate::wire::Revision;

/// The size of the world to explore. The number of states grows by a factor with each of the numbers.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Plan {
    /// The server's settings.
    pub config: Config,
    /// What the client does that the JavaScript one does not.
    pub behavior: ClientBehavior,
    /// How many messages the client may send.
    pub messages_up: u8,
    /// The number of messages that the server may send.
    pub messages_down: u8,
    /// The number of deadlines of the server that may fire before an end closes. Afterwards there is no limit. In revision 3, the deadlines of
    /// the client count, too: its pings.
    pub deadlines: u8,
    /// The fault that may happen once, if any.
    pub fault: Option<Fault>,
}

/// A fault of the network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The connection of a request is cut. Both ends are notified.
    RequestIsCut,
    /// A request or its answer is lost. Neither end is notified.
    RequestIsLost,
    /// A link breaks, and everything in transit on it is lost. Both ends are notified.
    LinkBreaks,
    /// A link delivers nothing any more. Neither end is notified.
    LinkIsLost,
    /// The network is slow: a deadline fires before items in transit arrive.
    NetworkIsSlow,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 5] =
        [Self::RequestIsCut, Self::RequestIsLost, Self::LinkBreaks, Self::LinkIsLost, Self::NetworkIsSlow];
}

impl Default for Plan {
    fn default() -> Self {
        // A ping is due before the GET that delays an upgrade is released. It is therefore unanswered while the session moves.
        let config = Config {
            ping_interval: Duration::from_millis(80),
            ping_timeout: Duration::from_millis(200),
            upgrade_timeout: Duration::from_millis(250),
            close_timeout: Duration::from_millis(150),
            ..Config::default()
        };
        Self {
            config,
            behavior: ClientBehavior::default(),
            messages_up: 1,
            messages_down: 1,
            deadlines: 3,
            fault: None,
        }
    }
}

/// A machine that can be explored: a session, or a machine that contains one.
pub trait Explorable: ServerMachine<Event = Event> + Clone + Hash {
    /// Sends a message. See [`Session::send`].
    ///
    /// # Errors
    /// See [`Session::send`].
    fn send(&mut self, message: Message) -> Result<(), SendError>;
}

impl Explorable for Session {
    fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send(message)
    }
}

/// The size of what was explored. Displays as one line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Explored {
    /// The number of distinct states.
    pub states: usize,
    /// The number of steps taken: every possible step from every state.
    pub transitions: usize,
    /// The number of states from which no step is possible.
    pub terminal_states: usize,
    /// The distance from the first state to the farthest one, in steps.
    pub depth: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, terminal_states, depth } = self;
        write!(
            f,
            "{states} states, {transitions} transitions, all invariants hold ({terminal_states} terminal states, at most {depth} steps)"
        )
    }
}

/// A path that ends in a violated invariant. No shorter one exists.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{script}{violation}\nto replay: {steps:?}")]
#[non_exhaustive]
pub struct Counterexample {
    /// The violation.
    pub violation: Violation,
    /// The steps that lead to it.
    pub steps: Vec<Step>,
    /// The same steps as text, each with the inputs and outputs of the machine.
    pub script: String,
}

/// Explores a session from its first request to its end, with the model of a client. `accept` turns the session into the machine to explore.
///
/// # Errors
/// The shortest path to a violated invariant.
pub fn explore<M: Explorable>(plan: &Plan, accept: impl Fn(Session) -> M) -> Result<Explored, Box<Counterexample>> {
    search(plan, &|_| model(plan), &accept)
}

/// Explores a client's machine and a server's. `wrap` turns the client into the machine to explore. Of [`Plan::behavior`], only the revision
/// counts.
///
/// # Errors
/// The shortest path to a violated invariant.
pub fn explore_client<M: MessageMachine + Clone + Hash>(
    plan: &Plan,
    wrap: impl Fn(client::Client) -> M,
) -> Result<Explored, Box<Counterexample>> {
    search(plan, &|log| machine(plan, &wrap, log), &|session| session)
}

/// Takes these steps with the model of a client, and returns them as text with the inputs and outputs of the machine at each.
///
/// # Errors
/// The first violation, with the steps up to it.
pub fn replay<M: Explorable>(
    plan: &Plan,
    accept: impl Fn(Session) -> M,
    steps: &[Step],
) -> Result<String, Box<Counterexample>> {
    take(plan, model(plan), &accept, steps)
}

/// Takes these steps with a client's machine. See [`replay`].
///
/// # Errors
/// The first violation, with the steps up to it.
pub fn replay_client<M: MessageMachine + Clone + Hash>(
    plan: &Plan,
    wrap: impl Fn(client::Client) -> M,
    steps: &[Step],
) -> Result<String, Box<Counterexample>> {
    take(plan, machine(plan, &wrap, true), &|session| session, steps)
}

/// The model of a client.
fn model(plan: &Plan) -> ModelEnd {
    let config = &plan.config;
    ModelEnd::new(Client::new(ClientSettings {
        start: None,
        upgrade: Some(LinkKind::WebSocket),
        heartbeat_timeout: config.ping_interval + config.ping_timeout,
        ping_interval: config.ping_interval,
        max_payload: config.max_payload,
        behavior: plan.behavior,
    }))
}

/// A client's machine, whose limits on time are those of the server.
fn machine<M: MessageMachine>(plan: &Plan, wrap: &impl Fn(client::Client) -> M, log: bool) -> MachineEnd<M> {
    let mut config = client::Config::default();
    config.revision = if plan.behavior.revision_3 { Revision::V3 } else { Revision::V4 };
    config.upgrade_timeout = plan.config.upgrade_timeout;
    config.close_timeout = plan.config.close_timeout;
    let client = wrap(client::Client::new(Arc::new(config)));
    if log { MachineEnd::new(client, true) } else { MachineEnd::without_history(client) }
}

fn search<M: Explorable, C: MessageEnd + Clone + Hash>(
    plan: &Plan,
    client: &dyn Fn(bool) -> C,
    accept: &dyn Fn(Session) -> M,
) -> Result<Explored, Box<Counterexample>> {
    let environment = Environment { plan, server: Server::new(plan.config.clone()), accept, log: false };
    let mut search = Search { seen: BTreeSet::new(), paths: Vec::new(), explored: Explored::default() };
    let world = World::new(plan, client(false));
    let mut frontier = Vec::new();
    search.visit(world, None, &mut frontier);
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (world, index) in frontier {
            let found = search.expand(&environment, world, index, &mut next);
            if let Err((violation, step)) = found {
                let steps = search.path(index, step);
                let script = match take(plan, client(true), accept, &steps) {
                    Ok(script) => script,
                    Err(counterexample) => counterexample.script,
                };
                return Err(Box::new(Counterexample { violation, steps, script }));
            }
        }
        frontier = next;
        search.explored.depth = search.explored.depth.saturating_add(usize::from(!frontier.is_empty()));
    }
    Ok(search.explored)
}

fn take<M: Explorable, C: MessageEnd + Clone + Hash>(
    plan: &Plan,
    client: C,
    accept: &dyn Fn(Session) -> M,
    steps: &[Step],
) -> Result<String, Box<Counterexample>> {
    let environment = Environment { plan, server: Server::new(plan.config.clone()), accept, log: true };
    let mut world = World::new(plan, client);
    let (mut script, mut logged, mut logged_client, mut taken) = (String::new(), 0, 0, Vec::new());
    for step in steps {
        taken.push(*step);
        let result = world.take(&environment, *step);
        // Writing to a string cannot fail.
        let _ = writeln!(script, "{:3}. {step}", taken.len());
        let server = world.machine.as_ref().map(|machine| machine.log()).unwrap_or_default();
        let client = world.client.log();
        for (who, log, logged) in [("server", server, &mut logged), ("client", &client, &mut logged_client)] {
            for line in log.get(*logged..).unwrap_or_default().lines() {
                let _ = writeln!(script, "         {who} {line}");
            }
            *logged = log.len();
        }
        if let Err(violation) = result {
            return Err(Box::new(Counterexample { violation, steps: taken, script }));
        }
    }
    match world.check(&environment) {
        Ok(()) => Ok(script),
        Err(violation) => Err(Box::new(Counterexample { violation, steps: taken, script })),
    }
}

/// The first way to a state: the previous state, and the step from there.
type Reached = Option<(usize, Step)>;

struct Search {
    /// The fingerprints of all states.
    seen: BTreeSet<u64>,
    paths: Vec<Reached>,
    explored: Explored,
}

impl Search {
    /// Queues a state, unless it was visited before.
    fn visit<M: Explorable, C: MessageEnd + Clone + Hash>(
        &mut self,
        world: World<M, C>,
        reached: Reached,
        next: &mut Vec<(World<M, C>, usize)>,
    ) {
        if self.seen.insert(fingerprint(&world, world.now)) {
            self.explored.states = self.explored.states.saturating_add(1);
            next.push((world, self.paths.len()));
            self.paths.push(reached);
        }
    }

    /// Takes every step that is possible in a state.
    fn expand<M: Explorable, C: MessageEnd + Clone + Hash>(
        &mut self,
        environment: &Environment<'_, M>,
        world: World<M, C>,
        index: usize,
        next: &mut Vec<(World<M, C>, usize)>,
    ) -> Result<(), (Violation, Option<Step>)> {
        let mut steps = Vec::new();
        world.urgent_steps(&mut steps);
        let busy = self.take_all(environment, &world, index, &steps, next)?;
        steps.clear();
        world.other_steps(environment.plan, busy, &mut steps);
        let goes_on = self.take_all(environment, &world, index, &steps, next)?;
        if !busy {
            world.check_nothing_lost().map_err(|violation| (violation, None))?;
        }
        if !busy && !goes_on {
            self.explored.terminal_states = self.explored.terminal_states.saturating_add(1);
            world.check_end().map_err(|violation| (violation, None))?;
        }
        Ok(())
    }

    /// Takes these steps, and returns whether any of them was possible.
    fn take_all<M: Explorable, C: MessageEnd + Clone + Hash>(
        &mut self,
        environment: &Environment<'_, M>,
        world: &World<M, C>,
        index: usize,
        steps: &[Step],
        next: &mut Vec<(World<M, C>, usize)>,
    ) -> Result<bool, (Violation, Option<Step>)> {
        let mut any = false;
        for step in steps {
            let mut after = world.clone();
            if after.take(environment, *step).map_err(|violation| (violation, Some(*step)))? {
                any = true;
                self.explored.transitions = self.explored.transitions.saturating_add(1);
                self.visit(after, Some((index, *step)), next);
            }
        }
        Ok(any)
    }

    /// The steps that lead to a state, followed by `last`.
    fn path(&self, index: usize, last: Option<Step>) -> Vec<Step> {
        let mut steps: Vec<Step> = last.into_iter().collect();
        let mut reached = self.paths.get(index).copied().flatten();
        while let Some((from, step)) = reached {
            steps.push(step);
            reached = self.paths.get(from).copied().flatten();
        }
        steps.reverse();
        steps
    }
}

/// A hash that is equal for two worlds only if they are in the same state, with all times relative to now.
fn fingerprint(world: &impl Hash, now: Instant) -> u64 {
    let mut hasher = Fingerprint { now, sum: 0x9e37_79b9_7f4a_7c15 };
    world.hash(&mut hasher);
    hasher.finish()
}

/// A hasher that hashes times relative to now. It only has to be fast: its input is not hostile.
struct Fingerprint {
    now: Instant,
    sum: u64,
}

impl Fingerprint {
    const fn mix(&mut self, word: u64) {
        let mixed = (self.sum ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.sum = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb).rotate_left(31);
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn write_isize(&mut self, number: isize) {
        self.write_usize(number.cast_unsigned());
    }

    /// Hashes an [`Instant`]. The smallest and the largest value are not times: they mean that there is none, and hash unlike every time.
    fn write_u128(&mut self, micros: u128) {
        match u64::try_from(micros) {
            Ok(time @ (0 | u64::MAX)) => {
                self.mix(0);
                self.mix(time);
            }
            Ok(time) => {
                self.mix(1);
                self.mix(self.now.as_micros().wrapping_sub(time));
            }
            Err(_) => self.write(&micros.to_le_bytes()),
        }
    }

    fn finish(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestHead;
    use crate::id::{RequestId, Sid};
    use crate::server::{Input, Route};

    /// A session that a GET opened at this time.
    fn opened(now: Instant) -> Session {
        let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
        let Route::Open(handshake) = Server::new(Config::default()).route(&head) else { panic!("no handshake") };
        let mut session = handshake.accept(now, Sid::from_random([1; 15]));
        session.handle(now, Input::Get { request: RequestId(1) });
        session
    }

    #[test]
    fn fingerprints_depend_on_times_relative_to_now() {
        let (now, later) = (Instant::from_millis(1_000), Instant::from_millis(90_001_000));
        assert_eq!(fingerprint(&opened(now), now), fingerprint(&opened(later), later));
        assert_ne!(fingerprint(&opened(now), now), fingerprint(&opened(now), now + Duration::from_micros(1)));
        let mut polled = opened(now);
        assert!(polled.poll_event().is_some());
        assert_ne!(fingerprint(&opened(now), now), fingerprint(&polled, now));
    }
}
