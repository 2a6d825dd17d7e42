//! The server under test: an example program of this crate as a child process. It can be stopped, restarted on the same port, and paused.

use crate::group::{Counterpart, script};
use serde_json::Value;
use socketio_conformance::peers::{Missing, Peers};
use socketio_conformance::process::{Output, Process, Progress};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The longest time until a server prints its address: a last resort.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The example programs. The reference implementation fulfils the same contract for each of them, see `scripts/reference_*`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Example {
    Echo,
    /// `Echo` over TLS.
    EchoTls,
    Chat,
    Bare,
    /// The reference implementation in the place of `Echo`.
    Reference,
}

/// The examples that another program replaces, and that program.
pub(crate) fn replacements() -> impl Iterator<Item = (&'static str, String)> {
    let all = [Example::Echo, Example::Chat, Example::Bare];
    all.into_iter().filter_map(|example| Some((example.variable(), example.replacement()?)))
}

/// The program to start, and its flags beside `--host` and `--port`.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) example: Example,
    pub(crate) flags: Vec<&'static str>,
}

impl Example {
    fn name(self) -> &'static str {
        match self {
            Self::Echo | Self::EchoTls | Self::Reference => "echo",
            Self::Chat => "chat",
            Self::Bare => "bare",
        }
    }

    /// The environment variable that replaces it with another program.
    fn variable(self) -> &'static str {
        match self {
            Self::Echo | Self::EchoTls | Self::Reference => "PEER_TEST_SERVER_CMD",
            Self::Chat => "PEER_TEST_CHAT_CMD",
            Self::Bare => "PEER_TEST_BARE_CMD",
        }
    }

    fn replacement(self) -> Option<String> {
        if matches!(self, Self::Reference) {
            return Some("reference".to_owned());
        }
        std::env::var(self.variable()).ok().filter(|line| !line.is_empty())
    }

    /// Whether another program runs in its place.
    pub(crate) fn is_replaced(self) -> bool {
        self.replacement().is_some()
    }

    /// The command that starts it, without flags. The inner error is a failure, the outer one a reason to skip.
    fn template(self, peers: &Peers) -> Result<Result<Template, String>, Missing> {
        match self.replacement().as_deref() {
            None => Ok(self.built().map(|program| Template::from(&Command::new(program)))),
            Some("reference") => {
                let path = script(&format!("reference_{}.mjs", self.name()));
                Ok(Ok(Template::from(&peers.node()?.script(&path))))
            }
            Some(line) => {
                let mut words = line.split_whitespace();
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words);
                Ok(Ok(Template::from(&command)))
            }
        }
    }

    /// The program, built once per test run. `cargo test --test real_peers` does not build examples, so this runs cargo. If everything is
    /// up to date, cargo only prints the path of the program.
    fn built(self) -> Result<PathBuf, String> {
        static BUILT: [OnceLock<Result<PathBuf, String>>; 3] = [const { OnceLock::new() }; 3];
        let [echo, chat, bare] = &BUILT;
        let built = match self {
            Self::Echo | Self::EchoTls | Self::Reference => echo,
            Self::Chat => chat,
            Self::Bare => bare,
        };
        built.get_or_init(|| build(self.name())).clone()
    }
}

/// Builds an example, and returns the path of the program.
pub(crate) fn build(example: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace is selected, because the selection determines the features of shared dependencies. With that of
    // `cargo test --workspace`, nothing is built a second time.
    command.args(["build", "--workspace", "--message-format=json-render-diagnostics", "--example", example]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target_directory());
    // Those of this test would make build scripts that read their own run once more, with all that depends on them.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    if let Some(profile) = profile() {
        command.args(["--profile", &profile]);
    }
    let output = command.output().map_err(|error| format!("{command:?} could not be started: {error}"))?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.filter(|message| is_ours(message, example)).find_map(|message| {
        let program = message.get("executable")?.as_str()?;
        Some(PathBuf::from(program))
    });
    program.ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("the example {example} could not be built ({})\n{errors}", output.status)
    })
}

fn is_ours(message: &Value, example: &str) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    text(message.get("manifest_path")).is_some_and(|path| PathBuf::from(path).starts_with(env!("CARGO_MANIFEST_DIR")))
        && text(message.pointer("/target/name")).is_some_and(|name| name == example)
}

fn target_directory() -> PathBuf {
    let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().map(PathBuf::from).unwrap_or(temporary)
}

