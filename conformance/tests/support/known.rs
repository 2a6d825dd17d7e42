//! The list of the cases that our own server is known to fail. Each line has an id and a reason.

use std::collections::BTreeMap;

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/known-failures.txt");

/// Ids and reasons.
pub(crate) fn failures() -> BTreeMap<String, String> {
    let list = std::fs::read_to_string(LIST).unwrap();
    let entries = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    entries
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(id, why)| (id.into(), why.trim().into()))
        .collect()
}

/// Rewrites the list below its heading.
#[allow(dead_code, reason = "one of the tests that read the list writes it")]
pub(crate) fn write(failures: &BTreeMap<String, String>) {
    let list = std::fs::read_to_string(LIST).unwrap();
    let mut text: String = list.split_inclusive('\n').filter(|line| line.starts_with('#')).collect();
    for (id, why) in failures {
        text.push_str(&format!("{id} {why}\n"));
    }
    std::fs::write(LIST, text).unwrap();
}
