//! Renders the matrix of implementations and cases as one self-contained HTML page.
//!
//! The data of the page (`report.html`, with script and style inline) has two parts: the data of the matrix, and the details of each
//! implementation, which the browser parses when a cell is clicked. Long transcripts are cut in the middle to limit the size of the page.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::Run;
use crate::run::{CaseResult, Verdict};
use crate::transcript::{Direction, Entry};

const PAGE: &str = include_str!("report.html");

/// The number of transcript lines kept of a failed case.
const FAILED_LINES: usize = 400;

/// The number of transcript lines kept of any other case.
const OTHER_LINES: usize = 100;

/// Renders runs of servers and clients as one HTML page that loads no external resources.
pub fn html(runs: &[Run]) -> String {
    let (cases, places) = cases(runs);
    let mut implementations = Vec::new();
    let mut details = String::new();
    for (number, run) in runs.iter().enumerate() {
        let mut verdicts = vec![' '; cases.len()];
        let mut seen = vec![Json::Null; cases.len()];
        let mut found = vec![Json::Null; cases.len()];
        for result in &run.results {
            let Some(place) = places.get(result.id.as_str()).copied() else { continue };
            if let (Some(verdict), Some(seen), Some(found)) =
                (verdicts.get_mut(place), seen.get_mut(place), found.get_mut(place))
            {
                *verdict = letter(result.verdict);
                if result.verdict != Verdict::Pass {
                    *seen = Json::from(result.seen.as_str());
                }
                *found = detail(result);
            }
        }
        implementations.push(json!({
            "name": run.implementation,
            "role": role(run),
            "verdicts": verdicts.into_iter().collect::<String>(),
            "seen": seen,
        }));
        details.push_str(&format!(
            "<script type=\"application/json\" id=\"details-{number}\">{}</script>\n",
            inside_script(&Json::from(found))
        ));
    }
    let data = json!({ "implementations": implementations, "cases": cases });
    // The template contains each placeholder once, before any inserted data.
    let (before, rest) = PAGE.split_once("{{DATA}}").unwrap_or((PAGE, ""));
    let (between, after) = rest.split_once("{{DETAILS}}").unwrap_or((rest, ""));
    [before, &inside_script(&data), between, &details, after].concat()
}

/// All cases of all runs, in the order of the first run that contains them, and the index of each.
fn cases(runs: &[Run]) -> (Vec<Json>, HashMap<&str, usize>) {
    let mut cases = Vec::new();
    let mut places = HashMap::new();
    for run in runs {
        for result in &run.results {
            if places.contains_key(result.id.as_str()) {
                continue;
            }
            places.insert(result.id.as_str(), cases.len());
            cases.push(json!({
                "id": result.id,
                "role": role(run),
                "level": result.level,
                "requirement": result.requirement,
                "source": result.source,
            }));
        }
    }
    (cases, places)
}

/// Cases for clients form a separate group.
fn role(run: &Run) -> &'static str {
    if run.results.iter().any(|result| result.id.starts_with("client/")) { "client" } else { "server" }
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => 'p',
        Verdict::Fail => 'f',
        Verdict::Skip => 's',
        Verdict::Broken => 'b',
    }
}

fn detail(result: &CaseResult) -> Json {
    let lines = if result.verdict == Verdict::Fail { FAILED_LINES } else { OTHER_LINES };
    json!({
        "milliseconds": result.milliseconds,
        "step": result.step,
        "accepted": result.accepted,
        "seen": result.seen,
        "transcript": cut(&result.transcript, lines),
    })
}

