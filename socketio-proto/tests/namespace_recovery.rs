//! Connection state recovery in a namespace: which packets a client has missed, compared with a model that remembers every recipient of
//! every packet; and what is kept, for how long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "tests fail loudly, their helpers too"
)]

#[path = "custom_parser/compact.rs"]
pub mod compact;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engineio_proto::{CloseReason, Instant};
use proptest::prelude::*;
use socketio_proto::server::{Claim, Kept, Namespace, NamespaceEvent, Operation, RecoveryConfig, Target};
use socketio_proto::{
    DisconnectReason, Encoded, Encoder, Json, MsgPack, Offset, Outgoing, Packet, PacketType, Parser, PrivateId,
    SocketId,
};

const LOST: DisconnectReason = DisconnectReason::Closed(CloseReason::TransportClose);
const DURATION: Duration = Duration::from_secs(120);
const ANY: usize = usize::MAX;

type Key = u32;

fn pid(number: u8) -> PrivateId {
    PrivateId::from_random([number; 18])
}

fn id(number: u8) -> SocketId {
    SocketId::from_random([number; 15])
}

fn offset(number: u32) -> Offset {
    let mut random = [7; 12];
    random[..4].copy_from_slice(&number.to_le_bytes());
    Offset::from_random(random)
}

fn claim(socket: u8, last: u32) -> Claim {
    let text = format!(r#"0{{"pid":"{}","offset":"{}","token":1}}"#, pid(socket), offset(last));
    read(&text).expect("valid")
}

/// Reads a claim from the payload of a CONNECT.
fn read(text: &str) -> Option<Claim> {
    use socketio_proto::Decoder as _;
    let mut decoder = Json.decoder(&socketio_proto::Limits::default());
    let packet = decoder.decode(text.into()).unwrap().unwrap();
    packet.payload?.get(0).ok()
}

fn packet(number: u32) -> Encoded {
    let args = (number,);
    Json.encode(&Outgoing::event("/", None, "n", &args).with_offset(offset(number)), &mut Encoder::new()).unwrap()
}

/// The number of a packet.
fn number(encoded: &Encoded) -> u32 {
    let text = std::str::from_utf8(encoded.frames()[0].data()).unwrap();
    text.strip_prefix(r#"2["n","#).and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap()
}

struct World {
    machine: Namespace<Key>,
    now: Instant,
    keys: Key,
    packets: u32,
}

impl World {
    fn new(change: impl FnOnce(&mut RecoveryConfig)) -> Self {
        let mut config = RecoveryConfig::default();
        change(&mut config);
        Self { machine: Namespace::with_recovery(config), now: Instant::from_millis(5000), keys: 0, packets: 0 }
    }

    fn add(&mut self, socket: u8) -> Key {
        self.keys += 1;
        self.machine.add_recoverable(self.keys, &id(socket), pid(socket));
        self.keys
    }

    /// Emits a packet. Returns its number and the recipients.
    fn emit(&mut self, target: &Target<Key>) -> (u32, Vec<Key>) {
        self.packets += 1;
        let encoded = packet(self.packets);
        let (now, offset) = (self.now, offset(self.packets));
        let operation = Operation::EmitWithOffset { target, now, offset, encoded: &encoded };
        (self.packets, self.machine.apply(operation).collect())
    }

    fn everybody(&mut self) -> u32 {
        self.emit(&Target::everybody()).0
    }

    fn join(&mut self, key: Key, room: &str) {
        self.machine.apply(Operation::Join { target: &Target::socket(key), rooms: &[room] });
    }

    fn leave(&mut self, key: Key, room: &str) {
        self.machine.apply(Operation::Leave { target: &Target::socket(key), rooms: &[room] });
    }

    fn cut(&mut self, key: Key) -> bool {
        self.machine.suspend(self.now, key, &LOST, 0)
    }

    /// The client returns with the offset of this packet. Returns the new key and the packets that it has missed.
    fn returns(&mut self, socket: u8, last: u32) -> Option<(Key, Vec<u32>)> {
        self.keys += 1;
        let restored = self.machine.restore(self.now, self.keys, &claim(socket, last), ANY)?;
        assert_eq!((&restored.id, restored.pid), (&id(socket), pid(socket)));
        Some((self.keys, restored.missed.iter().map(number).collect()))
    }

    /// The keys of sockets that were forgotten.
    fn forgotten(&mut self) -> Vec<Key> {
        std::iter::from_fn(|| self.machine.poll_event())
            .filter_map(|event| match event {
                NamespaceEvent::Forgotten { socket } => Some(socket),
                _ => None,
            })
            .collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.machine.poll_timeout().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now, "I2");
            self.now = deadline;
            let before = self.machine.kept();
            self.machine.handle_timeout(deadline);
            assert_ne!(before, self.machine.kept(), "I3");
        }
        self.now = end;
    }
}

