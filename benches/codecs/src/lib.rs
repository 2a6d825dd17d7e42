//! The codecs of `engineio-proto` and `socketio-proto` beside those of other projects and beside floors: what the library under
//! a codec costs alone, or a hand-written piece of code that does only what cannot be left out.
//!
//! [`cases::all`] is the list. `codec-bench` (`src/main.rs`) prints it as one table, from interleaved batches; `cargo bench` runs the
//! same cases under criterion, which compares with its last run. Both measure the CPU time of the thread ([`clock`]), so that
//! others on the machine disturb little.

pub mod allocations;
pub mod case;
pub mod cases;
pub mod clock;
mod inputs;
