//! Runs third-party implementations that install within a minute (the reference and python-socketio, as servers and as clients), and
//! compares the results with `expected/`. A difference is a regression of the suite, or a change of an implementation.
//!
//! There is one test per implementation. The reference as a server runs all cases. The others run only the `must` cases to save time, or
//! all cases with `FIELD=all`. If a tool is missing, its test is skipped with the reason, unless `REQUIRE_ALL=1` is set.
//! `FILTER=eio4/upgrade` selects cases by id. Run the other implementations by hand: `socketio-conformance field NAME`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use socketio_conformance::case::{Case, Level, Role, client_cases, server_cases};
use socketio_conformance::field::{Expected, Field, Peer, StartError, peer, retry_unexpected};
use socketio_conformance::peers::all_required;
use socketio_conformance::report::{failure, summary};
use socketio_conformance::run::{Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;

const TESTED: [&str; 4] = ["node", "python-aiohttp", "client-node", "client-python"];

/// What is printed at the end.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    summaries: Vec<String>,
    missing: BTreeSet<String>,
}

impl Notes {
    fn add(&self, note: impl FnOnce(&mut Collected)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let notes = Notes::default();
    let trials = TESTED.iter().filter_map(|name| peer(name)).map(|peer| {
        let notes = notes.clone();
        Trial::ignorable_test(peer.name, move || test_peer(peer, &notes))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    notes.add(|found| {
        found.summaries.sort();
        found.summaries.iter().for_each(|summary| eprintln!("{summary}"));
        found.missing.iter().for_each(|reason| eprintln!("missing: {reason}"));
    });
    conclusion.exit_code()
}

/// Installs an implementation, runs its cases and compares the results.
fn test_peer(peer: &'static Peer, notes: &Notes) -> Result<Completion, Failed> {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let field = Field::new(temporary.parent().unwrap_or(temporary));
    let skip = |missing: String| {
        if all_required() {
            return Err(Failed::from(missing));
        }
        notes.add(|found| _ = found.missing.insert(missing.clone()));
        Ok(Completion::ignored_with(missing))
    };
    let mut cases = match peer.role {
        Role::Server => server_cases()?,
        Role::Client => client_cases()?,
    };
    let filter = std::env::var("FILTER").unwrap_or_default();
    let all = std::env::var("FIELD").is_ok_and(|value| value == "all") || peer.name == "node";
    cases.retain(|case| peer.runs_case(case) && case.id.starts_with(&filter) && (all || case.level == Level::Must));
    let mut running = None;
    let subject = match peer.role {
        Role::Server => match field.start(peer) {
            Ok(server) => {
                let connector = Tcp::new(server.url())?;
                running = Some(server);
                Subject::Server(Arc::new(connector))
            }
            Err(StartError::Missing(missing)) => return skip(missing.to_string()),
            Err(error) => return Err(error.into()),
        },
        Role::Client => match field.command_line(peer) {
            Ok(command) => Subject::Client(command),
            Err(missing) => return skip(missing.to_string()),
        },
    };
    let found = compare(peer, &subject, &cases, all && filter.is_empty(), notes);
    match running {
        Some(mut server) if found.is_err() => {
            Err(format!("{}\n{}", found.err().unwrap_or_default(), server.log()).into())
        }
        _ => found.map(|()| Completion::Completed).map_err(Failed::from),
    }
}

/// Runs the cases. The error lists the results that are not as expected.
fn compare(peer: &Peer, subject: &Subject, cases: &[Case], whole: bool, notes: &Notes) -> Result<(), String> {
    let expected = Expected::read(peer).map_err(|error| error.to_string())?;
    let jobs = if peer.role == Role::Server { 24 } else { 6 };
    let without = peer.lacks.iter().map(|lack| (*lack).to_owned()).collect();
    let options = Options { jobs, without, ..Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let results = runtime.map_err(|error| error.to_string())?.block_on(async {
        let results = run(subject, cases, &options, |_| {}).await;
        retry_unexpected(subject, cases, &options, &expected, results, |_| {}).await
    });
    notes.add(|found| found.summaries.push(format!("{} {}\n{}", peer.title, peer.version, summary(&results))));
    let differences = expected.differences(&results, whole);
    let reports = differences.iter().map(|difference| {
        let result = results.iter().find(|result| result.id == difference.id && result.verdict != Verdict::Pass);
        format!("{difference}\n{}", result.map(failure).unwrap_or_default())
    });
    let reports: Vec<String> = reports.collect();
    if reports.is_empty() && results.len() == cases.len() {
        return Ok(());
    }
    let advice = format!("a regression, or: socketio-conformance field {} --update", peer.name);
    Err(format!("{} of {} cases are not as expected: {advice}\n{}", reports.len(), cases.len(), reports.join("\n")))
}
