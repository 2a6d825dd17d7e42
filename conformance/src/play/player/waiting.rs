//! Steps that wait: how long they wait, what they accept, and what they saw instead.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::packets::text_or_bytes;
use super::{MAIN, Object, Player, StepError, failed};
use crate::play::events::{Event, TimedEvent};
use crate::play::server_session::Listener;
use crate::script::pattern::{self, Captures, json_variable};
use crate::script::value::{Expression, Value};
use crate::script::{Choice, Match, Outcome, Status, Step, Term};
use crate::wire::http::{RequestHead, header};
use crate::wire::packets::{Payload, Revision};
use crate::wire::{msgpack, printable};

/// How long a client may take to start.
pub(super) const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// When a step may see what it waits for: not before `after` and not after `within`, both counted from
/// [`Player::last_activity`].
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) after: Option<Duration>,
    pub(super) deadline: Instant,
    pub(super) within: Duration,
    pub(super) startup: Option<Startup>,
}

/// A newly started client that has not done anything yet, so it may still be starting.
#[derive(Clone, Debug)]
pub(in crate::play) struct Startup {
    /// The time left once the client has done something or has exited.
    pub(in crate::play) time: Duration,
    pub(in crate::play) exited: watch::Receiver<Option<String>>,
}

impl Player {
    pub(super) fn duration(&mut self, expression: &Expression) -> Result<Duration, StepError> {
        let milliseconds = expression.value(&mut self.scope)?.number()?;
        let duration = Duration::try_from_secs_f64((milliseconds / 1000.0).max(0.0)).unwrap_or(Duration::MAX);
        if duration > self.options.patience {
            return Err(StepError::Skipped(format!(
                "this would take {} s; run the implementation with a shorter heartbeat, or the suite with --patience",
                duration.as_secs()
            )));
        }
        Ok(duration)
    }

    pub(super) fn window(&mut self, step: &Step) -> Result<Window, StepError> {
        let after = step.after.as_ref().map(|after| self.duration(after)).transpose()?;
        let within = match &step.within {
            Some(within) => self.duration(within)?,
            None => after.unwrap_or_default(),
        };
        // A slow machine must not shorten the time of the peer, and some programs take long to start.
        let time = within + self.options.grace;
        let program = self.program.as_ref().filter(|_| !self.program_started);
        let startup = program.map(|program| Startup { time, exited: program.exited() });
        let deadline = Instant::now() + time + startup.as_ref().map_or(Duration::ZERO, |_| STARTUP_TIMEOUT);
        Ok(Window { after, deadline, within, startup })
    }

    /// Fails if an event arrived too early. Otherwise records it as the last activity.
    pub(super) fn check_timing(&mut self, at: Instant, window: &Window, what: &str) -> Result<(), StepError> {
        let since = at.saturating_duration_since(self.last_activity);
        if let Some(after) = window.after
            && since < after
        {
            return failed(
                format!("{what} after {} ms", after.as_millis()),
                format!("it arrived after {} ms, too early", since.as_millis()),
            );
        }
        self.last_activity = at.max(self.last_activity);
        self.program_started = true;
        Ok(())
    }

    pub(super) async fn next(&mut self, subject: &str, deadline: Instant) -> Result<Option<TimedEvent>, StepError> {
        if subject == "report" {
            return match &mut self.program {
                Some(program) => Ok(program.inbox.next(deadline).await),
                None => Err(StepError::Broken("only a client reports".to_owned())),
            };
        }
        Ok(match self.object(subject)? {
            Object::ClientSession(session) => session.next(deadline).await,
            Object::ServerSession(session) => session.next(deadline).await,
            Object::Exchange(exchange) => exchange.inbox.next(deadline).await,
            Object::Link(link) => link.inbox.next(deadline).await,
            Object::IncomingRequest(request, inbox) => {
                if let Some(body) = inbox.try_next() {
                    return Ok(Some(body));
                }
                match tokio::time::timeout_at(deadline, request.disconnected()).await {
                    Ok(()) => Some(TimedEvent { at: Instant::now(), event: Event::closed("by the client") }),
                    Err(_) => None,
                }
            }
        })
    }

