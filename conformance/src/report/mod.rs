//! Results for people (text, and a page that compares implementations), for programs (JSON) and for build servers (JUnit).

mod html;
mod junit;
mod text;

pub use html::html;
pub use junit::junit;
pub use text::{failure, summary};

use serde::{Deserialize, Serialize};

use crate::run::CaseResult;

/// Everything that one run found, as it is written to a file. The README describes the fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Version of this format.
    pub format: u32,
    /// What was tested.
    pub implementation: String,
    /// The seed of random data.
    pub seed: u64,
    /// One for each case.
    pub results: Vec<CaseResult>,
}

impl Run {
    /// Results under the name of what was tested.
    pub fn new(implementation: &str, seed: u64, results: Vec<CaseResult>) -> Self {
        Self { format: 1, implementation: implementation.to_owned(), seed, results }
    }
}
