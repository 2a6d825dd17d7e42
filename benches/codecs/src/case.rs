//! One case: an input, a task, and an implementation.

use std::hint::black_box;

/// The implementation that a case runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Ours,
    /// That of another project, with its name.
    Peer(&'static str),
    /// A lower bound, with its description.
    Floor(&'static str),
}

/// A case to measure.
pub struct Case {
    /// The name of the input.
    pub input: String,
    /// The name of the task.
    pub task: &'static str,
    /// The implementation.
    pub who: Who,
    /// The number of packets that one run processes. Results are divided by it.
    pub packets: usize,
    work: Box<dyn FnMut(u64)>,
}

impl Case {
    /// Returns the name for filters and for criterion.
    pub fn name(&self) -> String {
        match self.who {
            Who::Ours => format!("{}/{}/ours", self.input, self.task),
            Who::Peer(name) => format!("{}/{}/{name}", self.input, self.task),
            Who::Floor(name) => format!("{}/{}/floor: {name}", self.input, self.task),
        }
    }

    /// Runs the case this many times.
    pub fn run(&mut self, times: u64) {
        codec_bench_measured(self, times);
    }
}

/// The function that callgrind observes. Its symbol name is not mangled.
#[inline(never)]
#[unsafe(no_mangle)]
fn codec_bench_measured(case: &mut Case, times: u64) {
    (case.work)(times);
}

/// The list of cases, row by row.
#[derive(Default)]
pub struct Cases(Vec<Case>);

impl Cases {
    /// Adds cases with the same input and task.
    pub fn row(&mut self, input: &str, task: &'static str) -> Row<'_> {
        Row { cases: &mut self.0, input: input.to_owned(), task, packets: 1 }
    }

    pub fn into_vec(self) -> Vec<Case> {
        self.0
    }
}

/// Collects the cases of one row. Ratios refer to the first peer and the first floor.
pub struct Row<'a> {
    cases: &'a mut Vec<Case>,
    input: String,
    task: &'static str,
    packets: usize,
}

impl Row<'_> {
    /// Sets the number of packets that one run processes.
    pub fn packets(self, packets: usize) -> Self {
        Self { packets, ..self }
    }

    pub fn ours<R>(self, work: impl FnMut() -> R + 'static) -> Self {
        self.case(Who::Ours, work)
    }

    pub fn peer<R>(self, name: &'static str, work: impl FnMut() -> R + 'static) -> Self {
        self.case(Who::Peer(name), work)
    }

    pub fn floor<R>(self, name: &'static str, work: impl FnMut() -> R + 'static) -> Self {
        self.case(Who::Floor(name), work)
    }

    fn case<R>(self, who: Who, mut work: impl FnMut() -> R + 'static) -> Self {
        // The loop is inside the box, so that the indirect call does not add to each run.
        let work = Box::new(move |times| {
            for _ in 0..times {
                black_box(work());
            }
        });
        self.cases.push(Case { input: self.input.clone(), task: self.task, who, packets: self.packets, work });
        self
    }
}
