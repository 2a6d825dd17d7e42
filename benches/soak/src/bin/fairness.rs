//! The two sides of the test of fairness (`fairness.py`):
//!
//!     fairness quiet ADDRESS websocket|polling PEERS SECONDS
//!     fairness flood ADDRESS websocket|polling
//!
//! `quiet` measures how long peers that send an event every 200 ms wait for its echo, and prints one line of JSON with microseconds. `flood`
//! sends events from one peer as fast as the server takes them, reads the echoes, and does not end.

use std::cell::RefCell;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use soak::http::{Wire, text_frame};
use soak::session::{Session, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATH: &str = "/socket.io/";
const EVERY: Duration = Duration::from_millis(200);
const EVENT: &str = r#"42["message","some text of a chat"]"#;

async fn connected(address: SocketAddr, transport: Transport) -> Result<Session> {
    let mut session = Session::open(address, PATH, 4, transport).await?;
    session.send("40").await?;
    session.await_some(|packet| packet.starts_with("42[\"auth\"").then_some(())).await?;
    Ok(session)
}

async fn quiet(address: SocketAddr, transport: Transport, peers: u32, seconds: u64) -> Result<()> {
    let waits: Rc<RefCell<Vec<u64>>> = Rc::default();
    let mut sessions = Vec::new();
    for _ in 0..peers {
        sessions.push(connected(address, transport).await?);
    }
    let began = tokio::time::Instant::now();
    let tasks: Vec<_> = (0u32..)
        .zip(sessions)
        .map(|(number, mut session)| {
            let waits = Rc::clone(&waits);
            tokio::task::spawn_local(async move {
                let mut at = began + EVERY * number / peers;
                while at < began + Duration::from_secs(seconds) {
                    session.idle(tokio::time::sleep_until(at), |_| ()).await?;
                    let sent = Instant::now();
                    session.send(EVENT).await?;
                    session.await_some(|packet| packet.starts_with("42[\"message-back\"").then_some(())).await?;
                    waits.borrow_mut().push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
                    // A peer that had to wait skips what it could not send meanwhile.
                    while at < tokio::time::Instant::now() {
                        at += EVERY;
                    }
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let mut waits = waits.take();
    waits.sort_unstable();
    let part = |part: usize| waits.get(waits.len() * part / 1000).copied();
    println!(
        "{}",
        serde_json::json!({
            "echoes": waits.len(), "p50": part(500), "p90": part(900), "p99": part(990), "max": waits.last(),
        })
    );
    Ok(())
}

async fn flood(address: SocketAddr, transport: Transport) -> Result<()> {
    if transport == Transport::WebSocket {
        let mut stream = TcpStream::connect(address).await?;
        let upgrade = format!(
            "GET {PATH}?EIO=4&transport=websocket HTTP/1.1\r\nHost: flood\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes()).await?;
        stream.write_all(&text_frame("40")).await?;
        let (mut reading, mut writing) = stream.into_split();
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0; 1 << 20];
            while reading.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        });
        let mut events = text_frame(EVENT).repeat(2000);
        // The server pings only now and then: a pong without a ping is ignored.
        events.extend_from_slice(&text_frame("3"));
        loop {
            writing.write_all(&events).await?;
        }
    }
    let mut wire = Wire::open(address).await?;
    wire.request("GET", &format!("{PATH}?EIO=4&transport=polling"), "", "").await?;
    let open: serde_json::Value = serde_json::from_str(wire.response().await?.body.get(1..).unwrap_or_default())?;
    let target = format!("{PATH}?EIO=4&transport=polling&sid={}", open["sid"].as_str().unwrap_or_default());
    wire.request("POST", &target, "", "40").await?;
    wire.response().await?;
    let body = [&[EVENT; 20_000].join("\x1e"), "3"].join("\x1e");
    loop {
        wire.request("POST", &target, "", &body).await?;
        if wire.response().await?.status != 200 {
            return Err(ErrorKind::ConnectionReset.into());
        }
        wire.request("GET", &target, "", "").await?;
        wire.response().await?;
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let invalid = |error: String| Error::new(ErrorKind::InvalidInput, error);
    let [_, side, address, transport, numbers @ ..] = &arguments[..] else {
        return Err(invalid("see the docs".to_owned()));
    };
    let address: SocketAddr = address.parse().map_err(|error| invalid(format!("{error}")))?;
    let transport = if *transport == "polling" { Transport::Polling } else { Transport::WebSocket };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match (*side, numbers) {
            ("flood", []) => flood(address, transport).await,
            ("quiet", [peers, seconds]) => {
                let peers = peers.parse().map_err(|error| invalid(format!("{error}")))?;
                let seconds = seconds.parse().map_err(|error| invalid(format!("{error}")))?;
                quiet(address, transport, peers, seconds).await
            }
            _ => Err(invalid("see the docs".to_owned())),
        }
    })
}
