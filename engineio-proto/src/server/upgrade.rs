//! The upgrade from polling to a link, as a table of transitions.
//!
//! While a session polls, one link at a time (the probe) may try to become the transport. The peer sends `2probe` on it, receives `3probe`,
//! and moves the session to it with `5`. Until then, the session polls. A probe that fails does not affect the session.
//!
//! | state | input | next state | action |
//! |---|---|---|---|
//! | Idle | LinkUp | Probing | Begin |
//! | Idle | Probe | Idle | Ignore |
//! | Idle | Upgrade | Idle | Ignore |
//! | Idle | Other | Idle | Ignore |
//! | Idle | LinkDown | Idle | Ignore |
//! | Idle | Timeout | Idle | Ignore |
//! | Idle | SessionClosed | Over | Ignore |
//! | Probing | LinkUp | Probing | RefuseLink |
//! | Probing | Probe | Probed | Answer |
//! | Probing | Upgrade | Over | Switch |
//! | Probing | Other | Idle | CloseProbe |
//! | Probing | LinkDown | Idle | Forget |
//! | Probing | Timeout | Idle | CloseProbe |
//! | Probing | SessionClosed | Over | CloseProbe |
//! | Probed | LinkUp | Probed | RefuseLink |
//! | Probed | Probe | Probed | Answer |
//! | Probed | Upgrade | Over | Switch |
//! | Probed | Other | Idle | CloseProbe |
//! | Probed | LinkDown | Idle | Forget |
//! | Probed | Timeout | Idle | CloseProbe |
//! | Probed | SessionClosed | Over | CloseProbe |
//! | Over | LinkUp | Over | RefuseLink |
//! | Over | Probe | Over | Ignore |
//! | Over | Upgrade | Over | Ignore |
//! | Over | Other | Over | Ignore |
//! | Over | LinkDown | Over | Ignore |
//! | Over | Timeout | Over | Ignore |
//! | Over | SessionClosed | Over | Ignore |
//!
//! As in the reference, a `5` without a `2probe` before it also moves the session. Some clients upgrade like this (elephant.io,
//! socket.io-client-csharp).
//!
//! Source: engine.io `lib/socket.ts`, `maybeUpgrade`. The tests cover every row of the table.

use crate::id::LinkId;
use crate::link::Link;

/// The upgrade of one session: its state and the probe.
#[cfg_attr(feature = "testkit", derive(Clone, Hash))]
#[derive(Debug)]
pub(super) struct Upgrade {
    state: State,
    probe: Option<Link>,
}

impl Upgrade {
    pub(super) const fn new() -> Self {
        Self { state: State::Idle, probe: None }
    }

    /// Applies one row of the table. Returns the action, and the probe if it no longer is one.
    pub(super) fn handle(&mut self, input: Input) -> (Action, Option<Link>) {
        let (state, action) = next(self.state, input);
        self.state = state;
        let ends = matches!(action, Action::CloseProbe | Action::Forget | Action::Switch);
        (action, if ends { self.probe.take() } else { None })
    }

    /// Keeps a link as the probe, after [`Action::Begin`].
    pub(super) fn begin(&mut self, probe: Link) {
        self.probe = Some(probe);
    }

    #[inline]
    pub(super) const fn probe(&self) -> Option<&Link> {
        self.probe.as_ref()
    }

    #[inline]
    pub(super) const fn probe_mut(&mut self) -> Option<&mut Link> {
        self.probe.as_mut()
    }

    pub(super) fn is_probe(&self, id: LinkId) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.id() == id)
    }
}

/// The state of an upgrade.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No probe exists.
    Idle,
    /// The probe is up, and has not sent `2probe` yet.
    Probing,
    /// The probe was answered with `3probe`. Until its `5`, held GETs are released every 100 ms.
    Probed,
    /// The session was upgraded or has ended. No further upgrade is possible.
    Over,
}

