//! Runs cases concurrently and returns a result for each.

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
use crate::play::{ScriptOptions, Stop, play};
use crate::transcript::{Entry, Transcript};
use crate::wire::Connector;

/// The verdict of a case. The enum is exhaustive, so that reports handle every verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The implementation meets the requirement.
    Pass,
    /// The implementation does not meet the requirement.
    Fail,
    /// The case was not run or not decided. `seen` has the reason.
    Skip,
    /// The case itself is wrong, which is an error in the suite.
    Broken,
}

/// The result of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseResult {
    /// The id of the case.
    pub id: String,
    /// The level of the case.
    pub level: Level,
    /// The verdict.
    pub verdict: Verdict,
    /// The requirement.
    pub requirement: String,
    /// Where the requirement is written.
    pub source: String,
    /// The failed step.
    pub step: String,
    /// What that step would have accepted.
    pub accepted: String,
    /// What happened instead.
    pub seen: String,
    /// The duration.
    pub milliseconds: u64,
    /// The traffic and the steps.
    pub transcript: Vec<Entry>,
    /// The numbers of the mutant's rules that matched nothing, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_rules: Vec<usize>,
}

/// The implementation under test.
#[derive(Clone)]
#[non_exhaustive]
pub enum Subject {
    /// A server, and the connector that reaches it.
    Server(Arc<dyn Connector>),
    /// A client: its command line. `{url}` is replaced by the URL to connect to.
    Client(Vec<String>),
}

/// Options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much longer than the protocol allows a slow machine may take. The default is 1.5 s.
    pub grace: Duration,
    /// A case that needs a longer single wait is skipped. The default is 2 minutes.
    pub patience: Duration,
    /// How many cases run at once. The default is 8.
    pub jobs: usize,
    /// The seed for the random data of cases.
    pub seed: u64,
    /// Endpoints with another path than [`Endpoint::path`]: name and path.
    pub paths: Vec<(String, String)>,
    /// Capabilities that the implementation does not claim, and ids of cases to skip.
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

/// The longest time that a case may take.
const HARD_DEADLINE: Duration = Duration::from_secs(600);

/// Runs cases and passes each result to `progress` when it is available. The returned results are in the order of the cases.
pub async fn run(
    subject: &Subject,
    cases: &[Case],
    options: &Options,
    mut progress: impl FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let permits = Arc::new(Semaphore::new(options.jobs.max(1)));
    let exclusive = Arc::new(RwLock::new(()));
    let mut running = JoinSet::new();
    for (index, case) in cases.iter().cloned().enumerate() {
        let (subject, options) = (subject.clone(), options.clone());
        let (permits, exclusive) = (Arc::clone(&permits), Arc::clone(&exclusive));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let (_others, _alone);
            if case.alone {
                _alone = exclusive.write_owned().await;
            } else {
                _others = exclusive.read_owned().await;
            }
            (index, run_one(&subject, &case, &options).await)
        });
    }
    let mut results = Vec::new();
    while let Some(done) = running.join_next().await {
        // If the suite panics, the result is missing, which the caller detects.
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
            let script_options = script_options(subject, case, options, mutant.clone());
            let script = play(script_options, transcript.clone(), &case.steps);
            tokio::time::timeout(HARD_DEADLINE, script).await.unwrap_or_else(|_| {
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

fn script_options(subject: &Subject, case: &Case, options: &Options, mutant: Option<Arc<Mutant>>) -> ScriptOptions {
    let (connector, command, mutant) = match subject {
        Subject::Server(connector) => {
            let connector = match mutant {
                Some(mutant) => Arc::new(crate::mutant::MutantProxy::new(Arc::clone(connector), mutant)),
                None => Arc::clone(connector),
            };
            (Some(connector), Vec::new(), None)
        }
        Subject::Client(command) => (None, command.clone(), mutant),
    };
    // Each case has its own data, which is the same in every run with the same seed.
    let seed = case.id.bytes().fold(options.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let path = options.paths.iter().find(|(name, _)| name == case.endpoint.name());
    ScriptOptions {
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
