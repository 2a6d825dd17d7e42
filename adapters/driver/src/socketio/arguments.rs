//! The arguments of handlers: what each kind of handler is started with, and what can be extracted from it.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;

use engineio_proto::server::Transport;
use serde::de::DeserializeOwned;
use socketio_proto::{DisconnectReason, Parser, Payload, ReadError};

use super::connect_request::read_auth;
use super::state::{Ack, ConnectRequest, Event, HandlerFailure, Namespace, Socket, SocketInner, SocketPeer};
use super::states::States;
use crate::extensions::Extensions;
use crate::extract::sealed::Sealed;
use crate::extract::{Extract, HandlerInput, Source, Uses, take_or_clone};
use crate::handshake::Handshake;

/// The arguments of an event, read as [`Event::read`] does: a tuple reads one argument for each member, any other type reads the first
/// argument. The type owns what it reads; use [`Event`] for types that borrow.
///
/// If the arguments do not have this type, the handler is not started. See [`TryData`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Data<T>(
    /// The arguments.
    pub T,
);

/// Same as [`Data`], but the handler is started in any case, and gets the error if the arguments do not have this type.
#[derive(Debug)]
pub struct TryData<T>(
    /// The arguments, or why they could not be read.
    pub Result<T, ReadError>,
);

/// The `auth` payload that the client sent when it joined the namespace, an object, read as [`Socket::read_auth`] does.
///
/// If it does not have this type, the handler is not started. As an argument of a middleware, the client is refused with the message
/// `bad request`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Auth<T>(
    /// The payload.
    pub T,
);

/// A clone of the server's or client's value of this type, which was set with [`ServerBuilder::state`](crate::ServerBuilder::state) or
/// `ClientBuilder::state`. Use `Arc<_>`, or
/// a handle that is cheap to clone, for example a pool of database connections.
///
/// If there is no value of this type, the handler is not started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct State<T>(
    /// The value.
    pub T,
);

/// The value of this type that was stored with the client: by [`Socket::insert`], or by a middleware with [`ConnectRequest::insert`].
///
/// If there is none, the handler is not started. `Option<Extension<T>>` starts it in any case.
#[derive(Debug)]
pub struct Extension<T>(
    /// The value.
    pub Arc<T>,
);

/// The name of the event, for handlers of several events.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct EventName(
    /// The name.
    pub String,
);

/// What a handler is started with, if there is state of the application: all kinds of a [`Server`](crate::Server) and of a
/// [`Client`](crate::client::Client).
pub trait StateSource: Source {
    #[doc(hidden)]
    fn states(parts: &Self::Parts) -> &States;
}

/// What a handler is started with, if it is a handler of events, on a server or a client.
pub trait EventSource: StateSource {
    /// The parser of the server or client.
    type Parser: Parser;

    #[doc(hidden)]
    fn event(parts: &Self::Parts) -> &EventParts<Self::Parser>;

    #[doc(hidden)]
    fn event_mut(parts: &mut Self::Parts) -> &mut EventParts<Self::Parser>;
}

/// What a handler is started with, if it is a handler of a client on a namespace: all kinds of a [`Server`](crate::Server).
pub trait ClientSource: StateSource {
    /// The parser of the server.
    type Parser: Parser;

    #[doc(hidden)]
    fn client(parts: &Self::Parts) -> Client<'_, Self::Parser>;
}

/// What a handler is started with, if it has a [`Socket`]: all kinds of a [`Server`](crate::Server) but middleware.
pub trait SocketSource: ClientSource {
    #[doc(hidden)]
    fn socket(parts: &Self::Parts) -> &Socket<Self::Parser>;

    #[doc(hidden)]
    fn take_socket(parts: &mut Self::Parts, used_later: bool) -> Socket<Self::Parser>;
}

/// A client, which may have no socket yet.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "not for applications")]
pub struct Client<'a, P: Parser> {
    peer: &'a SocketPeer<P>,
    auth: Option<&'a Payload>,
    extensions: &'a Extensions,
}

