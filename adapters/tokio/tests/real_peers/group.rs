//! A group: one script in one mode with one server process. Each of the script's checks is a test.
//!
//! The script runs once, with the checks that the command line selects. The tests then look up what it reported.

use crate::parsers::{Format, Speaker};
use crate::server::{self, Example, Launch, Server};
use crate::websocket_node::Echo;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use socketio_conformance::peers::{self, Missing, Peers};
use socketio_conformance::process::{Output, Process, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The last resort against a hang. The scripts themselves abandon a single check much earlier.
const PATIENCE: Duration = Duration::from_secs(600);

/// The interpreter of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runner {
    Node,
    Python,
    Browser,
}

/// A script, how it is run, and the server that it connects to.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The first part of the tests' names.
    pub(crate) name: String,
    pub(crate) runner: Runner,
    /// File name in `scripts/`.
    pub(crate) script: &'static str,
    /// The script's second argument, after the server's URL.
    pub(crate) mode: &'static str,
    pub(crate) checks: Vec<String>,
    pub(crate) opposite: Opposite,
}

/// The server that the script connects to.
#[derive(Clone, Debug)]
pub(crate) enum Opposite {
    Example(Launch),
    /// The WebSocket crate, in this process.
    WebSocket {
        deflate: bool,
    },
    /// A Socket.IO server with another parser, in this process.
    Parser(Format),
    /// The server of [`handlers`](crate::handlers), in this process.
    Handlers,
    /// The server of [`webtransport`](crate::webtransport), in this process.
    WebTransport,
}

/// A running server.
pub(crate) trait Counterpart {
    fn address(&self) -> SocketAddr;

    /// Performs a request of a script.
    fn control(&mut self, what: &str) -> Result<(), String>;

    /// The reason why the group has failed, whatever the script reported.
    fn fault(&mut self) -> Option<String>;

    /// The output so far.
    fn transcript(&mut self) -> String;
}

impl Opposite {
    /// Starts the server. The inner error is a failure, the outer one a reason to skip.
    fn start(&self, peers: &Peers) -> Result<Result<Box<dyn Counterpart>, String>, Missing> {
        Ok(match self {
            Self::Example(launch) => Server::start(launch, peers)?.map(|server| Box::new(server) as _),
            Self::WebSocket { deflate } => {
                Echo::start(*deflate).map(|echo| Box::new(echo) as _).map_err(|error| error.to_string())
            }
            Self::Parser(format) => {
                Speaker::start(*format).map(|speaker| Box::new(speaker) as _).map_err(|error| error.to_string())
            }
            Self::WebTransport => {
                let started = crate::webtransport::Listeners::start();
                started.map(|listeners| Box::new(listeners) as _).map_err(|error| error.to_string())
            }
            Self::Handlers => {
                let started = Speaker::serving(crate::handlers::server());
                started.map(|speaker| Box::new(speaker) as _).map_err(|error| error.to_string())
            }
        })
    }
}

/// The outcome of each check that was run, or the reason why none was.
type Report = Result<BTreeMap<String, Result<(), String>>, Missing>;

struct Run {
    group: Group,
    selected: Vec<String>,
    report: OnceLock<Report>,
}

impl Run {
    /// The report. The first test that needs it runs the script, and the others wait.
    fn report(&self, peers: &Peers) -> &Report {
        self.report.get_or_init(|| perform(&self.group, &self.selected, peers))
    }
}

/// The file in `scripts/`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_peers/scripts").join(name)
}

/// The names of the checks of a script: its functions without parameters. In JavaScript they are methods of one object, in Python they are
/// at the top level.
pub(crate) fn checks(source: &str) -> Vec<String> {
    let name = |line: &str| {
        let javascript = line.strip_prefix("  async ").and_then(|rest| rest.strip_suffix("() {"));
        let python = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ");
        javascript.or_else(|| python?.strip_suffix("():")).filter(|name| *name != "main").map(str::to_owned)
    };
    source.lines().filter_map(name).collect()
}

