//! A session of Engine.IO, and the packets of Socket.IO in it as text.

use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::http::{Wire, broken, refused};

/// How a session travels. A session that is upgraded starts with polling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    WebSocket,
    Polling,
    Upgrade,
}

/// How the client ends a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Leaves the namespace, then closes the session.
    Leave,
    /// Closes the session.
    Close,
    /// Ends the connections without a word.
    Drop,
    /// Resets the connections.
    Reset,
    /// Sends what is no packet.
    Invalid,
    /// Reads nothing and sends nothing until the server ends the session.
    Silence,
}

pub struct Session {
    address: SocketAddr,
    path: &'static str,
    revision: u8,
    sid: String,
    link: Link,
    /// Packets that are received, and not yet asked for.
    received: VecDeque<String>,
    /// When the client sends its next ping, in revision 3.
    ping_at: Instant,
    ping_interval: Duration,
}

enum Link {
    WebSocket(Wire),
    Polling {
        get: Wire,
        held: bool,
        /// Opened by the first POST.
        post: Option<Wire>,
    },
}

/// Waiting for a packet must end on a machine of any speed.
pub const PATIENCE: Duration = Duration::from_secs(120);

impl Session {
    pub async fn open(address: SocketAddr, path: &'static str, revision: u8, transport: Transport) -> Result<Self> {
        let mut wire = Wire::open(address).await?;
        let websocket = transport == Transport::WebSocket;
        let (open, link) = if websocket {
            let open = async {
                upgrade(&mut wire, &format!("{path}?EIO={revision}&transport=websocket")).await?;
                wire.text().await
            };
            (timeout(PATIENCE, open).await??, Link::WebSocket(wire))
        } else {
            let target = format!("{path}?EIO={revision}&transport=polling{}", base64(revision));
            wire.request("GET", &target, "", "").await?;
            let response = timeout(PATIENCE, wire.response()).await??;
            if response.status != 200 {
                return Err(refused("the handshake was refused"));
            }
            (response.body, Link::Polling { get: wire, held: false, post: None })
        };
        let mut received = if websocket { VecDeque::from([open]) } else { packets(revision, &open)? };
        let open = received.pop_front().ok_or_else(|| broken("no open packet"))?;
        let open: serde_json::Value = serde_json::from_str(open.get(1..).unwrap_or_default())?;
        let sid = open["sid"].as_str().ok_or_else(|| broken("no sid"))?.to_owned();
        let ping_interval = Duration::from_millis(open["pingInterval"].as_u64().unwrap_or(25_000));
        let ping_at = Instant::now() + ping_interval;
        let mut session = Self { address, path, revision, sid, link, received, ping_at, ping_interval };
        if transport == Transport::Upgrade {
            timeout(PATIENCE, session.upgrade()).await??;
        }
        Ok(session)
    }

