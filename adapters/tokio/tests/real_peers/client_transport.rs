//! The transport of clients, with real peers on the other side: socket.io on Node.js, the HTTP proxy tinyproxy, and the SOCKS proxy
//! microsocks. Behind the proxies are servers of this crate, with and without TLS.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../support/mod.rs"]
mod support;

use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed, Trial};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use socketio_conformance::peers::{self, Peers};
use socketio_conformance::process::{Output, Process, Progress};
use socketio_tokio::client::{ClientTls, ConnectError, Dialer, Proxies, ProxyFault};
use socketio_tokio::{Event, Server, Socket, Tls, serve_tls};
use support::client::{Client, Link, POLL, WEBSOCKET, client, client_with, get, join, post, try_get};
use support::{Host, within};

/// The longest time until a program listens: a last resort.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A test: it fails by a panic, and is skipped with a reason if a program is missing.
type Test = fn(&Peers) -> Result<(), String>;

pub(crate) fn trials(peers: &Peers) -> Vec<Trial> {
    let tests: [(&str, Test); 6] = [
        ("node::polling_websocket_and_upgrade_work", node),
        ("tinyproxy::polls_are_made_by_the_proxy_and_websockets_and_tls_go_through_a_tunnel", http_proxy),
        ("tinyproxy::a_proxy_over_tls_serves_plain_and_secure_servers", https_proxy),
        ("tinyproxy::a_wrong_password_and_a_forbidden_port_are_told_apart", http_proxy_refuses),
        ("microsocks::requests_and_websockets_go_through_it_and_it_resolves_names", socks_proxy),
        ("microsocks::a_wrong_password_and_a_server_that_is_not_there_are_told_apart", socks_proxy_refuses),
    ];
    let trial = |(name, test): (&str, Test)| {
        let peers = peers.clone();
        Trial::ignorable_test(format!("client_transport::{name}"), move || match test(&peers) {
            Ok(()) => Ok(Completion::Completed),
            Err(missing) if peers::all_required() => Err(Failed::from(missing)),
            Err(missing) => Ok(Completion::ignored_with(missing)),
        })
    };
    tests.into_iter().map(trial).collect()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(test);
}

fn node(peers: &Peers) -> Result<(), String> {
    let node = peers.node().map_err(|missing| missing.to_string())?;
    let script = crate::group::script("reference_echo.mjs");
    let mut server = Process::start("reference", &mut node.script(&script)).unwrap();
    let deadline = Instant::now().checked_add(START_PATIENCE).unwrap();
    let address: SocketAddr = loop {
        match server.next(deadline).unwrap() {
            Progress::Line(Output::Stderr, line) if line.starts_with("listening on ") => {
                break line["listening on ".len()..].parse().unwrap();
            }
            Progress::Line(..) => {}
            other => panic!("{other:?}\n{}", server.transcript()),
        }
    };
    run(async {
        let client = client(&format!("http://{address}"));
        Link::open(&client, WEBSOCKET).await.joins_and_echoes("message", "message-back").await;

        let first = try_get(&client, POLL).await.unwrap();
        // Node closes idle connections early, and says so: the connector depends on it.
        assert_eq!(first.headers()["keep-alive"], "timeout=5");
        let query = join(&client).await;
        let held = client.request(engineio_proto::client::Method::Get, &query);
        // The greeting may have come with the answer to CONNECT, or come now.
        let (_, ()) = tokio::join!(within(held), post(&client, &query, "42[\"message\",1]"));
        let mut link = Link::open(&client, &query.replace("polling", "websocket")).await;
        link.send("2probe").await;
        assert_eq!(link.next().await.as_deref(), Some("3probe"));
        let rest = get(&client, &query).await;
        assert!(rest.ends_with("message-back\",1]") || rest == "6", "{rest}");
        link.send("5").await;
        link.send("42[\"message\",\"upgraded\"]").await;
        while link.next().await.unwrap() != "42[\"message-back\",\"upgraded\"]" {}

        let error = within(client.connect_websocket("EIO=4&transport=websocket&sid=unknown")).await.unwrap_err();
        assert!(error.to_string().contains("Session ID unknown"), "{error}");
        let refused = try_get(&client, "EIO=4&transport=none").await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.body()[..]),
            (400, &b"{\"code\":0,\"message\":\"Transport unknown\"}"[..])
        );
    });
    Ok(())
}

/// A proxy in another process, which prints what it does.
struct Proxy {
    process: Process,
    port: u16,
    file: Option<PathBuf>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.file.as_deref().map(std::fs::remove_file);
    }
}

