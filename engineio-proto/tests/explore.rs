//! Explores every interleaving of a small world, and checks that the exploration finds three deliberate bugs.

#![allow(clippy::panic, clippy::expect_used, reason = "helpers of tests may panic")]

use std::collections::VecDeque;

use engineio_proto::server::{Input, ServerMachine, Session, Transmit, Transport};
use engineio_proto::testkit::ClientBehavior;
use engineio_proto::testkit::explore::{Counterexample, Explorable, Explored, Fault, Plan, explore, replay};
use engineio_proto::{Event, Frame, Instant, LinkId, Machine, Message, PacketType, RequestId, SendError};

fn explored(plan: &Plan) -> Explored {
    let explored = match explore(plan, |session| session) {
        Ok(explored) => explored,
        Err(counterexample) => panic!("{counterexample}"),
    };
    println!("{:?}: {explored}", plan.fault);
    explored
}

#[test]
fn no_interleaving_of_upgrade_messages_heartbeat_close_and_a_loss_violates_an_invariant() {
    let explored = explored(&Plan { deadlines: 2, fault: Some(Fault::RequestIsLost), ..Plan::default() });
    assert!(explored.states >= 100_000, "{explored}");
}

/// A client of revision 3, which sends the pings.
fn revision_3(plan: Plan) -> Plan {
    let mut config = plan.config;
    config.allow_eio3 = true;
    Plan { config, behavior: ClientBehavior { revision_3: true, ..plan.behavior }, ..plan }
}

#[test]
fn no_interleaving_in_revision_3_breaks_an_invariant() {
    let plan = revision_3(Plan { deadlines: 2, fault: Some(Fault::RequestIsLost), ..Plan::default() });
    assert!(explored(&plan).states >= 100_000);
    for fault in [Fault::RequestIsCut, Fault::LinkBreaks, Fault::LinkIsLost] {
        let plan = revision_3(Plan { messages_up: 0, deadlines: 1, fault: Some(fault), ..Plan::default() });
        assert!(explored(&plan).states >= 10_000);
    }
    let late = Some(Fault::NetworkIsSlow);
    let plan = revision_3(Plan { messages_up: 0, messages_down: 0, deadlines: 2, fault: late, ..Plan::default() });
    assert!(explored(&plan).states >= 10_000);
}

#[test]
fn no_other_fault_at_any_time_violates_an_invariant() {
    for fault in [Fault::RequestIsCut, Fault::LinkBreaks, Fault::LinkIsLost] {
        let plan = Plan { messages_up: 0, deadlines: 1, fault: Some(fault), ..Plan::default() };
        assert!(explored(&plan).states >= 10_000);
    }
    let late = Some(Fault::NetworkIsSlow);
    let plan = Plan { messages_up: 0, messages_down: 0, deadlines: 2, fault: late, ..Plan::default() };
    assert!(explored(&plan).states >= 10_000);
}

#[test]
fn packets_on_the_link_never_overtake_a_post_that_is_still_in_flight() {
    // Without a probe, it does not have to wait for its GET either.
    let behavior = ClientBehavior { upgrades_during_post: true, skips_probe: true, ..ClientBehavior::default() };
    let plan = Plan { behavior, messages_up: 2, messages_down: 0, deadlines: 1, ..Plan::default() };
    assert!(explored(&plan).states >= 10_000);
}

/// The bug of a [`Buggy`] session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Bug {
    /// Drops the queued messages when the session moves to a link.
    LosesQueueAtUpgrade,
    /// Answers the last GET twice when the session ends.
    AnswersTwice,
    /// Drops all deadlines when the session moves to a link while a pong is pending.
    ForgetsDeadline,
}

/// A session with a bug.
#[derive(Clone, Hash, Debug)]
struct Buggy {
    session: Session,
    bug: Bug,
    /// Transmits to return before those of the session.
    ahead: VecDeque<Transmit>,
    /// The last GET.
    last_poll: Option<RequestId>,
    /// Whether a ping is unanswered.
    pinged: bool,
    forgetful: bool,
}

