//! What must hold whatever happens: one `check`, run after every step of a simulation and of a fuzzer.
//!
//! A machine is wrapped into a [`Watched`], which passes every verb on and keeps the books: which requests wait, which links are
//! up, what the machine said about time. The invariants go by numbers, which the table in the docs of [`testkit`](super) explains. Some
//! are checked here, always; for those that compare two runs, [`Watched::digest`] sums a run up.

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

/// What did not hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{invariant}: {detail}")]
#[non_exhaustive]
pub struct Violation {
    /// The name of the invariant, or of the rule of a scenario.
    pub invariant: &'static str,
    /// What was seen instead.
    pub detail: String,
}

impl Violation {
    /// This rule, and what was seen instead.
    #[must_use]
    pub const fn new(invariant: &'static str, detail: String) -> Self {
        Self { invariant, detail }
    }
}

/// What a machine's event means to its watcher.
pub trait WatchedEvent: fmt::Debug {
    /// Whether this is the event that comes last.
    fn is_end(&self) -> bool;
    /// Bytes of payload that the application gets with this event.
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

/// What has become of a request or a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Fate {
    /// It waits for its answer, or is up.
    Open,
    /// It was answered, or closed by the machine.
    Done,
    /// It went away by itself.
    Gone,
}

/// A machine whose every verb is watched.
#[derive(Clone, Debug)]
pub struct Watched<M> {
    machine: M,
    limits: Limits,
    max_payload: usize,
    latest: Instant,
    requests: BTreeMap<RequestId, Fate>,
    links: BTreeMap<LinkId, Fate>,
    /// The largest unit that was ever handed in to be sent, in bytes.
    largest_sent: usize,
    /// Bytes that the application has got without anything else between: so much lay in the machine.
    unread: usize,
    /// Bytes of the replies that were handed out, and are neither written nor lost.
    unwritten: BTreeMap<RequestId, usize>,
    /// Pings and pongs that came out one after the other, with nothing handed in between.
    heartbeats: usize,
    ended: bool,
    fault: Option<Violation>,
    /// What has happened is summed up; `None` when nobody asks for it.
    digest: Option<Digest>,
    log: Option<String>,
}

impl<M: ServerMachine<Event: WatchedEvent>> Watched<M> {
    /// Watches a machine that was just made. With `log`, everything is written down ([`Watched::log`]).
    pub fn new(machine: M, limits: Limits, max_payload: usize, log: bool) -> Self {
        let digest = Some(Digest(0xcbf2_9ce4_8422_2325));
        Self { digest, log: log.then(String::new), ..Self::without_history(machine, limits, max_payload) }
    }

