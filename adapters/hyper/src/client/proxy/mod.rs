//! Which proxy a connection takes, and the way through it.
//!
//! The rules of the environment variables are those of `hyper-util`. Its `Tunnel` and `SocksV5` are not used: they do not tell the status or the
//! reason of a refusal apart, and need tokio.

mod socks5;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{CONNECTION, HOST, HeaderMap, PROXY_AUTHORIZATION};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::rt::{Read, Write};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use socketio_driver::Runtime;
use socketio_driver::client::{ConnectError, ProxyFault};

use super::connector::{origin_form, unbracketed};
use super::dial::Dial;
use super::switch::{Switched, switch};

/// The environment variables that have the URLs of proxies.
const VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// How long a proxy may take to connect to a server, beside the time to connect to the proxy.
const HANDSHAKE_TIME: Duration = Duration::from_secs(20);

/// The schemes of proxies.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// Through which proxies connections go. Without any, they go to the server directly.
///
/// The URL of a proxy is `scheme://user:password@host:port`, with these schemes:
///
/// | scheme | how | default port |
/// |---|---|---|
/// | `http` | `CONNECT` for `https`, `wss` and `ws`. Requests to `http` servers are made by the proxy itself, as most proxies allow `CONNECT` only to port 443. `Basic` authorization | 80 |
/// | `https` | the same, over TLS to the proxy | 443 |
/// | `socks5`, `socks5h` | SOCKS 5 (RFC 1928, 1929). The proxy resolves the names of servers, with both schemes | 1080 |
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// The URL of a proxy cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the proxy of {origin} is not valid: use `http`, `https`, `socks5` or `socks5h`, as in `http://user:password@host:3128`"
)]
pub struct InvalidProxy {
    /// The environment variable, or "this client". The URL may have a password, so it is not shown.
    origin: &'static str,
}

impl Proxies {
    /// No proxies.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// This proxy for all servers, except for those of `exceptions`, which is a list as in `NO_PROXY`: host names, which stand for their
    /// subdomains as well, IP addresses and networks, separated by commas.
    ///
    /// # Errors
    /// Fails if the URL is not valid, or has another scheme.
    pub fn all(url: &str, exceptions: &str) -> Result<Self, InvalidProxy> {
        check("this client", url)?;
        Ok(Self(Some(Arc::new(Matcher::builder().all(url).no(exceptions).build()))))
    }

    /// The proxies of the environment: `HTTP_PROXY` for `http` and `ws`, `HTTPS_PROXY` for `https` and `wss`, `ALL_PROXY` for what has no
    /// variable of its own, and `NO_PROXY` for exceptions. Names in lower case count if those in upper case are not set. In a CGI script,
    /// they are ignored, because clients set `HTTP_PROXY` there.
    ///
    /// # Errors
    /// Fails if one of them is not the URL of a proxy: connecting directly instead could be a surprise.
    pub fn from_environment() -> Result<Self, InvalidProxy> {
        for variable in VARIABLES {
            if let Ok(url) = std::env::var(variable)
                && !url.is_empty()
            {
                check(variable, &url)?;
            }
        }
        Ok(Self(Some(Arc::new(Matcher::from_env()))))
    }

    /// Connects to the host and port of this URI. `tunnel` is whether only bytes may go through the proxy, and no requests.
    pub(super) async fn connect<D: Dial>(
        &self,
        dial: &D,
        runtime: &impl Runtime,
        uri: &Uri,
        port: u16,
        tunnel: bool,
    ) -> Result<(D::Io, Way), ConnectError> {
        let host = uri.host().unwrap_or_default();
        let matcher = self.0.as_ref().filter(|_| !dial.is_fixed());
        let Some(proxy) = matcher.and_then(|matcher| matcher.intercept(uri)) else {
            return Ok((dial.connect(unbracketed(host), port).await?, Way::Direct));
        };
        let proxy = Proxy::new(proxy);
        let io = proxy.reach(dial).await?;
        if !tunnel && !proxy.is_socks {
            return Ok((io, Way::Absolute { user: proxy.intercept.basic_auth().cloned(), proxy: proxy.name }));
        }
        let patience = pin!(runtime.sleep(HANDSHAKE_TIME));
        let io = match select(pin!(proxy.tunnel(runtime, io, host, port)), patience).await {
            Either::Left((io, _)) => io?,
            Either::Right(_) => return Err(proxy.error(ProxyFault::TimedOut, None)),
        };
        Ok((io, Way::Direct))
    }
}

/// A proxy that a connection takes.
struct Proxy {
    intercept: Intercept,
    port: u16,
    is_socks: bool,
    /// Host and port, for errors.
    name: String,
}

