//! Why a request or a connection of a client failed.

use std::error::Error;
use std::io;

use bytes::Bytes;
use engineio_websocket::handshake::ResponseError;
use http::header::LOCATION;

/// Why a request or a connection failed. The text says what happened and what to do next. [`source`](Error::source) has the error of the
/// operating system or of the library, where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of the host has no address.
    #[error("the host name {host} cannot be resolved: check its spelling, and the DNS settings of this machine")]
    Dns {
        /// The host, which may be that of a proxy.
        host: String,
        /// The error of the resolver.
        source: io::Error,
    },
    /// No TCP connection could be made.
    #[error("cannot connect to {address}: {}", connecting(.source))]
    Unreachable {
        /// Host and port.
        address: String,
        /// The error of the last address that was tried. Its kind is `TimedOut` if the adapter's time for connecting was over.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed: {fault}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// The error of the TLS library.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The URL is `https` or `wss`, or the proxy's is `https`, and this program was built without TLS.
    #[error("{host} needs TLS, which this program was built without: turn on the feature `tls`")]
    TlsMissing {
        /// The host.
        host: String,
    },
    /// The client is to use WebTransport, and this program was built without it.
    #[error(
        "this program was built without WebTransport: turn on the feature `webtransport`, or leave it out of `transports`"
    )]
    WebTransportMissing,
    /// The server cannot be reached over QUIC, or refuses the WebTransport session.
    #[error(
        "no WebTransport session with {host}: {source}: check that the server offers it, and that UDP reaches its port"
    )]
    WebTransport {
        /// The host.
        host: String,
        /// The error of the QUIC library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy does not connect to the server.
    #[error("the proxy {proxy} {fault}")]
    Proxy {
        /// The host and port of the proxy.
        proxy: String,
        /// What the proxy did.
        fault: ProxyFault,
        /// The reason for it, if there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The server answered a request for an upgrade with another status than 101.
    #[error("the server refused the WebSocket with status {status}{}", refusal(*.status, .location.as_deref(), .body))]
    Status {
        /// The status.
        status: u16,
        /// The header `Location`, which redirects have.
        location: Option<String>,
        /// The first bytes of the body. Engine.IO servers send JSON that tells the reason.
        body: Bytes,
    },
    /// The server answered a request of polling with another status than 200.
    #[error("the server refused a request with status {status}{}", refusal(*.status, .location.as_deref(), .body))]
    Refused {
        /// The status.
        status: u16,
        /// The header `Location`, which redirects have.
        location: Option<String>,
        /// The first bytes of the body. Engine.IO servers send JSON that tells the reason.
        body: Bytes,
    },
    /// The response with status 101 does not open a WebSocket.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(#[from] ResponseError),
    /// The body of a response is too large. The rest was not read.
    #[error(
        "the body of the response has more than {limit} bytes: raise `max_payload`, or have the server send less at once"
    )]
    BodyTooLarge {
        /// The limit in bytes. It applies to the body as received and, if it was compressed, to the inflated body.
        limit: usize,
    },
    /// The server compressed the response in a way that was not asked for, or the compressed body is not valid.
    #[error(
        "the body of the response cannot be decoded from the content coding `{coding}`: the server or a proxy is faulty"
    )]
    Coding {
        /// The value of `Content-Encoding`.
        coding: String,
    },
    /// The connection ended before the response was complete.
    #[error("the connection ended before the response was complete: the server or a proxy closed it")]
    Lost {
        /// The error of the HTTP library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The response is not valid HTTP/1, or its head is too large.
    #[error("the server's response is not valid HTTP/1.1, or its head is too large: check host and port")]
    InvalidResponse {
        /// The error of the HTTP library.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A request cannot be made of its parts, such as a subprotocol with a line break.
    #[error("the request cannot be made: {reason}")]
    InvalidRequest {
        /// Which part is invalid.
        reason: String,
    },
}

/// What is wrong in a TLS handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// No known root has issued the certificate.
    #[error("nobody whom this client trusts has issued the server's certificate: add its root, or pin the certificate")]
    UnknownIssuer,
    /// The certificate has expired.
    #[error("the server's certificate has expired: renew it, or correct the clock of this machine")]
    Expired,
    /// The certificate is not valid yet.
    #[error("the server's certificate is not valid yet: correct the clock of this machine, or wait")]
    NotYetValid,
    /// The certificate is for other names.
    #[error("the server's certificate is for another host name: use a name that it contains")]
    WrongHost,
    /// The certificate is not the pinned one.
    #[error("the server's certificate is not the pinned one: it was replaced, or somebody intercepts the connection")]
    WrongPin,
    /// The certificate has been revoked.
    #[error("the server's certificate has been revoked: the server needs a new one")]
    Revoked,
    /// The certificate has another fault.
    #[error("the server's certificate is not valid: see the source of this error")]
    InvalidCertificate,
    /// The server refused the handshake. Often, it wants a certificate of the client.
    #[error("the server refused it: it may need a client certificate, or another version of TLS")]
    Refused,
    /// The peer does not speak TLS.
    #[error("the peer does not speak TLS: use `http` or `ws`, or another port")]
    NotTls,
    /// The connection ended during the handshake.
    #[error("the connection ended")]
    Lost,
    /// The handshake took too long.
    #[error("it took too long")]
    TimedOut,
    /// The host of the URL cannot be the name in a certificate.
    #[error("the host is neither a DNS name nor an IP address")]
    InvalidName,
    /// The operating system has no root certificates.
    #[error("this machine has no root certificates: install those of your system, or give the client its own roots")]
    NoRoots,
    /// Anything else.
    #[error("see the source of this error")]
    Other,
}

