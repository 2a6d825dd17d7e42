//! Runs the suite against our own server and our own client. The server is tested over sockets, and in memory in virtual time, where long
//! heartbeats take no real time and a slow machine does not matter, so little grace is needed. The client is tested over sockets.
//!
//! All cases run, including those for unsupported features. `known-failures.txt` lists the cases that the server fails, with reasons. A
//! failed case that is not listed is a defect, and so is a listed case that passes. `UPDATE=1` updates the entries for unsupported features.
//! The cases that the client fails on purpose are in `expected/client-ours.json`, and their reasons in `field/client-ours.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

#[path = "../fixtures/rust/contract.rs"]
mod contract;
#[path = "support/known.rs"]
mod known;
#[path = "support/memory.rs"]
mod memory;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Settings;
use memory::InMemoryServer;
use socketio_conformance::case::{Case, Level, client_cases, server_cases};
use socketio_conformance::field::{Expected, Field, Outcome, peer, retry_unexpected};
use socketio_conformance::report::failure;
use socketio_conformance::run::{CaseResult, Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;
use tokio::net::TcpListener;

/// How late things may be in memory, where nothing is slow: the server looks every 100 ms whether an upgrade has a poll to release,
/// as the reference does, and far deadlines share the ticks of its timers.
const VIRTUAL_GRACE: Duration = Duration::from_millis(250);

/// The capabilities that our server does not support, and the reason that the list has for their cases.
const UNSUPPORTED: [(&str, &str); 0] = [];

fn selected_cases() -> Vec<Case> {
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = server_cases().unwrap();
    // WebTransport is not served here, and the list must not depend on how the suite was built.
    cases.retain(|case| case.id.starts_with(&filter) && !case.needs_webtransport());
    cases
}

/// Asserts that all cases pass except the listed ones, which fail.
fn assert_only_listed_failures(cases: &[Case], results: &[CaseResult]) {
    assert_eq!(results.len(), cases.len(), "a result is missing");
    let mut known = known::failures();
    let mut wrong = Vec::new();
    for (case, result) in cases.iter().zip(results) {
        let listed = known.contains_key(&result.id);
        let reason = UNSUPPORTED.iter().find(|(part, _)| case.needs.iter().any(|need| need == part));
        match (result.verdict, listed, reason) {
            (Verdict::Pass, false, _) | (Verdict::Fail, true, _) => {}
            (Verdict::Pass, true, _) => wrong.push(format!("{} passes: take it off the list", result.id)),
            (Verdict::Fail, false, Some((_, reason))) => {
                wrong.push(format!("{} fails and is not listed ({reason})", result.id));
                known.insert(result.id.clone(), (*reason).to_owned());
            }
            _ => wrong.push(failure(result)),
        }
        if result.verdict == Verdict::Pass {
            known.remove(&result.id);
        }
    }
    if std::env::var_os("FILTER").is_none() {
        let gone: Vec<String> = known.keys().filter(|id| !cases.iter().any(|case| case.id == **id)).cloned().collect();
        for id in gone {
            known.remove(&id);
            wrong.push(format!("{id} is listed and does not exist"));
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        known::write(&known);
    }
    assert!(wrong.is_empty(), "{} cases are not as tests/known-failures.txt says:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_our_server_fails_only_the_listed_cases() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { socketio_tokio::serve(listener, contract::endpoints(Settings::default())).await });
    let cases = selected_cases();
    let options = Options { jobs: 12, ..Options::default() };
    let subject = Subject::Server(Arc::new(Tcp::new(&url).unwrap()));
    let results = run(&subject, &cases, &options, |_| {}).await;
    // A failure may be due to a busy machine.
    let results = retry_unexpected(&subject, &cases, &options, &expected_from_list(), results, |_| {}).await;
    assert_only_listed_failures(&cases, &results);
}

/// The list as expected results, for the second attempt.
fn expected_from_list() -> Expected {
    let mut expected = Expected::empty(peer("ours").unwrap());
    for (id, seen) in known::failures() {
        expected.results.insert(id, Outcome { verdict: Verdict::Fail, level: Level::Must, seen });
    }
    expected
}

/// Runs cases on a server in memory with a clock that advances when all tasks wait. Also returns the duration on that clock.
fn run_in_virtual_time(settings: Settings, cases: &[Case], options: &Options) -> (Vec<CaseResult>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let subject = Subject::Server(Arc::new(InMemoryServer::new(contract::endpoints(settings))));
        // The server's epoch is a time of the machine, which went on while this one was standing still.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = tokio::time::Instant::now();
        (run(&subject, cases, options, |_| {}).await, begin.elapsed())
    })
}

/// One case at a time. Nothing takes time here but waiting, so that no deadline of the suite can come before what the server does by itself.
#[test]
fn in_memory_our_server_fails_only_the_listed_cases() {
    let cases = selected_cases();
    let options = Options { grace: VIRTUAL_GRACE, jobs: 1, ..Options::default() };
    let begin = Instant::now();
    let (results, virtual_time) = run_in_virtual_time(Settings::default(), &cases, &options);
    println!("{} cases took {virtual_time:?} of virtual time, and {:?} of ours", results.len(), begin.elapsed());
    assert_only_listed_failures(&cases, &results);
}

/// Nothing in the suite or in our server assumes a short heartbeat. That of the reference (25 s and 20 s) would be too long: some cases keep
/// a probe or an idle connection for as long as an interval, and a server ends these after 10 s and 30 s.
#[test]
fn in_memory_with_a_long_heartbeat_our_server_fails_only_the_listed_cases() {
    let settings =
        Settings { ping_interval: Duration::from_secs(3), ping_timeout: Duration::from_secs(2), ..Settings::default() };
    let cases = selected_cases();
    let options = Options { grace: VIRTUAL_GRACE, jobs: 1, ..Options::default() };
    let (results, _) = run_in_virtual_time(settings, &cases, &options);
    assert_only_listed_failures(&cases, &results);
}

/// Each case starts the program `conformance-client`, which is built first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_our_client_fails_only_the_expected_cases() {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ours = peer("client-ours").unwrap();
    let command = Field::new(temporary.parent().unwrap()).command_line(ours).unwrap();
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = client_cases().unwrap();
    cases.retain(|case| case.id.starts_with(&filter) && ours.runs_case(case));
    let without = ours.lacks.iter().map(|lack| (*lack).to_owned()).collect();
    let options = Options { jobs: 6, without, ..Options::default() };
    let (subject, expected) = (Subject::Client(command), Expected::read(ours).unwrap());
    let results = run(&subject, &cases, &options, |_| {}).await;
    // A failure may be due to a busy machine.
    let results = retry_unexpected(&subject, &cases, &options, &expected, results, |_| {}).await;
    assert_eq!(results.len(), cases.len(), "a result is missing");
    let reports = expected.differences(&results, filter.is_empty()).into_iter().map(|difference| {
        let result = results.iter().find(|result| result.id == difference.id && result.verdict != Verdict::Pass);
        format!("{difference}\n{}", result.map(failure).unwrap_or_default())
    });
    let reports: Vec<String> = reports.collect();
    assert!(reports.is_empty(), "{} cases are not as expected:\n{}", reports.len(), reports.join("\n"));
}

/// A refused connection must not count as the refusal that a case requires of the server.
#[tokio::test]
async fn no_case_passes_without_a_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let options = Options { grace: Duration::ZERO, jobs: 64, ..Options::default() };
    let subject = Subject::Server(Arc::new(Tcp::new(&url).unwrap()));
    let results = run(&subject, &selected_cases(), &options, |_| {}).await;
    let passed: Vec<_> =
        results.iter().filter(|result| result.verdict == Verdict::Pass).map(|result| &result.id).collect();
    assert!(passed.is_empty(), "passed without a server: {passed:?}");
}
