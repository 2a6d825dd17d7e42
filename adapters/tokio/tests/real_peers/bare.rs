//! The example `bare`: a server on the machines alone. It is tested with the official clients, and with a table of hostile peers that send
//! bytes over TCP. Each of them is answered or disconnected, and the server goes on.
//!
//! The example implements the contract of the echo server except for `ask`, `/guarded`, `drop-me`, `transport` and namespaces on demand. The
//! checks of these are left out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use crate::group::{self, Counterpart as _, Group, Opposite, Runner};
use crate::javascript::LARGE;
use crate::server::{Example, Launch, Server};
use engineio_websocket::handshake::ClientHandshake;
use engineio_websocket::{Closed, Connection, ConnectionEvent, Limits, encode_text};
use libtest_mimic::Trial;
use socketio_conformance::peers::Peers;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

const JAVASCRIPT: &str = include_str!("scripts/javascript.mjs");
const PYTHON: &str = include_str!("scripts/python_sync.py");

/// The checks that need what `bare` does not have.
const LEFT_OUT: [&str; 8] = [
    "the_client_acknowledges_events",
    "an_event_that_is_never_acknowledged_times_out_at_the_server",
    "a_refused_auth_carries_message_and_data_and_a_right_one_connects",
    "both_sides_acknowledge",
    "a_namespace_is_refused",
    "the_server_drops_the_connection_and_the_client_comes_back",
    "namespaces_are_created_on_demand_and_others_are_refused",
    "the_server_knows_the_transport",
];

pub(crate) fn groups() -> Vec<Group> {
    let clients = [
        ("javascript", Runner::Node, "javascript.mjs", JAVASCRIPT, vec![]),
        // `python.rs` explains the short interval.
        ("python", Runner::Python, "python_sync.py", PYTHON, vec!["--ping-interval", "1000"]),
    ];
    let mut groups = Vec::new();
    for (name, runner, script, source, flags) in clients {
        for mode in ["polling", "websocket", "upgrade"] {
            let mut checks = group::checks(source);
            checks.retain(|check| !LEFT_OUT.contains(&check.as_str()) && check != LARGE);
            let flags = [&["--max-payload", "4000000"], &flags[..]].concat();
            let opposite = Opposite::Example(Launch { example: Example::Bare, flags });
            groups.push(Group { name: format!("bare::{name}::{mode}"), runner, script, mode, checks, opposite });
        }
    }
    groups
}

