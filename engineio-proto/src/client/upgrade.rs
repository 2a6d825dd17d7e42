//! The probes of a client: links that try to become the transport of a session that polls.
//!
//! There is one probe for each upgrade that the server offers and the client may use. The first probe that the server answers wins: the others
//! are closed, and the client stops polling. When no request is in progress any more, everything that the server sent over polling has
//! arrived, so the probe becomes the transport, and sends `5` and then the packets that were queued meanwhile. A probe that fails does not
//! harm the session, which polls again.
//!
//! The state of one probe is a table, and a probe that is over is dropped. *Due* means that the deadline of the state has passed: for
//! [`State::Waiting`], it is the head start of WebTransport.
//!
//! | state | input | next state | action |
//! |---|---|---|---|
//! | Waiting | Due | Connecting | Connect |
//! | Waiting | LinkUp | Waiting | Ignore |
//! | Waiting | Answer | Waiting | Ignore |
//! | Waiting | Other | Waiting | Ignore |
//! | Waiting | LinkDown | Waiting | Ignore |
//! | Waiting | Paused | Waiting | Ignore |
//! | Waiting | Abandoned | Over | Forget |
//! | Connecting | Due | Over | Fail |
//! | Connecting | LinkUp | Probing | Probe |
//! | Connecting | Answer | Connecting | Ignore |
//! | Connecting | Other | Connecting | Ignore |
//! | Connecting | LinkDown | Over | Lose |
//! | Connecting | Paused | Connecting | Ignore |
//! | Connecting | Abandoned | Over | Close |
//! | Probing | Due | Over | Fail |
//! | Probing | LinkUp | Probing | Ignore |
//! | Probing | Answer | Answered | Pause |
//! | Probing | Other | Over | Fail |
//! | Probing | LinkDown | Over | Lose |
//! | Probing | Paused | Probing | Ignore |
//! | Probing | Abandoned | Over | Close |
//! | Answered | Due | Over | Fail |
//! | Answered | LinkUp | Answered | Ignore |
//! | Answered | Answer | Answered | Ignore |
//! | Answered | Other | Over | Fail |
//! | Answered | LinkDown | Over | Lose |
//! | Answered | Paused | Over | Switch |
//! | Answered | Abandoned | Over | Close |
//!
//! Source: engine.io-client `lib/socket.ts`, `_probe`; `lib/transports/polling.ts`, `pause`. The tests cover every row of the table.

use alloc::vec::Vec;
use core::time::Duration;

use crate::event::LinkKind;
use crate::id::LinkId;
use crate::link::Link;
use crate::time::Instant;

/// The head start of WebTransport over other probes.
const HEAD_START: Duration = Duration::from_millis(200);

/// The probes of one session. There is at most one for each kind of link.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Upgrade {
    probes: Vec<Probe>,
}

/// One probe.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
struct Probe {
    kind: LinkKind,
    state: State,
    /// When [`Input::Due`] comes.
    deadline: Instant,
    /// Present from [`State::Connecting`] on.
    link: Option<Link>,
}

/// The state of a probe.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// WebTransport has its head start.
    Waiting,
    /// The link is being made.
    Connecting,
    /// `2probe` was sent.
    Probing,
    /// `3probe` arrived. The client stops polling.
    Answered,
    /// The probe is not one any more.
    Over,
}

/// An input of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// Its deadline has passed.
    Due,
    /// Its link is up.
    LinkUp,
    /// `3probe` arrived on it.
    Answer,
    /// Anything else arrived on it.
    Other,
    /// Its link went down, or could not be made.
    LinkDown,
    /// The client does not poll: no request is in progress.
    Paused,
    /// Another probe was answered first, or the session ends.
    Abandoned,
}

