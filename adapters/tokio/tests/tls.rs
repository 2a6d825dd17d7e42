//! The listener over TLS, from below: handshakes that do not come, plain HTTP, ALPN, and the end of a connection. `real_peers` has the
//! official clients over TLS.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socketio_tokio::{DisconnectReason, Event, Server, Socket, Tls, serve_tls};
use support::http::{Wire, get};
use support::peers::PATH;
use support::websocket::{frame, opening};
use support::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A server over TLS, and what its clients need.
struct Secure {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    reasons: mpsc::UnboundedReceiver<String>,
}

async fn secure(handshake_timeout: Duration) -> Secure {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new();
    let (gone, reasons) = mpsc::unbounded_channel();
    server
        .on("is-secure", |socket: Socket, _: Event| socket.emit("secure", socket.handshake().secure()))
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    let listener = Tls::new(listener, config).with_handshake_timeout(handshake_timeout);
    tokio::spawn(serve_tls(listener, server).into_future());
    Secure { address, roots: Arc::new(roots), reasons }
}

const PATIENT: Duration = Duration::from_secs(3600);

impl Secure {
    async fn connect(&self, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = within(TcpStream::connect(self.address)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}

/// Sends text, and reads until the answer contains `end`.
async fn ask(stream: &mut TlsStream<TcpStream>, text: impl AsRef<[u8]>, end: &str) -> String {
    within(stream.write_all(text.as_ref())).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        assert_ne!(within(stream.read_buf(&mut seen)).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn http1_is_the_protocol_whatever_else_a_client_offers() {
    let secure = secure(PATIENT).await;
    for (offered, selected) in [(&["h2", "http/1.1"][..], Some("http/1.1")), (&[], None)] {
        let mut stream = secure.connect(offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), selected.map(str::as_bytes));
        let answer = ask(&mut stream, get(&format!("{PATH}?EIO=4&transport=polling")), "maxPayload").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    // Only HTTP/2 is refused in the handshake.
    assert!(secure.connect(&["h2"]).await.is_err());
}

#[tokio::test]
async fn who_begins_no_handshake_or_speaks_plain_http_is_disconnected_and_others_are_served() {
    let secure = secure(Duration::from_millis(50)).await;
    for bytes in ["", "\u{16}\u{3}\u{1}"] {
        let mut silent = Wire::open(secure.address).await;
        silent.send(bytes).await;
        assert!(silent.closed().await.is_empty());
    }
    let mut plain = Wire::open(secure.address).await;
    plain.send(get(&format!("{PATH}?EIO=4&transport=polling"))).await;
    // A TLS alert, and nothing else.
    assert_eq!(plain.closed().await.first(), Some(&0x15));
}

#[tokio::test]
async fn a_websocket_ends_with_a_close_notify_and_a_client_may_leave_without_one() {
    let mut secure = secure(PATIENT).await;
    for polite in [true, false] {
        let mut stream = secure.connect(&["http/1.1"]).await.unwrap();
        let opened = ask(&mut stream, opening(&format!("{PATH}?EIO=4&transport=websocket")), "maxPayload").await;
        assert!(opened.starts_with("HTTP/1.1 101"), "{opened}");
        ask(&mut stream, frame(0x81, b"40"), "40{").await;
        ask(&mut stream, frame(0x81, b"42[\"echo\",1]"), "42[\"echo\",1]").await;
        ask(&mut stream, frame(0x81, b"42[\"is-secure\"]"), "42[\"secure\",true]").await;
        if polite {
            within(stream.write_all(&frame(0x88, &1000u16.to_be_bytes()))).await.unwrap();
            let mut rest = Vec::new();
            // An end without a `close_notify` would be an error.
            within(stream.read_to_end(&mut rest)).await.unwrap();
            assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
        } else {
            drop(stream);
        }
        assert_eq!(within(secure.reasons.recv()).await.unwrap(), "transport close");
    }
}
