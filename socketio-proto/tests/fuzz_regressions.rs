//! Runs every seed of the fuzz targets, and every input that ever broke one, on stable Rust and without a fuzzer.
//!
//! Also runs seeds with small random changes. `ROUNDS=n` sets their number, and `TARGET=name SEED=n` replays one. These changes are not
//! guided by coverage, which needs a fuzzer.
//!
//! To add a regression, copy the fuzzer's artifact to `fuzz/regressions/TARGET/` and give it a name that describes the bug.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../../engineio-proto/tests/seeds/mod.rs"]
mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

use engineio_fuzz_targets::{TARGETS, Target};
use engineio_proto::testkit::Random;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// Calls a target, which panics if a check fails. It must not reject the input, because that would skip the checks.
fn play(target: Target, input: &[u8]) {
    target(input).expect("a target must accept any input");
}

/// Calls each target with every file of its folder, and returns the number of files.
fn replay(kind: &str) -> usize {
    let mut count = 0;
    for (name, target) in TARGETS {
        let folder = fuzz().join(kind).join(name);
        for file in names(&folder) {
            let input = fs::read(folder.join(&file)).expect("the file cannot be read");
            // Shown when the test fails: the last file is the one that failed.
            println!("fuzz/{kind}/{name}/{file}");
            play(*target, &input);
            count += 1;
        }
    }
    count
}

#[test]
fn inputs_that_once_failed_pass() {
    replay("regressions");
}

#[test]
fn seeds_and_the_empty_input_pass() {
    for (name, target) in TARGETS {
        println!("{name}");
        play(*target, &[]);
        play(*target, &[0; 400]);
        play(*target, &[0xff; 400]);
    }
    assert!(replay("seeds") >= TARGETS.len());
}

/// A seed in which a few bytes are changed, removed, or inserted from another seed.
fn mutated(random: &mut Random, files: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(files).cloned().unwrap_or_default();
    for _ in 0..=random.below(6) {
        let at = random.index(input.len() + 1);
        match random.below(5) {
            0 => input.truncate(at),
            1 => {
                let other = random.pick(files).cloned().unwrap_or_default();
                let start = random.index(other.len());
                let length = random.index(20).min(other.len() - start);
                input.splice(at..at, other[start..start + length].iter().copied());
            }
            2 if at < input.len() => drop(input.remove(at)),
            3 => input.insert(at, random.below(256).to_le_bytes()[0]),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input
}

#[test]
fn mutated_seeds_pass() {
    let rounds = std::env::var("ROUNDS").map_or(40, |rounds| rounds.parse().expect("ROUNDS must be a number"));
    let only = std::env::var("TARGET").ok();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let folder = fuzz().join("seeds").join(name);
        let read = |file: &String| fs::read(folder.join(file)).expect("the file cannot be read");
        let files: Vec<Vec<u8>> = names(&folder).iter().map(read).collect();
        // Shown when the test fails: the last target is the one that failed.
        println!("TARGET={name}");
        seeds::each(rounds, |seed, _| play(*target, &mutated(&mut Random::new(seed), &files)));
    }
}

#[test]
fn every_target_has_its_files_and_nothing_else_has() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let files = names(&fuzz().join("fuzz_targets"));
    let files: Vec<&str> = files.iter().filter_map(|file| file.strip_suffix(".rs")).collect();
    assert_eq!(files.len(), targets.len(), "{files:?}");
    assert!(files.iter().all(|file| targets.contains(file)), "{files:?}");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is missing in fuzz/Cargo.toml");
    }
    for kind in ["seeds", "regressions"] {
        for folder in names(&fuzz().join(kind)) {
            assert!(targets.contains(&&*folder), "fuzz/{kind}/{folder} does not belong to a target");
        }
    }
}
