//! The URL of a server, and the URLs of requests to it.
//!
//! `http::Uri` parses URLs here. The crate `url` would also convert international host names, but brings the tables of Unicode with it;
//! everything else that it does is not needed, because the path and the query of a user are sent as they are.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engineio_proto::query_parameters;
use http::HeaderValue;
use http::uri::{Authority, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest URL, in characters, as in the reference (engine.io-client, `lib/contrib/parseuri.ts`).
const MAX_LENGTH: usize = 8000;

/// What `encodeURIComponent` of JavaScript encodes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Why a URL cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Longer than 8 000 characters.
    #[error("the URL is longer than 8000 characters: send long data as `auth`, or in an event")]
    TooLong,
    /// It has characters outside ASCII.
    #[error("the URL has characters outside ASCII: write the host in punycode (`xn--..`), and percent-encode the rest")]
    NotAscii,
    /// It has characters that a URL cannot have, or is no URL at all.
    #[error("`{0}` is not a valid URL: percent-encode characters such as spaces, and put IPv6 addresses in brackets")]
    Syntax(String),
    /// Its scheme is missing, or is another than these four.
    #[error("the URL must begin with `http://`, `https://`, `ws://` or `wss://`")]
    Scheme,
    /// It has no host.
    #[error("the URL has no host")]
    Host,
    /// Its port is not a number from 1 to 65535.
    #[error("the port of the URL is not a number from 1 to 65535")]
    Port,
    /// The path of the server does not begin with `/`, or has a query.
    #[error("the path `{0}` is not valid: it begins with `/`, and has neither `?` nor `#` nor spaces")]
    Path(String),
}