#[test]
fn case_129_and_130_a_returned_socket_has_its_id_and_rooms_and_gets_what_it_has_missed_in_order() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    world.join(ann, "a");
    let seen = world.everybody();
    assert!(world.cut(ann));
    assert!(!world.machine.contains(ann));
    let one = world.emit(&Target::everybody().to("a")).0;
    world.emit(&Target::everybody().to("b"));
    world.emit(&Target::everybody().except("a"));
    let two = world.emit(&Target::everybody().to(id(1).as_str()).without(bob)).0;
    let (key, missed) = world.returns(1, seen).unwrap();
    assert_eq!(missed, [one, two]);
    assert_eq!(
        world.machine.rooms(key).map(|room| room.to_string()).collect::<Vec<_>>(),
        [id(1).to_string(), "a".into()]
    );
    assert_eq!(world.machine.find(id(1).as_str()), Some(key));
    assert_eq!(world.emit(&Target::everybody().to("a")).1, [key], "it is a member again");
    assert!(world.forgotten().is_empty());
}

#[test]
fn the_key_of_a_lost_socket_still_means_its_client() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    let seen = world.everybody();
    assert!(world.cut(ann) && world.cut(bob));
    world.emit(&Target::everybody().without(ann));
    let (private, recipients) = world.emit(&Target::socket(ann));
    assert!(recipients.is_empty());
    let all = world.everybody();
    assert_eq!(world.returns(1, seen).unwrap().1, [private, all]);
    // The key of a socket that is gone for good means nobody, and not everybody.
    world.emit(&Target::socket(ann));
    assert_eq!(world.returns(2, seen).unwrap().1, [private - 1, all]);
}

#[test]
fn what_a_socket_has_sent_itself_is_not_missed_even_under_its_new_key() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let seen = world.everybody();
    world.emit(&Target::everybody().without(ann));
    world.cut(ann);
    let (ann, missed) = world.returns(1, seen).unwrap();
    assert!(missed.is_empty());
    world.emit(&Target::everybody().without(ann));
    world.cut(ann);
    assert!(world.returns(1, seen).unwrap().1.is_empty());
}

#[test]
fn the_former_key_of_a_recovered_socket_still_excludes_it() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    let seen = world.everybody();
    world.cut(ann);
    let (again, _) = world.returns(1, seen).unwrap();
    // The application still has the handle of the socket before its connection was lost.
    assert_eq!(world.emit(&Target::everybody().without(ann)).1, [bob]);
    assert!(world.emit(&Target::everybody().to(id(1).as_str()).without(ann)).1.is_empty());
    world.cut(again);
    world.emit(&Target::everybody().without(ann));
    let (third, missed) = world.returns(1, seen).unwrap();
    assert!(missed.is_empty(), "{missed:?}");
    assert_eq!(world.emit(&Target::everybody().without(ann)).1, [bob]);
    assert_eq!(world.emit(&Target::everybody().without(again)).1, [bob]);
    // A new socket of the same id, after the end of the former, has nothing to do with it.
    world.machine.remove(third);
    let other = world.add(1);
    assert_eq!(world.emit(&Target::everybody().without(ann)).1, [bob, other]);
}

#[test]
fn packets_count_by_the_rooms_of_their_time() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let to = |room: &str| Target::everybody().to(room);
    let seen = world.everybody();
    world.emit(&to("a"));
    world.join(ann, "a");
    let first = world.emit(&to("a")).0;
    world.leave(ann, "a");
    world.emit(&to("a"));
    world.join(ann, "b");
    let second = world.emit(&to("b")).0;
    world.cut(ann);
    let third = world.emit(&to("b")).0;
    world.emit(&to("a"));
    assert_eq!(world.returns(1, seen).unwrap().1, [first, second, third]);
}