/// The table: the name of each case, the flags of its server, and the function that runs it.
type Case = (&'static str, &'static [&'static str], fn(SocketAddr));

/// For cases that wait until the server times out: a short heartbeat.
const IMPATIENT: &[&str] = &["--ping-interval", "300", "--ping-timeout", "200"];

const CASES: [Case; 15] = [
    ("who_says_nothing_is_hung_up_on", IMPATIENT, who_says_nothing),
    ("half_a_request_and_then_silence_is_hung_up_on", IMPATIENT, half_a_request),
    ("half_a_body_and_then_silence_ends_its_session", IMPATIENT, half_a_body),
    ("a_websocket_that_answers_no_ping_is_closed", IMPATIENT, a_silent_websocket),
    ("what_is_no_request_of_the_protocol_has_a_status", &[], requests_that_are_refused),
    ("an_upgrade_that_connection_does_not_name_is_none", &[], upgrades_that_are_none),
    ("a_post_that_is_too_large_gets_413_and_its_session_ends", &[], a_large_post),
    ("a_post_that_breaks_off_ends_its_session", &[], a_post_that_breaks_off),
    ("a_held_get_that_breaks_off_ends_its_session", &[], a_get_that_breaks_off),
    ("two_gets_at_once_end_their_session_and_are_both_answered", &[], two_gets),
    ("an_unmasked_frame_is_told_1002", &[], an_unmasked_frame),
    ("text_that_is_no_utf8_is_told_1007", &[], invalid_text),
    ("a_message_that_is_too_large_is_told_1009", &[], a_large_message),
    ("packets_that_are_none_close_the_link", &[], packets_that_are_none),
    ("who_takes_nothing_is_given_up_and_keeps_nobody_waiting", &[], who_takes_nothing),
];

pub(crate) fn trials(peers: &Peers) -> Vec<Trial> {
    let trial = |(name, flags, case): Case| {
        let peers = peers.clone();
        Trial::test(format!("bare::hostile::{name}"), move || {
            let launch = Launch { example: Example::Bare, flags: flags.to_vec() };
            let mut server = Server::start(&launch, &peers)??;
            case(server.address());
            // Other peers are still served.
            opened(server.address());
            server.fault().map_or(Ok(()), |fault| Err(fault.into()))
        })
    };
    // The README states this limit, and it is the point of the example.
    let short = Trial::test("bare::is_shorter_than_400_lines", || {
        let lines = include_str!("../../examples/bare.rs").lines().count();
        if lines < 400 { Ok(()) } else { Err(format!("the example has {lines} lines").into()) }
    });
    CASES.into_iter().map(trial).chain([short]).collect()
}

/// A last resort against a hang.
const PATIENCE: Duration = Duration::from_secs(120);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn sent(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(bytes.as_ref()).unwrap();
    stream
}

/// Reads until the server ends the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection is still open"),
            // A reset counts as an end.
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status and body of the answer to a request.
fn answer(address: SocketAddr, request: impl AsRef<[u8]>) -> (u16, String) {
    parsed(&rest(sent(address, request)))
}

fn parsed(response: &str) -> (u16, String) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {response:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn get(query: &str) -> String {
    format!("GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn post(sid: &str, length: usize, body: &str) -> String {
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn polled(address: SocketAddr, sid: &str) -> (u16, String) {
    answer(address, get(&format!("&sid={sid}")))
}

/// Opens a session, and returns its id.
fn opened(address: SocketAddr) -> String {
    let (status, body) = answer(address, get(""));
    assert_eq!(status, 200, "{body}");
    body.strip_prefix(r#"0{"sid":""#).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

fn is_gone(address: SocketAddr, sid: &str) {
    assert_eq!(polled(address, sid), (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned()));
}

/// A WebSocket that opened a session.
struct WebSocket {
    stream: TcpStream,
    connection: Connection,
}

impl WebSocket {
    fn open(address: SocketAddr) -> Self {
        let handshake = ClientHandshake::new([7; 16]);
        let headers: String = handshake.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut stream = sent(address, format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let connection = Connection::client(Limits::default().with_max_message(4_000_000), [7; 16]);
        let mut websocket = Self { stream, connection };
        assert!(matches!(websocket.next(), ConnectionEvent::Text(open) if open.starts_with('0')));
        websocket
    }

    /// Opens a WebSocket session and joins the root namespace.
    fn join(address: SocketAddr) -> Self {
        let mut websocket = Self::open(address);
        websocket.send("40");
        assert!(matches!(websocket.next(), ConnectionEvent::Text(joined) if joined.starts_with("40{")));
        assert!(matches!(websocket.next(), ConnectionEvent::Text(auth) if &*auth == r#"42["auth",{}]"#));
        websocket
    }

    fn send(&mut self, text: &str) {
        self.connection.send_text(text).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.connection.poll_transmit() {
            // The server may have disconnected.
            let _ = self.stream.write_all(&bytes);
        }
    }

    fn next(&mut self) -> ConnectionEvent {
        loop {
            if let Some(event) = self.connection.poll_event() {
                return event;
            }
            self.flush();
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.connection.handle_end(),
                Ok(count) => self.connection.handle(&mut buffer[..count]),
                Err(error) => panic!("no data from the server: {error}"),
            }
        }
    }

    /// Sends these bytes. Returns the code that the server closes with, after which it must end the connection.
    fn closed_over(mut self, bytes: &[u8]) -> Option<u16> {
        self.stream.write_all(bytes).unwrap();
        loop {
            if let ConnectionEvent::Closed(closed) = self.next() {
                let Closed::Peer(frame) = closed else { panic!("{closed:?}") };
                self.flush();
                rest(self.stream);
                return frame.map(|frame| frame.code);
            }
        }
    }
}

/// A text frame of a client.
fn text(payload: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_text(&mut frame, payload, Some([1, 2, 3, 4]));
    frame
}

fn who_says_nothing(address: SocketAddr) {
    assert_eq!(rest(connect(address)), "");
}

fn half_a_request(address: SocketAddr) {
    assert_eq!(rest(sent(address, "GET /socket.io/?EIO=4&transp")), "");
}

fn half_a_body(address: SocketAddr) {
    let sid = opened(address);
    // The session may end earlier, because of a missing pong. The response then reports that.
    let answer = rest(sent(address, post(&sid, 10, "4hal")));
    assert!(answer.is_empty() || parsed(&answer).0 == 400, "{answer}");
    is_gone(address, &sid);
}

fn a_silent_websocket(address: SocketAddr) {
    assert_eq!(WebSocket::open(address).closed_over(&[]), Some(1000));
}

fn requests_that_are_refused(address: SocketAddr) {
    let sid = opened(address);
    let with_sid = |method: &str| format!("{method} /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n");
    let websocket =
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let refused = [
        ("\r\n\r\n".to_owned(), 400),
        ("no HTTP at all\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)), 431),
        (format!("GET /socket.io/ HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100)), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 404),
        ("GET /socket.io/ HTTP/1.1\r\n\r\n".to_owned(), 400),
        (get("&sid=unknown"), 400),
        (format!("{}\r\n", with_sid("PUT")), 500),
        (format!("{}Transfer-Encoding: gzip\r\n\r\n1\r\n1\r\n0\r\n\r\n", with_sid("POST")), 501),
        (
            format!("{}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\n1\r\n0\r\n\r\n", with_sid("POST")),
            400,
        ),
        (format!("{}Content-Length: many\r\n\r\n", with_sid("POST")), 400),
        (format!("{websocket}\r\n"), 400),
        (format!("{websocket}Sec-WebSocket-Version: 8\r\n{key}\r\n"), 426),
        (format!("{websocket}Sec-WebSocket-Version: 13\r\n{key}Sec-WebSocket-Protocol: x,,y\r\n\r\n"), 400),
    ];
    for (request, status) in refused {
        let (answered, body) = answer(address, &request);
        assert_eq!(answered, status, "{body} after {}", &request[..request.len().min(100)]);
    }
    // None of them has harmed the session.
    assert_eq!(answer(address, post(&sid, 2, "40")), (200, "ok".to_owned()));
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n7\r\n42[\"x\"]\r\n0\r\n\r\n", with_sid("POST"));
    assert_eq!(answer(address, chunked), (200, "ok".to_owned()));
}

/// Sends requests as they arrive from a proxy that always adds `Upgrade`.
fn upgrades_that_are_none(address: SocketAddr) {
    for connection in ["", "Connection: keep-alive\r\n", "Connection: close\r\n"] {
        let fields = format!("HTTP/1.1\r\nUpgrade: websocket\r\n{connection}");
        let (status, body) = answer(address, get("").replace("HTTP/1.1\r\n", &fields));
        assert!(status == 200 && body.starts_with(r#"0{"sid":""#), "{connection:?}: {status} {body}");
        let target = "/socket.io/?EIO=4&transport=websocket";
        let refused = answer(address, format!("GET {target} {fields}\r\n"));
        assert_eq!(refused, (400, r#"{"code":3,"message":"Bad request"}"#.to_owned()), "{connection:?}");
    }
}

fn a_large_post(address: SocketAddr) {
    for (length, body) in [(1_000_001, ""), (usize::MAX, "40")] {
        let sid = opened(address);
        // The body is incomplete: the server refuses without reading it.
        assert_eq!(answer(address, post(&sid, length, body)).0, 413);
        assert_eq!(answer(address, post(&sid, 2, "40")).0, 400);
    }
}

/// Closes the connection, and returns once the server has noticed and closed it as well.
fn hung_up(stream: TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), "");
}

fn a_post_that_breaks_off(address: SocketAddr) {
    let sid = opened(address);
    hung_up(sent(address, post(&sid, 10, "4hal")));
    is_gone(address, &sid);
}

fn a_get_that_breaks_off(address: SocketAddr) {
    let sid = opened(address);
    hung_up(sent(address, get(&format!("&sid={sid}"))));
    is_gone(address, &sid);
}

fn two_gets(address: SocketAddr) {
    let sid = opened(address);
    let gets = [(); 2].map(|()| sent(address, get(&format!("&sid={sid}"))));
    // The order depends on the server's threads.
    let mut answers = gets.map(|get| parsed(&rest(get)));
    answers.sort();
    assert_eq!(answers, [(200, "1".to_owned()), (400, String::new())]);
    is_gone(address, &sid);
}

fn an_unmasked_frame(address: SocketAddr) {
    assert_eq!(WebSocket::open(address).closed_over(b"\x81\x0240"), Some(1002));
}

fn invalid_text(address: SocketAddr) {
    let mut frame = text("4??");
    let last = frame.len() - 1;
    frame[last] ^= b'?' ^ 0xff;
    assert_eq!(WebSocket::open(address).closed_over(&frame), Some(1007));
}

fn a_large_message(address: SocketAddr) {
    // The head is enough.
    let length = 1_000_001_u64.to_be_bytes();
    let head = [&[0x81, 0xff][..], &length, &[0; 4]].concat();
    assert_eq!(WebSocket::open(address).closed_over(&head), Some(1009));
}

fn packets_that_are_none(address: SocketAddr) {
    let brackets = format!(r#"42["message",{}"#, "[".repeat(100_000));
    for packet in ["x", "", "4", "4x", r#"42["message""#, r#"451-["message"]"#, &brackets] {
        let websocket = WebSocket::join(address);
        assert_eq!(websocket.closed_over(&text(packet)), Some(1000), "{}", &packet[..packet.len().min(20)]);
    }
}

fn who_takes_nothing(address: SocketAddr) {
    let mut deaf = WebSocket::join(address);
    let mut speaker = WebSocket::join(address);
    let megabyte = "x".repeat(900_000);
    // More than the session's queue and the kernel's buffers can hold.
    for _ in 0..40 {
        speaker.send(&format!(r#"42["broadcast","{megabyte}"]"#));
        let ConnectionEvent::Text(event) = speaker.next() else { panic!("the server stopped serving the speaker") };
        assert_eq!(event.len(), r#"42["broadcast-back",""]"#.len() + megabyte.len());
    }
    let mut taken = 0;
    while let ConnectionEvent::Text(_) = deaf.next() {
        taken += 1;
    }
    assert!(taken < 40, "the server buffered everything");
    speaker.send(r#"42["message","still here"]"#);
    assert!(matches!(speaker.next(), ConnectionEvent::Text(text) if &*text == r#"42["message-back","still here"]"#));
}
