//! Checks the invariants of a machine after every step of a simulation or of a fuzzer.
//!
//! [`Watched`] wraps a machine and passes every call on. It records the pending requests, the links that are up, and the deadlines that
//! the machine reports. The table in the docs of [`testkit`](super) explains the numbers of the invariants. Most of them are checked here,
//! in every run. Those that compare two runs use [`Watched::digest`], a hash of a run.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};

use alloc::vec::Vec;

use bytes::Bytes;

use crate::client;
use crate::config::Limits;
use crate::event::{Event, LinkDownCause, LinkKind};
use crate::http::ContentType;
use crate::id::{LinkId, RequestId};
use crate::machine::Machine;
use crate::message::Message;
use crate::packet::{Frame, PacketType};
use crate::server;
use crate::time::Instant;

/// A violated invariant or rule.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{invariant}: {detail}")]
#[non_exhaustive]
pub struct Violation {
    /// The name of the invariant, or of the rule of a scenario.
    pub invariant: &'static str,
    /// What was observed instead.
    pub detail: String,
}

impl Violation {
    /// A violation of this rule, with what was observed instead.
    #[must_use]
    pub const fn new(invariant: &'static str, detail: String) -> Self {
        Self { invariant, detail }
    }
}

/// The properties of an event that [`Watched`] needs.
pub trait WatchedEvent: fmt::Debug {
    /// Whether this is the last event of a machine.
    fn is_end(&self) -> bool;
    /// The payload that this event passes to the application, in bytes.
    fn payload(&self) -> usize;
}

impl WatchedEvent for Event {
    fn is_end(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn payload(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            _ => 0,
        }
    }
}

/// What an input or output means for the requests and links of a machine, of either end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// Nothing that is recorded.
    Other,
    /// A request began: the peer made it, or the machine asks for it, with a body of this many bytes.
    RequestBegan(RequestId, usize),
    /// The machine is done with a request: it answered it with a body of this many bytes, or cancels it.
    RequestEnded(RequestId, usize),
    /// The answer to a request was written.
    AnswerWritten(RequestId),
    /// A request ended without the machine: its connection was lost, or the peer answered.
    RequestLost(RequestId),
    /// The machine asks for a link.
    LinkWanted(LinkId),
    /// A link that the machine has asked for is up.
    LinkUp(LinkId),
    /// A link that the peer has made is up.
    LinkBegan(LinkId),
    /// A link went down.
    LinkLost(LinkId),
    /// A packet for a link. Whether it is a ping or pong.
    Packet(LinkId, bool),
    /// The machine closes a link.
    LinkEnded(LinkId),
    /// A message of this many bytes arrived on a link.
    Received(usize),
}

/// An input of a machine that [`Watched`] can watch.
pub trait WatchedInput: fmt::Debug + Sized {
    /// What the input means.
    fn fact(&self) -> Fact;
    /// Inputs that may arrive after the machine has ended.
    fn late() -> Vec<Self>;
}

/// An output of a machine that [`Watched`] can watch.
pub trait WatchedTransmit: fmt::Debug {
    /// What the output means.
    fn fact(&self) -> Fact;
    /// Whether a machine that has ended may return it, because of an input that arrived late.
    fn may_be_late(&self) -> bool;
}

fn received(message: &Message) -> Fact {
    Fact::Received(message.len())
}

fn packet(link: LinkId, frame: &Frame) -> Fact {
    Fact::Packet(link, matches!(frame.packet_type(), PacketType::Ping | PacketType::Pong))
}

impl WatchedInput for server::Input {
    fn fact(&self) -> Fact {
        match self {
            Self::LinkMessage { message, .. } => received(message),
            Self::Get { request } | Self::Post { request, .. } => Fact::RequestBegan(*request, 0),
            Self::Replied { request } => Fact::AnswerWritten(*request),
            Self::Aborted { request } => Fact::RequestLost(*request),
            Self::LinkUp { link, .. } => Fact::LinkBegan(*link),
            Self::LinkDown { link, .. } => Fact::LinkLost(*link),
            Self::Body { .. } | Self::BodyRejected { .. } | Self::LinkBytes { .. } => Fact::Other,
        }
    }

    fn late() -> Vec<Self> {
        let (get, post, link) = (RequestId(u64::MAX), RequestId(u64::MAX - 1), LinkId(u64::MAX));
        alloc::vec![
            Self::Get { request: get },
            Self::Post { request: post, content_type: ContentType::Text },
            Self::Body { request: post, body: Bytes::from_static(b"4late") },
            Self::LinkUp { link, kind: LinkKind::WebSocket },
            Self::LinkMessage { link, message: Message::from("4late") },
            Self::LinkDown { link, cause: LinkDownCause::Closed },
            Self::Replied { request: get },
            Self::Aborted { request: post },
        ]
    }
}

