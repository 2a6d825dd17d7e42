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
    NotJoined,
    Joining,
    Joined,
}

#[derive(Debug)]
struct NamespaceState {
    state: State,
    sent: u64,
    received: u64,
    /// The lowest number that the next broadcast can have.
    broadcast: u64,
}

/// An event of the server that requests an ack.
#[derive(Debug)]
pub(super) struct AckRequest {
    namespace: Text,
    id: u64,
    number: u64,
}

/// The sockets of one client.
#[derive(Debug)]
pub(super) struct Client {
    decoder: JsonDecoder,
    encoder: Encoder,
    namespaces: BTreeMap<&'static str, NamespaceState>,
    /// Ids of the acks that are awaited from the server, with the numbers of their events.
    awaited_acks: BTreeMap<u64, u64>,
    received_acks: BTreeSet<u64>,
    next_id: u64,
    /// Whether the client has violated the protocol. Its expectations do not hold any more.
    violated_protocol: bool,
    ack_requests: Vec<AckRequest>,
    outbox: Vec<Message>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) acks: u64,
}

impl Client {
    pub(super) fn new(namespaces: &[&'static str]) -> Self {
        let socket = |name: &&'static str| {
            (*name, NamespaceState { state: State::NotJoined, sent: 0, received: 0, broadcast: 0 })
        };
        Self {
            decoder: Json.decoder(&Limits::default()),
            encoder: Encoder::new(),
            namespaces: namespaces.iter().map(socket).collect(),
            awaited_acks: BTreeMap::new(),
            received_acks: BTreeSet::new(),
            next_id: 0,
            violated_protocol: false,
            ack_requests: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            received: 0,
            acks: 0,
        }
    }

    /// Takes the messages to send, and the questions of the server.
    pub(super) fn take(&mut self) -> (Vec<Message>, Vec<AckRequest>) {
        (core::mem::take(&mut self.outbox), core::mem::take(&mut self.ack_requests))
    }

    /// Whether all awaited acks have arrived.
    pub(super) fn all_acks_arrived(&self) -> bool {
        self.awaited_acks.is_empty()
    }

    fn queue<A: Args + ?Sized>(&mut self, packet: &Outgoing<'_, A>) {
        let Ok(encoded) = Json.encode(packet, &mut self.encoder) else { return };
        for frame in encoded.frames() {
            let data = frame.data().clone();
            let message = if frame.is_binary() { Message::Binary(data) } else { text(data) };
            self.outbox.push(message);
        }
    }

    fn queue_without_payload(&mut self, packet_type: PacketType, namespace: &str) {
        self.queue(&Outgoing::<()>::new(packet_type, namespace, None));
    }

    /// Does something that a client is allowed to do.
    pub(super) fn act(&mut self, random: &mut Random, well_behaved: bool) {
        let names: Vec<&'static str> = self.namespaces.keys().copied().collect();
        let Some(&name) = random.pick(&names) else { return };
        let Some(socket) = self.namespaces.get_mut(name) else { return };
        match socket.state {
            State::Joining => {}
            State::NotJoined => {
                socket.state = State::Joining;
                if random.chance(500) {
                    self.queue_without_payload(PacketType::Connect, name);
                } else {
                    let auth = BTreeMap::from([("token", 123)]);
                    self.queue(&Outgoing::new(PacketType::Connect, name, Some(&auth)));
                }
            }
            State::Joined if !well_behaved && random.chance(80) => {
                socket.state = State::NotJoined;
                self.queue_without_payload(PacketType::Disconnect, name);
            }
            State::Joined => {
                let number = socket.sent;
                socket.sent = socket.sent.saturating_add(1);
                self.sent = self.sent.saturating_add(1);
                let id = random.chance(300).then_some(self.next_id);
                if let Some(id) = id {
                    self.next_id = self.next_id.saturating_add(1);
                    self.awaited_acks.insert(id, number);
                }
                self.queue(&Outgoing::event(name, id, "n", &Numbered::new(number)));
            }
        }
    }

    /// Does something that violates the protocol, or that no real client does.
    pub(super) fn violate_protocol(&mut self, random: &mut Random) {
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
        self.violated_protocol = true;
        self.outbox.extend(random.pick(&FAULTS).map(|fault| Message::from(*fault)));
    }

    /// Answers a question of the server.
    pub(super) fn ack(&mut self, request: &AckRequest) {
        self.queue(&Outgoing::ack(&request.namespace, request.id, &Numbered::new(request.number)));
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
            let (Some(id), Some(payload)) = (id, payload) else { return unexpected("acks", "incomplete") };
            let Some(number) = self.awaited_acks.remove(&id) else { return unexpected("acks", "not requested") };
            if !self.received_acks.insert(id) {
                return unexpected("acks", "received twice");
            }
            self.acks = self.acks.saturating_add(1);
            return if numbered::number(&payload)? == number { Ok(()) } else { unexpected("acks", "of another event") };
        }
        let Some(socket) = self.namespaces.get_mut(&*namespace) else {
            return if self.violated_protocol { Ok(()) } else { unexpected("namespaces", "unknown") };
        };
        match (packet_type, payload) {
            (PacketType::Connect, Some(payload)) => {
                let sid: Result<BTreeMap<String, String>, _> = payload.get(0);
                if socket.state != State::Joining || !sid.is_ok_and(|reply| reply.keys().eq(["sid"])) {
                    return if self.violated_protocol { Ok(()) } else { unexpected("connect", "not requested") };
                }
                *socket = NamespaceState { state: State::Joined, sent: 0, received: 0, broadcast: 0 };
            }
            (PacketType::ConnectError, Some(payload)) => {
                if socket.state != State::Joining || payload.len() != 1 {
                    return if self.violated_protocol {
                        Ok(())
                    } else {
                        unexpected("connect", "refused, but not requested")
                    };
                }
                socket.state = State::NotJoined;
            }
            // Packets that were in transit when this side left the namespace are ignored.
            (PacketType::Disconnect, _) if socket.state == State::Joined => socket.state = State::NotJoined,
            (PacketType::Event, Some(payload)) if socket.state == State::Joined => {
                let number = numbered::number(&payload)?;
                match payload.name() {
                    Some("n") if number == socket.received => {
                        socket.received = socket.received.saturating_add(1);
                        self.received = self.received.saturating_add(1);
                    }
                    Some("b") if number >= socket.broadcast => socket.broadcast = number.saturating_add(1),
                    _ => return unexpected("I10", "out of order"),
                }
                self.ack_requests.extend(id.map(|id| AckRequest { namespace, id, number }));
            }
            (PacketType::Disconnect | PacketType::Event, _) => {}
            _ => return unexpected("namespaces", "unexpected"),
        }
        Ok(())
    }
}

fn text(data: bytes::Bytes) -> Message {
    Text::try_from(data.clone()).map_or(Message::Binary(data), Message::Text)
}
