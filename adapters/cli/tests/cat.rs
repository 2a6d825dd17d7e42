//! `socketio cat` with a server in this process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::json;
use socketio_tokio::{MsgPack, Server};
use support::server::{Host, contract};
use support::{Tool, run};

#[test]
fn a_line_is_emitted_and_events_are_printed_over_every_transport() {
    let host = Host::start();
    for transports in [&["--transport", "polling"][..], &["--transport", "websocket"], &[]] {
        let url = host.url();
        let mut tool = Tool::start(&[&["cat", &url], transports].concat());
        tool.line("hello");
        assert_eq!(tool.until("message-back"), r#"message-back "hello""#);
        tool.line(r#"["message", {"a": [1, 2.50]}, "x y"]"#);
        assert_eq!(tool.until("message-back"), r#"message-back {"a":[1,2.5]} "x y""#);
        tool.line(r#"{"$hex":"00FF"}"#);
        assert_eq!(tool.until("message-back"), "message-back <2 bytes 00ff>");
        tool.line(":emit message").line(":emit message null");
        assert_eq!(
            (tool.until("message-back"), tool.until("message-back")),
            ("message-back".into(), "message-back null".into())
        );
        tool.line(r#":ack message-with-ack 1 {"$hex":"01"}"#);
        assert_eq!(tool.until(":acked"), ":acked 1 1 <1 bytes 01>");
        if transports.is_empty() {
            tool.until("moved to websocket");
        }
        tool.line(":close");
        let (code, rest) = tool.exit();
        assert_eq!(code, 0, "{rest}");
        assert!(rest.contains("joined / as "), "{rest}");
        host.until("disconnect client namespace disconnect");
    }
}

#[test]
fn the_end_of_the_input_loses_nothing_and_closes_gracefully() {
    let host = Host::start();
    let url = host.url();
    let (code, printed) = run(&["cat", &url, "--event", "text"], "one\ntwo\n:ack message-with-ack 3\n");
    assert_eq!((code, printed.contains(":acked 1 3")), (0, true), "{printed}");
    let seen: Vec<_> = (0..4).map(|_| host.seen()).collect();
    assert_eq!(seen[1..], ["text one", "text two", "disconnect client namespace disconnect"]);
    // It stays for answers.
    let mut tool = Tool::start(&["cat", &url, "--wait", "forever"]);
    tool.line("hi").end_input().until(r#"message-back "hi""#);
    tool.interrupt();
    assert_eq!(tool.exit().0, 0);
    host.until("disconnect client namespace disconnect");
}

#[test]
fn programs_read_and_write_objects_of_json() {
    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url(), "--json", "--transport", "websocket"]);
    assert_eq!(tool.until_json("open")["transport"], "websocket");
    assert_eq!(tool.until_json("connect")["namespace"], "/");
    tool.line(r#"{"type":"event","event":"message","args":[1.5,{"$hex":"ff"}]}"#);
    let back = json!({ "type": "event", "namespace": "/", "event": "message-back", "args": [1.5, { "$hex": "ff" }] });
    assert_eq!(tool.until_json("event"), back);
    tool.line(r#"{"type":"event","namespace":"/custom","event":"message-with-ack","args":["x"],"ack":7}"#);
    assert_eq!(tool.until_json("ack"), json!({ "type": "ack", "namespace": "/custom", "ack": 7, "args": ["x"] }));
    tool.line(r#"{"type":"event","event":"ask","args":["q"]}"#);
    let question = tool.until_json("event");
    assert_eq!((&question["event"], &question["args"]), (&json!("question"), &json!(["q"])));
    tool.line(&json!({ "type": "ack", "ack": question["ack"], "args": ["a", 2] }).to_string());
    assert_eq!(tool.until_json("event")["args"], json!(["a", 2]));
    tool.line("hello");
    assert!(tool.until_json("error")["message"].as_str().unwrap().contains("type"));
    tool.line(":close");
    // Of the line that was no JSON.
    assert_eq!(tool.exit().0, 1);
}

#[test]
fn events_that_want_an_ack_are_answered_by_hand_or_by_themselves() {
    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url()]);
    tool.line(":emit ask 1");
    assert_eq!(tool.until("question"), "question 1  (:answer 1)");
    tool.line(":answer 1 {\"b\":2} 3");
    assert_eq!(tool.until("answered"), r#"answered {"b":2} 3"#);
    tool.line(":answer 1");
    tool.until("no event waits for the answer 1");
    tool.line(":close");
    assert_eq!(tool.exit().0, 1);

    let mut tool = Tool::start(&["cat", &host.url(), "--auto-ack", "--only", "answered"]);
    tool.line(":emit ask 1 [2]");
    assert_eq!(tool.until("answered"), "answered 1 [2]");
    tool.end_input();
    let (code, rest) = tool.exit();
    assert_eq!((code, rest.contains("question")), (0, false), "{rest}");
}

#[test]
fn an_ack_that_does_not_come_fails() {
    let host = Host::start();
    let (code, printed) = run(&["cat", &host.url(), "--ack-timeout", "0.01"], ":ack never-ack\n");
    assert_eq!((code, printed.contains(":ack 1 never-ack: operation has timed out")), (1, true), "{printed}");
}

#[test]
fn several_namespaces_are_used_at_the_same_time() {
    let host = Host::start();
    let url = host.url();
    let mut tool = Tool::start(&["cat", &url, "--namespace", "/custom", "--namespace", "/"]);
    tool.line("a");
    assert_eq!(tool.until("message-back"), r#"/custom message-back "a""#);
    tool.line(":use /").line("b");
    assert_eq!(tool.until("message-back"), r#"/ message-back "b""#);
    tool.line(":disconnect");
    tool.until("left /: io client disconnect");
    tool.line(":connect").line("c");
    assert_eq!(tool.until("message-back"), r#"/ message-back "c""#);
    // The other one stays if one is refused.
    tool.line(":use /refuse");
    tool.until("the server refused /refuse");
    tool.line(":use custom").line("d");
    assert_eq!(tool.until("message-back"), r#"/custom message-back "d""#);
    tool.end_input();
    assert_eq!(tool.exit().0, 4);

    let mut tool = Tool::start(&["cat", &format!("{url}/custom")]);
    tool.until("joined /custom as");
}

#[test]
fn a_refusal_a_kick_and_an_unreachable_server_have_exit_statuses() {
    let host = Host::start();
    let url = host.url();
    let (code, printed) = run(&["cat", &format!("{url}/refuse"), "--wait", "forever"], "lost\n");
    assert_eq!(code, 4, "{printed}");
    assert!(printed.contains(r#"the server refused /refuse: refused\u001b[31m {"reason":"test"}"#), "{printed}");
    let (code, printed) = run(&["cat", &url, "--wait", "forever"], ":emit kick\n");
    assert_eq!((code, printed.contains("left /: io server disconnect")), (5, true), "{printed}");
    let (code, printed) = run(&["cat", "http://127.0.0.1:1", "--wait", "forever"], "");
    assert_eq!((code, printed.contains("127.0.0.1:1: the connection was refused")), (3, true), "{printed}");
    let (code, printed) = run(&["cat", &url, "--path", "/nowhere"], "");
    assert_eq!((code, printed.contains("status 404") && printed.contains("check the path")), (3, true), "{printed}");
    let (code, printed) = run(&["cat", &format!("{url}/silent"), "--open-timeout", "0.5"], "lost\n");
    assert_eq!((code, printed.contains("neither lets it join the namespace nor refuses it")), (3, true), "{printed}");
    let (code, printed) = run(&["cat", "127.0.0.1:1"], "");
    assert_eq!((code, printed.contains("http://")), (2, true), "{printed}");
    let (code, printed) = run(&["cat", "--nothing"], "");
    assert_eq!((code, printed.contains("--nothing is no option")), (2, true), "{printed}");
}

#[test]
fn nothing_that_a_server_sends_reaches_the_terminal_as_a_command() {
    let host = Host::start();
    for (mode, ack) in [(&[][..], ":acked 1"), (&["--json"], r#""ack":1"#)] {
        let url = host.url();
        let mut tool = Tool::start(&[&["cat", &url], mode].concat());
        if mode.is_empty() {
            tool.line(":ack hostile");
        } else {
            tool.line(r#"{"type":"event","event":"hostile","ack":1}"#);
        }
        for line in [tool.until("]0;name"), tool.until(ack)] {
            assert!(!line.contains(|character: char| character.is_control() || character == '\u{202e}'), "{line:?}");
        }
        tool.line(":close");
        tool.exit();
    }
}

#[test]
fn auth_headers_query_and_path_reach_the_server() {
    let (server, seen) = contract(Server::builder().path("/other").build());
    let host = Host::serving("127.0.0.1:0", server, seen);
    let url = host.url();
    let options = ["--path", "/other", "--auth", r#"{"token":"t"}"#, "--header", "X-Test: yes", "--query", "q=a b"];
    let (code, printed) = run(&[&["cat", &url][..], &options].concat(), "");
    assert_eq!(code, 0, "{printed}");
    assert_eq!(host.seen(), r#"connect / {"token":"t"} yes a b"#);
}

#[test]
fn a_certificate_is_checked_with_a_root_of_a_file_or_not_at_all() {
    let (host, pem) = Host::secure();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("root.pem");
    fs::write(&file, pem).unwrap();
    let (url, file) = (format!("https://localhost:{}", host.address.port()), file.to_str().unwrap());
    for options in [&["--cacert", file][..], &["--insecure"], &["--insecure", "--transport", "websocket"]] {
        let mut tool = Tool::start(&[&["cat", &url], options].concat());
        tool.line("a");
        assert_eq!(tool.until("message-back"), r#"message-back "a""#);
        tool.end_input();
        assert_eq!(tool.exit().0, 0);
    }
    let (code, printed) = run(&["cat", &url], "");
    assert_eq!((code, printed.contains("the TLS handshake with localhost failed")), (3, true), "{printed}");
}

#[test]
fn every_line_is_a_text_with_the_option_text() {
    let host = Host::start();
    let (code, _) = run(&["cat", &host.url(), "--text", "--event", "text", "--quiet"], ":close\n[1\n{\n\n");
    assert_eq!(code, 0);
    let seen: Vec<_> = (0..5).map(|_| host.seen()).collect();
    assert_eq!(seen[1..], ["text :close", "text [1", "text {", "text "]);
}

#[test]
fn binary_data_is_saved_in_new_files() {
    let host = Host::start();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("saved");
    let _ = fs::remove_dir_all(&directory);
    for number in 1..=2 {
        let mut tool = Tool::start(&["cat", &host.url(), "--save", directory.to_str().unwrap()]);
        tool.line(r#"["message", {"deep": {"$hex":"0102"}}]"#);
        let line = tool.until("message-back");
        let path = directory.join(format!("{number:06}.bin"));
        assert_eq!(line, format!(r#"message-back {{"deep":<2 bytes in {}>}}"#, path.display()));
        assert_eq!(fs::read(path).unwrap(), [1, 2]);
        tool.end_input();
        assert_eq!(tool.exit().0, 0);
    }
}

#[test]
fn it_connects_again_to_a_server_that_was_restarted() {
    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url(), "--transport", "websocket"]);
    tool.line("a");
    tool.until(r#"message-back "a""#);
    let address = host.crash();
    tool.until("left /: transport close");
    // The line waits for the connection.
    tool.line("b");
    tool.until("attempt 1 to connect again");
    let _host = Host::at(&address.to_string());
    tool.until("connected again in attempt");
    tool.until(r#"message-back "b""#);
    tool.end_input();
    assert_eq!(tool.exit().0, 0);
}

#[test]
fn it_ends_when_the_connection_is_lost_if_it_may_not_connect_again_or_the_input_is_over() {
    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url(), "--no-reconnect"]);
    tool.until("joined /");
    host.crash();
    assert_eq!(tool.exit().0, 3);

    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url()]);
    tool.until("joined /");
    host.crash();
    tool.until("attempt 1 to connect again");
    tool.end_input();
    let (code, printed) = tool.exit();
    assert_eq!((code, printed.contains("the input is over")), (3, true), "{printed}");

    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url(), "--attempts", "1"]);
    tool.until("joined /");
    host.crash();
    let (code, printed) = tool.exit();
    assert_eq!((code, printed.contains("all attempts to connect again have failed")), (3, true), "{printed}");
}

#[test]
fn it_waits_for_a_server_that_is_not_there_yet_if_it_may_retry() {
    let address = Host::start().crash();
    let mut tool = Tool::start(&["cat", &format!("http://{address}"), "--retry", "--event", "text"]);
    tool.line("kept").until("attempt 1 to connect again");
    let host = Host::at(&address.to_string());
    host.until("text kept");
}

#[test]
fn msgpack_is_spoken() {
    let (server, seen) = contract(Server::builder().parser(MsgPack).build());
    let host = Host::serving("127.0.0.1:0", server, seen);
    let mut tool = Tool::start(&["cat", &host.url(), "--parser", "msgpack"]);
    tool.line(r#"["message", 1, -2, 0.5, {"a":[null,true,{"$hex":"00"}]}]"#);
    assert_eq!(tool.until("message-back"), r#"message-back 1 -2 0.5 {"a":[null,true,<1 bytes 00>]}"#);
}

#[test]
fn more_input_than_the_queue_takes_goes_as_fast_as_the_server_reads() {
    let host = Host::start();
    let mut tool = Tool::start(&["cat", &host.url(), "--event", "text", "--transport", "websocket", "--quiet"]);
    let long = "x".repeat(500_000);
    // Twice the limit of the queue.
    for _ in 0..64 {
        tool.line(&long);
    }
    tool.line("last").end_input();
    assert_eq!(tool.exit(), (0, String::new()));
    let seen: Vec<_> = (0..67).map(|_| host.seen()).collect();
    assert_eq!(seen.iter().filter(|what| what.ends_with(&long)).count(), 64);
    assert_eq!(seen[65], "text last");
}