impl<'a, P: Parser> Client<'a, P> {
    fn of(socket: &'a Socket<P>) -> Self {
        let SocketInner { peer, auth, extensions, .. } = &*socket.0;
        Self { peer, auth: auth.as_ref(), extensions }
    }
}

impl<A: ClientSource> HandlerInput<A> {
    /// The HTTP request that opened the connection.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &A::client(&self.parts).peer.shared.handshake
    }

    /// The `auth` payload that the client sent when it joined the namespace, if it sent one.
    #[must_use]
    pub fn auth(&self) -> Option<&Payload> {
        A::client(&self.parts).auth
    }

    /// The value of this type that was stored with the client; see [`Extension`].
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        A::client(&self.parts).extensions.get()
    }
}

impl<A: StateSource> HandlerInput<A> {
    /// The server's or client's value of this type; see [`State`].
    #[must_use]
    pub fn state<T: 'static>(&self) -> Option<&T> {
        A::states(&self.parts).get()
    }
}

impl<A: SocketSource> HandlerInput<A> {
    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Socket<A::Parser> {
        A::socket(&self.parts)
    }
}

impl<A: EventSource> HandlerInput<A> {
    /// The arguments of the event, and its name.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        kept(&A::event(&self.parts).payload)
    }

    /// Takes the right to send the ack. `None` if the peer did not request an ack, or if another argument of the handler has taken it.
    pub fn take_ack(&mut self) -> Option<Ack<A::Parser>> {
        A::event_mut(&mut self.parts).ack.take()
    }
}

impl<P: Parser> HandlerInput<(Socket<P>, DisconnectReason)> {
    /// Why the socket disconnected.
    #[must_use]
    pub const fn reason(&self) -> DisconnectReason {
        self.parts.content
    }
}

impl<P: Parser> HandlerInput<(Socket<P>, Transport)> {
    /// The transport that the connection has moved to.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.parts.content
    }
}

impl<P: Parser> HandlerInput<(ConnectRequest<P>,)> {
    /// The request on which the middleware decides.
    #[must_use]
    pub fn request(&self) -> &ConnectRequest<P> {
        kept(&self.parts)
    }
}

/// A part that arguments take or clone. It is there as long as an argument that uses it is to be extracted; see [`take_or_clone`].
#[allow(clippy::expect_used, reason = "arguments leave to later ones what those use")]
#[inline(always)]
pub(crate) fn kept<T>(part: &Option<T>) -> &T {
    part.as_ref().expect("an earlier argument has taken what this one uses")
}

/// Same as [`kept`], for an argument that takes it.
#[allow(clippy::expect_used, reason = "arguments leave to later ones what those use")]
#[inline(always)]
pub(crate) fn taken<T: Clone>(part: &mut Option<T>, used_later: bool) -> T {
    take_or_clone(part, used_later).expect("an earlier argument has taken what this one uses")
}

/// A socket, and what else there is.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "not for applications")]
pub struct SocketParts<S, C> {
    pub(crate) socket: Option<S>,
    pub(crate) content: C,
}

/// The parts of an event.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "not for applications")]
pub struct EventParts<P: Parser> {
    payload: Option<Payload>,
    ack: Option<Ack<P>>,
}

impl<P: Parser> Sealed for (Socket<P>,) {}
impl<P: Parser> Source for (Socket<P>,) {
    type Parts = SocketParts<Socket<P>, ()>;

    #[inline(always)]
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

impl<P: Parser> EventParts<P> {
    #[inline(always)]
    pub(crate) fn new(event: Event<P>) -> Self {
        let Event { payload, ack } = event;
        Self { payload: Some(payload), ack }
    }
}

impl<P: Parser> Sealed for (Socket<P>, DisconnectReason) {}
impl<P: Parser> Source for (Socket<P>, DisconnectReason) {
    type Parts = SocketParts<Socket<P>, DisconnectReason>;

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        SocketParts { socket: Some(self.0), content: self.1 }
    }
}

impl<P: Parser> Sealed for (Socket<P>, Transport) {}
impl<P: Parser> Source for (Socket<P>, Transport) {
    type Parts = SocketParts<Socket<P>, Transport>;

