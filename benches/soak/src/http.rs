//! One connection to the server: HTTP requests, and WebSocket frames after an upgrade.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// What a connection has received is small, except for a broadcast now and then.
const READ: usize = 8192;

pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

pub struct Response {
    pub status: u16,
    pub body: String,
}

/// The server has refused what it may refuse.
pub fn refused(why: &str) -> Error {
    Error::new(ErrorKind::ConnectionRefused, why)
}

/// The server has sent what it must not send.
pub fn broken(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Closes the connection: with a reset, or in the usual way.
    pub fn cut(self, reset: bool) {
        if reset {
            let _ = self.stream.set_zero_linger();
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads more bytes. Cancelling it loses nothing.
    async fn fill(&mut self) -> Result<()> {
        loop {
            self.stream.readable().await?;
            let mut buffer = [0; READ];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the first bytes. An idle connection keeps no buffer.
    fn consume(&mut self, count: usize) {
        self.received.drain(..count);
        if self.received.is_empty() {
            self.received = Vec::new();
        }
    }

    pub async fn request(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Result<()> {
        let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: soak\r\n{headers}{length}\r\n{body}");
        self.write(request.as_bytes()).await
    }

    /// Waits for the response to a request. Cancelling it loses nothing.
    pub async fn response(&mut self) -> Result<Response> {
        loop {
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
                let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken("status"))?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize =
                    length.map_or(Ok(0), |length| length.trim().parse()).map_err(|_| broken("length"))?;
                let whole = end + 4 + if status == 101 { 0 } else { length };
                if self.received.len() >= whole {
                    let body = String::from_utf8_lossy(&self.received[end + 4..whole]).into_owned();
                    self.consume(whole);
                    return Ok(Response { status, body });
                }
            }
            self.fill().await?;
        }
    }

    /// Sends a text frame, masked with zeros.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        self.write(&text_frame(text)).await
    }

    pub async fn send_close(&mut self) -> Result<()> {
        self.write(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await
    }

    /// Waits for a text frame. Pings of WebSocket are not used, and a close frame is an error. Cancelling it loses nothing.
    pub async fn text(&mut self) -> Result<String> {
        loop {
            let bytes = &self.received;
            let length = match bytes.get(1) {
                Some(126) => bytes.get(2..4).map(|length| (4, usize::from(u16::from_be_bytes([length[0], length[1]])))),
                Some(127) => return Err(broken("a frame of more than 64 KiB")),
                Some(length) => Some((2, usize::from(*length))),
                None => None,
            };
            if let Some((start, length)) = length
                && bytes.len() >= start + length
            {
                let opcode = bytes[0] & 0xf;
                let text = String::from_utf8_lossy(&bytes[start..start + length]).into_owned();
                self.consume(start + length);
                return if opcode == 1 { Ok(text) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
            self.fill().await?;
        }
    }
}

/// A text frame of a client, masked with zeros.
pub fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}
