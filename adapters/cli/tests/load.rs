//! `socketio load` with a server in this process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::server::Host;
use support::{Tool, run};

/// Runs it, and reads the result. It is a file, because stdout and stderr are one in these tests.
fn result(name: &str, arguments: &[&str]) -> (i32, Value) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let (code, printed) = run(&[arguments, &["--json", file.to_str().unwrap()]].concat(), "");
    let result = fs::read(file).unwrap();
    (code, serde_json::from_slice(&result).unwrap_or_else(|error| panic!("{error}: {printed}")))
}

#[test]
fn twenty_clients_send_for_a_second_and_every_ack_is_measured() {
    let host = Host::start();
    let url = host.url();
    let options = ["--connections", "20", "--duration", "1", "--event", "message-with-ack", "--window", "4"];
    let (code, result) = result("window", &[&["load", &url][..], &options].concat());
    assert_eq!((code, &result["errors"]), (0, &serde_json::json!({})), "{result}");
    assert_eq!((&result["connected"], &result["failed"], &result["lost"]), (&20.into(), &0.into(), &0.into()));
    let acked = result["acked"].as_u64().unwrap();
    assert!(acked >= 80 && result["sent"] == acked && result["round_trip_ms"]["count"] == acked, "{result}");
    let time = |name: &str| result["round_trip_ms"][name].as_f64().unwrap();
    assert!(time("p50") <= time("p90") && time("p90") <= time("p99") && time("p99") <= time("max"), "{result}");
    assert_eq!(result["connect_ms"]["count"], 20);
}

#[test]
fn messages_are_sent_at_a_rate_without_acks() {
    let host = Host::start();
    let url = host.url();
    let options = ["--connections", "3", "--duration", "0.5", "--rate", "20", "--no-ack", "--binary", "--size", "100"];
    let (code, result) = result("rate", &[&["load", &url][..], &options].concat());
    assert_eq!((code, &result["round_trip_ms"], &result["acked"]), (0, &Value::Null, &0.into()), "{result}");
    let sent = result["sent"].as_u64().unwrap();
    assert!(sent > 0 && result["received"].as_u64().unwrap() <= sent, "{result}");
}

#[test]
fn errors_are_counted_by_kind() {
    let host = Host::start();
    let refuse = format!("{}/refuse", host.url());
    let (code, refused) = result("refused", &["load", &refuse, "--connections", "3"]);
    assert_eq!((code, &refused["connected"], &refused["failed"]), (3, &0.into(), &3.into()), "{refused}");
    assert_eq!(refused["errors"]["connect: refused\\u001b[31m"], 3, "{refused}");

    let url = host.url();
    let options = ["--connections", "2", "--duration", "0.1", "--event", "never-ack", "--ack-timeout", "0.01"];
    let (code, late) = result("late", &[&["load", &url][..], &options].concat());
    assert_eq!((code, &late["acked"]), (1, &0.into()), "{late}");
    assert!(late["errors"]["ack: operation has timed out"].as_u64().unwrap() >= 2, "{late}");
}

#[test]
fn it_ends_early_with_a_result_on_an_interrupt_and_when_all_connections_are_lost() {
    let host = Host::start();
    let url = host.url();
    // The first message comes when all are connected.
    let options = [
        "load",
        &url,
        "--connections",
        "2",
        "--duration",
        "1000",
        "--rate",
        "1",
        "--no-ack",
        "--event",
        "text",
        "--size",
        "1",
    ];
    let tool = Tool::start(&[&options[..], &["--json", "-"]].concat());
    host.until("text x");
    tool.interrupt();
    let (code, printed) = tool.exit();
    assert!(code == 0 && printed.contains("\"interrupted\": true"), "{code} {printed}");

    (0..2).for_each(|_| host.until("disconnect client namespace disconnect"));
    let tool = Tool::start(&options);
    host.until("text x");
    host.crash();
    let (code, printed) = tool.exit();
    assert!(
        code == 1 && printed.contains("0 failed, 2 lost") && printed.contains("connection lost: transport "),
        "{code} {printed}"
    );
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (options, advice) in [
        (&["--rate", "1", "--window", "1"][..], "exclude each other"),
        (&["--no-ack"], "--rate"),
        (&["--connections", "0"], "more than 0"),
        (&["--rate", "0"], "more than 0"),
        (&["--namespace", "a", "--namespace", "b"], "one --namespace"),
        (&["--json", "/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let (code, printed) = run(&[&["load", "http://127.0.0.1:1"], options].concat(), "");
        assert!(code == 2 && printed.contains(advice), "{options:?} {code}: {printed}");
    }
}