#[test]
fn case_133_and_136_a_claim_is_used_up_whether_or_not_it_is_valid() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let seen = world.everybody();
    world.cut(ann);
    assert!(world.returns(1, seen).is_some());
    assert_eq!(world.returns(1, seen), None, "the socket is connected");
    let bob = world.add(2);
    let seen = world.everybody();
    world.cut(bob);
    assert_eq!(world.returns(2, 999), None);
    assert_eq!(world.forgotten(), [bob]);
    assert_eq!(world.returns(2, seen), None);
}

#[test]
fn case_133_an_offset_of_somebody_else_is_not_valid() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    let seen = world.everybody();
    let foreign = world.emit(&Target::socket(bob)).0;
    world.everybody();
    world.cut(ann);
    assert_eq!(world.returns(1, foreign), None);
    // Nor one from before the socket connected.
    let cid = world.add(3);
    world.everybody();
    world.everybody();
    world.cut(cid);
    assert_eq!(world.returns(3, seen), None);
}

#[test]
fn case_135_and_137_only_a_lost_connection_is_recovered_and_only_if_the_client_knows_an_offset() {
    for reason in [
        DisconnectReason::ClientNamespaceDisconnect,
        DisconnectReason::ServerNamespaceDisconnect,
        DisconnectReason::Closed(CloseReason::ParseError(engineio_proto::ParseError::UnknownType)),
    ] {
        let mut world = World::new(|_| {});
        let ann = world.add(1);
        let seen = world.everybody();
        assert!(!world.machine.suspend(world.now, ann, &reason, 0), "{reason}");
        assert_eq!((world.returns(1, seen), world.machine.kept().sessions), (None, 0));
    }
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    assert!(!world.cut(ann));
    assert_eq!(world.machine.kept(), Kept::default());
}

#[test]
fn case_133_nothing_is_kept_after_its_time() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    let seen = world.everybody();
    world.cut(ann);
    world.pass(DURATION - Duration::from_millis(1));
    world.cut(bob);
    assert!(world.returns(1, seen).is_some(), "in time");
    world.pass(DURATION);
    assert_eq!(world.forgotten(), [bob]);
    assert_eq!(world.returns(2, seen), None);
    world.pass(DURATION * 2);
    assert_eq!((world.machine.kept(), world.machine.poll_timeout()), (Kept::default(), None));
}

#[test]
fn a_late_caller_of_the_timeout_recovers_nobody_who_is_too_late() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let seen = world.everybody();
    world.cut(ann);
    world.now += DURATION;
    assert_eq!(world.returns(1, seen), None);
}

#[test]
fn a_client_that_was_quiet_for_long_is_recovered_though_its_last_packet_has_expired() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let seen = world.everybody();
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.machine.kept(), Kept::default());
    world.cut(ann);
    let missed = world.everybody();
    assert_eq!(world.returns(1, seen).unwrap().1, [missed]);
}

#[test]
fn over_the_limit_of_bytes_the_oldest_packets_go_and_who_needs_them_is_not_recovered() {
    let mut world = World::new(|config| config.max_bytes = 3000);
    let (ann, bob) = (world.add(1), world.add(2));
    let early = world.everybody();
    world.cut(ann);
    let late = (0..20).map(|_| world.everybody()).last().unwrap();
    assert!(world.machine.kept().bytes <= 3000);
    assert_eq!(world.returns(1, early), None);
    world.cut(bob);
    assert!(world.returns(2, late).unwrap().1.is_empty());
    // A packet that does not fit alone is not kept, and neither are those before it.
    let (cid, huge) = (world.add(3), "x".repeat(4000));
    let seen = world.everybody();
    let args = (huge,);
    let encoded = Json.encode(&Outgoing::event("/", None, "n", &args), &mut Encoder::new()).unwrap();
    let target = Target::everybody();
    let (now, offset) = (world.now, offset(1_000_000));
    world.machine.apply(Operation::EmitWithOffset { target: &target, now, offset, encoded: &encoded });
    assert_eq!(world.machine.kept().packets, 0);
    world.cut(cid);
    assert_eq!(world.returns(3, seen), None);
}

