//! Events that more than the handler of their name may see: filters first, then observers (`on_any`), then the handlers of the socket and
//! of the namespace, or the handler of events that have none. Events of other sockets never come here.
//!
//! The stages of one event never wait for each other, with one exception: filters run one after the other. While one of them waits, no
//! further event of the connection is handled, so the order of events stays. The machine keeps them, up to its limits, and then stops
//! reading.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use socketio_proto::{AckToken, Parser, Payload};

use super::super::state::{AckHome, Event, FilterResult, HandlerKind, OwnHandlers, Socket, SocketInner};
use super::{JoinedSocket, Kind, Running, SocketIo, returned};
use crate::extract::HandlerInput;
use crate::handler::{Ended, poll_caught, run};
use crate::turn::Core;

/// An event whose filter waits.
pub(super) struct Held<P: Parser> {
    filtering: Filtering<P>,
    future: BoxFuture<'static, FilterResult<P>>,
}

/// An event that filters decide on.
struct Filtering<P: Parser> {
    member: JoinedSocket<P>,
    own: Option<Arc<OwnHandlers<P>>>,
    /// How many of the filters have run.
    passed: usize,
    /// The event as it was received, for its name.
    received: Payload,
    /// Where the ack goes if it is dropped unused.
    home: Option<Arc<AckHome>>,
}

impl<P: Parser> Held<P> {
    /// Whether the event was sent to this socket.
    pub(super) fn is_of(&self, socket: &Arc<SocketInner<P>>) -> bool {
        Arc::ptr_eq(&self.filtering.member.socket, socket)
    }

    /// Whether the event can still be handled: its socket has not left.
    pub(super) fn is_in_time(&self) -> bool {
        self.filtering.member.socket.is_connected()
    }
}

impl<P: Parser> SocketIo<P> {
    /// Handles an event of a socket that has more than handlers by name.
    #[cold]
    pub(super) fn received_in_stages(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        member: JoinedSocket<P>,
        payload: Payload,
        token: Option<AckToken>,
    ) {
        if core.local.held.as_ref().is_some_and(|held| held.is_of(&member.socket)) {
            // The connection is closed, or the machine would have kept the event. It must not overtake the one that is held.
            return;
        }
        let received = payload.clone();
        let mut home = None;
        let ack = token.map(|token| member.ack(token, &mut home));
        let own = member.socket.own();
        let filtering = Filtering { member, own, passed: 0, received, home };
        self.filter(core, cx, filtering, Event::new(payload, ack));
    }

    /// Runs the filters that have not run yet: those of the namespace, then those of the socket. Delivers the event at the end, unless
    /// one of them drops it or waits.
    fn filter(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        mut filtering: Filtering<P>,
        mut event: Event<P>,
    ) {
        loop {
            let Filtering { member, own, passed, .. } = &mut filtering;
            let own = own.as_ref().map_or(&[][..], |own| &own.filters);
            let Some(filter) = member.handlers.filters.iter().chain(own).nth(*passed).cloned() else { break };
            *passed = passed.saturating_add(1);
            let socket = Socket(Arc::clone(&member.socket));
            match run(cx, || filter(&mut HandlerInput::new((socket, event)))) {
                Ok(Ended::Returned(Ok(Some(passed)))) if member.socket.is_connected() => event = passed,
                Ok(ended) => return filtered(core, cx, filtering, ended),
                // If there is another one already, its socket has left.
                Err(future) => return core.local.held = Some(Box::new(Held { filtering, future })),
            }
        }
        let Filtering { member, home, .. } = filtering;
        deliver(core, cx, &member, event, home);
    }

    /// Polls the filter that waits. Returns whether it has ended.
    #[cold]
    pub(super) fn filter_held(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>) -> bool {
        let Some(held) = &mut core.local.held else { return false };
        let Poll::Ready(ended) = poll_caught(&mut held.future, cx) else { return false };
        let Some(held) = core.local.held.take() else { return false };
        let Held { filtering, future } = *held;
        // An ack that it has kept goes home first.
        drop(future);
        match ended {
            Ended::Returned(Ok(Some(event))) if filtering.member.socket.is_connected() => {
                self.filter(core, cx, filtering, event);
            }
            ended => filtered(core, cx, filtering, ended),
        }
        true
    }
}

/// A filter has not passed the event on.
fn filtered<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    cx: &mut Context<'_>,
    filtering: Filtering<P>,
    ended: Ended<FilterResult<P>>,
) {
    let ended = match ended {
        // Dropped, or the socket has left meanwhile.
        Ended::Returned(Ok(_)) => return,
        Ended::Returned(Err(error)) => Ended::Returned(Err(error)),
        Ended::NotStarted(error) => Ended::NotStarted(error),
        Ended::Panicked(panic) => Ended::Panicked(panic),
    };
    let Filtering { member, received, home, .. } = filtering;
    let kind = Kind::Staged(HandlerKind::Filter, received.name().unwrap_or_default().into());
    returned(core, cx, Running { member, kind, home }, ended);
}

/// Starts all handlers of an event. The first one that is not an observer gets the ack; without such a handler, the first observer.
fn deliver<P: Parser>(
    core: &mut Core<'_, SocketIo<P>>,
    cx: &mut Context<'_>,
    member: &JoinedSocket<P>,
    event: Event<P>,
    mut home: Option<Arc<AckHome>>,
) {
    // Again: a filter may have set handlers.
    let own = member.socket.own();
    let observers = own.and_then(|own| own.any.clone()).into_iter().chain(member.handlers.any.clone());
    let mut handlers: Vec<_> = observers.map(|handler| (HandlerKind::Any, handler)).collect();
    let observers = handlers.len();
    handlers.extend(member.socket.own_handlers(event.name()).into_iter().map(|own| (HandlerKind::Event, own)));
    handlers.extend(member.handlers.event_in_stages(event.name()).map(|handler| (HandlerKind::Event, handler)));
    if handlers.len() == observers
        && let Some(unhandled) = &member.handlers.unhandled
    {
        handlers.push((HandlerKind::Unhandled, Arc::clone(unhandled)));
    }
    let answers = if handlers.len() == observers { 0 } else { observers };
    let (payload, mut ack) = event.into_parts();
    if handlers.is_empty() {
        return member.keep((payload, ack.and_then(super::Ack::into_token)));
    }
    let bytes = payload.size();
    // The events that a closed connection has left are handled, too.
    let was_closed = core.machine.session().is_closed();
    for (index, (kind, handler)) in handlers.into_iter().enumerate() {
        // An earlier handler may have panicked or disconnected the socket.
        if core.machine.session().is_closed() != was_closed || !member.socket.is_connected() {
            return;
        }
        let (ack, home) = if index == answers { (ack.take(), home.take()) } else { (None, None) };
        let arguments = (Socket(Arc::clone(&member.socket)), Event::new(payload.clone(), ack));
        let outcome = run(cx, || handler(&mut HandlerInput::new(arguments)));
        if let Ok(Ended::Returned(Ok(()))) = outcome {
            continue;
        }
        let kind = Kind::Staged(kind, payload.name().unwrap_or_default().into());
        let running = Running { member: member.clone(), kind, home };
        match outcome {
            Ok(ended) => returned(core, cx, running, ended),
            Err(future) => core.local.waiting.add(running, bytes, future),
        }
    }
}