    #[inline]
    fn into_parts(self) -> Self::Parts {
        SocketParts { socket: Some(self.0), content: self.1 }
    }
}

impl<P: Parser> Sealed for (ConnectRequest<P>,) {}
impl<P: Parser> Source for (ConnectRequest<P>,) {
    type Parts = Option<ConnectRequest<P>>;

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        Some(self.0)
    }
}

impl<P: Parser> StateSource for (ConnectRequest<P>,) {
    fn states(parts: &Self::Parts) -> &States {
        &kept(parts).states
    }
}

impl<P: Parser> ClientSource for (ConnectRequest<P>,) {
    type Parser = P;

    fn client(parts: &Self::Parts) -> Client<'_, P> {
        let ConnectRequest { peer, auth, extensions, .. } = kept(parts);
        Client { peer, auth: auth.as_ref(), extensions }
    }
}

impl<P: Parser> Sealed for (HandlerFailure<P>,) {}
impl<P: Parser> Source for (HandlerFailure<P>,) {
    type Parts = FailureParts<P>;

    fn into_parts(self) -> Self::Parts {
        FailureParts { socket: self.0.socket.clone(), failure: Some(self.0) }
    }
}

impl<P: Parser> StateSource for (HandlerFailure<P>,) {
    fn states(parts: &Self::Parts) -> &States {
        &parts.socket.0.namespace.states
    }
}

impl<P: Parser> ClientSource for (HandlerFailure<P>,) {
    type Parser = P;

    fn client(parts: &Self::Parts) -> Client<'_, P> {
        Client::of(&parts.socket)
    }
}

impl<P: Parser> SocketSource for (HandlerFailure<P>,) {
    fn socket(parts: &Self::Parts) -> &Socket<P> {
        &parts.socket
    }

    fn take_socket(parts: &mut Self::Parts, _: bool) -> Socket<P> {
        parts.socket.clone()
    }
}

/// A failure of a handler.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "not for applications")]
pub struct FailureParts<P: Parser> {
    socket: Socket<P>,
    failure: Option<HandlerFailure<P>>,
}

/// The failure. A handler can take it once.
impl<P: Parser> Extract<(Self,)> for HandlerFailure<P> {
    type Error = &'static str;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<(Self,)>) -> Result<Self, &'static str> {
        input.parts.failure.take().ok_or("another argument has taken it")
    }
}

/// The kinds of handlers whose parts are [`SocketParts`].
macro_rules! socket_sources {
    ($($source:ty),*) => {$(
        impl<P: Parser> ClientSource for $source {
            type Parser = P;

            #[inline(always)]
            fn client(parts: &Self::Parts) -> Client<'_, P> {
                Client::of(kept(&parts.socket))
            }
        }

        impl<P: Parser> StateSource for $source {
            fn states(parts: &Self::Parts) -> &States {
                &kept(&parts.socket).0.namespace.states
            }
        }

        impl<P: Parser> SocketSource for $source {
            #[inline(always)]
            fn socket(parts: &Self::Parts) -> &Socket<P> {
                kept(&parts.socket)
            }

            #[inline(always)]
            fn take_socket(parts: &mut Self::Parts, used_later: bool) -> Socket<P> {
                taken(&mut parts.socket, used_later)
            }
        }
    )*};
}

socket_sources!((Socket<P>,), (Socket<P>, Event<P>), (Socket<P>, DisconnectReason), (Socket<P>, Transport));

impl<P: Parser, A: SocketSource<Parser = P>> Extract<A> for Socket<P> {
    type Error = Infallible;

    const USES: Uses = Uses::SUBJECT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(A::take_socket(&mut input.parts, input.later.contains(Uses::SUBJECT)))
    }
}

impl<P: Parser, A: SocketSource<Parser = P>> Extract<A> for Namespace<P> {
    type Error = Infallible;

    const USES: Uses = Uses::SUBJECT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(input.socket().namespace())
    }
}

/// The event, with the right to send the ack, unless another argument is for that.
impl<P: Parser, A: EventSource<Parser = P>> Extract<A> for Event<P> {
    type Error = Infallible;

