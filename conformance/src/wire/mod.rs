//! Connections to the implementation, and the formats of the bytes on them.

pub(crate) mod http;
pub(crate) mod msgpack;
pub(crate) mod packets;
#[cfg(feature = "webtransport")]
mod quic;
pub(crate) mod websocket;
pub(crate) mod webtransport;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

/// A bidirectional byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Any byte stream.
pub type BoxStream = Box<dyn Stream>;

/// The future that [`Connector::connect`] returns.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// Connects to the server under test: over TCP, or in any way that a program provides which runs the suite as a library.
pub trait Connector: Send + Sync + 'static {
    /// Opens a connection.
    fn connect(&self) -> Connecting<'_>;

    /// The value of the `Host` header.
    fn authority(&self) -> &str;

    /// Opens a WebTransport session at this path. The default implementation does not support WebTransport.
    fn webtransport<'a>(&'a self, path: &'a str) -> Opening<'a> {
        let _ = path;
        Box::pin(async {
            Err(io::Error::new(io::ErrorKind::Unsupported, "this connector does not support WebTransport"))
        })
    }
}

/// The future that [`Connector::webtransport`] returns.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Arc<dyn Session>>> + Send + 'a>>;

/// The future that [`Session::ended`] returns.
pub type Ending<'a> = Pin<Box<dyn Future<Output = String> + Send + 'a>>;

/// A WebTransport session with streams. It can end independently of them. Dropping it closes the session.
pub trait Session: Send + Sync + 'static {
    /// Opens a bidirectional stream.
    fn stream(&self) -> Connecting<'_>;

    /// Waits for the end of the session. Returns how it ended.
    fn ended(&self) -> Ending<'_>;

    /// Closes the session.
    fn close(&self, code: u32, reason: &str);
}

/// Connects over TCP to one address, and over QUIC with the feature `webtransport`.
#[derive(Clone, Debug)]
pub struct Tcp {
    authority: String,
    #[cfg(feature = "webtransport")]
    webtransport: Option<String>,
}

impl Tcp {
    /// Uses the server at an `http://HOST[:PORT]` URL. The URL must not have a path.
    ///
    /// # Errors
    /// A message if the URL is invalid.
    pub fn new(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or("the URL of a server is http://HOST:PORT; https is not supported: give the address that the server itself listens on")?;
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains('/') {
            return Err(format!("{url} must have the form http://HOST:PORT; set paths with --path"));
        }
        let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self {
            authority,
            #[cfg(feature = "webtransport")]
            webtransport: None,
        })
    }

    /// Sets the `https://HOST:PORT` URL of WebTransport. By default it uses the UDP port with the number of the TCP port.
    ///
    /// # Errors
    /// A message if the URL is invalid.
    #[cfg(feature = "webtransport")]
    pub fn with_webtransport(mut self, url: &str) -> Result<Self, String> {
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        match authority {
            Some(authority) if !authority.is_empty() && !authority.contains('/') => {
                self.webtransport = Some(authority.to_owned());
                Ok(self)
            }
            _ => Err(format!("{url} must have the form https://HOST:PORT; set paths with --path")),
        }
    }
}

impl Connector for Tcp {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = TcpStream::connect(&self.authority).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    #[cfg(feature = "webtransport")]
    fn webtransport<'a>(&'a self, path: &'a str) -> Opening<'a> {
        Box::pin(async move {
            let authority = self.webtransport.as_ref().unwrap_or(&self.authority);
            quic::open(&format!("https://{authority}{path}")).await
        })
    }

    #[cfg(not(feature = "webtransport"))]
    fn webtransport<'a>(&'a self, _: &'a str) -> Opening<'a> {
        let advice = "build the suite with --features webtransport to use WebTransport";
        Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, advice)) })
    }
}

/// The largest item read into memory: more than any case needs.
pub(crate) const MAX_BODY: usize = 64 * 1024 * 1024;

/// A buffered reader that can peek at its buffer.
pub(crate) struct Source<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Source<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new() }
    }

    /// The bytes that are read but not consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Consumes up to `length` bytes of [`Source::buffered`].
    pub(crate) fn consume(&mut self, length: usize) -> BytesMut {
        self.buffer.split_to(length.min(self.buffer.len()))
    }

    /// Reads once. Returns `false` at the end of the stream.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.reader.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads exactly this many bytes.
    pub(crate) async fn read_exact(&mut self, length: usize) -> io::Result<BytesMut> {
        if length > MAX_BODY {
            return Err(io::Error::other(format!("{length} bytes were announced")));
        }
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended too early"));
            }
        }
        Ok(self.buffer.split_to(length))
    }

    /// Reads a line and removes its terminator.
    pub(crate) async fn read_line(&mut self) -> io::Result<String> {
        const MAX_LINE: usize = 8192;
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end.saturating_add(1));
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other("a line is too long"));
            }
            if !self.fill().await? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended in the middle of a line"));
            }
        }
    }

    /// Returns the buffered bytes, or reads once.
    pub(crate) async fn read_some(&mut self) -> io::Result<BytesMut> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer.split())
    }
}

/// For copying streams. Returns buffered bytes first.
impl<R: AsyncRead + Unpin> AsyncRead for Source<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return Pin::new(&mut self.reader).poll_read(cx, buffer);
        }
        let length = self.buffer.len().min(buffer.remaining());
        let bytes = self.consume(length);
        buffer.put_slice(&bytes);
        std::task::Poll::Ready(Ok(()))
    }
}

/// Bytes as a transcript shows them: text where valid, escapes elsewhere, and the total length if shortened.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\u{1e}' => text.push('␞'),
                '\n' | '\t' => text.push(character),
                '\r' => {}
                control if control.is_control() => text.extend(control.escape_unicode()),
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if bytes.len() > shown.len() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const SHOWN: usize = 100;
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut text = String::from("x\"");
    text.push_str(&shown.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    text.push('"');
    if bytes.len() > shown.len() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}
