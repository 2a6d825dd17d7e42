//! WebTransport over QUIC on loopback: our clients on our servers, and sessions written by hand that do what a client never does.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may panic"
)]

mod support;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use socketio_tokio::client::{ClientBuilder, ClientTls, Dialer, EngineClient, EngineClientBuilder, Pin};
use socketio_tokio::{
    Ack, CloseReason, Cors, Data, DevelopmentCertificate, DisconnectReason, Endpoint, EngineServer,
    EngineServerBuilder, EngineSocket, Event, Failure, LinkKind, Message, Revision, Server, ServerBuilder, Socket,
    Transport, Transports, WebTransport, serve, serve_webtransport,
};
use support::{until, within};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wtransport::endpoint::ConnectOptions;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, RecvStream, SendStream, VarInt};

const WEBTRANSPORT: Transport = Transport::Link(LinkKind::WebTransport);
const WEBSOCKET: Transport = Transport::Link(LinkKind::WebSocket);
const ALL: Transports = Transports { polling: true, websocket: true, webtransport: true };

/// A server with both listeners on one port number.
struct Host {
    address: SocketAddr,
    certificate: DevelopmentCertificate,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Host {
    async fn start(endpoint: impl Endpoint) -> Self {
        Self::start_with(endpoint, |listener| listener).await
    }

    async fn start_with(endpoint: impl Endpoint, change: impl FnOnce(WebTransport) -> WebTransport) -> Self {
        let certificate = DevelopmentCertificate::new(["localhost", "127.0.0.1"]).unwrap();
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // Another program may have the port of UDP.
            if let Ok(udp) = std::net::UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let listener = change(WebTransport::new(udp, certificate.server_config().unwrap()).unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve_webtransport(listener, endpoint.clone()).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let others = tokio::spawn(serve(tcp, endpoint).into_future());
        let task = tokio::spawn(async move {
            serving.await;
            others.abort();
        });
        Self { address, certificate, stop: Some(stop), task }
    }

    fn dialer(&self) -> Dialer {
        let pin = Pin::certificate(&self.certificate.fingerprint()).unwrap();
        Dialer::new().with_tls(ClientTls::builder().pin(pin).build().unwrap())
    }

    fn client(&self, transports: &[Transport]) -> ClientBuilder {
        let builder = ClientBuilder::new(&format!("http://{}", self.address)).unwrap();
        builder.transports(transports.to_vec()).dialer(self.dialer()).reconnection(false)
    }

    fn engine_client(&self, transports: &[Transport]) -> EngineClientBuilder {
        let builder = EngineClientBuilder::new(&format!("http://{}", self.address)).unwrap();
        builder.transports(transports.to_vec()).dialer(self.dialer())
    }

    /// A session written by hand, without a stream.
    async fn session(&self, path: &str) -> Result<Connection, wtransport::error::ConnectingError> {
        self.session_from(self.address, path, None).await
    }

    async fn session_from(
        &self,
        address: SocketAddr,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Connection, wtransport::error::ConnectingError> {
        let hash = Sha256Digest::new(self.certificate.sha256());
        let config = ClientConfig::builder()
            .with_bind_address("127.0.0.1:0".parse().unwrap())
            .with_server_certificate_hashes([hash])
            .build();
        let mut options = ConnectOptions::builder(format!("https://{address}{path}"));
        if let Some(origin) = origin {
            options = options.add_header("origin", origin);
        }
        within(wtransport::Endpoint::client(config).unwrap().connect(options.build())).await
    }

    /// A session written by hand, with its stream.
    async fn stream(&self) -> Raw {
        let connection = self.session("/engine.io/").await.unwrap();
        let (send, receive) = within(within(connection.open_bi()).await.unwrap()).await.unwrap();
        Raw { connection, send, receive }
    }

    /// One that has opened an Engine.IO session.
    async fn opened(&self) -> Raw {
        let mut raw = self.stream().await;
        raw.write(b"\x010").await;
        assert!(raw.packet().await.starts_with(b"0{\"sid\":"));
        raw
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A session whose frames a test writes.
struct Raw {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Raw {
    async fn write(&mut self, bytes: &[u8]) {
        within(self.send.write_all(bytes)).await.unwrap();
    }

    /// The next packet, which must be shorter than 64 KiB.
    async fn packet(&mut self) -> Vec<u8> {
        let mut header = [0; 1];
        within(self.receive.read_exact(&mut header)).await.unwrap();
        let length = match header[0] & 0x7f {
            126 => {
                let mut length = [0; 2];
                within(self.receive.read_exact(&mut length)).await.unwrap();
                u16::from_be_bytes(length).into()
            }
            short => usize::from(short),
        };
        let mut packet = vec![0; length];
        within(self.receive.read_exact(&mut packet)).await.unwrap();
        packet
    }

    /// Waits until the server has closed the session.
    async fn closed(&self) {
        within(self.connection.closed()).await;
    }
}

/// An echo server of Engine.IO, and the reasons of the ends of its sessions.
fn echo(builder: EngineServerBuilder) -> (EngineServer, mpsc::UnboundedReceiver<CloseReason>) {
    let (gone, reasons) = mpsc::unbounded_channel();
    let server = builder
        .transports(ALL)
        .on_message(|socket: EngineSocket, message: Message| socket.send(message))
        .on_close(move |_: EngineSocket, reason: CloseReason| gone.send(reason).unwrap())
        .build();
    (server, reasons)
}

/// A server of Socket.IO, and the reasons of the ends of its sockets.
fn server(builder: ServerBuilder) -> (Server, mpsc::UnboundedReceiver<String>) {
    let server = builder.transports(ALL).build();
    let (gone, reasons) = mpsc::unbounded_channel();
    server
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on("sum", |Data((a, b)): Data<(i64, i64)>, ack: Ack| ack.send(a + b))
        .on("ask", async |socket: Socket, ack: Ack| {
            let answer: String = socket.emit_with_ack("question", "?")?.await?.read()?;
            ack.send(answer)?;
            Ok::<(), Failure>(())
        })
        .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.send(reason.to_string()).unwrap());
    (server, reasons)
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    within(receiver.recv()).await.unwrap()
}

fn blob(length: usize) -> Bytes {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

/// Uses a connection in every way.
async fn exchange(socket: &socketio_tokio::client::Socket) {
    socket.on("question", |event: Event| event.ack("because"));
    let sum: i64 = within(socket.emit_with_ack("sum", (1, 2)).unwrap()).await.unwrap().read().unwrap();
    assert_eq!(sum, 3);
    let answer: String = within(socket.emit_with_ack("ask", ()).unwrap()).await.unwrap().read().unwrap();
    assert_eq!(answer, "because");
    for length in [0, 1, 125, 126, 4096, 65_535, 65_536, 900_000] {
        socket.emit("echo", ("text", blob(length))).unwrap();
        let event = within(socket.recv()).await.unwrap();
        let (text, data): (String, Bytes) = event.read().unwrap();
        assert_eq!((event.name().to_string(), &*text, data), ("echo".to_owned(), "text", blob(length)));
    }
}

#[tokio::test]
async fn a_client_opens_its_session_over_webtransport_and_says_goodbye() {
    let (server, mut reasons) = server(Server::builder());
    let (seen, mut handshakes) = mpsc::unbounded_channel();
    server.on_connect(move |socket: Socket| {
        let handshake = socket.handshake();
        let of =
            (handshake.secure(), handshake.address().is_some(), handshake.revision(), handshake.target().to_owned());
        seen.send((socket.transport(), of)).unwrap();
    });
    let host = Host::start(server.clone()).await;
    let client = host.client(&[WEBTRANSPORT]).query("room", "a b").build();
    let socket = client.socket("/");
    within(socket.connect().connected()).await.unwrap();
    let (transport, handshake) = next(&mut handshakes).await;
    assert_eq!(transport, WEBTRANSPORT);
    assert_eq!(handshake, (true, true, Revision::V4, "/socket.io/?room=a%20b".to_owned()));
    assert_eq!(client.transport(), WEBTRANSPORT);
    exchange(&socket).await;
    client.close();
    within(client.closed()).await;
    assert_eq!(next(&mut reasons).await, "client namespace disconnect");
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_polling_session_is_upgraded_and_loses_nothing() {
    let (server, mut reasons) = server(Server::builder());
    let (upgraded, mut upgrades) = mpsc::unbounded_channel();
    server.on_upgrade(move |_: Socket, transport: Transport| upgraded.send(transport).unwrap());
    let host = Host::start(server.clone()).await;
    let client = host.client(&[Transport::Polling, WEBTRANSPORT]).build();
    let socket = client.socket("/");
    within(socket.connect().connected()).await.unwrap();
    for number in 0..200 {
        socket.emit("echo", number).unwrap();
    }
    for number in 0..200 {
        let event = within(socket.recv()).await.unwrap();
        assert_eq!(event.read::<i32>().unwrap(), number);
    }
    assert_eq!(next(&mut upgrades).await, WEBTRANSPORT);
    exchange(&socket).await;
    assert_eq!((client.transport(), server.metrics().engine.sessions_upgraded), (WEBTRANSPORT, 1));
    client.close();
    within(client.closed()).await;
    next(&mut reasons).await;
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn webtransport_has_a_head_start_over_a_websocket() {
    let (server, _reasons) = server(Server::builder());
    let (upgraded, mut upgrades) = mpsc::unbounded_channel();
    server.on_upgrade(move |_: Socket, transport: Transport| upgraded.send(transport).unwrap());
    let host = Host::start(server.clone()).await;
    let client = host.client(&[Transport::Polling, WEBSOCKET, WEBTRANSPORT]).build();
    within(client.socket("/").connect().connected()).await.unwrap();
    assert_eq!(next(&mut upgrades).await, WEBTRANSPORT);
}

#[tokio::test]
async fn a_client_without_the_pin_of_the_certificate_is_told_and_polls_on() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server).await;
    let wrong = ClientTls::builder().pin(Pin::certificate(&"00".repeat(32)).unwrap()).build().unwrap();
    let client = host.engine_client(&[WEBTRANSPORT]).dialer(Dialer::new().with_tls(wrong.clone())).build();
    let failure = within(client.open().opened()).await.unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("no WebTransport session with 127.0.0.1: ") && text.contains("WrongPin"), "{text}");
    // A failed upgrade harms nobody.
    let client =
        host.engine_client(&[Transport::Polling, WEBTRANSPORT]).dialer(Dialer::new().with_tls(wrong)).connect();
    within(client.opened()).await.unwrap();
    client.send("hello").unwrap();
    assert_eq!(within(client.recv()).await, Some(Message::from("hello")));
    assert_eq!(client.transport(), Transport::Polling);
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_session() {
    let (server, mut reasons) = echo(EngineServer::builder().max_payload(1000));
    let host = Host::start(server.clone()).await;
    let client = host.engine_client(&[WEBTRANSPORT]).connect();
    client.send("x".repeat(999)).unwrap();
    assert_eq!(within(client.recv()).await.map(|message| message.len()), Some(999));
    client.send("x".repeat(1000)).unwrap();
    assert!(matches!(next(&mut reasons).await, CloseReason::ParseError(_)));
    assert_eq!(within(client.recv()).await, None);
    assert_eq!(server.metrics().faults.values().sum::<u64>(), 1);
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_session_that_says_nothing_is_closed() {
    let (server, _reasons) = echo(EngineServer::builder().upgrade_timeout(Duration::from_millis(100)));
    let host = Host::start(server.clone()).await;
    // No stream.
    let session = host.session("/engine.io/").await.unwrap();
    within(session.closed()).await;
    // A stream, and half a packet.
    for half in [&b"\x01"[..], b"\x7f\x00", b"\x200{"] {
        let mut raw = host.stream().await;
        raw.write(half).await;
        raw.closed().await;
    }
    assert_eq!(server.metrics().sessions_opened, 0);
}

#[tokio::test]
async fn a_first_packet_that_is_not_an_open_packet_closes_the_session() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let long = [&b"\x7e\x20\x000{\"sid\":\""[..], &[b'a'; 0x2000]].concat();
    for first in [
        &b"\x064hello"[..],
        b"\x012",
        b"\x00",
        b"\x80",
        b"\x810",
        b"\x030{}",
        b"\x0b0{\"sid\":\"a\"}",
        b"\x0e0{\"sid\":\"../\"}",
        b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        &long,
    ] {
        let mut raw = host.stream().await;
        raw.write(first).await;
        raw.closed().await;
    }
    assert_eq!(server.metrics().sessions_opened, 0);
    host.opened().await;
}

#[tokio::test]
async fn a_packet_may_come_byte_by_byte_and_many_at_once() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server).await;
    let mut raw = host.stream().await;
    for byte in b"\x010\x064\xe2\x82\xacab" {
        raw.write(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert!(raw.packet().await.starts_with(b"0{"));
    assert_eq!(raw.packet().await, "4\u{20ac}ab".as_bytes());
    raw.write(&b"\x024a\x84\x01\x02\x03\x04".repeat(100)).await;
    for _ in 0..100 {
        assert_eq!(raw.packet().await, b"4a");
        assert_eq!(raw.packet().await, [1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn datagrams_and_streams_of_one_direction_are_ignored() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let mut raw = host.opened().await;
    for _ in 0..100 {
        // One that does not fit is dropped.
        let _ = raw.connection.send_datagram(b"4hello");
    }
    for _ in 0..3 {
        let mut stream = within(within(raw.connection.open_uni()).await.unwrap()).await.unwrap();
        within(stream.write_all(b"\x064hello")).await.unwrap();
    }
    raw.write(b"\x024a").await;
    assert_eq!(raw.packet().await, b"4a");
    assert_eq!(server.sessions(), 1);
}

#[tokio::test]
async fn a_second_stream_ends_the_session() {
    let (server, mut reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let raw = host.opened().await;
    let mut second = within(within(raw.connection.open_bi()).await.unwrap()).await.unwrap();
    // The connection may be closed by now.
    let _ = within(second.0.write_all(b"\x064hello")).await;
    assert_eq!(next(&mut reasons).await, CloseReason::TransportClose);
    raw.closed().await;
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_or_stopped_or_ends_ends_the_session() {
    let (server, mut reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let mut raw = host.opened().await;
    raw.send.reset(VarInt::from_u32(7)).unwrap();
    assert_eq!(next(&mut reasons).await, CloseReason::TransportClose);
    raw.closed().await;

    let mut raw = host.opened().await;
    raw.write(b"\x024a").await;
    assert_eq!(raw.packet().await, b"4a");
    within(raw.send.finish()).await.unwrap();
    assert_eq!(next(&mut reasons).await, CloseReason::TransportClose);
    raw.closed().await;

    let Raw { connection, mut send, receive } = host.opened().await;
    receive.stop(VarInt::from_u32(7));
    // The server notices when it writes.
    within(send.write_all(b"\x024a")).await.unwrap();
    assert!(matches!(next(&mut reasons).await, CloseReason::TransportError(_)));
    within(connection.closed()).await;

    let raw = host.opened().await;
    raw.connection.close(VarInt::from_u32(7), b"bye");
    assert_eq!(next(&mut reasons).await, CloseReason::TransportClose);
    until(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn only_an_upgrade_of_a_session_that_polls_is_admitted() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let first = host.engine_client(&[WEBTRANSPORT]).connect();
    within(first.opened()).await.unwrap();
    let open = format!("0{{\"sid\":\"{}\"}}", server.sockets()[0].id());
    let mut second = host.stream().await;
    second.write(&[u8::try_from(open.len()).unwrap()]).await;
    second.write(open.as_bytes()).await;
    second.closed().await;
    first.send("still here").unwrap();
    assert_eq!(within(first.recv()).await, Some(Message::from("still here")));
}

#[tokio::test]
async fn sessions_of_other_paths_pages_and_transports_are_refused() {
    let refused = |session: Result<Connection, _>| {
        assert!(matches!(session, Err(wtransport::error::ConnectingError::SessionRejected)), "{session:?}");
    };
    let (server, _reasons) = echo(EngineServer::builder().check_origin("https://app.example"));
    let host = Host::start(server.clone()).await;
    refused(host.session("/other/").await);
    refused(host.session("/engine.io").await);
    refused(host.session_from(host.address, "/engine.io/", Some("https://evil.example")).await);
    host.session_from(host.address, "/engine.io/", Some("https://app.example")).await.unwrap();
    host.session("/engine.io/").await.unwrap();
    assert_eq!(server.metrics().refused.get("Forbidden"), Some(&1));

    // Without `check_origin`, the rules of CORS apply. The server's own pages need none.
    let (server, _reasons) = echo(EngineServer::builder().cors(Cors::new("https://app.example")));
    let host = Host::start(server).await;
    refused(host.session_from(host.address, "/engine.io/", Some("https://evil.example")).await);
    host.session_from(host.address, "/engine.io/", Some("https://app.example")).await.unwrap();
    let own = format!("https://{}", host.address);
    host.session_from(host.address, "/engine.io/", Some(&own)).await.unwrap();

    let host = Host::start(EngineServer::new()).await;
    refused(host.session("/engine.io/").await);
}

#[tokio::test]
async fn allow_request_and_the_number_of_sessions_hold_for_webtransport() {
    let (asked, mut paths) = mpsc::unbounded_channel();
    let builder = EngineServer::builder().max_sessions(1).allow_request(move |request| {
        let target = request.uri.path_and_query().unwrap().to_string();
        asked.send(target.clone()).unwrap();
        async move { if target.contains("secret") { Ok(()) } else { Err("no".to_owned()) } }
    });
    let (server, _reasons) = echo(builder);
    let host = Host::start(server.clone()).await;
    let mut raw = host.stream().await;
    raw.write(b"\x010").await;
    raw.closed().await;
    assert_eq!(next(&mut paths).await, "/engine.io/");
    let client = host.engine_client(&[WEBTRANSPORT]).query("token", "secret").connect();
    within(client.opened()).await.unwrap();
    assert_eq!(next(&mut paths).await, "/engine.io/?token=secret");
    let second = host.engine_client(&[WEBTRANSPORT]).query("token", "secret").build();
    within(second.open().opened()).await.unwrap_err();
    let refused = server.metrics().refused;
    assert_eq!(refused.get("Forbidden"), Some(&1), "{refused:?}");
    assert_eq!(refused.values().sum::<u64>(), 2, "{refused:?}");
    assert_eq!(server.sessions(), 1);
}

#[tokio::test]
async fn connections_without_a_session_are_limited() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start_with(server, |listener| listener.with_max_pending(2)).await;
    // The second one must prove its address.
    let (_first, _second) = (host.stream().await, host.stream().await);
    assert!(host.session("/engine.io/").await.is_err());
    let mut first = _first;
    first.write(b"\x010").await;
    assert!(first.packet().await.starts_with(b"0{"));
    // A session has it now, and another one may come.
    host.session("/engine.io/").await.unwrap();
}

/// Forwards UDP between a client and a server, until it is dropped.
struct Relay {
    address: SocketAddr,
    moves: mpsc::UnboundedSender<()>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start(server: SocketAddr) -> Self {
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = here.local_addr().unwrap();
        let (moves, mut moved) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let (mut client, mut up, mut down) = (None, [0; 2048], [0; 2048]);
            loop {
                tokio::select! {
                    received = here.recv_from(&mut up) => {
                        let (length, from) = received.unwrap();
                        client = Some(from);
                        there.send_to(&up[..length], server).await.unwrap();
                    }
                    received = there.recv_from(&mut down) => {
                        let (length, _) = received.unwrap();
                        here.send_to(&down[..length], client.unwrap()).await.unwrap();
                    }
                    Some(()) = moved.recv() => there = UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                }
            }
        });
        Self { address, moves, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client that reaches its server through a relay.
fn relayed(host: &Host, relay: &Relay) -> EngineClient {
    let builder = EngineClientBuilder::new(&format!("https://{}", relay.address)).unwrap();
    builder.transports([WEBTRANSPORT]).dialer(host.dialer()).connect()
}

#[tokio::test]
async fn a_quic_connection_that_moves_to_another_address_keeps_its_session() {
    let (server, _reasons) = echo(EngineServer::builder());
    let host = Host::start(server.clone()).await;
    let relay = Relay::start(host.address).await;
    let client = relayed(&host, &relay);
    within(client.opened()).await.unwrap();
    for number in 0..3 {
        relay.moves.send(()).unwrap();
        let text = format!("after move {number}");
        client.send(&*text).unwrap();
        assert_eq!(within(client.recv()).await, Some(Message::from(text)));
    }
    assert_eq!(server.metrics().sessions_opened, 1);
}

#[tokio::test]
async fn a_quic_connection_that_dies_leaves_no_session() {
    let builder = EngineServer::builder();
    let (server, mut reasons) =
        echo(builder.ping_interval(Duration::from_millis(200)).ping_timeout(Duration::from_millis(200)));
    let host = Host::start(server.clone()).await;
    let relay = Relay::start(host.address).await;
    let client = relayed(&host, &relay);
    within(client.opened()).await.unwrap();
    drop(relay);
    assert_eq!(next(&mut reasons).await, CloseReason::PingTimeout);
    until(|| server.sessions() == 0).await;
    // The client has missed the pings.
    assert_eq!(within(client.recv()).await, None);
}

#[tokio::test]
async fn a_graceful_shutdown_delivers_what_was_queued_and_refuses_new_connections() {
    let (server, mut reasons) = server(Server::builder());
    let mut host = Host::start(server.clone()).await;
    let client = host.client(&[WEBTRANSPORT]).build();
    let socket = client.socket("/");
    within(socket.connect().connected()).await.unwrap();
    let queued = "x".repeat(100_000);
    for _ in 0..50 {
        server.emit("queued", &queued).unwrap();
    }
    host.stop.take().unwrap().send(()).unwrap();
    for _ in 0..50 {
        assert_eq!(within(socket.recv()).await.unwrap().read::<String>().unwrap().len(), queued.len());
    }
    assert_eq!(next(&mut reasons).await, "server shutting down");
    within(&mut host.task).await.unwrap();
    assert_eq!(server.sessions(), 0);
    assert!(!socket.is_connected());
}