/// Why a proxy does not connect to the server.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// There is no connection to the proxy.
    #[error("cannot be reached: check its address, or connect without it")]
    Unreachable,
    /// The proxy needs a user and a password, or the given ones are wrong.
    #[error("needs authentication: give it a user and a password, or check those in its URL")]
    AuthenticationRequired,
    /// An HTTP proxy answered `CONNECT` with another status than 200.
    #[error("refused the connection with status {0}: it may forbid the port, or not reach the server")]
    Status(u16),
    /// A SOCKS proxy refused the connection.
    #[error("refused the connection: {0}")]
    Refused(&'static str),
    /// The proxy took too long.
    #[error("did not answer in time: check the scheme of its URL, and whether it reaches the server")]
    TimedOut,
    /// The answer is not one of a proxy of this kind.
    #[error("did not answer as a proxy of its kind: check the scheme of its URL")]
    InvalidAnswer,
}

/// What an error of connecting means.
fn connecting(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "the connection was refused: check the port, and that the server runs".to_owned()
        }
        io::ErrorKind::TimedOut => "nobody answered in time: check the address, and firewalls on the way".to_owned(),
        _ => format!("{error}"),
    }
}

/// The rest of the sentence about a refused upgrade.
fn refusal(status: u16, location: Option<&str>, body: &[u8]) -> String {
    if let (300..=399, Some(location)) = (status, location) {
        return format!(": it redirects to {}, so use that URL", printable(location));
    }
    if status == 404 {
        return ": it serves nothing at this path, so check the path".to_owned();
    }
    match printable(&String::from_utf8_lossy(body)).trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// How much of a body is kept for an error.
const KEPT_BODY: usize = 1024;

/// The error of a response to a request of polling, unless its status is 200.
pub(super) fn request_refused(parts: &http::response::Parts, body: &Bytes) -> Option<ConnectError> {
    let status = parts.status.as_u16();
    (status != 200).then(|| ConnectError::Refused {
        status,
        location: parts.headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: Bytes::copy_from_slice(body.get(..KEPT_BODY).unwrap_or(body)),
    })
}

/// Text of a peer in a message that may be shown on a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_upgrade_tells_the_reason_of_the_server_and_where_a_redirect_leads() {
        let refused = |status, location: Option<&str>, body: &'static str| {
            let (location, body) = (location.map(str::to_owned), Bytes::from_static(body.as_bytes()));
            ConnectError::Status { status, location, body }.to_string()
        };
        assert_eq!(
            refused(400, None, "{\"code\":0,\"message\":\"Transport\u{1b} unknown\"}\n"),
            "the server refused the WebSocket with status 400: {\"code\":0,\"message\":\"Transport  unknown\"}"
        );
        assert_eq!(refused(502, None, " "), "the server refused the WebSocket with status 502");
        assert_eq!(
            refused(301, Some("https://host/"), "moved"),
            "the server refused the WebSocket with status 301: it redirects to https://host/, so use that URL"
        );
        assert!(refused(301, None, "moved").ends_with("301: moved"));
        assert!(refused(404, None, "<html>").ends_with("404: it serves nothing at this path, so check the path"));
    }
}
