//! Counts the user instructions of each case with callgrind: one run of all cases, with a dump after each.

use std::io;
use std::process::{Command, Stdio};

use codec_bench::case::Case;

/// The number of counted runs of a case.
const TIMES: u64 = 20;

/// Runs under callgrind: each case once to warm up, and once to count.
pub fn run(cases: &mut [Case]) {
    for case in cases {
        case.run(3);
        case.run(TIMES);
    }
}

/// Returns the instructions per packet, in the order of the cases.
pub fn count(filter: &str, cases: &[Case]) -> io::Result<Vec<f64>> {
    let folder = std::env::temp_dir().join(format!("codec-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("out");
    let function = "codec_bench_measured";
    let status = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .arg(std::env::current_exe()?)
        .args(["--once", filter])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(io::Error::other("callgrind failed"));
    }
    let mut counts = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        // Dumps are numbered from 1, and the first dump of each case is the warm-up.
        let dump = std::fs::read_to_string(format!("{}.{}", file.display(), 2 * index + 2))?;
        let total = dump.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
        counts.push(total.unwrap_or(f64::NAN) / TIMES as f64 / case.packets as f64);
    }
    std::fs::remove_dir_all(folder)?;
    Ok(counts)
}
