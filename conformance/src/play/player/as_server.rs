//! Steps of the suite as a server: accepting sessions, connections and requests of the client.

use std::time::Duration;

use serde_json::Value as Json;

use super::packets::{json_packet, literal, packet_outcome, text_or_bytes};
use super::waiting::{STARTING, Window};
use super::{MAIN, Object, Player, Trouble, failed};
use crate::case::Endpoint;
use crate::play::hosted::{self, Arrival, Hosted};
use crate::play::inbox::{Event, Inbox};
use crate::script::value::{Expression, Value};
use crate::script::{Choice, Match, Outcome, Step, Term};
use crate::wire::http::RequestHead;
use crate::wire::packets::{Payload, Revision};

impl Player {
    pub(super) async fn arrival(
        &mut self,
        step: &Step,
        method: &str,
        upgrade: bool,
        target: Option<&Match>,
    ) -> Result<Arrival, Trouble> {
        let window = self.window(step)?;
        let mut hall =
            self.hall.take().ok_or_else(|| Trouble::Broken("requests are accepted only from clients".to_owned()))?;
        let found = hall
            .accept(window.deadline, window.starting.clone(), |head| {
                let target = match target {
                    Some(target) => self.fits(target, &Payload::Text(head.target.clone()))?.is_some(),
                    None => true,
                };
                Ok(head.method == method && head.is_upgrade() == upgrade && target)
            })
            .await;
        let waiting = hall.shown();
        self.hall = Some(hall);
        self.arrived(found?, "a request that fits", &waiting, &window)
    }

    pub(super) fn arrived(
        &mut self,
        found: Option<Arrival>,
        what: &str,
        waiting: &str,
        window: &Window,
    ) -> Result<Arrival, Trouble> {
        match found {
            Some(arrival) => {
                self.happened(arrival.at, window, what)?;
                Ok(arrival)
            }
            None => {
                let others = if waiting.is_empty() { "nothing" } else { waiting };
                let ended = self.program.as_ref().and_then(|program| program.ended().borrow().clone());
                failed(
                    what,
                    match ended {
                        Some(ended) => format!("{others}; {ended}"),
                        None => {
                            let starting = window.starting.as_ref().filter(|_| waiting.is_empty());
                            let starting = starting.map_or(Duration::ZERO, |_| STARTING);
                            format!(
                                "{others} within {} ms",
                                (window.within + self.setting.grace + starting).as_millis()
                            )
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
    ) -> Result<(), Trouble> {
        let transport = transport.value(&mut self.scope)?.text();
        let wanted = self.text_or(handshake, "{}")?;
        let wanted: Json = serde_json::from_str(&wanted).map_err(|error| format!("{wanted}: {error}"))?;
        let window = self.window(step)?;
        let mut hall =
            self.hall.take().ok_or_else(|| Trouble::Broken("sessions are accepted only from clients".to_owned()))?;
        let found =
            hall.accept(window.deadline, window.starting.clone(), |head| Ok(hosted::opens(head, &transport))).await;
        let waiting = hall.shown();
        let arrival = self.arrived(found?, &format!("a handshake by {transport}"), &waiting, &window)?;
        self.counter = self.counter.saturating_add(1);
        let sid = format!("session-{}", self.counter);
        let target = arrival.head.target.clone();
        let hosted = match Hosted::new(&self.context, &hall, subject, sid, arrival, Some(wanted)).await {
            Ok(hosted) => hosted,
            Err(seen) => return failed("a session", seen),
        };
        self.hall = Some(hall);
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        self.scope.set(&format!("{prefix}sid"), Value::Text(hosted.sid.clone()));
        self.scope.set(&format!("{prefix}target"), Value::Text(target));
        self.objects.insert(subject.to_owned(), Object::Hosted(Box::new(hosted)));
        Ok(())
    }

    pub(super) async fn accept_connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        reply: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let namespace = self.text_or(namespace, "/")?;
        let window = self.window(step)?;
        if matches!(self.object(subject)?, Object::Hosted(hosted) if hosted.revision() == Revision::Three) {
            return self.accept_connect_of_revision_3(subject, &namespace, window).await;
        }
        let wanted = if self.setting.endpoint == Endpoint::Msgpack {
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
    ) -> Result<(), Trouble> {
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

    pub(super) async fn accept_upgrade(&mut self, step: &Step, subject: &str) -> Result<(), Trouble> {
        let Object::Hosted(hosted) = self.object(subject)? else {
            return Err(Trouble::Broken(format!("{subject} is not a session of the client")));
        };
        let sid = hosted.sid.clone();
        let window = self.window(step)?;
        let mut hall = self.hall.take().ok_or_else(|| Trouble::Broken("upgrades come only from clients".to_owned()))?;
        let found = hall
            .accept(window.deadline, window.starting.clone(), |head| {
                Ok(head.is_upgrade() && head.query("sid").as_ref() == Some(&sid))
            })
            .await;
        let waiting = hall.shown();
        self.hall = Some(hall);
        let arrival = self.arrived(found?, "the WebSocket of an upgrade", &waiting, &window)?;
        let patience = self.setting.grace * 4;
        let Object::Hosted(hosted) = self.object(subject)? else { return Ok(()) };
        match hosted.upgrade(arrival, patience).await {
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
    ) -> Result<(), Trouble> {
        // A WebSocket request can also be refused with a plain response.
        let (method, upgrade) = if method == "WEBSOCKET" { ("GET", true) } else { (method, false) };
        let arrival = self.arrival(step, method, upgrade, target).await?;
        let (post, inbox) = Inbox::new();
        post.put(Event::Packet(text_or_bytes(&arrival.body)));
        self.describe(subject, &arrival.head);
        self.objects.insert(subject.to_owned(), Object::Arrival(arrival, inbox));
        Ok(())
    }

    /// Sets variables for the target and the headers of a request.
    pub(super) fn describe(&mut self, subject: &str, head: &RequestHead) {
        self.scope.set(&format!("{subject}.target"), Value::Text(head.target.clone()));
        // Content-Type is always set, because a script may check that it is absent.
        self.scope.set(&format!("{subject}.content_type"), Value::Text(String::new()));
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase().replace('-', "_");
            self.scope.set(&format!("{subject}.{name}"), Value::Text(value.clone()));
        }
    }
}