/// The profile of this test, which the example is built with as well.
fn profile() -> Option<String> {
    let test = std::env::current_exe().ok()?;
    let directory = test.parent()?.parent()?.file_name()?.to_str()?.to_owned();
    Some(if directory == "debug" { "dev".to_owned() } else { directory })
}

/// A command that can be started several times, unlike `Command`.
#[derive(Clone, Debug)]
struct Template {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl From<&Command> for Template {
    fn from(command: &Command) -> Self {
        let variable = |(name, value): (&OsStr, Option<&OsStr>)| Some((name.to_owned(), value?.to_owned()));
        Self {
            program: command.get_program().to_owned(),
            arguments: command.get_args().map(OsStr::to_owned).collect(),
            environment: command.get_envs().filter_map(variable).collect(),
        }
    }
}

impl Template {
    /// Starts the process and waits until it prints the address that it listens on.
    fn start(&self, port: u16) -> Result<(Process, SocketAddr), String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start("server", &mut command).map_err(|error| error.to_string())?;
        let deadline = Instant::now().checked_add(START_PATIENCE).unwrap_or_else(Instant::now);
        loop {
            match process.next(deadline) {
                Ok(Progress::Line(Output::Stderr, line)) => {
                    let address = line.strip_prefix("listening on ").and_then(|address| address.trim().parse().ok());
                    if let Some(address) = address {
                        return Ok((process, address));
                    }
                }
                Ok(Progress::Line(Output::Stdout, _)) => {}
                Ok(ending) => return Err(format!("no `listening on`: {ending:?}\n{}", process.transcript())),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    template: Template,
    address: SocketAddr,
    process: Process,
    /// The output of earlier processes of this server.
    past: String,
    stopped: bool,
}

impl Server {
    /// Starts the program on a port of its choice, and waits until it listens.
    pub(crate) fn start(launch: &Launch, peers: &Peers) -> Result<Result<Self, String>, Missing> {
        let mut template = match launch.example.template(peers)? {
            Ok(template) => template,
            Err(reason) => return Ok(Err(reason)),
        };
        template.arguments.extend(launch.flags.iter().map(OsString::from));
        if matches!(launch.example, Example::EchoTls) {
            let files = match crate::tls::files() {
                Ok(files) => files,
                Err(reason) => return Ok(Err(reason)),
            };
            let flags = files.flags().into_iter().flat_map(|(flag, path)| [OsStr::new(flag), path.as_os_str()]);
            template.arguments.extend(flags.map(OsStr::to_owned));
        }
        if matches!(launch.example, Example::Chat) {
            let client = peers.node()?.package_file("socket.io-client/dist/socket.io.min.js");
            template.arguments.extend(["--client".into(), client.into_os_string()]);
        }
        Ok(template.start(0).map(|(process, address)| Self {
            template,
            address,
            process,
            past: String::new(),
            stopped: false,
        }))
    }

    /// Kills the process, as a crash would: peers are not notified.
    fn stop(&mut self) -> Result<(), String> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        self.process.kill();
        self.stopped = true;
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), String> {
        self.past.push_str(&self.process.transcript());
        // In the meantime, an outgoing connection of this machine may have taken the port. Such a connection ends soon, so a few
        // attempts are enough.
        let mut attempts = 0;
        loop {
            match self.template.start(self.address.port()) {
                Ok((process, _)) => {
                    self.process = process;
                    self.stopped = false;
                    return Ok(());
                }
                Err(reason) if attempts == 20 => return Err(reason),
                Err(_) => attempts += 1,
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("`kill {signal}` failed: {other:?}")),
        }
    }
}

impl Counterpart for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, what: &str) -> Result<(), String> {
        match what {
            "stop" => self.stop(),
            "start" => self.start_again(),
            "pause" => self.signal("-STOP"),
            "resume" => self.signal("-CONT"),
            other => Err(format!("unknown request of the script: {other:?}")),
        }
    }

    fn fault(&mut self) -> Option<String> {
        let ended = !self.stopped && !self.process.is_running();
        let transcript = self.transcript();
        let panicked = transcript.contains("panicked at");
        (ended || panicked).then(|| format!("the server ended or panicked\n{transcript}"))
    }

    fn transcript(&mut self) -> String {
        format!("{}{}", self.past, self.process.transcript())
    }
}
