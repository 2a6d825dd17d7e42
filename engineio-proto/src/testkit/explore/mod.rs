//! Every interleaving of a small world, played to its end.
//!
//! Machines are deterministic, and a small world has few states. So nothing has to be left to chance here: [`explore`] starts with a client
//! that has sent its first GET, takes every step that is possible, and goes on from each state that it has not seen before. A state
//! is everything that can have an influence on what comes next: the machine, the client, what is under way, and what was sent and
//! has arrived. All times count relative to now, so that the same state an hour later is not another one.
//!
//! # What is explored
//!
//! One peer opens by polling and upgrades over a WebSocket. Meanwhile, each end may send its messages, deadlines come (pings, the release of
//! GETs, timeouts), one of the ends closes (the server gracefully or at once), and one fault happens: a request is cut or lost, a link
//! breaks or falls silent, a deadline comes before what is under way ([`Fault`]). [`Plan`] has the numbers. A [`Step`] is the smallest that
//! a driver, a network or an application can do by itself: one head, one body, one packet, one poll, one deadline. Any
//! order of them is possible, except that without a fault the network delivers before a deadline comes.
//!
//! After every step, all that [`Watched`] checks must hold. When nothing is under way and both ends live, every message has arrived
//! (I10). At the end of a path both ends are over, every request was answered or cut (I4), `Closed` came once and the machine answers
//! who comes late (I5), and whoever closed gracefully has lost nothing (I10).
//!
//! # A counterexample
//!
//! States are visited in the order of their distance from the beginning, so that the [`Counterexample`] is as short as any. It
//! displays as a numbered list of its steps, each with what the machine heard and said. To replay one, in a debugger or after a change,
//! give its [`steps`](Counterexample::steps), which print as Rust, to [`replay`] with the same plan.

mod world;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};
use core::time::Duration;

pub use self::world::Step;
use self::world::{Surroundings, World};
use super::client::Habits;
use super::invariants::Violation;
#[cfg(doc)]
use super::invariants::Watched;
use crate::config::Config;
use crate::error::SendError;
use crate::event::Event;
use crate::message::Message;
use crate::server::{Server, ServerMachine, Session};
use crate::time::Instant;

/// How much happens in the world that is explored. The number of states grows by a factor with each of the numbers.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "tests build it with a literal")]
pub struct Plan {
    /// The server's settings.
    pub config: Config,
    /// What the client does that the JavaScript one does not.
    pub habits: Habits,
    /// How many messages the client may send.
    pub messages_up: u8,
    /// How many the server may send.
    pub messages_down: u8,
    /// How many deadlines of the server may come before somebody closes. Afterwards there is no limit.
    pub deadlines: u8,
    /// The fault that may happen, once.
    pub fault: Option<Fault>,
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The connection of a request is cut; both ends hear of it.
    RequestIsCut,
    /// A request or its answer gets lost; nobody is told.
    RequestIsLost,
    /// A link breaks, with everything that is under way on it; both ends hear of it.
    LinkBreaks,
    /// A link delivers nothing any more; nobody is told.
    LinkFallsSilent,
    /// The network is slow: a deadline comes before what is under way.
    DeadlineComesFirst,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::RequestIsCut, Self::RequestIsLost, Self::LinkBreaks, Self::LinkFallsSilent, Self::DeadlineComesFirst];
}

impl Default for Plan {
    fn default() -> Self {
        // A ping is due before the GET that holds an upgrade up is released: so it is outstanding while the session moves.
        let config = Config {
            ping_interval: Duration::from_millis(80),
            ping_timeout: Duration::from_millis(200),
            upgrade_timeout: Duration::from_millis(250),
            close_timeout: Duration::from_millis(150),
            ..Config::default()
        };
        Self { config, habits: Habits::default(), messages_up: 1, messages_down: 1, deadlines: 3, fault: None }
    }
}

/// What can be explored: a session, or a machine around one.
pub trait Explorable: ServerMachine<Event = Event> + Clone + Hash {
    /// Sends a message; see [`Session::send`].
    ///
    /// # Errors
    /// As [`Session::send`].
    fn send(&mut self, message: Message) -> Result<(), SendError>;
}

impl Explorable for Session {
    fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.send(message)
    }
}

/// How much was explored. Displays as one line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states.
    pub states: usize,
    /// Steps that were taken, from each state every possible one.
    pub transitions: usize,
    /// States after which nothing happens any more.
    pub ends: usize,
    /// How many steps the farthest state is from the beginning.
    pub depth: usize,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, ends, depth } = self;
        write!(
            f,
            "{states} states, {transitions} transitions, all invariants hold ({ends} ends, at most {depth} steps)"
        )
    }
}

/// A path at whose end an invariant does not hold. No other such path is shorter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{script}{violation}\nto replay: {steps:?}")]
#[non_exhaustive]
pub struct Counterexample {
    /// What does not hold.
    pub violation: Violation,
    /// The steps that lead there.
    pub steps: Vec<Step>,
    /// The same for a reader: each step, with what the machine heard and said.
    pub script: String,
}