    async fn upgrade(&mut self) -> Result<()> {
        let target = format!("{}?EIO={}&transport=websocket&sid={}", self.path, self.revision, self.sid);
        let Link::Polling { get, held, .. } = &mut self.link else { return Ok(()) };
        let polling = polling_target(self.path, self.revision, &self.sid);
        if !*held {
            get.request("GET", &polling, "", "").await?;
        }
        let mut wire = Wire::open(self.address).await?;
        upgrade(&mut wire, &target).await?;
        wire.send_text("2probe").await?;
        if wire.text().await? != "3probe" {
            return Err(broken("the probe was not answered"));
        }
        // The held poll ends with a noop, if no packet came before.
        self.received.extend(packets(self.revision, &get.response().await?.body)?);
        wire.send_text("5").await?;
        self.link = Link::WebSocket(wire);
        Ok(())
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: &str) -> Result<()> {
        match &mut self.link {
            Link::WebSocket(wire) => wire.send_text(packet).await,
            Link::Polling { post, .. } => {
                let target = polling_target(self.path, self.revision, &self.sid);
                let body = if self.revision == 3 { format!("{}:{packet}", packet.len()) } else { packet.to_owned() };
                // The server may have closed an idle connection.
                for fresh in [post.is_none(), true] {
                    let wire = match post {
                        Some(wire) if !fresh => wire,
                        _ => post.insert(Wire::open(self.address).await?),
                    };
                    let exchange = async {
                        wire.request("POST", &target, "Content-Type: text/plain\r\n", &body).await?;
                        wire.response().await
                    };
                    match timeout(PATIENCE, exchange).await? {
                        Ok(response) if response.status == 200 => return Ok(()),
                        Ok(_) => return Err(ErrorKind::ConnectionReset.into()),
                        Err(error) if fresh => return Err(error),
                        Err(_) => {}
                    }
                }
                Err(ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// Waits for a message of Engine.IO, and meanwhile keeps the session alive. Cancelling it while it waits loses nothing; while it
    /// answers a ping, the session may be lost, so `idle` must be cancelled by its argument.
    async fn next(&mut self) -> Result<String> {
        loop {
            while let Some(packet) = self.received.pop_front() {
                match packet.as_bytes().first() {
                    Some(b'2') => self.send("3").await?,
                    Some(b'4') => return Ok(packet),
                    Some(b'1') => return Err(ErrorKind::UnexpectedEof.into()),
                    _ => {}
                }
            }
            if self.revision == 3 && Instant::now() >= self.ping_at {
                self.ping_at = Instant::now() + self.ping_interval;
                self.send("2").await?;
            }
            self.receive(self.revision == 3, self.ping_at).await?;
        }
    }

    /// Waits for packets, or until this moment. Cancelling it loses nothing.
    async fn receive(&mut self, timed: bool, until: Instant) -> Result<()> {
        let receiving = async {
            match &mut self.link {
                Link::WebSocket(wire) => {
                    let text = wire.text().await?;
                    self.received.push_back(text);
                }
                Link::Polling { get, held, .. } => {
                    if !*held {
                        // Small enough to be written at once.
                        let target = polling_target(self.path, self.revision, &self.sid);
                        *held = true;
                        get.request("GET", &target, "", "").await?;
                    }
                    let response = get.response().await?;
                    *held = false;
                    if response.status != 200 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    self.received.extend(packets(self.revision, &response.body)?);
                }
            }
            Ok(())
        };
        if timed {
            tokio::select! {
                result = receiving => result,
                () = sleep_until(until) => Ok(()),
            }
        } else {
            receiving.await
        }
    }

    /// Keeps the session alive until this future is ready, and passes messages to a function.
    pub async fn idle<F: Future>(&mut self, until: F, mut heard: impl FnMut(&str)) -> Result<F::Output> {
        let mut until = std::pin::pin!(until);
        loop {
            while let Some(packet) = self.received.pop_front() {
                match packet.as_bytes().first() {
                    Some(b'2') => self.send("3").await?,
                    Some(b'4') => heard(&packet),
                    Some(b'1') => return Err(ErrorKind::UnexpectedEof.into()),
                    _ => {}
                }
            }
            if self.revision == 3 && Instant::now() >= self.ping_at {
                self.ping_at = Instant::now() + self.ping_interval;
                self.send("2").await?;
            }
            let (timed, ping_at) = (self.revision == 3, self.ping_at);
            tokio::select! {
                output = &mut until => return Ok(output),
                result = self.receive(timed, ping_at) => result?,
            }
        }
    }

    /// Waits for a message for which the function returns a value.
    pub async fn await_some<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let waiting = async {
            loop {
                if let Some(found) = wanted(&self.next().await?) {
                    return Ok(found);
                }
            }
        };
        timeout(PATIENCE, waiting).await?
    }

    pub async fn end(mut self, how: End) -> Result<()> {
        match how {
            End::Leave => {
                self.send("41").await?;
                self.close().await?;
            }
            End::Close => self.close().await?,
            End::Drop | End::Reset => {}
            End::Invalid => {
                // The answer to it may be a refusal.
                let _ = self.send("4abc").await;
                while self.next().await.is_ok() {}
            }
            End::Silence => {
                // A connection that is read would answer pings.
                let _ = timeout(PATIENCE, async {
                    while self.receive(false, self.ping_at).await.is_ok() {
                        self.received.clear();
                    }
                })
                .await;
            }
        }
        let reset = how == End::Reset;
        match self.link {
            Link::WebSocket(wire) => wire.cut(reset),
            Link::Polling { get, post, .. } => {
                get.cut(reset);
                post.into_iter().for_each(|wire| wire.cut(reset));
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        match &mut self.link {
            Link::WebSocket(wire) => wire.send_close().await,
            Link::Polling { .. } => self.send("1").await,
        }
    }
}

fn base64(revision: u8) -> &'static str {
    if revision == 3 { "&b64=1" } else { "" }
}

fn polling_target(path: &str, revision: u8, sid: &str) -> String {
    format!("{path}?EIO={revision}&transport=polling&sid={sid}{}", base64(revision))
}

async fn upgrade(wire: &mut Wire, target: &str) -> Result<()> {
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    wire.request("GET", target, headers, "").await?;
    match wire.response().await?.status {
        101 => Ok(()),
        _ => Err(refused("the WebSocket was refused")),
    }
}

/// The packets in the body of a response. In revision 3 their lengths are in UTF-16, which these clients need not know: all is ASCII.
fn packets(revision: u8, body: &str) -> Result<VecDeque<String>> {
    if revision == 4 {
        return Ok(body.split('\x1e').map(str::to_owned).collect());
    }
    let (mut rest, mut packets) = (body, VecDeque::new());
    while !rest.is_empty() {
        let split = rest.split_once(':').and_then(|(length, after)| Some((length.parse::<usize>().ok()?, after)));
        let (length, after) = split.ok_or_else(|| broken("a body of revision 3"))?;
        packets.push_back(after.get(..length).ok_or_else(|| broken("a length of revision 3"))?.to_owned());
        rest = &after[length..];
    }
    Ok(packets)
}