/// An input of an upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// A link came up that is neither the transport nor the probe.
    LinkUp,
    /// `2probe` on the probe.
    Probe,
    /// `5` on the probe.
    Upgrade,
    /// Anything else on the probe.
    Other,
    /// The probe went down.
    LinkDown,
    /// The upgrade timed out.
    Timeout,
    /// The session ended.
    SessionClosed,
}

/// What the session does after an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Nothing.
    Ignore,
    /// Keep the link as the probe, and start the upgrade timeout.
    Begin,
    /// Close the new link.
    RefuseLink,
    /// Send `3probe`, and start releasing held GETs.
    Answer,
    /// Close the probe.
    CloseProbe,
    /// Drop the probe, which went down.
    Forget,
    /// Make the probe the transport.
    Switch,
}

/// One row of the table: state, input, next state, action.
type Row = (State, Input, State, Action);

/// Every state with every input.
const TABLE: [Row; 28] = [
    (State::Idle, Input::LinkUp, State::Probing, Action::Begin),
    (State::Idle, Input::Probe, State::Idle, Action::Ignore),
    (State::Idle, Input::Upgrade, State::Idle, Action::Ignore),
    (State::Idle, Input::Other, State::Idle, Action::Ignore),
    (State::Idle, Input::LinkDown, State::Idle, Action::Ignore),
    (State::Idle, Input::Timeout, State::Idle, Action::Ignore),
    (State::Idle, Input::SessionClosed, State::Over, Action::Ignore),
    (State::Probing, Input::LinkUp, State::Probing, Action::RefuseLink),
    (State::Probing, Input::Probe, State::Probed, Action::Answer),
    (State::Probing, Input::Upgrade, State::Over, Action::Switch),
    (State::Probing, Input::Other, State::Idle, Action::CloseProbe),
    (State::Probing, Input::LinkDown, State::Idle, Action::Forget),
    (State::Probing, Input::Timeout, State::Idle, Action::CloseProbe),
    (State::Probing, Input::SessionClosed, State::Over, Action::CloseProbe),
    (State::Probed, Input::LinkUp, State::Probed, Action::RefuseLink),
    (State::Probed, Input::Probe, State::Probed, Action::Answer),
    (State::Probed, Input::Upgrade, State::Over, Action::Switch),
    (State::Probed, Input::Other, State::Idle, Action::CloseProbe),
    (State::Probed, Input::LinkDown, State::Idle, Action::Forget),
    (State::Probed, Input::Timeout, State::Idle, Action::CloseProbe),
    (State::Probed, Input::SessionClosed, State::Over, Action::CloseProbe),
    (State::Over, Input::LinkUp, State::Over, Action::RefuseLink),
    (State::Over, Input::Probe, State::Over, Action::Ignore),
    (State::Over, Input::Upgrade, State::Over, Action::Ignore),
    (State::Over, Input::Other, State::Over, Action::Ignore),
    (State::Over, Input::LinkDown, State::Over, Action::Ignore),
    (State::Over, Input::Timeout, State::Over, Action::Ignore),
    (State::Over, Input::SessionClosed, State::Over, Action::Ignore),
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    const STATES: [State; 4] = [State::Idle, State::Probing, State::Probed, State::Over];
    const INPUTS: [Input; 7] = [
        Input::LinkUp,
        Input::Probe,
        Input::Upgrade,
        Input::Other,
        Input::LinkDown,
        Input::Timeout,
        Input::SessionClosed,
    ];

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
    fn only_the_upgrade_packet_of_a_probe_moves_the_session_and_nothing_leaves_the_end() {
        for (from, input, to, action) in TABLE {
            if action == Action::Switch {
                assert!(matches!(from, State::Probing | State::Probed) && input == Input::Upgrade);
            }
            if from == State::Over {
                assert_eq!(to, State::Over);
            }
            // A probe that is not kept was closed, went down, or became the transport.
            let held = matches!(from, State::Probing | State::Probed);
            let keeps = matches!(to, State::Probing | State::Probed);
            if held && !keeps {
                assert!(matches!(action, Action::CloseProbe | Action::Forget | Action::Switch), "{from:?} {input:?}");
            }
        }
    }
}
