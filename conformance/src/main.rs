//! The command line of the suite: choose cases, run them, print, and end with a status for build servers.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;
use socketio_conformance::case::{Case, Level, client_cases, server_cases};
use socketio_conformance::report::{Run, failure, junit, summary};
use socketio_conformance::run::{CaseResult, Options, Subject, Verdict, run};
use socketio_conformance::wire::Tcp;

const HELP: &str = "\
Does an Engine.IO or Socket.IO implementation keep to its protocol?

    socketio-conformance server URL [OPTIONS]           test the server at http://HOST:PORT (fixtures/SERVER.md)
    socketio-conformance client [OPTIONS] -- COMMAND…   test the client that this command starts; the URL to connect to
                                                        is its last argument, or {url} in it (fixtures/CLIENT.md)

Which cases
    --filter PREFIX       only those whose id begins so; may be given several times
    --without CAPABILITY  skip what needs it: eio3, binary, msgpack, recovery, webtransport, …
    --list                only list them
How
    --jobs N              so many at once (8; clients 4)
    --grace SECONDS       what machines may take longer than the protocol says (1.5)
    --patience SECONDS    skip what has to wait longer for one thing (120)
    --path ENDPOINT=PATH  where the server has an endpoint: engineio=/engine.io/, socketio=/socket.io/, msgpack=…
    --seed N              for random data; the one of a run is printed
    --mutant RULE         break what goes between, to see that the suite notices (README, Mutants)
What then
    --strict              a failed `should` or `reference` case counts as well
    --transcript          print transcripts of passed cases, too
    --name NAME           of the implementation, for the reports
    --json FILE           everything, for programs
    --junit FILE          for build servers

The status is 0 when everything that counts has passed, 1 when not, 2 when the suite could not do its work.
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

/// The command line.
struct Arguments {
    role: String,
    url: Option<String>,
    command: Vec<String>,
    filters: Vec<String>,
    list: bool,
    strict: bool,
    transcript: bool,
    name: Option<String>,
    json: Option<String>,
    junit: Option<String>,
    mutant: Option<String>,
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
        list: false,
        strict: false,
        transcript: false,
        name: None,
        json: None,
        junit: None,
        mutant: None,
        options: Options { seed: clock, jobs: 0, ..Options::default() },
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let options = &mut arguments.options;
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("filter") => arguments.filters.push(parser.value()?.string()?),
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
            Long("mutant") => arguments.mutant = Some(parser.value()?.string()?),
            Long("name") => arguments.name = Some(parser.value()?.string()?),
            Long("json") => arguments.json = Some(parser.value()?.string()?),
            Long("junit") => arguments.junit = Some(parser.value()?.string()?),
            Value(value) if arguments.role.is_empty() => arguments.role = value.string()?,
            Value(value) if arguments.role == "server" && arguments.url.is_none() => {
                arguments.url = Some(value.string()?);
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
    let cases = match arguments.role.as_str() {
        "server" => server_cases()?,
        "client" => client_cases()?,
        _ => return Err(HELP.into()),
    };
    let chosen = |case: &Case| {
        arguments.filters.is_empty() || arguments.filters.iter().any(|prefix| case.id.starts_with(prefix.as_str()))
    };
    let mut cases: Vec<Case> = cases.into_iter().filter(chosen).collect();
    if let Some(mutant) = &arguments.mutant {
        cases = cases.iter().map(|case| case.broken_by(mutant)).collect();
    }
    if arguments.list {
        for case in &cases {
            println!("{:<60} {:<10} {}", case.id, case.level, case.requirement);
        }
        return Ok(true);
    }
    if cases.is_empty() {
        return Err("no case has such an id: --list shows them".into());
    }
    if arguments.options.jobs == 0 {
        arguments.options.jobs = if arguments.role == "server" { 8 } else { 4 };
    }
    let (subject, name) = match (arguments.role.as_str(), &arguments.url) {
        ("server", Some(url)) => (Subject::Server(Arc::new(Tcp::new(url)?)), url.clone()),
        ("client", _) if !arguments.command.is_empty() => {
            (Subject::Client(arguments.command.clone()), arguments.command.join(" "))
        }
        _ => return Err("what is to be tested? --help tells".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let results = runtime.block_on(async {
        let transcript = arguments.transcript;
        run(&subject, &cases, &arguments.options, |result| progress(result, transcript)).await
    });
    println!("\n{}", summary(&results));
    let (json, junit_file) = (arguments.json, arguments.junit);
    let missing = cases.len().saturating_sub(results.len());
    let counts = |result: &&CaseResult| arguments.strict || result.level == Level::Must;
    let failed = results.iter().filter(counts).any(|result| result.verdict == Verdict::Fail);
    let broken = results.iter().any(|result| result.verdict == Verdict::Broken);
    let seed = arguments.options.seed;
    let run = Run::new(arguments.name.as_deref().unwrap_or(&name), seed, results);
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string_pretty(&run)?)?;
    }
    if let Some(file) = junit_file {
        std::fs::write(file, junit(&run))?;
    }
    if broken || missing > 0 {
        return Err(format!("seed {seed}: the suite has faults of its own; {missing} results are missing").into());
    }
    if failed {
        println!("seed {seed}");
    }
    Ok(!failed)
}

/// A line for each case, and the whole story of a failure.
fn progress(result: &CaseResult, transcript: bool) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe does not want to know.
    let _ = match result.verdict {
        Verdict::Pass if transcript => writeln!(out, "{}", failure(result)),
        Verdict::Pass => writeln!(out, "pass {} ({} ms)", result.id, result.milliseconds),
        Verdict::Skip => writeln!(out, "skip {}: {}", result.id, result.seen),
        Verdict::Fail | Verdict::Broken => writeln!(out, "\n{}", failure(result)),
    };
}