impl WatchedTransmit for server::Transmit {
    fn fact(&self) -> Fact {
        match self {
            Self::Reply { request, response } => Fact::RequestEnded(*request, response.body().len()),
            Self::Link { link, frame } => packet(*link, frame),
            Self::CloseLink { link } => Fact::LinkEnded(*link),
        }
    }

    fn may_be_late(&self) -> bool {
        match self {
            Self::Reply { response, .. } => response.status() == 400 && response.body().starts_with(br#"{"code":1,"#),
            Self::Link { .. } => false,
            Self::CloseLink { .. } => true,
        }
    }
}

impl WatchedInput for client::Input {
    fn fact(&self) -> Fact {
        match self {
            Self::LinkMessage { message, .. } => received(message),
            Self::Response { request, .. } | Self::Failed { request } => Fact::RequestLost(*request),
            Self::LinkUp { link } => Fact::LinkUp(*link),
            Self::LinkDown { link, .. } => Fact::LinkLost(*link),
            Self::LinkBytes { .. } => Fact::Other,
        }
    }

    fn late() -> Vec<Self> {
        let mut inputs = Vec::new();
        for id in 1..4 {
            let (request, link) = (RequestId(id), LinkId(id));
            let (content_type, body) = (ContentType::Text, Bytes::from_static(b"4late"));
            inputs.extend([
                Self::Response { request, status: 200, content_type, body },
                Self::Failed { request },
                Self::LinkUp { link },
                Self::LinkMessage { link, message: Message::from("4late") },
                Self::LinkBytes { link, chunk: Bytes::from_static(b"\x054late") },
                Self::LinkDown { link, cause: LinkDownCause::Closed },
            ]);
        }
        inputs
    }
}

impl WatchedTransmit for client::Transmit {
    fn fact(&self) -> Fact {
        match self {
            Self::Request { request, method: client::Method::Get, .. } => Fact::RequestBegan(*request, 0),
            Self::Request { request, method: client::Method::Post { body, .. }, .. } => {
                Fact::RequestBegan(*request, body.len())
            }
            Self::Cancel { request } => Fact::RequestEnded(*request, 0),
            Self::Connect { link, .. } => Fact::LinkWanted(*link),
            Self::Link { link, frame } => packet(*link, frame),
            Self::CloseLink { link } => Fact::LinkEnded(*link),
        }
    }

    fn may_be_late(&self) -> bool {
        false
    }
}

/// The state of a request or a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Status {
    /// The machine has asked for the link, and it is not up yet.
    Wanted,
    /// The request is pending, or the link is up.
    Open,
    /// The machine is done with the request, or has closed the link.
    Done,
    /// The request ended without the machine, or the link went down.
    Lost,
}

/// A machine whose inputs, commands and outputs are recorded and checked.
#[derive(Clone, Debug)]
pub struct Watched<M> {
    machine: M,
    limits: Limits,
    max_payload: usize,
    latest: Instant,
    requests: BTreeMap<RequestId, Status>,
    links: BTreeMap<LinkId, Status>,
    /// The size of the largest unit that was ever passed in to be sent, in bytes.
    largest_sent: usize,
    /// Bytes that the application has read since the last input: the machine buffered all of them.
    unread: usize,
    /// Bytes of the replies and bodies that were handed out, and are neither written nor answered nor lost.
    unwritten: BTreeMap<RequestId, usize>,
    /// Pings and pongs that the machine sent in a row, without an input in between.
    heartbeats: usize,
    ended: bool,
    /// How many more ends there are before the last one: a client was opened again before its end was polled.
    more_ends: usize,
    violation: Option<Violation>,
    /// A hash of everything that happened; `None` if the digest is not needed.
    digest: Option<Digest>,
    log: Option<String>,
}

impl<M: Machine<Event: WatchedEvent, Input: WatchedInput, Transmit: WatchedTransmit>> Watched<M> {
    /// Watches a new machine. With `log`, all inputs and outputs are recorded ([`Watched::log`]).
    pub fn new(machine: M, limits: Limits, max_payload: usize, log: bool) -> Self {
        let digest = Some(Digest(0xcbf2_9ce4_8422_2325));
        Self { digest, log: log.then(String::new), ..Self::without_history(machine, limits, max_payload) }
    }

