//! `socketio load`: opens many connections, sends messages, and measures how long the acks take.

mod connection;
mod histogram;
mod report;

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use indicatif::ProgressBar;
use lexopt::prelude::*;
use socketio_tokio::MsgPack;
use socketio_tokio::Parser;
use socketio_tokio::client::ClientBuilder;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::connection::{Load, Pace, Stage};
use self::report::{Counters, Plan, Report, bar};
use crate::Exit;
use crate::options::{Failure, Format, HELP as SERVER_HELP, Server, ServerOptions, seconds};
use crate::signal::{end_at_the_second, interrupted};
use crate::value::{Arguments, Value as Argument, write_hex};

const HELP: &str = "\
Opens many connections, sends messages, and measures how long the acks take.

    socketio load URL [OPTIONS]

First it opens all connections, then it sends messages for the given time. The server must acknowledge them, unless --no-ack is given.
";

const OPTIONS: &str = "\
Load
    --connections N       how many connections (default 10)
    --ramp N              how many of them to open in each second (default 100)
    --duration SECS       how long to send messages (default 10)
    --window N            how many messages of a connection are without an ack at most: the next one is sent when an ack comes (default 1)
    --rate N              how many messages each connection sends per second, whether or not acks come (instead of --window)
    --no-ack              send events that want no ack, with --rate
    --ack-timeout SECS    how long to wait for an ack (default 10)
Messages
    --event NAME          their event (default message)
    --size BYTES          a text of this size as argument (default 32)
    --binary              as binary data instead of text
    --payload JSON        these arguments, JSON values with spaces between them, instead of --size
Result
    --json FILE           write the result as JSON, `-` on stdout
    --quiet               show no progress
";

const EXIT: &str = "\
Ctrl-C ends it early, with the result. Connections are not opened again if they are lost. The exit status is 0; 1 if there were errors; 2 if
the command line is not valid; 3 if no connection could be opened.
";

/// How often the progress bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// How long servers may take to let the connections close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the options say beside the server.
struct Options {
    connections: u64,
    ramp: f64,
    duration: Duration,
    window: Option<usize>,
    rate: Option<f64>,
    acks: bool,
    ack_timeout: Duration,
    event: String,
    size: usize,
    binary: bool,
    payload: Option<Arguments>,
    json: Option<String>,
    quiet: bool,
}

/// Runs the tool with the rest of the command line.
pub(crate) fn start(mut parser: lexopt::Parser) -> Result<Exit, Failure> {
    let mut server = ServerOptions::default();
    let mut options = Options {
        connections: 10,
        ramp: 100.0,
        duration: Duration::from_secs(10),
        window: None,
        rate: None,
        acks: true,
        ack_timeout: Duration::from_secs(10),
        event: "message".to_owned(),
        size: 32,
        binary: false,
        payload: None,
        json: None,
        quiet: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                crate::print(&[HELP, SERVER_HELP, OPTIONS, EXIT].join("\n"));
                return Ok(Exit::Success);
            }
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("ramp") => options.ramp = positive("ramp", parser.value()?.parse()?)?,
            Long("duration") => options.duration = seconds(&parser.value()?)?,
            Long("window") => options.window = Some(parser.value()?.parse()?),
            Long("rate") => options.rate = Some(positive("rate", parser.value()?.parse()?)?),
            Long("no-ack") => options.acks = false,
            Long("ack-timeout") => options.ack_timeout = seconds(&parser.value()?)?,
            Long("event") => options.event = parser.value()?.string()?,
            Long("size") => options.size = parser.value()?.parse()?,
            Long("binary") => options.binary = true,
            Long("payload") => options.payload = Some(Arguments::parse(&parser.value()?.string()?)?),
            Long("json") => options.json = Some(parser.value()?.string()?),
            Long("quiet") => options.quiet = true,
            Long(option) => {
                let option = option.to_owned();
                if !server.take(&option, &mut parser)? {
                    return Err(format!("--{option} is no option: see `socketio load --help`").into());
                }
            }
            Value(url) => server.take_url(url)?,
            other => return Err(other.unexpected().into()),
        }
    }
    let server = server.finish()?;
    // Opened now, so that a wrong path fails before the run.
    let file = match options.json.as_deref() {
        None | Some("-") => None,
        Some(path) => Some(File::create(path).map_err(|error| format!("--json {path}: {error}"))?),
    };
    let (plan, load) = plan(&server, &options)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let load = Arc::new(load);
        match server.format {
            Format::Json => run(|| server.client(), plan, &options, load).await,
            Format::MsgPack => run(|| Ok(server.client()?.parser(MsgPack)), plan, &options, load).await,
            Format::Revision3 => run(|| Ok(server.client()?.eio3()), plan, &options, load).await,
        }
    })?;
    runtime.shutdown_background();
    let json = serde_json::to_string_pretty(&report)?;
    match (file, options.json.as_deref()) {
        (Some(mut file), _) => file.write_all(json.as_bytes())?,
        (None, Some(_)) => {
            let _ = writeln!(io::stderr(), "{}", report.text().trim_end());
            crate::print(&(json + "\n"));
            return Ok(report.exit());
        }
        (None, None) => {}
    }
    crate::print(&report.text());
    Ok(report.exit())
}

fn positive(option: &str, number: f64) -> Result<f64, Failure> {
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err(format!("--{option} is more than 0").into()) }
}

