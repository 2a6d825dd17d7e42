//! The command line of the suite: selects cases, runs them and prints the results. The exit status is suitable for CI.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;
use socketio_conformance::case::{Case, Level, Role, client_cases, excluded_cases, server_cases};
use socketio_conformance::field::{self, Expected, Field, Peer, RunningServer, retry_unexpected};
use socketio_conformance::mutant::Mutant;
use socketio_conformance::proof::prove;
use socketio_conformance::report::{Run, failure, html, junit, summary};
use socketio_conformance::run::{CaseResult, Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;

const HELP: &str = "\
Tests whether an Engine.IO or Socket.IO implementation conforms to its protocol.

    socketio-conformance server URL [OPTIONS]           test the server at http://HOST:PORT (fixtures/SERVER.md)
    socketio-conformance client [OPTIONS] -- COMMAND…   test the client that this command starts; the URL to connect to
                                                        replaces {url} or is the last argument (fixtures/CLIENT.md)
    socketio-conformance field NAME [OPTIONS]           install and test one of the implementations that --list shows,
                                                        and compare the results with expected/NAME.json
    socketio-conformance report --out FILE JSON…        write one HTML page that compares the --json files of several runs

Cases
    --filter PREFIX       run only cases whose id begins with PREFIX; may be given several times
    --without CAPABILITY  skip cases that need it: eio3, binary, msgpack, recovery, webtransport, …
    --cases FILE          run the cases of this file (README, Writing a case) instead of the built-in ones
    --list                list the cases without running them
Options of a run
    --jobs N              run N cases at once (default 8, for clients 4)
    --grace SECONDS       how much longer than the protocol allows a slow machine may take (default 1.5)
    --patience SECONDS    skip cases that need a single wait longer than this (default 120)
    --path ENDPOINT=PATH  the path of an endpoint: engineio=/engine.io/, socketio=/socket.io/, msgpack=…
    --webtransport URL    the address of WebTransport, https://HOST:PORT; by default it uses the port number of HTTP (for
                          programs built with --features webtransport; certificates are not verified)
    --seed N              seed for random data; each run prints its seed
    --mutant RULE         break the traffic in between, to check that the suite notices (README, Mutants)
    --mutants             then run each passed case under each of its mutants and report mutants that it does not notice;
                          useful when writing cases, with --cases or --filter
Results
    --strict              failed `should` and `reference` cases count as well
    --transcript          also print the transcripts of passed cases
    --name NAME           name of the implementation in the reports
    --json FILE           write all results as JSON
    --junit FILE          write the results as JUnit XML for CI

Options of field
    --update              write the results to expected/NAME.json
    --keep                install it and keep it running without testing; for a client, print the command that starts it

The exit status is 0 if all cases that count passed (field: all results are as expected), 1 if not, 2 if the suite itself failed.
";

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// The parsed command line.
struct Arguments {
    role: String,
    url: Option<String>,
    command: Vec<String>,
    filters: Vec<String>,
    files: Vec<String>,
    list: bool,
    strict: bool,
    transcript: bool,
    name: Option<String>,
    json: Option<String>,
    junit: Option<String>,
    out: Option<String>,
    runs: Vec<String>,
    mutant: Option<String>,
    mutants: bool,
    webtransport: Option<String>,
    peer: Option<&'static Peer>,
    update: bool,
    keep: bool,
    options: Options,
}

type Failure = Box<dyn std::error::Error>;

fn seconds(value: std::ffi::OsString) -> Result<Duration, Failure> {
    Ok(Duration::try_from_secs_f64(value.parse()?)?)
}

