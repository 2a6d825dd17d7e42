//! An endpoint in a plain hyper server, beside a service of its own. Only for those who have a hyper server already: `socketio_tokio::serve` is
//! hyper too, and adds deadlines, a graceful shutdown, and answers that are not lost when a connection ends.
//!
//! Run with `cargo run -p socketio-tokio --example hyper -- 3000`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socketio_tokio::{Event, RemoteAddress, Server, Socket, SocketService};
use tower_service::Service;

/// Answers everything that is not for the endpoint.
#[derive(Clone)]
struct Page;

impl Service<http::Request<Incoming>> for Page {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let mut response = http::Response::new(Full::from("beside it\n"));
        if request.uri().path() != "/" {
            *response.status_mut() = http::StatusCode::NOT_FOUND;
        }
        std::future::ready(Ok(response))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).unwrap_or_else(|| "3000".to_owned()).parse()?;
    let server = Server::new();
    server
        .on_connect(|socket: Socket| {
            let address = socket.handshake().address().map(|address| address.ip().to_string());
            socket.emit("welcome", ("hyper", address))
        })
        .on("message", |socket: Socket, event: Event| socket.emit("message", event.payload()));

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client is gone already, or too many files are open. Other connections go on.
            Err(error) => {
                eprintln!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small packets must not wait for each other.
        let _ = stream.set_nodelay(true);
        let endpoint = SocketService::new(server.clone(), Page);
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(RemoteAddress(address));
            // A tower service takes `&mut self`, so each request has its own handle.
            endpoint.clone().call(request)
        });
        tokio::spawn(async move {
            // Without a timer, hyper has no deadline for the head of a request.
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            // Without upgrades, there are no WebSockets. An error is that of a connection, whose session hears of it.
            let _ = connection.with_upgrades().await;
        });
    }
}