#[test]
fn over_the_limits_of_sessions_the_oldest_go() {
    for change in [(|config: &mut RecoveryConfig| config.max_sessions = 2) as fn(&mut RecoveryConfig), |config| {
        config.max_session_bytes = 2 * 1500
    }] {
        let mut world = World::new(change);
        let keys: Vec<Key> = (1..=3).map(|socket| world.add(socket)).collect();
        let seen = world.everybody();
        for key in &keys {
            assert!(world.machine.suspend(world.now, *key, &LOST, 1000));
        }
        assert_eq!((world.forgotten(), world.machine.kept().sessions), (vec![keys[0]], 2));
        assert_eq!(world.returns(1, seen), None);
        assert!(world.returns(2, seen).is_some());
    }
}

#[test]
fn what_does_not_fit_in_the_queue_is_not_sent_in_part() {
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let seen = world.everybody();
    world.cut(ann);
    world.everybody();
    let capacity = packet(1).frames()[0].queued_len();
    world.everybody();
    assert!(world.machine.restore(world.now, 99, &claim(1, seen), capacity).is_none());
    assert!(!world.machine.contains(99));
}

#[test]
fn after_many_changes_of_rooms_only_what_is_certain_is_recovered() {
    let mut world = World::new(|_| {});
    let (ann, bob) = (world.add(1), world.add(2));
    let early = world.everybody();
    for _ in 0..100 {
        world.join(ann, "a");
        world.leave(ann, "a");
    }
    let late = world.everybody();
    world.cut(bob);
    assert!(world.returns(2, early).is_some(), "the others do not mind");
    world.cut(ann);
    let after = world.everybody();
    assert_eq!(world.returns(1, late).unwrap().1, [after]);
    let mut world = World::new(|_| {});
    let ann = world.add(1);
    let early = world.everybody();
    for _ in 0..100 {
        world.join(ann, "a");
        world.leave(ann, "a");
    }
    world.everybody();
    world.cut(ann);
    assert_eq!(world.returns(1, early), None);
}

#[test]
fn packets_that_nobody_can_miss_are_not_kept() {
    let mut world = World::new(|_| {});
    world.everybody();
    world.add(1);
    world.emit(&Target::everybody().to("nobody"));
    assert_eq!(world.machine.kept(), Kept::default());
}

