//! The official test suites of Engine.IO v4 and Socket.IO v5, case by case, against servers in this process.
//!
//! The name of a test contains the case that it replays: `eio4_case` is a case of the Engine.IO suite. `sio5_engine_case` is a case of the
//! Engine.IO block within the Socket.IO suite, which runs on `/socket.io/`. `sio5_case` is a case of the rest of that suite. The settings
//! are those of the suites. Where a suite sleeps, the test waits for the event that the sleep allows for. Where a suite accepts several
//! answers, the test expects ours. The ping timeout is that of the suites only in tests without pongs: a machine may be busy for longer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod support;

/// The events of the suites, as in the example `echo`.
#[allow(dead_code, unreachable_pub, reason = "it serves more than these tests")]
#[path = "../../../conformance/fixtures/rust/contract.rs"]
mod contract;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use socketio_tokio::{EngineServer, Server};
use support::http::{Wire, exchange, get, request};
use support::peers::{Client, PATH, Polling};
use support::websocket::{Came, WebSocket};
use support::{Host, until};

const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);
/// A timeout that is never reached.
const AMPLE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The echo server of the Engine.IO suite.
fn engine(ping_timeout: Duration) -> EngineServer {
    let builder = EngineServer::builder();
    contract::engine_echo(
        builder.config(|config| (config.ping_interval, config.ping_timeout) = (PING_INTERVAL, ping_timeout)),
    )
}

