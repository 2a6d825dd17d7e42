//! WebTransport sessions of a server, until an Engine.IO session has them: the request, the first packet, and the admission.
//!
//! A request says only which server it is for. Whether it opens a session or upgrades one is in the first packet on its stream (see
//! [`Incoming`]). What HTTP handshakes are checked for, the path, the origin and `allow_request`, is checked here as well.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;

use bytes::Bytes;
use engineio_proto::server::{Handshake, Incoming, IncomingOutcome, Refusal, SessionRequest};
use engineio_proto::{Response, Sid};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::StatusCode;
use http::request::Parts;

use crate::handshake;
use crate::http::{ErrorContext, NotAllowed};
use crate::hub::{Hub, ServerApplication};
use crate::link::read_chunk;
use crate::peer::HttpEvent;
use crate::runtime::Runtime;
use crate::server_task;
use crate::service::Service;
use crate::upgrade::Upgrade;

/// Marks the request of a WebTransport session, which has no query that names the revision of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverWebTransport;

impl<A: ServerApplication> Service<A> {
    /// Answers the request for a WebTransport session whose path matches. Returns once a session has its stream, or the stream was dropped.
    pub(crate) async fn webtransport<R, F>(
        &self,
        runtime: &R,
        mut parts: Parts,
        answer: impl FnOnce(Result<(), StatusCode>) -> F + Send,
    ) where
        R: Runtime,
        F: Future<Output = io::Result<R::Stream>> + Send,
    {
        parts.extensions.insert(OverWebTransport);
        self.settings.complete(&mut parts);
        if let Err((status, context)) = self.check_webtransport(&parts) {
            self.settings.report(&parts, context);
            self.count_refusal(status.as_u16(), b"Transport unknown");
            // Nothing is left to do, whether or not the refusal was sent.
            let _ = answer(Err(status)).await;
            return;
        }
        let hub = &self.hub;
        let now = hub.clock.now(runtime);
        let incoming = hub.server.incoming(now);
        let deadline = runtime.sleep(incoming.poll_timeout().map_or(hub.config().upgrade_timeout, |at| at - now));
        let first = pin!(first_packet(answer(Ok(())), incoming));
        let Either::Left((Ok((upgrade, outcome)), _)) = select(first, pin!(deadline)).await else {
            tracing::debug!("a WebTransport session ended, or sent no first packet in time");
            return;
        };
        let refusal = match outcome {
            IncomingOutcome::Open(handshake) => self.open_by_webtransport(runtime, &parts, handshake, upgrade).await,
            IncomingOutcome::Attach { sid, session_request } => {
                self.attach_webtransport(sid, session_request, upgrade).await
            }
            _ => {
                tracing::debug!("the first packet of a WebTransport session was not an open packet");
                return;
            }
        };
        if let Err(response) = refusal {
            if let Some(refusal) = response.refusal() {
                self.settings.report(&parts, ErrorContext::of(refusal));
            }
            self.count_refusal(response.status(), response.body());
        }
    }

    /// Counts and logs a refusal, as that of a request with this status.
    fn count_refusal(&self, status: u16, body: &[u8]) {
        let reason = self.hub.counters.request_refused(status, body);
        tracing::debug!(status, reason, "a WebTransport session was refused");
    }

    fn check_webtransport(&self, parts: &Parts) -> Result<(), (StatusCode, ErrorContext<'static>)> {
        if !self.hub.config().transports.webtransport {
            return Err((StatusCode::NOT_FOUND, ErrorContext::UnknownTransport));
        }
        if !self.settings.webtransport_origin_allowed(parts) {
            return Err((StatusCode::FORBIDDEN, ErrorContext::OriginNotAllowed));
        }
        if handshake::Handshake::length(parts) > self.settings.max_head {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorContext::HeadTooLarge));
        }
        Ok(())
    }

    /// Opens a session, which takes the stream.
    async fn open_by_webtransport<R: Runtime>(
        &self,
        runtime: &R,
        parts: &Parts,
        handshake: Handshake,
        upgrade: Upgrade<R::Stream>,
    ) -> Result<(), Response> {
        match self.settings.ask_user(parts).await {
            Ok(()) => {}
            Err(NotAllowed::Refused(message)) => {
                self.settings.report(parts, ErrorContext::Forbidden(&message));
                self.count_refusal(StatusCode::FORBIDDEN.as_u16(), message.as_bytes());
                return Ok(());
            }
            Err(NotAllowed::Busy) => return Err(handshake.refuse(Refusal::Unavailable)),
        }
        let shared = self.hub.application.shared(parts, self.hub.config());
        let peer = server_task::open(&self.hub, runtime, handshake, shared, || self.generate_id(parts))?;
        peer.push_http(HttpEvent::FirstLink { link: self.hub.link_id(), upgrade: upgrade.erase() });
        Ok(())
    }

    /// Passes the stream to the session that it is to upgrade.
    async fn attach_webtransport<S: Send + 'static>(
        &self,
        sid: Sid,
        session_request: SessionRequest,
        upgrade: Upgrade<S>,
    ) -> Result<(), Response> {
        let unknown = || Hub::<A>::unknown_sid(&session_request);
        let Some(peer) = self.hub.peer(&sid) else { return Err(unknown()) };
        let (admission, admitted) = oneshot::channel();
        let link = self.hub.link_id();
        let upgrade = upgrade.erase();
        if !peer.push_http(HttpEvent::Link { link, session_request, upgrade, admission }) {
            return Err(unknown());
        }
        admitted.await.unwrap_or_else(|_| Err(unknown()))
    }
}

/// Reads the stream until its first packet has arrived, and says what to do with it.
///
/// # Errors
/// If there is no stream, or it ends before.
async fn first_packet<S: crate::runtime::Stream>(
    stream: impl Future<Output = io::Result<S>>,
    mut incoming: Incoming,
) -> io::Result<(Upgrade<S>, IncomingOutcome)> {
    let mut stream = stream.await?;
    loop {
        if let Some(outcome) = incoming.poll() {
            return Ok((Upgrade::webtransport(stream, incoming.into_rest()), outcome));
        }
        let chunk: Bytes = poll_fn(|cx| read_chunk(&mut stream, cx)).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        incoming.handle(chunk);
    }
}
