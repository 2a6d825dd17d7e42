//! The cookie with the session id, which load balancers use for sticky sessions.

use std::fmt::Write as _;
use std::time::Duration;

use engineio_proto::Sid;
use http::HeaderValue;

/// A cookie with the session id, which the first response of a polling session sets. Pass it to
/// [`ServerBuilder::cookie`](crate::ServerBuilder::cookie).
///
/// Its use is a load balancer that keeps a session on one server by a cookie. It is no proof of who the client is: a session is found by the
/// `sid` in the query, never by the cookie. A WebSocket handshake sets no cookie, as in the reference.
///
/// The default is the reference's: `io=<sid>; Path=/; HttpOnly; SameSite=Lax`. A client on a page of another site needs
/// [`SameSite::None`], [`Cookie::secure`], [`Cors::credentials`](crate::Cors::credentials), and `withCredentials: true` in its own options.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    same_site: SameSite,
}

/// Whether browsers send a cookie with requests that pages of other sites cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the user follows a link.
    Lax,
    /// Always. Browsers accept this only from a [secure](Cookie::secure) cookie.
    None,
}

impl Default for Cookie {
    /// The cookie `io`.
    fn default() -> Self {
        Self::new("io")
    }
}

impl Cookie {
    /// A cookie with this name, and otherwise the default attributes.
    ///
    /// # Panics
    /// If the name is empty, or has characters that RFC 6265 does not allow in a name (spaces, `=`, `;`, `,`, quotes, brackets).
    #[must_use]
    pub fn new(name: &str) -> Self {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(valid), "`{name}` is not the name of a cookie");
        Self {
            name: name.to_owned(),
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: SameSite::Lax,
        }
    }

    /// The path below which browsers send it. An empty one leaves the attribute out: browsers then use the path of the server. Default: `/`.
    ///
    /// # Panics
    /// If the path has `;` or characters other than printable ASCII.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        let valid = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
        assert!(path.bytes().all(valid), "`{path}` is not the path of a cookie");
        path.clone_into(&mut self.path);
        self
    }

    /// The domain to whose hosts browsers send it. By default, only to the host of the server.
    ///
    /// # Panics
    /// If the text is not the name of a domain.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let valid = domain.strip_prefix('.').unwrap_or(domain).split('.').all(label);
        assert!(valid, "`{domain}` is not the domain of a cookie");
        self.domain = Some(domain.to_owned());
        self
    }

    /// How long browsers keep it, in whole seconds. By default, until they are closed.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether it is hidden from the scripts of a page. Default: true.
    #[must_use]
    pub fn http_only(mut self, hidden: bool) -> Self {
        self.http_only = hidden;
        self
    }

    /// Whether browsers send it only over HTTPS. Default: false.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether browsers send it for pages of other sites. Default: `Lax`.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// # Panics
    /// If browsers refuse this combination of attributes.
    pub(crate) fn check(&self) {
        assert!(
            self.secure || self.same_site != SameSite::None,
            "browsers refuse a cookie with `SameSite::None` that is not secure: add `.secure(true)`"
        );
    }

    /// The value of `Set-Cookie` for this session.
    pub(crate) fn value(&self, sid: Sid) -> Option<HeaderValue> {
        let mut value = format!("{}={sid}", self.name);
        // Writing to a string cannot fail. The attributes are in the order of the reference.
        if let Some(age) = self.max_age {
            let _ = write!(value, "; Max-Age={}", age.as_secs());
        }
        if let Some(domain) = &self.domain {
            let _ = write!(value, "; Domain={domain}");
        }
        if !self.path.is_empty() {
            let _ = write!(value, "; Path={}", self.path);
        }
        if self.http_only {
            value.push_str("; HttpOnly");
        }
        if self.secure {
            value.push_str("; Secure");
        }
        let _ = write!(value, "; SameSite={:?}", self.same_site);
        HeaderValue::try_from(value).ok()
    }
}
