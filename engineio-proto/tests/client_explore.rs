//! Explores every interleaving of a client's machine and a server's in a small world, and checks that the exploration finds four deliberate
//! bugs of a client.

#![allow(clippy::panic, clippy::expect_used, reason = "helpers of tests may panic")]

use std::collections::VecDeque;

use engineio_proto::client::{Client, ClientMachine, Input, Method, Transmit};
use engineio_proto::server::Transport;
use engineio_proto::testkit::explore::{Counterexample, Explored, Fault, Plan, explore_client, replay_client};
use engineio_proto::testkit::{ClientBehavior, MessageMachine};
use engineio_proto::{Event, Frame, Instant, LinkId, Machine, Message, PacketType, SendError};

fn explored(plan: &Plan) -> Explored {
    let explored = match explore_client(plan, |client| client) {
        Ok(explored) => explored,
        Err(counterexample) => panic!("{counterexample}"),
    };
    println!("{:?}: {explored}", plan.fault);
    explored
}

/// A client of revision 3, which sends the pings.
fn revision_3(mut plan: Plan) -> Plan {
    plan.config.allow_eio3 = true;
    plan.behavior = ClientBehavior { revision_3: true, ..plan.behavior };
    plan
}

#[test]
fn no_interleaving_of_upgrade_messages_heartbeat_and_close_violates_an_invariant() {
    let explored = explored(&Plan { deadlines: 2, ..Plan::default() });
    assert!(explored.states >= 50_000, "{explored}");
}

#[test]
fn no_interleaving_in_revision_3_violates_an_invariant() {
    let explored = explored(&revision_3(Plan { deadlines: 2, messages_down: 0, ..Plan::default() }));
    assert!(explored.states >= 10_000, "{explored}");
}

#[test]
fn no_fault_of_a_request_violates_an_invariant() {
    for fault in [Fault::RequestIsCut, Fault::RequestIsLost] {
        let plan = Plan { messages_down: 0, deadlines: 1, fault: Some(fault), ..Plan::default() };
        assert!(explored(&plan).states >= 10_000);
    }
}

#[test]
fn no_fault_of_a_link_violates_an_invariant() {
    for fault in [Fault::LinkBreaks, Fault::LinkIsLost] {
        let plan = Plan { messages_up: 0, deadlines: 1, fault: Some(fault), ..Plan::default() };
        assert!(explored(&plan).states >= 10_000);
    }
}

#[test]
fn no_deadline_that_fires_early_violates_an_invariant() {
    let late = Some(Fault::NetworkIsSlow);
    let plan = Plan { messages_up: 1, messages_down: 0, deadlines: 2, fault: late, ..Plan::default() };
    assert!(explored(&plan).states >= 10_000);
}

/// The bug of a [`Buggy`] client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Bug {
    /// Drops the queued messages when the session moves to a link.
    LosesQueueAtUpgrade,
    /// Posts the last packets again when the session moves to a link.
    PostsTwice,
    /// Does not cancel its GET when the session ends.
    ForgetsGet,
    /// Drops all deadlines when the session moves to a link.
    ForgetsDeadline,
}

/// A client with a bug.
#[derive(Clone, Hash, Debug)]
struct Buggy {
    client: Client,
    bug: Bug,
    /// Transmits to return before those of the client.
    ahead: VecDeque<Transmit>,
    /// The last message that was posted.
    posted: Option<Message>,
    forgetful: bool,
}

impl Buggy {
    fn new(client: Client, bug: Bug) -> Self {
        Self { client, bug, ahead: VecDeque::new(), posted: None, forgetful: false }
    }

    /// The client has moved to a link.
    fn upgraded(&mut self) {
        match self.bug {
            Bug::ForgetsDeadline => self.forgetful = true,
            Bug::LosesQueueAtUpgrade => {
                let queued = std::iter::from_fn(|| self.client.poll_transmit());
                let is_message = |frame: &Frame| frame.packet_type() == PacketType::Message;
                self.ahead = queued
                    .filter(|transmit| !matches!(transmit, Transmit::Link { frame, .. } if is_message(frame)))
                    .collect();
            }
            Bug::PostsTwice => drop(self.posted.take().map(|message| self.client.send(message))),
            Bug::ForgetsGet => {}
        }
    }
}

