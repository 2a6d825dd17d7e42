//! One case: an input, what is done with it, and whose code does it.

use std::hint::black_box;

/// Whose code a case runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Ours,
    /// Another project's, with its name.
    Peer(&'static str),
    /// A lower bound, with what it does.
    Floor(&'static str),
}

/// Something to measure.
pub struct Case {
    /// The input's name.
    pub input: String,
    /// What is done with it.
    pub task: &'static str,
    /// Whose code.
    pub who: Who,
    /// How many packets one run handles: figures are divided by it.
    pub packets: usize,
    work: Box<dyn FnMut(u64)>,
}

impl Case {
    /// A name for filters and for criterion.
    pub fn name(&self) -> String {
        match self.who {
            Who::Ours => format!("{}/{}/ours", self.input, self.task),
            Who::Peer(name) => format!("{}/{}/{name}", self.input, self.task),
            Who::Floor(name) => format!("{}/{}/floor: {name}", self.input, self.task),
        }
    }

    /// Runs it so many times.
    pub fn run(&mut self, times: u64) {
        codec_bench_measured(self, times);
    }
}

/// What callgrind watches, under a name that it understands.
#[inline(never)]
#[unsafe(no_mangle)]
fn codec_bench_measured(case: &mut Case, times: u64) {
    (case.work)(times);
}

/// The list of cases, row by row.
#[derive(Default)]
pub struct Cases(Vec<Case>);

impl Cases {
    /// Cases that do the same with the same input.
    pub fn row(&mut self, input: &str, task: &'static str) -> Row<'_> {
        Row { cases: &mut self.0, input: input.to_owned(), task, packets: 1 }
    }

    pub fn into_vec(self) -> Vec<Case> {
        self.0
    }
}

/// Takes the cases of one row. The first peer and the first floor are those that ratios are made with.
pub struct Row<'a> {
    cases: &'a mut Vec<Case>,
    input: String,
    task: &'static str,
    packets: usize,
}

impl Row<'_> {
    /// One run handles so many packets.
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
        // The loop is inside, so that calling through the box costs nothing per run.
        let work = Box::new(move |times| {
            for _ in 0..times {
                black_box(work());
            }
        });
        self.cases.push(Case { input: self.input.clone(), task: self.task, who, packets: self.packets, work });
        self
    }
}
