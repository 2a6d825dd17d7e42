//! Which origins of web pages are allowed, for CORS and for WebSocket handshakes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::HeaderValue;
use http::request::Parts;

use crate::handler::panic_message;
use crate::log_limit::{Occurrences, log_limited, truncate};

/// The origins whose pages may use the server. An origin is a scheme, a host, and a port unless it is the scheme's own:
/// `https://app.example`, `http://localhost:8080`.
///
/// Text, or an array or vector of texts, converts into a list of origins.
#[derive(Clone)]
pub struct Origins(Kind);

type Allows = dyn Fn(&str, &Parts) -> bool + Send + Sync;

#[derive(Clone)]
enum Kind {
    Any,
    Mirrored,
    List(Arc<[String]>),
    By(Arc<Allows>),
}

impl Origins {
    /// Every origin, as `origin: "*"` of the reference.
    #[must_use]
    pub fn any() -> Self {
        Self(Kind::Any)
    }

    /// Every origin, and CORS names the origin of the request instead of `*`, so that credentials work: as `origin: true` of the reference.
    ///
    /// With credentials, any page on the web can act as its visitor. Use it for development.
    #[must_use]
    pub fn mirrored() -> Self {
        Self(Kind::Mirrored)
    }

    /// These origins. They are compared exactly.
    ///
    /// # Panics
    /// If a text is not an origin as browsers send it: `null`, or a scheme, `://`, and a host without a path and without the default port of
    /// the scheme. A slash at the end is a common mistake. `null` is the origin of sandboxed frames, which any page can make.
    #[must_use]
    pub fn list<T: Into<String>>(origins: impl IntoIterator<Item = T>) -> Self {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        for origin in &origins {
            let (scheme, host) = origin.split_once("://").unwrap_or_default();
            let default_port = match scheme {
                "http" => host.ends_with(":80"),
                "https" => host.ends_with(":443"),
                _ => false,
            };
            let valid = !scheme.is_empty()
                && !host.is_empty()
                && !default_port
                && !host.contains(['/', '*', ',', ' ', '@', '?', '#'])
                && HeaderValue::from_str(origin).is_ok()
                && !origin.bytes().any(|byte| byte.is_ascii_uppercase());
            assert!(
                valid || origin == "null",
                "`{origin}` is not an origin: write a scheme and a host in lower case, without a path and without a default port, such as `https://app.example`, or use `Origins::any()`"
            );
        }
        Self(Kind::List(origins.into()))
    }

    /// The origins for which this function returns true. It is called for every request that has an `Origin` header. A panic refuses the
    /// origin.
    #[must_use]
    pub fn by(allows: impl Fn(&str, &Parts) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::By(Arc::new(allows)))
    }

    /// Whether every origin is allowed, without naming it.
    pub(crate) fn is_any(&self) -> bool {
        matches!(self.0, Kind::Any)
    }

    /// Whether this origin of a request is allowed.
    pub(crate) fn allows(&self, origin: &HeaderValue, parts: &Parts) -> bool {
        match &self.0 {
            Kind::Any | Kind::Mirrored => true,
            Kind::List(origins) => origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
            Kind::By(allows) => {
                let Ok(origin) = origin.to_str() else { return false };
                catch_unwind(AssertUnwindSafe(|| allows(origin, parts))).unwrap_or_else(|panic| {
                    static PANICKED: Occurrences = Occurrences::new();
                    let panic = panic_message(panic.as_ref());
                    let panic = truncate(&panic);
                    log_limited!(PANICKED, error, handler = "origins", panic, "a handler panicked");
                    false
                })
            }
        }
    }
}

impl From<&str> for Origins {
    fn from(origin: &str) -> Self {
        Self::list([origin])
    }
}

impl From<String> for Origins {
    fn from(origin: String) -> Self {
        Self::list([origin])
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Origins {
    fn from(origins: [T; N]) -> Self {
        Self::list(origins)
    }
}

impl<T: Into<String>> From<Vec<T>> for Origins {
    fn from(origins: Vec<T>) -> Self {
        Self::list(origins)
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("Any"),
            Kind::Mirrored => f.write_str("Mirrored"),
            Kind::List(origins) => origins.fmt(f),
            Kind::By(_) => f.write_str("By(..)"),
        }
    }
}
