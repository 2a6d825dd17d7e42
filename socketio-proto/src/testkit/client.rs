//! The client side: a model of the sockets of the JavaScript client, over the model of its engine. It follows the protocol
//! unless it is told to violate it. It checks what it receives: only replies that it requested, events in order, and one ack
//! for each event that requests one.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use engineio_proto::testkit::{Random, Violation};
use engineio_proto::{Message, Text};

use super::numbered::{self, Numbered};
use crate::config::Limits;
use crate::packet::{Outgoing, Packet, PacketType};
use crate::parser::{Decoder, Encoder, Json, JsonDecoder, Parser};
use crate::payload::Args;

/// The client's state on one namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Out,
    Asked,
    In,
}

#[derive(Debug)]
struct Space {
    state: State,
    sent: u64,
    received: u64,
    /// The lowest number that the next broadcast can have.
    broadcast: u64,
}

/// An event of the server that requests an ack.
#[derive(Debug)]
pub(super) struct Question {
    namespace: Text,
    id: u64,
    number: u64,
}

/// The sockets of one client.
#[derive(Debug)]
pub(super) struct Client {
    decoder: JsonDecoder,
    encoder: Encoder,
    spaces: BTreeMap<&'static str, Space>,
    /// Ids of the acks that are awaited from the server, with the numbers of their events.
    asked: BTreeMap<u64, u64>,
    answered: BTreeSet<u64>,
    next_id: u64,
    /// Whether the client has violated the protocol. Its expectations do not hold any more.
    rude: bool,
    questions: Vec<Question>,
    outbox: Vec<Message>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) answers: u64,
}

