//! The upgrade from polling to a link, as a transition table that is data.
//!
//! Source: engine.io `lib/socket.ts`, `maybeUpgrade`; reference inventory section 1.8.
