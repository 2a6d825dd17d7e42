//! Holds the README beside this file, the table of cases and the tests that replay them, against the files that it names.

#![allow(clippy::panic, reason = "a test fails loudly, its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every kind of case with how many there are. A suite's tests begin with what is third; scenarios are numbered in several ways.
const KINDS: [(&str, u32, Option<&str>); 4] = [
    ("eio4", 25, Some("eio4_case")),
    ("sio5 engine", 16, Some("sio5_engine_case")),
    ("sio5", 16, Some("sio5_case")),
    ("", 164, None),
];

/// The scenario that stands for whole tables: its tests name the table.
const TABLES: u32 = 157;

struct Row<'a> {
    kind: &'a str,
    /// The first and the last.
    numbers: (u32, u32),
    what: &'a str,
    /// File and name.
    tests: Vec<(&'a str, &'a str)>,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    cells
        .filter_map(|cells| {
            let [label, what, tests] = cells[..] else { panic!("{cells:?} are not three cells") };
            let (kind, numbers) = label.rsplit_once(' ').unwrap_or(("", label));
            let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
            // The heads of the tables have no number.
            let numbers = (first.parse().ok()?, last.parse().ok()?);
            let tests = tests.split(", ").filter(|test| *test != "-");
            let tests = tests.map(|test| test.trim_matches('`').split_once("::").unwrap_or((test, "")));
            Some(Row { kind, numbers, what, tests: tests.collect() })
        })
        .collect()
}

/// The file that is called so in the table.
fn path(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = match file.split_once('/') {
        Some(("engineio", file)) if file.starts_with("src/") => root.join("engineio-proto").join(file),
        Some(("engineio", file)) => root.join("engineio-proto/tests").join(file),
        Some(("socketio", file)) => root.join("socketio-proto/tests").join(file),
        _ => root.join("adapters/tokio/tests").join(file),
    };
    path.with_extension("rs")
}

/// Whether a file has a test of this name: a function with an attribute that says so.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut is_test = false;
    source.lines().map(str::trim_start).any(|line| {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return false;
        }
        let found = is_test && line.trim_start_matches("async ").starts_with(&head);
        is_test = false;
        found
    })
}

/// Whether the name of a scenario's test has this number: as a word, behind an `r`, or within `42_to_45`.
fn says(name: &str, number: u32) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is = |word: &str| word.strip_prefix('r').unwrap_or(word).parse() == Ok(number);
    let spans = |words: &[&str]| match *words {
        [first, "to", last] => {
            matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
        }
        _ => false,
    };
    words.iter().any(|word| is(word)) || words.windows(3).any(spans)
}

#[test]
fn every_case_has_a_test_that_exists_and_says_its_number_or_a_reason() {
    let mut sources = BTreeMap::new();
    let mut faults = Vec::new();
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for Row { kind, numbers: (first, last), what, tests } in rows(include_str!("README.md")) {
        let row = format!("{kind} {first}");
        let Some((.., suite)) = KINDS.iter().find(|(name, ..)| *name == kind) else { panic!("{row} is of no kind") };
        let counted = counted.entry(kind).or_default();
        assert_eq!(*counted + 1, first, "{row} is not the next one");
        *counted = last;
        if what.is_empty() {
            faults.push(format!("{row} says nothing"));
        }
        for (file, name) in &tests {
            let source = sources.entry(*file).or_insert_with(|| fs::read_to_string(path(file)).unwrap_or_default());
            if !has_test(source, name) {
                faults.push(format!("{row}: there is no test {name} in {}", path(file).display()));
            }
        }
        let is_named = match suite {
            Some(suite) => tests.iter().any(|(_, name)| name.contains(&format!("{suite}_{first}_"))),
            None if first == TABLES => tests.iter().any(|(_, name)| name.starts_with("table_")),
            None => tests.is_empty() || tests.iter().any(|(_, name)| says(name, first)),
        };
        if !is_named {
            faults.push(format!("{row}: no test has the number in its name"));
        }
    }
    for (kind, count, _) in KINDS {
        assert_eq!(counted.get(kind), Some(&count), "not all of {kind:?} are there");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_check_sees_what_is_missing() {
    let source = "#[test]\nfn one() {}\nfn two() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn three() {}\n#[inline]\nfn four() {}";
    let seen = ["one", "two", "three", "four", "on"].map(|name| has_test(source, name));
    assert_eq!(seen, [true, false, true, false, false]);
    assert!(says("r3_r4_a_message", 4) && says("i10_items_42_to_45_upgrades", 44) && says("data_162", 162));
    assert!(!says("r30_a_get", 3) && !says("items_42_to_45_upgrades", 46) && !says("none", 0));
}
