//! A chat: a web page and its server.
//!
//! Run `cargo run --release -p socketio-tokio --example chat`, then open http://127.0.0.1:3000 in two tabs. Flags: `--host`, `--port` (0
//! selects a free port), `--client FILE` to serve the official client from a file instead of loading it from its CDN, and `--webtransport` to
//! offer WebTransport too, which the page then tries first. The page shows which transport carries its connection.

use std::collections::VecDeque;
use std::env;
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use serde::Serialize;
use socketio_tokio::{
    DevelopmentCertificate, DisconnectReason, EmitError, Event, Failure, Server, Socket, SocketLayer, Transports,
    WebTransport, serve_webtransport,
};
use tokio::net::TcpListener;

/// The maximum length of a message in characters.
const MAX_TEXT: usize = 2_000;
/// The maximum length of a name in characters.
const MAX_NAME: usize = 40;

/// The number of messages kept for users who join later.
const MAX_HISTORY: usize = 50;

/// The room of all sockets that have a name.
const CHAT: &str = "chat";

/// The name of a user, stored with the socket.
struct Name(String);

/// A user joined or left.
#[derive(Serialize)]
struct Attendance<'a> {
    name: &'a str,
    users: usize,
}

#[derive(Clone, Serialize)]
struct Said {
    name: String,
    text: String,
}

#[derive(Serialize)]
struct Typing<'a> {
    name: &'a str,
    typing: bool,
}

/// The latest messages, for users who join later or reconnect.
type History = Arc<Mutex<VecDeque<Said>>>;

fn chat(server: &Server) {
    let history = History::default();
    let said = Arc::clone(&history);
    server
        .on("join", move |socket: Socket, event: Event| join(&socket, event, &history))
        .on("message", move |socket: Socket, event: Event| message(&socket, event, &said))
        .on("typing", |socket: Socket, event: Event| match socket.get::<Name>() {
            Some(name) => {
                let typing = event.read()?;
                Ok(socket.to(CHAT).emit("typing", Typing { name: &name.0, typing })?)
            }
            None => Err(Failure::from("`typing` was received before `join`")),
        })
        .on_disconnect(|socket: Socket, _: DisconnectReason| -> Result<(), EmitError> {
            let Some(name) = socket.get::<Name>() else { return Ok(()) };
            let users = names(&socket).len();
            socket.to(CHAT).emit("left", Attendance { name: &name.0, users })
        });
}

fn join(socket: &Socket, event: Event, history: &History) -> Result<(), Failure> {
    let name: String = event.read::<String>()?.trim().chars().take(MAX_NAME).collect();
    if name.is_empty() {
        return Ok(event.ack(serde_json::json!({ "error": "A name is needed." }))?);
    }
    socket.insert(Name(name.clone()));
    socket.join(CHAT);
    let users = names(socket);
    socket.to(CHAT).emit("joined", Attendance { name: &name, users: users.len() })?;
    let history = history.lock().unwrap_or_else(PoisonError::into_inner).clone();
    event.ack(serde_json::json!({ "users": users, "history": history }))?;
    Ok(())
}

fn message(socket: &Socket, event: Event, history: &History) -> Result<(), Failure> {
    let Some(name) = socket.get::<Name>() else { return Err("`message` was received before `join`".into()) };
    let text = event.read::<String>()?.chars().take(MAX_TEXT).collect();
    let said = Said { name: name.0.clone(), text };
    socket.to(CHAT).emit("message", &said)?;
    let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
    if history.len() == MAX_HISTORY {
        history.pop_front();
    }
    history.push_back(said);
    drop(history);
    // The page keeps a message until this acknowledgement arrives.
    event.ack(())?;
    Ok(())
}

/// The names of all users in the chat.
fn names(socket: &Socket) -> Vec<String> {
    let sockets = socket.namespace().to(CHAT).sockets();
    sockets.iter().filter_map(|socket| socket.get::<Name>()).map(|name| name.0.clone()).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::read()?;
    let transports = Transports { polling: true, websocket: true, webtransport: flags.webtransport };
    let server = Server::builder().transports(transports).build();
    chat(&server);
    // A certificate that is made for this run. The page tells the browser its hash.
    let certificate =
        flags.webtransport.then(|| DevelopmentCertificate::new(["localhost", &flags.host])).transpose()?;

    let script = match &flags.client {
        Some(_) => "/client.js",
        None => "https://cdn.socket.io/4.8.1/socket.io.min.js",
    };
    let hash = match &certificate {
        Some(certificate) => format!("{:?}", certificate.sha256()),
        None => "null".to_owned(),
    };
    let page = include_str!("index.html").replace("{{client}}", script).replace("{{hash}}", &hash);
    let mut router = Router::new().route("/", get(move || async { Html(page) }));
    if let Some(path) = &flags.client {
        let client: Arc<str> = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?.into();
        let client =
            move || async move { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], client.to_string()) };
        router = router.route("/client.js", get(client));
    }

    let listener = TcpListener::bind((flags.host.as_str(), flags.port)).await?;
    let address = listener.local_addr()?;
    eprintln!("listening on {address}");
    println!(
        "Open http://{address} in two tabs and join with two names. Restart the server (Ctrl-C): the tabs reconnect."
    );

    if let Some(certificate) = certificate {
        // UDP has port numbers of its own.
        let socket = std::net::UdpSocket::bind(address)?;
        let listener = WebTransport::new(socket, certificate.server_config()?)?;
        println!("WebTransport: the SHA-256 of the certificate is {}", certificate.fingerprint());
        tokio::spawn(serve_webtransport(listener, server.clone()).into_future());
    }

    let ending = server.clone();
    // Packets must not wait for each other: see `SocketLayer`.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, router.layer(SocketLayer::new(server)))
        .with_graceful_shutdown(async move {
            // If no signal handler can be installed, the signal ends the process.
            let _ = tokio::signal::ctrl_c().await;
            ending.shut_down(tokio::time::sleep(std::time::Duration::from_secs(5))).await;
        })
        .await?;
    Ok(())
}

struct Flags {
    host: String,
    port: u16,
    client: Option<String>,
    webtransport: bool,
}

impl Flags {
    fn read() -> Result<Self, Box<dyn std::error::Error>> {
        let mut flags = Self { host: "127.0.0.1".to_owned(), port: 3000, client: None, webtransport: false };
        let mut arguments = env::args().skip(1);
        while let Some(flag) = arguments.next() {
            if flag == "--webtransport" {
                flags.webtransport = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--host" => flags.host = value,
                "--port" => flags.port = value.parse()?,
                "--client" => flags.client = Some(value),
                _ => {
                    return Err(format!(
                        "unknown flag {flag}: the flags are --host, --port, --client and --webtransport"
                    )
                    .into());
                }
            }
        }
        Ok(flags)
    }
}