    const USES: Uses = Uses::CONTENT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        let (later, content) = (input.later, A::event_mut(&mut input.parts));
        let ack = if later.contains(Uses::ACK) { None } else { content.ack.take() };
        Ok(Self { payload: taken(&mut content.payload, later.contains(Uses::CONTENT)), ack })
    }
}

impl<A: EventSource, T: DeserializeOwned> Extract<A> for Data<T> {
    type Error = ReadError;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, ReadError> {
        input.payload().read().map(Self)
    }
}

impl<A: EventSource, T: DeserializeOwned> Extract<A> for TryData<T> {
    type Error = Infallible;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(Self(input.payload().read()))
    }
}

impl<A: EventSource> Extract<A> for EventName {
    type Error = Infallible;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(Self(input.payload().name().unwrap_or_default().to_owned()))
    }
}

/// The arguments of the event as they were received.
impl<A: EventSource> Extract<A> for Payload {
    type Error = Infallible;

    const USES: Uses = Uses::CONTENT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        let used_later = input.later.contains(Uses::CONTENT);
        Ok(taken(&mut A::event_mut(&mut input.parts).payload, used_later))
    }
}

/// The right to send the ack. If the client did not request an ack, the handler is not started; use `Option<Ack>` to start it in any case.
impl<P: Parser, A: EventSource<Parser = P>> Extract<A> for Ack<P> {
    type Error = &'static str;

    const USES: Uses = Uses::ACK;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, &'static str> {
        input.take_ack().ok_or("the client does not wait for an ack, or another handler or argument has taken it")
    }
}

impl<P: Parser, A: EventSource<Parser = P>> Extract<A> for Option<Ack<P>> {
    type Error = Infallible;

    const USES: Uses = Uses::ACK;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(input.take_ack())
    }
}

impl<P: Parser> Extract<(Socket<P>, Self)> for DisconnectReason {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<(Socket<P>, Self)>) -> Result<Self, Infallible> {
        Ok(input.reason())
    }
}

impl<P: Parser> Extract<(Socket<P>, Self)> for Transport {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    #[inline]
    fn extract(input: &mut HandlerInput<(Socket<P>, Self)>) -> Result<Self, Infallible> {
        Ok(input.transport())
    }
}

impl<P: Parser> Extract<(Self,)> for ConnectRequest<P> {
    type Error = Infallible;

    const USES: Uses = Uses::SUBJECT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<(Self,)>) -> Result<Self, Infallible> {
        Ok(taken(&mut input.parts, input.later.contains(Uses::SUBJECT)))
    }
}

impl<A: ClientSource, T: DeserializeOwned> Extract<A> for Auth<T> {
    type Error = ReadError;

    const USES: Uses = Uses::SUBJECT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, ReadError> {
        read_auth(input.auth()).map(Self)
    }
}

impl<A: StateSource, T: Clone + Send + Sync + 'static> Extract<A> for State<T> {
    type Error = String;

    const USES: Uses = Uses::SUBJECT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, String> {
        input.state().cloned().map(Self).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            format!("there is no value of the type {name}: set one with ServerBuilder::state, or with the builder of the client")
        })
    }
}

impl<A: ClientSource, T: Send + Sync + 'static> Extract<A> for Extension<T> {
    type Error = String;

    const USES: Uses = Uses::SUBJECT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, String> {
        input.extension().map(Self).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            format!("no value of the type {name} is stored with the client: insert one in a middleware or with Socket::insert")
        })
    }
}

impl<A: ClientSource, T: Send + Sync + 'static> Extract<A> for Option<Extension<T>> {
    type Error = Infallible;

    const USES: Uses = Uses::SUBJECT;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Infallible> {
        Ok(input.extension().map(Extension))
    }
}

/// Implements `Deref` for extractors that wrap a value.
macro_rules! wrappers {
    ($($wrapper:ident),*) => {$(
        impl<T> Deref for $wrapper<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    )*};
}

wrappers!(Data, Auth, State, Extension);

impl<T> Clone for Extension<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Deref for EventName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