/// A port on which nobody listens at the moment.
fn free_port() -> u16 {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Proxy {
    fn tinyproxy(settings: &str) -> Result<Self, String> {
        let port = free_port();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tinyproxy-{}-{port}.conf", std::process::id()));
        let content = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Info\n{settings}\n");
        std::fs::write(&file, content).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&file);
        Self::start(command, port, Some(file))
    }

    fn microsocks(arguments: &[&str]) -> Result<Self, String> {
        let port = free_port();
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
        Self::start(command, port, None)
    }

    /// Starts it, and waits until it listens.
    fn start(mut command: Command, port: u16, file: Option<PathBuf>) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let process = match Process::start(&name, &mut command) {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("{name} is not installed: apt-get install {name}"));
            }
            Err(error) => panic!("{error}"),
        };
        let mut proxy = Self { process, port, file };
        let deadline = Instant::now().checked_add(START_PATIENCE).unwrap();
        while StdStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(proxy.process.is_running() && Instant::now() < deadline, "{}", proxy.process.transcript());
            thread::sleep(Duration::from_millis(100));
        }
        Ok(proxy)
    }

    /// Panics unless it has printed this by now, or prints it soon.
    fn said(&mut self, text: &str) {
        let deadline = Instant::now().checked_add(START_PATIENCE).unwrap();
        while !self.process.transcript().contains(text) {
            let next = self.process.next(deadline).unwrap();
            assert!(matches!(next, Progress::Line(..)), "{text:?} is missing\n{}", self.process.transcript());
        }
    }

    fn at(&self, scheme: &str, user: &str) -> Proxies {
        Proxies::all(&format!("{scheme}://{user}127.0.0.1:{}", self.port), "").unwrap()
    }
}

fn echo() -> Server {
    let server = Server::new();
    server.on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()));
    server
}

/// The settings of a server over TLS, and of a client that trusts it.
fn identity() -> (ServerConfig, ClientTls) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    (config, ClientTls::builder().root(cert.der().as_ref()).build().unwrap())
}

/// A server over TLS, and the settings of a client that trusts it.
async fn secure() -> (u16, ClientTls) {
    let (config, tls) = identity();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve_tls(Tls::new(listener, config), echo()).into_future());
    (port, tls)
}

/// Speaks TLS in front of a program that does not.
async fn tls_before(port: u16, config: ServerConfig) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust it ends the handshake.
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                // Ends with an error if a peer closes without `close_notify`.
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    own
}

async fn polls_and_connects(client: &Client) {
    let query = join(client).await;
    post(client, &query, "42[\"echo\",1]").await;
    assert_eq!(get(client, &query).await, "42[\"echo\",1]");
    Link::open(client, WEBSOCKET).await.joins_and_echoes("echo", "echo").await;
}

fn http_proxy(_: &Peers) -> Result<(), String> {
    for (settings, user) in [("", ""), ("BasicAuth user p4ss", "user:p4ss@")] {
        let mut proxy = Proxy::tinyproxy(settings)?;
        run(async {
            let host = Host::start(echo()).await;
            let port = host.address.port();
            polls_and_connects(&client_with(
                &format!("http://127.0.0.1:{port}"),
                Dialer::new(),
                proxy.at("http", user),
            ))
            .await;
            proxy.said(&format!("GET http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling HTTP/1.1"));
            proxy.said(&format!("POST http://127.0.0.1:{port}/socket.io/"));
            proxy.said(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1"));

            let (port, tls) = secure().await;
            let dialer = Dialer::new().with_tls(tls);
            polls_and_connects(&client_with(&format!("https://localhost:{port}"), dialer, proxy.at("http", user)))
                .await;
            proxy.said(&format!("CONNECT localhost:{port} HTTP/1.1"));
        });
    }
    Ok(())
}

fn https_proxy(_: &Peers) -> Result<(), String> {
    let mut proxy = Proxy::tinyproxy("")?;
    run(async {
        let (config, tls) = identity();
        let url = format!("https://localhost:{}", tls_before(proxy.port, config.clone()).await);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve_tls(Tls::new(listener, config), echo()).into_future());
        let host = Host::start(echo()).await;
        for server in [format!("https://localhost:{port}"), format!("http://{}", host.address)] {
            let proxies = Proxies::all(&url, "").unwrap();
            let dialer = Dialer::new().with_tls(tls.clone()).with_proxy_tls(tls.clone());
            polls_and_connects(&client_with(&server, dialer, proxies)).await;
        }
        proxy.said(&format!("CONNECT localhost:{port} HTTP/1.1"));
        proxy.said(&format!("GET http://{}/socket.io/", host.address));

        let untrusted =
            client_with(&format!("http://{}", host.address), Dialer::new(), Proxies::all(&url, "").unwrap());
        let error = try_get(&untrusted, POLL).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Proxy { fault: ProxyFault::Unreachable, .. }), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with("the TLS handshake with localhost failed"), "{source}");
    });
    Ok(())
}