impl ClientMachine for Buggy {
    fn client(&self) -> &Client {
        &self.client
    }
}

impl MessageMachine for Buggy {
    fn open(&mut self, now: Instant) {
        self.client.open(now);
    }

    fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.client.send(message)
    }
}

impl Machine for Buggy {
    type Event = Event;
    type Input = Input;
    type Transmit = Transmit;

    fn handle(&mut self, now: Instant, input: Input) {
        let polled = self.client.transport() == Transport::Polling;
        self.client.handle(now, input);
        if polled && self.client.transport() != Transport::Polling {
            self.upgraded();
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    fn close(&mut self, now: Instant) {
        self.client.close(now);
    }

    fn discard(&mut self, now: Instant) {
        self.client.discard(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.ahead.pop_front().or_else(|| self.client.poll_transmit())?;
            match &transmit {
                Transmit::Cancel { .. } if self.bug == Bug::ForgetsGet => continue,
                Transmit::Request { method: Method::Post { body, .. }, .. } => {
                    let text = body.strip_prefix(b"4").and_then(|text| std::str::from_utf8(text).ok());
                    self.posted = text.map(Message::from);
                }
                _ => {}
            }
            return Some(transmit);
        }
    }

    fn poll_control(&mut self) -> Option<Transmit> {
        self.client.poll_control()
    }

    fn poll_frames(&mut self, link: LinkId, write: impl FnMut(&Frame) -> bool) {
        self.client.poll_frames(link, write);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }

    fn has_events(&self) -> bool {
        self.client.has_events()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout().filter(|_| !self.forgetful)
    }

    fn wants_input(&self) -> bool {
        self.client.wants_input()
    }

    fn is_writable(&self) -> bool {
        self.client.is_writable()
    }

    fn buffered_bytes(&self) -> usize {
        self.client.buffered_bytes()
    }

    fn is_drained(&self) -> bool {
        self.ahead.is_empty() && self.client.is_drained()
    }
}

/// Finds the shortest path to this bug, and checks that it can be replayed.
fn found(bug: Bug, plan: &Plan) -> Counterexample {
    let counterexample = *explore_client(plan, |client| Buggy::new(client, bug)).expect_err("the bug was not found");
    println!("{counterexample}");
    let replayed = replay_client(plan, |client| Buggy::new(client, bug), &counterexample.steps);
    assert_eq!(replayed, Err(Box::new(counterexample.clone())));
    // The bug is in the client, not in the simulated world.
    assert!(replay_client(plan, |client| client, &counterexample.steps).is_ok());
    counterexample
}

#[test]
fn a_queue_that_is_lost_at_the_upgrade_is_found() {
    let counterexample = found(Bug::LosesQueueAtUpgrade, &Plan { messages_down: 0, ..Plan::default() });
    assert_eq!(counterexample.violation.invariant, "I10");
}

#[test]
fn a_message_that_is_sent_over_both_transports_is_found() {
    let counterexample = found(Bug::PostsTwice, &Plan { messages_down: 0, ..Plan::default() });
    assert_eq!(counterexample.violation.invariant, "I10");
}

#[test]
fn a_request_that_is_neither_awaited_nor_cancelled_is_found() {
    let counterexample = found(Bug::ForgetsGet, &Plan { messages_up: 0, messages_down: 0, ..Plan::default() });
    assert_eq!(counterexample.violation.invariant, "I4");
}

#[test]
fn a_deadline_that_is_forgotten_is_found() {
    let fault = Some(Fault::LinkIsLost);
    let plan = Plan { messages_up: 0, messages_down: 0, fault, ..Plan::default() };
    let counterexample = found(Bug::ForgetsDeadline, &plan);
    assert_eq!(counterexample.violation.invariant, "I5");
}
