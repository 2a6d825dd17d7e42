//! Placeholder until the first step of this crate lands.