/// Where a server is: scheme, host and port, the path of its requests, and the application's part of the query.
///
/// `ws` means `http`, and `wss` means `https`. A user and a password in the URL become the header `Authorization` (`Basic`).
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    secure: bool,
    /// Without user, and without the default port.
    authority: Authority,
    path: String,
    /// The parameters of the application, encoded, without `?`.
    query: String,
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Reads the URL of a Socket.IO server. Its path is not that of the requests, but the name of a namespace, which is returned (`/`
    /// without a path). Requests go to `/socket.io/`, or to that of [`with_path`](Self::with_path).
    ///
    /// Source: socket.io-client `lib/url.ts` and `lib/index.ts`.
    ///
    /// # Errors
    /// Fails if the URL is not valid, or has no scheme.
    ///
    /// ```
    /// use socketio_driver::client::Target;
    ///
    /// let (target, namespace) = Target::socketio("https://example.com/admin?token=1")?;
    /// assert_eq!(namespace, "/admin");
    /// let uri = target.uri("EIO=4&transport=polling")?;
    /// assert_eq!(uri, "https://example.com/socket.io/?token=1&EIO=4&transport=polling");
    /// # Ok::<(), socketio_driver::client::InvalidUrl>(())
    /// ```
    pub fn socketio(url: &str) -> Result<(Self, String), InvalidUrl> {
        let mut target = Self::parse(url)?;
        let namespace = std::mem::replace(&mut target.path, "/socket.io/".to_owned());
        Ok((target, namespace))
    }

    /// Reads the URL of an Engine.IO server. If it has a path, requests go there, otherwise to `/engine.io/`.
    ///
    /// The reference ignores the path of the URL.
    ///
    /// # Errors
    /// Fails if the URL is not valid, or has no scheme.
    pub fn engineio(url: &str) -> Result<Self, InvalidUrl> {
        let mut target = Self::parse(url)?;
        if target.path == "/" {
            "/engine.io/".clone_into(&mut target.path);
        }
        Ok(target)
    }

    fn parse(url: &str) -> Result<Self, InvalidUrl> {
        if url.len() > MAX_LENGTH {
            return Err(InvalidUrl::TooLong);
        }
        if !url.is_ascii() {
            return Err(InvalidUrl::NotAscii);
        }
        // "localhost:3000" is not a URI, and "localhost" is the authority of one.
        let (scheme, _) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
        let is = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
        let secure = is(["https", "wss"]);
        if !secure && !is(["http", "ws"]) {
            return Err(InvalidUrl::Scheme);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidUrl::Syntax(without_user(url)))?;
        let authority = uri.authority().ok_or(InvalidUrl::Host)?;
        if authority.host().is_empty() {
            return Err(InvalidUrl::Host);
        }
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let port = match place.strip_prefix(authority.host()).unwrap_or_default() {
            "" | ":" => None,
            port => {
                let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
                Some(port.filter(|port: &u16| *port != 0).ok_or(InvalidUrl::Port)?)
            }
        };
        let host = authority.host();
        let place = match port.filter(|port| *port != default_port(secure)) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let authority = place.parse().map_err(|_| InvalidUrl::Syntax(without_user(url)))?;
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        Ok(Self {
            secure,
            authority,
            path: path.to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            authorization: user.map(basic),
        })
    }

    /// Sends requests to this path, for example `/chat/socket.io`. A slash is added to its end, as servers expect one; see
    /// [`without_trailing_slash`](Self::without_trailing_slash).
    ///
    /// # Errors
    /// Fails if the path does not begin with `/`, or has characters that a path cannot have.
    pub fn with_path(mut self, path: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl::Path(path.to_owned());
        if !path.starts_with('/') || !path.is_ascii() || path.contains(['?', '#']) {
            return Err(invalid());
        }
        let parsed: Uri = path.parse().map_err(|_| invalid())?;
        if parsed.path() != path {
            return Err(invalid());
        }
        self.path = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        Ok(self)
    }

    /// Removes the slash at the end of the path, for servers whose option `addTrailingSlash` is off.
    #[must_use]
    pub fn without_trailing_slash(mut self) -> Self {
        if self.path.len() > 1 && self.path.ends_with('/') {
            self.path.pop();
        }
        self
    }

    /// Adds a parameter to the query of every request. It comes after those of the URL. Name and value are percent-encoded.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.extend(utf8_percent_encode(name, COMPONENT));
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, COMPONENT));
        self
    }

    /// The URI of a request. `query` is the protocol's part of the query. It comes last, and replaces parameters of the application with
    /// the same names, as in the reference.
    ///
    /// # Errors
    /// Fails if the URI is longer than 8 000 characters, or `query` is not percent-encoded.
    pub fn uri(&self, query: &str) -> Result<Uri, InvalidUrl> {
        let kept = self.kept(query);
        let separators = (if kept.is_empty() { "" } else { "?" }, if kept.is_empty() { "?" } else { "&" });
        let before = if query.is_empty() { "" } else { separators.1 };
        let path_and_query = [&*self.path, separators.0, &kept, before, query].concat();
        if self.authority.as_str().len().saturating_add(path_and_query.len()) > MAX_LENGTH {
            return Err(InvalidUrl::TooLong);
        }
        let syntax = |_| InvalidUrl::Syntax(path_and_query.clone());
        let scheme = if self.secure { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query(&*path_and_query);
        uri.build().map_err(syntax)
    }

    /// The application's part of the query, without what `query` replaces.
    fn kept(&self, query: &str) -> Cow<'_, str> {
        if self.query.is_empty() {
            return Cow::Borrowed("");
        }
        let is_kept = |pair: &str| {
            let name = query_parameters(pair).next().map(|(name, _)| name);
            name.is_some_and(|name| query_parameters(query).all(|(replacing, _)| replacing != name))
        };
        if self.query.split('&').all(is_kept) {
            return Cow::Borrowed(&self.query);
        }
        Cow::Owned(self.query.split('&').filter(|pair| is_kept(pair)).collect::<Vec<_>>().join("&"))
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The value of the header `Host`: the host, and the port unless it is the default. IPv6 addresses are in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// The path of requests.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The header `Authorization`, if the URL has a user.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

/// Without the query, which may have secrets.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "Target({scheme}://{}{})", self.authority, self.path)
    }
}

