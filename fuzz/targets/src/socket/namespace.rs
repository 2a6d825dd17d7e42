//! A namespace compared with a simple model: any calls of an adapter in any order.

use arbitrary::{Result, Unstructured};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use engineio_proto::Instant;
use socketio_proto::server::{Namespace, NamespaceEvent, Operation, Target};
use socketio_proto::{AckError, AckId, SocketId};

const ROOMS: [&str; 5] = ["a", "b", "c", "AAAAAAAAAAAAAAAAAAAA", ""];

#[derive(Default)]
struct Model {
    now: Instant,
    socket_ids: BTreeMap<u8, SocketId>,
    rooms: BTreeMap<u8, BTreeSet<String>>,
    /// The rooms according to the emitted events.
    reported: BTreeMap<String, BTreeSet<u8>>,
    /// The sockets that still have to answer, and the deadline.
    pending_acks: BTreeMap<AckId, (BTreeSet<u8>, Instant)>,
    ids: BTreeSet<AckId>,
}

/// Input: a byte per operation, followed by its arguments.
pub fn namespace(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let mut machine = Namespace::new();
    machine.observe_rooms();
    let mut model = Model::default();
    while !input.is_empty() {
        step(&mut machine, &mut model, &mut input)?;
        handle_events(&mut machine, &mut model);
        compare(&machine, &model);
    }
    let everybody: Vec<u8> = model.rooms.keys().copied().collect();
    for key in everybody {
        machine.remove(key);
        model.rooms.remove(&key);
        model.socket_ids.remove(&key);
        handle_events(&mut machine, &mut model);
    }
    assert!(
        machine.is_empty() && model.reported.is_empty() && model.pending_acks.is_empty(),
        "state is left: {machine:?}"
    );
    assert_eq!(machine.poll_timeout(), None);
    Ok(())
}

fn step(machine: &mut Namespace<u8>, model: &mut Model, input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0..=8)? {
        0 => {
            let key = input.int_in_range(0..=15_u8)?;
            // Two sockets may have the same id. The id then finds the socket that was added last.
            let id = SocketId::from_random([key / 2; 15]);
            machine.add(key, &id);
            if !model.rooms.contains_key(&key) {
                model.rooms.insert(key, BTreeSet::from([id.to_string()]));
                model.socket_ids.insert(key, id);
            }
        }
        1 => {
            let key = input.int_in_range(0..=15_u8)?;
            machine.remove(key);
            model.rooms.remove(&key);
            model.socket_ids.remove(&key);
        }
        2 | 3 => {
            let (key, room) = (input.int_in_range(0..=15_u8)?, *input.choose(&ROOMS)?);
            machine.apply(Operation::Join { target: &Target::socket(key), rooms: &[room] });
            if let Some(rooms) = model.rooms.get_mut(&key) {
                rooms.insert(room.into());
            }
        }
        4 => {
            let (key, room) = (input.int_in_range(0..=15_u8)?, *input.choose(&ROOMS)?);
            machine.apply(Operation::Leave { target: &Target::socket(key), rooms: &[room] });
            if let Some(rooms) = model.rooms.get_mut(&key) {
                rooms.remove(room);
            }
        }
        5 => {
            let (target, meant) = target(model, input)?;
            let found: Vec<u8> = machine.apply(Operation::Emit { target: &target }).collect();
            assert_eq!(found, meant, "{target:?}");
        }
        6 => {
            let (target, meant) = target(model, input)?;
            let timeout = Duration::from_millis(u64::from(input.arbitrary::<u8>()?));
            let ack = machine.reserve_ack();
            let id = ack.id();
            assert!(model.ids.insert(id) && id.0 % 2 == 1, "{id:?} is reused");
            model.pending_acks.insert(id, (meant.iter().copied().collect(), model.now + timeout));
            let operation = Operation::EmitWithAck { target: &target, ack, deadline: model.now + timeout };
            assert_eq!(machine.apply(operation).collect::<Vec<_>>(), meant, "{target:?}");
        }
        7 => {
            let (key, id) = (input.int_in_range(0..=15_u8)?, AckId(u32::from(input.int_in_range(0..=31_u8)?)));
            machine.handle_ack(key, id, Err(AckError::Disconnected));
        }
        _ => {
            model.now += Duration::from_millis(u64::from(input.arbitrary::<u8>()?));
            let due = machine.poll_timeout();
            assert_eq!(due, model.pending_acks.values().map(|(_, deadline)| *deadline).min());
            machine.handle_timeout(model.now);
            assert!(machine.poll_timeout().is_none_or(|deadline| deadline > model.now), "I2");
        }
    }
    Ok(())
}

