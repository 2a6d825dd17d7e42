//! A server with a log on standard error and slow handlers, which the example `echo` does not have.
//!
//! `hostile-server --port 3000 --ping-interval 25000 --ping-timeout 20000 --proxies 0`, times in milliseconds, one worker. With `--proxies`,
//! the address of clients is taken from `X-Forwarded-For`, as behind so many proxies. Events:
//! `auth` is sent to each client after it connects. A handler echoes `message`. A `recv` loop processes `slow` events one after the other,
//! each for as many milliseconds as its first argument, and answers with `slow-done`.

use std::time::Duration;

use socketio_tokio::{ClientAddress, Event, Server, Socket, serve};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let (mut port, mut interval, mut timeout, mut proxies) = (3000, 25_000, 20_000, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--port" => port = value.parse()?,
            "--ping-interval" => interval = value.parse()?,
            "--ping-timeout" => timeout = value.parse()?,
            "--proxies" => proxies = value.parse()?,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let mut builder = Server::builder();
    if proxies > 0 {
        builder = builder.client_address(ClientAddress::x_forwarded_for(proxies));
    }
    let server = builder
        .engine(move |config| {
            config.ping_interval = Duration::from_millis(interval);
            config.ping_timeout = Duration::from_millis(timeout);
        })
        .build();
    server
        .on("message", |socket: Socket, event: Event| socket.emit("message-back", event.payload()))
        .on("ask", async |socket: Socket, event: Event| -> Result<(), Error> {
            socket.emit_with_ack_timeout("question", event.payload(), Duration::from_secs(5))?.await?;
            Ok(())
        })
        .of("/")
        .on_connect(async |socket: Socket| -> Result<(), Error> {
            socket.emit("auth", [serde_json::json!({})])?;
            while let Some(event) = socket.recv().await {
                let (takes, _): (u64, &str) = event.read()?;
                tokio::time::sleep(Duration::from_millis(takes)).await;
                socket.emit("slow-done", ())?;
            }
            Ok(())
        });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    serve(listener, server).await;
    Ok(())
}
