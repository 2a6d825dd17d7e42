//! Observers of what is sent.