    /// Watches a new machine, and keeps only the state that the invariants need. The log is empty, and the digest is 0.
    pub fn without_history(machine: M, limits: Limits, max_payload: usize) -> Self {
        Self {
            machine,
            limits,
            max_payload,
            latest: Instant::ZERO,
            requests: BTreeMap::new(),
            links: BTreeMap::new(),
            largest_sent: 0,
            unread: 0,
            unwritten: BTreeMap::new(),
            heartbeats: 0,
            ended: false,
            more_ends: 0,
            violation: None,
            digest: None,
            log: None,
        }
    }

    /// The machine, read-only.
    pub const fn get(&self) -> &M {
        &self.machine
    }

    /// Runs a command that needs no time. `size` is the largest number of bytes that it may queue, including what the machine adds to each
    /// frame. It is 0 for a command that sends nothing.
    pub fn command<R: fmt::Debug>(&mut self, size: usize, command: impl FnOnce(&mut M) -> R) -> R {
        self.largest_sent = self.largest_sent.max(size);
        let result = command(&mut self.machine);
        self.record(format_args!("command: {result:?}"));
        result
    }

    /// Runs a command that needs the current time. See [`Watched::command`].
    pub fn timed_command<R: fmt::Debug>(
        &mut self,
        now: Instant,
        size: usize,
        command: impl FnOnce(&mut M, Instant) -> R,
    ) -> R {
        self.latest = self.latest.max(now);
        self.command(size, |machine| command(machine, now))
    }

    /// Records that a command has opened a machine again, after its end.
    pub const fn opened_again(&mut self) {
        if self.ended {
            self.ended = false;
        } else {
            self.more_ends = self.more_ends.saturating_add(1);
        }
    }

    /// [`Machine::handle`](crate::Machine::handle).
    pub fn handle(&mut self, now: Instant, input: M::Input) {
        self.latest = self.latest.max(now);
        self.record(format_args!("{now:?} <- {input:?}"));
        match input.fact() {
            // The driver limits the messages of a link. The machine accepts a frame of any size.
            Fact::Received(bytes) => self.max_payload = self.max_payload.max(bytes),
            Fact::RequestBegan(request, _) => drop(self.requests.insert(request, Status::Open)),
            Fact::AnswerWritten(request) => drop(self.unwritten.remove(&request)),
            Fact::RequestLost(request) => {
                self.unwritten.remove(&request);
                if let Some(status) = self.requests.get_mut(&request) {
                    *status = Status::Lost;
                }
            }
            Fact::LinkBegan(link) => drop(self.links.insert(link, Status::Open)),
            Fact::LinkUp(link) => {
                if let Some(status @ Status::Wanted) = self.links.get_mut(&link) {
                    *status = Status::Open;
                }
            }
            Fact::LinkLost(link) => {
                if let Some(status) = self.links.get_mut(&link) {
                    *status = Status::Lost;
                }
            }
            _ => {}
        }
        self.machine.handle(now, input);
        self.unread = 0;
        self.heartbeats = 0;
    }

