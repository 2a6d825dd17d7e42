//! The requests and WebSockets of one client.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use engineio_proto::ContentType;
use engineio_proto::client::Method;
use engineio_websocket::handshake::{ClientHandshake, Deflate};
use futures_util::future::BoxFuture;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Scheme, Uri};

use super::connector::Connector;
use super::cookies::CookieJar;
use super::error::ConnectError;
use super::target::Target;
use crate::sync::lock;

/// The default of [`HttpClient::with_max_body`], as that of the machine.
const MAX_BODY: usize = 100_000_000;

/// What the client calls itself, unless the application sets the header.
const USER_AGENT: &str = concat!("socketio-rust/", env!("CARGO_PKG_VERSION"));

/// The requests and WebSockets of one client. It adds to those of the machine what the machine does not know: URL, headers, cookies,
/// compression, and the WebSocket handshake. A [`Connector`] makes them.
pub struct HttpClient<C> {
    connector: C,
    target: Target,
    headers: HeaderMap,
    cookies: Option<Arc<Mutex<CookieJar>>>,
    protocols: Vec<String>,
    deflate: bool,
    #[cfg(feature = "compression")]
    compression: bool,
    max_body: usize,
}

/// A WebSocket after its handshake.
pub struct ConnectedWebSocket<S> {
    /// The connection.
    pub stream: S,
    /// The bytes that were read beyond the response: they come before those of the stream.
    pub early: Bytes,
    /// The subprotocol that the server has chosen, if any were offered.
    pub protocol: Option<String>,
    /// The terms of permessage-deflate, if the server has accepted it.
    pub deflate: Option<Deflate>,
    /// The headers of the response.
    pub headers: HeaderMap,
}

impl<C: Connector> HttpClient<C> {
    /// Creates the client of a server, without cookies, extra headers, compression, subprotocols and permessage-deflate.
    pub fn new(connector: C, target: Target) -> Self {
        Self {
            connector,
            target,
            headers: HeaderMap::new(),
            cookies: None,
            protocols: Vec::new(),
            deflate: false,
            #[cfg(feature = "compression")]
            compression: false,
            max_body: MAX_BODY,
        }
    }

    /// Sends these headers with every request (`extraHeaders`). Those that belong to HTTP and to the WebSocket handshake are replaced.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Keeps the cookies that the server sets, and sends them with every request and WebSocket (`withCredentials`). A load balancer
    /// that keeps a session on one server by a cookie needs this. They stay when the client connects again.
    #[must_use]
    pub fn with_cookies(mut self, cookies: CookieJar) -> Self {
        self.cookies = Some(Arc::new(Mutex::new(cookies)));
        self
    }

    /// Offers these subprotocols for a WebSocket, in order of preference. The server must then choose one of them, as with the
    /// reference's client on Node.js and in browsers.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Vec<String>) -> Self {
        self.protocols = protocols;
        self
    }

    /// Offers permessage-deflate for WebSockets.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, offer: bool) -> Self {
        self.deflate = offer;
        self
    }

    /// Accepts compressed responses (`Accept-Encoding: gzip, deflate`). Does not affect WebSockets.
    #[cfg(feature = "compression")]
    #[must_use]
    pub fn with_compression(mut self, accept: bool) -> Self {
        self.compression = accept;
        self
    }

    /// The largest body of a response in bytes, as received and after it was inflated. Default: 100 000 000, as `max_payload` of the
    /// machine.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Makes a request of the machine. `query` is the protocol's part of the query. Redirects are not followed, so credentials go to no
    /// other server.
    ///
    /// Dropping the future aborts the request, and closes its connection.
    ///
    /// # Errors
    /// Fails if there is no complete response. A response with any status is a success.
    pub fn request(
        &self,
        method: Method,
        query: &str,
    ) -> BoxFuture<'static, Result<http::Response<Bytes>, ConnectError>> {
        let request = match self.build(query) {
            Ok(request) => request,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (mut parts, ()) = request.into_parts();
        let body = match method {
            Method::Post { body, content_type } => {
                parts.method = http::Method::POST;
                let value = match content_type {
                    ContentType::Text => "text/plain;charset=UTF-8",
                    ContentType::OctetStream => "application/octet-stream",
                };
                parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
                body
            }
            _ => Bytes::new(),
        };
        #[cfg(feature = "compression")]
        if self.compression {
            parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(super::inflate::ACCEPTED));
        }
        let limit = self.max_body;
        let response = self.connector.request(http::Request::from_parts(parts, body), limit);
        let cookies = self.cookies.clone();
        Box::pin(async move {
            let response = response.await?;
            keep(cookies.as_deref(), response.headers());
            decoded(response, limit)
        })
    }

    /// Connects a WebSocket. `query` is the protocol's part of the query.
    ///
    /// Dropping the future aborts it, and closes the connection.
    ///
    /// # Errors
    /// Fails if there is no connection, or if the server refuses the WebSocket or answers wrongly.
    pub fn connect_websocket(
        &self,
        query: &str,
    ) -> BoxFuture<'static, Result<ConnectedWebSocket<C::Stream>, ConnectError>> {
        let protocols = self.protocols.clone();
        let offers_deflate = self.deflate;
        let prepared = self.build(query).and_then(|mut request| {
            let mut random = [0; 16];
            getrandom::fill(&mut random)
                .map_err(|error| invalid(format!("the operating system has no randomness: {error}")))?;
            add_handshake(request.headers_mut(), random, &protocols, offers_deflate)?;
            Ok((request, random))
        });
        let (request, random) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let upgraded = self.connector.upgrade(request);
        let cookies = self.cookies.clone();
        Box::pin(async move {
            let upgraded = upgraded.await?;
            let (parts, ()) = upgraded.response.into_parts();
            keep(cookies.as_deref(), &parts.headers);
            let names: Vec<&str> = protocols.iter().map(String::as_str).collect();
            let handshake = handshake(random, &names, offers_deflate);
            let fields = || parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let protocol = handshake.check(parts.status.as_u16(), fields())?.map(str::to_owned);
            let deflate = handshake.deflate(fields());
            Ok(ConnectedWebSocket {
                stream: upgraded.stream,
                early: upgraded.early,
                protocol,
                deflate,
                headers: parts.headers,
            })
        })
    }

    /// Opens a WebTransport session and its stream. The URL is that of the server, with the application's part of the query only: the
    /// first packet on the stream says the rest. Its scheme is always `https`.
    ///
    /// Dropping the future aborts it, and closes the session.
    ///
    /// # Errors
    /// Fails if there is no connection, if the server refuses the session, or if the adapter has no WebTransport.
    pub fn connect_webtransport(&self) -> BoxFuture<'static, Result<C::Stream, ConnectError>> {
        let secure = |mut request: http::Request<()>| {
            let mut parts = request.uri().clone().into_parts();
            parts.scheme = Some(Scheme::HTTPS);
            *request.uri_mut() = Uri::from_parts(parts).map_err(|error| invalid(error.to_string()))?;
            Ok(request)
        };
        match self.build("").and_then(secure) {
            Ok(request) => self.connector.webtransport(request),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Closes connections that are kept for further requests. Call it when the session travels on a link: it makes no requests any more.
    pub fn close_idle(&self) {
        self.connector.close_idle();
    }

    /// A GET with everything that all requests have.
    fn build(&self, query: &str) -> Result<http::Request<()>, ConnectError> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.target.uri(query).map_err(|error| invalid(error.to_string()))?;
        let headers = request.headers_mut();
        headers.reserve(self.headers.len().saturating_add(8));
        // hyper writes headers in this order, and some servers expect `Host` first.
        let host = HeaderValue::from_str(self.target.host()).map_err(|error| invalid(error.to_string()))?;
        headers.insert(header::HOST, host);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = self.target.authorization() {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        headers.extend(self.headers.clone());
        // These would make another request of it.
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::TE]
        {
            headers.remove(name);
        }
        if let Some(cookies) = &self.cookies {
            let cookie = lock(cookies).header(SystemTime::now(), headers.get(header::COOKIE));
            cookie.map(|cookie| headers.insert(header::COOKIE, cookie));
        }
        Ok(request)
    }
}

