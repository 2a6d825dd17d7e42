//! Each case of the three official suites has a case here. `OFFICIAL.md` and the cases name each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

use socketio_conformance::case::{Case, server_cases};

/// How many cases each suite has.
const SUITES: [(&str, usize); 3] =
    [("engine.io-protocol v3", 24), ("engine.io-protocol v4", 25), ("socket.io-protocol v5", 32)];

struct Row {
    suite: String,
    title: String,
    ids: Vec<String>,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut suite = String::new();
    for line in include_str!("../OFFICIAL.md").lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut suite);
        }
        let Some((title, ids)) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")?.split_once(" | "))
        else {
            continue;
        };
        if ids.starts_with('`') {
            let ids = ids.split(", ").map(|id| id.trim_matches('`').to_owned()).collect();
            rows.push(Row { suite: suite.clone(), title: title.to_owned(), ids });
        }
    }
    rows
}

/// The case with this id, or one of its variants.
fn find<'a>(cases: &'a [Case], id: &str) -> Option<&'a Case> {
    cases.iter().find(|case| has_id(case, id))
}

fn has_id(case: &Case, id: &str) -> bool {
    case.id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn the_table_has_every_official_case_once() {
    let rows = rows();
    for (suite, count) in SUITES {
        let mut titles: Vec<&str> =
            rows.iter().filter(|row| row.suite == suite).map(|row| row.title.as_str()).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), count, "{suite}");
    }
    assert_eq!(rows.len(), SUITES.iter().map(|(_, count)| count).sum::<usize>());
}

#[test]
fn every_case_in_the_table_exists_and_names_the_official_case() {
    let cases = server_cases().unwrap();
    for row in rows() {
        for id in &row.ids {
            let case = find(&cases, id).unwrap_or_else(|| panic!("OFFICIAL.md names {id}, which does not exist"));
            let official = case.official.as_deref().unwrap_or_default();
            let same =
                official.starts_with(&format!("{}: ", row.suite)) && official.contains(&format!("'{}'", row.title));
            assert!(
                same,
                "OFFICIAL.md says that {id} replays {}: '{}', the case says: {official}",
                row.suite, row.title
            );
        }
    }
}

#[test]
fn every_case_that_replays_an_official_one_is_in_the_table() {
    let rows = rows();
    for case in server_cases().unwrap().iter().filter(|case| case.official.is_some()) {
        let listed = rows.iter().any(|row| row.ids.iter().any(|id| has_id(case, id)));
        assert!(listed, "{} replays an official case and is not in OFFICIAL.md", case.id);
    }
}