/// What the client does after an input of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Nothing.
    Ignore,
    /// Ask for the link.
    Connect,
    /// Send `2probe`.
    Probe,
    /// Abandon the other probes, and stop polling.
    Pause,
    /// Make the link the transport.
    Switch,
    /// Close the link, and report that this upgrade has failed.
    Fail,
    /// Report that this upgrade has failed. The link is gone.
    Lose,
    /// Close the link.
    Close,
    /// There is no link yet.
    Forget,
}

/// One row of the table: state, input, next state, action.
type Row = (State, Input, State, Action);

/// Every state of a probe with every input.
const TABLE: [Row; 28] = [
    (State::Waiting, Input::Due, State::Connecting, Action::Connect),
    (State::Waiting, Input::LinkUp, State::Waiting, Action::Ignore),
    (State::Waiting, Input::Answer, State::Waiting, Action::Ignore),
    (State::Waiting, Input::Other, State::Waiting, Action::Ignore),
    (State::Waiting, Input::LinkDown, State::Waiting, Action::Ignore),
    (State::Waiting, Input::Paused, State::Waiting, Action::Ignore),
    (State::Waiting, Input::Abandoned, State::Over, Action::Forget),
    (State::Connecting, Input::Due, State::Over, Action::Fail),
    (State::Connecting, Input::LinkUp, State::Probing, Action::Probe),
    (State::Connecting, Input::Answer, State::Connecting, Action::Ignore),
    (State::Connecting, Input::Other, State::Connecting, Action::Ignore),
    (State::Connecting, Input::LinkDown, State::Over, Action::Lose),
    (State::Connecting, Input::Paused, State::Connecting, Action::Ignore),
    (State::Connecting, Input::Abandoned, State::Over, Action::Close),
    (State::Probing, Input::Due, State::Over, Action::Fail),
    (State::Probing, Input::LinkUp, State::Probing, Action::Ignore),
    (State::Probing, Input::Answer, State::Answered, Action::Pause),
    (State::Probing, Input::Other, State::Over, Action::Fail),
    (State::Probing, Input::LinkDown, State::Over, Action::Lose),
    (State::Probing, Input::Paused, State::Probing, Action::Ignore),
    (State::Probing, Input::Abandoned, State::Over, Action::Close),
    (State::Answered, Input::Due, State::Over, Action::Fail),
    (State::Answered, Input::LinkUp, State::Answered, Action::Ignore),
    (State::Answered, Input::Answer, State::Answered, Action::Ignore),
    (State::Answered, Input::Other, State::Over, Action::Fail),
    (State::Answered, Input::LinkDown, State::Over, Action::Lose),
    (State::Answered, Input::Paused, State::Over, Action::Switch),
    (State::Answered, Input::Abandoned, State::Over, Action::Close),
];

/// Looks up the row for a state and an input.
fn next(state: State, input: Input) -> (State, Action) {
    for (from, on, to, action) in TABLE {
        if from == state && on == input {
            return (to, action);
        }
    }
    (state, Action::Ignore)
}

impl Upgrade {
    pub(super) const fn new() -> Self {
        Self { probes: Vec::new() }
    }

    /// Adds a probe for each of these kinds. If WebTransport is among them, the others are due after its head start. Those that are to begin
    /// at once are due at once.
    pub(super) fn begin(&mut self, kinds: impl Iterator<Item = LinkKind> + Clone, now: Instant) {
        let favors = kinds.clone().any(|kind| kind == LinkKind::WebTransport);
        for kind in kinds {
            let waits = favors && kind != LinkKind::WebTransport;
            let deadline = if waits { now + HEAD_START } else { now };
            self.probes.push(Probe { kind, state: State::Waiting, deadline, link: None });
        }
    }

    /// Applies one row of the table to the probe of this kind. Returns the action, and the link if the probe is over.
    pub(super) fn handle(&mut self, kind: LinkKind, input: Input) -> (Action, Option<Link>) {
        let Some(place) = self.probes.iter().position(|probe| probe.kind == kind) else {
            return (Action::Ignore, None);
        };
        let Some(probe) = self.probes.get_mut(place) else { return (Action::Ignore, None) };
        let (state, action) = next(probe.state, input);
        probe.state = state;
        let link = if state == State::Over { self.probes.swap_remove(place).link } else { None };
        (action, link)
    }

