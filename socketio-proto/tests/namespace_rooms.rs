//! Room membership, and the recipients of an operation. Numbers in the names of tests are those of `adapters/tokio/tests/README.md`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use socketio_proto::SocketId;
use socketio_proto::server::{Namespace, NamespaceEvent, Operation, Target};

fn id(key: u32) -> SocketId {
    SocketId::new(format!("sid-{key}")).unwrap()
}

fn with(keys: impl IntoIterator<Item = u32>) -> Namespace<u32> {
    let mut namespace = Namespace::new();
    for key in keys {
        namespace.add(key, &id(key));
    }
    namespace
}

fn recipients(namespace: &mut Namespace<u32>, target: &Target<u32>) -> Vec<u32> {
    let recipients: Vec<u32> = namespace.apply(Operation::Fetch { target }).collect();
    for operation in [Operation::Emit { target }, Operation::Disconnect { target }] {
        assert_eq!(recipients, namespace.apply(operation).collect::<Vec<_>>());
    }
    recipients
}

fn join(namespace: &mut Namespace<u32>, key: u32, room: &str) {
    let target = &Target::socket(key);
    assert_eq!(namespace.apply(Operation::Join { target, rooms: &[room] }).next(), None);
}

fn leave(namespace: &mut Namespace<u32>, key: u32, room: &str) {
    let target = &Target::socket(key);
    assert_eq!(namespace.apply(Operation::Leave { target, rooms: &[room] }).next(), None);
}

fn everybody() -> Target<u32> {
    Target::everybody()
}

fn event_lines(namespace: &mut Namespace<u32>) -> Vec<String> {
    let short = |event| match event {
        NamespaceEvent::RoomCreated { room } => format!("create {room}"),
        NamespaceEvent::RoomDeleted { room } => format!("delete {room}"),
        NamespaceEvent::Joined { socket, room } => format!("{socket} joins {room}"),
        NamespaceEvent::Left { socket, room } => format!("{socket} leaves {room}"),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| namespace.poll_event()).map(short).collect()
}

#[test]
fn case_116_each_member_of_several_rooms_is_selected_once() {
    let mut namespace = with(1..=5);
    for (key, room) in [(1, "a"), (2, "a"), (2, "b"), (3, "b"), (4, "c")] {
        join(&mut namespace, key, room);
    }
    assert_eq!(recipients(&mut namespace, &everybody().to("a").to("b")), [1, 2, 3]);
    assert_eq!(recipients(&mut namespace, &everybody().to("a").to("b").without(2)), [1, 3]);
    assert_eq!(recipients(&mut namespace, &everybody().to("a")), [1, 2]);
    assert_eq!(recipients(&mut namespace, &everybody()), [1, 2, 3, 4, 5]);
    assert_eq!(recipients(&mut namespace, &everybody().without(3)), [1, 2, 4, 5]);
    assert!(recipients(&mut namespace, &everybody().to("nobody")).is_empty(), "an empty room selects nobody");
    assert_eq!(recipients(&mut namespace, &everybody().to("nobody").to("c")), [4]);
}

#[test]
fn case_117_excluded_rooms_and_ids_are_not_selected() {
    let mut namespace = with(1..=4);
    for (key, room) in [(1, "a"), (2, "a"), (3, "a"), (2, "quiet"), (4, "quiet")] {
        join(&mut namespace, key, room);
    }
    assert_eq!(recipients(&mut namespace, &everybody().except("quiet")), [1, 3]);
    assert_eq!(recipients(&mut namespace, &everybody().except("sid-1")), [2, 3, 4]);
    assert_eq!(recipients(&mut namespace, &everybody().to("a").except("quiet")), [1, 3]);
    assert_eq!(recipients(&mut namespace, &everybody().to("a").to("quiet").except("sid-3").without(1)), [2, 4]);
    assert_eq!(recipients(&mut namespace, &everybody().to("a").except("nobody")), [1, 2, 3]);
}

#[test]
fn case_118_narrowing_a_target_does_not_change_the_original() {
    let base = everybody().to("a");
    let narrowed = base.clone().except("b");
    assert_eq!(base, everybody().to("a"));
    assert_ne!(base, narrowed);
}

#[test]
fn case_119_rooms_are_created_with_their_first_member_and_deleted_with_their_last() {
    let mut namespace = Namespace::new();
    namespace.observe_rooms();
    namespace.add(1, &id(1));
    assert_eq!(event_lines(&mut namespace), ["create sid-1", "1 joins sid-1"]);
    namespace.add(2, &id(2));
    event_lines(&mut namespace);
    join(&mut namespace, 1, "a");
    join(&mut namespace, 1, "a");
    join(&mut namespace, 2, "a");
    assert_eq!(event_lines(&mut namespace), ["create a", "1 joins a", "2 joins a"]);
    leave(&mut namespace, 1, "a");
    leave(&mut namespace, 1, "a");
    leave(&mut namespace, 1, "never joined");
    assert_eq!(event_lines(&mut namespace), ["1 leaves a"]);
    leave(&mut namespace, 2, "a");
    assert_eq!(event_lines(&mut namespace), ["2 leaves a", "delete a"]);
    join(&mut namespace, 2, "b");
    event_lines(&mut namespace);
    namespace.remove(2);
    assert_eq!(event_lines(&mut namespace), ["2 leaves b", "delete b", "2 leaves sid-2", "delete sid-2"]);
}

