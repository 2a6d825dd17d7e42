//! The live oracle: sends generated inputs to the reference parsers in a Node.js process and to ours. The results must be equal, or differ
//! by a rule of `conformance/vectors/differences.json`.
//!
//! There is a test for each codec. All inputs come from a seed, which is printed. `ORACLE_SEED=n` sets the seed, and `ORACLE_INPUTS=n` the
//! number of inputs of all codecs together.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../../../../conformance/vectors/rust/engine.rs"]
mod engine;
#[path = "../../../../conformance/vectors/rust/inputs.rs"]
mod inputs;
#[path = "../../../../conformance/vectors/rust/socket.rs"]
mod socket;
#[path = "../../../../conformance/vectors/rust/tree.rs"]
mod tree;
#[path = "../../../../conformance/vectors/rust/vectors.rs"]
mod vectors;

use crate::group;
use inputs::Random;
use libtest_mimic::{Completion, Failed, Trial};
use serde_json::value::RawValue;
use socketio_conformance::peers::{self, Missing, Peers};
use socketio_conformance::process::{Output, Process, Progress};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use vectors::{Codec, Comparison};

/// The number of inputs of all codecs together.
const INPUTS: u64 = 20_000;
/// The number of inputs in one batch.
const BATCH: u64 = 250;
/// The timeout of a batch: the last resort against a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// The number of differences to print: enough to recognise what they have in common.
const SHOWN: usize = 10;

/// A test for each codec.
pub(crate) fn trials(peers: &Peers) -> Vec<Trial> {
    let codecs: Vec<_> = engine::CODECS.into_iter().chain(socket::CODECS).collect();
    let number =
        |name: &str| env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")));
    let seed: u64 = number("ORACLE_SEED").unwrap_or(1);
    let inputs: u64 = number("ORACLE_INPUTS").unwrap_or(INPUTS);
    let share = inputs.div_ceil(codecs.len().try_into().unwrap_or(1));
    let trial = |codec: Codec| {
        let peers = peers.clone();
        Trial::ignorable_test(format!("oracle::{}", codec.name), move || match script(&peers) {
            Err(missing) if peers::all_required() => Err(missing.into()),
            Err(missing) => Ok(Completion::ignored_with(missing)),
            Ok(command) => compare(&codec, command, seed, share).map(|()| Completion::Completed),
        })
    };
    codecs.into_iter().map(trial).collect()
}

/// Sends this many inputs to the reference.
fn compare(codec: &Codec, mut command: Command, seed: u64, inputs: u64) -> Result<(), Failed> {
    let mut random = Random::new(seed);
    let mut node = Process::start(codec.name, &mut command).map_err(|error| error.to_string())?;
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    let mut faults = Vec::new();
    let mut asked = 0;
    while asked < inputs && faults.len() < SHOWN {
        let mut cases: Vec<_> =
            (asked..inputs.min(asked + BATCH)).map(|_| inputs::case(codec.name, &mut random)).collect();
        let question: Vec<_> = cases.iter().map(inputs::json).collect();
        let question = format!(r#"{{"codec":"{}","cases":[{}]}}"#, codec.name, question.join(","));
        let answers = answered(&mut node, &question)?;
        for (case, answer) in cases.iter_mut().zip(&answers) {
            asked += 1;
            case.id = format!("input {asked}");
            case.expect = vectors::outcome(answer.get());
            match codec.compare(case) {
                Comparison::Same => {}
                Comparison::Listed(listed) => listed.into_iter().for_each(|rule| *rules.entry(rule).or_default() += 1),
                Comparison::Wrong(what) => faults.push(what),
            }
        }
    }
    eprintln!("oracle::{}: {asked} inputs of ORACLE_SEED={seed}, differences {rules:?}", codec.name);
    if faults.is_empty() {
        return Ok(());
    }
    faults.truncate(SHOWN);
    Err(format!("ORACLE_SEED={seed}, differences that no rule explains:\n{}", faults.join("\n")).into())
}

/// The answers to one line of cases.
fn answered(node: &mut Process, question: &str) -> Result<Vec<Box<RawValue>>, Failed> {
    let fault = |node: &mut Process, what: String| Err(format!("{what}\n{}", node.transcript()).into());
    if let Err(error) = node.write_line(question) {
        return fault(node, format!("cannot send cases to Node.js: {error}"));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match node.next(deadline) {
            Ok(Progress::Line(Output::Stdout, line)) => return Ok(serde_json::from_str(&line)?),
            Ok(Progress::Line(Output::Stderr, _)) => {}
            Ok(other) => return fault(node, format!("no answer: {other:?}")),
            Err(error) => return fault(node, format!("no answer: {error}")),
        }
    }
}

/// The command of the oracle, with its packages installed.
fn script(peers: &Peers) -> Result<Command, String> {
    static PACKAGES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // The error describes what is missing if there is no Node.js.
    let mut command =
        peers.node().map_err(|missing: Missing| missing.to_string())?.script(&group::script("oracle.mjs"));
    command.env("PEER_PACKAGES", PACKAGES.get_or_init(installed).clone()?);
    Ok(command)
}

/// The directory with the packages of `conformance/vectors`, which are installed if they are missing or of another version.
fn installed() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/vectors");
    let peers = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../peers");
    let directory = peers.join("parsers");
    let files = ["package.json", "package-lock.json", ".npmrc"];
    let read = |name: &&str| fs::read_to_string(source.join(name)).map_err(|error| format!("{name}: {error}"));
    let contents: Vec<_> = files.iter().map(read).collect::<Result<_, _>>()?;
    let stamp = contents.concat();
    if fs::read_to_string(directory.join("made-from")).is_ok_and(|made_from| made_from == stamp) {
        return Ok(directory);
    }
    // Another process may install the packages at the same time. It does not matter which one finishes first.
    let fresh = peers.join(format!("parsers-{}", std::process::id()));
    let install = || -> std::io::Result<()> {
        fs::create_dir_all(&fresh)?;
        for (name, content) in files.iter().zip(&contents) {
            fs::write(fresh.join(name), content)?;
        }
        let npm = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&fresh).output()?;
        if !npm.status.success() {
            return Err(std::io::Error::other(String::from_utf8_lossy(&npm.stderr)));
        }
        fs::write(fresh.join("made-from"), &stamp)?;
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(&fresh, &directory)
    };
    match install() {
        Ok(()) => Ok(directory),
        Err(error) => {
            let _ = fs::remove_dir_all(&fresh);
            Err(format!("npm cannot install the reference parsers: {error}"))
        }
    }
}
