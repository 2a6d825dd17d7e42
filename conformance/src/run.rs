//! Runs cases, many at once, and says of each how it went.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[cfg(doc)]
use crate::case::Endpoint;
use crate::case::{Case, Level};
use crate::mutant::Mutant;
use crate::play::{Setting, Stop, play};
use crate::transcript::{Entry, Transcript};
use crate::wire::Connector;

/// How a case went. Exhaustive, so that reports leave nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As required.
    Pass,
    /// Otherwise.
    Fail,
    /// It could not be told; `seen` says why.
    Skip,
    /// The case itself is wrong: a fault of the suite.
    Broken,
}

/// What became of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseResult {
    /// Of the case.
    pub id: String,
    /// Of the case.
    pub level: Level,
    /// How it went.
    pub verdict: Verdict,
    /// What was required.
    pub requirement: String,
    /// Where that is written.
    pub source: String,
    /// The step at which it ended, when it failed.
    pub step: String,
    /// What that step would have accepted.
    pub accepted: String,
    /// What it saw instead.
    pub seen: String,
    /// How long it took.
    pub milliseconds: u64,
    /// Everything that went over the wires.
    pub transcript: Vec<Entry>,
    /// The numbers, from 1, of the rules of a mutant that matched nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_rules: Vec<usize>,
}

/// What is tested.
#[derive(Clone)]
#[non_exhaustive]
pub enum Subject {
    /// A server, and the way to it.
    Server(Arc<dyn Connector>),
    /// A client: its command line, in which `{url}` stands for the URL to connect to.
    Client(Vec<String>),
}

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What machines may take longer than the protocol says. Default: 1.5 s.
    pub grace: Duration,
    /// A case that has to wait longer for one thing is skipped. Default: 2 minutes.
    pub patience: Duration,
    /// How many cases run at once. Default: 8.
    pub jobs: usize,
    /// For the random data of cases.
    pub seed: u64,
    /// Endpoints that are somewhere else than [`Endpoint::path`] says: name and path.
    pub paths: Vec<(String, String)>,
    /// Capabilities that the implementation does not claim; and ids of cases that are left out.
    pub without: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(1500),
            patience: Duration::from_secs(120),
            jobs: 8,
            seed: 1,
            paths: Vec::new(),
            without: Vec::new(),
        }
    }
}

/// The longest that a case may take, whatever the implementation does.
const HARD_DEADLINE: Duration = Duration::from_secs(600);

/// Runs cases; each result is handed out as soon as it is there. The results come back in the order of the cases.
pub async fn run(
    subject: &Subject,
    cases: &[Case],
    options: &Options,
    mut progress: impl FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let free = Arc::new(Semaphore::new(options.jobs.max(1)));
    let quiet = Arc::new(RwLock::new(()));
    let mut running = JoinSet::new();
    for (index, case) in cases.iter().cloned().enumerate() {
        let (subject, options) = (subject.clone(), options.clone());
        let (free, quiet) = (Arc::clone(&free), Arc::clone(&quiet));
        running.spawn(async move {
            let _turn = free.acquire_owned().await;
            let (_others, _alone);
            if case.alone {
                _alone = quiet.write_owned().await;
            } else {
                _others = quiet.read_owned().await;
            }
            (index, run_one(&subject, &case, &options).await)
        });
    }
    let mut results = Vec::new();
    while let Some(done) = running.join_next().await {
        // A panic of the suite must not be taken for a success: the caller sees that a result is missing.
        let Ok((index, result)) = done else { continue };
        progress(&result);
        results.push((index, result));
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn run_one(subject: &Subject, case: &Case, options: &Options) -> CaseResult {
    let begin = Instant::now();
    let transcript = Transcript::new();
    let lacking = case.needs.iter().find(|need| options.without.contains(need)).map(|need| format!("needs {need}"));
    let left_out = || options.without.contains(&case.id).then(|| "left out".to_owned());
    let mutant = case.mutant.as_deref().map(Mutant::parse).transpose().map(|mutant| mutant.map(Arc::new));
    let stop = match (lacking.or_else(left_out), &mutant) {
        (Some(reason), _) => Err(Stop::Skipped(reason)),
        (None, Err(error)) => Err(Stop::Broken { step: String::new(), error: error.clone() }),
        (None, Ok(mutant)) => {
            let setting = setting(subject, case, options, mutant.clone());
            let playing = play(setting, transcript.clone(), &case.steps);
            tokio::time::timeout(HARD_DEADLINE, playing).await.unwrap_or_else(|_| {
                let expected = format!("an end within {} s", HARD_DEADLINE.as_secs());
                Err(Stop::Failed { step: String::new(), expected, seen: "none".to_owned() })
            })
        }
    };
    let (verdict, step, accepted, seen) = match stop {
        Ok(()) => (Verdict::Pass, String::new(), String::new(), String::new()),
        Err(Stop::Failed { step, expected, seen }) => (Verdict::Fail, step, expected, seen),
        Err(Stop::Skipped(reason)) => (Verdict::Skip, String::new(), String::new(), reason),
        Err(Stop::Broken { step, error }) => (Verdict::Broken, step, String::new(), error),
    };
    CaseResult {
        id: case.id.clone(),
        level: case.level,
        verdict,
        requirement: case.requirement.clone(),
        source: case.source.clone(),
        step,
        accepted,
        seen,
        milliseconds: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        transcript: transcript.entries(),
        idle_rules: mutant.ok().flatten().map(|mutant| mutant.idle()).unwrap_or_default(),
    }
}

fn setting(subject: &Subject, case: &Case, options: &Options, mutant: Option<Arc<Mutant>>) -> Setting {
    let (connector, command, mutant) = match subject {
        Subject::Server(connector) => {
            let connector = match mutant {
                Some(mutant) => Arc::new(crate::mutant::Broken::new(Arc::clone(connector), mutant)),
                None => Arc::clone(connector),
            };
            (Some(connector), Vec::new(), None)
        }
        Subject::Client(command) => (None, command.clone(), mutant),
    };
    // Every case has data of its own, and the same in every run with the same seed.
    let seed = case.id.bytes().fold(options.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let path = options.paths.iter().find(|(name, _)| name == case.endpoint.name());
    Setting {
        connector,
        command,
        mutant,
        environment: case.environment.clone(),
        path: path.map_or_else(|| case.endpoint.path().to_owned(), |(_, path)| path.clone()),
        endpoint: case.endpoint,
        grace: options.grace,
        patience: options.patience,
        variables: case.variables.clone(),
        seed,
    }
}
