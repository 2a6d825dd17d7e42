//! Compares the codecs of `engineio-proto` and `socketio-proto` with those of other projects and with floors: the cost of the library under
//! a codec, or of hand-written code that does only the necessary work.
//!
//! [`cases::all`] is the list of cases. `codec-bench` (`src/main.rs`) runs interleaved batches and prints one table. `cargo bench` runs the
//! same cases with criterion, which compares with its last run. Both measure the CPU time of the thread ([`clock`]), so that
//! other load on the machine has little effect.

pub mod allocations;
pub mod case;
pub mod cases;
pub mod clock;
mod inputs;
