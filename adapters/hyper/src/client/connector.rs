//! The requests and upgrades of one client.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Request, Response, header};
use http_body_util::Full;
use socketio_driver::Runtime;
use socketio_driver::client::{ConnectError, Connector, TlsFault, Upgraded};

use super::connection::Live;
use super::dial::Dial;
use super::pool::{Key, Pool};
use super::proxy::{Proxies, Way};
use super::switch::{Switched, switch};

/// The [`Connector`] of one client: HTTP/1.1 by hyper. Each client has its own, with the connections that it keeps.
pub struct HttpConnector<D: Dial, R> {
    shared: Arc<Shared<D, R>>,
}

struct Shared<D: Dial, R> {
    runtime: R,
    dial: Arc<D>,
    proxies: Proxies,
    pool: Pool<D::Io>,
}

impl<D: Dial, R: Runtime> HttpConnector<D, R> {
    /// Creates the connector of a client. Many clients may share one `dial`.
    pub fn new(runtime: R, dial: Arc<D>, proxies: Proxies) -> Self {
        Self { shared: Arc::new(Shared { runtime, dial, proxies, pool: Pool::new() }) }
    }
}

impl<D, R> Connector for HttpConnector<D, R>
where
    D: Dial,
    R: Runtime,
    R::Stream: From<D::Io>,
{
    type Stream = R::Stream;

    fn request(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> BoxFuture<'static, Result<Response<Bytes>, ConnectError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let host = request.uri().host().map(str::to_owned);
            // In a box, because futures keep several copies of what they pass on.
            let request = Box::new(request.map(Full::new));
            shared.request(request, max_body).await.map_err(|error| explained(error, host))
        })
    }

    fn upgrade(&self, request: Request<()>) -> BoxFuture<'static, Result<Upgraded<Self::Stream>, ConnectError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let host = request.uri().host().map(str::to_owned);
            shared.upgrade(request.map(|()| Full::default())).await.map_err(|error| explained(error, host))
        })
    }

    fn close_idle(&self) {
        self.shared.pool.clear();
    }
}

impl<D: Dial, R: Runtime> Shared<D, R> {
    async fn request(
        &self,
        mut request: Box<Request<Full<Bytes>>>,
        max_body: usize,
    ) -> Result<Response<Bytes>, ConnectError> {
        let uri = request.uri();
        let key = Key { scheme: uri.scheme().cloned(), authority: uri.authority().cloned() };
        loop {
            let (live, way, is_new) = match self.kept(&key).await {
                Some((live, way)) => (live, way, false),
                None => {
                    // In a box, so that a poll that is held needs no room for it.
                    let (live, way) = Box::pin(self.begin(request.uri())).await?;
                    (live, way, true)
                }
            };
            match self.exchange(live, way, &key, request, max_body).await {
                // Closed at the last moment. Nothing was sent, so the request may be sent again.
                Err((_, Some(unsent))) if !is_new => request = unsent,
                Err((error, _)) => return Err(error),
                Ok(response) => return Ok(response),
            }
        }
    }

    /// A kept connection that the server has not closed.
    async fn kept(&self, key: &Key) -> Option<(Live<D::Io>, Way)> {
        loop {
            let (mut live, way) = self.pool.take(key, self.runtime.now())?;
            if live.is_ready().await {
                return Some((live, way));
            }
        }
    }

    /// Opens a connection for requests.
    async fn begin(&self, uri: &Uri) -> Result<(Live<D::Io>, Way), ConnectError> {
        let (io, way) = self.open(uri, false).await?;
        Ok((Live::new(io).await?, way))
    }

    /// Makes a request on a connection, and keeps the connection if it can be used again. An error has the request, if nothing of it was
    /// sent.
    async fn exchange(
        &self,
        mut live: Live<D::Io>,
        way: Way,
        key: &Key,
        mut request: Box<Request<Full<Bytes>>>,
        max_body: usize,
    ) -> Result<Response<Bytes>, (ConnectError, Option<Box<Request<Full<Bytes>>>>)> {
        let uri = way.apply(&mut request);
        let failed = match live.send(request).await {
            Ok(response) => {
                way.check(response.status()).map_err(|error| (error, None))?;
                let (parts, body) = response.into_parts();
                let body = live.collect(body, max_body).await.map_err(|error| (error, None))?;
                if way.is_kept(&parts.headers) && live.is_ready().await {
                    self.pool.keep(key.clone(), live, way, self.runtime.now(), &parts.headers);
                }
                return Ok(Response::from_parts(parts, body));
            }
            Err(failed) => failed,
        };
        let unsent = failed.unsent.map(|mut request| {
            *request.uri_mut() = uri;
            Box::new(request)
        });
        Err((failed.error, unsent))
    }

    async fn upgrade(&self, mut request: Request<Full<Bytes>>) -> Result<Upgraded<R::Stream>, ConnectError>
    where
        R::Stream: From<D::Io>,
    {
        let (io, way) = self.open(request.uri(), true).await?;
        way.apply(&mut request);
        match switch(&self.runtime, io, request).await? {
            Switched::Yes(response, io, early) => Ok(Upgraded { response, stream: io.into(), early }),
            Switched::No(response) => Err(refused(&response)),
        }
    }

    /// Opens a connection for requests to this URI: directly or through a proxy, and with TLS if its scheme is `https`. `leaves` is whether
    /// it shall leave HTTP, so that a proxy must not read it.
    async fn open(&self, uri: &Uri, leaves: bool) -> Result<(D::Io, Way), ConnectError> {
        let invalid = |reason: &str| ConnectError::InvalidRequest { reason: format!("{reason}: {uri}") };
        let host = uri.host().ok_or_else(|| invalid("its URI has no host"))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let (io, way) = self.proxies.connect(&*self.dial, &self.runtime, uri, port, secure || leaves).await?;
        let io = if secure { self.dial.secure(io, unbracketed(host)).await? } else { io };
        Ok((io, way))
    }
}

/// A connection that was lost because of TLS failed because of TLS: a server of TLS 1.3 refuses a client after the handshake.
fn explained(error: ConnectError, host: Option<String>) -> ConnectError {
    let ConnectError::Lost { source } = error else { return error };
    let io = source.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.and_then(|error| error.get_ref()).and_then(|error| error.downcast_ref::<TlsFault>()) {
        Some(fault) => ConnectError::Tls { host: host.unwrap_or_default(), fault: *fault, source: Some(source) },
        None => ConnectError::Lost { source },
    }
}

/// The error for a response that refuses an upgrade.
fn refused(response: &Response<Bytes>) -> ConnectError {
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    ConnectError::Status {
        status: response.status().as_u16(),
        location: location.map(str::to_owned),
        body: response.body().clone(),
    }
}

/// The host of a URI as [`Dial`] takes it.
pub(super) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The target of a request that goes to the server itself.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

impl<D: Dial, R> fmt::Debug for HttpConnector<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnector").field("proxies", &self.shared.proxies).finish_non_exhaustive()
    }
}
