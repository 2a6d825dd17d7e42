//! The arguments of handlers of an Engine.IO server.

use std::convert::Infallible;

use engineio_proto::server::Transport;
use engineio_proto::{CloseReason, Message};

use crate::engine::EngineSocket;
use crate::extract::sealed::Sealed;
use crate::extract::{Extract, HandlerInput, Source, Uses, take_or_clone};

impl Sealed for (EngineSocket,) {}
impl Source for (EngineSocket,) {
    type Parts = (Option<EngineSocket>, ());

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        (Some(self.0), ())
    }
}

impl Sealed for (EngineSocket, Message) {}
impl Source for (EngineSocket, Message) {
    type Parts = (Option<EngineSocket>, Option<Message>);

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        (Some(self.0), Some(self.1))
    }
}

impl Sealed for (EngineSocket, CloseReason) {}
impl Source for (EngineSocket, CloseReason) {
    type Parts = (Option<EngineSocket>, CloseReason);

    #[inline(always)]
    fn into_parts(self) -> Self::Parts {
        (Some(self.0), self.1)
    }
}

impl Sealed for (EngineSocket, Transport) {}
impl Source for (EngineSocket, Transport) {
    type Parts = (Option<EngineSocket>, Transport);

    #[inline]
    fn into_parts(self) -> Self::Parts {
        (Some(self.0), self.1)
    }
}

impl<T, A: Source<Parts = (Option<Self>, T)>> Extract<A> for EngineSocket {
    type Error = &'static str;

    const USES: Uses = Uses::SUBJECT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<A>) -> Result<Self, &'static str> {
        take_or_clone(&mut input.parts.0, input.later.contains(Uses::SUBJECT)).ok_or("it is not there")
    }
}

impl Extract<(EngineSocket, Self)> for Message {
    type Error = &'static str;

    const USES: Uses = Uses::CONTENT;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<(EngineSocket, Self)>) -> Result<Self, &'static str> {
        take_or_clone(&mut input.parts.1, input.later.contains(Uses::CONTENT)).ok_or("it is not there")
    }
}

impl Extract<(EngineSocket, Self)> for CloseReason {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    #[inline(always)]
    fn extract(input: &mut HandlerInput<(EngineSocket, Self)>) -> Result<Self, Infallible> {
        Ok(input.parts.1)
    }
}

impl Extract<(EngineSocket, Self)> for Transport {
    type Error = Infallible;

    const USES: Uses = Uses::NOTHING;

    #[inline]
    fn extract(input: &mut HandlerInput<(EngineSocket, Self)>) -> Result<Self, Infallible> {
        Ok(input.parts.1)
    }
}