#[test]
fn room_events_are_emitted_only_with_an_observer() {
    let mut namespace = with(1..=2);
    join(&mut namespace, 1, "a");
    assert!(event_lines(&mut namespace).is_empty(), "no observer");
    namespace.observe_rooms();
    namespace.observe_rooms();
    namespace.unobserve_rooms();
    join(&mut namespace, 1, "b");
    assert_eq!(event_lines(&mut namespace), ["create b", "1 joins b"], "one of two observers is left");
    namespace.unobserve_rooms();
    namespace.remove(1);
    assert!(event_lines(&mut namespace).is_empty(), "no observer again");
}

#[test]
fn case_120_a_join_after_removal_is_ignored_and_a_socket_may_join_several_rooms() {
    let mut namespace = with(1..=2);
    for room in ["b", "c", "a"] {
        join(&mut namespace, 1, room);
    }
    assert_eq!(namespace.rooms(1).collect::<Vec<_>>(), ["a", "b", "c", "sid-1"]);
    namespace.remove(1);
    join(&mut namespace, 1, "ghost");
    assert_eq!(namespace.rooms(1).count(), 0);
    assert!(recipients(&mut namespace, &everybody().to("ghost").to("a").to("sid-1")).is_empty());
    assert_eq!((namespace.len(), namespace.find("sid-1"), namespace.contains(1)), (1, None, false));
    namespace.remove(1);
    assert_eq!(namespace.len(), 1);
}

#[test]
fn case_101_a_socket_stays_in_its_rooms_until_it_is_removed() {
    let mut namespace = with([1]);
    join(&mut namespace, 1, "a");
    assert_eq!(namespace.rooms(1).count(), 2, "a handler of `disconnecting` still finds the rooms");
    namespace.remove(1);
    assert_eq!(namespace.rooms(1).count(), 0, "a handler of `disconnect` finds no rooms");
}

#[test]
fn case_121_and_122_the_sockets_of_a_target_can_be_listed_and_moved() {
    let mut namespace = with(1..=3);
    join(&mut namespace, 1, "a");
    join(&mut namespace, 2, "a");
    let target = &everybody().to("a");
    assert_eq!(namespace.apply(Operation::Join { target, rooms: &["b", "c"] }).next(), None);
    assert_eq!(namespace.apply(Operation::Leave { target, rooms: &["a", "c", "a"] }).next(), None);
    assert!(recipients(&mut namespace, &everybody().to("c")).is_empty());
    assert!(recipients(&mut namespace, &everybody().to("a")).is_empty());
    assert_eq!(recipients(&mut namespace, &everybody().to("b")), [1, 2]);
    assert_eq!(namespace.find("sid-3"), Some(3));
}

#[test]
fn the_room_of_the_own_id_can_be_left_and_the_socket_is_still_found() {
    let mut namespace = with(1..=2);
    assert_eq!(recipients(&mut namespace, &everybody().to("sid-1")), [1]);
    leave(&mut namespace, 1, "sid-1");
    assert!(recipients(&mut namespace, &everybody().to("sid-1")).is_empty());
    assert_eq!(namespace.find("sid-1"), Some(1));
    join(&mut namespace, 2, "sid-1");
    assert_eq!(recipients(&mut namespace, &everybody().to("sid-1")), [2]);
    namespace.remove(1);
    assert_eq!(recipients(&mut namespace, &everybody().to("sid-1")), [2]);
}

#[test]
fn a_target_selects_the_sockets_of_its_definition_for_any_rooms() {
    // Every combination of memberships of four sockets in two rooms, compared with the definition.
    let named = |rooms: &[&str], key: u32, bits: u32| {
        rooms.iter().any(|room| match *room {
            "a" => bits >> (2 * key) & 1 == 1,
            "b" => bits >> (2 * key + 1) & 1 == 1,
            own => own == format!("sid-{key}"),
        })
    };
    let choices: [&[&str]; 5] = [&[], &["a"], &["a", "b"], &["b", "sid-2"], &["nobody"]];
    for bits in 0..256 {
        let mut namespace = with(0..4);
        for key in 0..4 {
            for (shift, room) in [(0, "a"), (1, "b")] {
                if bits >> (2 * key + shift) & 1 == 1 {
                    join(&mut namespace, key, room);
                }
            }
        }
        for rooms in choices {
            for except in choices {
                for sender in [None, Some(1)] {
                    let target = Target {
                        rooms: rooms.iter().map(ToString::to_string).collect(),
                        except: except.iter().map(ToString::to_string).collect(),
                        sender,
                        only: None,
                    };
                    let meant = |key: &u32| {
                        (rooms.is_empty() || named(rooms, *key, bits))
                            && !named(except, *key, bits)
                            && sender != Some(*key)
                    };
                    let expected: Vec<u32> = (0..4).filter(meant).collect();
                    assert_eq!(recipients(&mut namespace, &target), expected, "{bits:08b} {target:?}");
                }
            }
        }
    }
}

#[test]
fn one_socket_alone_is_found_by_its_key_if_it_is_here() {
    let mut namespace = with(1..=3);
    leave(&mut namespace, 1, "sid-1");
    assert_eq!(recipients(&mut namespace, &Target::socket(1)), [1], "its rooms do not matter");
    assert_eq!(recipients(&mut namespace, &Target::socket(1).to("sid-2")), [1], "nor do rooms of the target");
    join(&mut namespace, 1, "quiet");
    assert!(recipients(&mut namespace, &Target::socket(1).except("quiet")).is_empty());
    assert!(recipients(&mut namespace, &Target::socket(1).without(1)).is_empty());
    assert!(recipients(&mut namespace, &Target::socket(7)).is_empty());
    namespace.remove(1);
    assert!(recipients(&mut namespace, &Target::socket(1)).is_empty());
}
