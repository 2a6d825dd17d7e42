//! The data of a socket that serde can write, and those who wait for its end. Both are values of [`Extensions`](crate::extensions), so that
//! a socket without them needs no memory for them.

use std::sync::Mutex;

use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use socketio_proto::{EncodeError, ReadError};

use crate::sync::lock;

/// The data of a socket, as JSON.
pub(super) struct Data(Box<RawValue>);

impl Data {
    pub(super) fn new(data: &impl Serialize) -> Result<Self, EncodeError> {
        let data = serde_json::value::to_raw_value(data);
        data.map(Self).map_err(|error| EncodeError::Serialize(error.to_string()))
    }

    /// Reads the data. If there is none, the reference has an empty object (socket.io `lib/socket.ts`, `data`).
    pub(super) fn read<T: DeserializeOwned>(data: Option<&Self>) -> Result<T, ReadError> {
        match data {
            Some(Self(json)) => Ok(serde_json::from_str(json.get())?),
            // `null` for an `Option`, and an empty object for everything else.
            None => serde_json::from_str("null").or_else(|_| Ok(serde_json::from_str("{}")?)),
        }
    }
}

/// Those who wait for the end of a socket.
#[derive(Default)]
pub(super) struct Closed(Mutex<Vec<oneshot::Sender<()>>>);

impl Closed {
    /// Resolves at the next [`Closed::tell`].
    pub(super) fn wait(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.0);
        waiting.retain(|sender| !sender.is_canceled());
        waiting.push(sender);
        receiver
    }

    pub(super) fn tell(&self) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        for sender in waiting {
            let _ = sender.send(());
        }
    }
}