fn target(model: &Model, input: &mut Unstructured<'_>) -> Result<(Target<u8>, Vec<u8>)> {
    let (include, except, sender) = (input.arbitrary::<u8>()?, input.arbitrary::<u8>()?, input.arbitrary::<u8>()?);
    let mut target = Target::everybody();
    for (bit, room) in ROOMS.into_iter().enumerate() {
        if include >> bit & 1 == 1 {
            target = target.to(room);
        }
        if except >> bit & 1 == 1 {
            target = target.except(room);
        }
    }
    if sender & 1 == 1 {
        target = target.without(sender >> 1 & 15);
    }
    if sender >> 5 == 7 {
        target.only = Some(except >> 4);
    }
    let is_meant = |(key, rooms): (&u8, &BTreeSet<String>)| {
        let included = match target.only {
            Some(only) => only == *key,
            None => target.rooms.is_empty() || !target.rooms.is_disjoint(rooms),
        };
        (included && target.except.is_disjoint(rooms) && target.sender != Some(*key)).then_some(*key)
    };
    let meant = model.rooms.iter().filter_map(is_meant).collect();
    Ok((target, meant))
}

fn handle_events(machine: &mut Namespace<u8>, model: &mut Model) {
    while let Some(event) = machine.poll_event() {
        let detail = format!("{event:?}");
        let right = match event {
            NamespaceEvent::RoomCreated { room } => model.reported.insert(room.to_string(), BTreeSet::new()).is_none(),
            NamespaceEvent::RoomDeleted { room } => {
                model.reported.remove(&*room).is_some_and(|members| members.is_empty())
            }
            NamespaceEvent::Joined { socket, room } => {
                model.reported.get_mut(&*room).is_some_and(|members| members.insert(socket))
            }
            NamespaceEvent::Left { socket, room } => {
                model.reported.get_mut(&*room).is_some_and(|members| members.remove(&socket))
            }
            NamespaceEvent::Acked { broadcast, socket, outcome } => {
                let late = outcome == Err(AckError::Timeout);
                let pending_acks = model.pending_acks.get_mut(&broadcast);
                pending_acks.is_some_and(|(pending_acks, deadline)| {
                    late == (*deadline <= model.now && late) && pending_acks.remove(&socket)
                })
            }
            NamespaceEvent::BroadcastDone { broadcast } => {
                model.pending_acks.remove(&broadcast).is_some_and(|(pending_acks, _)| pending_acks.is_empty())
            }
            _ => false,
        };
        assert!(right, "{detail}");
    }
}

fn compare(machine: &Namespace<u8>, model: &Model) {
    let mut rooms: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
    for (key, names) in &model.rooms {
        assert!(machine.contains(*key) && machine.rooms(*key).map(|room| &**room).eq(names.iter().map(|name| &**name)));
        for name in names {
            rooms.entry(name.clone()).or_default().insert(*key);
        }
    }
    assert_eq!((machine.len(), &rooms), (model.rooms.len(), &model.reported));
    for id in model.socket_ids.values() {
        assert!(machine.find(id.as_str()).is_none_or(|key| model.socket_ids.get(&key) == Some(id)));
    }
}