    /// [`Machine::handle_timeout`](crate::Machine::handle_timeout). Checks I2 and I3: what is due fires, and nothing else does.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        let before = self.machine.poll_timeout();
        self.heartbeats = 0;
        self.machine.handle_timeout(now);
        let after = self.machine.poll_timeout();
        self.record(format_args!("{now:?} timeout: {before:?}, then {after:?}"));
        let due = before.is_some_and(|deadline| deadline <= self.latest);
        if after.is_some_and(|deadline| deadline <= self.latest) {
            self.record_violation("I2", format!("{after:?} is due after handle_timeout({now:?})"));
        }
        if due && before == after {
            self.record_violation("I3", format!("{before:?} was due, and handle_timeout({now:?}) fired nothing"));
        }
        if !due && before != after {
            self.record_violation("I3", format!("nothing was due at {now:?}, and {before:?} became {after:?}"));
        }
    }

    /// [`Machine::poll_transmit`](crate::Machine::poll_transmit). Checks I4 (one answer for each request, no end of a request that has
    /// ended, and packets only for links that are up), and I16 for pings and pongs.
    pub fn poll_transmit(&mut self) -> Option<M::Transmit> {
        let transmit = self.machine.poll_transmit()?;
        self.record(format_args!("-> {transmit:?}"));
        match transmit.fact() {
            Fact::RequestBegan(request, bytes) => {
                self.unwritten.insert(request, bytes);
                if let Some(status) = self.requests.insert(request, Status::Open) {
                    self.record_violation("I4", format!("{request:?} begins, but it is {status:?}"));
                }
            }
            Fact::RequestEnded(request, bytes) => match self.requests.insert(request, Status::Done) {
                Some(Status::Open) if bytes > 0 => drop(self.unwritten.insert(request, bytes)),
                Some(Status::Open) => drop(self.unwritten.remove(&request)),
                // The answer was queued before the request was lost. It leads nowhere.
                Some(Status::Lost) => {}
                status => self.record_violation("I4", format!("{request:?} is ended, but it is {status:?}")),
            },
            Fact::Packet(link, is_heartbeat) => {
                self.heartbeats = if is_heartbeat { self.heartbeats.saturating_add(1) } else { 0 };
                // One ping and one answer to a probe. More would be a queue without a limit.
                if self.heartbeats > 2 {
                    self.record_violation("I16", format!("{} pings and pongs were queued", self.heartbeats));
                }
                if self.links.get(&link) != Some(&Status::Open) {
                    self.record_violation("I4", format!("a packet for {link:?}, which is {:?}", self.links.get(&link)));
                }
            }
            Fact::LinkWanted(link) => {
                if let Some(status) = self.links.insert(link, Status::Wanted) {
                    self.record_violation("I4", format!("{link:?} begins, but it is {status:?}"));
                }
            }
            Fact::LinkEnded(link) => match self.links.insert(link, Status::Done) {
                Some(Status::Wanted | Status::Open | Status::Lost) => {}
                status => self.record_violation("I4", format!("{link:?} is closed, but it is {status:?}")),
            },
            _ => {}
        }
        Some(transmit)
    }

    /// [`Machine::poll_event`](crate::Machine::poll_event). Checks I5 (no event after the last one) and I9.
    pub fn poll_event(&mut self) -> Option<M::Event> {
        let event = self.machine.poll_event()?;
        self.record(format_args!("event {event:?}"));
        if self.ended {
            self.record_violation("I5", format!("{event:?} after the last event"));
        }
        if event.is_end() {
            self.ended = self.more_ends == 0;
            self.more_ends = self.more_ends.saturating_sub(1);
        }
        self.unread = self.unread.saturating_add(event.payload());
        // One message, and the packets of one body, may be buffered beyond the limit.
        let allowed = self.limits.max_inbound.saturating_add(self.max_payload.saturating_mul(2));
        if self.unread > allowed {
            self.record_violation("I9", format!("{} bytes were unread, {allowed} are allowed", self.unread));
        }
        Some(event)
    }

    /// Whether the last event was polled.
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Checks everything that must hold at any time.
    ///
    /// # Errors
    /// The first violation since the machine was wrapped.
    pub fn check(&self) -> Result<(), Violation> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let fail = |invariant, detail| Err(Violation::new(invariant, detail));
        // A unit may exceed the limit if the queue is empty, and a ping always may. One ping may be queued, and one may be in each
        // unwritten reply.
        let pings = self.unwritten.len().saturating_add(1).saturating_mul(64);
        let allowed = self.limits.max_outbound.saturating_add(self.largest_sent).saturating_add(pings);
        if self.machine.buffered_bytes() > allowed {
            return fail("I9", format!("{} bytes are queued, {allowed} are allowed", self.machine.buffered_bytes()));
        }
        // Base64 adds a third. Notices of the end or of a fault are small.
        let handed_out: usize = self.unwritten.values().sum();
        let most = allowed.saturating_mul(4).div_ceil(3).saturating_add(self.unwritten.len().saturating_mul(400));
        if handed_out > most && !self.ended {
            return fail("I16", format!("{handed_out} bytes of replies are unwritten, {most} are allowed"));
        }
        if self.machine.is_drained() {
            if !self.ended {
                return fail("I5", "drained before the last event was polled".into());
            }
            if let Some(deadline) = self.machine.poll_timeout() {
                return fail("I5", format!("drained, with a deadline at {deadline:?}"));
            }
            if let Some((request, _)) = self.requests.iter().find(|(_, status)| **status == Status::Open) {
                return fail("I4", format!("drained, and {request:?} is still pending"));
            }
            let is_up = |status: &Status| matches!(status, Status::Open | Status::Wanted);
            if let Some((link, _)) = self.links.iter().find(|(_, status)| is_up(status)) {
                return fail("I4", format!("drained, and {link:?} is still up"));
            }
        }
        Ok(())
    }

    /// [`Watched::check`], to be called when both polls have just returned `None`. Also checks that a machine that has ended is drained.
    ///
    /// # Errors
    /// The first violation since the machine was wrapped.
    pub fn check_settled(&self) -> Result<(), Violation> {
        self.check()?;
        if self.ended && !self.machine.is_drained() {
            return Err(Violation::new("I5", "ended and polled empty, but not drained".into()));
        }
        Ok(())
    }

    /// Checks a machine at the end of a run. A server's machine that has ended still answers late requests and links, and does nothing else. A
    /// client's does nothing.
    ///
    /// # Errors
    /// The first violation since the machine was wrapped.
    pub fn check_after_end(&mut self, now: Instant) -> Result<(), Violation> {
        for input in M::Input::late() {
            self.handle(now, input);
            while let Some(transmit) = self.poll_transmit() {
                if !transmit.may_be_late() {
                    self.record_violation("I5", format!("{transmit:?} after the end"));
                }
            }
            if self.poll_event().is_some() {
                self.record_violation("I5", "an event after the end".into());
            }
            self.check_settled()?;
        }
        Ok(())
    }

    /// The number of requests that are pending.
    pub fn requests_waiting(&self) -> usize {
        self.requests.values().filter(|status| **status == Status::Open).count()
    }

    /// A hash of all inputs and outputs. It is equal for two runs only if they were the same.
    pub fn digest(&self) -> u64 {
        self.digest.as_ref().map_or(0, |digest| digest.0)
    }

    /// All inputs and outputs, one per line. Empty unless logging was requested.
    pub fn log(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    fn record(&mut self, line: fmt::Arguments<'_>) {
        // Neither write can fail.
        if let Some(digest) = &mut self.digest {
            let _ = writeln!(digest, "{line}");
        }
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{line}");
        }
    }

    fn record_violation(&mut self, invariant: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { invariant, detail });
    }
}