fn arguments() -> Result<Option<Arguments>, Failure> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let mut arguments = Arguments {
        role: String::new(),
        url: None,
        command: Vec::new(),
        filters: Vec::new(),
        files: Vec::new(),
        list: false,
        strict: false,
        transcript: false,
        name: None,
        json: None,
        junit: None,
        out: None,
        runs: Vec::new(),
        mutant: None,
        mutants: false,
        webtransport: None,
        peer: None,
        update: false,
        keep: false,
        options: Options { seed: clock, jobs: 0, ..Options::default() },
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let options = &mut arguments.options;
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("filter") => arguments.filters.push(parser.value()?.string()?),
            Long("cases") => arguments.files.push(parser.value()?.string()?),
            Long("without") => options.without.push(parser.value()?.string()?),
            Long("list") => arguments.list = true,
            Long("strict") => arguments.strict = true,
            Long("transcript") => arguments.transcript = true,
            Long("jobs") => options.jobs = parser.value()?.parse()?,
            Long("grace") => options.grace = seconds(parser.value()?)?,
            Long("patience") => options.patience = seconds(parser.value()?)?,
            Long("path") => {
                let value = parser.value()?.string()?;
                let (name, path) = value.split_once('=').ok_or("--path ENDPOINT=PATH")?;
                options.paths.push((name.to_owned(), path.to_owned()));
            }
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("mutants") => arguments.mutants = true,
            Long("mutant") => arguments.mutant = Some(parser.value()?.string()?),
            Long("webtransport") if arguments.role == "server" => {
                arguments.webtransport = Some(parser.value()?.string()?);
            }
            Long("update") if arguments.role == "field" => arguments.update = true,
            Long("keep") if arguments.role == "field" => arguments.keep = true,
            Long("name") => arguments.name = Some(parser.value()?.string()?),
            Long("json") => arguments.json = Some(parser.value()?.string()?),
            Long("junit") => arguments.junit = Some(parser.value()?.string()?),
            Long("out") if arguments.role == "report" => arguments.out = Some(parser.value()?.string()?),
            Value(value) if arguments.role.is_empty() => arguments.role = value.string()?,
            Value(value) if arguments.role == "server" && arguments.url.is_none() => {
                arguments.url = Some(value.string()?);
            }
            Value(value) if arguments.role == "report" => arguments.runs.push(value.string()?),
            Value(value) if arguments.role == "field" && arguments.peer.is_none() => {
                let name = value.string()?;
                arguments.peer =
                    Some(field::peer(&name).ok_or("unknown implementation: `field --list` shows the names")?);
            }
            Value(value) if arguments.role == "client" => {
                arguments.command.push(value.string()?);
                for word in parser.raw_args()? {
                    arguments.command.push(word.string()?);
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(arguments))
}

fn start() -> Result<bool, Failure> {
    let Some(mut arguments) = arguments()? else {
        print!("{HELP}");
        return Ok(true);
    };
    let role = match (arguments.role.as_str(), arguments.peer) {
        ("server", _) => Role::Server,
        ("client", _) => Role::Client,
        ("field", Some(peer)) => peer.role,
        ("report", _) => return write_report(arguments.out.as_deref(), &arguments.runs).map(|()| true),
        ("field", None) if arguments.list => {
            print_field();
            return Ok(true);
        }
        ("field", None) => return Err("no implementation given: `field --list` shows the names".into()),
        _ => return Err(HELP.into()),
    };
    let built_in = match role {
        Role::Server => server_cases()?,
        Role::Client => client_cases()?,
    };
    let mut cases = if arguments.files.is_empty() { built_in.clone() } else { Vec::new() };
    for file in &arguments.files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        cases.extend(socketio_conformance::case::parse(&text, role).map_err(|error| format!("{file}: {error}"))?);
    }
    let known: Vec<(String, Vec<String>)> = built_in
        .iter()
        .chain(&excluded_cases()?)
        .chain(&cases)
        .map(|case| (case.id.clone(), case.needs.clone()))
        .collect();
    let chosen = |case: &Case| {
        arguments.filters.is_empty() || arguments.filters.iter().any(|prefix| case.id.starts_with(prefix.as_str()))
    };
    let mut cases: Vec<Case> = cases.into_iter().filter(chosen).collect();
    let runs_case = |case: &Case| arguments.peer.is_none_or(|peer| peer.runs_case(case));
    cases.retain(runs_case);
    let excluded = match role {
        Role::Server if arguments.files.is_empty() => {
            excluded_cases()?.iter().filter(|case| chosen(case) && runs_case(case)).count()
        }
        _ => 0,
    };
    if excluded > 0 {
        eprintln!(
            "{excluded} WebTransport cases are not in this build: build with --features webtransport to run them"
        );
    }
    if let Some(mutant) = &arguments.mutant {
        Mutant::parse(mutant).map_err(|error| format!("--mutant {error}"))?;
        if arguments.mutants {
            return Err("--mutant and --mutants cannot be combined: one applies a mutant to all cases, the other applies each case's own".into());
        }
        cases = cases.iter().map(|case| case.with_mutant(mutant)).collect();
    }
    if arguments.list {
        let mut out = std::io::stdout().lock();
        for case in &cases {
            // The reader of a pipe may have closed it.
            if writeln!(out, "{:<60} {:<10} {}", case.id, case.level, case.requirement).is_err() {
                break;
            }
        }
        return Ok(true);
    }
    if cases.is_empty() {
        return Err("no case matches --filter: --list shows the ids".into());
    }
    for word in &arguments.options.without {
        if !known.iter().any(|(id, needs)| id == word || needs.contains(word)) {
            let names: BTreeSet<&str> = known.iter().flat_map(|(_, needs)| needs).map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("--without {word}: no case needs it. Use the id of a case, or one of: {names}").into());
        }
    }
    if arguments.options.jobs == 0 {
        arguments.options.jobs = if role == Role::Server { 8 } else { 4 };
    }
    let mut running = None;
    let (subject, name) = match (arguments.peer, arguments.role.as_str(), &arguments.url) {
        (Some(peer), ..) => {
            let (subject, server) = set_up(peer, arguments.keep)?;
            running = server;
            arguments.options.without.extend(peer.lacks.iter().map(|lack| (*lack).to_owned()));
            (subject, format!("{} {}", peer.title, peer.version))
        }
        (None, "server", Some(url)) => {
            (Subject::Server(Arc::new(connector(url, arguments.webtransport.as_deref())?)), url.clone())
        }
        (None, "client", _) if !arguments.command.is_empty() => {
            (Subject::Client(arguments.command.clone()), arguments.command.join(" "))
        }
        _ => return Err("nothing to test: give the URL of a server or the command of a client, see --help".into()),
    };
    let expected = arguments.peer.map(Expected::read).transpose()?;
    // Open the files now, so that a wrong path fails before the run.
    let create = |file: &Option<String>| -> Result<Option<File>, Failure> {
        let open = |file: &String| File::create(file).map_err(|error| format!("{file}: {error}"));
        Ok(file.as_ref().map(open).transpose()?)
    };
    let (mut json_file, mut junit_file) = (create(&arguments.json)?, create(&arguments.junit)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Subject::Server(connector) = &subject {
        let connected = runtime.block_on(connector.connect());
        connected.map_err(|error| format!("no server at {name} ({error}): start it first, see fixtures/SERVER.md"))?;
    }
    let results = runtime.block_on(async {
        let (options, transcript) = (&arguments.options, arguments.transcript);
        let results = run(&subject, &cases, options, |result| progress(result, transcript)).await;
        match &expected {
            Some(expected) => {
                let again = |result: &CaseResult| println!("again: {} {}", result.id, result.seen);
                retry_unexpected(&subject, &cases, options, expected, results, again).await
            }
            None => results,
        }
    });
    println!("\n{}", summary(&results));
    let missing = cases.len().saturating_sub(results.len());
    let counts = |result: &&CaseResult| arguments.strict || result.level == Level::Must;
    let mut failed = results.iter().filter(counts).any(|result| result.verdict == Verdict::Fail);
    let broken = results.iter().any(|result| result.verdict == Verdict::Broken);
    let seed = arguments.options.seed;
    if let Some(mut server) = running
        && !server.is_running()
    {
        println!("the server has exited; it printed\n{}", server.log());
    }
    if let Some((peer, expected)) = arguments.peer.zip(expected) {
        failed = !is_as_expected(peer, expected, &results, arguments.filters.is_empty(), arguments.update)?;
    }
    let run = Run::new(arguments.name.as_deref().unwrap_or(&name), seed, results);
    if let Some(file) = &mut json_file {
        file.write_all(serde_json::to_string_pretty(&run)?.as_bytes())?;
    }
    if let Some(file) = &mut junit_file {
        file.write_all(junit(&run).as_bytes())?;
    }
    println!("seed {seed}");
    if let Some(mutant) = &arguments.mutant {
        all_matched(mutant, &run.results)?;
    }
    if arguments.mutants {
        failed |= !runtime.block_on(are_noticed(&subject, &cases, &run.results, &arguments.options))?;
    }
    if broken || missing > 0 {
        let whose = "an error in the suite, or in your case, rule or command line";
        return Err(format!("some cases are broken, which is {whose}; {missing} results are missing").into());
    }
    Ok(!failed)
}

