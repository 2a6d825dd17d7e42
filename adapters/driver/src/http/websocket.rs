//! WebSocket handshakes over HTTP/1.1.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use engineio_websocket::handshake as websocket;
use http::header::{self, HeaderName, HeaderValue};

use super::{ErrorContext, HttpSettings, fields};
use crate::body::Body;
use crate::deflate::negotiate;
use crate::handler::panic_message;
use crate::log_limit::{Occurrences, log_limited};
use crate::upgrade::AnyUpgrade;

/// The values of the headers that accept a WebSocket handshake.
pub(crate) struct Accept {
    key: HeaderValue,
    protocol: Option<HeaderValue>,
    extension: Option<HeaderValue>,
}

impl HttpSettings {
    /// Checks a WebSocket handshake. Returns the response's headers and the upgrade, or the response that refuses the handshake.
    pub(crate) fn accept_websocket(
        &self,
        parts: &http::request::Parts,
        upgrade: Option<AnyUpgrade>,
        has_no_body: bool,
    ) -> Result<(Accept, AnyUpgrade), http::Response<Body>> {
        let refused = |status: u16, headers: &[(&'static str, &'static str)], message: String| {
            self.report(parts, ErrorContext::TransportHandshake(&message));
            let mut response = http::Response::new(Body::new(message.into()));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST);
            for (name, value) in headers {
                if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                    response.headers_mut().insert(name, HeaderValue::from_static(value));
                }
            }
            response
        };
        // A body would be taken for frames.
        if !has_no_body {
            return Err(refused(400, &[], "a WebSocket handshake must not have a body".to_owned()));
        }
        // RFC 6455 section 4.2.1.
        if parts.method != http::Method::GET {
            return Err(refused(405, &[("allow", "GET")], "a WebSocket handshake must be a GET request".to_owned()));
        }
        if parts.version < http::Version::HTTP_11 {
            return Err(refused(400, &[], "a WebSocket handshake needs HTTP/1.1".to_owned()));
        }
        let accept = websocket::accept(fields(&parts.headers))
            .map_err(|error| refused(error.status(), error.headers(), error.to_string()))?;
        let key = HeaderValue::from_bytes(accept.as_bytes()).map_err(|error| refused(500, &[], error.to_string()))?;
        let offered: Vec<&str> = websocket::protocols(fields(&parts.headers)).collect();
        let protocol = self.select_protocol(&offered).and_then(|protocol| HeaderValue::from_str(protocol).ok());
        let (compression, extension) = negotiate(self.deflate_threshold, &parts.headers).unzip();
        let mut upgrade = upgrade.ok_or_else(|| {
            // One for the process: every request has the same fault.
            static NO_UPGRADES: Occurrences = Occurrences::new();
            log_limited!(
                NO_UPGRADES,
                error,
                "a WebSocket was refused because the HTTP server does not offer upgrades: serve connections with upgrades enabled"
            );
            refused(500, &[], "the HTTP server does not offer upgrades".to_owned())
        })?;
        upgrade.compression = compression;
        Ok((Accept { key, protocol, extension }, upgrade))
    }

    /// The subprotocol that `select_protocol` returns, or the first one without such a callback.
    fn select_protocol<'a>(&self, offered: &[&'a str]) -> Option<&'a str> {
        let first = offered.first().copied()?;
        let Some(select) = &self.select_protocol else { return Some(first) };
        catch_unwind(AssertUnwindSafe(|| select(offered))).unwrap_or_else(|panic| {
            self.log_panic("select_protocol", &panic_message(panic.as_ref()));
            None
        })
    }
}

pub(crate) fn switching_protocols(accept: Accept) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(Bytes::new()));
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.key);
    if let Some(protocol) = accept.protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(extension) = accept.extension {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}
