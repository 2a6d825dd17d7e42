//! The future of an ack.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use socketio_proto::{AckError, Payload};

/// The receiver of the outcome of an ack.
pub(crate) type AnswerSink = oneshot::Sender<Result<Payload, AckError>>;

/// The future of the client's ack for an event. If it is dropped, the ack is ignored when it arrives; nothing changes for the
/// client.
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
    /// The arguments of the ack, or the reason why the ack failed.
    type Output = Result<Payload, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sink is dropped without an outcome only if the connection ends.
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(AckError::Disconnected)))
    }
}