/// Checks what the options mean together.
fn plan(server: &Server, options: &Options) -> Result<(Plan, Load), Failure> {
    let [namespace] = &*server.namespaces else { return Err("there is one --namespace for a load".into()) };
    if options.connections == 0 {
        return Err("--connections is more than 0".into());
    }
    let pace = match (options.rate, options.window, options.acks) {
        (Some(_), Some(_), _) => return Err("--rate and --window exclude each other".into()),
        (Some(rate), None, _) => Pace::Rate(Duration::try_from_secs_f64(1.0 / rate)?),
        (None, _, false) => return Err("--no-ack needs --rate".into()),
        (None, Some(0), true) => return Err("--window is more than 0".into()),
        (None, window, true) => Pace::Window(window.unwrap_or(1)),
    };
    let arguments = match &options.payload {
        Some(arguments) => arguments.clone(),
        None if options.binary => Arguments(vec![Argument::Binary(Bytes::from(vec![0; options.size]))]),
        None => Arguments(vec![Argument::Text("x".repeat(options.size))]),
    };
    let mut text = String::new();
    arguments.0.iter().for_each(|value| value.write(&mut text, &mut write_hex));
    let payload_bytes = if options.payload.is_none() { options.size } else { text.len() };
    let plan = Plan {
        url: server.url.clone(),
        namespace: namespace.clone(),
        connections: options.connections,
        rate: options.rate,
        window: match pace {
            Pace::Window(window) => u64::try_from(window).ok(),
            Pace::Rate(_) => None,
        },
        acks: options.acks,
        payload_bytes: u64::try_from(payload_bytes)?,
    };
    let load = Load {
        namespace: namespace.clone(),
        event: options.event.clone(),
        arguments,
        pace,
        ack_timeout: options.acks.then_some(options.ack_timeout),
        connect_timeout: server.open_timeout,
        counters: Counters::new(),
    };
    Ok((plan, load))
}

async fn run<P: Parser>(
    builder: impl Fn() -> Result<ClientBuilder<P>, Failure>,
    plan: Plan,
    options: &Options,
    load: Arc<Load>,
) -> Result<Report, Failure> {
    end_at_the_second();
    let show = |length, what| if options.quiet { ProgressBar::hidden() } else { bar(length, what) };
    let counters = &load.counters;
    let (stage, stages) = watch::channel(Stage::Connect);
    let mut interrupted = std::pin::pin!(interrupted());
    let mut is_interrupted = false;
    let mut tasks = JoinSet::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);

    let progress = show(options.connections, "connecting");
    let begin = Instant::now();
    let mut opened: u64 = 0;
    while counters.tried() < options.connections && !is_interrupted {
        let next = if opened < options.connections { Some(begin + after(opened, options.ramp)) } else { None };
        tokio::select! {
            () = sleep_until(next.unwrap_or(begin)), if next.is_some() => {
                let client = builder()?.reconnection(false).build();
                tasks.spawn(connection::run(client, Arc::clone(&load), opened, options.connections, stages.clone()));
                opened = opened.saturating_add(1);
            }
            _ = tick.tick() => progress.set_position(counters.tried()),
            _ = &mut interrupted => is_interrupted = true,
        }
    }
    progress.finish_and_clear();

    let begin = Instant::now();
    let end = begin + options.duration;
    let is_done = || match load.ack_timeout {
        Some(_) => counters.round_trips.count(),
        None => counters.sent.load(Ordering::Relaxed),
    };
    if !is_interrupted && counters.connected.load(Ordering::Relaxed) > 0 {
        let progress = show(options.duration.as_secs(), "sending");
        stage.send_replace(Stage::Send(begin));
        let mut before = (0, begin);
        loop {
            tokio::select! {
                () = sleep_until(end) => break,
                now = tick.tick() => {
                    // All are gone.
                    if counters.lost.load(Ordering::Relaxed) == counters.connected.load(Ordering::Relaxed) {
                        break;
                    }
                    if now - before.1 >= Duration::from_secs(1) {
                        let done = is_done();
                        progress.set_message(format!("{} per second", done.saturating_sub(before.0)));
                        before = (done, now);
                    }
                    progress.set_position(begin.elapsed().as_secs());
                }
                _ = &mut interrupted => {
                    is_interrupted = true;
                    break;
                }
            }
        }
        progress.finish_and_clear();
    }
    let result = (is_done(), begin.elapsed());
    stage.send_replace(if is_interrupted { Stage::Close } else { Stage::Finish });

    // The acks have timeouts, and closing has another one.
    let progress = show(options.connections, "closing");
    let patience = Instant::now() + CLOSE_TIMEOUT + if is_interrupted { Duration::ZERO } else { options.ack_timeout };
    let mut left = tasks.len();
    while left > 0 {
        tokio::select! {
            Some(_) = tasks.join_next() => left = tasks.len(),
            _ = tick.tick() => progress.set_position(options.connections.saturating_sub(left as u64)),
            () = sleep_until(patience) => break,
            _ = &mut interrupted, if !is_interrupted => break,
        }
    }
    progress.finish_and_clear();
    Ok(Report::new(plan, counters, result, is_interrupted))
}

/// When the connection with this number is opened.
fn after(number: u64, per_second: f64) -> Duration {
    #[allow(clippy::cast_precision_loss, reason = "there are not so many connections")]
    let seconds = number as f64 / per_second;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
