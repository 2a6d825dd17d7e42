//! Checks the notes in `field/`, which explain why an implementation fails a case, and where in its source the cause is.
//!
//! A failed case is useful only once it is verified that the fault is in the implementation and not in the suite. The notes record
//! that. This test compares them with the results: each failed case of a file in `expected/` must be in exactly one section of the notes
//! of the same name, and each case in the notes must fail.
//!
//! A section has a line `Cases:` with ids in backticks. An id that ends in `/*` stands for all failed cases with that prefix. The list
//! ends at the next blank line. Notes for several implementations name them before the first section: ``Results: `one`, `another` ``.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Expected, peer};
use crate::run::Verdict;

/// An entry of a `Cases:` list.
struct Entry {
    section: String,
    pattern: String,
}

impl Entry {
    fn matches(&self, id: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => prefix.ends_with('/') && id.starts_with(prefix),
            None => id == self.pattern,
        }
    }
}

/// Everything in backticks after `word` at the start of a line, up to a blank line.
fn backticked(text: &str, word: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with(word)).take_while(|line| !line.trim().is_empty());
    let list = lines.collect::<Vec<_>>().join(" ");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of the implementations, and the entries of all sections.
fn parse(name: &str, notes: &str) -> (Vec<String>, Vec<Entry>) {
    let mut sections = notes.split("\n## ");
    let mut names = backticked(sections.next().unwrap_or_default(), "Results:");
    if names.is_empty() {
        names.push(name.to_owned());
    }
    let entries = sections.flat_map(|text| {
        let section = text.lines().next().unwrap_or_default().to_owned();
        let patterns = backticked(text, "Cases:");
        assert!(!patterns.is_empty(), "field/{name}.md, {section}: no line `Cases:` with ids in backticks");
        patterns.into_iter().map(move |pattern| Entry { section: section.clone(), pattern })
    });
    (names, entries.collect())
}

/// Everything that is inconsistent.
fn faults(failed: &BTreeSet<String>, entries: &[Entry]) -> Vec<String> {
    let mut faults = Vec::new();
    for id in failed {
        let sections: Vec<_> =
            entries.iter().filter(|entry| entry.matches(id)).map(|entry| entry.section.as_str()).collect();
        match sections[..] {
            [_] => (),
            [] => faults.push(format!("{id} fails, and no section says why")),
            _ => faults.push(format!("{id} is in several sections: {}", sections.join("; "))),
        }
    }
    for Entry { section, pattern } in entries.iter().filter(|entry| !failed.iter().any(|id| entry.matches(id))) {
        faults.push(format!("{pattern}, in {section}, does not fail"));
    }
    faults
}

#[test]
fn every_failure_with_notes_has_one_cause() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("field");
    let mut found = Vec::new();
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (names, entries) = parse(name, &fs::read_to_string(&path).unwrap());
        let mut failed = BTreeSet::new();
        for name in names {
            let peer = peer(&name).unwrap_or_else(|| panic!("{}: no implementation is called {name}", path.display()));
            let results = Expected::read(peer).unwrap().results;
            failed
                .extend(results.into_iter().filter(|(_, outcome)| outcome.verdict == Verdict::Fail).map(|(id, _)| id));
        }
        found.extend(faults(&failed, &entries).into_iter().map(|fault| format!("field/{name}.md: {fault}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_case_without_a_section_or_in_two_and_an_entry_without_failures_are_reported() {
    let notes = "# Notes\n\nText.\n\n## One\n\nText.\n\nCases: `a/*`,\n`b`\n\n## Other\n\nCases: `a/x`, `c/*`, `d*`\n";
    let (names, entries) = parse("somebody", notes);
    assert_eq!(names, ["somebody"]);
    let failed = ["a/x", "a/y", "b", "d"].map(str::to_owned).into();
    let found = faults(&failed, &entries);
    let expected = [
        "a/x is in several sections: One; Other",
        "d fails, and no section says why",
        "c/*, in Other, does not fail",
        "d*, in Other, does not fail",
    ];
    assert_eq!(found, expected);
    assert_eq!(parse("both", "Text.\n\nResults: `one`, `two`\n").0, ["one", "two"]);
}
