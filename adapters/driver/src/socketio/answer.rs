//! The answer to an event that was sent: a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use socketio_proto::{AckError, Payload};

/// Where the outcome of an ack goes.
pub(crate) type AnswerSink = oneshot::Sender<Result<Payload, AckError>>;

/// The answer to an event that was sent. Dropping it changes nothing for the client; its answer is then ignored.
#[derive(Debug)]
#[must_use = "await it for the client's answer"]
pub struct Answer(oneshot::Receiver<Result<Payload, AckError>>);

impl Answer {
    pub(crate) fn channel() -> (AnswerSink, Self) {
        let (sink, receiver) = oneshot::channel();
        (sink, Self(receiver))
    }
}

impl Future for Answer {
    /// The client's arguments, or why there are none.
    type Output = Result<Payload, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sink goes away without a word only with the connection.
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(AckError::Disconnected)))
    }
}