    /// The namespaces of a session. A link opened by hand carries those of the main session.
    pub(super) fn joined(&self, subject: &str) -> Option<&Vec<String>> {
        self.joined.get(subject).filter(|joined| !joined.is_empty()).or_else(|| match self.objects.get(subject) {
            Some(Object::Link(_)) => self.joined.get(MAIN),
            _ => None,
        })
    }

    /// Tracks namespaces: CONNECT packets that were received, and DISCONNECT packets in either direction.
    pub(super) fn track_namespaces(&mut self, subject: &str, packet: &Payload, received: bool) {
        let (kind, namespace) = match packet {
            Payload::Text(text) => {
                let Some((kind, rest)) = text.split_at_checked(2) else { return };
                let namespace = if rest.starts_with('/') { rest.split(',').next().unwrap_or(rest) } else { "/" };
                // In revision 3, a query may follow the namespace.
                let three = self.options.endpoint.is_revision_3();
                let namespace = namespace.split_once('?').filter(|_| three).map_or(namespace, |(name, _)| name);
                (kind.to_owned(), namespace.to_owned())
            }
            Payload::Bytes(bytes) => {
                let Some(packet) = msgpack::decode_packet(bytes) else { return };
                let text = |key| packet.get(key).map(|value: &Json| json_variable(value).text()).unwrap_or_default();
                (format!("4{}", text("type")), text("nsp"))
            }
        };
        // In revision 3 the CONNECT of the server counts, even if the suite is the server: no client requests the main namespace.
        let three =
            |object: &Object| matches!(object, Object::ServerSession(session) if session.revision() == Revision::Three);
        let joins = kind == "40" && received != self.objects.get(subject).is_some_and(three);
        let joined = self.joined.entry(subject.to_owned()).or_default();
        if kind == "41" || joins {
            joined.retain(|known| *known != namespace);
        }
        if joins {
            joined.push(namespace);
        }
    }

    pub(super) async fn expect(
        &mut self,
        subject: &str,
        skip: bool,
        terms: &[Term],
        window: Window,
    ) -> Result<(), StepError> {
        let mut skipped = Vec::new();
        for Term(choices) in terms {
            let mut missing: Vec<&Choice> = choices.iter().collect();
            while !missing.is_empty() {
                let expected =
                    missing.iter().map(|choice| self.describe_choice(choice)).collect::<Vec<_>>().join(" and ");
                let arrived = self.next(subject, window.deadline).await?;
                if let Some(TimedEvent { event: Event::Packet(packet), .. }) = &arrived {
                    self.track_namespaces(subject, packet, true);
                }
                let Some(arrived) = arrived else {
                    let waited = (window.within + self.options.grace).as_millis();
                    let before =
                        if skipped.is_empty() { String::new() } else { format!(", only {}", skipped.join("  ")) };
                    let waiting = self.listener.as_ref().map(Listener::describe).filter(|shown| !shown.is_empty());
                    let waiting = waiting.map(|shown| format!("; requests not accepted: {shown}")).unwrap_or_default();
                    return failed(expected, format!("nothing within {waited} ms{before}{waiting}"));
                };
                let mut found = None;
                for (index, Choice(outcomes)) in missing.iter().enumerate() {
                    for outcome in outcomes {
                        if let Some(captures) = self.match_outcome(subject, outcome, &arrived.event)? {
                            found = Some((index, captures));
                            break;
                        }
                    }
                    if found.is_some() {
                        break;
                    }
                }
                match found {
                    Some((index, captures)) => {
                        missing.remove(index);
                        self.check_timing(arrived.at, &window, &expected)?;
                        for (name, value) in captures {
                            self.scope.set(&name, value);
                        }
                    }
                    None if matches!(arrived.event, Event::Opened(_) | Event::Ping(_) | Event::Pong(_)) => {}
                    None if skip && !matches!(arrived.event, Event::Closed { .. }) => {
                        skipped.push(arrived.event.describe())
                    }
                    None => return failed(expected, self.describe_event(subject, &arrived.event)),
                }
            }
        }
        Ok(())
    }

