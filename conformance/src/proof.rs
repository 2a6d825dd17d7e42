//! Proves that cases can fail: each case runs under each of its mutants, and must notice every one.

use crate::case::Case;
use crate::mutant::Mutant;
use crate::report::failure;
use crate::run::{CaseResult, Options, Subject, Verdict, run};

/// A run of a case under one of its mutants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trial {
    /// The rules of the mutant.
    pub mutant: String,
    /// The result of the case.
    pub result: CaseResult,
}

impl Trial {
    /// Describes what is wrong with the case or its mutant, with a full report. `None` if the case failed because of the mutant.
    pub fn fault(&self) -> Option<String> {
        let wrong = match self.result.verdict {
            Verdict::Fail if !self.is_idle() => return None,
            Verdict::Fail => "the case fails, but not because of the mutant, which matched nothing",
            Verdict::Pass if self.is_idle() => "the mutant matched nothing",
            Verdict::Pass => "the case does not notice the mutant",
            Verdict::Skip => "the case was skipped",
            Verdict::Broken => "the case or the mutant is wrong",
        };
        Some(format!("under `{}`: {wrong}\n{}", self.mutant, failure(&self.result)))
    }

    /// Whether none of the rules has matched.
    fn is_idle(&self) -> bool {
        Mutant::parse(&self.mutant).is_ok_and(|mutant| mutant.idle() == self.result.idle_rules)
    }
}

/// Runs cases under each of their mutants, and passes each trial to `progress` when it is finished. An unexpected result is tried once
/// more with fewer cases at once, because it may be due to a busy machine.
///
/// # Errors
/// A message if results are missing, which is an error in the suite.
pub async fn prove(
    subject: &Subject,
    cases: &[Case],
    options: &Options,
    mut progress: impl FnMut(&Trial),
) -> Result<Vec<Trial>, String> {
    let broken: Vec<Case> =
        cases.iter().flat_map(|case| case.mutants.iter().map(|mutant| case.with_mutant(mutant))).collect();
    let results = run(subject, &broken, options, |_| {}).await;
    if results.len() != broken.len() {
        return Err(format!("{} of {} results are missing", broken.len().saturating_sub(results.len()), broken.len()));
    }
    let trial = |(case, result): (&Case, CaseResult)| Trial { mutant: case.mutant.clone().unwrap_or_default(), result };
    let mut trials: Vec<Trial> = broken.iter().zip(results).map(trial).collect();
    let few = Options { jobs: 2, ..options.clone() };
    for (case, trial) in broken.iter().zip(&mut trials) {
        if trial.fault().is_some()
            && let Some(result) = run(subject, std::slice::from_ref(case), &few, |_| {}).await.pop()
        {
            trial.result = result;
        }
        progress(trial);
    }
    Ok(trials)
}