#[test]
fn case_133_a_claim_of_wrong_types_is_none() {
    let (pid, offset) = (pid(1).to_string(), offset(1).to_string());
    assert!(read(&format!(r#"0{{"pid":"{pid}","offset":"{offset}"}}"#)).is_some());
    for bad in [
        "{}".to_owned(),
        format!(r#"{{"pid":"{pid}"}}"#),
        format!(r#"{{"offset":"{offset}"}}"#),
        format!(r#"{{"pid":["{pid}"],"offset":"{offset}"}}"#),
        format!(r#"{{"pid":"{pid}","offset":{{"x":"{offset}"}}}}"#),
        format!(r#"{{"pid":"{pid}","offset":"x{offset}"}}"#),
        format!(r#"{{"pid":"{pid}","pid":"{pid}","offset":"{offset}"}}"#),
        format!(r#"{{"pid":"{}","offset":"{offset}"}}"#, "a".repeat(100_000)),
        r#"{"pid":null,"offset":1}"#.to_owned(),
    ] {
        assert_eq!(read(&format!("0{bad}")), None, "{bad}");
    }
}

#[test]
fn the_offset_is_the_last_argument_in_every_format() {
    use socketio_proto::Decoder as _;

    fn relayed<P: Parser>(parser: &P) {
        let one = Offset::from_random([1; 12]);
        let decode = |encoded: Encoded| {
            let mut decoder = parser.decoder(&socketio_proto::Limits::default());
            let mut packet = None;
            for frame in encoded.frames() {
                let data = frame.data().clone();
                let message = if frame.is_binary() {
                    engineio_proto::Message::Binary(data)
                } else {
                    engineio_proto::Message::Text(data.try_into().unwrap())
                };
                packet = decoder.decode(message).unwrap();
            }
            packet.unwrap()
        };
        let encode =
            |outgoing: &Outgoing<'_, (u8, bytes::Bytes)>| decode(parser.encode(outgoing, &mut Encoder::new()).unwrap());
        let args = (5, bytes::Bytes::from_static(b"b"));
        let packet: Packet = encode(&Outgoing::event("/", None, "e", &args).with_offset(one));
        let payload = packet.payload.clone().unwrap();
        assert_eq!((payload.name(), payload.len()), (Some("e"), 3));
        assert_eq!(payload.read::<(u8, bytes::Bytes, String)>().unwrap().2, one.to_string());
        // A received payload, one argument, none.
        let two = Offset::from_random([2; 12]);
        let again = decode(parser.encode(&packet.to_outgoing().with_offset(two), &mut Encoder::new()).unwrap());
        assert_eq!(again.payload.unwrap().get::<String>(3).unwrap(), two.to_string());
        let single =
            decode(parser.encode(&Outgoing::event("/", None, "e", "x").with_offset(two), &mut Encoder::new()).unwrap());
        assert_eq!(single.payload.unwrap().read::<(String, String)>().unwrap(), ("x".into(), two.to_string()));
        let none =
            decode(parser.encode(&Outgoing::event("/", None, "e", &()).with_offset(two), &mut Encoder::new()).unwrap());
        assert_eq!((none.payload.as_ref().unwrap().len(), none.payload.unwrap().get(0)), (1, Ok(two.to_string())));
        let mut bare = Outgoing::<()>::new(PacketType::Event, "/", None).with_offset(two);
        bare.event = Some("e");
        let bare = decode(parser.encode(&bare, &mut Encoder::new()).unwrap());
        assert_eq!(bare.payload.unwrap().get(0), Ok(two.to_string()));
        assert!(parser.encode(&Outgoing::ack("/", 1, &()).with_offset(two), &mut Encoder::new()).is_err());
    }
    relayed(&Json);
    relayed(&MsgPack);
    relayed(&compact::Compact);
}

#[derive(Clone, Debug)]
enum Act {
    Emit {
        room: Option<u8>,
        except: Option<u8>,
        sender: Option<u8>,
        only: Option<u8>,
    },
    Join {
        socket: u8,
        room: u8,
    },
    Leave {
        socket: u8,
        room: u8,
    },
    /// The client receives this part of what is on its way to it.
    Receive {
        socket: u8,
        part: u8,
    },
    Cut {
        socket: u8,
    },
    Return {
        socket: u8,
    },
    Pass {
        seconds: u8,
    },
}

const SOCKETS: u8 = 4;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (socket, room) = (0..SOCKETS, 0..3_u8);
    let some = |range: std::ops::Range<u8>| prop::option::weighted(0.4, range);
    let act = prop_oneof![
        8 => (some(0..3), some(0..3), some(0..SOCKETS), prop::option::weighted(0.2, 0..SOCKETS))
            .prop_map(|(room, except, sender, only)| Act::Emit { room, except, sender, only }),
        3 => (socket.clone(), room.clone()).prop_map(|(socket, room)| Act::Join { socket, room }),
        2 => (socket.clone(), room).prop_map(|(socket, room)| Act::Leave { socket, room }),
        4 => (socket.clone(), any::<u8>()).prop_map(|(socket, part)| Act::Receive { socket, part }),
        3 => socket.clone().prop_map(|socket| Act::Cut { socket }),
        3 => socket.prop_map(|socket| Act::Return { socket }),
        1 => (0..100_u8).prop_map(|seconds| Act::Pass { seconds }),
    ];
    prop::collection::vec(act, 0..120)
}

/// A client, and what it has to get.
#[derive(Default)]
struct Client {
    key: Option<Key>,
    /// Every packet since the socket was created.
    meant: Vec<u32>,
    /// How many of them the client has received. They are a prefix of `meant`: nothing is lost, doubled or out of order.
    received: usize,
    /// Packets on their way over the current connection.
    underway: Vec<u32>,
    rooms: BTreeSet<String>,
    cut_at: Option<Instant>,
}

/// Plays the actions. Returns how often clients were recovered, and how often not.
fn play(acts: &[Act], change: impl FnOnce(&mut RecoveryConfig), certain: bool) -> (u32, u32) {
    let mut world = World::new(change);
    let mut clients: BTreeMap<u8, Client> = BTreeMap::new();
    let (mut recovered, mut refused) = (0, 0);
    let connect = |world: &mut World, socket: u8| {
        let rooms = BTreeSet::from([id(socket).to_string()]);
        Client { key: Some(world.add(socket)), rooms, ..Client::default() }
    };
    for socket in 0..SOCKETS {
        clients.insert(socket, connect(&mut world, socket));
    }
    for act in acts {
        match *act {
            Act::Emit { room, except, sender, only } => {
                let sender = sender.filter(|socket| clients[socket].key.is_some());
                let only = only.filter(|socket| clients[socket].key.is_some());
                let mut target = Target::everybody();
                target.sender = sender.and_then(|socket| clients[&socket].key);
                target.only = only.and_then(|socket| clients[&socket].key);
                target.rooms.extend(room.map(|room| room.to_string()));
                target.except.extend(except.map(|room| room.to_string()));
                let (number, recipients) = world.emit(&target);
                for (socket, client) in &mut clients {
                    let is_in = |room: &Option<u8>| room.is_some_and(|room| client.rooms.contains(&room.to_string()));
                    let meant = only.map_or_else(|| room.is_none() || is_in(&room), |only| only == *socket);
                    let meant = meant && !is_in(&except) && sender != Some(*socket);
                    if meant {
                        client.meant.push(number);
                    }
                    if let Some(key) = client.key {
                        assert_eq!(meant, recipients.contains(&key));
                        client.underway.extend(meant.then_some(number));
                    }
                }
            }
            Act::Join { socket, room } => {
                if let Some(key) = clients[&socket].key {
                    world.join(key, &room.to_string());
                    clients.get_mut(&socket).unwrap().rooms.insert(room.to_string());
                }
            }
            Act::Leave { socket, room } => {
                if let Some(key) = clients[&socket].key {
                    world.leave(key, &room.to_string());
                    clients.get_mut(&socket).unwrap().rooms.remove(&room.to_string());
                }
            }
            Act::Receive { socket, part } => {
                let client = clients.get_mut(&socket).unwrap();
                let count = client.underway.len() * usize::from(part) / 200;
                for number in client.underway.drain(..count.min(client.underway.len())) {
                    assert_eq!(client.meant.get(client.received), Some(&number), "in order, once, none missing");
                    client.received += 1;
                }
            }
            Act::Cut { socket } => {
                let client = clients.get_mut(&socket).unwrap();
                if let Some(key) = client.key.take() {
                    client.underway.clear();
                    world.cut(key);
                    client.cut_at = Some(world.now);
                }
            }
            Act::Return { socket } => {
                let client = &clients[&socket];
                if client.key.is_some() {
                    continue;
                }
                let last = client.received.checked_sub(1).map(|last| client.meant[last]);
                let restored = last.and_then(|last| world.returns(socket, last));
                let client = clients.get_mut(&socket).unwrap();
                match restored {
                    Some((key, missed)) => {
                        recovered += 1;
                        assert_eq!(missed, client.meant[client.received..]);
                        let rooms: BTreeSet<String> = world.machine.rooms(key).map(|room| room.to_string()).collect();
                        assert_eq!(rooms, client.rooms);
                        (client.key, client.underway, client.cut_at) = (Some(key), missed, None);
                    }
                    None => {
                        refused += 1;
                        let in_time =
                            client.cut_at.is_some_and(|cut| world.now.saturating_duration_since(cut) < DURATION);
                        assert!(!(certain && last.is_some() && in_time), "there was no reason to refuse");
                        *client = connect(&mut world, socket);
                    }
                }
            }
            Act::Pass { seconds } => world.pass(Duration::from_secs(seconds.into())),
        }
    }
    world.pass(Duration::from_secs(200_000));
    assert_eq!((world.machine.kept(), world.machine.poll_timeout()), (Kept::default(), None), "nothing is kept");
    (recovered, refused)
}

proptest! {

    /// I13: across any number of cuts, a client gets every event of its rooms once and in order, or is told that it is a new socket. With
    /// enough memory, it is always recovered in time.
    #[test]
    fn a_returned_client_gets_exactly_what_was_addressed_to_it(acts in acts()) {
        play(&acts, |config| config.max_packet_age = Duration::from_secs(100_000), true);
    }

    #[test]
    fn with_little_memory_a_client_gets_all_or_is_told(acts in acts(), packets in 1_usize..12, sessions in 0_usize..4) {
        play(&acts, |config| {
            config.max_bytes = packets * 320;
            config.max_sessions = sessions;
        }, false);
    }
}
