//! Steps that act on an object: send, close, abort, write a frame, and check that a session is alive or dead.

use std::sync::Arc;

use tokio::time::Instant;

use super::packets::packet_term;
use super::{Object, Player, StepError, failed, link_of};
use crate::play::events::{Event, describe_packets};
use crate::play::link::{LinkTransport, Side};
use crate::script::value::Expression;
use crate::script::{Choice, Outcome, RawFrame, Step, Term};
use crate::wire::packets::Payload;
use crate::wire::websocket::{BINARY, Frame, TEXT};

impl Player {
    pub(super) async fn send(&mut self, subject: &str, packets: Vec<Payload>) -> Result<(), StepError> {
        for packet in &packets {
            self.track_namespaces(subject, packet, false);
        }
        let timeout = self.options.grace * 4;
        let context = Arc::clone(&self.context);
        if subject == "report" {
            let program =
                self.program.as_mut().ok_or_else(|| StepError::Broken("only a client takes commands".to_owned()))?;
            for packet in packets {
                program.write_line(&context, &packet.describe()).await;
            }
            self.last_activity = Instant::now();
            return Ok(());
        }
        match self.object(subject)? {
            Object::ClientSession(session) => {
                if session.is_polling() {
                    context.transcript.note(format!("{subject} sends {}", describe_packets(&packets)));
                }
                session.send(packets, timeout).await;
            }
            Object::ServerSession(session) => session.send(packets).await,
            Object::Link(link) => {
                for packet in packets {
                    link.send(&context, packet).await;
                }
            }
            Object::Exchange(exchange) => {
                for packet in packets {
                    let bytes = match packet {
                        Payload::Text(text) => text.into_bytes(),
                        Payload::Bytes(bytes) => bytes,
                    };
                    exchange.write(&context, bytes);
                }
            }
            Object::IncomingRequest(..) => {
                return Err(StepError::Broken("a request of the client is answered, not sent to".to_owned()));
            }
        }
        self.last_activity = Instant::now();
        Ok(())
    }

    pub(super) async fn alive(&mut self, step: &Step, subject: &str) -> Result<(), StepError> {
        self.counter = self.counter.saturating_add(1);
        let mark = format!("alive-{}", self.counter);
        let text = |text: String| Payload::Text(text);
        let (question, answer) = if matches!(self.object(subject)?, Object::ServerSession(_)) {
            let joined = self.joined(subject).and_then(|joined| joined.first()).map_or("/", String::as_str);
            (
                self.packet(2, joined, "", &format!(r#"["echo","{mark}"]"#))?,
                self.packet_term(2, joined, "", &format!(r#"["echo-back","{mark}"]"#)),
            )
        } else if !self.options.endpoint.is_socketio() {
            (text(format!("4{mark}")), packet_term(&format!("4{mark}")))
        } else {
            match self.joined(subject).and_then(|joined| joined.first()) {
                None => (self.packet(0, "/", "", "")?, self.packet_term(0, "/", "", r#"{"sid":*,...}"#)),
                Some(namespace) => {
                    // An id below 2^31 that no script uses.
                    let id = 900_000_u32.saturating_add(self.counter).to_string();
                    (
                        self.packet(2, namespace, &id, &format!(r#"["message-with-ack","{mark}"]"#))?,
                        self.packet_term(3, namespace, &id, &format!(r#"["{mark}"]"#)),
                    )
                }
            }
        };
        let window = self.window(step)?;
        self.send(subject, vec![question]).await?;
        let mut noops = 0..10;
        loop {
            return match self.expect(subject, false, std::slice::from_ref(&answer), window.clone()).await {
                // A noop has no content. It is allowed where it is not needed, as on a WebSocket after an upgrade.
                Err(StepError::Failed(_, seen)) if seen == "6" && noops.next().is_some() => continue,
                Err(StepError::Failed(expected, seen)) => failed(format!("the session to be alive: {expected}"), seen),
                other => other,
            };
        }
    }

    pub(super) async fn dead(&mut self, step: &Step, subject: &str) -> Result<(), StepError> {
        let window = self.window(step)?;
        self.expect(subject, false, &[Term(vec![Choice(vec![Outcome::Closed])])], window).await?;
        let timeout = self.options.grace * 4;
        if let Object::ClientSession(session) = self.object(subject)? {
            match tokio::time::timeout(timeout, session.poll_once()).await {
                Ok(Event::Answer(response)) if response.status < 400 => {
                    return failed("the session to be closed", format!("a poll got the answer {}", response.summary()));
                }
                Ok(_) => {}
                Err(_) => return failed("the session to be closed", "a poll is held"),
            }
        }
        Ok(())
    }

    pub(super) async fn close(
        &mut self,
        subject: &str,
        code: Option<&Expression>,
        reason: Option<&Expression>,
    ) -> Result<(), StepError> {
        let code = code.map(|code| code.value(&mut self.scope)?.number()).transpose()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let code = code.map(|code| code as u16);
        let reason = self.text_or(reason, "")?;
        let timeout = self.options.grace * 4;
        let context = Arc::clone(&self.context);
        match self.object(subject)? {
            Object::ClientSession(session) => session.close(code, &reason, timeout).await,
            Object::ServerSession(session) => session.close(code, &reason).await,
            other => link_of(subject, other)?.close(&context, code, &reason).await,
        }
        self.last_activity = Instant::now();
        Ok(())
    }

    pub(super) fn abort(&mut self, subject: &str) -> Result<(), StepError> {
        if subject == "report" {
            self.program = None;
            return Ok(());
        }
        let gone = match self.object(subject)? {
            Object::ClientSession(session) => {
                session.abort();
                false
            }
            Object::ServerSession(session) => {
                session.abort();
                false
            }
            Object::IncomingRequest(request, _) => {
                request.abort();
                false
            }
            Object::Exchange(_) | Object::Link(_) => true,
        };
        if gone {
            self.objects.remove(subject);
        }
        self.last_activity = Instant::now();
        Ok(())
    }

    pub(super) async fn frame(&mut self, subject: &str, raw: &RawFrame) -> Result<(), StepError> {
        let payload = raw.payload.value(&mut self.scope)?.into_bytes();
        let announced = raw.length.as_ref().map(|length| length.value(&mut self.scope)?.number()).transpose()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let announced = announced.map(|length| length as u64);
        let context = Arc::clone(&self.context);
        let link = link_of(subject, self.object(subject)?)?;
        if link.config.transport == LinkTransport::WebTransport {
            if raw.more || raw.wrong_mask || raw.reserved != 0 || !matches!(raw.opcode, TEXT | BINARY) {
                return Err(StepError::Broken("WebTransport has only text and binary frames".to_owned()));
            }
            let announced = announced.unwrap_or(payload.len() as u64);
            link.send_stream_frame(&context, raw.opcode == BINARY, &payload, announced).await;
            self.last_activity = Instant::now();
            return Ok(());
        }
        let masked = (link.config.side == Side::Client) != raw.wrong_mask;
        let frame = Frame { fin: !raw.more, reserved: raw.reserved, opcode: raw.opcode, masked, payload };
        link.send_frame(&context, &frame, announced).await;
        self.last_activity = Instant::now();
        Ok(())
    }
}
