//! WebTransport over QUIC, from a third-party crate. The frames on its streams are the suite's own code.
//!
//! Certificates are not verified, because fixtures use self-signed ones.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use wtransport::config::IpBindConfig;
use wtransport::error::ConnectionError;
use wtransport::stream::BiStream;
use wtransport::{ClientConfig, Connection, Endpoint, VarInt};

use super::{BoxStream, Connecting, Ending, Session};

/// A server that sends nothing for this long counts as dead. Keep-alives of QUIC are below the protocol under test, so that a silence in
/// a script does not count.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval of QUIC keep-alives.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Opens a session at an `https://` URL.
pub(super) async fn open(url: &str) -> io::Result<Arc<dyn Session>> {
    let authority = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
    let address = tokio::net::lookup_host(authority).await?.next();
    let family = match address {
        Some(address) if address.is_ipv6() => IpBindConfig::InAddrAnyV6,
        _ => IpBindConfig::InAddrAnyV4,
    };
    let configuration = ClientConfig::builder()
        .with_bind_config(family)
        .with_no_cert_validation()
        .keep_alive_interval(Some(KEEP_ALIVE_INTERVAL))
        .max_idle_timeout(Some(IDLE_TIMEOUT))
        .map_err(io::Error::other)?
        .build();
    let connection = Endpoint::client(configuration)?.connect(url).await.map_err(io::Error::other)?;
    Ok(Arc::new(Quic(connection)))
}

#[derive(Debug)]
struct Quic(Connection);

impl Session for Quic {
    fn stream(&self) -> Connecting<'_> {
        Box::pin(async {
            let opening = self.0.open_bi().await.map_err(io::Error::other)?;
            let stream = opening.await.map_err(io::Error::other)?;
            Ok(Box::new(BiStream::join(stream)) as BoxStream)
        })
    }

    fn ended(&self) -> Ending<'_> {
        Box::pin(async {
            match self.0.closed().await {
                ConnectionError::LocallyClosed => "the session was closed".to_owned(),
                other => other.to_string(),
            }
        })
    }

    fn close(&self, code: u32, reason: &str) {
        self.0.close(VarInt::from_u32(code), reason.as_bytes());
    }
}
