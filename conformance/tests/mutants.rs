//! The suite tested: every case for servers passes against a good server and fails against each of its mutants. A case that cannot fail
//! is a defect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "../fixtures/rust/contract.rs"]
mod contract;

use std::sync::Arc;
use std::time::Duration;

use socketio_conformance::case::{Case, server_cases};
use socketio_conformance::report::failure;
use socketio_conformance::run::{Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;
use socketio_tokio::serve;
use tokio::net::TcpListener;

/// Our own server, with the contract of `fixtures/SERVER.md`. It runs until the runtime ends.
async fn good_server() -> Subject {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener, contract::endpoints(contract::Settings::default())).await });
    Subject::Server(Arc::new(Tcp::new(&url).unwrap()))
}

/// `FILTER=eio4/upgrade cargo test …` looks at some of the cases only.
fn cases() -> Vec<Case> {
    let filter = std::env::var("FILTER").unwrap_or_default();
    let mut cases = server_cases().unwrap();
    cases.retain(|case| case.id.starts_with(&filter));
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_case_passes_against_a_good_server() {
    let subject = good_server().await;
    let cases = cases();
    let results = run(&subject, &cases, &Options::default(), |_| {}).await;
    let failed: Vec<String> = results.iter().filter(|result| result.verdict != Verdict::Pass).map(failure).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(results.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_case_fails_against_each_of_its_mutants() {
    let subject = good_server().await;
    let broken: Vec<Case> =
        cases().iter().flat_map(|case| case.mutants.iter().map(|mutant| case.broken_by(mutant))).collect();
    // What is broken stays broken: there is no need to be patient with it.
    let options = Options { grace: Duration::from_millis(700), jobs: 12, ..Options::default() };
    let results = run(&subject, &broken, &options, |_| {}).await;
    let undetected: Vec<String> = broken
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.verdict != Verdict::Fail)
        .map(|(case, result)| format!("under `{}`:\n{}", case.mutant.as_deref().unwrap_or_default(), failure(result)))
        .collect();
    assert!(undetected.is_empty(), "these do not notice that they are broken:\n{}", undetected.join("\n"));
    assert_eq!(results.len(), broken.len());
}
