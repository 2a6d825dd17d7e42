//! Reports of results: text and an HTML page for people, JSON for programs, and JUnit XML for CI.

mod html;
mod junit;
mod text;

pub use html::html;
pub use junit::junit;
pub use text::{failure, summary};

use serde::{Deserialize, Serialize};

use crate::run::CaseResult;

/// All results of one run, as stored in a file. The README describes the fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The version of this format.
    pub format: u32,
    /// The tested implementation.
    pub implementation: String,
    /// The seed of the random data.
    pub seed: u64,
    /// One result per case.
    pub results: Vec<CaseResult>,
}

impl Run {
    /// Creates a run of the named implementation.
    pub fn new(implementation: &str, seed: u64, results: Vec<CaseResult>) -> Self {
        Self { format: 1, implementation: implementation.to_owned(), seed, results }
    }
}
