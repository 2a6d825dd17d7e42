//! The transport of clients over TLS: whom a client trusts, and what it says about whom it does not trust.
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

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use socketio_tokio::client::{ClientTls, ClientTlsBuilder, ConnectError, Dialer, Pin, Proxies, ProxyFault, TlsFault};
use socketio_tokio::{Event, Server, Socket, Stream, Tls, serve_tls};
use support::client::{Client, Link, POLL, Scripted, WEBSOCKET, client, client_with, join, try_get};
use support::within;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority that exists only in this test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    /// Authorities of different names, because one of the same name is an impostor.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate, key }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }
}

impl Identity {
    fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.der().clone()], PrivateKeyDer::Pkcs8(self.key.serialize_der().into()))
    }

    fn fingerprint(&self) -> String {
        hexadecimal(self.certificate.der())
    }
}

/// The SHA-256 as OpenSSL prints it.
fn hexadecimal(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

async fn serve(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    tokio::spawn(serve_tls(Tls::new(listener, config), server).into_future());
    address
}

async fn serve_identity(identity: &Identity) -> SocketAddr {
    let (chain, key) = identity.chain();
    serve(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()).await
}

fn secure_client(url: &str, tls: ClientTlsBuilder) -> Client {
    client_with(url, Dialer::new().with_tls(tls.build().unwrap()), Proxies::none())
}

fn trusting(authority: &Authority) -> ClientTlsBuilder {
    ClientTls::builder().root(authority.der().as_ref())
}

/// The fault of a request that fails in TLS.
async fn fault(client: &Client) -> TlsFault {
    match try_get(client, POLL).await.unwrap_err() {
        ConnectError::Tls { fault, host, .. } => {
            assert!(["localhost", "127.0.0.1"].contains(&&*host), "{host}");
            fault
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn https_and_wss_work_with_an_own_root_in_der_and_in_pem() {
    let authority = Authority::new("one");
    let address = serve_identity(&authority.issue("localhost", |_| {})).await;
    let pem = ClientTls::builder().root_pem(authority.0.pem()).unwrap();
    for tls in [trusting(&authority), pem] {
        let client = secure_client(&format!("wss://localhost:{}", address.port()), tls);
        let query = join(&client).await;
        let mut link = Link::open(&client, &query.replace("polling", "websocket")).await;
        link.send("2probe").await;
        assert_eq!(link.next().await.as_deref(), Some("3probe"));
        let mut link = Link::open(&client, WEBSOCKET).await;
        assert!(matches!(link.stream, Stream::Other(_)));
        link.joins_and_echoes("echo", "echo").await;
        let large = format!("42[\"echo\",\"{}\"]", "x".repeat(300_000));
        link.send(&large).await;
        assert!(link.next().await == Some(large));
    }
}

#[tokio::test]
async fn an_ip_address_can_be_the_name_in_a_certificate() {
    let authority = Authority::new("one");
    let address = serve_identity(&authority.issue("127.0.0.1", |_| {})).await;
    join(&secure_client(&format!("https://{address}"), trusting(&authority))).await;
    let client = secure_client(&format!("https://localhost:{}", address.port()), trusting(&authority));
    assert_eq!(fault(&client).await, TlsFault::WrongHost);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_with_its_fault() {
    let (authority, other) = (Authority::new("one"), Authority::new("another"));
    type Change = fn(&mut CertificateParams);
    let impostor = Authority::new("one");
    let cases: [(&str, &Authority, Change, TlsFault); 5] = [
        ("localhost", &other, |_| {}, TlsFault::UnknownIssuer),
        ("localhost", &impostor, |_| {}, TlsFault::InvalidCertificate),
        ("other.example", &authority, |_| {}, TlsFault::WrongHost),
        ("localhost", &authority, |params| params.not_after = date_time_ymd(2020, 1, 1), TlsFault::Expired),
        ("localhost", &authority, |params| params.not_before = date_time_ymd(2999, 1, 1), TlsFault::NotYetValid),
    ];
    for (name, issuer, change, expected) in cases {
        let address = serve_identity(&issuer.issue(name, change)).await;
        let client = secure_client(&format!("https://localhost:{}", address.port()), trusting(&authority));
        assert_eq!(fault(&client).await, expected);
        let error = within(client.connect_websocket(WEBSOCKET)).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("the TLS handshake with localhost failed: the server's certificate")
                || text.contains("nobody whom this client trusts"),
            "{text}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
    // Nor do the roots of the system know it.
    let address = serve_identity(&other.issue("localhost", |_| {})).await;
    let found = fault(&client(&format!("https://localhost:{}", address.port()))).await;
    assert!([TlsFault::UnknownIssuer, TlsFault::NoRoots].contains(&found), "{found}");
}

#[tokio::test]
async fn a_pinned_certificate_or_key_is_enough_and_another_is_refused() {
    let authority = Authority::new("one");
    // What else is wrong with it does not matter.
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let identity = authority.issue("other.example", expired);
    let address = serve_identity(&identity).await;
    let url = format!("https://localhost:{}", address.port());
    let certificate = Pin::certificate(&identity.fingerprint()).unwrap();
    let key = Pin::public_key(&hexadecimal(&rcgen::PublicKeyData::subject_public_key_info(&identity.key))).unwrap();
    let wrong = Pin::certificate(&authority.issue("localhost", |_| {}).fingerprint()).unwrap();
    join(&secure_client(&url, ClientTls::builder().pin(certificate))).await;
    join(&secure_client(&url, ClientTls::builder().pin(wrong).pin(key))).await;
    // A root does not help a server without the pinned certificate.
    let tls = trusting(&authority).pin(wrong);
    assert_eq!(fault(&secure_client(&url, tls)).await, TlsFault::WrongPin);
    let wrong_key = Pin::public_key(&identity.fingerprint()).unwrap();
    assert_eq!(fault(&secure_client(&url, ClientTls::builder().pin(wrong_key))).await, TlsFault::WrongPin);
}

#[tokio::test]
async fn anything_is_accepted_only_on_explicit_request() {
    let address = serve_identity(&Authority::new("one").issue("other.example", |_| {})).await;
    let url = format!("https://127.0.0.1:{}", address.port());
    join(&secure_client(&url, ClientTls::builder().dangerously_accept_any_certificate())).await;
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it_and_refuses_a_client_without_one() {
    let authority = Authority::new("one");
    let identity = authority.issue("localhost", |_| {});
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots.clone())).build().unwrap();
        let (chain, key) = identity.chain();
        let config = ServerConfig::builder_with_protocol_versions(&[version]).with_client_cert_verifier(verifier);
        let address = serve(config.with_single_cert(chain, key).unwrap()).await;
        let url = format!("https://localhost:{}", address.port());
        let own = authority.issue("a client", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        let tls = trusting(&authority);
        let tls = tls.client_certificate_pem(own.certificate.pem(), own.key.serialize_pem()).unwrap();
        let client = secure_client(&url, tls);
        join(&client).await;
        Link::open(&client, WEBSOCKET).await.joins_and_echoes("echo", "echo").await;
        let without = secure_client(&url, trusting(&authority));
        assert_eq!(fault(&without).await, TlsFault::Refused, "{version:?}");
        let error = within(without.connect_websocket(WEBSOCKET)).await.unwrap_err();
        assert!(error.to_string().contains("it may need a client certificate"), "{error}");
    }
}

/// A proxy over TLS that connects every tunnel to this address.
async fn serve_proxy(identity: &Identity, server: SocketAddr) -> SocketAddr {
    let (chain, key) = identity.chain();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let mut client = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    client.read_line(&mut head).await.unwrap();
                }
                assert!(head.starts_with("CONNECT localhost:"), "{head}");
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(server).await.unwrap();
                // Ends when the client does.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_over_tls_has_settings_of_its_own_and_the_pins_of_the_server_do_not_concern_it() {
    let (own, foreign) = (Authority::new("one"), Authority::new("of the proxy"));
    let identity = own.issue("localhost", |_| {});
    let server = serve_identity(&identity).await;
    let proxy = serve_proxy(&foreign.issue("localhost", |_| {}), server).await;
    let url = format!("https://localhost:{}", server.port());
    let proxies = || Proxies::all(&format!("https://localhost:{}", proxy.port()), "").unwrap();
    let pin = Pin::certificate(&identity.fingerprint()).unwrap();
    let dialer = || Dialer::new().with_tls(ClientTls::builder().pin(pin).build().unwrap());

    let both = dialer().with_proxy_tls(trusting(&foreign).build().unwrap());
    let both = client_with(&url, both, proxies());
    join(&both).await;
    Link::open(&both, WEBSOCKET).await.joins_and_echoes("echo", "echo").await;

    // Without them, the roots of the system count for the proxy, whatever is trusted as the server.
    let error = try_get(&client_with(&url, dialer(), proxies()), POLL).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy { fault: ProxyFault::Unreachable, .. }), "{error}");
    let tls = trusting(&own).root(foreign.der().as_ref()).build().unwrap();
    let error = try_get(&client_with(&url, Dialer::new().with_tls(tls), proxies()), POLL).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy { fault: ProxyFault::Unreachable, .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_or_says_nothing_is_told_apart() {
    let authority = Authority::new("one");
    let server = Scripted::start().await;
    let url = server.url.replace("http:", "https:");
    let dialer = |timeout| Dialer::new().with_tls(trusting(&authority).build().unwrap()).with_connect_timeout(timeout);

    let plain = client_with(&url, dialer(Duration::from_secs(60)), Proxies::none());
    let serve = async {
        let mut wire = server.accept().await;
        wire.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        wire
    };
    let (found, wire) = tokio::join!(fault(&plain), serve);
    assert_eq!(found, TlsFault::NotTls);
    drop(wire);

    let serve = async {
        let mut wire = server.accept().await;
        wire.fill().await;
    };
    let (found, ()) = tokio::join!(fault(&plain), serve);
    assert_eq!(found, TlsFault::Lost);

    let impatient = client_with(&url, dialer(Duration::from_millis(50)), Proxies::none());
    let (found, wire) = tokio::join!(fault(&impatient), server.accept());
    assert_eq!(found, TlsFault::TimedOut);
    drop(wire);

    // Plain HTTP to a server that speaks TLS.
    let address = serve_identity(&authority.issue("localhost", |_| {})).await;
    let error = try_get(&client(&format!("http://{address}")), POLL).await.unwrap_err();
    assert!(matches!(error, ConnectError::InvalidResponse { .. } | ConnectError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn dropping_a_request_aborts_its_tls_handshake() {
    let server = Scripted::start().await;
    let tls = ClientTls::builder().dangerously_accept_any_certificate();
    let client = secure_client(&server.url.replace("http:", "https:"), tls);
    let serve = async {
        let mut wire = server.accept().await;
        wire.fill().await;
        wire
    };
    let mut wire = tokio::select! {
        response = try_get(&client, POLL) => panic!("{response:?}"),
        wire = serve => wire,
    };
    wire.closed().await;
}