/// Hashes the state without its history: digest and log are left out.
impl<M: Hash> Hash for Watched<M> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // This pattern has no `..`, so that a new field must be listed here.
        let Self {
            machine,
            limits: _,
            max_payload,
            latest,
            requests,
            links,
            largest_sent,
            unread,
            unwritten,
            heartbeats,
            ended,
            more_ends,
            violation,
            digest: _,
            log: _,
        } = self;
        machine.hash(hasher);
        (max_payload, latest, requests, links, largest_sent).hash(hasher);
        (unread, unwritten, heartbeats, ended, more_ends, violation).hash(hasher);
    }
}

/// An FNV-1a hash of the text that is written to it.
#[derive(Clone, Debug)]
struct Digest(u64);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// Numbered messages in one direction, for I10: each arrives once, and in order.
#[derive(Clone, Hash, Debug)]
pub struct Numbered {
    direction: &'static str,
    sent: u64,
    received: u64,
    gaps: bool,
}

impl Numbered {
    /// Counts the messages of one direction, whose name appears in errors.
    #[must_use]
    pub const fn new(direction: &'static str) -> Self {
        Self { direction, sent: 0, received: 0, gaps: false }
    }

    /// The next message to send, of about `size` bytes, text or binary. Call [`Numbered::count_sent`] once it has been accepted.
    #[must_use]
    pub fn next_message(&self, size: usize, binary: bool) -> Message {
        let number = self.sent;
        let text = format!("{number}:{:.<size$}", "");
        if binary { Message::Binary(text.into_bytes().into()) } else { Message::Text(text.into()) }
    }

    /// Records that the message was accepted for sending.
    pub const fn count_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// Records that a message arrived.
    ///
    /// # Errors
    /// A violation of I10 if it is not the next message.
    pub fn receive(&mut self, message: &Message) -> Result<(), Violation> {
        let bytes: &[u8] = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        let number = bytes.split(|byte| *byte == b':').next().and_then(|digits| core::str::from_utf8(digits).ok());
        match number.and_then(|digits| digits.parse::<u64>().ok()) {
            Some(number) if number == self.received || (self.gaps && number > self.received) => {
                self.received = number.saturating_add(1);
                Ok(())
            }
            _ => {
                let detail = format!("{}: expected {}, got {number:?}", self.direction, self.received);
                Err(Violation::new("I10", detail))
            }
        }
    }

    /// Allows messages to be missing from now on. They must still arrive in order, and none twice.
    pub const fn allow_gaps(&mut self) {
        self.gaps = true;
    }

    /// The number of messages that were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of messages that have arrived; with gaps, the number of the next one.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Whether all messages have arrived.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.sent == self.received
    }
}