impl Proxy {
    fn new(intercept: Intercept) -> Self {
        let uri = intercept.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let is_socks = scheme.starts_with("socks");
        let default_port = match scheme {
            "https" => 443,
            _ if is_socks => 1080,
            _ => 80,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let name = format!("{}:{port}", uri.host().unwrap_or_default());
        Self { intercept, port, is_socks, name }
    }

    fn error(&self, fault: ProxyFault, source: Option<ConnectError>) -> ConnectError {
        ConnectError::Proxy { proxy: self.name.clone(), fault, source: source.map(Into::into) }
    }

    /// Connects to the proxy.
    async fn reach<D: Dial>(&self, dial: &D) -> Result<D::Io, ConnectError> {
        let unreachable = |error| self.error(ProxyFault::Unreachable, Some(error));
        let uri = self.intercept.uri();
        let host = unbracketed(uri.host().unwrap_or_default());
        let io = dial.connect(host, self.port).await.map_err(unreachable)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(io);
        }
        dial.secure_proxy(io, host).await.map_err(unreachable)
    }

    /// Has the proxy connect to a server.
    async fn tunnel<I: Read + Write + Unpin>(
        &self,
        runtime: &impl Runtime,
        mut io: I,
        host: &str,
        port: u16,
    ) -> Result<I, ConnectError> {
        let broken = |error| self.error(ProxyFault::InvalidAnswer, Some(error));
        if self.is_socks {
            let connected = socks5::connect(&mut io, self.intercept.raw_auth(), unbracketed(host), port).await;
            return connected.map(|()| io).map_err(|refused| match refused {
                socks5::Refused::Fault(fault) => self.error(fault, None),
                socks5::Refused::Io(error) => broken(ConnectError::Lost { source: error.into() }),
            });
        }
        let fault = match switch(runtime, io, connect_request(&self.intercept, host, port)?).await.map_err(broken)? {
            Switched::Yes(_, io, early) if early.is_empty() => return Ok(io),
            // The server does not speak first, so these bytes are not the server's.
            Switched::Yes(..) => ProxyFault::InvalidAnswer,
            // Some proxies answer a wrong password with 401, which cannot come from the server here.
            Switched::No(response) if [401, 407].contains(&response.status().as_u16()) => {
                ProxyFault::AuthenticationRequired
            }
            Switched::No(response) => ProxyFault::Status(response.status().as_u16()),
        };
        Err(self.error(fault, None))
    }
}

/// `CONNECT host:port`.
fn connect_request(proxy: &Intercept, host: &str, port: u16) -> Result<Request<Full<Bytes>>, ConnectError> {
    let invalid = || ConnectError::InvalidRequest { reason: format!("the host {host} is not valid") };
    let place = format!("{host}:{port}");
    let authority: Authority = place.parse().map_err(|_| invalid())?;
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from(authority);
    request.headers_mut().insert(HOST, HeaderValue::try_from(place).map_err(|_| invalid())?);
    if let Some(user) = proxy.basic_auth() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, user.clone());
    }
    Ok(request)
}

fn check(origin: &'static str, url: &str) -> Result<(), InvalidProxy> {
    let proxy = Matcher::builder().all(url).build().intercept(&Uri::from_static("http://server.invalid/"));
    let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str()).unwrap_or_default();
    if SCHEMES.contains(&scheme) { Ok(()) } else { Err(InvalidProxy { origin }) }
}

/// What a request needs on a connection.
#[derive(Clone)]
pub(super) enum Way {
    /// The connection leads to the server.
    Direct,
    /// The connection leads to a proxy that makes the request, if it has this authorization.
    Absolute {
        user: Option<HeaderValue>,
        /// The host and port of the proxy.
        proxy: String,
    },
}

