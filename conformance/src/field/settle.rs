//! What a busy machine must not decide: cases that went otherwise than expected are tried once more, with less beside them.

use std::collections::BTreeMap;

use super::Expected;
use crate::case::Case;
use crate::run::{CaseResult, Options, Subject, Verdict, run};

/// How many cases run at once in the second attempt, at least.
const JOBS: usize = 2;

/// Tries the cases once more whose verdict is not the expected one; where nothing is expected, those that failed. Half as many run at
/// once, with twice the grace, and what they find then counts.
pub async fn settle(
    subject: &Subject,
    cases: &[Case],
    options: &Options,
    expected: &Expected,
    results: Vec<CaseResult>,
    progress: impl FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let doubtful = |result: &CaseResult| match expected.results.get(&result.id) {
        Some(outcome) => outcome.verdict != result.verdict,
        None => result.verdict == Verdict::Fail,
    };
    let again: Vec<&str> = results.iter().filter(|result| doubtful(result)).map(|result| result.id.as_str()).collect();
    let again: Vec<Case> = cases.iter().filter(|case| again.contains(&case.id.as_str())).cloned().collect();
    if again.is_empty() {
        return results;
    }
    let patient =
        Options { grace: options.grace.saturating_mul(2), jobs: JOBS.max(options.jobs / 2), ..options.clone() };
    let second = run(subject, &again, &patient, progress).await;
    let mut second: BTreeMap<String, CaseResult> =
        second.into_iter().map(|result| (result.id.clone(), result)).collect();
    results.into_iter().map(|result| second.remove(&result.id).unwrap_or(result)).collect()
}