/// The server of the Socket.IO suite.
fn socketio(ping_timeout: Duration) -> Server {
    let server = Server::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(ping_timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    contract::register_namespaces(&server);
    server
}

/// A server, used as an Engine.IO server.
struct World {
    host: Host,
    path: &'static str,
    sessions: Box<dyn Fn() -> usize>,
}

impl World {
    async fn engine() -> Self {
        Self::of_engine(AMPLE).await
    }

    async fn socketio() -> Self {
        Self::of_socketio(AMPLE).await
    }

    async fn of_engine(ping_timeout: Duration) -> Self {
        let server = engine(ping_timeout);
        let host = Host::start(server.clone()).await;
        Self { host, path: "/engine.io/", sessions: Box::new(move || server.sessions()) }
    }

    async fn of_socketio(ping_timeout: Duration) -> Self {
        let server = socketio(ping_timeout);
        let host = Host::start(server.clone()).await;
        Self { host, path: PATH, sessions: Box::new(move || server.sessions()) }
    }

    /// The servers of both suites.
    async fn both() -> [Self; 2] {
        [Self::engine().await, Self::socketio().await]
    }

    /// The servers of both suites with the suites' ping timeout, for peers that answer no ping or do not receive one.
    async fn both_impatient() -> [Self; 2] {
        [Self::of_engine(PING_TIMEOUT).await, Self::of_socketio(PING_TIMEOUT).await]
    }

    async fn polling(&self) -> Polling {
        Polling::open_at(self.host.address, self.path).await
    }

    /// A WebSocket that has received its open packet.
    async fn websocket(&self) -> WebSocket {
        let mut link = self.open("EIO=4&transport=websocket").await.unwrap();
        assert!(matches!(link.next().await, Came::Text(open) if open.starts_with("0{")));
        link
    }

    /// Opens a WebSocket. The error is the status of the refusal.
    async fn open(&self, query: &str) -> Result<WebSocket, u16> {
        let target = format!("{}?{query}", self.path);
        WebSocket::try_open(self.host.address, &target).await.map_err(|refused| refused.status)
    }

    /// A session that was upgraded, and its link.
    async fn upgraded(&self) -> (Polling, WebSocket) {
        let session = self.polling().await;
        let mut link = WebSocket::open(self.host.address, &session.websocket_target()).await;
        link.text("2probe").await;
        assert_eq!(link.next().await, Came::Text("3probe".to_owned()));
        link.text("5").await;
        (session, link)
    }

    async fn status(&self, method: &str, query: &str) -> u16 {
        exchange(self.host.address, request(method, &format!("{}?{query}", self.path), &[], "")).await.status
    }

    /// Checks that a message is answered.
    async fn is_served(&self, link: &mut WebSocket) {
        let (question, answer) = if self.path == PATH { ("40/random", "44/random,") } else { ("4hello", "4hello") };
        link.text(question).await;
        assert!(matches!(heard(link).await, Came::Text(text) if text.starts_with(answer)));
    }

    async fn is_empty(&self) {
        until(|| (self.sessions)() == 0).await;
    }
}

/// The next packet or close on a link. Answers pings.
async fn heard(link: &mut WebSocket) -> Came {
    loop {
        match link.next().await {
            Came::Text(text) if text == "2" => link.text("3").await,
            other => return other,
        }
    }
}

/// The next packets from polling. Answers pings.
async fn polled(session: &Polling) -> String {
    loop {
        let response = session.get().await;
        assert_eq!(response.status, 200, "{response:?}");
        if response.text() != "2" {
            return response.text().to_owned();
        }
        session.post("3").await;
    }
}

/// A GET that the server holds: it has answered a POST that was sent after it.
async fn held_get(session: &Polling) -> Wire {
    let held = session.start_get().await;
    assert_eq!(session.post("3").await.text(), "ok");
    held
}

/// Checks that the session is unknown.
async fn is_gone(session: &Polling) {
    let response = session.get().await;
    assert_eq!((response.status, response.text()), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
}

/// The contents of an open packet without the id.
fn offers(open: &str) -> BTreeMap<String, Value> {
    let mut open: BTreeMap<String, Value> = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    assert!(open.remove("sid").unwrap().is_string());
    open
}

fn expected_offers(upgrades: Value) -> BTreeMap<String, Value> {
    let offers = [
        ("upgrades", upgrades),
        ("pingInterval", json!(300)),
        ("pingTimeout", json!(200)),
        ("maxPayload", json!(1_000_000)),
    ];
    offers.map(|(name, value)| (name.to_owned(), value)).into()
}

#[tokio::test]
async fn eio4_case_1_sio5_engine_case_1_a_session_opens_by_polling() {
    for world in World::both_impatient().await {
        let target = format!("{}?EIO=4&transport=polling", world.path);
        let response = exchange(world.host.address, get(&target)).await;
        assert_eq!(response.status, 200);
        assert_eq!(offers(response.text()), expected_offers(json!(["websocket"])));
    }
}

#[tokio::test]
async fn eio4_case_2_sio5_engine_case_2_polling_without_a_good_revision_is_refused() {
    for world in World::both().await {
        assert_eq!(world.status("GET", "transport=polling").await, 400);
        assert_eq!(world.status("GET", "EIO=abc&transport=polling").await, 400);
    }
}

#[tokio::test]
async fn eio4_case_3_sio5_engine_case_3_polling_without_a_good_transport_is_refused() {
    for world in World::both().await {
        assert_eq!(world.status("GET", "EIO=4").await, 400);
        assert_eq!(world.status("GET", "EIO=4&transport=abc").await, 400);
    }
}

#[tokio::test]
async fn eio4_case_4_sio5_engine_case_4_only_a_get_opens_a_session() {
    for world in World::both().await {
        for method in ["POST", "PUT"] {
            assert_eq!(world.status(method, "EIO=4&transport=polling").await, 400);
        }
        world.is_empty().await;
    }
}

#[tokio::test]
async fn eio4_case_5_sio5_engine_case_5_a_session_opens_over_a_websocket() {
    for world in World::both_impatient().await {
        let mut link = world.open("EIO=4&transport=websocket").await.unwrap();
        let Came::Text(open) = link.next().await else { panic!("no open packet") };
        assert_eq!(offers(&open), expected_offers(json!([])));
    }
}

#[tokio::test]
async fn eio4_case_6_sio5_engine_case_6_a_websocket_without_a_good_revision_is_refused() {
    for world in World::both().await {
        assert_eq!(world.open("transport=websocket").await.err(), Some(400));
        assert_eq!(world.open("EIO=abc&transport=websocket").await.err(), Some(400));
    }
}

#[tokio::test]
async fn eio4_case_7_sio5_engine_case_7_a_websocket_without_a_good_transport_is_refused() {
    for world in World::both().await {
        assert_eq!(world.open("EIO=4").await.err(), Some(400));
        assert_eq!(world.open("EIO=4&transport=abc").await.err(), Some(400));
    }
}

#[tokio::test]
async fn eio4_case_8_a_packet_comes_back_over_polling() {
    let world = World::engine().await;
    let session = world.polling().await;
    let response = session.post("4hello").await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(polled(&session).await, "4hello");
}

#[tokio::test]
async fn eio4_case_9_three_packets_come_back_in_one_body() {
    let world = World::engine().await;
    let session = world.polling().await;
    let packets = "4test1\u{1e}4test2\u{1e}4test3";
    assert_eq!(session.post(packets).await.text(), "ok");
    assert_eq!(polled(&session).await, packets);
}

#[tokio::test]
async fn eio4_case_10_text_and_binary_come_back_over_polling() {
    let world = World::engine().await;
    let session = world.polling().await;
    let packets = "4hello\u{1e}bAQIDBA==";
    assert_eq!(session.post(packets).await.text(), "ok");
    assert_eq!(polled(&session).await, packets);
}

#[tokio::test]
async fn eio4_case_11_a_body_that_is_no_packet_ends_the_session() {
    let world = World::engine().await;
    let session = world.polling().await;
    // The response of the reference. The suite would also accept a refusal or a closed connection.
    assert_eq!(session.post("abc").await.text(), "ok");
    is_gone(&session).await;
}

#[tokio::test]
async fn eio4_case_12_two_gets_at_once_end_the_session() {
    let world = World::engine().await;
    let session = world.polling().await;
    let mut first = held_get(&session).await;
    let second = session.get().await;
    let first = first.response().await;
    assert_eq!((first.status, first.text()), (200, "1"));
    assert_eq!((second.status, second.text()), (400, ""));
    is_gone(&session).await;
}

#[tokio::test]
async fn eio4_case_13_a_get_that_is_broken_off_ends_the_session() {
    let world = World::engine().await;
    let session = world.polling().await;
    drop(held_get(&session).await);
    world.is_empty().await;
    is_gone(&session).await;
}

#[tokio::test]
async fn eio4_case_14_text_comes_back_over_a_websocket() {
    let world = World::engine().await;
    let mut link = world.websocket().await;
    link.text("4hello").await;
    assert_eq!(heard(&mut link).await, Came::Text("4hello".to_owned()));
}

#[tokio::test]
async fn eio4_case_15_binary_comes_back_over_a_websocket() {
    let world = World::engine().await;
    let mut link = world.websocket().await;
    link.binary(&[1, 2, 3, 4]).await;
    assert_eq!(heard(&mut link).await, Came::Binary(vec![1, 2, 3, 4]));
}

#[tokio::test]
async fn eio4_case_16_a_message_that_is_no_packet_closes_the_websocket() {
    let world = World::engine().await;
    let mut link = world.websocket().await;
    link.text("abc").await;
    assert!(matches!(link.next().await, Came::Closed(_)));
    world.is_empty().await;
}

#[tokio::test]
async fn eio4_case_17_sio5_engine_case_8_pings_come_by_polling_as_long_as_they_are_answered() {
    for world in World::both().await {
        let session = world.polling().await;
        for _ in 0..3 {
            assert_eq!(session.get().await.text(), "2");
            assert_eq!(session.post("3").await.text(), "ok");
        }
    }
}

#[tokio::test]
async fn eio4_case_18_sio5_engine_case_9_a_polling_client_that_answers_no_ping_is_given_up() {
    for world in World::both_impatient().await {
        let session = world.polling().await;
        world.is_empty().await;
        is_gone(&session).await;
    }
}

#[tokio::test]
async fn eio4_case_19_sio5_engine_case_10_pings_come_over_a_websocket_as_long_as_they_are_answered() {
    for world in World::both().await {
        let mut link = world.websocket().await;
        for _ in 0..3 {
            assert_eq!(link.next().await, Came::Text("2".to_owned()));
            link.text("3").await;
        }
    }
}

#[tokio::test]
async fn eio4_case_20_sio5_engine_case_11_a_websocket_that_answers_no_ping_is_closed() {
    for world in World::both_impatient().await {
        let mut link = world.websocket().await;
        assert_eq!(link.next().await, Came::Text("2".to_owned()));
        assert!(matches!(link.next().await, Came::Closed(_)));
        world.is_empty().await;
    }
}

#[tokio::test]
async fn eio4_case_21_sio5_engine_case_12_a_close_packet_by_post_answers_the_held_get_and_ends_the_session() {
    for world in World::both().await {
        let session = world.polling().await;
        let mut held = held_get(&session).await;
        assert_eq!(session.post("1").await.text(), "ok");
        let held = held.response().await;
        assert_eq!((held.status, held.text()), (200, "6"));
        is_gone(&session).await;
    }
}

#[tokio::test]
async fn eio4_case_22_sio5_engine_case_13_a_close_packet_over_a_websocket_closes_it() {
    for world in World::both().await {
        let mut link = world.websocket().await;
        link.text("1").await;
        // The close follows at once: as in the reference, it does not depend on an unanswered ping.
        assert!(matches!(link.next().await, Came::Closed(_)));
        world.is_empty().await;
    }
}

#[tokio::test]
async fn eio4_case_23_sio5_engine_case_14_a_session_is_upgraded_from_polling_to_a_websocket() {
    for world in World::both().await {
        let session = world.polling().await;
        let mut link = WebSocket::open(world.host.address, &session.websocket_target()).await;
        let mut held = held_get(&session).await;
        link.text("2probe").await;
        assert_eq!(link.next().await, Came::Text("3probe".to_owned()));
        let held = held.response().await;
        assert_eq!((held.status, held.text()), (200, "6"));
        link.text("5").await;
        world.is_served(&mut link).await;
    }
}

#[tokio::test]
async fn eio4_case_24_sio5_engine_case_15_after_the_upgrade_polls_are_refused_and_the_websocket_works() {
    for world in World::both().await {
        let (session, mut link) = world.upgraded().await;
        // The upgrade has finished once the link has carried a packet.
        world.is_served(&mut link).await;
        assert_eq!(session.get().await.status, 400);
        world.is_served(&mut link).await;
    }
}

#[tokio::test]
async fn eio4_case_25_sio5_engine_case_16_after_the_upgrade_a_second_websocket_is_closed_and_the_first_works() {
    for world in World::both().await {
        let (session, mut link) = world.upgraded().await;
        world.is_served(&mut link).await;
        let mut second = WebSocket::open(world.host.address, &session.websocket_target()).await;
        assert_eq!(second.closed().await, Came::Closed(None));
        world.is_served(&mut link).await;
    }
}

/// The server of the Socket.IO suite, and a WebSocket session that has not joined a namespace.
async fn session() -> (Host, Client) {
    let host = Host::start(socketio(AMPLE)).await;
    let client = Client::open(host.address).await;
    (host, client)
}

/// As [`session`], with `/` joined.
async fn joined() -> (Host, Client) {
    let (host, mut client) = session().await;
    joins(&mut client, "", "{}").await;
    (host, client)
}

/// Joins the namespace with this prefix. Checks that `auth` is sent back.
async fn joins(client: &mut Client, prefix: &str, auth: &str) {
    client.send(&format!("40{prefix}{}", if auth == "{}" { "" } else { auth })).await;
    let reply = client.packet().await;
    let reply: Value = serde_json::from_str(reply.strip_prefix(&format!("0{prefix}")).unwrap()).unwrap();
    let reply = reply.as_object().unwrap();
    assert_eq!(reply.keys().collect::<Vec<_>>(), ["sid"]);
    assert_ne!(reply["sid"].as_str().unwrap(), client.session);
    assert_eq!(client.packet().await, format!(r#"2{prefix}["auth",{auth}]"#));
}

/// Checks that the close follows next.
async fn is_closed(client: &mut Client) {
    let came = client.next().await;
    assert!(matches!(came, Came::Closed(_)), "{came:?}");
}

#[tokio::test]
async fn sio5_case_1_a_client_joins_the_main_namespace() {
    joined().await;
}

#[tokio::test]
async fn sio5_case_2_a_client_joins_the_main_namespace_with_a_payload() {
    let (_host, mut client) = session().await;
    joins(&mut client, "", r#"{"token":"123"}"#).await;
}

#[tokio::test]
async fn sio5_case_3_a_client_joins_another_namespace() {
    let (_host, mut client) = session().await;
    joins(&mut client, "/custom,", "{}").await;
}

#[tokio::test]
async fn sio5_case_4_a_client_joins_another_namespace_with_a_payload() {
    let (_host, mut client) = session().await;
    joins(&mut client, "/custom,", r#"{"token":"abc"}"#).await;
}

#[tokio::test]
async fn sio5_case_5_an_unknown_namespace_is_refused() {
    let (_host, mut client) = session().await;
    assert_eq!(client.ask("40/random").await, r#"4/random,{"message":"Invalid namespace"}"#);
}

#[tokio::test]
async fn sio5_case_6_an_invalid_packet_before_anything_is_joined_closes() {
    let (_host, mut client) = session().await;
    client.send("4abc").await;
    is_closed(&mut client).await;
}

#[tokio::test]
async fn sio5_case_7_a_client_that_joins_nothing_is_closed() {
    let (_host, mut client) = session().await;
    // Pings are answered, so the heartbeat does not end the session.
    is_closed(&mut client).await;
}

#[tokio::test]
async fn sio5_case_8_a_client_that_leaves_its_namespace_stays() {
    let (_host, mut client) = joined().await;
    client.send("41").await;
    assert_eq!(client.websocket.next().await, Came::Text("2".to_owned()));
}

#[tokio::test]
async fn sio5_case_9_a_client_joins_and_leaves_another_namespace_and_stays_in_the_main_one() {
    let (_host, mut client) = joined().await;
    client.send("40/custom").await;
    assert!(client.packet().await.starts_with(r#"0/custom,{"sid":""#));
    assert_eq!(client.packet().await, r#"2/custom,["auth",{}]"#);
    client.send("41/custom").await;
    assert_eq!(client.ask(r#"42["message","still here"]"#).await, r#"2["message-back","still here"]"#);
}

#[tokio::test]
async fn sio5_case_10_an_event_of_plain_arguments_comes_back() {
    let (_host, mut client) = joined().await;
    assert_eq!(client.ask(r#"42["message",1,"2",{"3":[true]}]"#).await, r#"2["message-back",1,"2",{"3":[true]}]"#);
}

const TWO_PLACEHOLDERS: &str = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;

/// Sends a packet with two attachments, and checks that the answer has them as well.
async fn both_attachments_come_back(client: &mut Client, packet: &str, answer: &str) {
    let attachments = [vec![1, 2, 3], vec![4, 5, 6]];
    client.send(packet).await;
    for attachment in &attachments {
        client.websocket.binary(attachment).await;
    }
    assert_eq!(client.packet().await, answer);
    for attachment in attachments {
        assert_eq!(client.next().await, Came::Binary(attachment));
    }
}

#[tokio::test]
async fn sio5_case_11_an_event_with_attachments_comes_back() {
    let (_host, mut client) = joined().await;
    let packet = format!(r#"452-["message",{TWO_PLACEHOLDERS}]"#);
    both_attachments_come_back(&mut client, &packet, &format!(r#"52-["message-back",{TWO_PLACEHOLDERS}]"#)).await;
}

#[tokio::test]
async fn sio5_case_12_an_event_of_plain_arguments_is_acked() {
    let (_host, mut client) = joined().await;
    let packet = r#"42456["message-with-ack",1,"2",{"3":[false]}]"#;
    assert_eq!(client.ask(packet).await, r#"3456[1,"2",{"3":[false]}]"#);
}

#[tokio::test]
async fn sio5_case_13_an_event_with_attachments_is_acked_with_attachments() {
    let (_host, mut client) = joined().await;
    let packet = format!(r#"452-789["message-with-ack",{TWO_PLACEHOLDERS}]"#);
    both_attachments_come_back(&mut client, &packet, &format!("62-789[{TWO_PLACEHOLDERS}]")).await;
}

#[tokio::test]
async fn sio5_case_14_an_unknown_packet_type_closes() {
    let (_host, mut client) = joined().await;
    client.send("4abc").await;
    is_closed(&mut client).await;
}

#[tokio::test]
async fn sio5_case_15_an_event_whose_payload_is_no_list_closes() {
    let (_host, mut client) = joined().await;
    client.send("42{}").await;
    is_closed(&mut client).await;
}

#[tokio::test]
async fn sio5_case_16_an_event_whose_id_is_no_number_closes() {
    let (_host, mut client) = joined().await;
    client.send(r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#).await;
    is_closed(&mut client).await;
}
