//! The WebTransport sessions of a client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::ClientConfig;
use socketio_driver::client::ConnectError;
use tokio::time::timeout;
use wtransport::endpoint::ConnectOptions;
use wtransport::quinn::crypto::rustls::QuicClientConfig;

use super::limits;
use super::stream::SessionStream;
use crate::runtime::Stream;

/// Opens a session and its stream. `time` limits both together.
pub(crate) async fn connect(
    request: http::Request<()>,
    tls: Arc<ClientConfig>,
    time: Duration,
) -> Result<Stream, ConnectError> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::WebTransport { host, source };
    match timeout(time, open(&request, tls)).await {
        Ok(Ok(stream)) => Ok(Stream::Other(Box::new(stream))),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(failed("nobody answered in time".into())),
    }
}

async fn open(
    request: &http::Request<()>,
    tls: Arc<ClientConfig>,
) -> Result<SessionStream, Box<dyn std::error::Error + Send + Sync>> {
    let mut tls = (*tls).clone();
    tls.alpn_protocols = vec![wtransport::proto::WEBTRANSPORT_ALPN.to_vec()];
    let mut quic = wtransport::quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    quic.transport_config(limits::transport());
    let address = resolve(request.uri()).await?;
    let own: IpAddr = if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(own, 0))?;
    let config = wtransport::ClientConfig::builder().with_bind_socket(socket).build_with_quic_config(quic);
    let mut options = ConnectOptions::builder(request.uri());
    for (name, value) in request.headers() {
        // These say the same as the pseudo-headers, or belong to a connection of HTTP/1.
        if name != http::header::HOST {
            options = options.add_header(name, value.to_str()?);
        }
    }
    let connection = wtransport::Endpoint::client(config)?.connect(options.build()).await?;
    let streams = connection.open_bi().await?.await?;
    Ok(SessionStream::new(connection, streams))
}

/// The address of the server.
async fn resolve(uri: &Uri) -> Result<SocketAddr, Box<dyn std::error::Error + Send + Sync>> {
    let host = uri.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or(443);
    let mut addresses = tokio::net::lookup_host((host, port)).await?;
    addresses.next().ok_or_else(|| "the host name has no address".into())
}
