//! Steps of the suite as a server: accepting sessions, connections and requests of the client.

use std::time::Duration;

use serde_json::Value as Json;

use super::packets::{json_packet, literal, packet_outcome, text_or_bytes};
use super::waiting::{STARTUP_TIMEOUT, Window};
use super::{MAIN, Object, Player, StepError, failed};
use crate::case::Endpoint;
use crate::play::events::{Event, Inbox};
use crate::play::server_session::{self, IncomingRequest, ServerSession};
use crate::script::value::{Expression, Value};
use crate::script::{Choice, Match, Outcome, Step, Term};
use crate::wire::http::RequestHead;
use crate::wire::packets::{Payload, Revision};

impl Player {
    pub(super) async fn accept_matching(
        &mut self,
        step: &Step,
        method: &str,
        upgrade: bool,
        target: Option<&Match>,
    ) -> Result<IncomingRequest, StepError> {
        let window = self.window(step)?;
        let mut listener = self
            .listener
            .take()
            .ok_or_else(|| StepError::Broken("requests are accepted only from clients".to_owned()))?;
        let found = listener
            .accept(window.deadline, window.startup.clone(), |head| {
                let target = match target {
                    Some(target) => self.match_payload(target, &Payload::Text(head.target.clone()))?.is_some(),
                    None => true,
                };
                Ok(head.method == method && head.is_upgrade() == upgrade && target)
            })
            .await;
        let waiting = listener.describe();
        self.listener = Some(listener);
        self.check_accepted(found?, "a request that fits", &waiting, &window)
    }

    pub(super) fn check_accepted(
        &mut self,
        found: Option<IncomingRequest>,
        what: &str,
        waiting: &str,
        window: &Window,
    ) -> Result<IncomingRequest, StepError> {
        match found {
            Some(request) => {
                self.check_timing(request.at, window, what)?;
                Ok(request)
            }
            None => {
                let others = if waiting.is_empty() { "nothing" } else { waiting };
                let exited = self.program.as_ref().and_then(|program| program.exited().borrow().clone());
                failed(
                    what,
                    match exited {
                        Some(exited) => format!("{others}; {exited}"),
                        None => {
                            let startup = window.startup.as_ref().filter(|_| waiting.is_empty());
                            let startup = startup.map_or(Duration::ZERO, |_| STARTUP_TIMEOUT);
                            format!("{others} within {} ms", (window.within + self.options.grace + startup).as_millis())
                        }
                    },
                )
            }
        }
    }

    pub(super) async fn accept_session(
        &mut self,
        step: &Step,
        subject: &str,
        transport: &Expression,
        handshake: Option<&Expression>,
    ) -> Result<(), StepError> {
        let transport = transport.value(&mut self.scope)?.text();
        let wanted = self.text_or(handshake, "{}")?;
        let wanted: Json = serde_json::from_str(&wanted).map_err(|error| format!("{wanted}: {error}"))?;
        let window = self.window(step)?;
        let mut listener = self
            .listener
            .take()
            .ok_or_else(|| StepError::Broken("sessions are accepted only from clients".to_owned()))?;
        let found = listener
            .accept(window.deadline, window.startup.clone(), |head| Ok(server_session::is_handshake(head, &transport)))
            .await;
        let waiting = listener.describe();
        let request = self.check_accepted(found?, &format!("a handshake by {transport}"), &waiting, &window)?;
        self.counter = self.counter.saturating_add(1);
        let sid = format!("session-{}", self.counter);
        let target = request.head.target.clone();
        let session = match ServerSession::new(&self.context, &listener, subject, sid, request, Some(wanted)).await {
            Ok(session) => session,
            Err(seen) => return failed("a session", seen),
        };
        self.listener = Some(listener);
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        self.scope.set(&format!("{prefix}sid"), Value::Text(session.sid.clone()));
        self.scope.set(&format!("{prefix}target"), Value::Text(target));
        self.objects.insert(subject.to_owned(), Object::ServerSession(Box::new(session)));
        Ok(())
    }