impl Client {
    pub(super) fn new(namespaces: &[&'static str]) -> Self {
        let space = |name: &&'static str| (*name, Space { state: State::Out, sent: 0, received: 0, broadcast: 0 });
        Self {
            decoder: Json.decoder(&Limits::default()),
            encoder: Encoder::new(),
            spaces: namespaces.iter().map(space).collect(),
            asked: BTreeMap::new(),
            answered: BTreeSet::new(),
            next_id: 0,
            rude: false,
            questions: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            received: 0,
            answers: 0,
        }
    }

    /// Takes the messages to send, and the questions of the server.
    pub(super) fn take(&mut self) -> (Vec<Message>, Vec<Question>) {
        (core::mem::take(&mut self.outbox), core::mem::take(&mut self.questions))
    }

    /// Whether all awaited acks have arrived.
    pub(super) fn is_answered(&self) -> bool {
        self.asked.is_empty()
    }

    fn put<A: Args + ?Sized>(&mut self, packet: &Outgoing<'_, A>) {
        let Ok(encoded) = Json.encode(packet, &mut self.encoder) else { return };
        for frame in encoded.frames() {
            let data = frame.data().clone();
            let message = if frame.is_binary() { Message::Binary(data) } else { text(data) };
            self.outbox.push(message);
        }
    }

    fn put_bare(&mut self, packet_type: PacketType, namespace: &str) {
        self.put(&Outgoing::<()> { packet_type, namespace, id: None, event: None, args: None });
    }

    /// Does something that a client is allowed to do.
    pub(super) fn act(&mut self, random: &mut Random, calm: bool) {
        let names: Vec<&'static str> = self.spaces.keys().copied().collect();
        let Some(&name) = random.pick(&names) else { return };
        let Some(space) = self.spaces.get_mut(name) else { return };
        match space.state {
            State::Asked => {}
            State::Out => {
                space.state = State::Asked;
                if random.chance(500) {
                    self.put_bare(PacketType::Connect, name);
                } else {
                    let auth = BTreeMap::from([("token", 123)]);
                    let (packet_type, id) = (PacketType::Connect, None);
                    self.put(&Outgoing { packet_type, namespace: name, id, event: None, args: Some(&auth) });
                }
            }
            State::In if !calm && random.chance(80) => {
                space.state = State::Out;
                self.put_bare(PacketType::Disconnect, name);
            }
            State::In => {
                let number = space.sent;
                space.sent = space.sent.saturating_add(1);
                self.sent = self.sent.saturating_add(1);
                let id = random.chance(300).then_some(self.next_id);
                if let Some(id) = id {
                    self.next_id = self.next_id.saturating_add(1);
                    self.asked.insert(id, number);
                }
                self.put(&Outgoing::event(name, id, "n", &Numbered::new(number)));
            }
        }
    }

    /// Does something that violates the protocol, or that no real client does.
    pub(super) fn misbehave(&mut self, random: &mut Random) {
        const FAULTS: [&str; 10] = [
            "0",
            "1/nowhere,",
            r#"2/nowhere,["n"]"#,
            r#"4{"message":"no"}"#,
            "2",
            r#"51-["n",{"_placeholder":true,"num":0}]"#,
            "3999999[]",
            "nonsense",
            r#"0/another,{"a":1}"#,
            r#"2["connect"]"#,
        ];
        self.rude = true;
        self.outbox.extend(random.pick(&FAULTS).map(|fault| Message::from(*fault)));
    }

    /// Answers a question of the server.
    pub(super) fn answer(&mut self, question: &Question) {
        self.put(&Outgoing::ack(&question.namespace, question.id, &Numbered::new(question.number)));
    }

    /// Receives a message of the server.
    pub(super) fn receive(&mut self, message: Message) -> Result<(), Violation> {
        let decoded = self.decoder.decode(message.clone());
        let decoded = decoded.map_err(|error| Violation::new("I7", format!("client: {error} at {message:?}")))?;
        let Some(packet) = decoded else { return Ok(()) };
        let detail = format!("client: {packet:?}");
        let unexpected = |rule, what: &str| Err(Violation::new(rule, format!("{what}: {detail}")));
        let Packet { packet_type, namespace, id, payload } = packet;
        if packet_type == PacketType::Ack {
            let (Some(id), Some(payload)) = (id, payload) else { return unexpected("acks", "not complete") };
            let Some(number) = self.asked.remove(&id) else { return unexpected("acks", "not asked for") };
            if !self.answered.insert(id) {
                return unexpected("acks", "answered twice");
            }
            self.answers = self.answers.saturating_add(1);
            return if numbered::number(&payload)? == number {
                Ok(())
            } else {
                unexpected("acks", "of another question")
            };
        }
        let Some(space) = self.spaces.get_mut(&*namespace) else {
            return if self.rude { Ok(()) } else { unexpected("namespaces", "never heard of") };
        };
        match (packet_type, payload) {
            (PacketType::Connect, Some(payload)) => {
                let sid: Result<BTreeMap<String, String>, _> = payload.get(0);
                if space.state != State::Asked || !sid.is_ok_and(|reply| reply.keys().eq(["sid"])) {
                    return if self.rude { Ok(()) } else { unexpected("connect", "not asked for") };
                }
                *space = Space { state: State::In, sent: 0, received: 0, broadcast: 0 };
            }
            (PacketType::ConnectError, Some(payload)) => {
                if space.state != State::Asked || payload.len() != 1 {
                    return if self.rude { Ok(()) } else { unexpected("connect", "refused, but not asked for") };
                }
                space.state = State::Out;
            }
            // Packets that were in transit when this side left the namespace are ignored.
            (PacketType::Disconnect, _) if space.state == State::In => space.state = State::Out,
            (PacketType::Event, Some(payload)) if space.state == State::In => {
                let number = numbered::number(&payload)?;
                match payload.name() {
                    Some("n") if number == space.received => {
                        space.received = space.received.saturating_add(1);
                        self.received = self.received.saturating_add(1);
                    }
                    Some("b") if number >= space.broadcast => space.broadcast = number.saturating_add(1),
                    _ => return unexpected("I10", "out of order"),
                }
                self.questions.extend(id.map(|id| Question { namespace, id, number }));
            }
            (PacketType::Disconnect | PacketType::Event, _) => {}
            _ => return unexpected("namespaces", "of no use"),
        }
        Ok(())
    }
}

fn text(data: bytes::Bytes) -> Message {
    Text::try_from(data.clone()).map_or(Message::Binary(data), Message::Text)
}
