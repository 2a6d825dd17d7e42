//! A TCP connection for `bare.rs`, with just enough of HTTP/1.1: requests with a `Content-Length`, one after the other, and complete
//! responses. Any HTTP library can take its place.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use engineio_proto::{ContentType, Frame, Response};
use engineio_websocket::handshake::{AcceptKey, accept};
use engineio_websocket::{FrameHeader, Opcode, encode_close};

/// What is read at once, and the longest head of a request.
const READ: usize = 16 * 1024;

/// A TCP connection: one thread reads from it, several write.
pub(crate) struct Wire {
    stream: TcpStream,
    turn: Mutex<()>,
}

impl Wire {
    /// Writes something whole, and nothing after it if it is the last. False if that failed; then reading comes to its end, too.
    pub(crate) fn write(&self, bytes: &[u8], last: bool) -> bool {
        let _turn = lock(&self.turn);
        let written = (&self.stream).write_all(bytes).is_ok();
        if last || !written {
            // Fails if the other end was faster.
            let _ = self.stream.shutdown(if written { Shutdown::Write } else { Shutdown::Both });
        }
        written
    }
}

/// The reading end of a TCP connection.
pub(crate) struct Reader {
    pub(crate) wire: Arc<Wire>,
    /// Read, but not used.
    pub(crate) buffer: BytesMut,
    /// No further request is expected. What comes is ignored, but read: to close now might destroy the last answer on its way.
    pub(crate) last: bool,
    /// How long a request may take to come.
    patience: Duration,
}

/// A request without its body.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) origin: Option<Vec<u8>>,
    pub(crate) content_type: ContentType,
    /// Length of the body.
    pub(crate) length: usize,
    /// Present when it asks for a WebSocket.
    pub(crate) key: Option<AcceptKey>,
    keep_alive: bool,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream, patience: Duration, write_timeout: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(write_timeout))?;
        let wire = Arc::new(Wire { stream, turn: Mutex::default() });
        Ok(Self { wire, buffer: BytesMut::new(), last: false, patience })
    }

    /// The next request; `None` at the end of the connection. One that cannot be read is answered here, and is the last.
    pub(crate) fn read_request(&mut self) -> Option<Request> {
        let deadline = Instant::now() + self.patience;
        loop {
            if self.last {
                self.buffer.clear();
            } else if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                match Request::parse(&self.buffer.split_to(end + 4)) {
                    Ok(request) => {
                        self.last = !request.keep_alive;
                        return Some(request);
                    }
                    Err(status) => self.refuse(status),
                }
            } else if self.buffer.len() >= READ {
                self.refuse(431);
            }
            if !self.fill(deadline) {
                return None;
            }
        }
    }

    /// The body of that length; `None` if the connection ends before.
    pub(crate) fn read_body(&mut self, length: usize) -> Option<Bytes> {
        let deadline = Instant::now() + self.patience;
        while self.buffer.len() < length {
            if !self.fill(deadline) {
                return None;
            }
        }
        Some(self.buffer.split_to(length).freeze())
    }

    /// Reads what there is, or will soon be. False when the connection has ended or nothing came.
    pub(crate) fn read_more(&mut self) -> bool {
        self.fill(Instant::now() + self.patience)
    }

    fn fill(&mut self, deadline: Instant) -> bool {
        let mut bytes = [0; READ];
        let count = loop {
            // With no time left this fails, because such a timeout cannot be set.
            let left = deadline.saturating_duration_since(Instant::now());
            let ready = self.wire.stream.set_read_timeout(Some(left));
            match ready.and_then(|()| (&self.wire.stream).read(&mut bytes)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.unwrap_or(0),
            }
        };
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.last |= count == 0;
        count > 0
    }

    /// Answers a request that goes no further. Its body, if there is one, is not read: nothing can follow it.
    pub(crate) fn answer(&mut self, response: &Response) {
        self.last = true;
        self.wire.write(&self::response(response, true), true);
    }

    /// Answers a request that is none of the protocol's business.
    pub(crate) fn refuse(&mut self, status: u16) {
        self.last = true;
        // One status, 426, wants to hear of the version.
        let head = format!(
            "HTTP/1.1 {status} \r\nconnection: close\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n"
        );
        self.wire.write(head.as_bytes(), true);
    }
}

impl Request {
    /// Parses a head; the status that refuses it if that is not possible.
    fn parse(head: &[u8]) -> Result<Self, u16> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(head).map_err(|_| 400_u16)?;
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(400);
        };
        let all =
            |name: &'static str| request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        let value = |name| all(name).next().map(|field| field.value);
        let has = |name, wanted: &[u8]| value(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        let length = match (value("content-length"), value("transfer-encoding"), all("content-length").count()) {
            (None, None, _) => 0,
            (Some(length), None, 1) => {
                str::from_utf8(length).ok().and_then(|length| length.parse().ok()).ok_or(400_u16)?
            }
            _ => return Err(411),
        };
        let fields = request.headers.iter().map(|field| (field.name, field.value));
        let key = has("upgrade", b"websocket").then(|| accept(fields)).transpose().map_err(|error| error.status())?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Only a POST's body is read; behind another one the next request would not be found.
        let keep_alive = version == 1 && !has("connection", b"close") && (method == "POST" || length == 0);
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        let origin = value("origin").map(<[u8]>::to_vec);
        let content_type = ContentType::from_header(value("content-type"));
        Ok(Self { method, path, query, origin, content_type, length, key, keep_alive })
    }
}

/// The bytes of a response, and whether it is the last of its connection.
pub(crate) fn response(response: &Response, last: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} \r\ncontent-length: {}\r\n", response.status(), response.body().len());
    for (name, value) in response.headers().iter().chain(last.then_some(&("connection", "close"))) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    [head.as_bytes(), b"\r\n", response.body()].concat()
}

/// The bytes that turn a connection into a WebSocket.
pub(crate) fn switching_protocols(key: &AcceptKey) -> Vec<u8> {
    let key = key.as_str();
    format!("HTTP/1.1 101 \r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {key}\r\n\r\n")
        .into_bytes()
}

/// The bytes of a packet on a WebSocket.
pub(crate) fn frame(packet: &Frame) -> Vec<u8> {
    let opcode = if packet.is_binary() { Opcode::Binary } else { Opcode::Text };
    let header = FrameHeader::new(opcode.into(), packet.packet_len(), None);
    [&*header, packet.head(), packet.data()].concat()
}

/// The bytes that close a WebSocket.
pub(crate) fn close_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    // Without a code, nothing can be wrong.
    let _ = encode_close(&mut bytes, None, None);
    bytes
}

/// What is locked is sound whenever a thread could panic, so one that did is no reason for others to do so.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
