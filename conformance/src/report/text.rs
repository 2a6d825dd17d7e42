//! The text output on the command line.

use std::fmt::Write as _;

use crate::case::Level;
use crate::run::{CaseResult, Verdict};

/// Formats a case with everything that helps to understand a failure.
pub fn failure(result: &CaseResult) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} ({}) {}", result.id, result.level, word(result.verdict));
    let _ = writeln!(text, "    required  {}", result.requirement);
    let _ = writeln!(text, "    written   {}", result.source);
    let _ = writeln!(text, "    step      {}", result.step);
    if result.verdict == Verdict::Fail {
        let _ = writeln!(text, "    accepted  {}", result.accepted);
    }
    let _ = writeln!(text, "    seen      {}", result.seen);
    let _ = writeln!(text, "    transcript (milliseconds; --> from the suite, <-- to it, ## steps)");
    for entry in &result.transcript {
        let _ = writeln!(text, "    {entry}");
    }
    text
}

/// One line per level, and the ids of all failed cases.
pub fn summary(results: &[CaseResult]) -> String {
    let mut text = String::new();
    for level in [Level::Must, Level::Should, Level::Reference] {
        let count =
            |verdict| results.iter().filter(|result| result.level == level && result.verdict == verdict).count();
        let _ = writeln!(
            text,
            "{level:<10} {} passed, {} failed, {} skipped",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::Skip)
        );
    }
    let broken = results.iter().filter(|result| result.verdict == Verdict::Broken).count();
    if broken > 0 {
        let _ = writeln!(text, "{broken} cases are broken");
    }
    for (verdict, title) in [(Verdict::Fail, "failed"), (Verdict::Broken, "broken")] {
        for result in results.iter().filter(|result| result.verdict == verdict) {
            let _ = writeln!(text, "{title} {} ({})", result.id, result.level);
        }
    }
    text
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "FAILED",
        Verdict::Skip => "was skipped",
        Verdict::Broken => "is broken",
    }
}