    pub(super) async fn accept_connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        reply: Option<&Expression>,
    ) -> Result<(), StepError> {
        let namespace = self.text_or(namespace, "/")?;
        let window = self.window(step)?;
        if matches!(self.object(subject)?, Object::ServerSession(session) if session.revision() == Revision::Three) {
            return self.accept_connect_of_revision_3(subject, &namespace, window).await;
        }
        let wanted = if self.options.endpoint == Endpoint::Msgpack {
            let text = format!(r#"{{"type":0,"nsp":"{namespace}",...}}"#);
            Term(vec![Choice(vec![Outcome::Packet(Match::Msgpack(literal(&text)))])])
        } else {
            // Without a payload, the comma after the namespace is optional.
            let choices = ["", "{...}"].map(|data| packet_outcome(&json_packet(0, &namespace, "", data)));
            let bare = packet_outcome(&format!("40{namespace}"));
            Term(vec![Choice(choices.into_iter().chain([bare]).collect())])
        };
        self.expect(subject, false, &[wanted], window).await?;
        self.counter = self.counter.saturating_add(1);
        let reply = self.text_or(reply, &format!(r#"{{"sid":"socket-{}"}}"#, self.counter))?;
        let reply = self.packet(0, &namespace, "", &reply)?;
        self.send(subject, vec![reply]).await
    }

    /// In revision 3, the main namespace is connected without a request, and a CONNECT has no payload.
    pub(super) async fn accept_connect_of_revision_3(
        &mut self,
        subject: &str,
        namespace: &str,
        window: Window,
    ) -> Result<(), StepError> {
        if namespace == "/" {
            return self.send(subject, vec![Payload::Text("40".to_owned())]).await;
        }
        // The comma is optional, and a query may follow the namespace.
        let choices = ["", ","].map(|comma| packet_outcome(&format!("40{namespace}{comma}")));
        let query = Outcome::Packet(Match::Regex(literal(&format!("^40{namespace}[?][^,]*,?$"))));
        let wanted = Term(vec![Choice(choices.into_iter().chain([query]).collect())]);
        self.expect(subject, false, &[wanted], window).await?;
        self.send(subject, vec![Payload::Text(format!("40{namespace}"))]).await
    }

    pub(super) async fn accept_upgrade(&mut self, step: &Step, subject: &str) -> Result<(), StepError> {
        let Object::ServerSession(session) = self.object(subject)? else {
            return Err(StepError::Broken(format!("{subject} is not a session of the client")));
        };
        let sid = session.sid.clone();
        let window = self.window(step)?;
        let mut listener =
            self.listener.take().ok_or_else(|| StepError::Broken("upgrades come only from clients".to_owned()))?;
        let found = listener
            .accept(window.deadline, window.startup.clone(), |head| {
                Ok(head.is_upgrade() && head.query("sid").as_ref() == Some(&sid))
            })
            .await;
        let waiting = listener.describe();
        self.listener = Some(listener);
        let request = self.check_accepted(found?, "the WebSocket of an upgrade", &waiting, &window)?;
        let timeout = self.options.grace * 4;
        let Object::ServerSession(session) = self.object(subject)? else { return Ok(()) };
        match session.upgrade(request, timeout).await {
            Ok(()) => Ok(()),
            Err(seen) => failed("the upgrade to succeed", seen),
        }
    }

    pub(super) async fn accept_request(
        &mut self,
        step: &Step,
        subject: &str,
        method: &str,
        target: Option<&Match>,
    ) -> Result<(), StepError> {
        // A WebSocket request can also be refused with a plain response.
        let (method, upgrade) = if method == "WEBSOCKET" { ("GET", true) } else { (method, false) };
        let request = self.accept_matching(step, method, upgrade, target).await?;
        let (events, inbox) = Inbox::new();
        events.send(Event::Packet(text_or_bytes(&request.body)));
        self.set_request_variables(subject, &request.head);
        self.objects.insert(subject.to_owned(), Object::IncomingRequest(request, inbox));
        Ok(())
    }

    /// Sets variables for the target and the headers of a request.
    pub(super) fn set_request_variables(&mut self, subject: &str, head: &RequestHead) {
        self.scope.set(&format!("{subject}.target"), Value::Text(head.target.clone()));
        // Content-Type is always set, because a script may check that it is absent.
        self.scope.set(&format!("{subject}.content_type"), Value::Text(String::new()));
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase().replace('-', "_");
            self.scope.set(&format!("{subject}.{name}"), Value::Text(value.clone()));
        }
    }
}
