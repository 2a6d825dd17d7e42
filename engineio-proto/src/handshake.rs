//! The query of a handshake, and the open packet that answers it.
