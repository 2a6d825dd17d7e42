//! The targets: what a release must meet ("must"), and what the limit still allows ("aim").
//!
//! They were set in nanoseconds on a machine with a certain clock speed. Here they scale with the peer: a target is multiplied by the
//! peer's time in this run, and divided by the peer's time on that machine.

use std::fmt::Write;

use super::{Row, cell, number};

struct Target {
    input: &'static str,
    task: &'static str,
    /// The nanoseconds of the peer when the target was set.
    peer: f64,
    /// Nanoseconds and allocations.
    must: (f64, f64),
    aim: (f64, f64),
}

const SMALL: &str = "small event";

#[rustfmt::skip]
const TARGETS: [Target; 13] = [
    Target { input: SMALL, task: "decode to its type", peer: 232.0, must: (100.0, 2.0), aim: (60.0, 1.0) },
    Target { input: SMALL, task: "header and event name", peer: 112.0, must: (25.0, 0.0), aim: (12.0, 0.0) },
    Target { input: SMALL, task: "encode", peer: 122.0, must: (50.0, 1.0), aim: (25.0, 0.0) },
    Target { input: "binary 1 x 1KiB", task: "decode", peer: 189.0, must: (120.0, 1.0), aim: (90.0, 0.0) },
    Target { input: "payload x10", task: "decode", peer: 88.0, must: (42.0, 0.0), aim: (34.0, 0.0) },
    Target { input: "payload x100", task: "decode", peer: 77.0, must: (42.0, 0.0), aim: (34.0, 0.0) },
    Target { input: "payload x1", task: "encode", peer: 92.0, must: (15.0, 0.0), aim: (5.0, 0.0) },
    Target { input: "payload x10", task: "encode", peer: 84.0, must: (15.0, 0.0), aim: (5.0, 0.0) },
    Target { input: "payload x100", task: "encode", peer: 69.0, must: (15.0, 0.0), aim: (5.0, 0.0) },
    Target { input: "base64 64KiB", task: "decode", peer: 30_500.0, must: (12_000.0, 2.0), aim: (9_000.0, 1.0) },
    Target { input: "base64 64KiB", task: "encode", peer: 24_400.0, must: (9_000.0, 1.0), aim: (6_500.0, 1.0) },
    Target { input: "msgpack small event", task: "decode to its type", peer: 151.0, must: (100.0, 2.0), aim: (70.0, 1.0) },
    Target { input: "msgpack small event", task: "encode", peer: 135.0, must: (60.0, 1.0), aim: (25.0, 0.0) },
];

/// Returns a table of the targets and results of the measured rows.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| target | must | aim | must here | aim here | ours | |\n|---|---|---|---|---|---|---|\n");
    let find = |input: &str, task: &str| rows.iter().find(|row| row.input == input && row.task == task);
    for target in &TARGETS {
        let Some(row) = find(target.input, target.task) else { continue };
        let (Some(ours), Some((_, peer))) = (row.ours, row.peers.first()) else { continue };
        let scale = peer.nanoseconds / target.peer;
        let met = |(nanoseconds, allocations): (f64, f64)| {
            // A fraction of an allocation per packet counts as none.
            ours.nanoseconds <= nanoseconds * scale && ours.allocations < allocations + 0.05
        };
        let bound = |(nanoseconds, allocations): (f64, f64)| format!("{} ({allocations})", number(nanoseconds));
        let scaled = |bound: (f64, f64)| number(bound.0 * scale);
        let verdict = verdict(met(target.must), met(target.aim));
        writeln!(
            text,
            "| {}: {} | {} | {} | {} | {} | {} | {verdict} |",
            target.input,
            target.task,
            bound(target.must),
            bound(target.aim),
            scaled(target.must),
            scaled(target.aim),
            cell(ours)
        )
        .unwrap();
    }
    for input in ["json 1KiB", "json 16KiB"] {
        let (Some(typed), Some(scan)) = (find(input, "decode to its type"), find(input, "header and event name"))
        else {
            continue;
        };
        let (Some(ours), Some(scanned), Some(floor)) = (typed.ours, scan.ours, typed.floor("serde_json")) else {
            continue;
        };
        let whole = ours.nanoseconds / floor.nanoseconds;
        let reading = (ours.nanoseconds - scanned.nanoseconds) / floor.nanoseconds;
        let length = json_length(input);
        let per_byte = scanned.nanoseconds / length;
        let verdict = verdict(whole <= 1.35, per_byte <= 0.6 && reading <= 1.05);
        writeln!(
            text,
            "| {input}: decode to its type | <= 1.35x serde_json | scan <= 0.6 ns per byte, reading <= 1.05x serde_json | {} | {} | {}, that is {whole:.2}x; scan {per_byte:.2} ns per byte, reading {reading:.2}x | {verdict} |",
            number(floor.nanoseconds * 1.35),
            number(floor.nanoseconds * 1.05 + 0.6 * length),
            number(ours.nanoseconds),
        )
        .unwrap();
        if let Some(Row { ours: Some(borrowed), .. }) = find(input, "decode to a borrowing type")
            && let Some((_, peer)) = typed.peers.first()
        {
            let share = borrowed.nanoseconds / peer.nanoseconds;
            let verdict = if share <= 0.6 { "aim met" } else { "aim missed" };
            writeln!(
                text,
                "| {input}: decode to a borrowing type | - | 0.6x of the peer's owned | - | {} | {}, that is {share:.2}x | {verdict} |",
                number(peer.nanoseconds * 0.6),
                number(borrowed.nanoseconds)
            )
            .unwrap();
        }
    }
    text
}

const fn verdict(must: bool, aim: bool) -> &'static str {
    match (must, aim) {
        (true, true) => "aim met",
        (true, false) => "must met",
        (false, _) => "**missed**",
    }
}

fn json_length(input: &str) -> f64 {
    let size = if input.ends_with("16KiB") { 16384 } else { 1024 };
    codec_bench::cases::json_length(size) as f64
}
