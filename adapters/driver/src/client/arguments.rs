//! The arguments of a client's handlers: what each kind is started with. [`Data`](crate::Data), [`Ack`](crate::Ack) and the others that are
//! made of an event are those of a server.

use std::convert::Infallible;
use std::fmt::Display;

use serde::Serialize;
use socketio_proto::{DisconnectReason, Parser};

use super::failure::ConnectFailure;
use super::state::{AuthResult, Client, ConnectionEvent, Socket};
use crate::extract::sealed::Sealed;
use crate::extract::{Extract, HandlerInput, Source, Uses, take_or_clone};
use crate::handler::Outcome;
use crate::socketio::{Event, EventParts, EventSource, SocketParts, StateSource, States, taken};

impl Outcome<AuthResult> for serde_json::Value {
    fn into_outcome(self) -> AuthResult {
        Ok(Some(self).filter(|auth| !auth.is_null()))
    }
}

impl<T: Serialize, E: Display> Outcome<AuthResult> for Result<T, E> {
    fn into_outcome(self) -> AuthResult {
        let auth = serde_json::to_value(self.map_err(|error| error.to_string())?);
        auth.map_err(|error| error.to_string())?.into_outcome()
    }
}

/// The kinds of handlers of a socket, and what else they are started with.
macro_rules! socket_sources {
    ($($content:ty),*) => {$(
        impl<P: Parser> Sealed for (Socket<P>, $content) {}
        impl<P: Parser> Source for (Socket<P>, $content) {
            type Parts = SocketParts<Socket<P>, $content>;

            fn into_parts(self) -> Self::Parts {
                SocketParts { socket: Some(self.0), content: self.1 }
            }
        }
    )*};
}

socket_sources!(ConnectFailure, DisconnectReason);

impl<P: Parser> Sealed for (Socket<P>,) {}
impl<P: Parser> Source for (Socket<P>,) {
    type Parts = SocketParts<Socket<P>, ()>;

    fn into_parts(self) -> Self::Parts {
        SocketParts { socket: Some(self.0), content: () }
    }
}

impl<P: Parser> Sealed for (Socket<P>, Event<P>) {}
impl<P: Parser> Source for (Socket<P>, Event<P>) {
    type Parts = SocketParts<Socket<P>, EventParts<P>>;

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        SocketParts { socket: Some(self.0), content: EventParts::new(self.1) }
    }
}

impl<P: Parser> EventSource for (Socket<P>, Event<P>) {
    type Parser = P;

    #[inline(always)]
    fn event(parts: &Self::Parts) -> &EventParts<P> {
        &parts.content
    }

    #[inline(always)]
    fn event_mut(parts: &mut Self::Parts) -> &mut EventParts<P> {
        &mut parts.content
    }
}

/// The handlers whose first part is a socket.
macro_rules! with_socket {
    ($($source:ty),*) => {$(
        impl<P: Parser> StateSource for $source {
            fn states(parts: &Self::Parts) -> &States {
                parts.socket.as_ref().map_or(const { &States::new() }, |socket| &socket.handle.peer.shared.states)
            }
        }

        impl<P: Parser> Extract<$source> for Socket<P> {
            type Error = Infallible;

            const USES: Uses = Uses::SUBJECT;

            #[inline(always)]
            fn extract(input: &mut HandlerInput<$source>) -> Result<Self, Infallible> {
                let used_later = input.later.contains(Uses::SUBJECT);
                Ok(taken(&mut input.parts.socket, used_later))
            }
        }
    )*};
}

with_socket!((Socket<P>,), (Socket<P>, Event<P>), (Socket<P>, ConnectFailure), (Socket<P>, DisconnectReason));

impl<P: Parser> Extract<(Socket<P>, Self)> for ConnectFailure {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    fn extract(input: &mut HandlerInput<(Socket<P>, Self)>) -> Result<Self, Infallible> {
        Ok(input.parts.content.clone())
    }
}

impl<P: Parser> Extract<(Socket<P>, Self)> for DisconnectReason {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    fn extract(input: &mut HandlerInput<(Socket<P>, Self)>) -> Result<Self, Infallible> {
        Ok(input.parts.content)
    }
}

impl<P: Parser> Sealed for (Client<P>, ConnectionEvent) {}
impl<P: Parser> Source for (Client<P>, ConnectionEvent) {
    type Parts = (Client<P>, Option<ConnectionEvent>);

    fn into_parts(self) -> Self::Parts {
        (self.0, Some(self.1))
    }
}

impl<P: Parser> StateSource for (Client<P>, ConnectionEvent) {
    fn states((client, _): &Self::Parts) -> &States {
        &client.0.peer.shared.states
    }
}

impl<P: Parser> Extract<(Self, ConnectionEvent)> for Client<P> {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    fn extract(input: &mut HandlerInput<(Self, ConnectionEvent)>) -> Result<Self, Infallible> {
        Ok(input.parts.0.clone())
    }
}

impl<P: Parser> Extract<(Client<P>, Self)> for ConnectionEvent {
    type Error = &'static str;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<(Client<P>, Self)>) -> Result<Self, &'static str> {
        let used_later = input.later.contains(Uses::CONTENT);
        take_or_clone(&mut input.parts.1, used_later).ok_or("another argument has taken it")
    }
}
