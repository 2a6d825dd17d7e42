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

use crate::config::Limits;
use crate::event::Event;
use crate::id::{LinkId, RequestId};
use crate::message::Message;
use crate::packet::PacketType;
use crate::server::{Input, ServerMachine, Transmit};
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

/// The state of a request or a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Status {
    /// The request is pending, or the link is up.
    Open,
    /// The machine has answered the request, or has closed the link.
    Done,
    /// The request was aborted, or the link went down.
    Aborted,
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
    /// Bytes of the replies that were handed out, and are neither written nor aborted.
    unwritten: BTreeMap<RequestId, usize>,
    /// Pings and pongs that the machine sent in a row, without an input in between.
    heartbeats: usize,
    ended: bool,
    violation: Option<Violation>,
    /// A hash of everything that happened; `None` if the digest is not needed.
    digest: Option<Digest>,
    log: Option<String>,
}

impl<M: ServerMachine<Event: WatchedEvent>> Watched<M> {
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

    /// [`Machine::handle`](crate::Machine::handle).
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.latest = self.latest.max(now);
        self.record(format_args!("{now:?} <- {input:?}"));
        match &input {
            // The driver limits the messages of a link. The machine accepts a frame of any size.
            Input::LinkMessage { message: Message::Text(text), .. } => {
                self.max_payload = self.max_payload.max(text.len())
            }
            Input::LinkMessage { message: Message::Binary(data), .. } => {
                self.max_payload = self.max_payload.max(data.len());
            }
            Input::Get { request } | Input::Post { request, .. } => {
                self.requests.insert(*request, Status::Open);
            }
            Input::Replied { request } => drop(self.unwritten.remove(request)),
            Input::Aborted { request } => {
                self.unwritten.remove(request);
                if let Some(status) = self.requests.get_mut(request) {
                    *status = Status::Aborted;
                }
            }
            Input::LinkUp { link, .. } => {
                self.links.insert(*link, Status::Open);
            }
            Input::LinkDown { link, .. } => {
                self.links.insert(*link, Status::Aborted);
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

    /// [`Machine::poll_transmit`](crate::Machine::poll_transmit). Checks I4 (one answer for each request, and packets only for links
    /// that are up), and I16 for pings and pongs.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.machine.poll_transmit()?;
        self.record(format_args!("-> {transmit:?}"));
        match &transmit {
            Transmit::Reply { request, response } => match self.requests.insert(*request, Status::Done) {
                Some(Status::Open) => drop(self.unwritten.insert(*request, response.body().len())),
                // The answer was queued before the request was aborted. It leads nowhere.
                Some(Status::Aborted) => {}
                status => self.record_violation("I4", format!("{request:?} is answered, but it is {status:?}")),
            },
            Transmit::Link { link, frame } => {
                let is_heartbeat = matches!(frame.packet_type(), PacketType::Ping | PacketType::Pong);
                self.heartbeats = if is_heartbeat { self.heartbeats.saturating_add(1) } else { 0 };
                // One ping and one answer to a probe. More would be a queue without a limit.
                if self.heartbeats > 2 {
                    self.record_violation("I16", format!("{} pings and pongs were queued", self.heartbeats));
                }
                if self.links.get(link) != Some(&Status::Open) {
                    self.record_violation("I4", format!("a packet for {link:?}, which is {:?}", self.links.get(link)));
                }
            }
            Transmit::CloseLink { link } => match self.links.insert(*link, Status::Done) {
                Some(Status::Open | Status::Aborted) => {}
                status => self.record_violation("I4", format!("{link:?} is closed, but it is {status:?}")),
            },
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
        self.ended |= event.is_end();
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
            if let Some((link, _)) = self.links.iter().find(|(_, status)| **status == Status::Open) {
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

    /// Checks a machine at the end of a run. A machine that has ended still answers late requests and links, and does nothing else.
    ///
    /// # Errors
    /// The first violation since the machine was wrapped.
    pub fn check_after_end(&mut self, now: Instant) -> Result<(), Violation> {
        use crate::event::LinkKind;
        use crate::http::ContentType;
        use crate::server::LinkDownCause;

        let (get, post, link) = (RequestId(u64::MAX), RequestId(u64::MAX - 1), LinkId(u64::MAX));
        for input in [
            Input::Get { request: get },
            Input::Post { request: post, content_type: ContentType::Text },
            Input::Body { request: post, body: bytes::Bytes::from_static(b"4late") },
            Input::LinkUp { link, kind: LinkKind::WebSocket },
            Input::LinkMessage { link, message: Message::from("4late") },
            Input::LinkDown { link, cause: LinkDownCause::Closed },
            Input::Replied { request: get },
            Input::Aborted { request: post },
        ] {
            self.handle(now, input);
            while let Some(transmit) = self.poll_transmit() {
                if let Transmit::Reply { response, .. } = transmit
                    && (response.status() != 400 || !response.body().starts_with(br#"{"code":1,"#))
                {
                    self.record_violation("I5", format!("a late request is answered {response:?}"));
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
            violation,
            digest: _,
            log: _,
        } = self;
        machine.hash(hasher);
        (max_payload, latest, requests, links, largest_sent).hash(hasher);
        (unread, unwritten, heartbeats, ended, violation).hash(hasher);
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