impl Way {
    /// Makes the request one for this connection. Returns its URI as it was.
    pub(super) fn apply(&self, request: &mut Request<Full<Bytes>>) -> Uri {
        let uri = request.uri().clone();
        match self {
            Self::Direct => *request.uri_mut() = origin_form(&uri),
            Self::Absolute { user, .. } => {
                if let Some(user) = user {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, user.clone());
                }
            }
        }
        uri
    }

    /// Whether the connection may be kept after a response with these headers. Some proxies, tinyproxy for one, close it after each
    /// response and do not say so, and a request that is sent meanwhile is lost. So a proxy has to say that it keeps it.
    pub(super) fn is_kept(&self, headers: &HeaderMap) -> bool {
        let keeps = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|list| list.split(',').any(|token| token.trim().eq_ignore_ascii_case("keep-alive")))
        };
        match self {
            Self::Direct => true,
            Self::Absolute { .. } => {
                headers.get_all(CONNECTION).iter().chain(headers.get_all("proxy-connection")).any(keeps)
            }
        }
    }

    /// Fails if a response with this status is the proxy's own.
    pub(super) fn check(&self, status: StatusCode) -> Result<(), ConnectError> {
        match self {
            Self::Absolute { proxy, .. } if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let (proxy, fault) = (proxy.clone(), ProxyFault::AuthenticationRequired);
                Err(ConnectError::Proxy { proxy, fault, source: None })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The matcher does not show users and passwords.
        f.debug_tuple("Proxies").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(proxies: &Proxies, uri: &str) -> Option<String> {
        let intercept = proxies.0.as_ref()?.intercept(&uri.parse().unwrap())?;
        Some(intercept.uri().to_string())
    }

    #[test]
    fn exceptions_are_names_with_their_subdomains_addresses_and_networks() {
        let proxies = Proxies::all("http://proxy:3128", "example.com, 10.0.0.0/8, ::1,.dotted.org").unwrap();
        for direct in [
            "http://example.com",
            "https://a.b.example.com",
            "http://10.1.2.3",
            "http://[::1]:80",
            "http://a.dotted.org",
        ] {
            assert_eq!(proxy_of(&proxies, direct), None, "{direct}");
        }
        for proxied in ["http://notexample.com", "https://11.1.2.3", "http://[::2]"] {
            assert_eq!(proxy_of(&proxies, proxied).as_deref(), Some("http://proxy:3128/"), "{proxied}");
        }
        assert_eq!(proxy_of(&Proxies::none(), "http://host"), None);
        assert_eq!(proxy_of(&Proxies::all("http://proxy", "*").unwrap(), "http://host"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_and_no_password_is_shown() {
        for url in ["", "ftp://host", "socks4://host", "http://", "user:pass phrase@host"] {
            let error = Proxies::all(url, "").unwrap_err().to_string();
            assert!(!error.contains("phrase"), "{error}");
        }
        for url in
            ["host:3128", "http://user:secret@host", "https://host", "socks5://host", "socks5h://u:secret@host:1080"]
        {
            let proxies = Proxies::all(url, "").unwrap();
            assert!(!format!("{proxies:?}").contains("secret"), "{proxies:?}");
        }
    }

    #[test]
    fn a_proxy_that_makes_requests_has_to_say_that_it_keeps_the_connection() {
        let proxy = Way::Absolute { user: None, proxy: "proxy:3128".to_owned() };
        let kept = |name: &'static str, value| {
            proxy.is_kept(&HeaderMap::from_iter([(
                http::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        assert!(kept("connection", "Keep-Alive") && kept("proxy-connection", "x, keep-alive"));
        assert!(!kept("connection", "close") && !kept("via", "keep-alive") && !proxy.is_kept(&HeaderMap::new()));
        assert!(Way::Direct.is_kept(&HeaderMap::new()), "HTTP/1.1 keeps it unless it says `close`");
    }

    /// The environment of this process cannot be changed safely, so this test runs itself once more with another one.
    #[test]
    fn the_variables_of_the_environment_count_in_both_cases_and_invalid_ones_are_refused() {
        const INNER: &str = "PROXIES_OF_THIS_ENVIRONMENT";
        if let Ok(expected) = std::env::var(INNER) {
            let found = match Proxies::from_environment() {
                Ok(proxies) => ["http://plain", "https://secure", "http://is.here"]
                    .map(|uri| proxy_of(&proxies, uri).unwrap_or_default())
                    .join(" "),
                Err(error) => error.to_string(),
            };
            assert!(found.starts_with(&expected), "{found:?}, not {expected:?}");
            return;
        }
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[], "  "),
            (&[("HTTP_PROXY", "a:1"), ("https_proxy", "http://b"), ("NO_PROXY", "here")], "http://a:1/ http://b/ "),
            (&[("all_proxy", "socks5://c:1080"), ("no_proxy", "plain")], " socks5://c:1080/ socks5://c:1080/"),
            (&[("ALL_PROXY", "http://d"), ("HTTPS_PROXY", "https://e")], "http://d/ https://e/ http://d/"),
            (&[("HTTP_PROXY", "http://f"), ("REQUEST_METHOD", "GET")], "  "),
            (&[("https_proxy", "ftp://g")], "the proxy of https_proxy is not valid"),
        ];
        for (variables, expected) in cases {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            for variable in VARIABLES.iter().chain(&["NO_PROXY", "no_proxy", "REQUEST_METHOD"]) {
                again.env_remove(variable);
            }
            again.args(["--exact", "client::proxy::tests::the_variables_of_the_environment_count_in_both_cases_and_invalid_ones_are_refused"]);
            let output = again.envs(variables.iter().copied()).env(INNER, expected).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{variables:?}: {text}");
        }
    }
}
