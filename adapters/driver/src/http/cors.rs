//! CORS: which pages of other origins may read responses. The options, headers and their order are those of the npm package `cors`, which
//! the reference's option `cors` configures.

use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;

use super::origins::Origins;
use crate::body::Body;

/// Cross-origin resource sharing: the pages of which other origins may use the server over HTTP. Pass it to
/// [`ServerBuilder::cors`](crate::ServerBuilder::cors).
///
/// Without it, browsers let a page poll only a server of its own origin. CORS does not apply to WebSockets: see
/// [`ServerBuilder::check_origin`](crate::ServerBuilder::check_origin). Neither applies to JSONP; see
/// [`EngineConfig::allow_jsonp`](crate::EngineConfig).
///
/// ```
/// use std::time::Duration;
///
/// use socketio_driver::{Cors, Server};
///
/// let cors = Cors::new(["https://app.example", "http://localhost:8080"])
///     .credentials(true)
///     .methods(["GET", "POST"])
///     .max_age(Duration::from_secs(600));
/// let server = Server::builder().cors(cors).build();
/// ```
///
/// The headers are on every response of the path, refusals included. An `OPTIONS` request is answered with 204 before anything else is
/// checked. Responses to origins that are not allowed lack `Access-Control-Allow-Origin`. `Vary` names `Origin` unless every origin is
/// allowed by [`Origins::any`].
///
/// With axum, a `CorsLayer` of `tower-http` around the [`SocketLayer`](https://docs.rs/socketio-tokio) does the same. Use one of the two.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    methods: HeaderValue,
    allowed_headers: Option<HeaderValue>,
    exposed_headers: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// Allows pages of these origins: text, an array of texts, or [`Origins`].
    ///
    /// By default, the methods are `GET,HEAD,PUT,PATCH,POST,DELETE`, preflights allow the headers that they ask for, no header is exposed,
    /// and credentials are not allowed, as in the reference.
    ///
    /// # Panics
    /// If a text is not an origin; see [`Origins::list`].
    #[must_use]
    pub fn new(origins: impl Into<Origins>) -> Self {
        Self {
            origins: origins.into(),
            methods: HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
        }
    }

    /// The allowed methods (`methods` in the reference). The protocol uses GET and POST.
    ///
    /// # Panics
    /// If a text is not the name of a method.
    #[must_use]
    pub fn methods<T: AsRef<str>>(mut self, methods: impl IntoIterator<Item = T>) -> Self {
        self.methods = list(methods);
        self
    }

    /// The headers that requests may have (`allowedHeaders` in the reference).
    ///
    /// # Panics
    /// If a text is not the name of a header.
    #[must_use]
    pub fn allowed_headers<T: AsRef<str>>(mut self, headers: impl IntoIterator<Item = T>) -> Self {
        self.allowed_headers = Some(list(headers));
        self
    }

    /// The headers of responses that pages may read (`exposedHeaders` in the reference).
    ///
    /// # Panics
    /// If a text is not the name of a header.
    #[must_use]
    pub fn exposed_headers<T: AsRef<str>>(mut self, headers: impl IntoIterator<Item = T>) -> Self {
        self.exposed_headers = Some(list(headers));
        self
    }

    /// Whether requests may have cookies and other credentials (`withCredentials: true` on the client). The client needs it for sticky
    /// sessions by a cookie. Browsers refuse it together with [`Origins::any`].
    #[must_use]
    pub fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// How long a browser may remember the answer to a preflight (`maxAge` in the reference), in whole seconds.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(HeaderValue::from(age.as_secs()));
        self
    }

    /// # Panics
    /// If browsers refuse this combination of options.
    pub(crate) fn check(&self) {
        assert!(
            !(self.credentials && self.origins.is_any()),
            "browsers refuse CORS with credentials for any origin: list the origins, or use `Origins::mirrored()`"
        );
    }

    /// The response to a preflight.
    pub(crate) fn preflight(&self, parts: &Parts) -> Option<http::Response<Body>> {
        if parts.method != http::Method::OPTIONS {
            return None;
        }
        let mut response = http::Response::new(Body::new(bytes::Bytes::new()));
        *response.status_mut() = http::StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let asked = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(allowed) = self.allowed_headers.as_ref().or(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        if let Some(age) = &self.max_age {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, age.clone());
        }
        Some(response)
    }

    /// Whether a browser would let the page of this request use the server: it is of the server's own origin, or of an allowed one, or there
    /// is no page.
    pub(crate) fn allows(&self, parts: &Parts) -> bool {
        let Some(origin) = parts.headers.get(header::ORIGIN) else { return true };
        let own = || parts.uri.authority().map(|authority| format!("https://{authority}"));
        self.origins.allows(origin, parts) || own().is_some_and(|own| own.as_bytes() == origin.as_bytes())
    }

    /// Adds the headers to a response.
    pub(crate) fn apply(&self, parts: &Parts, response: &mut http::Response<Body>) {
        let headers = response.headers_mut();
        if self.origins.is_any() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            let origin = parts.headers.get(header::ORIGIN);
            if let Some(origin) = origin.filter(|origin| self.origins.allows(origin, parts)) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        let mirrors_headers = parts.method == http::Method::OPTIONS && self.allowed_headers.is_none();
        let vary = match (self.origins.is_any(), mirrors_headers) {
            (false, false) => "Origin",
            (false, true) => "Origin, Access-Control-Request-Headers",
            (true, true) => "Access-Control-Request-Headers",
            (true, false) => "",
        };
        if !vary.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static(vary));
        }
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(exposed) = &self.exposed_headers {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}

/// The names as the value of a header.
fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> HeaderValue {
    let mut value = String::new();
    for name in names {
        let name = name.as_ref();
        // Both are tokens.
        let valid = HeaderName::from_bytes(name.as_bytes()).is_ok();
        assert!(valid, "`{name}` is not the name of a header or method");
        if !value.is_empty() {
            value.push(',');
        }
        value.push_str(name);
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}
