//! Many packets in one HTTP body.
