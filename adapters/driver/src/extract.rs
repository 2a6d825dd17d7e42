//! Extraction: the arguments of a handler, made of what it is started with.
//!
//! A value that only one argument uses is moved into it, so a handler of a socket and an event costs no clone. Which arguments use what is
//! known when the handler is compiled.

use std::fmt::{self, Display};

/// A type that can be an argument of a handler: it is made of `A`, what a handler of this kind is started with (see
/// [`Handler`](crate::Handler)).
///
/// Implement it for types of your own. [`ClientSource`](crate::ClientSource) is implemented for all kinds of handlers of a
/// [`Server`](crate::Server), and [`SocketSource`](crate::SocketSource) for those that have a socket:
///
/// ```
/// use std::sync::Arc;
///
/// use socketio_driver::{Data, Extract, HandlerInput, Server, Socket, SocketSource};
///
/// /// The user that the middleware has found.
/// struct User {
///     name: String,
/// }
///
/// /// The user of a socket. Handlers that take it are not started for guests.
/// struct CurrentUser(Arc<User>);
///
/// impl<A: SocketSource> Extract<A> for CurrentUser {
///     type Error = &'static str;
///
///     fn extract(input: &mut HandlerInput<A>) -> Result<Self, Self::Error> {
///         input.socket().get::<User>().map(Self).ok_or("a guest")
///     }
/// }
///
/// Server::new().on("say", async |socket: Socket, CurrentUser(user): CurrentUser, Data(text): Data<String>| {
///     socket.broadcast().emit("said", (&user.name, text))
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted from `{A}`, which handlers of this kind are started with",
    note = "`State<T>` needs `T: Clone + Send + Sync`, `Extension<T>` needs `T: Send + Sync`, `Data<T>`, `TryData<T>` and `Auth<T>` need \
            `T: DeserializeOwned`"
)]
pub trait Extract<A: Source>: Sized {
    /// The reason why a value cannot be extracted. It is logged, and the handler is not started.
    type Error: Display;

    /// The parts of the input that `extract` uses.
    #[doc(hidden)]
    const USES: Uses = Uses::UNKNOWN;

    /// Extracts the value.
    ///
    /// # Errors
    /// If the input does not contain it.
    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Self::Error>;
}

/// What handlers of one kind are started with: a tuple, of which every argument of the handler is made. The crate implements it; see
/// [`Handler`](crate::Handler).
pub trait Source: sealed::Sealed + Sized + 'static {
    /// The parts that arguments take or clone.
    #[doc(hidden)]
    type Parts;

    #[doc(hidden)]
    fn into_parts(self) -> Self::Parts;
}

pub(crate) mod sealed {
    /// Implemented for the sources of this crate only.
    pub trait Sealed {}
}

/// What a handler is started with, while its arguments are extracted from it.
pub struct HandlerInput<A: Source> {
    pub(crate) parts: A::Parts,
    /// What the arguments after the current one use.
    pub(crate) later: Uses,
}

/// Parts of a [`HandlerInput`].
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uses(u8);

impl Uses {
    pub(crate) const NOTHING: Self = Self(0);
    /// The socket, the request or the like.
    pub(crate) const SUBJECT: Self = Self(1);
    /// The payload or the like.
    pub(crate) const CONTENT: Self = Self(2);
    /// The right to send the ack, which an event leaves to an argument that is only for it.
    pub(crate) const ACK: Self = Self(4);
    /// An extractor of the application may use everything, but does not claim the ack.
    const UNKNOWN: Self = Self(1 | 2);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Says which argument could not be extracted.
#[cold]
pub(crate) fn not_extracted<T>(error: &impl Display) -> String {
    format!("its argument {} could not be extracted: {error}", short_name(std::any::type_name::<T>()))
}

/// The name of a type without its path: `Data<alloc::string::String>` of `socketio_driver::Data<alloc::string::String>`.
fn short_name(name: &str) -> &str {
    let end = name.find('<').unwrap_or(name.len());
    let start = name.get(..end).and_then(|path| path.rfind("::")).map_or(0, |at| at.saturating_add(2));
    name.get(start..).unwrap_or(name)
}

impl<A: Source> HandlerInput<A> {
    #[inline(always)]
    pub(crate) fn new(arguments: A) -> Self {
        Self { parts: arguments.into_parts(), later: Uses::NOTHING }
    }
}

impl<A: Source> fmt::Debug for HandlerInput<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerInput").finish_non_exhaustive()
    }
}

/// Takes a part, or clones it if an argument that comes later uses it.
#[inline(always)]
pub(crate) fn take_or_clone<T: Clone>(part: &mut Option<T>, used_later: bool) -> Option<T> {
    if used_later { part.clone() } else { part.take() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_path() {
        assert_eq!(short_name(std::any::type_name::<Option<String>>()), "Option<alloc::string::String>");
        assert_eq!(short_name("a::b::Data<c::D>"), "Data<c::D>");
        assert_eq!(short_name("u8"), "u8");
    }
}
