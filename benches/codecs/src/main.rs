//! Prints the table: ours, peers, floors, ratios, and whether the targets are met.
//!
//!     codec-bench [--rounds N] [--counts] [--node FILE] [FILTER]
//!
//! Every round runs one batch of each case in turn, so that other load on the machine affects all cases alike. Results are medians of the
//! rounds. `--counts` adds user instructions from callgrind. They are exact, while a few percent of time are noise. `--node` reads the
//! output of `node.js`. `--once` is for the run under callgrind.

mod counts;
mod targets;

use std::collections::BTreeMap;
use std::fmt::Write;

use codec_bench::case::{Case, Who};
use codec_bench::{allocations, cases, clock};

/// The minimum duration of a batch, in nanoseconds.
const BATCH: u64 = 2_000_000;

/// The results of a case, per packet.
#[derive(Clone, Copy, Default)]
struct Figures {
    nanoseconds: f64,
    allocations: f64,
    instructions: Option<f64>,
}

#[derive(Default)]
struct Arguments {
    rounds: Option<usize>,
    counts: bool,
    once: bool,
    node: Option<String>,
    filter: String,
}

fn arguments() -> Arguments {
    let mut found = Arguments::default();
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        match &argument[..] {
            "--rounds" => found.rounds = rest.next().and_then(|value| value.parse().ok()),
            "--counts" => found.counts = true,
            "--once" => found.once = true,
            "--node" => found.node = rest.next(),
            _ => found.filter = argument,
        }
    }
    found
}

fn main() {
    let arguments = arguments();
    let mut cases = cases::all();
    cases.retain(|case| case.name().contains(&arguments.filter));
    if arguments.once {
        return counts::run(&mut cases);
    }
    let mut figures = measure(&mut cases, arguments.rounds.unwrap_or(21));
    if arguments.counts {
        let counted = counts::count(&arguments.filter, &cases).expect("`--counts` requires valgrind");
        for (figures, count) in figures.iter_mut().zip(counted) {
            figures.instructions = Some(count);
        }
    }
    let node = arguments.node.map(|file| std::fs::read_to_string(file).expect("cannot read FILE")).unwrap_or_default();
    let rows = rows(&cases, &figures, &node);
    print!("{}", table(&rows));
    println!();
    print!("{}", targets::table(&rows));
}

fn measure(cases: &mut [Case], rounds: usize) -> Vec<Figures> {
    let timed = |case: &mut Case, times: u64| {
        let start = clock::thread_nanoseconds();
        case.run(times);
        clock::thread_nanoseconds() - start
    };
    let mut figures = Vec::new();
    let mut batches = Vec::new();
    for case in &mut *cases {
        // Warm up first, because buffers that are reused must already exist.
        case.run(2000);
        let allocated = allocations::count(|| case.run(1000));
        let allocations = allocated as f64 / 1000.0 / case.packets as f64;
        figures.push(Figures { allocations, ..Figures::default() });
        let mut batch = 1;
        while timed(case, batch) < BATCH {
            batch *= 2;
        }
        batches.push(batch);
    }
    let mut samples = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((case, batch), samples) in cases.iter_mut().zip(&batches).zip(&mut samples) {
            samples.push(timed(case, *batch) as f64 / *batch as f64 / case.packets as f64);
        }
    }
    for (figures, samples) in figures.iter_mut().zip(&mut samples) {
        samples.sort_by(f64::total_cmp);
        figures.nanoseconds = samples[samples.len() / 2];
    }
    figures
}

/// One row of the table.
#[derive(Default)]
struct Row {
    input: String,
    task: &'static str,
    ours: Option<Figures>,
    peers: Vec<(String, Figures)>,
    floors: Vec<(String, Figures)>,
}

impl Row {
    fn floor(&self, name: &str) -> Option<Figures> {
        self.floors.iter().find(|(floor, _)| floor == name).map(|(_, figures)| *figures)
    }
}

fn rows(cases: &[Case], figures: &[Figures], node: &str) -> Vec<Row> {
    let mut node_figures = BTreeMap::new();
    for line in node.lines() {
        if let Ok(line) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line)
            && let (Some(input), Some(task), Some(ns)) =
                (line["input"].as_str(), line["task"].as_str(), line["ns"].as_f64())
        {
            node_figures.insert((input.to_owned(), task.to_owned()), ns);
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for (case, &figures) in cases.iter().zip(figures) {
        if rows.last().is_none_or(|row| row.input != case.input || row.task != case.task) {
            rows.push(Row { input: case.input.clone(), task: case.task, ..Row::default() });
        }
        let Some(row) = rows.last_mut() else { continue };
        match case.who {
            Who::Ours => row.ours = Some(figures),
            Who::Peer(name) => row.peers.push((name.to_owned(), figures)),
            Who::Floor(name) => row.floors.push((name.to_owned(), figures)),
        }
    }
    for row in &mut rows {
        if let Some(&nanoseconds) = node_figures.get(&(row.input.clone(), row.task.to_owned())) {
            row.peers.push(("node".to_owned(), Figures { nanoseconds, allocations: f64::NAN, ..Figures::default() }));
        }
    }
    rows
}

/// Formats time, allocations and instructions.
fn cell(figures: Figures) -> String {
    let mut text = number(figures.nanoseconds);
    if !figures.allocations.is_nan() {
        let allocations = (figures.allocations * 10.0).round() / 10.0;
        write!(text, " ({allocations})").unwrap();
    }
    if let Some(instructions) = figures.instructions {
        write!(text, " {}i", number(instructions)).unwrap();
    }
    text
}

/// Formats a number: one decimal if it is below 10, and separated thousands.
fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| input | what is done | ours | peers | floors | ours / peer | ours / floor |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let join = |list: &[(String, Figures)]| {
            let cells: Vec<String> = list.iter().map(|(name, figures)| format!("{name} {}", cell(*figures))).collect();
            if cells.is_empty() { "-".to_owned() } else { cells.join("; ") }
        };
        let ratio = |list: &[(String, Figures)]| match (row.ours, list.first()) {
            (Some(ours), Some((_, other))) => format!("{:.2}", ours.nanoseconds / other.nanoseconds),
            _ => "-".to_owned(),
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.input,
            row.task,
            row.ours.map_or_else(|| "-".to_owned(), cell),
            join(&row.peers),
            join(&row.floors),
            ratio(&row.peers),
            ratio(&row.floors)
        )
        .unwrap();
    }
    text
}
