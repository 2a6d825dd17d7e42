//! Runs the cases with criterion: `cargo bench` in this folder, `cargo bench -- 'small event/'` for some, `-- ours` for ours only.

use std::time::Duration;

use codec_bench::{cases, clock::ThreadTime};
use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for mut case in cases::all() {
        let name = case.name();
        let mut group = criterion.benchmark_group(format!("{}/{}", case.input, case.task));
        group.throughput(Throughput::Elements(case.packets as u64));
        let who = name.rsplit('/').next().unwrap_or(&name).to_owned();
        group.bench_function(who, |bencher| {
            bencher.iter_custom(|times| {
                let start = codec_bench::clock::thread_nanoseconds();
                case.run(times);
                codec_bench::clock::thread_nanoseconds() - start
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
