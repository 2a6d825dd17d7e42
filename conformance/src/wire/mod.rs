//! Bytes: where they come from and go to, and the forms they have on the way.

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

/// A byte stream, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Any byte stream.
pub type BoxStream = Box<dyn Stream>;

/// What [`Connector::connect`] gives.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send + 'a>>;

/// The way to the server under test: TCP, or whatever a program has that runs the suite as a library.
pub trait Connector: Send + Sync + 'static {
    /// A new connection.
    fn connect(&self) -> Connecting<'_>;

    /// What goes into the `Host` header.
    fn authority(&self) -> &str;

    /// A new WebTransport session at this path. Not every way has them: without a word about it, this one has none.
    fn webtransport<'a>(&'a self, path: &'a str) -> Opening<'a> {
        let _ = path;
        Box::pin(async { Err(io::Error::new(io::ErrorKind::Unsupported, "there is no WebTransport on this way")) })
    }
}

/// What [`Connector::webtransport`] gives.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Arc<dyn Session>>> + Send + 'a>>;

/// What [`Session::ended`] gives.
pub type Ending<'a> = Pin<Box<dyn Future<Output = String> + Send + 'a>>;

/// A WebTransport session: streams, and an end that is told apart from theirs. Who drops it ends it.
pub trait Session: Send + Sync + 'static {
    /// Opens a stream, both ways.
    fn stream(&self) -> Connecting<'_>;

    /// Waits for the end of the session, and says how it came.
    fn ended(&self) -> Ending<'_>;

    /// Ends it.
    fn close(&self, code: u32, reason: &str);
}

/// TCP to one address; with the feature `webtransport`, QUIC besides.
#[derive(Clone, Debug)]
pub struct Tcp {
    authority: String,
    #[cfg(feature = "webtransport")]
    webtransport: Option<String>,
}

impl Tcp {
    /// The server at an `http://HOST[:PORT]` URL; a path is not part of it.
    ///
    /// # Errors
    /// A sentence when the URL is something else.
    pub fn new(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or("the URL of a server is http://HOST:PORT; https is not spoken: give the address that the server itself listens on")?;
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains('/') {
            return Err(format!("{url} should be http://HOST:PORT; paths are given with --path"));
        }
        let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self {
            authority,
            #[cfg(feature = "webtransport")]
            webtransport: None,
        })
    }

    /// WebTransport is at this `https://HOST:PORT` URL. Otherwise it is at the port of UDP that has the same number as that of TCP.
    ///
    /// # Errors
    /// A sentence when the URL is something else.
    #[cfg(feature = "webtransport")]
    pub fn with_webtransport(mut self, url: &str) -> Result<Self, String> {
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        match authority {
            Some(authority) if !authority.is_empty() && !authority.contains('/') => {
                self.webtransport = Some(authority.to_owned());
                Ok(self)
            }
            _ => Err(format!("{url} should be https://HOST:PORT; paths are given with --path")),
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
        let advice = "the suite speaks WebTransport when it is built with --features webtransport";
        Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, advice)) })
    }
}

/// The largest thing read into memory: more than anything a case asks for.
pub(crate) const MAX_BODY: usize = 64 * 1024 * 1024;

/// A reader that keeps what came beyond what was asked for.
pub(crate) struct Source<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Source<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new() }
    }

    /// What has been read and not been taken.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes what [`Source::buffered`] shows, up to `length` bytes.
    pub(crate) fn consume(&mut self, length: usize) -> BytesMut {
        self.buffer.split_to(length.min(self.buffer.len()))
    }

    /// Reads once; false at the end of the stream.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.reader.read_buf(&mut self.buffer).await? > 0)
    }

    /// Exactly this many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> io::Result<BytesMut> {
        if length > MAX_BODY {
            return Err(io::Error::other(format!("{length} bytes were announced")));
        }
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the stream ended in the middle of something",
                ));
            }
        }
        Ok(self.buffer.split_to(length))
    }

    /// A line without its end.
    pub(crate) async fn line(&mut self) -> io::Result<String> {
        const MAX_LINE: usize = 8192;
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end.saturating_add(1));
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other("a line does not end"));
            }
            if !self.fill().await? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended in the middle of a line"));
            }
        }
    }

    /// Whatever comes next.
    pub(crate) async fn some(&mut self) -> io::Result<BytesMut> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer.split())
    }
}

/// Reads what was kept first, for whoever copies streams.
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

/// Bytes as a transcript shows them: text where it is text, escapes elsewhere, and the length of what was cut off.
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
