//! Our own server under the suite, twice: over sockets, and in memory under virtual time, where a heartbeat of minutes costs nothing and
//! no machine is too slow, so that next to no grace is given.
//!
//! All cases run, those of parts that are not built, too. What fails is listed in `known-failures.txt`, with a reason; whoever fails without
//! being listed is a defect, and so is a listed case that passes. `UPDATE=1` rewrites the list as far as it is about parts that are not built.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "../fixtures/rust/contract.rs"]
mod contract;
#[path = "support/known.rs"]
mod known;
#[path = "support/memory.rs"]
mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Settings;
use memory::Memory;
use socketio_conformance::case::{Case, Level, server_cases};
use socketio_conformance::field::{Expected, Outcome, peer, settle};
use socketio_conformance::report::failure;
use socketio_conformance::run::{CaseResult, Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;
use tokio::net::TcpListener;

/// How late things may be in memory, where nothing is slow: the server looks every 100 ms whether an upgrade has a poll to release,
/// as the reference does, and far deadlines share the ticks of its timers.
const VIRTUAL_GRACE: Duration = Duration::from_millis(250);

/// Parts of the protocols that no server of ours offers, and what the list says of their cases.
const NOT_BUILT: [(&str, &str); 2] =
    [("eio3", "Engine.IO revision 3 is not served yet"), ("recovery", "connection state recovery is not built yet")];

fn chosen() -> Vec<Case> {
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = server_cases().unwrap();
    // Nobody serves WebTransport here, and the list must not depend on how the suite was built.
    cases.retain(|case| case.id.starts_with(&filter) && !case.is_on_request());
    cases
}

/// Everything passes but what is listed, which fails.
fn assert_as_known(cases: &[Case], results: &[CaseResult]) {
    assert_eq!(results.len(), cases.len(), "a result is missing");
    let mut known = known::failures();
    let mut wrong = Vec::new();
    for (case, result) in cases.iter().zip(results) {
        let listed = known.contains_key(&result.id);
        let reason = NOT_BUILT.iter().find(|(part, _)| case.needs.iter().any(|need| need == part));
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
async fn over_sockets_our_server_fails_no_case_but_the_listed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { socketio_tokio::serve(listener, contract::endpoints(Settings::default())).await });
    let cases = chosen();
    let options = Options { jobs: 12, ..Options::default() };
    let subject = Subject::Server(Arc::new(Tcp::new(&url).unwrap()));
    let results = run(&subject, &cases, &options, |_| {}).await;
    // A busy machine is no defect.
    let results = settle(&subject, &cases, &options, &known_as_expected(), results, |_| {}).await;
    assert_as_known(&cases, &results);
}

/// The list in the form that a second attempt looks at.
fn known_as_expected() -> Expected {
    let mut expected = Expected::of(peer("ours").unwrap());
    for (id, seen) in known::failures() {
        expected.results.insert(id, Outcome { verdict: Verdict::Fail, level: Level::Must, seen });
    }
    expected
}

/// Runs cases on a server in memory, with a clock that moves when everybody waits; returns how long that clock says it took.
fn under_virtual_time(settings: Settings, cases: &[Case], options: &Options) -> (Vec<CaseResult>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let subject = Subject::Server(Arc::new(Memory::new(contract::endpoints(settings))));
        // The server's epoch is a time of the machine, which went on while this one was standing still.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = tokio::time::Instant::now();
        (run(&subject, cases, options, |_| {}).await, begin.elapsed())
    })
}

/// One case at a time. Nothing takes time here but waiting, so that no deadline of the suite can come before what the server does by itself.
#[test]
fn in_memory_our_server_fails_no_case_but_the_listed() {
    let cases = chosen();
    let options = Options { grace: VIRTUAL_GRACE, jobs: 1, ..Options::default() };
    let begin = Instant::now();
    let (results, virtually) = under_virtual_time(Settings::default(), &cases, &options);
    println!("{} cases took {virtually:?} of virtual time, and {:?} of ours", results.len(), begin.elapsed());
    assert_as_known(&cases, &results);
}

/// Nothing in the suite or in our server assumes a short heartbeat. That of the reference (25 s and 20 s) would be too long: some cases keep
/// a probe or an idle connection for as long as an interval, and a server ends these after 10 s and 30 s.
#[test]
fn in_memory_with_a_long_heartbeat_our_server_fails_no_case_but_the_listed() {
    let settings =
        Settings { ping_interval: Duration::from_secs(3), ping_timeout: Duration::from_secs(2), ..Settings::default() };
    let cases = chosen();
    let options = Options { grace: VIRTUAL_GRACE, jobs: 1, ..Options::default() };
    let (results, _) = under_virtual_time(settings, &cases, &options);
    assert_as_known(&cases, &results);
}

/// What a case would have the server refuse is not refused by a server that is gone.
#[tokio::test]
async fn no_case_passes_where_there_is_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let options = Options { grace: Duration::ZERO, jobs: 64, ..Options::default() };
    let subject = Subject::Server(Arc::new(Tcp::new(&url).unwrap()));
    let results = run(&subject, &chosen(), &options, |_| {}).await;
    let passed: Vec<_> =
        results.iter().filter(|result| result.verdict == Verdict::Pass).map(|result| &result.id).collect();
    assert!(passed.is_empty(), "passed without a server: {passed:?}");
}