impl Buggy {
    fn new(session: Session, bug: Bug) -> Self {
        Self { session, bug, ahead: VecDeque::new(), last_poll: None, pinged: false, forgetful: false }
    }
}

impl Explorable for Buggy {
    fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.session.send(message)
    }
}

impl ServerMachine for Buggy {
    fn session(&self) -> &Session {
        &self.session
    }
}

impl Machine for Buggy {
    type Event = Event;
    type Input = Input;
    type Transmit = Transmit;

    fn handle(&mut self, now: Instant, input: Input) {
        let polled = self.session.transport() == Transport::Polling;
        match &input {
            Input::Get { request } => self.last_poll = Some(*request),
            Input::Body { body, .. } if body.starts_with(b"3") => self.pinged = false,
            Input::LinkMessage { message, .. } if *message == Message::from("3") => self.pinged = false,
            _ => {}
        }
        self.session.handle(now, input);
        if polled && self.session.transport() != Transport::Polling {
            self.forgetful = self.bug == Bug::ForgetsDeadline && self.pinged;
            if self.bug == Bug::LosesQueueAtUpgrade {
                let queued = std::iter::from_fn(|| self.session.poll_transmit());
                let is_message = |frame: &Frame| frame.packet_type() == PacketType::Message;
                self.ahead = queued
                    .filter(|transmit| !matches!(transmit, Transmit::Link { frame, .. } if is_message(frame)))
                    .collect();
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    fn close(&mut self, now: Instant) {
        self.session.close(now);
    }

    fn discard(&mut self, now: Instant) {
        self.session.discard(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.ahead.pop_front().or_else(|| self.session.poll_transmit());
        self.pinged |= match &transmit {
            Some(Transmit::Reply { response, .. }) => response.body().starts_with(b"2"),
            Some(Transmit::Link { frame, .. }) => *frame == Frame::PING,
            _ => false,
        };
        if let Some(Transmit::Reply { request, .. }) = &transmit
            && self.bug == Bug::AnswersTwice
            && self.session.is_closed()
            && self.last_poll.take() == Some(*request)
        {
            self.ahead.extend(transmit.clone());
        }
        transmit
    }

    fn poll_control(&mut self) -> Option<Transmit> {
        self.session.poll_control()
    }

    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.session.poll_frames(link, write);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    fn has_events(&self) -> bool {
        self.session.has_events()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout().filter(|_| !self.forgetful)
    }

    fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    fn is_writable(&self) -> bool {
        self.session.is_writable()
    }

    fn buffered_bytes(&self) -> usize {
        self.session.buffered_bytes()
    }

    fn is_drained(&self) -> bool {
        self.ahead.is_empty() && self.session.is_drained()
    }
}

/// Finds the shortest path to this bug, and checks that it can be replayed.
fn found(bug: Bug, plan: &Plan) -> Counterexample {
    let counterexample = *explore(plan, |session| Buggy::new(session, bug)).expect_err("the bug was not found");
    println!("{counterexample}");
    let replayed = replay(plan, |session| Buggy::new(session, bug), &counterexample.steps);
    assert_eq!(replayed, Err(Box::new(counterexample.clone())));
    // The bug is in the session, not in the simulated world.
    assert!(replay(plan, |session| session, &counterexample.steps).is_ok());
    counterexample
}

#[test]
fn a_queue_that_is_lost_at_the_upgrade_is_found() {
    let counterexample = found(Bug::LosesQueueAtUpgrade, &Plan { messages_up: 0, ..Plan::default() });
    assert_eq!(counterexample.violation.invariant, "I10");
}

#[test]
fn a_second_answer_is_found() {
    let counterexample = found(Bug::AnswersTwice, &Plan { messages_up: 0, messages_down: 0, ..Plan::default() });
    assert_eq!(counterexample.violation.invariant, "I4");
}

#[test]
fn a_deadline_that_is_forgotten_is_found() {
    let fault = Some(Fault::LinkIsLost);
    let plan = Plan { messages_up: 0, messages_down: 0, fault, ..Plan::default() };
    let counterexample = found(Bug::ForgetsDeadline, &plan);
    assert_eq!(counterexample.violation.invariant, "I5");
}
