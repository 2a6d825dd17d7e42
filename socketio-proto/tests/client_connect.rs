//! How the sockets of a client join their namespaces and leave them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

mod client_world;

use engineio_proto::client::Input;
use socketio_proto::client::{Auth, Config, ConnectError, Event, SocketOptions};
use socketio_proto::{DisconnectReason, EmitError, SocketId};

use self::client_world::World;

fn asked() -> SocketOptions {
    let mut options = SocketOptions::default();
    options.auth = Auth::Asked;
    options
}

#[test]
fn a_socket_joins_when_the_connection_is_open_and_has_an_id() {
    let mut world = World::new();
    let socket = world.client.socket("/", SocketOptions::default()).unwrap();
    assert_eq!((world.events().len(), world.dials), (0, 0), "nothing happens by itself");
    assert!(!world.client.is_active(socket));
    world.client.connect(world.now, socket);
    world.settle();
    assert_eq!(world.dials, 1);
    assert!(world.client.is_active(socket) && !world.client.is_connected(socket));
    world.accept();
    assert_eq!(world.sent(), ["40"]);
    assert_eq!(world.events(), ["open"]);
    world.send(r#"40{"sid":"abc"}"#);
    assert_eq!(world.events(), ["connect 0"]);
    assert_eq!(world.client.id(socket), SocketId::new("abc").ok().as_ref());
    assert!(world.client.is_connected(socket));
}

#[test]
fn several_namespaces_share_a_connection_and_do_not_need_the_root() {
    let mut world = World::new();
    let admin = world.connect("/admin");
    world.accept();
    assert_eq!(world.sent(), ["40/admin,"]);
    let chat = world.connect("chat");
    assert_eq!(world.client.namespace(chat).map(|name| &**name), Some("/chat"), "a slash is added");
    assert_eq!(world.sent(), ["40/chat,"]);
    world.send(r#"40/chat,{"sid":"c"}"#);
    world.send(r#"40/admin,{"sid":"a"}"#);
    world.send(r#"42/chat,["x",1]"#);
    world.send(r#"42/admin,["y"]"#);
    world.send(r#"42/unknown,["z"]"#);
    world.send(r#"42["root"]"#);
    assert_eq!(world.events(), ["open", "connect 1", "connect 0", "1 x(1)", "0 y()"]);
    assert_eq!(world.client.socket("/admin", SocketOptions::default()), Ok(admin), "one socket for each namespace");
    assert_eq!(world.client.sockets().collect::<Vec<_>>(), [admin, chat]);
    assert_eq!(world.dials, 1);
}

#[test]
fn a_socket_that_leaves_before_the_server_answers_and_comes_back_joins_once() {
    let mut world = World::exact();
    let _root = world.connect("/");
    let socket = world.connect("/a");
    world.accept();
    assert_eq!(world.sent(), ["40", "40/a,"]);
    world.client.disconnect(world.now, socket);
    world.client.connect(world.now, socket);
    assert!(world.client.is_active(socket));
    assert!(world.sent().is_empty(), "the server would take a second CONNECT for a second socket");
    world.send(r#"40/a,{"sid":"former"}"#);
    assert_eq!(world.sent(), ["41/a,", "40/a,"], "the server forgets the former socket");
    world.send(r#"42/a,["for the former"]"#);
    world.send(r#"40/a,{"sid":"new"}"#);
    world.send(r#"42/a,["for the new"]"#);
    assert_eq!(world.events(), ["open", "connect 1", "1 for the new()"]);
    assert_eq!(world.client.id(socket), SocketId::new("new").ok().as_ref());
}

#[test]
fn a_socket_that_left_is_not_concerned_by_the_refusal_of_its_former_attempt() {
    let mut world = World::exact();
    let _root = world.connect("/");
    let socket = world.connect("/a");
    world.accept();
    world.client.disconnect(world.now, socket);
    world.client.connect(world.now, socket);
    assert_eq!(world.sent(), ["40", "40/a,"]);
    world.send(r#"44/a,{"message":"not with that auth"}"#);
    assert_eq!((world.sent(), world.events()), (vec!["40/a,".into()], vec!["open".into()]));
    world.client.disconnect(world.now, socket);
    world.send(r#"40/a,{"sid":"late"}"#);
    assert_eq!(world.sent(), ["41/a,"], "nobody wants it any more");
    assert!(world.events().is_empty());
}

#[test]
fn the_answer_to_a_removed_socket_is_awaited_and_counts_as_a_socket() {
    let mut config = Config::default();
    config.limits.max_namespaces = 2;
    let mut world = World::with(config);
    let _root = world.connect("/");
    let socket = world.connect("/a");
    world.accept();
    world.client.remove(world.now, socket);
    assert_eq!(world.client.socket("/b", SocketOptions::default()), Err(EmitError::TooManySockets));
    world.send(r#"40/a,{"sid":"a"}"#);
    assert_eq!(world.sent(), ["40", "40/a,", "41/a,"]);
    let again = world.connect("/a");
    assert_eq!(world.sent(), ["40/a,"]);
    world.client.disconnect(world.now, again);
    // What was not answered in one session is not awaited in the next one.
    world.cut();
    world.events();
    world.client.connect(world.now, again);
    world.advance(std::time::Duration::from_secs(10));
    world.accept();
    assert_eq!(world.sent(), ["40", "40/a,"]);
}

#[test]
fn a_removed_socket_leaves_no_unread_events() {
    let mut world = World::new();
    let _root = world.connect("/");
    let socket = world.connect("/a");
    world.accept();
    world.send(r#"40/a,{"sid":"a"}"#);
    assert_eq!(world.events(), ["open", "connect 1"]);
    let link = world.link.unwrap();
    for packet in [r#"42/a,["x"]"#, "41/a,"] {
        let message = packet.into();
        world.client.handle(world.now, Input::LinkMessage { link, message });
    }
    assert!(!world.client.is_active(socket));
    world.client.remove(world.now, socket);
    assert_eq!(world.events(), ["disconnect 1: io server disconnect"]);
}

#[test]
fn sockets_are_limited() {
    let mut config = Config::default();
    config.limits.max_namespaces = 1;
    let mut world = World::with(config);
    let socket = world.client.socket("/", SocketOptions::default()).unwrap();
    assert_eq!(world.client.socket("/a", SocketOptions::default()), Err(EmitError::TooManySockets));
    world.client.remove(world.now, socket);
    assert!(world.client.socket("/a", SocketOptions::default()).is_ok());
    assert_eq!(world.client.namespace(socket), None);
}

#[test]
fn a_fixed_auth_is_sent_each_time() {
    let mut world = World::exact();
    let mut options = SocketOptions::default();
    options.auth = Auth::fixed(&serde_json::json!({ "token": "t" })).unwrap();
    let socket = world.client.socket("/", options).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    assert_eq!(world.sent(), [r#"40{"token":"t"}"#]);
    world.cut();
    world.advance(std::time::Duration::from_secs(1));
    world.accept();
    assert_eq!(world.sent(), [r#"40{"token":"t"}"#]);
    assert!(Auth::fixed("text").is_err(), "it must be an object");
}

#[test]
fn the_application_is_asked_for_the_auth_of_each_attempt() {
    let mut world = World::exact();
    let socket = world.client.socket("/", asked()).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    assert!(world.sent().is_empty(), "the socket waits for its auth");
    assert!(matches!(world.event(), Some(Event::Opened)));
    let Some(Event::AuthRequested(first)) = world.event() else { panic!("not asked") };
    assert_eq!(first.socket(), socket);
    // The connection is lost before the application answers.
    world.cut();
    world.advance(std::time::Duration::from_secs(1));
    world.accept();
    let auth = Some(&serde_json::json!({ "n": 1 }));
    world.client.authenticate(world.now, first, auth).unwrap();
    assert!(world.sent().is_empty(), "the answer comes too late");
    let second = std::iter::from_fn(|| world.event()).find_map(|event| match event {
        Event::AuthRequested(request) => Some(request),
        _ => None,
    });
    let second = second.expect("asked again");
    assert!(world.client.authenticate(world.now, second, Some("no object")).is_err());
    world.client.authenticate(world.now, second, auth).unwrap();
    assert_eq!(world.sent(), [r#"40{"n":1}"#]);
    world.client.authenticate(world.now, second, auth).unwrap();
    assert!(world.sent().is_empty(), "answered once");
}

#[test]
fn an_auth_may_be_none() {
    let mut world = World::new();
    let socket = world.client.socket("/a", asked()).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    world.event();
    let Some(Event::AuthRequested(request)) = world.event() else { panic!("not asked") };
    world.client.authenticate(world.now, request, None::<&()>).unwrap();
    assert_eq!(world.sent(), ["40/a,"]);
}

#[test]
fn an_old_server_is_recognised_before_the_auth_is_made() {
    let mut world = World::new();
    let socket = world.client.socket("/", asked()).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    // It does not wait until it is asked.
    world.send("40");
    let mut events = std::iter::from_fn(|| world.event());
    assert!(events.any(|event| matches!(event, Event::ConnectError { error: ConnectError::OldServer, .. })));
    // A reply with an id is none to a question that was not asked.
    world.send(r#"40{"sid":"x"}"#);
    assert!(!world.client.is_connected(socket));
}

#[test]
fn a_refused_socket_is_inactive_and_the_last_one_closes_the_connection() {
    let mut world = World::new();
    let (a, b) = (world.connect("/a"), world.connect("/b"));
    world.accept();
    world.send(r#"44/a,{"message":"not you","data":{"code":7}}"#);
    assert!(matches!(world.event(), Some(Event::Opened)));
    let Some(Event::ConnectError { socket, error: ConnectError::Refused(error) }) = world.event() else {
        panic!("not refused")
    };
    assert_eq!((socket, &*error.message()), (a, "not you"));
    assert_eq!(error.data::<serde_json::Value>(), Ok(serde_json::json!({ "code": 7 })));
    assert!(!world.client.is_active(a) && world.client.is_active(b) && !world.hung_up);
    world.send(r#"44/b,{"message":"Invalid namespace"}"#);
    assert!(world.hung_up);
    assert_eq!(world.events(), ["close: forced close", "connect_error 1: Invalid namespace"]);
    world.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.dials, 1, "no reconnection");
    // The application may try again.
    world.client.connect(world.now, a);
    world.accept();
    assert_eq!(world.sent(), ["40/a,", "40/b,", "40/a,"]);
}

#[test]
fn a_reply_without_id_is_that_of_an_old_server() {
    let mut world = World::new();
    let socket = world.connect("/");
    world.accept();
    world.send("40");
    let events = world.events();
    assert!(events[1].starts_with("connect_error 0: the server seems to be Socket.IO 2 or older"), "{events:?}");
    assert!(world.client.is_active(socket) && !world.client.is_connected(socket) && !world.hung_up);
    world.send(r#"40{"sid":5}"#);
    world.send(r#"40{"sid":""}"#);
    assert_eq!(world.events().len(), 2);
}

#[test]
fn an_id_that_could_break_a_log_ends_the_connection() {
    let mut world = World::new();
    world.connect("/");
    world.accept();
    world.send(r#"40{"sid":"a\nb"}"#);
    assert_eq!(world.client.fault(), Some(&socketio_proto::Fault::InvalidId));
    assert!(world.hung_up && world.client.is_reconnecting());
}

#[test]
fn a_second_reply_replaces_the_id() {
    let (mut world, socket) = World::connected();
    world.send(r#"40{"sid":"second"}"#);
    assert_eq!(world.events(), ["connect 0"]);
    assert_eq!(world.client.id(socket).map(SocketId::as_str), Some("second"));
}

#[test]
fn a_reply_that_comes_before_the_question_is_ignored() {
    let mut world = World::new();
    let socket = world.client.socket("/", asked()).unwrap();
    world.client.connect(world.now, socket);
    world.accept();
    world.send(r#"40{"sid":"abc"}"#);
    assert_eq!(world.events(), ["open", "auth 0"]);
}

#[test]
fn a_socket_that_the_server_disconnects_stays_so_and_the_last_one_closes_the_connection() {
    let (mut world, socket) = World::connected();
    world.send("41");
    assert_eq!(world.events(), ["close: forced close", "disconnect 0: io server disconnect"]);
    assert!(world.hung_up && !world.client.is_active(socket) && !world.client.is_reconnecting());
    world.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.dials, 1);
    assert!(world.client.is_drained());
}

#[test]
fn the_connection_stays_while_another_socket_is_active() {
    let (mut world, root) = World::connected();
    let other = world.connect("/other");
    world.send(r#"40/other,{"sid":"x"}"#);
    world.client.disconnect(world.now, root);
    assert_eq!(world.sent(), ["40/other,", "41"]);
    assert_eq!(world.events(), ["connect 1", "disconnect 0: io client disconnect"]);
    assert!(!world.hung_up && world.client.id(root).is_none());
    world.client.disconnect(world.now, other);
    assert_eq!(world.sent(), ["41/other,"]);
    assert_eq!(world.events(), ["close: forced close", "disconnect 1: io client disconnect"]);
    assert!(world.hung_up);
    assert!(!DisconnectReason::IoClientDisconnect.is_followed_by_reconnection());
}

#[test]
fn a_socket_that_leaves_and_joins_at_once_tells_the_server_first() {
    let (mut world, socket) = World::connected();
    world.client.disconnect(world.now, socket);
    world.client.connect(world.now, socket);
    assert_eq!(world.sent(), ["41"], "the packet is not lost with the old link");
    assert_eq!(world.dials, 2);
    world.accept();
    assert_eq!(world.sent(), ["40"]);
}

#[test]
fn connecting_twice_asks_the_server_once() {
    let mut world = World::new();
    let socket = world.connect("/");
    world.client.connect(world.now, socket);
    world.accept();
    world.client.connect(world.now, socket);
    assert_eq!(world.sent(), ["40"]);
    world.send(r#"40{"sid":"a"}"#);
    world.client.connect(world.now, socket);
    assert!(world.sent().is_empty());
    assert_eq!(world.dials, 1);
}

#[test]
fn a_socket_may_leave_while_it_joins_or_before_the_connection_is_open() {
    let mut world = World::new();
    let socket = world.connect("/");
    world.client.disconnect(world.now, socket);
    assert_eq!((world.events().len(), world.client.is_drained()), (0, true));
    world.client.connect(world.now, socket);
    world.accept();
    world.client.disconnect(world.now, socket);
    assert_eq!(world.events(), ["open", "close: forced close"], "it never was connected");
    assert_eq!(world.sent(), ["40"]);
}

#[test]
fn unread_events_of_a_socket_that_leaves_are_dropped() {
    let (mut world, socket) = World::connected();
    let link = world.link.unwrap();
    let message = r#"42["late"]"#.into();
    world.client.handle(world.now, Input::LinkMessage { link, message });
    world.client.disconnect(world.now, socket);
    assert_eq!(world.events(), ["close: forced close", "disconnect 0: io client disconnect"]);
}

#[test]
fn what_the_server_has_sent_to_a_socket_that_has_left_does_not_reach_the_one_that_joins_after_it() {
    let (mut world, socket) = World::connected();
    world.connect("/other");
    world.client.disconnect(world.now, socket);
    world.client.connect(world.now, socket);
    world.events();
    // Both were on their way.
    world.send(r#"42["late"]"#);
    world.send("41");
    assert!(world.client.is_active(socket));
    world.send(r#"40{"sid":"second"}"#);
    world.send(r#"42["next"]"#);
    assert_eq!(world.events(), ["connect 0", "0 next()"]);
    // A server that refuses by a disconnect is understood otherwise.
    let mut world = World::new();
    let socket = world.connect("/");
    world.accept();
    world.send("41");
    let error = "connect_error 0: the connection was closed before the server has answered: io server disconnect";
    assert_eq!(world.events(), ["open", "close: forced close", error]);
    assert!(!world.client.is_active(socket));
}