/// Runs the groups that the command line selects, two or more at a time, alongside the tests that need no group. At the end, prints what
/// was skipped and why.
pub(crate) fn run(arguments: &Arguments, peers: &Peers, groups: Vec<Group>, mut trials: Vec<Trial>) -> ExitCode {
    let mut runs = Vec::new();
    for group in groups {
        let name = |check: &str| format!("{}::{check}", group.name);
        let selected = group.checks.iter().filter(|check| {
            let trial = Trial::test(name(check), || Ok(()));
            !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial)
        });
        let selected: Vec<_> = selected.cloned().collect();
        let run = Arc::new(Run { selected, report: OnceLock::new(), group: group.clone() });
        for check in &group.checks {
            let (run, peers, check) = (Arc::clone(&run), peers.clone(), check.clone());
            trials.push(Trial::ignorable_test(name(&check), move || outcome(&run, &peers, &check)));
        }
        runs.push(run);
    }
    // All tests of a group wait for the same script, so the groups have to run concurrently.
    if !arguments.list {
        let runs: Arc<[_]> = runs.iter().filter(|run| !run.selected.is_empty()).cloned().collect();
        let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        for _ in 0..arguments.test_threads.unwrap_or(workers) {
            let (runs, next, peers) = (Arc::clone(&runs), Arc::clone(&next), peers.clone());
            thread::spawn(move || {
                while let Some(run) = runs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    run.report(&peers);
                }
            });
        }
    }
    let conclusion = libtest_mimic::run(arguments, trials);
    if !arguments.list {
        let ran = conclusion.num_passed.saturating_add(conclusion.num_failed);
        eprintln!("real peers: {ran} ran, {} skipped", conclusion.num_ignored);
        // Printed so that such a run is not mistaken for one with our server.
        for (variable, program) in server::replacements() {
            eprintln!("testing another server: {variable}={program}");
        }
        let reasons = runs.iter().filter_map(|run| run.report.get()?.as_ref().err());
        for reason in reasons.map(Missing::to_string).collect::<BTreeSet<_>>() {
            eprintln!("missing: {reason}");
        }
    }
    conclusion.exit_code()
}

fn outcome(run: &Run, peers: &Peers, check: &str) -> Result<Completion, Failed> {
    match run.report(peers) {
        Err(missing) if peers::all_required() => Err(missing.to_string().into()),
        Err(missing) => Ok(Completion::ignored_with(missing)),
        Ok(results) => match results.get(check) {
            Some(Ok(())) => Ok(Completion::Completed),
            Some(Err(reason)) => Err(reason.into()),
            None => Err("the check was not run".into()),
        },
    }
}

/// Runs the script against a new server.
fn perform(group: &Group, selected: &[String], peers: &Peers) -> Report {
    let path = script(group.script);
    let mut command = match group.runner {
        Runner::Node => peers.node()?.script(&path),
        Runner::Python => peers.python()?.script(&path),
        Runner::Browser => peers.browser()?.script(&path),
    };
    let all = |outcome: Result<(), String>| selected.iter().map(|check| (check.clone(), outcome.clone())).collect();
    let mut server = match group.opposite.start(peers)? {
        Ok(server) => server,
        Err(reason) => return Ok(all(Err(reason))),
    };
    let scheme = match &group.opposite {
        Opposite::Example(Launch { example: Example::EchoTls, .. }) => {
            if let Ok(files) = crate::tls::files() {
                // Node, the HTTP library of the sync python-socketio client, and OpenSSL for the async one.
                for variable in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
                    command.env(variable, &files.authority);
                }
            }
            "https"
        }
        _ => "http",
    };
    command.arg(format!("{scheme}://{}", server.address())).arg(group.mode).args(selected);
    let results = match converse(group, selected, &mut command, server.as_mut()) {
        Ok(results) => results,
        Err(reason) => return Ok(all(Err(reason))),
    };
    if let Some(fault) = server.fault() {
        return Ok(all(Err(fault)));
    }
    Ok(results)
}

/// Reads the output of the script to its end, and performs its requests to control the server.
fn converse(
    group: &Group,
    selected: &[String],
    command: &mut Command,
    server: &mut dyn Counterpart,
) -> Result<BTreeMap<String, Result<(), String>>, String> {
    let mut script = Process::start(&group.name, command).map_err(|error| error.to_string())?;
    let deadline = Instant::now().checked_add(PATIENCE).unwrap_or_else(Instant::now);
    let mut results = BTreeMap::new();
    let ending = loop {
        match script.next(deadline) {
            Ok(Progress::Line(Output::Stdout, line)) => {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if let Some(what) = line.get("do").and_then(Value::as_str) {
                    server.control(what)?;
                    // If the script has ended, the next iteration notices it.
                    let _ = script.write_line("done");
                }
                if let Some(check) = line.get("check").and_then(Value::as_str) {
                    let failed = line.get("ok").and_then(Value::as_bool) != Some(true);
                    let error = line.get("error").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
                    results.insert(check.to_owned(), if failed { Err(error) } else { Ok(()) });
                }
            }
            Ok(Progress::Line(Output::Stderr, _)) => {}
            Ok(Progress::Exited(status)) => break format!("the script ended ({status})"),
            Ok(Progress::TimedOut) => break format!("the script hung for {PATIENCE:?}"),
            Err(error) => break format!("the output of the script could not be read: {error}"),
        }
    };
    for check in selected {
        results.entry(check.clone()).or_insert_with(|| Err(format!("no result: {ending}")));
    }
    // Printed once, because it is long and the same for all tests.
    if let Some(reason) = results.values_mut().find_map(|result| result.as_mut().err()) {
        reason.push_str(&format!("\n{}{}", script.transcript(), server.transcript()));
    }
    Ok(results)
}
