//! Tests the suite: every case passes against a correct peer and fails under each of its mutants. A case that cannot fail is a defect.
//!
//! The correct server is our own, in this process. For what it does not support, it is the reference on Node.js, or on deno for
//! WebTransport (with the feature `webtransport`). The correct client is the reference, and for revision 3 its 2.x line.
//! `FILTER=eio4/upgrade cargo test …` selects cases by id, and `PEER=http://127.0.0.1:3000` another server.
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
#[path = "support/strict.rs"]
mod strict;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socketio_conformance::case::{self, Case, Role, client_cases, server_cases};
use socketio_conformance::field::{Expected, Field, StartError, peer};
use socketio_conformance::peers::all_required;
use socketio_conformance::proof::{Trial, prove};
use socketio_conformance::report::failure;
use socketio_conformance::run::{CaseResult, Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;
use socketio_tokio::serve;
use tokio::net::TcpListener;

/// The capabilities that our server does not support yet.
const UNSUPPORTED_BY_OURS: [&str; 3] = ["eio3", "recovery", "webtransport"];

/// The capabilities that the reference on Node.js does not support.
const UNSUPPORTED_BY_NODE: [&str; 2] = ["webtransport", "exact-timers"];

fn selected_cases(cases: Result<Vec<Case>, String>) -> Vec<Case> {
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = cases.unwrap();
    cases.retain(|case| case.id.starts_with(&filter));
    cases
}

fn needs_any(case: &Case, lacking: &[&str]) -> bool {
    case.needs.iter().any(|need| lacking.contains(&need.as_str()))
}

fn server(url: &str) -> Subject {
    Subject::Server(Arc::new(Tcp::new(url).unwrap()))
}

/// Our own server, with the contract of `fixtures/SERVER.md`. It runs until the runtime ends.
async fn our_server() -> Subject {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener, contract::endpoints(contract::Settings::default())).await });
    server(&url)
}

/// Runs cases that are expected to pass. Those that do not pass run once more with fewer cases at once, in case the machine was busy.
async fn run_with_retry(subject: &Subject, cases: &[Case], options: &Options) -> Vec<CaseResult> {
    let mut results = run(subject, cases, options, |_| {}).await;
    assert_eq!(results.len(), cases.len(), "a result is missing");
    let others: Vec<usize> = (0..results.len()).filter(|index| results[*index].verdict != Verdict::Pass).collect();
    let again: Vec<Case> = others.iter().map(|index| cases[*index].clone()).collect();
    let second = run(subject, &again, &Options { jobs: 2, ..options.clone() }, |_| {}).await;
    for (index, result) in others.into_iter().zip(second) {
        results[index] = result;
    }
    results
}

/// Asserts that every case passes, and fails under each of its mutants.
async fn assert_every_mutant_is_noticed(subject: &Subject, cases: &[Case]) {
    assert_mutants_are_noticed(subject, cases, cases).await;
}

/// Asserts that every case passes, and that the cases in `broken` fail under each of their mutants.
async fn assert_mutants_are_noticed(subject: &Subject, cases: &[Case], broken: &[Case]) {
    let results = run_with_retry(subject, cases, &Options::default()).await;
    let failed: Vec<String> = results.iter().filter(|result| result.verdict != Verdict::Pass).map(failure).collect();
    assert!(failed.is_empty(), "these do not pass against a good peer:\n{}", failed.join("\n"));

    // A broken peer does not recover, so a short grace is enough.
    let options = Options { grace: Duration::from_millis(700), jobs: 12, ..Options::default() };
    let trials = prove(subject, broken, &options, |_| {}).await.unwrap();
    let faults: Vec<String> = trials.iter().filter_map(Trial::fault).collect();
    assert!(faults.is_empty(), "these do not notice that the peer is broken:\n{}", faults.join("\n"));
}