/// How to reach a server, and its WebTransport if that has another address.
fn connector(url: &str, webtransport: Option<&str>) -> Result<Tcp, Failure> {
    let connector = Tcp::new(url)?;
    match webtransport {
        None => Ok(connector),
        #[cfg(feature = "webtransport")]
        Some(webtransport) => Ok(connector.with_webtransport(webtransport)?),
        #[cfg(not(feature = "webtransport"))]
        Some(_) => Err("--webtransport requires a program built with --features webtransport".into()),
    }
}

/// Writes an HTML page that compares files written by `--json`.
fn write_report(out: Option<&str>, files: &[String]) -> Result<(), Failure> {
    let (Some(out), false) = (out, files.is_empty()) else {
        return Err("usage: report --out FILE.html RESULTS.json…".into());
    };
    let runs = files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            serde_json::from_str::<Run>(&text).map_err(|error| format!("{file}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(std::fs::write(out, html(&runs))?)
}

fn print_field() {
    for peer in field::servers().iter().chain(field::clients()) {
        println!("{:<24} {} {}", peer.name, peer.title, peer.version);
    }
}

/// Installs an implementation. A server runs as long as the returned [`RunningServer`] is kept.
fn set_up(peer: &Peer, keep: bool) -> Result<(Subject, Option<RunningServer>), Failure> {
    eprintln!("setting up {} {}", peer.title, peer.version);
    let field = Field::in_checkout();
    if peer.role == Role::Client {
        let command = field.command_line(peer)?;
        if keep {
            println!("{}", command.join(" "));
            std::process::exit(0);
        }
        return Ok((Subject::Client(command), None));
    }
    let server = field.start(peer)?;
    if keep {
        println!("{} is listening at {} until this program ends", peer.title, server.url());
        loop {
            std::thread::park();
        }
    }
    Ok((Subject::Server(Arc::new(Tcp::new(server.url())?)), Some(server)))
}

/// Compares a run with the expected results of the implementation, or saves it as the expected results.
fn is_as_expected(
    peer: &Peer,
    mut expected: Expected,
    results: &[CaseResult],
    whole: bool,
    update: bool,
) -> Result<bool, Failure> {
    if update {
        expected.update(peer, results, whole);
        println!("written to {}", expected.write(peer)?.display());
        return Ok(true);
    }
    let differences = expected.differences(results, whole);
    for difference in &differences {
        println!("{difference}");
    }
    if !differences.is_empty() {
        println!("check whether this is a regression; if not, update the file with --update");
    }
    Ok(differences.is_empty())
}

/// Checks that each rule of a mutant has matched at least once. Otherwise it is unknown whether the cases would have noticed it.
fn all_matched(mutant: &str, results: &[CaseResult]) -> Result<(), Failure> {
    let ran: Vec<_> = results.iter().filter(|result| result.verdict != Verdict::Skip).collect();
    let mut idle = ran.first().map(|result| result.idle_rules.clone()).unwrap_or_default();
    idle.retain(|number| ran.iter().all(|result| result.idle_rules.contains(number)));
    match idle.first() {
        Some(number) => Err(format!(
            "--mutant: rule {number} of `{mutant}` has matched nothing in {} cases, so it has broken nothing. --transcript shows the \
             traffic, --filter selects cases; README.md, section Mutants, describes what rules match",
            ran.len()
        )
        .into()),
        None => Ok(()),
    }
}

/// Runs the passed cases under each of their mutants. Returns whether all mutants are noticed.
async fn are_noticed(
    subject: &Subject,
    cases: &[Case],
    results: &[CaseResult],
    options: &Options,
) -> Result<bool, Failure> {
    let passed: BTreeSet<&str> =
        results.iter().filter(|result| result.verdict == Verdict::Pass).map(|result| result.id.as_str()).collect();
    let cases: Vec<Case> = cases.iter().filter(|case| passed.contains(case.id.as_str())).cloned().collect();
    for case in cases.iter().filter(|case| case.mutants.is_empty()) {
        println!("{} has no mutant, so it is unknown whether it can fail", case.id);
    }
    let trials = prove(subject, &cases, options, |trial| match trial.fault() {
        Some(fault) => println!("\n{fault}"),
        None => println!("noticed {} under `{}`", trial.result.id, trial.mutant),
    })
    .await?;
    let faults = trials.iter().filter(|trial| trial.fault().is_some()).count();
    println!("{} mutants, {faults} not noticed", trials.len());
    Ok(faults == 0)
}

/// Prints a line for a passed case, and the whole report for a failed one.
fn progress(result: &CaseResult, transcript: bool) {
    let mut out = std::io::stdout().lock();
    // The reader of a pipe may have closed it.
    let _ = match result.verdict {
        Verdict::Pass if transcript => writeln!(out, "{}", failure(result)),
        Verdict::Pass => writeln!(out, "pass {} ({} ms)", result.id, result.milliseconds),
        Verdict::Skip => writeln!(out, "skip {}: {}", result.id, result.seen),
        Verdict::Fail | Verdict::Broken => writeln!(out, "\n{}", failure(result)),
    };
}
