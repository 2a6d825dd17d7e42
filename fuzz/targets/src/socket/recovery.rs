//! Connection state recovery in a namespace, compared with a model that remembers every recipient of every packet: any calls of an
//! adapter, and claims of clients that are honest or not.

use core::time::Duration;
use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use engineio_proto::{CloseReason, Instant};
use socketio_proto::server::{Claim, Kept, Namespace, NamespaceEvent, Operation, RecoveryConfig, Target};
use socketio_proto::{
    Decoder as _, DisconnectReason, Encoded, Encoder, Json, Limits, Offset, Outgoing, Parser as _, PrivateId, SocketId,
};

const SOCKETS: u8 = 5;
const ROOMS: [&str; 3] = ["a", "b", "c"];

/// A socket, whose key changes when it is recovered. A new socket of the client has another generation.
#[derive(Default)]
struct Client {
    key: Option<u32>,
    generation: u8,
    /// The numbers of all packets that were addressed to the socket.
    meant: Vec<u32>,
    /// How many of them the client has received.
    received: usize,
    rooms: BTreeSet<String>,
    /// When the connection was lost.
    lost: Option<Instant>,
}

struct World {
    machine: Namespace<u32>,
    config: RecoveryConfig,
    now: Instant,
    keys: u32,
    packets: u32,
    clients: [Client; SOCKETS as usize],
    /// The keys of sockets that are kept.
    kept: BTreeSet<u32>,
}

fn pid(client: u8, generation: u8) -> PrivateId {
    let mut random = [client; 18];
    random[0] = generation;
    PrivateId::from_random(random)
}

fn id(client: u8, generation: u8) -> SocketId {
    let mut random = [client; 15];
    random[0] = generation;
    SocketId::from_random(random)
}

fn offset(number: u32) -> Offset {
    let mut random = [0; 12];
    random[..4].copy_from_slice(&number.to_le_bytes());
    Offset::from_random(random)
}

fn packet(number: u32) -> Encoded {
    let packet = Outgoing::event("/", None, "n", &number).with_offset(offset(number));
    Json.encode(&packet, &mut Encoder::with_piece(0)).expect("a number can be encoded")
}

fn decoded(encoded: &Encoded) -> (u32, String) {
    let message = super::message(&encoded.frames()[0]);
    let packet = Json.decoder(&Limits::default()).decode(message).expect("valid").expect("complete");
    packet.payload.expect("an event has a payload").read().expect("a number and an offset")
}

/// Input: two bytes for the limits; then a byte per operation, followed by its arguments.
pub fn recovery(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let mut config = RecoveryConfig::default();
    // Zero: enough for everything.
    match input.arbitrary::<u8>()? {
        0 => {}
        packets => config.max_bytes = usize::from(packets).saturating_mul(64),
    }
    match input.arbitrary::<u8>()? {
        0 => {}
        sessions => config.max_sessions = usize::from(sessions % 8),
    }
    let machine = Namespace::with_recovery(config.clone());
    let now = Instant::from_millis(1000);
    let mut world =
        World { machine, config, now, keys: 0, packets: 0, clients: Default::default(), kept: BTreeSet::new() };
    while !input.is_empty() {
        world.step(&mut input)?;
        world.check();
    }
    world.end();
    Ok(())
}

impl World {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let action = input.int_in_range(0..=9)?;
        let which = input.int_in_range(0..=SOCKETS - 1)?;
        let client = &mut self.clients[usize::from(which)];
        match (action, client.key) {
            (0..=2, _) => self.emit(which, input.arbitrary()?, input.arbitrary()?),
            (3 | 4, Some(key)) => {
                let (room, target) = (*input.choose(&ROOMS)?, &Target::socket(key));
                if action == 3 {
                    self.machine.apply(Operation::Join { target, rooms: &[room] });
                    client.rooms.insert(room.to_owned());
                } else {
                    self.machine.apply(Operation::Leave { target, rooms: &[room] });
                    client.rooms.remove(room);
                }
            }
            (5, Some(_)) => {
                let part = usize::from(input.arbitrary::<u8>()?);
                client.received = client.received.saturating_add(part).min(client.meant.len());
            }
            (6, Some(key)) => {
                client.key = None;
                client.lost = Some(self.now);
                let reason = match input.int_in_range(0..=3)? {
                    0 => DisconnectReason::ClientNamespaceDisconnect,
                    1 => DisconnectReason::ServerNamespaceDisconnect,
                    _ => DisconnectReason::Closed(CloseReason::PingTimeout),
                };
                let bytes = usize::from(input.arbitrary::<u8>()?);
                if self.machine.suspend(self.now, key, &reason, bytes) {
                    assert!(reason.is_recoverable() && !client.meant.is_empty());
                    self.kept.insert(key);
                }
            }
            (7, None) => {
                // The honest claim, or any other.
                let number = match input.arbitrary::<u8>()? {
                    0 => client.received.checked_sub(1).and_then(|last| client.meant.get(last).copied()),
                    number => Some(u32::from(number)),
                };
                let capacity = input.arbitrary::<u8>()?;
                self.returns(which, number.unwrap_or(0), if capacity == 0 { usize::MAX } else { capacity.into() });
            }
            (8, _) => {
                self.now += Duration::from_secs(u64::from(input.arbitrary::<u8>()?));
                self.machine.handle_timeout(self.now);
                assert!(self.machine.poll_timeout().is_none_or(|deadline| deadline > self.now), "I2");
            }
            (_, None) => self.connect(which),
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, which: u8) {
        self.keys = self.keys.saturating_add(1);
        let client = &mut self.clients[usize::from(which)];
        let generation = client.generation.wrapping_add(1);
        let id = id(which, generation);
        self.machine.add_recoverable(self.keys, &id, pid(which, generation));
        *client =
            Client { key: Some(self.keys), generation, rooms: BTreeSet::from([id.to_string()]), ..Client::default() };
    }

