//! The example `bare_client`: a client on the machines alone. It is tested with socket.io on Node.js and with the echo server of this crate,
//! and with responses that no such server sends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use crate::group::Counterpart as _;
use crate::server::{Example, Launch, Server, build};
use libtest_mimic::{Completion, Failed, Trial};
use socketio_conformance::peers::{self, Peers};
use socketio_conformance::process::{Output, Process, Progress};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A last resort against a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test with a server.
type Test = fn(&mut Server);

const TESTS: [(&str, Test); 5] = [
    ("everything_works_over_polling_and_after_a_restart", |server| {
        works(server, "polling", &["--transport", "polling"])
    }),
    ("everything_works_over_a_websocket_and_after_a_restart", |server| {
        works(server, "websocket", &["--transport", "websocket"]);
    }),
    ("everything_works_after_an_upgrade_and_after_a_restart", |server| works(server, "websocket", &[])),
    ("a_client_waits_for_a_server_that_is_away", waits),
    ("a_namespace_is_refused_and_the_client_ends", is_refused),
];

/// Responses to the first request, flags of the client, and what it prints.
const RESPONSES: [(&str, &str, &[&str], &str); 8] = [
    ("a_refused_poll_is_reported", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", &[], "403"),
    (
        "a_refused_websocket_is_reported",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        &["--transport", "websocket"],
        "status 403 instead of 101",
    ),
    (
        "a_body_without_a_length_is_limited",
        "HTTP/1.1 200 OK\r\n\r\n<40000>",
        SMALL,
        "a body that is larger than the limit",
    ),
    (
        "a_body_with_a_length_is_limited",
        "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n<40000>",
        SMALL,
        "a body that is larger than the limit",
    ),
    (
        "chunks_are_limited",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n<40000>",
        SMALL,
        "a body that is larger than the limit",
    ),
    ("a_head_is_limited", "HTTP/1.1 200 OK\r\nX: <40000>\r\n\r\n", &[], "a head that is larger than the limit"),
    (
        "a_short_body_has_failed",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0{}",
        &[],
        "before the end of the response",
    ),
    (
        "chunks_that_break_off_have_failed",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0{}\r\n",
        &[],
        "before the end of the response",
    ),
];

const SMALL: &[&str] = &["--max-payload", "1000"];

pub(crate) fn trials(peers: &Peers) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, example) in [("socketio_tokio", Example::Echo), ("node", Example::Reference)] {
        for (test, run) in TESTS {
            let peers = peers.clone();
            trials.push(Trial::ignorable_test(format!("bare_client::{name}::{test}"), move || {
                match Server::start(&Launch { example, flags: Vec::new() }, &peers) {
                    Ok(server) => {
                        let mut server = server?;
                        run(&mut server);
                        server.fault().map_or(Ok(Completion::Completed), |fault| Err(fault.into()))
                    }
                    Err(missing) if peers::all_required() => Err(Failed::from(missing)),
                    Err(missing) => Ok(Completion::ignored_with(missing)),
                }
            }));
        }
    }
    for (name, response, flags, expected) in RESPONSES {
        trials.push(Trial::test(format!("bare_client::response::{name}"), move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = Client::start(&format!("http://{}", listener.local_addr().unwrap()), flags);
            respond(&listener, &response.replace("<40000>", &"x".repeat(40_000)));
            client.prints(expected);
            // It tries again.
            listener.accept().unwrap();
            Ok(())
        }));
    }
    trials.push(Trial::test("bare_client::response::chunks_are_joined", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = Client::start(&format!("http://{}", listener.local_addr().unwrap()), &[]);
        let open = r#"0{"sid":"joined","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let (first, second) = open.split_at(20);
        let chunks = format!("{:x}\r\n{first}\r\n{:X};name=value\r\n{second}\r\n0\r\nX: y\r\n\r\n", 20, second.len());
        respond(&listener, &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n{chunks}"));
        // Both before either is answered: a poll that fails ends the session, and the other request with it.
        let requests = [accept(&listener), accept(&listener)];
        let next = requests.map(|(_, request)| request).concat();
        assert!(next.contains("POST /socket.io/?EIO=4&transport=polling&sid=joined HTTP/1.1\r\n"), "{next}");
        Ok(())
    }));
    // It is the point of the example.
    trials.push(Trial::test("bare_client::is_shorter_than_320_lines", || {
        let lines = include_str!("../../examples/bare_client.rs").lines().count();
        if lines < 320 { Ok(()) } else { Err(format!("the example has {lines} lines").into()) }
    }));
    trials
}

