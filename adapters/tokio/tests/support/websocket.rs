//! A WebSocket client.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;

use engineio_websocket::handshake::ClientHandshake;
use engineio_websocket::{Closed, Connection, ConnectionEvent, FrameHeader, FrameKind, Limits, apply_mask};

use super::http::{Response, Wire};

/// The client's end of a WebSocket.
pub(crate) struct WebSocket {
    pub(crate) wire: Wire,
    connection: Connection,
}

/// A received message, or the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Came {
    Text(String),
    Binary(Vec<u8>),
    /// A close frame, with its code; `None` if it was empty.
    Closed(Option<u16>),
    /// The connection ended without a close frame.
    Lost,
}

const KEY: [u8; 16] = *b"the sample nonce";

/// The request that opens a WebSocket.
pub(crate) fn opening(target: &str) -> String {
    let handshake = ClientHandshake::new(KEY);
    let headers: String = handshake.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}

/// A frame of a client with this first byte: masked, with the length in its shortest form.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let kind = FrameKind::from(engineio_websocket::Opcode::Text);
    let header = FrameHeader::new(kind, payload.len(), Some(MASK));
    let mut bytes = header.to_vec();
    bytes[0] = first;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[start..], MASK);
    bytes
}

impl WebSocket {
    /// Opens a WebSocket.
    pub(crate) async fn open(address: SocketAddr, target: &str) -> Self {
        Self::try_open(address, target).await.unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// Opens a WebSocket. The error is the answer that refuses it.
    pub(crate) async fn try_open(address: SocketAddr, target: &str) -> Result<Self, Response> {
        let mut wire = Wire::open(address).await;
        wire.send(opening(target)).await;
        Self::upgraded(wire).await
    }

    /// Opens a WebSocket that compresses. Returns the terms of the server with it.
    pub(crate) async fn open_deflate(address: SocketAddr, target: &str, offer: &str) -> (Self, Option<String>) {
        let mut wire = Wire::open(address).await;
        let extensions = format!("Sec-WebSocket-Extensions: {offer}\r\n\r\n");
        wire.send(opening(target).replacen("\r\n\r\n", &format!("\r\n{extensions}"), 1)).await;
        let response = wire.response().await;
        let client = ClientHandshake::new(KEY).with_deflate();
        let headers = || response.headers.iter().map(|(name, value)| (name, value));
        client.check(response.status, headers()).unwrap();
        let agreed = client.deflate(headers());
        let terms = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        let mut connection = Connection::client(Limits::default().with_max_message(64 << 20), [7; 16]);
        if let Some(agreed) = agreed {
            connection = connection.with_deflate(agreed, 0);
        }
        connection.handle(&mut wire.buffer.split());
        (Self { wire, connection }, terms.map(|(_, value)| value.clone()))
    }

    /// Reads the answer to the opening request.
    pub(crate) async fn upgraded(mut wire: Wire) -> Result<Self, Response> {
        let response = wire.response().await;
        match ClientHandshake::new(KEY).check(response.status, response.headers.iter().map(|(k, v)| (k, v))) {
            Ok(_) => {
                let limits = Limits::default().with_max_message(64 << 20);
                let mut connection = Connection::client(limits, [7; 16]);
                let mut early = wire.buffer.split();
                connection.handle(&mut early);
                Ok(Self { wire, connection })
            }
            Err(_) => Err(response),
        }
    }

    /// Sends a text message. The server may have disconnected.
    pub(crate) async fn text(&mut self, text: &str) {
        let _ = self.connection.send_text(text);
        self.flush().await;
    }

    /// Sends a binary message. The server may have disconnected.
    pub(crate) async fn binary(&mut self, data: &[u8]) {
        let _ = self.connection.send_binary(data);
        self.flush().await;
    }

    /// Closes gracefully.
    pub(crate) async fn close(&mut self) {
        let _ = self.connection.close(1000, "");
        self.flush().await;
    }

    async fn flush(&mut self) {
        while let Some(bytes) = self.connection.poll_transmit() {
            if self.wire.try_send(bytes).await.is_err() {
                self.connection.handle_end();
            }
        }
    }

    /// Passes bytes that the caller has read from the stream.
    pub(crate) fn came(&mut self, bytes: &mut [u8]) {
        self.connection.handle(bytes);
    }

    /// The next message, or the end.
    pub(crate) async fn next(&mut self) -> Came {
        loop {
            match self.connection.poll_event() {
                Some(ConnectionEvent::Text(text)) => return Came::Text(text.to_string()),
                Some(ConnectionEvent::Binary(data)) => return Came::Binary(data.to_vec()),
                Some(ConnectionEvent::Closed(Closed::Peer(frame))) => {
                    self.flush().await;
                    // Both ends have sent a close frame, so close the stream. The server may have closed it already.
                    let _ = self.wire.stream.shutdown().await;
                    return Came::Closed(frame.map(|frame| frame.code));
                }
                Some(ConnectionEvent::Closed(_)) => return Came::Lost,
                Some(_) => {}
                None => {
                    self.flush().await;
                    if self.wire.fill().await {
                        let mut bytes = self.wire.buffer.split();
                        self.connection.handle(&mut bytes);
                    } else {
                        self.connection.handle_end();
                    }
                }
            }
        }
    }

    /// Waits until the server has closed the WebSocket. Returns the close frame.
    pub(crate) async fn closed(&mut self) -> Came {
        loop {
            match self.next().await {
                Came::Text(_) | Came::Binary(_) => {}
                closed => return closed,
            }
        }
    }
}
