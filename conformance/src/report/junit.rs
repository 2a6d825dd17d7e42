//! JUnit XML for CI systems.

use std::fmt::Write as _;

use super::Run;
use super::text::failure;
use crate::run::Verdict;

/// Renders a run as one test suite, with its cases by group.
pub fn junit(run: &Run) -> String {
    let count = |verdict| run.results.iter().filter(|result| result.verdict == verdict).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        escaped(&run.implementation),
        run.results.len(),
        count(Verdict::Fail),
        count(Verdict::Broken),
        count(Verdict::Skip)
    );
    for result in &run.results {
        let (group, name) = result.id.rsplit_once('/').unwrap_or(("", &result.id));
        let seconds = result.milliseconds as f64 / 1000.0;
        let _ = write!(
            text,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
            escaped(group),
            escaped(name)
        );
        let _ = match result.verdict {
            Verdict::Pass => writeln!(text, "/>"),
            Verdict::Skip => writeln!(text, "><skipped message=\"{}\"/></testcase>", escaped(&result.seen)),
            Verdict::Fail | Verdict::Broken => {
                let element = if result.verdict == Verdict::Fail { "failure" } else { "error" };
                writeln!(
                    text,
                    "><{element} message=\"{}\">{}</{element}></testcase>",
                    escaped(&result.requirement),
                    escaped(&failure(result))
                )
            }
        };
    }
    text.push_str("</testsuite>\n");
    text
}

/// Escapes text for XML, and drops characters that XML cannot represent.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