/// The port without which a URL has one.
fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// The value of `Authorization` for the user and the password of a URL, which are percent-encoded there.
fn basic(user: &str) -> HeaderValue {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut text = percent_decode_str(user).collect::<Vec<u8>>();
    text.push(b':');
    text.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(text)))
        .unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// A URL as it may be shown: without user and password.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://{}", rest.get(at.saturating_add(1)..).unwrap_or_default()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(url: &str, query: &str) -> String {
        Target::socketio(url).unwrap().0.uri(query).unwrap().to_string()
    }

    #[test]
    fn the_path_of_a_url_is_the_namespace_in_socketio_and_the_path_in_engineio() {
        for (url, namespace, engine_path) in [
            ("http://host", "/", "/engine.io/"),
            ("http://host/", "/", "/engine.io/"),
            ("http://host?a=1", "/", "/engine.io/"),
            ("http://host/admin", "/admin", "/admin"),
            ("http://host/a/b/#there", "/a/b/", "/a/b/"),
        ] {
            let (target, found) = Target::socketio(url).unwrap();
            assert_eq!((target.path(), &*found), ("/socket.io/", namespace), "{url}");
            assert_eq!(Target::engineio(url).unwrap().path(), engine_path, "{url}");
        }
    }

    #[test]
    fn schemes_of_websockets_are_those_of_http_and_default_ports_are_left_out() {
        assert_eq!(uri("ws://host:80", "x"), "http://host/socket.io/?x");
        assert_eq!(uri("WSS://host:443/admin", "x"), "https://host/socket.io/?x");
        assert_eq!(uri("http://host:443", "x"), "http://host:443/socket.io/?x");
        assert_eq!(uri("https://[::1]:3000", "x"), "https://[::1]:3000/socket.io/?x");
        assert_eq!(uri("http://[::1]", "x"), "http://[::1]/socket.io/?x");
        assert_eq!(uri("http://host:", ""), "http://host/socket.io/");
    }

    #[test]
    fn the_query_of_the_application_comes_first_and_the_protocols_replaces_equal_names() {
        assert_eq!(uri("http://host?a=1&b=%20", "EIO=4&sid=x"), "http://host/socket.io/?a=1&b=%20&EIO=4&sid=x");
        assert_eq!(uri("http://host?EIO=3&a=1&s%69d=0", "EIO=4&sid=x"), "http://host/socket.io/?a=1&EIO=4&sid=x");
        assert_eq!(uri("http://host?sid=own", "EIO=4"), "http://host/socket.io/?sid=own&EIO=4");
        assert_eq!(uri("http://host?EIO=3", "EIO=4"), "http://host/socket.io/?EIO=4");
        assert_eq!(uri("http://host?a=1", ""), "http://host/socket.io/?a=1");
        let (target, _) = Target::socketio("http://host?a=1").unwrap();
        let target = target.with_parameter("na me", "a&b=c/é'").with_parameter("x", "");
        assert_eq!(target.uri("t=1").unwrap(), "http://host/socket.io/?a=1&na%20me=a%26b%3Dc%2F%C3%A9'&x=&t=1");
    }

    #[test]
    fn a_user_in_the_url_becomes_basic_authorization_and_is_shown_nowhere() {
        let (target, _) = Target::socketio("http://us%40er:p%3Ass@host:3000/").unwrap();
        let value = target.authorization().unwrap();
        assert_eq!(value.as_bytes(), format!("Basic {}", STANDARD.encode("us@er:p:ss")).as_bytes());
        assert!(value.is_sensitive());
        assert_eq!(target.uri("x").unwrap(), "http://host:3000/socket.io/?x");
        assert!(!format!("{target:?}").contains("er"), "{target:?}");
        let error = Target::socketio("http://user:secret@ho st/").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let only_user = Target::engineio("http://user@host").unwrap();
        assert_eq!(only_user.authorization().unwrap(), &*format!("Basic {}", STANDARD.encode("user:")));
    }

    #[test]
    fn a_path_gets_a_slash_at_its_end_unless_it_shall_have_none() {
        let target = Target::engineio("http://host").unwrap();
        assert_eq!(target.clone().with_path("/chat").unwrap().path(), "/chat/");
        let chat = target.clone().with_path("/chat/").unwrap();
        assert_eq!(chat.clone().without_trailing_slash().path(), "/chat");
        assert_eq!(chat.without_trailing_slash().uri("a=1").unwrap(), "http://host/chat?a=1");
        assert_eq!(target.clone().with_path("/").unwrap().without_trailing_slash().path(), "/");
        for path in ["", "chat", "/a?b", "/a b", "/é", "http://other/"] {
            assert_eq!(target.clone().with_path(path), Err(InvalidUrl::Path(path.to_owned())));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_reason() {
        let fails = |url: &str| Target::socketio(url).unwrap_err();
        for url in ["", "host", "localhost:3000", "//host/", "/admin", "ftp://host", "ht tp://host"] {
            assert_eq!(fails(url), InvalidUrl::Scheme, "{url}");
        }
        assert_eq!(fails("http://bücher.example"), InvalidUrl::NotAscii);
        assert_eq!(fails("http://:80/"), InvalidUrl::Host);
        for url in ["http://host:0", "http://host:70000", "http://host:a"] {
            assert!(matches!(fails(url), InvalidUrl::Port | InvalidUrl::Syntax(_)), "{url}: {:?}", fails(url));
        }
        for url in ["http://", "http:///path", "http://ho st/", "http://host/a b", "http://::1:80/", "http://[::1/"] {
            assert!(matches!(fails(url), InvalidUrl::Syntax(_) | InvalidUrl::Host), "{url}: {:?}", fails(url));
        }
        assert_eq!(fails(&format!("http://host/{}", "a".repeat(8000))), InvalidUrl::TooLong);
        let (target, _) = Target::socketio("http://host").unwrap();
        assert_eq!(target.uri(&"a".repeat(8000)), Err(InvalidUrl::TooLong));
        assert!(matches!(target.uri("a b"), Err(InvalidUrl::Syntax(_))));
    }
}
