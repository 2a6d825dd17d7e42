//! The suite tested: every case passes against a good peer and fails against each of its mutants. A case that cannot fail is a defect.
//!
//! The good server is our own, in this process; for what it does not offer, it is the reference on Node.js, and on deno for WebTransport
//! (with the feature `webtransport`). The good client is the reference, and for revision 3 its 2.x line. `FILTER=eio4/upgrade cargo test …` looks
//! at some of the cases only, `PEER=http://127.0.0.1:3000` at another server.
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

/// What our server does not offer yet.
const NOT_OURS: [&str; 3] = ["eio3", "recovery", "webtransport"];

/// What the reference on Node.js does not offer.
const NOT_ON_NODE: [&str; 2] = ["webtransport", "exact-timers"];

fn chosen(cases: Result<Vec<Case>, String>) -> Vec<Case> {
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

/// Runs cases that are expected to pass. Those that do not are tried once more, with few others beside them: a busy machine proves nothing.
async fn passing(subject: &Subject, cases: &[Case], options: &Options) -> Vec<CaseResult> {
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

/// Every case passes, and fails under each of its mutants.
async fn tell_good_from_broken(subject: &Subject, cases: &[Case]) {
    tell_good_from_some_broken(subject, cases, cases).await;
}

/// Every case passes, and those of the second list fail under each of their mutants.
async fn tell_good_from_some_broken(subject: &Subject, cases: &[Case], broken: &[Case]) {
    let results = passing(subject, cases, &Options::default()).await;
    let failed: Vec<String> = results.iter().filter(|result| result.verdict != Verdict::Pass).map(failure).collect();
    assert!(failed.is_empty(), "these do not pass against a good peer:\n{}", failed.join("\n"));

    // What is broken stays broken: there is no need to be patient with it.
    let options = Options { grace: Duration::from_millis(700), jobs: 12, ..Options::default() };
    let trials = prove(subject, broken, &options, |_| {}).await.unwrap();
    let faults: Vec<String> = trials.iter().filter_map(Trial::fault).collect();
    assert!(faults.is_empty(), "these do not notice that the peer is broken:\n{}", faults.join("\n"));
}

fn field() -> Field {
    Field::new(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
}

/// A tool that is not here is a reason to skip, unless everything is required.
fn skipped(missing: &dyn std::fmt::Display) {
    assert!(!all_required(), "{missing}");
    eprintln!("skipped: {missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_cases_tell_our_server_from_broken_ones() {
    let mut cases = chosen(server_cases());
    if let Ok(url) = std::env::var("PEER") {
        return tell_good_from_broken(&server(&url), &cases).await;
    }
    let known = known::failures();
    cases.retain(|case| !needs_any(case, &NOT_OURS) && !known.contains_key(&case.id));
    tell_good_from_broken(&our_server().await, &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_cases_tell_the_reference_from_broken_servers_where_ours_cannot_serve() {
    let known = known::failures();
    let mut cases = chosen(server_cases());
    cases.retain(|case| needs_any(case, &NOT_OURS) || known.contains_key(&case.id));
    let expected = Expected::read(peer("node").unwrap()).unwrap();
    let fails = |case: &Case| expected.results.get(&case.id).is_some_and(|outcome| outcome.verdict == Verdict::Fail);
    // What the reference does not do either has no good peer to be tried on.
    cases.retain(|case| !needs_any(case, &NOT_ON_NODE) && !fails(case));
    if cases.is_empty() {
        return;
    }
    let running = match field().start(peer("node").unwrap()) {
        Ok(running) => running,
        Err(StartError::Missing(missing)) => return skipped(&missing),
        Err(error) => panic!("{error}"),
    };
    tell_good_from_broken(&server(running.url()), &cases).await;
}

/// What the reference does not do.
const NOT_ON_DENO: &str = "eio4/webtransport/second-stream";

/// WebTransport without QUIC: what that case asks for, and that frames and rules for them are what they should be, in every build.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_of_webtransport_tell_a_strict_server_in_memory_from_broken_ones() {
    const SERVED: [&str; 5] = ["handshake", "text", "binary", "empty-message", "many-in-one-write"];
    let mut cases = chosen(case::parse(include_str!("../cases/server/eio4-webtransport.toml"), Role::Server));
    let served = |id: &str| id.split('/').nth(2).is_some_and(|name| SERVED.contains(&name));
    cases.retain(|case| case.id == NOT_ON_DENO || (case.id.starts_with("eio4/") && served(&case.id)));
    tell_good_from_broken(&Subject::Server(Arc::new(strict::Strict)), &cases).await;
}

#[cfg(feature = "webtransport")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_cases_of_webtransport_tell_the_reference_on_deno_from_broken_servers() {
    let mut cases = chosen(server_cases());
    cases.retain(|case| case.is_on_request() && case.id != NOT_ON_DENO);
    if cases.is_empty() {
        return;
    }
    let running = match field().start(peer("deno").unwrap()) {
        Ok(running) => running,
        Err(StartError::Missing(missing)) => return skipped(&missing),
        Err(error) => panic!("{error}"),
    };
    tell_good_from_broken(&server(running.url()), &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_cases_tell_the_reference_from_broken_clients() {
    tell_client_from_broken_ones("client-node").await;
}

/// The last line of the reference that speaks revision 3 as a client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_cases_of_revision_3_tell_the_2_x_client_from_broken_ones() {
    tell_client_from_broken_ones("client-socketio2").await;
}

/// With the cases that this client does not lack anything for.
async fn tell_client_from_broken_ones(name: &str) {
    let client = peer(name).unwrap();
    let mut cases = chosen(client_cases());
    cases.retain(|case| !needs_any(case, client.lacks));
    if cases.is_empty() {
        return;
    }
    // Every run starts a program, so that one variant of each case has to do, unless `MUTANTS=all` asks for all.
    let mut broken = cases.clone();
    if !std::env::var("MUTANTS").is_ok_and(|value| value == "all") {
        broken.dedup_by(|next, first| variant_of(&next.id).is_some_and(|case| variant_of(&first.id) == Some(case)));
    }
    match field().command_line(client) {
        Ok(command) => tell_good_from_some_broken(&Subject::Client(command), &cases, &broken).await,
        Err(missing) => skipped(&missing),
    }
}

/// The case that `client/group/case/variant` is a variant of.
fn variant_of(id: &str) -> Option<&str> {
    let (case, _) = id.rsplit_once('/')?;
    (case.split('/').count() == 3).then_some(case)
}