    fn emit(&mut self, which: u8, rooms: u8, how: u8) {
        self.packets = self.packets.saturating_add(1);
        let number = self.packets;
        let mut target = Target::everybody();
        for (bit, room) in ROOMS.into_iter().enumerate() {
            if rooms >> bit & 1 == 1 {
                target = target.to(room);
            }
            if rooms >> (bit + 4) & 1 == 1 {
                target = target.except(room);
            }
        }
        let sender = self.clients[usize::from(which)].key;
        if how & 1 == 1 {
            target.sender = sender;
        } else if how & 2 == 2 {
            target.only = sender;
        }
        let encoded = packet(number);
        let operation =
            Operation::EmitWithOffset { target: &target, now: self.now, offset: offset(number), encoded: &encoded };
        let recipients: BTreeSet<u32> = self.machine.apply(operation).collect();
        let mut online = BTreeSet::new();
        for (index, client) in self.clients.iter_mut().enumerate() {
            let is_addressed = index == usize::from(which);
            let included = match target.only {
                Some(_) => is_addressed,
                None => target.rooms.is_empty() || !target.rooms.is_disjoint(&client.rooms),
            };
            let sent_it = target.sender.is_some() && is_addressed;
            if included && !sent_it && target.except.is_disjoint(&client.rooms) {
                client.meant.push(number);
                online.extend(client.key);
            }
        }
        assert_eq!(recipients, online, "{target:?}");
    }

    fn returns(&mut self, which: u8, number: u32, capacity: usize) {
        self.keys = self.keys.saturating_add(1);
        let client = &mut self.clients[usize::from(which)];
        let claim = format!(r#"0{{"pid":"{}","offset":"{}"}}"#, pid(which, client.generation), offset(number));
        let connect = Json.decoder(&Limits::default()).decode(claim.into()).expect("valid").expect("complete");
        let claim: Claim = connect.payload.expect("an object").get(0).expect("a claim");
        let Some(restored) = self.machine.restore(self.now, self.keys, &claim, capacity) else {
            // A claim is used up. Nobody who is kept is refused without a limit or a wrong offset.
            let honest = client.received.checked_sub(1).and_then(|last| client.meant.get(last)) == Some(&number);
            let lost = client.lost.take();
            let in_time = lost
                .is_some_and(|lost| self.now.saturating_duration_since(lost) < self.config.max_disconnection_duration);
            let was_kept = self.machine.kept().sessions < self.kept.len();
            let latest = client.meant.last() == Some(&number);
            let unlimited = self.config.max_bytes > 1 << 20 && capacity == usize::MAX;
            assert!(!(was_kept && honest && latest && in_time && unlimited), "refused without a reason");
            return;
        };
        assert!(self.kept.remove(&restored.former), "it was kept");
        let client = &mut self.clients[usize::from(which)];
        let at =
            client.meant.iter().position(|meant| *meant == number).expect("the packet was addressed to the socket");
        let (missed, offsets): (Vec<u32>, Vec<String>) = restored.missed.iter().map(decoded).unzip();
        assert_eq!(missed, client.meant[at.saturating_add(1)..], "I13");
        assert!(missed.iter().zip(offsets).all(|(number, text)| offset(*number).to_string() == text));
        let bytes: usize =
            restored.missed.iter().flat_map(|packet| packet.frames()).map(|frame| frame.queued_len()).sum();
        assert!(bytes <= capacity);
        assert_eq!(restored.id, id(which, client.generation));
        let rooms: BTreeSet<String> = self.machine.rooms(self.keys).map(|room| room.to_string()).collect();
        assert_eq!(rooms, client.rooms);
        (client.key, client.received, client.lost) = (Some(self.keys), at.saturating_add(1), None);
    }

    fn check(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                NamespaceEvent::Forgotten { socket } => _ = self.kept.remove(&socket),
                event => panic!("{event:?}"),
            }
        }
        let kept = self.machine.kept();
        assert_eq!(kept.sessions, self.kept.len(), "every session ends once");
        assert!(kept.bytes <= self.config.max_bytes && kept.sessions <= self.config.max_sessions);
        assert!(kept.session_bytes <= self.config.max_session_bytes);
        assert_eq!((kept.packets == 0, kept.sessions == 0), (kept.bytes == 0, kept.session_bytes == 0));
    }

    /// Nothing is kept after its time.
    fn end(&mut self) {
        while let Some(deadline) = self.machine.poll_timeout() {
            let before = self.machine.kept();
            self.machine.handle_timeout(deadline);
            assert_ne!(self.machine.kept(), before, "I3");
        }
        self.check();
        assert_eq!(self.machine.kept(), Kept::default());
    }
}