/// Keeps the beginning and the end of a transcript.
fn cut(transcript: &[Entry], lines: usize) -> Vec<Json> {
    let entry = |entry: &Entry| {
        let direction = match entry.direction {
            Direction::Out => "out",
            Direction::In => "in",
            Direction::Note => "note",
        };
        json!([entry.at, direction, entry.who, entry.what])
    };
    let half = lines / 2;
    match (transcript.get(..half), transcript.len().checked_sub(half).and_then(|from| transcript.get(from..))) {
        (Some(begin), Some(end)) if transcript.len() > lines => {
            let at = end.first().map_or(0.0, |entry| entry.at);
            let left_out = format!("… {} lines", transcript.len() - lines);
            let gap = json!([at, "note", "", left_out]);
            begin.iter().map(entry).chain([gap]).chain(end.iter().map(entry)).collect()
        }
        _ => transcript.iter().map(entry).collect(),
    }
}

/// Encodes JSON so that it cannot end the script element that contains it.
fn inside_script(value: &Json) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Level;

    fn result(id: &str, verdict: Verdict, lines: usize) -> CaseResult {
        let entry = |number| Entry {
            at: f64::from(u32::try_from(number).unwrap()),
            direction: Direction::In,
            who: "main".to_owned(),
            what: "</script><script>alert(1)".to_owned(),
        };
        CaseResult {
            id: id.to_owned(),
            level: Level::Must,
            verdict,
            requirement: "{{DETAILS}}".to_owned(),
            source: "nowhere".to_owned(),
            step: String::new(),
            accepted: String::new(),
            seen: "\u{2028}<!--".to_owned(),
            milliseconds: 1,
            transcript: (0..lines).map(entry).collect(),
            idle_rules: Vec::new(),
        }
    }

    /// The data of the page, and that of each implementation.
    fn parts(page: &str) -> (Json, Vec<Json>) {
        let parsed = |id: &str| {
            let (_, rest) = page.split_once(&format!("<script type=\"application/json\" id=\"{id}\">"))?;
            Some(serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap())
        };
        (parsed("data").unwrap(), (0..).map_while(|number| parsed(&format!("details-{number}"))).collect())
    }

    #[test]
    fn every_result_is_in_its_place_whatever_the_runs_have_in_common() {
        let one = Run::new("one", 1, vec![result("a/b", Verdict::Pass, 0), result("a/c", Verdict::Fail, 0)]);
        let two = Run::new("two", 1, vec![result("a/d", Verdict::Skip, 0), result("a/c", Verdict::Broken, 0)]);
        let (data, details) = parts(&html(&[one, two]));
        let ids: Vec<&str> =
            data["cases"].as_array().unwrap().iter().map(|case| case["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["a/b", "a/c", "a/d"]);
        assert_eq!(data["implementations"][0]["verdicts"], "pf ");
        assert_eq!(data["implementations"][1]["verdicts"], " bs");
        assert_eq!(details.len(), 2);
        assert!(details[1][0].is_null() && details[1][2].is_object());
    }

    #[test]
    fn what_a_server_sent_cannot_end_the_script_and_is_kept() {
        let page = html(&[Run::new("</script>", 1, vec![result("a/b", Verdict::Fail, 3)])]);
        let (data, details) = parts(&page);
        assert_eq!(data["implementations"][0]["name"], "</script>");
        assert_eq!(data["cases"][0]["requirement"], "{{DETAILS}}");
        assert_eq!(details[0][0]["transcript"][2][3], "</script><script>alert(1)");
        let scripts = page.matches("</script>").count();
        assert_eq!(scripts, 3, "data, details and the script of the page");
    }

    #[test]
    fn a_flood_keeps_its_beginning_and_its_end() {
        let page = html(&[Run::new("one", 1, vec![result("a/b", Verdict::Fail, 1000)])]);
        let (_, details) = parts(&page);
        let transcript = details[0][0]["transcript"].as_array().unwrap();
        assert_eq!(transcript.len(), FAILED_LINES + 1);
        assert_eq!(transcript[FAILED_LINES / 2][3], "… 600 lines");
        assert_eq!(transcript.last().unwrap()[0], 999.0);
    }

    #[test]
    fn the_page_loads_nothing() {
        for outside in ["http:", "https:", "//", "@import", "url("] {
            let used =
                PAGE.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(outside));
            assert!(!used, "{outside} in the page");
        }
    }
}
