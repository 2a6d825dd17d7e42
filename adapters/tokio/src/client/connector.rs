//! The connector of a client: HTTP/1.1 and WebSockets by `socketio-hyper`, and WebTransport with its feature.

use std::sync::Arc;

use socketio_hyper::client::{HttpConnector, Proxies};

use super::Dialer;
use crate::runtime::Tokio;

#[cfg(not(feature = "webtransport"))]
pub(super) fn connector(dialer: Arc<Dialer>, proxies: Proxies) -> HttpConnector<Dialer, Tokio> {
    HttpConnector::new(Tokio, dialer, proxies)
}

#[cfg(feature = "webtransport")]
pub(super) use self::with_webtransport::connector;

#[cfg(feature = "webtransport")]
mod with_webtransport {
    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use http::{Request, Response};
    use socketio_driver::client::{ConnectError, Connector, Upgraded};

    use super::{Arc, Dialer, HttpConnector, Proxies, Tokio};
    use crate::runtime::Stream;

    /// Adds WebTransport to the connector of HTTP.
    pub(in crate::client) struct WithWebTransport {
        http: HttpConnector<Dialer, Tokio>,
        dialer: Arc<Dialer>,
    }

    pub(in crate::client) fn connector(dialer: Arc<Dialer>, proxies: Proxies) -> WithWebTransport {
        WithWebTransport { http: HttpConnector::new(Tokio, Arc::clone(&dialer), proxies), dialer }
    }

    impl Connector for WithWebTransport {
        type Stream = Stream;

        fn request(
            &self,
            request: Request<Bytes>,
            max_body: usize,
        ) -> BoxFuture<'static, Result<Response<Bytes>, ConnectError>> {
            self.http.request(request, max_body)
        }

        fn upgrade(&self, request: Request<()>) -> BoxFuture<'static, Result<Upgraded<Stream>, ConnectError>> {
            self.http.upgrade(request)
        }

        fn webtransport(&self, request: Request<()>) -> BoxFuture<'static, Result<Stream, ConnectError>> {
            let dialer = Arc::clone(&self.dialer);
            Box::pin(async move { dialer.webtransport(request).await })
        }

        fn close_idle(&self) {
            self.http.close_idle();
        }
    }
}
