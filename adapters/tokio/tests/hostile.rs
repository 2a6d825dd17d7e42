//! Tables of hostile peers: what they send, and what they and the application must receive. After each of them, no state is left, and
//! other peers are still served.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::time::Duration;

use engineio_proto::testkit::Random;
use socketio_tokio::{ConnectRequest, DisconnectReason, Event, Refusal, Server, Socket, SocketLimits};
use support::http::{Wire, exchange, get, post};
use support::peers::{Client, PATH, Polling};
use support::websocket::{Came, WebSocket, frame, opening};
use support::{Host, until, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// The server, a well-behaved peer, and the disconnect reasons of the other peers.
struct World {
    server: Server,
    host: Host,
    steady: Client,
    reasons: mpsc::UnboundedReceiver<String>,
}

impl World {
    async fn new(server: Server) -> Self {
        let (gone, reasons) = mpsc::unbounded_channel();
        server
            .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
            .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
        let host = Host::start(server.clone()).await;
        let steady = Client::join(host.address).await;
        Self { server, host, steady, reasons }
    }

    async fn reason(&mut self) -> String {
        within(self.reasons.recv()).await.unwrap()
    }

    /// Waits until only the well-behaved peer is left, and checks that it is served.
    async fn is_as_before(&mut self) {
        until(|| self.server.sessions() == 1 && self.server.of("/").len() == 1).await;
        assert_eq!(self.steady.ask(r#"42["echo","steady"]"#).await, r#"2["echo","steady"]"#);
    }
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const FIRST_TEXT: u8 = 0x01;
const MIDDLE: u8 = 0x00;
const LAST: u8 = 0x80;
/// The maximum number of frames in one message, as in Node's `ws`.
const PIECES: usize = 16_384;

fn text(packet: &str) -> Vec<u8> {
    frame(TEXT, packet.as_bytes())
}

/// Frames of a peer that has joined `/`, the close code of the server, and the disconnect reason that the application receives.
fn frames() -> Vec<(&'static str, Vec<u8>, Option<u16>, &'static str)> {
    let protocol = Some(1002);
    let failed = "transport error";
    let mut unmasked = text("41");
    unmasked[1] &= 0x7f;
    let long_header = |length: u64| {
        let mut bytes = vec![TEXT, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let begun = |piece: Vec<u8>, count| [frame(FIRST_TEXT, b"4"), piece.repeat(count)].concat();
    let mut cases = vec![
        ("a frame without a mask", unmasked, protocol, failed),
        ("reserved bit 1", frame(0xc1, b"41"), protocol, failed),
        ("reserved bit 2", frame(0xa1, b"41"), protocol, failed),
        ("reserved bit 3", frame(0x91, b"41"), protocol, failed),
        ("reserved data opcode", frame(0x83, b"41"), protocol, failed),
        ("reserved control opcode", frame(0x8b, b"41"), protocol, failed),
        ("a fragmented ping", frame(0x09, b""), protocol, failed),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]), protocol, failed),
        ("a continuation without a message", frame(0x80, b"41"), protocol, failed),
        ("a message within a message", [frame(FIRST_TEXT, b"4"), text("41")].concat(), protocol, failed),
        ("a length that is not in its shortest form", long_header(2), protocol, failed),
        ("a length with bit 63 set", long_header(1 << 63), protocol, failed),
        ("an announced terabyte", long_header(1 << 40), Some(1009), failed),
        ("one byte over the limit", long_header(1_000_001), Some(1009), failed),
        ("invalid UTF-8", frame(TEXT, b"4\xff"), Some(1007), failed),
        ("an incomplete character at the end", frame(TEXT, b"4\xe2\x82"), Some(1007), failed),
        ("endless fragments", begun(frame(MIDDLE, &[b'x'; 1000]), 1001), Some(1009), failed),
        ("a flood of tiny fragments", begun(frame(MIDDLE, b"x"), PIECES), Some(1008), failed),
        ("a flood of empty fragments", begun(frame(MIDDLE, b""), PIECES), Some(1008), failed),
        ("an incomplete close code", frame(0x88, b"\x03"), protocol, failed),
        ("a reserved close code", frame(0x88, &1005_u16.to_be_bytes()), protocol, failed),
        ("a close reason with invalid UTF-8", frame(0x88, b"\x03\xe8\xff"), Some(1007), failed),
        ("HTTP on a WebSocket", b"GET / HTTP/1.1\r\n\r\n".to_vec(), protocol, failed),
        ("a graceful close", frame(0x88, b"\x03\xe8"), Some(1000), "transport close"),
        ("an empty text frame", text(""), None, "parse error"),
        ("no packet type", text("x"), None, "parse error"),
        ("invalid base64", text("b!!!!"), None, "parse error"),
        ("a ping in the wrong direction", text("2"), None, failed),
        ("an Engine.IO close", text("1"), None, "transport close"),
    ];
    let deep = format!("42[\"a\",{}", "[".repeat(100_000));
    let deep_and_closed = format!("{deep}{}]", "]".repeat(100_000));
    let objects = format!("42[\"a\",{}", "{\"a\":".repeat(100_000));
    let long_id = format!("42{}[\"a\"]", "9".repeat(30));
    let long_count = format!("45{}-[\"a\"]", "9".repeat(100_000));
    let packets = [
        ("an empty message", "4"),
        ("an unknown packet type", "47"),
        ("letters instead of a packet", "4abc"),
        ("broken JSON", "42[\"a\""),
        ("data after the JSON", "42[\"a\"]x"),
        ("an event without a payload", "42"),
        ("an event without a name", "42[]"),
        ("an event in an object", "42{}"),
        ("an event named null", "42[null]"),
        ("an event named object", "42[{\"toString\":1}]"),
        ("a reserved event", "42[\"disconnect\"]"),
        ("a lone surrogate", "42[\"a\",\"\\ud800"),
        ("an id of letters", "42abc[\"a\"]"),
        ("a negative id", "42-1[\"a\"]"),
        ("an id of 30 digits", &long_id),
        ("100 000 brackets", &deep),
        ("100 000 brackets, closed", &deep_and_closed),
        ("100 000 objects", &objects),
        ("an event for a namespace that was not joined", "42/other,[\"a\"]"),
        ("an ack for a namespace that was not joined", "43/other,1[]"),
        ("a second CONNECT", "40"),
        ("a CONNECT with an array", "40/x,[]"),
        ("a CONNECT_ERROR from a client", "44{\"message\":\"x\"}"),
        ("no attachments", "450-[\"a\"]"),
        ("a missing attachment count", "45-[\"a\"]"),
        ("no dash", "451[\"a\"]"),
        ("an attachment count with an exponent", "451e0-[\"a\"]"),
        ("eleven attachments", "4511-[\"a\"]"),
        ("an attachment count of 100 000 digits", &long_count),
    ];
    cases.extend(packets.map(|(name, packet)| (name, text(packet), None, "forced close")));
    let placeholder = |number: &str| {
        let header = format!(r#"451-["a",{{"_placeholder":true,"num":{number}}}]"#);
        [text(&header), frame(BINARY, b"x")].concat()
    };
    let binary = [
        ("an attachment without a header", frame(BINARY, b"x")),
        (
            "text in the place of an attachment",
            [text("451-[\"a\",{\"_placeholder\":true,\"num\":0}]"), text("40")].concat(),
        ),
        ("a placeholder out of range", placeholder("1")),
        ("a negative placeholder", placeholder("-1")),
        ("a text as placeholder number", placeholder("\"0\"")),
        ("a fraction as placeholder number", placeholder("0.5")),
        ("an infinite placeholder number", placeholder("1e999")),
        ("a surplus attachment", [placeholder("0"), frame(BINARY, b"y")].concat()),
    ];
    cases.extend(binary.map(|(name, bytes)| (name, bytes, None, "forced close")));
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_frames() {
    let mut world = World::new(Server::new()).await;
    for (name, bytes, code, reason) in frames() {
        let mut client = Client::join(world.host.address).await;
        // The server may close the connection before everything is sent.
        let _ = client.websocket.wire.try_send(&bytes).await;
        assert_eq!(client.closed().await, Came::Closed(code), "{name}");
        assert_eq!(world.reason().await, reason, "{name}");
        drop(client);
        world.is_as_before().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_as_many_fragments_as_may_be_is_taken() {
    let mut world = World::new(Server::new()).await;
    let mut client = Client::join(world.host.address).await;
    let packet = format!(r#"42["echo","{}"]"#, "x".repeat(PIECES - r#"42["echo",""]"#.len()));
    let (last, pieces) = packet.as_bytes().split_last().unwrap();
    let pieces = pieces.iter().enumerate().map(|(at, byte)| frame(if at == 0 { FIRST_TEXT } else { MIDDLE }, &[*byte]));
    let bytes: Vec<_> = pieces.chain([frame(LAST, &[*last])]).flatten().collect();
    client.websocket.wire.send(&bytes).await;
    assert_eq!(client.packet().await, packet[1..]);
    drop(client);
    assert_eq!(world.reason().await, "transport close");
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_frames_right_behind_the_request_for_the_upgrade() {
    // Item 5.
    let mut world = World::new(Server::new()).await;
    for (name, bytes, code, _) in frames() {
        if code.is_none() {
            continue;
        }
        let mut wire = Wire::open(world.host.address).await;
        let request = opening(&format!("{PATH}?EIO=4&transport=websocket"));
        let _ = wire.try_send([request.as_bytes(), &bytes].concat()).await;
        let mut websocket = WebSocket::upgraded(wire).await.unwrap();
        assert_eq!(websocket.closed().await, Came::Closed(code), "{name}");
        drop(websocket);

        // The same on a probe, which does not harm its session.
        let session = Polling::join(world.host.address).await;
        let mut wire = Wire::open(world.host.address).await;
        let _ = wire.try_send([opening(&session.websocket_target()).as_bytes(), &bytes].concat()).await;
        let mut probe = WebSocket::upgraded(wire).await.unwrap();
        assert_eq!(probe.closed().await, Came::Closed(code), "{name}");
        assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok", "{name}");
        assert_eq!(session.get().await.text(), r#"42["echo",1]"#, "{name}");
        session.post("1").await;
        world.reason().await;
        world.is_as_before().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies() {
    let mut world = World::new(Server::new()).await;
    let deep = format!("42[\"a\",{}", "[".repeat(100_000));
    let cases: [(&str, &[u8], &str); 14] = [
        ("nothing", b"", "parse error"),
        ("a separator", b"\x1e", "parse error"),
        ("separators", b"\x1e\x1e\x1e\x1e", "parse error"),
        ("a packet and an empty one", b"42[\"a\"]\x1e", "parse error"),
        ("no packet type", b"abc", "parse error"),
        ("invalid UTF-8 in a body", b"42[\"a\",\"\xff\xfe\"]", "parse error"),
        ("a zero", b"\0", "parse error"),
        ("invalid base64", b"b????", "parse error"),
        ("a ping in the wrong direction", b"2", "transport error"),
        ("an Engine.IO close", b"1\x1e4garbage", "transport close"),
        ("broken JSON", b"42[\"a\"", "forced close"),
        ("100 000 brackets", deep.as_bytes(), "forced close"),
        ("an attachment without a header", b"bAQID", "forced close"),
        ("no attachments", b"450-[\"a\"]", "forced close"),
    ];
    for (name, body, reason) in cases {
        let session = Polling::join(world.host.address).await;
        let head = post(&session.target(), "").replace("Length: 0", &format!("Length: {}", body.len()));
        let answer = exchange(world.host.address, [head.as_bytes(), body].concat()).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{name}");
        assert_eq!(world.reason().await, reason, "{name}");
        // A session that Socket.IO refuses is closed gracefully, and its next GET is answered accordingly.
        let last = session.get().await;
        assert!(last.status == 400 || last.text() == "6\u{1e}1", "{name}: {last:?}");
        world.is_as_before().await;
    }
}

/// The required outcome of a connection whose request is invalid.
enum See {
    /// A response with this status.
    Status(u16),
    /// The end of the connection, with or without a response.
    End,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_http() {
    let mut world = World::new(Server::new()).await;
    let request = |rest: &str| format!("POST {PATH}?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: x\r\n{rest}");
    let query = |query: &str| get(&format!("{PATH}?{query}")).into_bytes();
    let long = |count| "x".repeat(count);
    let cases = vec![
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), See::Status(400)),
        ("zeros", vec![0; 1000], See::Status(400)),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), See::End),
        ("no version", format!("GET {PATH}\r\n\r\n").into_bytes(), See::Status(400)),
        ("an unknown HTTP version", format!("GET {PATH} HTTP/9.9\r\n\r\n").into_bytes(), See::Status(400)),
        ("spaces in the path", b"GET /socket.io/ EIO=4 HTTP/1.1\r\n\r\n".to_vec(), See::Status(400)),
        ("a negative length", request("Content-Length: -1\r\n\r\nx").into_bytes(), See::Status(400)),
        ("a length of letters", request("Content-Length: abc\r\n\r\nx").into_bytes(), See::Status(400)),
        (
            "a length that overflows",
            request(&format!("Content-Length: {}\r\n\r\nx", "9".repeat(40))).into(),
            See::Status(400),
        ),
        ("two lengths", request("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx").into_bytes(), See::Status(400)),
        (
            "a chunk without a size",
            request("Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n").into_bytes(),
            See::Status(400),
        ),
        ("an unknown coding", request("Transfer-Encoding: rot13\r\n\r\nx").into_bytes(), See::Status(400)),
        ("a header without a colon", request("nonsense\r\n\r\n").into_bytes(), See::Status(400)),
        ("a control character in a header", request("Origin: a\x01b\r\n\r\n").into_bytes(), See::Status(400)),
        ("a thousand headers", request(&"A: b\r\n".repeat(1000)).into_bytes(), See::Status(431)),
        ("a megabyte of header", request(&format!("A: {}\r\n\r\n", long(1 << 20))).into_bytes(), See::Status(431)),
        ("a path of a megabyte", get(&format!("{PATH}{}", long(1 << 20))).into_bytes(), See::Status(431)),
        (
            "a sid of 10 000 characters",
            query(&format!("EIO=4&transport=polling&sid={}", long(10_000))),
            See::Status(400),
        ),
        ("a sid of `__proto__`", query("EIO=4&transport=polling&sid=__proto__"), See::Status(400)),
        ("a sid of percent codes", query("EIO=4&transport=polling&sid=%00%ff%fe"), See::Status(400)),
        ("1 500 parameters", query(&"transport=polling&EIO=4&sid=x&".repeat(500)), See::Status(400)),
        ("a query over the limit", query(&"transport=polling&EIO=4&sid=x&".repeat(1000)), See::Status(431)),
        ("invalid percent codes", query("EIO=%&transport=%zz&sid=%"), See::Status(400)),
        (
            "another server's path",
            b"GET http://elsewhere/socket.io/?EIO=3 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            See::Status(400),
        ),
        ("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), See::Status(404)),
        ("CONNECT", b"CONNECT somewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), See::Status(404)),
        (
            "an unknown method",
            b"BREW /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            See::Status(400),
        ),
    ];
    for (name, bytes, see) in cases {
        let mut wire = Wire::open(world.host.address).await;
        // The answer may arrive before the request is read.
        let _ = wire.try_send(&bytes).await;
        match see {
            See::Status(status) => {
                let answer = wire.try_response().await;
                assert_eq!(answer.as_ref().map(|answer| answer.status), Some(status), "{name}: {answer:?}");
            }
            See::End => drop(wire.closed().await),
        }
        world.is_as_before().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_break_off_anywhere() {
    let mut world = World::new(Server::new()).await;
    let handshake = get(&format!("{PATH}?EIO=4&transport=polling")).into_bytes();
    let upgrade = opening(&format!("{PATH}?EIO=4&transport=websocket")).into_bytes();
    for request in [&handshake, &upgrade] {
        for length in 0..request.len() {
            let mut wire = Wire::open(world.host.address).await;
            wire.send(&request[..length]).await;
        }
    }
    world.is_as_before().await;
    // Complete requests of a peer that does not wait for the response. A polling session may then last until its first ping.
    for _ in 0..20 {
        let mut wire = Wire::open(world.host.address).await;
        wire.send(&upgrade).await;
        wire.reset();
    }
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_frames_and_bodies_with_random_changes_leave_nothing_behind() {
    // A mutation can turn a request into a handshake, so abandoned sessions must end soon.
    let soon = Duration::from_secs(1);
    let server = Server::builder().connect_timeout(soon).engine(|config| config.close_timeout = soon).build();
    let mut world = World::new(server).await;
    for seed in 1..=150_u64 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let session = Polling::join(world.host.address).await;
        let mut client = Client::join(world.host.address).await;
        let cases = frames();
        let mut bytes = match random.below(4) {
            0 => post(&session.target(), "42[\"echo\",1]\u{1e}b4AQID\u{1e}3").into_bytes(),
            1 => get(&session.target()).into_bytes(),
            2 => opening(&session.websocket_target()).into_bytes(),
            _ => cases[random.index(cases.len())].1.clone(),
        };
        for _ in 0..=random.below(4) {
            let place = random.index(bytes.len());
            match random.below(3) {
                0 => bytes[place] = random.next_u64() as u8,
                1 => bytes.truncate(place.max(1)),
                _ => bytes.insert(place, random.next_u64() as u8),
            }
        }
        let mut wire = Wire::open(world.host.address).await;
        let _ = wire.try_send(&bytes).await;
        let _ = client.websocket.wire.try_send(&bytes).await;
        drop((wire, client));
        // The session can be ended in any state.
        while session.post("1").await.status == 200 {}
        world.reason().await;
        world.reason().await;
    }
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_is_shorter_than_the_body_cuts_it_and_the_rest_is_no_request() {
    let mut world = World::new(Server::new()).await;
    let session = Polling::join(world.host.address).await;
    let mut wire = Wire::open(world.host.address).await;
    let body = r#"42["echo",1]"#;
    wire.send(post(&session.target(), body).replace("Length: 12", "Length: 6")).await;
    assert_eq!(wire.response().await.text(), "ok");
    assert_eq!(wire.response().await.status, 400);
    assert_eq!(world.reason().await, "forced close");
    assert_eq!(session.get().await.text(), "6\u{1e}1");
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_comes_is_answered_when_its_session_times_out() {
    let server =
        Server::builder().ping_interval(Duration::from_millis(150)).ping_timeout(Duration::from_millis(150)).build();
    let (gone, mut reasons) = mpsc::unbounded_channel();
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    let host = Host::start(server.clone()).await;
    let session = Polling::join(host.address).await;
    let mut wire = Wire::open(host.address).await;
    wire.send(post(&session.target(), "").replace("Length: 0", "Length: 1000")).await;
    // Occasional bytes do not keep the connection alive.
    let drip = async {
        while wire.try_send("4").await.is_ok() && !wire.fill_now() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        wire.response().await
    };
    let answer = within(drip).await;
    assert_eq!((answer.status, answer.text()), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
    assert_eq!(within(reasons.recv()).await.unwrap(), "ping timeout");
    until(|| server.sessions() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_is_longer_than_the_body_ends_with_the_connection() {
    let mut world = World::new(Server::new()).await;
    let session = Polling::join(world.host.address).await;
    let mut wire = Wire::open(world.host.address).await;
    wire.send(post(&session.target(), r#"42["echo",1]"#).replace("Length: 12", "Length: 13")).await;
    drop(wire);
    assert_eq!(world.reason().await, "transport error");
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_that_break_no_rule_are_borne() {
    let mut world = World::new(Server::new()).await;
    let arguments = format!("42[\"echo\"{}]", ",1".repeat(100_000));
    let floods: [(&str, Vec<u8>, Option<&str>); 5] = [
        ("100 000 WebSocket pings", frame(0x89, b"are you there").repeat(100_000), None),
        ("100 000 WebSocket pongs", frame(0x8a, b"").repeat(100_000), None),
        ("a million bytes of one-byte packets", text("3").repeat(150_000), None),
        ("100 000 acks that nobody awaits", text("431[]").repeat(100_000), None),
        ("100 000 arguments", text(&arguments), Some(&arguments[1..])),
    ];
    for (name, bytes, answer) in floods {
        println!("{name}");
        let mut client = Client::join(world.host.address).await;
        // The client reads while it writes. Otherwise the pongs would block it.
        let (mut reading, mut writing) = client.websocket.wire.stream.split();
        let mut read = Vec::new();
        within(async {
            let mut write = std::pin::pin!(writing.write_all(&bytes));
            loop {
                tokio::select! {
                    written = &mut write => break written.unwrap(),
                    count = reading.read_buf(&mut read) => assert!(count.unwrap() > 0),
                }
            }
        })
        .await;
        client.websocket.came(&mut read);
        if let Some(answer) = answer {
            assert_eq!(client.packet().await, answer);
        }
        drop(client);
        assert!(["transport close", "transport error"].contains(&&*world.reason().await), "{name}");
        world.is_as_before().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_of_one_byte_packets_in_one_body_is_borne() {
    let mut world = World::new(Server::new()).await;
    let session = Polling::join(world.host.address).await;
    let body = format!("{}42[\"echo\",1]", "3\u{1e}".repeat(490_000));
    assert_eq!(session.post(&body).await.text(), "ok");
    assert_eq!(session.get().await.text(), r#"42["echo",1]"#);
    session.post("1").await;
    world.reason().await;
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_namespaces_are_refused_and_those_that_exist_are_capped() {
    let server = Server::new();
    let limits = SocketLimits::default();
    for number in 0..limits.max_namespaces * 2 {
        server.of(&format!("/known{number}"));
    }
    let mut world = World::new(server).await;
    let mut client = Client::join(world.host.address).await;
    for number in 0..5_000 {
        let refused = client.ask(&format!("40/unknown{number},")).await;
        assert_eq!(refused, format!(r#"4/unknown{number},{{"message":"Invalid namespace"}}"#));
    }
    let long = "x".repeat(limits.max_namespace_length - 1);
    assert!(client.ask(&format!("40/{long},")).await.starts_with("4/xxx"));
    for number in 0..limits.max_namespaces * 2 {
        let answer = client.ask(&format!("40/known{number},")).await;
        // `/` counts as well.
        if number + 1 < limits.max_namespaces {
            assert!(answer.starts_with(&format!("0/known{number},{{")), "{answer}");
        } else {
            assert_eq!(answer, format!(r#"4/known{number},{{"message":"too many namespaces"}}"#));
        }
    }
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
    // A name that is too long is refused like an unknown one, without a lookup. In any packet but a CONNECT, it closes the connection.
    world.server.of(&format!("/{long}x"));
    for packet in [format!("40/{long}x"), format!("40/{long}x,"), format!("40/{}", long.repeat(1000))] {
        let name = packet[2..].trim_end_matches(',').to_owned();
        assert_eq!(client.ask(&packet).await, format!(r#"4{name},{{"message":"Invalid namespace"}}"#));
    }
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
    client.send(&format!(r#"42/{long}x,["echo",1]"#)).await;
    assert_eq!(client.closed().await, Came::Closed(None));
    assert_eq!(world.reason().await, "forced close");
    until(|| world.server.of("/known0").is_empty()).await;
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_that_nobody_decides_on_are_capped() {
    let server = Server::new();
    let pending = SocketLimits::default().max_pending;
    for number in 0..pending * 2 {
        server
            .of(&format!("/slow{number}"))
            .middleware(|_: ConnectRequest| std::future::pending::<Result<(), Refusal>>());
    }
    let mut world = World::new(server).await;
    let mut client = Client::join(world.host.address).await;
    for number in 0..pending * 2 {
        client.send(&format!("40/slow{number},")).await;
    }
    for number in pending..pending * 2 {
        assert_eq!(client.packet().await, format!(r#"4/slow{number},{{"message":"too many namespaces"}}"#));
    }
    assert_eq!(client.ask(r#"42["echo",1]"#).await, r#"2["echo",1]"#);
    drop(client);
    world.reason().await;
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_are_followed_by_nothing_are_ended() {
    let server = Server::builder()
        .connect_timeout(Duration::from_millis(100))
        .upgrade_timeout(Duration::from_millis(100))
        .build();
    let mut world = World::new(server).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Client::open(world.host.address).await);
    }
    for client in &mut clients {
        assert_eq!(client.closed().await, Came::Closed(None));
    }
    let session = Polling::open(world.host.address).await;
    assert_eq!(session.get().await.text(), "1");
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r46_r47_r48_r50_a_probe_that_goes_wrong_is_closed_and_its_session_goes_on() {
    let server = Server::builder().upgrade_timeout(Duration::from_secs(3)).build();
    let mut world = World::new(server).await;
    let session = Polling::join(world.host.address).await;
    // A probe that never sends anything.
    let mut probe = WebSocket::open(world.host.address, &session.websocket_target()).await;
    let mut second = WebSocket::open(world.host.address, &session.websocket_target()).await;
    assert_eq!(second.closed().await, Came::Closed(None));
    assert_eq!(probe.closed().await, Came::Closed(None));
    // A probe that sends `2probe`, and no `5`.
    let mut probe = WebSocket::open(world.host.address, &session.websocket_target()).await;
    probe.text("2probe").await;
    assert_eq!(probe.next().await, Came::Text("3probe".to_owned()));
    assert_eq!(probe.closed().await, Came::Closed(None));
    // A probe that sends another packet first.
    for packet in ["2", "2probes", "3probe", "1", "6", "40", "42[\"echo\",1]", "x", ""] {
        let mut probe = WebSocket::open(world.host.address, &session.websocket_target()).await;
        probe.text(packet).await;
        assert_eq!(probe.closed().await, Came::Closed(None), "{packet}");
    }
    // A probe whose peer disconnects, at any time.
    for packets in 0..3 {
        let mut probe = WebSocket::open(world.host.address, &session.websocket_target()).await;
        for _ in 0..packets {
            probe.text("2probe").await;
        }
    }
    drop(WebSocket::open(world.host.address, &session.websocket_target()).await);
    assert_eq!(session.post(r#"42["echo",1]"#).await.text(), "ok");
    let polled = session.get().await;
    assert!(polled.text().contains(r#"42["echo",1]"#), "{polled:?}");
    session.post("1").await;
    world.reason().await;
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_that_are_announced_and_never_come_are_forgotten_with_their_peer() {
    let mut world = World::new(Server::new()).await;
    let mut client = Client::join(world.host.address).await;
    client.send(r#"4510-["a",{"_placeholder":true,"num":0}]"#).await;
    // Nine of ten announced megabytes.
    for _ in 0..9 {
        client.websocket.binary(&vec![0; 1_000_000]).await;
    }
    drop(client);
    assert_eq!(world.reason().await, "transport close");
    world.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_beyond_the_limit_for_one_packet_close_the_connection() {
    let mut world =
        World::new(Server::builder().socket(|config| config.limits.max_attachment_bytes = 10_000).build()).await;
    let mut client = Client::join(world.host.address).await;
    client.send(r#"4510-["a",{"_placeholder":true,"num":0}]"#).await;
    for _ in 0..6 {
        client.websocket.binary(&[0; 2_000]).await;
    }
    assert_eq!(client.closed().await, Came::Closed(None));
    assert_eq!(world.reason().await, "forced close");
    world.is_as_before().await;
}
