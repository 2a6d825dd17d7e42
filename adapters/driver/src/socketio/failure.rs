//! Failures of handlers, and the handler that gets them.

use std::fmt;
use std::sync::Arc;

use socketio_proto::Parser;

use super::server::Server;
use super::state::{FailureKind, HandlerFailure, HandlerKind, Namespace};
use crate::handler::{Handler, HandlerResult, erase};

impl<P: Parser> Namespace<P> {
    /// Sets the handler of failures: a handler or a filter returns an error, panics, or is not started because an argument could not be
    /// extracted. It takes the [`HandlerFailure`] and what else it needs, sync or async.
    ///
    /// Without it, failures are logged, a panic closes the connection, and a client that waits for an ack of the event waits for ever (or
    /// for its timeout). With it, it decides: nothing is logged, and the connection stays open, also after a panic. Close it with
    /// [`Socket::close`](crate::Socket::close) if a panic may have left the state of the application inconsistent. A failure of this handler
    /// itself is treated as without it. Middleware is not part of this: its failures refuse the client.
    ///
    /// It applies to sockets that connect after it was set. While it is set, an event with an ack costs an allocation more.
    ///
    /// Recipe: log the failure, and answer the client with an object that all your events share.
    ///
    /// ```
    /// use socketio_driver::{Ack, Data, Failure, FailureKind, HandlerFailure, Server};
    ///
    /// let server = Server::new();
    /// server
    ///     .on("half", async |Data(number): Data<u32>, ack: Ack| {
    ///         if number % 2 == 1 {
    ///             return Err("an odd number".into());
    ///         }
    ///         ack.send(number / 2)?;
    ///         Ok::<(), Failure>(())
    ///     })
    ///     .on_error(|failure: HandlerFailure| {
    ///         eprintln!("{failure}");
    ///         // What may be inside the application stays there.
    ///         let text = match failure.kind {
    ///             FailureKind::Panicked => "internal error",
    ///             FailureKind::NotStarted => "invalid arguments",
    ///             _ => &failure.error,
    ///         };
    ///         if let Some(ack) = failure.ack {
    ///             let _ = ack.send(serde_json::json!({ "error": text }));
    ///         }
    ///     });
    /// ```
    pub fn on_error<M>(&self, handler: impl Handler<(HandlerFailure<P>,), HandlerResult, M>) -> &Self {
        self.0.change_handlers(|handlers| handlers.error = Some(Arc::new(erase(handler))));
        self
    }
}

impl<P: Parser> Server<P> {
    /// Same as [`Namespace::on_error`] of `/`.
    pub fn on_error<M>(&self, handler: impl Handler<(HandlerFailure<P>,), HandlerResult, M>) -> &Self {
        self.of("/").on_error(handler);
        self
    }
}

impl HandlerKind {
    /// The name of the handler in logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Event => "event",
            Self::Any => "any",
            Self::Unhandled => "unhandled",
            Self::Filter => "filter",
            Self::Upgrade => "upgrade",
            Self::Disconnecting => "disconnecting",
            Self::Disconnect => "disconnect",
            Self::Error => "error",
        }
    }
}

/// The handler, how it failed, and the error.
impl<P: Parser> fmt::Display for HandlerFailure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} handler", self.handler.name())?;
        if let Some(event) = &self.event {
            write!(f, " of {event:?}")?;
        }
        let how = match self.kind {
            FailureKind::Failed => "failed",
            FailureKind::NotStarted => "was not started",
            FailureKind::Panicked => "panicked",
        };
        write!(f, " {how}: {}", self.error)
    }
}

impl<P: Parser> fmt::Debug for HandlerFailure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFailure")
            .field("socket", &self.socket.0.id)
            .field("handler", &self.handler)
            .field("event", &self.event)
            .field("kind", &self.kind)
            .field("error", &self.error)
            .field("ack", &self.ack.is_some())
            .finish()
    }
}
