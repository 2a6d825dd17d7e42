//! Repeats cases with unexpected results under less load, so that a busy machine does not decide the outcome.

use std::collections::BTreeMap;

use super::Expected;
use crate::case::Case;
use crate::run::{CaseResult, Options, Subject, Verdict, run};

/// The second attempt runs at least this many cases at once.
const MIN_JOBS: usize = 2;

/// Repeats the cases whose verdict differs from the expected one. Cases without an expected verdict are repeated if they failed. Half as
/// many cases run at once, with twice the grace. The second result counts.
pub async fn retry_unexpected(
    subject: &Subject,
    cases: &[Case],
    options: &Options,
    expected: &Expected,
    results: Vec<CaseResult>,
    progress: impl FnMut(&CaseResult),
) -> Vec<CaseResult> {
    let is_unexpected = |result: &CaseResult| match expected.results.get(&result.id) {
        Some(outcome) => outcome.verdict != result.verdict,
        None => result.verdict == Verdict::Fail,
    };
    let repeated: Vec<&str> =
        results.iter().filter(|result| is_unexpected(result)).map(|result| result.id.as_str()).collect();
    let repeated: Vec<Case> = cases.iter().filter(|case| repeated.contains(&case.id.as_str())).cloned().collect();
    if repeated.is_empty() {
        return results;
    }
    let relaxed =
        Options { grace: options.grace.saturating_mul(2), jobs: MIN_JOBS.max(options.jobs / 2), ..options.clone() };
    let second = run(subject, &repeated, &relaxed, progress).await;
    let mut second: BTreeMap<String, CaseResult> =
        second.into_iter().map(|result| (result.id.clone(), result)).collect();
    results.into_iter().map(|result| second.remove(&result.id).unwrap_or(result)).collect()
}
