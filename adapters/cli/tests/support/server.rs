//! A server in this process.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use socketio_tokio::rustls::ServerConfig;
use socketio_tokio::rustls::pki_types::PrivateKeyDer;
use socketio_tokio::{
    Ack, ConnectRequest, DisconnectReason, Event, Namespace, Parser, Refusal, Server, Socket, Tls, serve, serve_tls,
};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::PATIENCE;

/// A server that listens until it is dropped.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
    seen: Receiver<String>,
}

impl Host {
    /// The server of [`contract`].
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let (server, seen) = contract(Server::new());
        Self::serving(address, server, seen)
    }

    /// Over TLS, with a certificate for `localhost` that is its own root. Returns the certificate in PEM as well.
    pub(crate) fn secure() -> (Self, String) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let (server, seen) = contract(Server::new());
        let (runtime, listener, address) = listen("127.0.0.1:0");
        runtime.spawn(async move { serve_tls(Tls::new(listener, config), server).await });
        (Self { address, runtime: Some(runtime), seen }, cert.pem())
    }

    pub(crate) fn serving<P: Parser>(address: &str, server: Server<P>, seen: Receiver<String>) -> Self {
        let (runtime, listener, address) = listen(address);
        runtime.spawn(async move { serve(listener, server).await });
        Self { address, runtime: Some(runtime), seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a server has noticed next.
    pub(crate) fn seen(&self) -> String {
        self.seen.recv_timeout(PATIENCE).unwrap_or_else(|error: RecvTimeoutError| panic!("nothing came: {error}"))
    }

    /// Waits until a server has noticed this.
    pub(crate) fn until(&self, wanted: &str) {
        while self.seen() != wanted {}
    }

    /// Ends without a word, as a crash does.
    pub(crate) fn crash(mut self) -> SocketAddr {
        let runtime = self.runtime.take().unwrap();
        runtime.shutdown_timeout(PATIENCE);
        self.address
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn listen(address: &str) -> (Runtime, TcpListener, SocketAddr) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
    let address = listener.local_addr().unwrap();
    (runtime, listener, address)
}

/// Reports `connect NAMESPACE AUTH`, `text TEXT` and `disconnect REASON`, sends `message` back as `message-back`, and so on.
pub(crate) fn contract<P: Parser>(server: Server<P>) -> (Server<P>, Receiver<String>) {
    let (sender, seen) = channel();
    on(&server.of("/"), &sender);
    on(&server.of("/custom"), &sender);
    server.of("/refuse").middleware(|_: ConnectRequest<P>| -> Result<(), Refusal> {
        Err(Refusal::new("refused\u{1b}[31m").with_data(serde_json::json!({ "reason": "test" })))
    });
    server.of("/silent").middleware(async |_: ConnectRequest<P>| -> Result<(), Refusal> { pending().await });
    (server, seen)
}

fn on<P: Parser>(namespace: &Namespace<P>, sender: &Sender<String>) {
    let tell = |sender: &Sender<String>| {
        let sender = sender.clone();
        move |what: String| drop(sender.send(what))
    };
    let (connect, text, disconnect) = (tell(sender), tell(sender), tell(sender));
    namespace
        .on_connect(move |socket: Socket<P>| {
            let handshake = socket.handshake();
            let auth = serde_json::to_string(&socket.auth().map(|auth| auth.value())).unwrap_or_default();
            let header = handshake.header("x-test").unwrap_or_default();
            let query = handshake.query_value("q").unwrap_or_default();
            connect(format!("connect {} {auth} {header} {query}", socket.namespace().name()));
        })
        .on("message", |socket: Socket<P>, event: Event<P>| socket.emit("message-back", event.payload()))
        .on("message-with-ack", |_: Socket<P>, event: Event<P>| event.ack_with_received())
        .on("never-ack", |_: Socket<P>, _: Event<P>| {})
        .on("text", move |event: Event<P>| text(format!("text {}", event.read::<String>().unwrap())))
        .on("ask", |socket: Socket<P>, event: Event<P>| async move {
            let answer = socket.emit_with_ack("question", event.payload())?.await?;
            socket.emit("answered", &answer)?;
            Ok::<(), socketio_tokio::Failure>(())
        })
        .on("hostile", |socket: Socket<P>, ack: Ack<P>| {
            socket.emit("\u{1b}]0;name\u{7}", ("\u{9b}31m\u{202e}", "\u{1b}[2J"))?;
            ack.send("\u{1b}c")
        })
        .on("kick", |socket: Socket<P>| socket.disconnect())
        .on_disconnect(move |reason: DisconnectReason| disconnect(format!("disconnect {reason}")));
}