    /// Why the connection of an object broke, if it did.
    pub(super) fn connection_error(&self, subject: &str) -> Option<&str> {
        match self.objects.get(subject) {
            Some(Object::Exchange(exchange)) => exchange.connection_error(),
            _ => None,
        }
    }

    /// Describes an event for reports.
    pub(super) fn describe_event(&self, subject: &str, event: &Event) -> String {
        let shown = event.describe();
        match (event, self.connection_error(subject)) {
            (Event::Closed { .. }, Some(why)) if !shown.contains(why) => format!("{shown}; cause: {why}"),
            _ => shown,
        }
    }

    pub(super) fn match_outcome(
        &self,
        subject: &str,
        outcome: &Outcome,
        event: &Event,
    ) -> Result<Option<Captures>, String> {
        let nothing = Some(Captures::new());
        match (outcome, event) {
            (Outcome::Packet(wanted), Event::Packet(payload)) => self.match_payload(wanted, payload),
            (Outcome::Ping(None), Event::Ping(_)) | (Outcome::Pong(None), Event::Pong(_)) => Ok(nothing),
            (Outcome::Ping(Some(wanted)), Event::Ping(payload))
            | (Outcome::Pong(Some(wanted)), Event::Pong(payload)) => {
                self.match_payload(wanted, &text_or_bytes(payload))
            }
            (Outcome::Closed, Event::Closed { .. }) => Ok(nothing),
            (Outcome::Finished, Event::Closed { .. }) => {
                Ok(nothing.filter(|_| self.connection_error(subject).is_none()))
            }
            (Outcome::CloseFrame(code), Event::Closed { code: Some(seen), .. }) => {
                let code = code.value(&mut self.scope.clone())?.number()?;
                Ok((code == f64::from(*seen)).then(Captures::new))
            }
            (Outcome::Answer { status, body, headers, without }, Event::Answer(response) | Event::Opened(response)) => {
                if !status.matches(response.status) {
                    return Ok(None);
                }
                let mut captures = Captures::new();
                if let Some(body) = body {
                    let Some(found) = self.match_payload(body, &text_or_bytes(&response.body))? else {
                        return Ok(None);
                    };
                    captures.extend(found);
                }
                for (name, wanted) in headers {
                    let Some(value) = header(&response.headers, name) else { return Ok(None) };
                    if let Some(wanted) = wanted {
                        let Some(found) = self.match_payload(wanted, &Payload::Text(value.to_owned()))? else {
                            return Ok(None);
                        };
                        captures.extend(found);
                    }
                }
                Ok(without.iter().all(|name| header(&response.headers, name).is_none()).then_some(captures))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn match_payload(&self, wanted: &Match, seen: &Payload) -> Result<Option<Captures>, String> {
        match (wanted, seen) {
            (Match::Anything, _) => Ok(Some(Captures::new())),
            (Match::Exact(expression), seen) => {
                // Random data must be stored in a variable before, so the copied scope is enough.
                let equal = match (expression.value(&mut self.scope.clone())?, seen) {
                    (Value::Bytes(wanted), Payload::Bytes(seen)) => wanted == *seen,
                    (Value::Bytes(_), Payload::Text(_)) | (_, Payload::Bytes(_)) => false,
                    (wanted, Payload::Text(seen)) => wanted.text() == *seen,
                };
                Ok(equal.then(Captures::new))
            }
            (Match::Packet(template), Payload::Text(text)) => pattern::packet(&template.fill(&self.scope)?, text),
            (Match::Regex(template), Payload::Text(text)) => pattern::regex(template, &self.scope, text),
            (Match::Msgpack(template), Payload::Bytes(bytes)) => match msgpack::decode(bytes) {
                Some(packet) => pattern::packet(&template.fill(&self.scope)?, &packet.to_string()),
                None => Ok(None),
            },
            (Match::Packet(_) | Match::Regex(_), Payload::Bytes(_)) | (Match::Msgpack(_), Payload::Text(_)) => Ok(None),
        }
    }

    /// Describes a choice for reports, with the values of its variables.
    pub(super) fn describe_choice(&self, Choice(outcomes): &Choice) -> String {
        let matching = |wanted: &Match| match wanted {
            Match::Anything => "anything".to_owned(),
            Match::Exact(expression) => match expression.value(&mut self.scope.clone()) {
                Ok(Value::Bytes(bytes)) => Payload::Bytes(bytes).describe(),
                Ok(value) => printable(value.text().as_bytes()),
                Err(error) => error,
            },
            Match::Packet(template) => {
                template.fill(&self.scope).map_or_else(|error| error, |pattern| printable(pattern.as_bytes()))
            }
            Match::Msgpack(template) => template
                .fill(&self.scope)
                .map_or_else(|error| error, |json| format!("msgpack{}", printable(json.as_bytes()))),
            Match::Regex(template) => {
                template.fill(&self.scope).map_or_else(|error| error, |regex| format!("something like /{regex}/"))
            }
        };
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Packet(wanted) => matching(wanted),
            Outcome::Closed => "the end".to_owned(),
            Outcome::Finished => "the end, without a reset and with all written bytes read".to_owned(),
            Outcome::CloseFrame(code) => match code.value(&mut self.scope.clone()) {
                Ok(code) => format!("a close frame with code {}", code.text()),
                Err(error) => error,
            },
            Outcome::Ping(wanted) => format!("a ping {}", wanted.as_ref().map(matching).unwrap_or_default()),
            Outcome::Pong(wanted) => format!("a pong {}", wanted.as_ref().map(matching).unwrap_or_default()),
            Outcome::Answer { status, body, headers, without } => {
                let mut text = match status {
                    Status::Exactly(status) => format!("the answer {status}"),
                    Status::Hundreds(hundreds) => format!("an answer {hundreds}xx"),
                };
                if let Some(body) = body {
                    text.push_str(&format!(" with {}", matching(body)));
                }
                for (name, wanted) in headers {
                    text.push_str(&format!(", {name}: {}", wanted.as_ref().map_or_else(|| "…".to_owned(), matching)));
                }
                for name in without {
                    text.push_str(&format!(", without {name}"));
                }
                text
            }
        };
        outcomes.iter().map(outcome).collect::<Vec<_>>().join(" or ")
    }

    pub(super) async fn silence(&mut self, subject: &str, duration: &Expression) -> Result<(), StepError> {
        let duration = self.duration(duration)?;
        let deadline = Instant::now() + duration;
        if subject == "arrivals" || subject == "posts" {
            let counts = |head: &RequestHead| Ok(subject == "arrivals" || head.method == "POST");
            let listener = self
                .listener
                .as_mut()
                .ok_or_else(|| StepError::Broken("requests arrive only from clients".to_owned()))?;
            return match listener.accept(deadline, None, counts).await? {
                None => Ok(()),
                Some(request) => failed(
                    format!("no request for {} ms", duration.as_millis()),
                    format!("{} {}", request.head.method, request.head.target),
                ),
            };
        }
        while let Some(arrived) = self.next(subject, deadline).await? {
            if !matches!(arrived.event, Event::Opened(_) | Event::Ping(_) | Event::Pong(_)) {
                return failed(format!("nothing for {} ms", duration.as_millis()), arrived.event.describe());
            }
        }
        self.last_activity = Instant::now();
        Ok(())
    }
}
