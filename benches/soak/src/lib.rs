//! Clients for the soak and the test of fairness: Engine.IO revisions 3 and 4 over polling and WebSocket, with raw packets, so that they can
//! do what no library allows, and take little memory.

pub mod http;
pub mod random;
pub mod session;