fn http_proxy_refuses(_: &Peers) -> Result<(), String> {
    let proxy = Proxy::tinyproxy("BasicAuth user p4ss\nConnectPort 443")?;
    run(async {
        let host = Host::start(echo()).await;
        let url = format!("http://{}", host.address);
        let name = format!("127.0.0.1:{}", proxy.port);
        let through = |user: &str| client_with(&url, Dialer::new(), proxy.at("http", user));
        for user in ["", "user:wrong@"] {
            let error = within(through(user).connect_websocket(WEBSOCKET)).await.unwrap_err();
            let expected = format!(
                "the proxy {name} needs authentication: give it a user and a password, or check those in its URL"
            );
            assert_eq!(error.to_string(), expected);
        }
        // The proxy makes the request of a poll itself, so its refusal looks like that of a server, except for this status.
        let error = try_get(&through(""), POLL).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Proxy { fault: ProxyFault::AuthenticationRequired, .. }), "{error}");
        let error = within(through("user:p4ss@").connect_websocket(WEBSOCKET)).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Proxy { fault: ProxyFault::Status(403), .. }), "{error}");
        get(&through("user:p4ss@"), POLL).await;

        let nobody = Proxies::all(&format!("http://127.0.0.1:{}", free_port()), "").unwrap();
        let error = try_get(&client_with(&url, Dialer::new(), nobody), POLL).await.unwrap_err();
        assert!(error.to_string().ends_with("cannot be reached: check its address, or connect without it"), "{error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"));
    });
    Ok(())
}

fn socks_proxy(_: &Peers) -> Result<(), String> {
    for (arguments, user) in [(&[][..], ""), (&["-u", "user", "-P", "p@ss"], "user:p%40ss@"), (&[], "user:unasked@")] {
        let mut proxy = Proxy::microsocks(arguments)?;
        run(async {
            let host = Host::start(echo()).await;
            let port = host.address.port();
            for (scheme, name) in [("socks5", "127.0.0.1"), ("socks5h", "localhost")] {
                let url = format!("http://{name}:{port}");
                polls_and_connects(&client_with(&url, Dialer::new(), proxy.at(scheme, user))).await;
                proxy.said(&format!("connected to {name}:{port}"));
            }
            let (port, tls) = secure().await;
            let url = format!("https://localhost:{port}");
            polls_and_connects(&client_with(&url, Dialer::new().with_tls(tls), proxy.at("socks5", user))).await;
            proxy.said(&format!("connected to localhost:{port}"));
        });
    }
    Ok(())
}

fn socks_proxy_refuses(_: &Peers) -> Result<(), String> {
    let closed = Proxy::microsocks(&["-u", "user", "-P", "p4ss"])?;
    let open = Proxy::microsocks(&[])?;
    run(async {
        let host = Host::start(echo()).await;
        let url = format!("http://{}", host.address);
        for user in ["", "user:wrong@"] {
            let client = client_with(&url, Dialer::new(), closed.at("socks5", user));
            for error in [
                try_get(&client, POLL).await.unwrap_err(),
                within(client.connect_websocket(WEBSOCKET)).await.unwrap_err(),
            ] {
                assert!(
                    matches!(&error, ConnectError::Proxy { fault: ProxyFault::AuthenticationRequired, .. }),
                    "{error}"
                );
            }
        }
        let nobody = client_with(&format!("http://127.0.0.1:{}", free_port()), Dialer::new(), open.at("socks5", ""));
        let error = try_get(&nobody, POLL).await.unwrap_err();
        assert!(error.to_string().ends_with("refused the connection: the server refused the connection"), "{error}");
        // A SOCKS proxy is no HTTP proxy.
        let error = within(client_with(&url, Dialer::new(), open.at("http", "")).connect_websocket(WEBSOCKET))
            .await
            .unwrap_err();
        assert!(matches!(&error, ConnectError::Proxy { fault: ProxyFault::InvalidAnswer, .. }), "{error}");
    });
    Ok(())
}
