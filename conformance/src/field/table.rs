//! Renders the expected results as Markdown tables for the README.

use std::fmt::Write as _;
use std::io;

use super::{Expected, Outcome, Peer, clients, servers};
use crate::case::Level;
use crate::run::Verdict;

/// Renders a table of the servers and one of the clients in Markdown. For each level it shows how many cases passed, out of those that
/// could be run.
///
/// # Errors
/// Fails if a file in `expected/` cannot be read.
pub fn table() -> io::Result<String> {
    let mut text = String::new();
    for (what, peers) in [("server", servers()), ("client", clients())] {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "| {what} | version | must | should | reference | skipped |\n|---|---|---|---|---|---|");
        for peer in peers {
            let expected = Expected::read(peer)?;
            // Implementations without results are left out.
            if !expected.results.is_empty() {
                text.push_str(&row(peer, &expected));
            }
        }
    }
    Ok(text)
}

fn row(peer: &Peer, expected: &Expected) -> String {
    let count = |wanted: &dyn Fn(&Outcome) -> bool| expected.results.values().filter(|outcome| wanted(outcome)).count();
    let mut row = format!("| {} | {} |", peer.title, expected.version);
    for level in [Level::Must, Level::Should, Level::Reference] {
        let passed = count(&|outcome| outcome.level == level && outcome.verdict == Verdict::Pass);
        let failed = count(&|outcome| outcome.level == level && outcome.verdict == Verdict::Fail);
        let _ = write!(row, " {passed} of {} |", passed.saturating_add(failed));
    }
    let _ = writeln!(row, " {} |", count(&|outcome| outcome.verdict == Verdict::Skip));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `UPDATE=1` to write the table.
    #[test]
    fn the_readme_has_the_table_of_the_expected_results() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (before, rest) = readme.split_once("<!-- results -->\n").unwrap();
        let (now, after) = rest.split_once("<!-- end of results -->").unwrap();
        let table = table().unwrap();
        if now != table && std::env::var_os("UPDATE").is_some() {
            let updated = format!("{before}<!-- results -->\n{table}<!-- end of results -->{after}");
            return std::fs::write(path, updated).unwrap();
        }
        assert_eq!(now, table, "UPDATE=1 cargo test -p socketio-conformance --lib writes the table");
    }
}
