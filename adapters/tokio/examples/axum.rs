//! A server beside the routes of an axum application, one of several behind a load balancer. `examples/proxies` has the configuration of nginx
//! and HAProxy for two of them, which this starts:
//!
//! ```sh
//! cargo run --release -p socketio-tokio --example axum -- a 3001
//! cargo run --release -p socketio-tokio --example axum -- b 3002
//! ```
//!
//! All requests of a session have to reach the server that opened it. So session ids begin with the name of the server, by which the load
//! balancer finds it. This needs no cookie, and works across origins.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use socketio_tokio::{ClientAddress, Event, RemoteAddress, Server, Sid, Socket, SocketLayer};

/// Only the listener has the address of a connection.
async fn tell_address(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(RemoteAddress(address));
    next.run(request).await
}

/// A session id of the server with this name. It has 120 random bits.
fn session_id(name: &str) -> Result<Sid, String> {
    let mut random = [0; 15];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Sid::new(&format!("{name}.{}", Sid::from_random(random))).map_err(|error| error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: axum NAME PORT")?;
    let port: u16 = arguments.next().ok_or("usage: axum NAME PORT")?.parse()?;

    let id_name = name.clone();
    let server = Server::builder()
        .generate_id(move |_| session_id(&id_name))
        // One proxy, which appends the address of its client to X-Forwarded-For.
        .client_address(ClientAddress::x_forwarded_for(1))
        .build();
    let welcome = name.clone();
    server
        .on_connect(move |socket: Socket| {
            let address = socket.handshake().address().map(|address| address.ip().to_string());
            socket.emit("welcome", (welcome.as_str(), address))
        })
        .on("message", |socket: Socket, event: Event| socket.emit("message", event.payload()));

    let app = Router::new()
        .route("/", get(async move || format!("server {name}\n")))
        .layer(SocketLayer::new(server.clone()))
        .layer(from_fn(tell_address));

    // axum does not set TCP_NODELAY. Without it, a packet may wait up to 40 ms until the previous one is acknowledged.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?.tap_io(|stream| {
        // Fails only if the client is already disconnected.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // If no signal handler can be installed, the signal ends the process.
            let _ = tokio::signal::ctrl_c().await;
            // First, because axum waits for pending polls, but not for WebSockets.
            server.shut_down(tokio::time::sleep(Duration::from_secs(10))).await;
        })
        .await?;
    Ok(())
}
