//! WebTransport: socket.io-client in a headless Chromium on our server, directly and after an upgrade from polling.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use socketio_tokio::{
    Ack, Data, DevelopmentCertificate, DisconnectReason, Event, Failure, Server, Socket, Transports, WebTransport,
    serve, serve_webtransport,
};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::group::{self, Counterpart, Group, Opposite, Runner};

pub(crate) fn groups() -> Vec<Group> {
    let group = |mode| Group {
        name: format!("browser::webtransport::{mode}"),
        runner: Runner::Browser,
        script: "webtransport_browser.mjs",
        mode,
        checks: group::checks(include_str!("scripts/webtransport_browser.mjs")),
        opposite: Opposite::WebTransport,
    };
    ["direct", "upgrade"].into_iter().map(group).collect()
}

/// A server in this process, until the process ends.
#[derive(Debug)]
pub(crate) struct Listeners {
    address: SocketAddr,
}

impl Listeners {
    pub(crate) fn start() -> io::Result<Self> {
        let (bound, address) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let running = async {
                    let certificate = DevelopmentCertificate::new(["localhost"]).map_err(io::Error::other)?;
                    let config = certificate.server_config().map_err(io::Error::other)?;
                    let (listener, udp) = sockets().await?;
                    let webtransport = WebTransport::new(udp, config)?;
                    let server = server(certificate.sha256());
                    let _ = bound.send(listener.local_addr());
                    tokio::join!(
                        IntoFuture::into_future(serve(listener, server.clone())),
                        IntoFuture::into_future(serve_webtransport(webtransport, server)),
                    );
                    Ok(())
                };
                if let Err(error) = running.await {
                    let _ = bound.send(Err(error));
                }
            });
        });
        let address = address.recv().map_err(io::Error::other)??;
        Ok(Self { address })
    }
}

impl Counterpart for Listeners {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, what: &str) -> Result<(), String> {
        Err(format!("unknown request of the script: {what:?}"))
    }

    fn fault(&mut self) -> Option<String> {
        None
    }

    fn transcript(&mut self) -> String {
        String::new()
    }
}

/// Two sockets with one port number that is free for both.
async fn sockets() -> io::Result<(TcpListener, UdpSocket)> {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        if let Ok(udp) = UdpSocket::bind(listener.local_addr()?) {
            return Ok((listener, udp));
        }
    }
}

fn server(hash: [u8; 32]) -> Server {
    let transports = Transports { polling: true, websocket: true, webtransport: true };
    let server = Server::builder().transports(transports).build();
    let hash = Bytes::copy_from_slice(&hash);
    server
        .on("certificate", move |ack: Ack| ack.send(hash.clone()))
        .on("transport", |socket: Socket, ack: Ack| ack.send(socket.transport().as_str()))
        .on("echo", |socket: Socket, event: Event| socket.emit("echo", event.payload()))
        .on("sum", |Data((a, b)): Data<(i64, i64)>, ack: Ack| ack.send(a + b))
        .on("ask", async |socket: Socket, Data(question): Data<String>, ack: Ack| {
            let answer: String = socket.emit_with_ack("question", question)?.await?.read()?;
            ack.send(answer)?;
            Ok::<(), Failure>(())
        })
        .on("leave", |socket: Socket| socket.close())
        .on_disconnect(|socket: Socket, reason: DisconnectReason| {
            socket.broadcast().emit("gone", (socket.id().as_str(), reason.to_string()))
        });
    server
}