    /// Watches a machine that was just made, and remembers only what the invariants need. There is no log, and the digest is 0.
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
            fault: None,
            digest: None,
            log: None,
        }
    }

    /// The machine, to look at.
    pub const fn get(&self) -> &M {
        &self.machine
    }

    /// Runs a command of the application that takes no time. `size` is the number of bytes that it may queue, with what the
    /// machine adds for each frame; 0 when it sends nothing.
    pub fn command<R: fmt::Debug>(&mut self, size: usize, command: impl FnOnce(&mut M) -> R) -> R {
        self.largest_sent = self.largest_sent.max(size);
        let result = command(&mut self.machine);
        self.note(format_args!("command: {result:?}"));
        result
    }

    /// Runs a command of the application that takes the time.
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
        self.note(format_args!("{now:?} <- {input:?}"));
        match &input {
            // Whoever brings the messages of a link limits them; one frame is as large as what is handed in.
            Input::LinkMessage { message: Message::Text(text), .. } => {
                self.max_payload = self.max_payload.max(text.len())
            }
            Input::LinkMessage { message: Message::Binary(data), .. } => {
                self.max_payload = self.max_payload.max(data.len());
            }
            Input::Poll { request } | Input::Post { request, .. } => {
                self.requests.insert(*request, Fate::Open);
            }
            Input::Replied { request } => drop(self.unwritten.remove(request)),
            Input::Aborted { request } => {
                self.unwritten.remove(request);
                if let Some(fate) = self.requests.get_mut(request) {
                    *fate = Fate::Gone;
                }
            }
            Input::LinkUp { link, .. } => {
                self.links.insert(*link, Fate::Open);
            }
            Input::LinkDown { link, .. } => {
                self.links.insert(*link, Fate::Gone);
            }
            _ => {}
        }
        self.machine.handle(now, input);
        self.unread = 0;
        self.heartbeats = 0;
    }

    /// [`Machine::handle_timeout`](crate::Machine::handle_timeout), and I2 and I3: what is due fires, and nothing else does.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        let before = self.machine.poll_timeout();
        self.heartbeats = 0;
        self.machine.handle_timeout(now);
        let after = self.machine.poll_timeout();
        self.note(format_args!("{now:?} timeout: {before:?}, then {after:?}"));
        let due = before.is_some_and(|deadline| deadline <= self.latest);
        if after.is_some_and(|deadline| deadline <= self.latest) {
            self.blame("I2", format!("{after:?} is due after handle_timeout({now:?})"));
        }
        if due && before == after {
            self.blame("I3", format!("{before:?} was due, and handle_timeout({now:?}) fired nothing"));
        }
        if !due && before != after {
            self.blame("I3", format!("nothing was due at {now:?}, and {before:?} became {after:?}"));
        }
    }

    /// [`Machine::poll_transmit`](crate::Machine::poll_transmit), and I4: one answer for each request, and nothing for a link that is not up.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.machine.poll_transmit()?;
        self.note(format_args!("-> {transmit:?}"));
        match &transmit {
            Transmit::Reply { request, response } => match self.requests.insert(*request, Fate::Done) {
                Some(Fate::Open) => drop(self.unwritten.insert(*request, response.body().len())),
                // What went away before its answer was polled has one all the same, which leads nowhere.
                Some(Fate::Gone) => {}
                fate => self.blame("I4", format!("{request:?} is answered, but it is {fate:?}")),
            },
            Transmit::Link { link, frame } => {
                let beats = matches!(frame.packet_type(), PacketType::Ping | PacketType::Pong);
                self.heartbeats = if beats { self.heartbeats.saturating_add(1) } else { 0 };
                // One ping, and one answer to a probe: the rest would be a queue that no limit counts.
                if self.heartbeats > 2 {
                    self.blame("I16", format!("{} pings and pongs were queued", self.heartbeats));
                }
                if self.links.get(link) != Some(&Fate::Open) {
                    self.blame("I4", format!("a packet for {link:?}, which is {:?}", self.links.get(link)));
                }
            }
            Transmit::CloseLink { link } => match self.links.insert(*link, Fate::Done) {
                Some(Fate::Open | Fate::Gone) => {}
                fate => self.blame("I4", format!("{link:?} is closed, but it is {fate:?}")),
            },
        }
        Some(transmit)
    }

    /// [`Machine::poll_event`](crate::Machine::poll_event), and I5: nothing after the last event.
    pub fn poll_event(&mut self) -> Option<M::Event> {
        let event = self.machine.poll_event()?;
        self.note(format_args!("event {event:?}"));
        if self.ended {
            self.blame("I5", format!("{event:?} after the last event"));
        }
        self.ended |= event.is_end();
        self.unread = self.unread.saturating_add(event.payload());
        // One message, and what a body holds, may lie behind a full queue.
        let allowed = self.limits.max_inbound.saturating_add(self.max_payload.saturating_mul(2));
        if self.unread > allowed {
            self.blame("I9", format!("{} bytes were unread, {allowed} are allowed", self.unread));
        }
        Some(event)
    }

    /// Whether the last event was seen.
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Everything that must hold at any time.
    ///
    /// # Errors
    /// The first violation since the beginning.
    pub fn check(&self) -> Result<(), Violation> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let fail = |invariant, detail| Err(Violation::new(invariant, detail));
        // One unit beyond the limit passes when nothing else waits, and a ping always: one may wait, and one be in each reply that is unwritten.
        let pings = self.unwritten.len().saturating_add(1).saturating_mul(64);
        let allowed = self.limits.max_outbound.saturating_add(self.largest_sent).saturating_add(pings);
        if self.machine.buffered_bytes() > allowed {
            return fail(
                "I9",
                format!("{} bytes wait to be sent, {allowed} are allowed", self.machine.buffered_bytes()),
            );
        }
        // Base64 takes a third more. What is told of the end, or of a fault, is small.
        let handed_out: usize = self.unwritten.values().sum();
        let most = allowed.saturating_mul(4).div_ceil(3).saturating_add(self.unwritten.len().saturating_mul(400));
        if handed_out > most && !self.ended {
            return fail("I16", format!("{handed_out} bytes of replies are unwritten, {most} are allowed"));
        }
        if self.machine.is_drained() {
            if !self.ended {
                return fail("I5", "drained before the last event was taken".into());
            }
            if let Some(deadline) = self.machine.poll_timeout() {
                return fail("I5", format!("drained, with a deadline at {deadline:?}"));
            }
            if let Some((request, _)) = self.requests.iter().find(|(_, fate)| **fate == Fate::Open) {
                return fail("I4", format!("drained, and {request:?} still waits for an answer"));
            }
            if let Some((link, _)) = self.links.iter().find(|(_, fate)| **fate == Fate::Open) {
                return fail("I4", format!("drained, and {link:?} is still up"));
            }
        }
        Ok(())
    }

    /// [`Watched::check`], when both polls have just given `None`: a machine that has ended is drained then.
    ///
    /// # Errors
    /// The first violation since the beginning.
    pub fn check_settled(&self) -> Result<(), Violation> {
        self.check()?;
        if self.ended && !self.machine.is_drained() {
            return Err(Violation::new("I5", "ended and polled empty, but not drained".into()));
        }
        Ok(())
    }

    /// The end of a run: a machine that has ended still answers whoever comes, and says nothing more by itself.
    ///
    /// # Errors
    /// The first violation since the beginning.
    pub fn check_after_end(&mut self, now: Instant) -> Result<(), Violation> {
        use crate::event::LinkKind;
        use crate::http::ContentType;
        use crate::server::LinkDownCause;

        let (get, post, link) = (RequestId(u64::MAX), RequestId(u64::MAX - 1), LinkId(u64::MAX));
        for input in [
            Input::Poll { request: get },
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
                    self.blame("I5", format!("a late request is answered {response:?}"));
                }
            }
            if self.poll_event().is_some() {
                self.blame("I5", "an event after the end".into());
            }
            self.check_settled()?;
        }
        Ok(())
    }

    /// Requests that wait for their answer.
    pub fn requests_waiting(&self) -> usize {
        self.requests.values().filter(|fate| **fate == Fate::Open).count()
    }

    /// A number that two runs share only if everything that went in and came out was the same.
    pub fn digest(&self) -> u64 {
        self.digest.as_ref().map_or(0, |digest| digest.0)
    }

    /// Everything that went in and came out, a line each; empty unless it was asked for.
    pub fn log(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    fn note(&mut self, line: fmt::Arguments<'_>) {
        // Writing to either cannot fail.
        if let Some(digest) = &mut self.digest {
            let _ = writeln!(digest, "{line}");
        }
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{line}");
        }
    }

    fn blame(&mut self, invariant: &'static str, detail: String) {
        self.fault.get_or_insert(Violation { invariant, detail });
    }
}