fn field() -> Field {
    Field::new(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
}

/// Reports that a test is skipped because a tool is missing. Panics if all tools are required.
fn skipped(missing: &dyn std::fmt::Display) {
    assert!(!all_required(), "{missing}");
    eprintln!("skipped: {missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_cases_notice_every_mutant_of_our_server() {
    let mut cases = selected_cases(server_cases());
    if let Ok(url) = std::env::var("PEER") {
        return assert_every_mutant_is_noticed(&server(&url), &cases).await;
    }
    let known = known::failures();
    cases.retain(|case| !needs_any(case, &UNSUPPORTED_BY_OURS) && !known.contains_key(&case.id));
    assert_every_mutant_is_noticed(&our_server().await, &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_cases_that_ours_cannot_pass_notice_every_mutant_of_the_reference() {
    let known = known::failures();
    let mut cases = selected_cases(server_cases());
    cases.retain(|case| needs_any(case, &UNSUPPORTED_BY_OURS) || known.contains_key(&case.id));
    let expected = Expected::read(peer("node").unwrap()).unwrap();
    let fails = |case: &Case| expected.results.get(&case.id).is_some_and(|outcome| outcome.verdict == Verdict::Fail);
    // Cases that the reference fails as well have no correct peer to run against.
    cases.retain(|case| !needs_any(case, &UNSUPPORTED_BY_NODE) && !fails(case));
    if cases.is_empty() {
        return;
    }
    let running = match field().start(peer("node").unwrap()) {
        Ok(running) => running,
        Err(StartError::Missing(missing)) => return skipped(&missing),
        Err(error) => panic!("{error}"),
    };
    assert_every_mutant_is_noticed(&server(running.url()), &cases).await;
}

/// The case that the reference on deno fails.
const UNSUPPORTED_BY_DENO: &str = "eio4/webtransport/second-stream";

/// WebTransport without QUIC: tests that case, and the frames and the rules for them, in every build.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtransport_cases_notice_every_mutant_of_a_strict_server_in_memory() {
    const SERVED: [&str; 5] = ["handshake", "text", "binary", "empty-message", "many-in-one-write"];
    let mut cases = selected_cases(case::parse(include_str!("../cases/server/eio4-webtransport.toml"), Role::Server));
    let served = |id: &str| id.split('/').nth(2).is_some_and(|name| SERVED.contains(&name));
    cases.retain(|case| case.id == UNSUPPORTED_BY_DENO || (case.id.starts_with("eio4/") && served(&case.id)));
    assert_every_mutant_is_noticed(&Subject::Server(Arc::new(strict::StrictServer)), &cases).await;
}

#[cfg(feature = "webtransport")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtransport_cases_notice_every_mutant_of_the_reference_on_deno() {
    let mut cases = selected_cases(server_cases());
    cases.retain(|case| case.needs_webtransport() && case.id != UNSUPPORTED_BY_DENO);
    if cases.is_empty() {
        return;
    }
    let running = match field().start(peer("deno").unwrap()) {
        Ok(running) => running,
        Err(StartError::Missing(missing)) => return skipped(&missing),
        Err(error) => panic!("{error}"),
    };
    assert_every_mutant_is_noticed(&server(running.url()), &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_cases_notice_every_mutant_of_the_reference() {
    assert_client_mutants_are_noticed("client-node").await;
}

/// The 2.x line is the last one whose client uses revision 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_cases_of_revision_3_notice_every_mutant_of_the_2_x_client() {
    assert_client_mutants_are_noticed("client-socketio2").await;
}

/// Uses the cases whose capabilities this client supports.
async fn assert_client_mutants_are_noticed(name: &str) {
    let client = peer(name).unwrap();
    let mut cases = selected_cases(client_cases());
    cases.retain(|case| !needs_any(case, client.lacks));
    if cases.is_empty() {
        return;
    }
    // Every run starts a program, so only one variant of each case runs, unless `MUTANTS=all` is set.
    let mut broken = cases.clone();
    if !std::env::var("MUTANTS").is_ok_and(|value| value == "all") {
        broken.dedup_by(|next, first| variant_of(&next.id).is_some_and(|case| variant_of(&first.id) == Some(case)));
    }
    match field().command_line(client) {
        Ok(command) => assert_mutants_are_noticed(&Subject::Client(command), &cases, &broken).await,
        Err(missing) => skipped(&missing),
    }
}

/// The case that `client/group/case/variant` is a variant of.
fn variant_of(id: &str) -> Option<&str> {
    let (case, _) = id.rsplit_once('/')?;
    (case.split('/').count() == 3).then_some(case)
}
