//! Minimal Engine.IO and Socket.IO clients. Tests write out what the clients send. The clients do nothing by themselves except answering
//! pings.

use std::net::SocketAddr;

use super::http::{Response, Wire, exchange, get, post};
use super::websocket::{Came, WebSocket};

/// The default path of a server.
pub(crate) const PATH: &str = "/socket.io/";

/// The session id in an open packet.
pub(crate) fn sid_of(open: &str) -> String {
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// A polling session. Every request uses a new connection.
pub(crate) struct Polling {
    pub(crate) address: SocketAddr,
    pub(crate) sid: String,
    path: &'static str,
}

impl Polling {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_at(address, PATH).await
    }

    pub(crate) async fn open_at(address: SocketAddr, path: &'static str) -> Self {
        let response = exchange(address, get(&format!("{path}?EIO=4&transport=polling"))).await;
        assert_eq!(response.status, 200, "{response:?}");
        Self { address, sid: sid_of(response.text()), path }
    }

    /// A session that has joined `/`.
    pub(crate) async fn join(address: SocketAddr) -> Self {
        let session = Self::open(address).await;
        assert_eq!(session.post("40").await.text(), "ok");
        let reply = session.get().await;
        assert!(reply.text().starts_with("40{"), "{reply:?}");
        session
    }

    pub(crate) fn target(&self) -> String {
        format!("{}?EIO=4&transport=polling&sid={}", self.path, self.sid)
    }

    pub(crate) fn websocket_target(&self) -> String {
        format!("{}?EIO=4&transport=websocket&sid={}", self.path, self.sid)
    }

    pub(crate) async fn get(&self) -> Response {
        exchange(self.address, get(&self.target())).await
    }

    pub(crate) async fn post(&self, body: &str) -> Response {
        exchange(self.address, post(&self.target(), body)).await
    }

    /// Sends a GET without waiting for its answer.
    pub(crate) async fn start_get(&self) -> Wire {
        let mut wire = Wire::open(self.address).await;
        wire.send(get(&self.target())).await;
        wire
    }
}

/// A Socket.IO client over WebSocket.
pub(crate) struct Client {
    pub(crate) websocket: WebSocket,
    /// The session's id.
    pub(crate) session: String,
    /// The socket's id on `/`.
    pub(crate) sid: String,
}

impl Client {
    /// A session that has not joined a namespace.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut websocket = WebSocket::open(address, &format!("{PATH}?EIO=4&transport=websocket")).await;
        let Came::Text(open) = websocket.next().await else { panic!("no open packet") };
        Self { websocket, session: sid_of(&open), sid: String::new() }
    }

    /// A client that has joined `/`.
    pub(crate) async fn join(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send("40").await;
        let reply = client.packet().await;
        let reply: serde_json::Value = serde_json::from_str(reply.strip_prefix('0').unwrap()).unwrap();
        client.sid = reply["sid"].as_str().unwrap().to_owned();
        client
    }

    /// Sends an Engine.IO packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.websocket.text(packet).await;
    }

    /// The next Socket.IO packet, without the `4` in front of it.
    pub(crate) async fn packet(&mut self) -> String {
        match self.next().await {
            Came::Text(text) => text.strip_prefix('4').unwrap_or_else(|| panic!("{text} is not a message")).to_owned(),
            other => panic!("expected a packet, not {other:?}"),
        }
    }

    /// The next Socket.IO packet, or the end of the connection.
    pub(crate) async fn next(&mut self) -> Came {
        loop {
            match self.websocket.next().await {
                Came::Text(text) if text == "2" => self.websocket.text("3").await,
                other => return other,
            }
        }
    }

    /// Sends an event, and waits for the next packet.
    pub(crate) async fn ask(&mut self, packet: &str) -> String {
        self.send(packet).await;
        self.packet().await
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(&mut self) -> Came {
        self.websocket.closed().await
    }
}
