//! The tools with socket.io on Node.js: 4.8.4, and 2.5. Without Node.js, the tests are skipped with a sentence that says what to install.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use socketio_conformance::peers::{Missing, Node, Peers, all_required};
use socketio_conformance::process::{Process, Progress};
use support::{Tool, run};

/// The fixture of the conformance suite (`conformance/fixtures/SERVER.md`).
struct Fixture {
    node: Node,
    process: Process,
    port: String,
}

impl Fixture {
    /// `None` if Node.js is missing.
    fn start(find: impl Fn(&Peers) -> Result<Node, Missing>) -> Option<Self> {
        let peers = Peers::new(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
        match find(&peers) {
            Ok(node) => {
                let (process, port) = listen(&node, "0");
                Some(Self { node, process, port })
            }
            Err(missing) if all_required() => panic!("{missing}"),
            Err(missing) => {
                eprintln!("skipped: {missing}");
                None
            }
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn restart(&mut self) {
        (self.process, _) = listen(&self.node, &self.port);
    }
}

fn listen(node: &Node, port: &str) -> (Process, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/fixtures/node/server.mjs");
    let mut command = node.script(&script);
    // The times of socket.io: those of the fixture are too short for twenty clients on a slow machine.
    let times = [("PING_INTERVAL_MS", "25000"), ("PING_TIMEOUT_MS", "20000"), ("CONNECT_TIMEOUT_MS", "45000")];
    command.env("PORT", port).envs(times);
    let mut process = Process::start("server", &mut command).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match process.next(deadline).unwrap() {
            Progress::Line(_, line) => {
                if let Some(port) = line.strip_prefix("listening on 127.0.0.1:") {
                    return (process, port.to_owned());
                }
            }
            end => panic!("{end:?}\n{}", process.transcript()),
        }
    }
}

#[test]
fn a_line_is_echoed_with_binary_over_every_transport() {
    let Some(server) = Fixture::start(Peers::node) else { return };
    let url = server.url();
    for transports in [&["--transport", "polling"][..], &["--transport", "websocket"], &[]] {
        let mut tool = Tool::start(&[&["cat", &url, "--auth", r#"{"token":"t"}"#], transports].concat());
        assert_eq!(tool.until("auth"), r#"auth {"token":"t"}"#);
        tool.line("héllo").line(r#"["message", {"$hex":"0102ff"}, {"deep":[{"$hex":"00"}]}]"#);
        assert_eq!(tool.until("message-back"), r#"message-back "héllo""#);
        assert_eq!(tool.until("message-back"), r#"message-back <3 bytes 0102ff> {"deep":[<1 bytes 00>]}"#);
        tool.line(":ack message-with-ack 1 [2]");
        assert_eq!(tool.until(":acked"), ":acked 1 1 [2]");
        tool.end_input();
        assert_eq!(tool.exit().0, 0);
    }
}

#[test]
fn programs_talk_json_and_answer_acks() {
    let Some(server) = Fixture::start(Peers::node) else { return };
    let mut tool = Tool::start(&["cat", &server.url(), "--json", "--only", "ack-me", "--only", "acked"]);
    tool.line(r#"{"type":"event","event":"emit-with-ack","args":["q",{"$hex":"ff"}]}"#);
    let asked = tool.until_json("event");
    assert_eq!(
        asked,
        json!({ "type": "event", "namespace": "/", "event": "ack-me", "args": ["q", { "$hex": "ff" }], "ack": 1 })
    );
    tool.line(r#"{"type":"ack","ack":1,"args":[{"$hex":"00"},"a"]}"#);
    assert_eq!(tool.until_json("event")["args"], json!([{ "$hex": "00" }, "a"]));
    tool.end_input();
    assert_eq!(tool.exit().0, 0);
}

#[test]
fn a_refused_namespace_has_its_exit_status() {
    let Some(server) = Fixture::start(Peers::node) else { return };
    let (code, printed) = run(&["cat", &format!("{}/refuse", server.url())], "lost\n");
    assert!(code == 4 && printed.contains(r#"refused /refuse: refused {"reason":"test"}"#), "{code} {printed}");
    let (code, printed) = run(&["cat", &format!("{}/unknown", server.url())], "");
    assert!(code == 4 && printed.contains("Invalid namespace"), "{code} {printed}");
}

#[test]
fn it_connects_again_to_a_server_that_was_killed_and_started_again() {
    let Some(mut server) = Fixture::start(Peers::node) else { return };
    let mut tool = Tool::start(&["cat", &server.url()]);
    tool.line("a");
    tool.until(r#"message-back "a""#);
    server.process.kill();
    tool.until("left /: transport");
    tool.line("b");
    server.restart();
    tool.until("connected again in attempt");
    tool.until(r#"message-back "b""#);
}

#[test]
fn servers_of_socketio_2_are_spoken_to_with_revision_3() {
    let Some(server) = Fixture::start(Peers::node_with_socketio2) else { return };
    let url = server.url();
    for transports in [&["--transport", "polling"][..], &["--transport", "websocket"], &[]] {
        let options = [&["cat", &url, "--path", "/eio3/socket.io", "--eio", "3"], transports].concat();
        let mut tool = Tool::start(&options);
        tool.line(r#"["message", "x", {"$hex":"0102ff"}]"#);
        assert_eq!(tool.until("message-back"), r#"message-back "x" <3 bytes 0102ff>"#);
        tool.line(":ack message-with-ack 1").line(":use /custom").line("y");
        assert_eq!(tool.until(":acked"), ":acked 1 1");
        assert_eq!(tool.until("message-back"), r#"/custom message-back "y""#);
        tool.line(":use /refuse");
        // With the data in the place of the message, as these servers do.
        tool.until(r#"the server refused /refuse: {"reason":"test"}"#);
        tool.end_input();
        assert_eq!(tool.exit().0, 4);
    }
    // What to do is said without the option.
    for transport in ["polling", "websocket"] {
        let options = ["cat", &url, "--path", "/eio3/socket.io", "--transport", transport, "--open-timeout", "2"];
        let (code, printed) = run(&options, "");
        assert!(code == 3 && printed.contains("Socket.IO 2"), "{code} {printed}");
    }
}

#[test]
fn msgpack_is_spoken() {
    let Some(server) = Fixture::start(Peers::node) else { return };
    let mut tool = Tool::start(&["cat", &server.url(), "--path", "/msgpack/socket.io", "--parser", "msgpack"]);
    tool.line(r#"["message", 1, {"a":[null,true,{"$hex":"00"}]}]"#);
    assert_eq!(tool.until("message-back"), r#"message-back 1 {"a":[null,true,<1 bytes 00>]}"#);
}

#[test]
fn a_load_of_twenty_clients_for_a_second_ends_with_a_result() {
    let Some(server) = Fixture::start(Peers::node) else { return };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node.json");
    let (url, path) = (server.url(), file.to_str().unwrap().to_owned());
    let options = ["--connections", "20", "--duration", "1", "--event", "message-with-ack", "--json", &path];
    let (code, printed) = run(&[&["load", &url][..], &options].concat(), "");
    let result: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!((code, &result["connected"], &result["errors"]), (0, &20.into(), &json!({})), "{printed}");
    assert!(result["acked"].as_u64().unwrap() >= 20, "{result}");
}