/// Keeps the cookies of a response.
fn keep(cookies: Option<&Mutex<CookieJar>>, headers: &HeaderMap) {
    if let Some(cookies) = cookies
        && headers.contains_key(header::SET_COOKIE)
    {
        lock(cookies).store(SystemTime::now(), headers);
    }
}

/// Inflates the body of a response, if it is compressed.
fn decoded(response: http::Response<Bytes>, limit: usize) -> Result<http::Response<Bytes>, ConnectError> {
    let Some(coding) = response.headers().get(header::CONTENT_ENCODING) else { return Ok(response) };
    if coding.as_bytes().eq_ignore_ascii_case(b"identity") {
        return Ok(response);
    }
    let coding = String::from_utf8_lossy(coding.as_bytes()).into_owned();
    inflated(&coding, response, limit)
}

#[cfg(feature = "compression")]
fn inflated(
    coding: &str,
    response: http::Response<Bytes>,
    limit: usize,
) -> Result<http::Response<Bytes>, ConnectError> {
    let (parts, body) = response.into_parts();
    Ok(http::Response::from_parts(parts, super::inflate::inflate(coding, &body, limit)?))
}

#[cfg(not(feature = "compression"))]
fn inflated(coding: &str, _: http::Response<Bytes>, _: usize) -> Result<http::Response<Bytes>, ConnectError> {
    Err(ConnectError::Coding { coding: coding.to_owned() })
}

fn handshake<'a>(random: [u8; 16], protocols: &'a [&'a str], deflate: bool) -> ClientHandshake<'a> {
    let handshake = ClientHandshake::new(random).with_protocols(protocols);
    if deflate { handshake.with_deflate() } else { handshake }
}

/// Adds the headers of the WebSocket handshake.
fn add_handshake(
    headers: &mut HeaderMap,
    random: [u8; 16],
    protocols: &[String],
    deflate: bool,
) -> Result<(), ConnectError> {
    // The client decides what it offers, not the application's headers.
    for name in [header::SEC_WEBSOCKET_EXTENSIONS, header::SEC_WEBSOCKET_PROTOCOL, header::SEC_WEBSOCKET_ACCEPT] {
        headers.remove(name);
    }
    let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
    for (name, value) in handshake(random, &protocols, deflate).headers() {
        let (Ok(field), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else {
            return Err(invalid(format!("a value of {name} is not allowed in a header")));
        };
        headers.insert(field, value);
    }
    Ok(())
}

fn invalid(reason: String) -> ConnectError {
    ConnectError::InvalidRequest { reason }
}

impl<C> fmt::Debug for HttpClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("target", &self.target)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for ConnectedWebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectedWebSocket")
            .field("early", &self.early.len())
            .field("protocol", &self.protocol)
            .field("deflate", &self.deflate)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