/// Explores a session from its first request to its end. `accept` makes the machine of it.
///
/// # Errors
/// The nearest state in which an invariant does not hold.
pub fn explore<M: Explorable>(plan: &Plan, accept: impl Fn(Session) -> M) -> Result<Explored, Box<Counterexample>> {
    let around = Surroundings { plan, server: Server::new(plan.config.clone()), accept: &accept, log: false };
    let mut search = Search { seen: BTreeSet::new(), paths: Vec::new(), explored: Explored::default() };
    let world = World::new(plan);
    let mut frontier = Vec::new();
    search.visit(world, None, &mut frontier);
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (world, place) in frontier {
            let found = search.expand(&around, world, place, &mut next);
            if let Err((violation, step)) = found {
                let steps = search.path(place, step);
                let script = match replay(plan, accept, &steps) {
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

/// Takes these steps, and tells what the machine heard and said at each of them.
///
/// # Errors
/// The first violation, with the steps up to it.
pub fn replay<M: Explorable>(
    plan: &Plan,
    accept: impl Fn(Session) -> M,
    steps: &[Step],
) -> Result<String, Box<Counterexample>> {
    let around = Surroundings { plan, server: Server::new(plan.config.clone()), accept: &accept, log: true };
    let mut world = World::new(plan);
    let (mut script, mut told, mut taken) = (String::new(), 0, Vec::new());
    for step in steps {
        taken.push(*step);
        let result = world.take(&around, *step);
        // Writing to memory does not fail.
        let _ = writeln!(script, "{:3}. {step}", taken.len());
        let log = world.machine.as_ref().map(|machine| machine.log()).unwrap_or_default();
        for line in log.get(told..).unwrap_or_default().lines() {
            let _ = writeln!(script, "         {line}");
        }
        told = log.len();
        if let Err(violation) = result {
            return Err(Box::new(Counterexample { violation, steps: taken, script }));
        }
    }
    match world.check(&around) {
        Ok(()) => Ok(script),
        Err(violation) => Err(Box::new(Counterexample { violation, steps: taken, script })),
    }
}

/// How a state was reached first: from which one, by which step.
type Reached = Option<(usize, Step)>;

struct Search {
    /// The fingerprints of all states.
    seen: BTreeSet<u64>,
    paths: Vec<Reached>,
    explored: Explored,
}

impl Search {
    /// Puts a state on the list, unless it has been there.
    fn visit<M: Explorable>(&mut self, world: World<M>, reached: Reached, next: &mut Vec<(World<M>, usize)>) {
        if self.seen.insert(fingerprint(&world, world.now)) {
            self.explored.states = self.explored.states.saturating_add(1);
            next.push((world, self.paths.len()));
            self.paths.push(reached);
        }
    }

    /// Takes every step that is possible in a state.
    fn expand<M: Explorable>(
        &mut self,
        around: &Surroundings<'_, M>,
        world: World<M>,
        place: usize,
        next: &mut Vec<(World<M>, usize)>,
    ) -> Result<(), (Violation, Option<Step>)> {
        let mut steps = Vec::new();
        world.urgent_steps(&mut steps);
        let busy = self.take_all(around, &world, place, &steps, next)?;
        steps.clear();
        world.other_steps(around.plan, busy, &mut steps);
        let goes_on = self.take_all(around, &world, place, &steps, next)?;
        if !busy {
            world.check_quiet().map_err(|violation| (violation, None))?;
        }
        if !busy && !goes_on {
            self.explored.ends = self.explored.ends.saturating_add(1);
            world.check_end().map_err(|violation| (violation, None))?;
        }
        Ok(())
    }

    /// Whether any of the steps was possible.
    fn take_all<M: Explorable>(
        &mut self,
        around: &Surroundings<'_, M>,
        world: &World<M>,
        place: usize,
        steps: &[Step],
        next: &mut Vec<(World<M>, usize)>,
    ) -> Result<bool, (Violation, Option<Step>)> {
        let mut any = false;
        for step in steps {
            let mut after = world.clone();
            if after.take(around, *step).map_err(|violation| (violation, Some(*step)))? {
                any = true;
                self.explored.transitions = self.explored.transitions.saturating_add(1);
                self.visit(after, Some((place, *step)), next);
            }
        }
        Ok(any)
    }

    /// The steps that lead to a state, and one more.
    fn path(&self, place: usize, last: Option<Step>) -> Vec<Step> {
        let mut steps: Vec<Step> = last.into_iter().collect();
        let mut reached = self.paths.get(place).copied().flatten();
        while let Some((from, step)) = reached {
            steps.push(step);
            reached = self.paths.get(from).copied().flatten();
        }
        steps.reverse();
        steps
    }
}

/// A number that two worlds share only if they are in the same state, all times relative to now.
fn fingerprint(world: &impl Hash, now: Instant) -> u64 {
    let mut hasher = Fingerprint { now, sum: 0x9e37_79b9_7f4a_7c15 };
    world.hash(&mut hasher);
    hasher.finish()
}

/// A hasher that takes times as their distance from now. It is mixed for speed: nobody attacks it.
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

    /// An [`Instant`]. The first and the last of all are no times, but stand for none.
    fn write_u128(&mut self, micros: u128) {
        match u64::try_from(micros) {
            Ok(time @ (0 | u64::MAX)) => self.mix(time),
            Ok(time) => self.mix(self.now.as_micros().wrapping_sub(time).wrapping_add(1)),
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

    /// A session that was opened by a GET at this time.
    fn opened(now: Instant) -> Session {
        let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
        let Route::Open(handshake) = Server::new(Config::default()).route(&head) else { panic!("no handshake") };
        let mut session = handshake.accept(now, Sid::from_random([1; 15]));
        session.handle(now, Input::Poll { request: RequestId(1) });
        session
    }

    #[test]
    fn the_same_state_later_is_the_same_state_and_one_whose_time_has_passed_is_not() {
        let (now, later) = (Instant::from_millis(1_000), Instant::from_millis(90_001_000));
        assert_eq!(fingerprint(&opened(now), now), fingerprint(&opened(later), later));
        assert_ne!(fingerprint(&opened(now), now), fingerprint(&opened(now), now + Duration::from_micros(1)));
        let mut polled = opened(now);
        assert!(polled.poll_event().is_some());
        assert_ne!(fingerprint(&opened(now), now), fingerprint(&polled, now));
    }
}
