//! HTTP/1.1 as bytes on a TCP stream.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::within;

/// A TCP connection to a server.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: BytesMut,
}

/// A received response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: within(TcpStream::connect(address)).await.unwrap(), buffer: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends bytes. The server may close the connection before it has read all of them.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within(self.stream.write_all(bytes.as_ref())).await
    }

    /// Reads more into the buffer. Returns false at the end of the stream, also after an error.
    pub(crate) async fn fill(&mut self) -> bool {
        matches!(within(self.stream.read_buf(&mut self.buffer)).await, Ok(1..))
    }

    /// Reads the available bytes into the buffer. Returns true if there were any, or if the stream has ended.
    pub(crate) fn fill_now(&mut self) -> bool {
        !matches!(self.stream.try_read_buf(&mut self.buffer), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads the next response, and panics if there is none.
    pub(crate) async fn response(&mut self) -> Response {
        self.try_response().await.expect("the connection ended before a complete response")
    }

    /// Reads the next response. Returns `None` if the connection ends before a whole one.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = self.buffer.split_to(end + 4);
        let head = std::str::from_utf8(&head[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if ![100, 101, 204].contains(&status) {
            let length = response.header("content-length").expect("a length").parse().unwrap();
            while self.buffer.len() < length {
                if !self.fill().await {
                    return None;
                }
            }
            response.body = self.buffer.split_to(length).to_vec();
        }
        Some(response)
    }

    /// Waits until the server has ended the connection. Returns the bytes that it sent before.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        while self.fill().await {}
        self.buffer.split().to_vec()
    }

    /// Resets the connection: bytes that are unread at either end are lost.
    pub(crate) fn reset(self) {
        #[allow(deprecated, reason = "a linger time of zero does not block")]
        self.stream.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A GET request.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A POST request with a text body.
pub(crate) fn post(target: &str, body: &str) -> String {
    request("POST", target, &[("Content-Type", "text/plain;charset=UTF-8")], body)
}

/// A request with a body, which may be empty.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends a request on a new connection, and reads the answer.
pub(crate) async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let mut wire = Wire::open(address).await;
    wire.send(request).await;
    wire.response().await
}
