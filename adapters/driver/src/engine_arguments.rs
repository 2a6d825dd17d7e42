//! The arguments of handlers of Engine.IO servers and clients.

use std::convert::Infallible;

use engineio_proto::server::Transport;
use engineio_proto::{CloseReason, Message};

use crate::client::EngineClient;
use crate::engine::EngineSocket;
use crate::extract::sealed::Sealed;
use crate::extract::{Extract, HandlerInput, Source, Uses, take_or_clone};

/// The handlers of one end.
macro_rules! engine_sources {
    ($subject:ty) => {
        impl Sealed for ($subject,) {}
        impl Source for ($subject,) {
            type Parts = (Option<$subject>, ());

            #[inline(always)]
            fn into_parts(self) -> Self::Parts {
                (Some(self.0), ())
            }
        }

        impl Sealed for ($subject, Message) {}
        impl Source for ($subject, Message) {
            type Parts = (Option<$subject>, Option<Message>);

            #[inline(always)]
            fn into_parts(self) -> Self::Parts {
                (Some(self.0), Some(self.1))
            }
        }

        impl Sealed for ($subject, CloseReason) {}
        impl Source for ($subject, CloseReason) {
            type Parts = (Option<$subject>, CloseReason);

            #[inline(always)]
            fn into_parts(self) -> Self::Parts {
                (Some(self.0), self.1)
            }
        }

        impl Sealed for ($subject, Transport) {}
        impl Source for ($subject, Transport) {
            type Parts = (Option<$subject>, Transport);

            #[inline]
            fn into_parts(self) -> Self::Parts {
                (Some(self.0), self.1)
            }
        }

        impl<T, A: Source<Parts = (Option<Self>, T)>> Extract<A> for $subject {
            type Error = &'static str;

            const USES: Uses = Uses::SUBJECT;

            #[inline(always)]
            fn extract(input: &mut HandlerInput<A>) -> Result<Self, &'static str> {
                take_or_clone(&mut input.parts.0, input.later.contains(Uses::SUBJECT)).ok_or("it is not there")
            }
        }

        impl Extract<($subject, Self)> for Message {
            type Error = &'static str;

            const USES: Uses = Uses::CONTENT;

            #[inline(always)]
            fn extract(input: &mut HandlerInput<($subject, Self)>) -> Result<Self, &'static str> {
                take_or_clone(&mut input.parts.1, input.later.contains(Uses::CONTENT)).ok_or("it is not there")
            }
        }

        impl Extract<($subject, Self)> for CloseReason {
            type Error = Infallible;

            const USES: Uses = Uses::NOTHING;

            #[inline(always)]
            fn extract(input: &mut HandlerInput<($subject, Self)>) -> Result<Self, Infallible> {
                Ok(input.parts.1)
            }
        }

        impl Extract<($subject, Self)> for Transport {
            type Error = Infallible;

            const USES: Uses = Uses::NOTHING;

            #[inline]
            fn extract(input: &mut HandlerInput<($subject, Self)>) -> Result<Self, Infallible> {
                Ok(input.parts.1)
            }
        }
    };
}

engine_sources!(EngineSocket);
engine_sources!(EngineClient);
