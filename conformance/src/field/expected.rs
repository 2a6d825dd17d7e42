//! The expected results of an implementation: a file in `expected/`, and the comparison of a run with it.
//!
//! The file holds a verdict for each case, and a description of the failure for readers. If a verdict changes, either the implementation
//! or the suite has changed. Find out which before you update the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Peer;
use crate::case::{Level, excluded_cases};
use crate::run::{CaseResult, Verdict};

/// The expected results of one implementation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Expected {
    /// The tested implementation.
    pub implementation: String,
    /// Its version.
    pub version: String,
    /// The outcome of each case, by id.
    pub results: BTreeMap<String, Outcome>,
}

/// The outcome of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// How binding the case is. Not compared.
    pub level: Level,
    /// What happened instead of the required behaviour, or why the case was skipped. Empty if it passed. Not compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
}

/// A case whose verdict is not the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The case.
    pub id: String,
    /// The verdict in the file, if it has the case.
    pub expected: Option<Verdict>,
    /// The verdict of the run, if the case still exists.
    pub found: Option<Verdict>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |verdict| match verdict {
            Some(Verdict::Pass) => "pass",
            Some(Verdict::Fail) => "fail",
            Some(Verdict::Skip) => "skip",
            Some(Verdict::Broken) => "broken",
            None => "nothing",
        };
        write!(formatter, "{}: expected {}, found {}", self.id, word(self.expected), word(self.found))
    }
}

impl Expected {
    /// Expected results without any outcome.
    pub fn empty(peer: &Peer) -> Self {
        Self { implementation: peer.title.to_owned(), version: peer.version.to_owned(), results: BTreeMap::new() }
    }

    /// Reads the checked-in file of a peer. Without a file there are no outcomes.
    ///
    /// # Errors
    /// Fails if the file cannot be read or parsed.
    pub fn read(peer: &Peer) -> io::Result<Self> {
        match fs::read_to_string(path(peer)) {
            Ok(text) => serde_json::from_str(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::empty(peer)),
            Err(error) => Err(error),
        }
    }

    /// Writes the file of a peer and returns its path.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, peer: &Peer) -> io::Result<PathBuf> {
        let path = path(peer);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(&path, text + "\n")?;
        Ok(path)
    }

    /// Adopts the results of a run. `whole` means that all cases were run: outcomes of other cases are removed, unless this build of the
    /// suite leaves them out.
    pub fn update(&mut self, peer: &Peer, results: &[CaseResult], whole: bool) {
        peer.title.clone_into(&mut self.implementation);
        peer.version.clone_into(&mut self.version);
        if whole {
            self.results.retain(|id, _| is_excluded(id));
        }
        for result in results {
            let seen = if result.verdict == Verdict::Pass { String::new() } else { first_line(&result.seen) };
            self.results.insert(result.id.clone(), Outcome { verdict: result.verdict, level: result.level, seen });
        }
    }

    /// Compares a run with the expected results. `whole` means that all cases were run: cases of the file that did not run are also
    /// differences, unless this build of the suite leaves them out.
    pub fn differences(&self, results: &[CaseResult], whole: bool) -> Vec<Difference> {
        let mut differences = Vec::new();
        for result in results {
            let expected = self.results.get(&result.id).map(|outcome| outcome.verdict);
            if expected != Some(result.verdict) {
                differences.push(Difference { id: result.id.clone(), expected, found: Some(result.verdict) });
            }
        }
        if whole {
            let ran = |id: &String| results.iter().any(|result| result.id == *id);
            for (id, outcome) in self.results.iter().filter(|(id, _)| !ran(id) && !is_excluded(id)) {
                differences.push(Difference { id: id.clone(), expected: Some(outcome.verdict), found: None });
            }
        }
        differences
    }
}

/// Returns whether this build of the suite leaves a case out.
fn is_excluded(id: &str) -> bool {
    static IDS: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| excluded_cases().unwrap_or_default().into_iter().map(|case| case.id).collect());
    IDS.contains(id)
}

fn path(peer: &Peer) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("expected").join(format!("{}.json", peer.name))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str, verdict: Verdict) -> CaseResult {
        CaseResult {
            id: id.to_owned(),
            level: Level::Must,
            verdict,
            requirement: String::new(),
            source: String::new(),
            step: String::new(),
            accepted: String::new(),
            seen: "something\nelse".to_owned(),
            milliseconds: 0,
            transcript: Vec::new(),
            idle_rules: Vec::new(),
        }
    }

    #[test]
    fn excluded_cases_are_kept_and_are_no_difference() {
        let peer = super::super::peer("deno").unwrap();
        let mut expected = Expected::empty(peer);
        let left_out: Vec<CaseResult> =
            excluded_cases().unwrap().iter().map(|case| result(&case.id, Verdict::Pass)).collect();
        expected.update(peer, &left_out, true);
        assert_eq!(expected.differences(&[], true), []);
        expected.update(peer, &[], true);
        assert_eq!(expected.results.len(), left_out.len());
        assert_eq!(left_out.is_empty(), cfg!(feature = "webtransport"));
    }

    #[test]
    fn changed_new_and_removed_cases_are_differences() {
        let peer = super::super::peer("node").unwrap();
        let mut expected = Expected::empty(peer);
        let before = [result("a", Verdict::Pass), result("b", Verdict::Fail), result("c", Verdict::Skip)];
        expected.update(peer, &before, true);
        assert_eq!(expected.differences(&before, true), []);
        assert_eq!(expected.results["a"].seen, "");
        assert_eq!(expected.results["b"].seen, "something");

        let after = [result("a", Verdict::Fail), result("b", Verdict::Fail), result("d", Verdict::Pass)];
        let lines: Vec<String> = expected.differences(&after, true).iter().map(ToString::to_string).collect();
        let changed = ["a: expected pass, found fail", "d: expected nothing, found pass"];
        assert_eq!(lines, [changed[0], changed[1], "c: expected skip, found nothing"]);

        let lines: Vec<String> = expected.differences(&after, false).iter().map(ToString::to_string).collect();
        assert_eq!(lines, changed);
        expected.update(peer, &after, false);
        assert_eq!(expected.results.len(), 4);
    }
}