/// The state, and not how it came about: neither digest nor log.
impl<M: Hash> Hash for Watched<M> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // A new field has to be named here.
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
            fault,
            digest: _,
            log: _,
        } = self;
        machine.hash(hasher);
        (max_payload, latest, requests, links, largest_sent).hash(hasher);
        (unread, unwritten, heartbeats, ended, fault).hash(hasher);
    }
}

/// FNV-1a over what is written.
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

/// Messages that carry their number, for I10: each arrives once, and none before its predecessor.
#[derive(Clone, Hash, Debug)]
pub struct Numbered {
    direction: &'static str,
    sent: u64,
    received: u64,
    gaps: bool,
}

impl Numbered {
    /// Counts the messages of one direction; its name is for the error.
    #[must_use]
    pub const fn new(direction: &'static str) -> Self {
        Self { direction, sent: 0, received: 0, gaps: false }
    }

    /// The next message to send, of about this many bytes; text or binary. Count it with [`Numbered::count_sent`] once it was taken.
    #[must_use]
    pub fn next_message(&self, size: usize, binary: bool) -> Message {
        let number = self.sent;
        let text = format!("{number}:{:.<size$}", "");
        if binary { Message::Binary(text.into_bytes().into()) } else { Message::Text(text.into()) }
    }

    /// The message was taken.
    pub const fn count_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// A message arrived.
    ///
    /// # Errors
    /// I10, when it is not the next one.
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

    /// From now on messages may be missing; they still arrive in order, and none arrives twice.
    pub const fn allow_gaps(&mut self) {
        self.gaps = true;
    }

    /// How many were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many have arrived.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Whether all have arrived.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.sent == self.received
    }
}