/// Takes the next connection, and reads its request.
fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap();
    (stream, String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Answers the next request, and returns it.
fn respond(listener: &TcpListener, response: &str) -> String {
    let (mut stream, request) = accept(listener);
    // The client may have disconnected.
    let _ = stream.write_all(response.as_bytes());
    request
}

fn works(server: &mut Server, transport: &str, flags: &[&str]) {
    let mut client = Client::start(&format!("http://{}", server.address()), flags);
    for restart in [true, false] {
        client.prints("connected ");
        client.prints("auth {}");
        if flags.is_empty() {
            client.prints("upgraded");
        }
        client.write("hello \u{2713}", "message-back \"hello \u{2713}\"");
        client.write("binary \u{2713}", r#"message-back b"\xe2\x9c\x93""#);
        client.write(r#"?["message-with-ack",{"a":1},"two"]"#, r#"ack {"a":1} "two""#);
        client.write(r#"["ask",1,"x"]"#, r#"question 1 "x""#);
        client.prints(r#"answer 1 "x""#);
        let large = "x".repeat(500_000);
        client.write(&large, &format!("message-back \"{large}\""));
        client.write(r#"["transport"]"#, &format!("transport-back \"{transport}\""));
        if restart {
            server.control("stop").unwrap();
            client.prints("disconnected: ");
            client.write("kept", "not connected: ");
            server.control("start").unwrap();
            client.prints(r#"message-back "kept""#);
        }
    }
    client.process.write_line("last").unwrap();
    client.process.end_input();
    client.ends("disconnected: forced close");
}

fn waits(server: &mut Server) {
    server.control("stop").unwrap();
    let mut client = Client::start(&format!("http://{}", server.address()), &[]);
    client.prints("failed: cannot connect to ");
    client.prints("not connected: the connection could not be opened");
    server.control("start").unwrap();
    client.prints("connected ");
}

fn is_refused(server: &mut Server) {
    let mut client = Client::start(&format!("http://{}/guarded", server.address()), &[]);
    client.ends("not connected: not authorised");
}

struct Client {
    process: Process,
    /// What it has printed, and no test has asked for.
    lines: Vec<String>,
}

impl Client {
    fn start(url: &str, flags: &[&str]) -> Self {
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let program = BUILT.get_or_init(|| build("bare_client")).as_ref().unwrap_or_else(|reason| panic!("{reason}"));
        let process = Process::start("client", Command::new(program).arg(url).args(flags)).unwrap();
        Self { process, lines: Vec::new() }
    }

    /// Writes a line, and waits for another.
    fn write(&mut self, line: &str, expected: &str) {
        self.process.write_line(line).unwrap();
        self.prints(expected);
    }

    /// Waits until it prints a line with this text.
    fn prints(&mut self, expected: &str) {
        while !self.has(expected) {
            assert!(self.next(), "it has ended without {expected:?}\n{}", self.process.transcript());
        }
    }

    /// Waits until it prints a line with this text and ends without an error.
    fn ends(&mut self, expected: &str) {
        while self.next() {}
        assert!(self.has(expected), "it has ended without {expected:?}\n{}", self.process.transcript());
    }

    fn has(&mut self, expected: &str) -> bool {
        let found = self.lines.iter().position(|line| line.contains(expected));
        found.map(|found| self.lines.remove(found)).is_some()
    }

    /// Takes the next line. Returns false if the client has ended.
    fn next(&mut self) -> bool {
        let deadline = Instant::now().checked_add(PATIENCE).unwrap();
        match self.process.next(deadline).unwrap() {
            Progress::Line(Output::Stdout | Output::Stderr, line) => self.lines.push(line),
            Progress::Exited(status) if status.success() => return false,
            other => panic!("{other:?}\n{}", self.process.transcript()),
        }
        true
    }
}