    /// Keeps the link of a probe, after [`Action::Connect`], and the time at which the probe must be over.
    pub(super) fn connect(&mut self, link: Link, deadline: Instant) {
        if let Some(probe) = self.probes.iter_mut().find(|probe| probe.kind == link.kind()) {
            probe.deadline = deadline;
            probe.link = Some(link);
        }
    }

    /// The kind of a probe that is due.
    pub(super) fn due(&self, now: Instant) -> Option<LinkKind> {
        self.probes.iter().find(|probe| probe.deadline <= now).map(|probe| probe.kind)
    }

    /// When the next probe is due. [`Instant::FAR_FUTURE`] without probes.
    pub(super) fn deadline(&self) -> Instant {
        self.probes.iter().map(|probe| probe.deadline).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// The kind of a probe that was not answered yet.
    pub(super) fn unanswered(&self) -> Option<LinkKind> {
        self.probes.iter().find(|probe| probe.state != State::Answered).map(|probe| probe.kind)
    }

    /// The kind of the probe that was answered, for which the client stops polling.
    pub(super) fn answered(&self) -> Option<LinkKind> {
        self.probes.iter().find(|probe| probe.state == State::Answered).map(|probe| probe.kind)
    }

    /// The kind of any probe.
    pub(super) fn any(&self) -> Option<LinkKind> {
        self.probes.first().map(|probe| probe.kind)
    }

    /// The links of the probes.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.probes.iter().filter_map(|probe| probe.link.as_ref())
    }

    /// The link of the probe of this kind.
    pub(super) fn link_of(&mut self, kind: LinkKind) -> Option<&mut Link> {
        self.probes.iter_mut().find(|probe| probe.kind == kind)?.link.as_mut()
    }

    /// The link with this id, if it is a probe's.
    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.probes.iter_mut().filter_map(|probe| probe.link.as_mut()).find(|link| link.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    const STATES: [State; 4] = [State::Waiting, State::Connecting, State::Probing, State::Answered];
    const INPUTS: [Input; 7] =
        [Input::Due, Input::LinkUp, Input::Answer, Input::Other, Input::LinkDown, Input::Paused, Input::Abandoned];

    #[test]
    fn every_state_has_exactly_one_row_for_every_input() {
        for state in STATES {
            for input in INPUTS {
                let rows = TABLE.iter().filter(|row| row.0 == state && row.1 == input).count();
                assert_eq!(rows, 1, "{state:?} {input:?}");
            }
        }
        assert_eq!(TABLE.len(), STATES.len() * INPUTS.len());
    }

    #[test]
    fn the_table_in_the_documentation_is_the_table() {
        let printed: Vec<&str> = include_str!("upgrade.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! "))
            .filter(|line| line.starts_with("| ") && !line.starts_with("| state "))
            .collect();
        let rows: Vec<String> = TABLE
            .iter()
            .map(|(state, input, next, action)| format!("| {state:?} | {input:?} | {next:?} | {action:?} |"))
            .collect();
        assert_eq!(printed, rows);
    }

    #[test]
    fn only_an_answered_probe_becomes_the_transport_and_every_link_is_closed_lost_or_kept() {
        for (from, input, to, action) in TABLE {
            assert_eq!(action == Action::Switch, from == State::Answered && input == Input::Paused);
            let has_link = from != State::Waiting;
            let ends = matches!(action, Action::Switch | Action::Fail | Action::Lose | Action::Close);
            assert_eq!(has_link && to == State::Over, ends, "{from:?} {input:?}");
            assert_eq!(action == Action::Lose, has_link && input == Input::LinkDown, "{from:?} {input:?}");
        }
    }
}
