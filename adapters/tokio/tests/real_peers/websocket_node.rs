//! The WebSocket crate against Node's `ws`, in both roles, over blocking sockets of the standard library.
//!
//! In either role the checks are in the script, which sends messages and expects an echo from our end. Some texts are commands:
//! `ping PAYLOAD` sends a ping, and answers with `pong PAYLOAD` when the pong arrives. `close CODE REASON` closes. `last-closed` is
//! answered with how the previous connection ended.

use crate::group::{self, Counterpart, Group, Opposite, Runner};
use engineio_websocket::handshake::{self, ClientHandshake};
use engineio_websocket::{Closed, Connection, ConnectionEvent, Limits, SendError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(crate) fn groups() -> Vec<Group> {
    // The mode is the role of Node's end.
    let all = group::checks(include_str!("scripts/websocket.mjs"));
    let group = |name: &str, mode, deflate| Group {
        name: format!("websocket_node::{name}"),
        runner: Runner::Node,
        script: "websocket.mjs",
        mode,
        checks: all.iter().filter(|check| deflate || !check.starts_with("compression_")).cloned().collect(),
        opposite: Opposite::WebSocket { deflate },
    };
    vec![
        group("our_server", "client", false),
        group("our_client", "server", false),
        group("our_server::deflate", "client deflate", true),
        group("our_client::deflate", "server deflate", true),
    ]
}

/// Our end: a listener for one role, `dial PORT` for the other.
#[derive(Debug)]
pub(crate) struct Echo {
    address: SocketAddr,
    /// Whether our end compresses every message.
    deflate: bool,
    records: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Records>,
    /// Notified when a connection has closed.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Records {
    /// The ends of connections that were not requested yet, by the port of the client.
    closed: BTreeMap<u16, String>,
    transcript: String,
    fault: Option<String>,
}

impl Echo {
    /// Listens until the process ends.
    pub(crate) fn start(deflate: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let records = Arc::<Shared>::default();
        let kept = Arc::clone(&records);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(&kept, "server", move || accept(stream, deflate));
            }
        });
        Ok(Self { address, deflate, records })
    }
}

impl Counterpart for Echo {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, what: &str) -> Result<(), String> {
        let port = what.strip_prefix("dial ").and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| format!("unknown request of the script: {what:?}"))?;
        let deflate = self.deflate;
        serve(&self.records, "client", move || dial(port, deflate));
        Ok(())
    }

    fn fault(&mut self) -> Option<String> {
        self.records.lock().fault.clone()
    }

    fn transcript(&mut self) -> String {
        self.records.lock().transcript.clone()
    }
}

/// Runs one connection in its own thread. A panic there fails the whole group.
fn serve(
    records: &Arc<Shared>,
    role: &'static str,
    open: impl FnOnce() -> io::Result<(TcpStream, Connection)> + Send + 'static,
) {
    let records = Arc::clone(records);
    thread::spawn(move || {
        let kept = Arc::clone(&records);
        let connection = thread::spawn(move || {
            let (stream, websocket) = open()?;
            echo(stream, websocket, role, &kept)
        });
        let ended = connection.join();
        let mut records = records.lock();
        // Writing to a String cannot fail.
        let _ = match ended {
            Ok(Ok(())) => writeln!(records.transcript, "our {role} finished"),
            Ok(Err(error)) => writeln!(records.transcript, "our {role} ended: {error}"),
            Err(_) => {
                records.fault = Some(format!("our {role} panicked"));
                Ok(())
            }
        };
    });
}

fn limits() -> Limits {
    Limits::default().with_max_message(2_000_000).with_max_fragments(100)
}

fn accept(mut stream: TcpStream, deflate: bool) -> io::Result<(TcpStream, Connection)> {
    let (_, headers) = read_head(&mut stream)?;
    let headers = || headers.iter().map(|(name, value)| (name, value));
    let key = handshake::accept(headers()).map_err(io::Error::other)?;
    let mut websocket = Connection::server(limits());
    if let Some(agreed) = handshake::deflate(headers()).filter(|_| deflate) {
        websocket = websocket.with_deflate(agreed, 0);
    }
    let mut websocket = websocket.with_response(&key, handshake::protocols(headers()).next());
    stream.write_all(&websocket.poll_transmit().unwrap_or_default())?;
    Ok((stream, websocket))
}

fn dial(port: u16, deflate: bool) -> io::Result<(TcpStream, Connection)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    // Fixed, because no test depends on them: these two values protect against proxies and caches.
    let mut handshake = ClientHandshake::new([7; 16]).with_protocols(&["chat", "superchat"]);
    if deflate {
        handshake = handshake.with_deflate();
    }
    let mut request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    for (name, value) in handshake.headers() {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let (status_line, headers) = read_head(&mut stream)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let headers = || headers.iter().map(|(name, value)| (name, value));
    handshake.check(status, headers()).map_err(io::Error::other)?;
    let mut websocket = Connection::client(limits(), [9; 16]);
    if let Some(agreed) = handshake.deflate(headers()) {
        websocket = websocket.with_deflate(agreed, 0);
    }
    Ok((stream, websocket))
}

/// Reads the first line and the headers of an HTTP message. Reads byte by byte, because the bytes after them belong to the WebSocket.
fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<(String, String)>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Ok((first, lines.filter_map(header).collect()))
}

fn echo(mut stream: TcpStream, mut websocket: Connection, role: &str, records: &Shared) -> io::Result<()> {
    let dialled = if role == "client" { stream.local_addr()? } else { stream.peer_addr()? }.port();
    let mut buffer = [0; 16 * 1024];
    while !websocket.is_finished() {
        match stream.read(&mut buffer)? {
            0 => websocket.handle_end(),
            count => websocket.handle(buffer.get_mut(..count).unwrap_or_default()),
        }
        while let Some(event) = websocket.poll_event() {
            let answered = match event {
                ConnectionEvent::Text(text) => obey(&mut websocket, &text, records),
                ConnectionEvent::Binary(data) => websocket.send_binary(&data),
                ConnectionEvent::Pong(payload) => {
                    websocket.send_text(&format!("pong {}", String::from_utf8_lossy(&payload)))
                }
                ConnectionEvent::Closed(closed) => {
                    let closed = match closed {
                        Closed::Peer(Some(frame)) => format!("peer {} {}", frame.code, frame.reason),
                        Closed::Peer(None) => "peer".to_owned(),
                        Closed::Error(error) => format!("error {}", error.close_code()),
                        _ => "lost".to_owned(),
                    };
                    records.lock().closed.insert(dialled, closed);
                    records.changed.notify_all();
                    Ok(())
                }
                _ => Ok(()),
            };
            // A message that is sent after our close fails because the connection is closing. Any other error is a failure.
            if let Err(error) = answered
                && error != SendError::Closed
            {
                return Err(io::Error::other(error));
            }
            while let Some(bytes) = websocket.poll_transmit() {
                stream.write_all(&bytes)?;
            }
        }
        while let Some(bytes) = websocket.poll_transmit() {
            stream.write_all(&bytes)?;
        }
    }
    // Closing a socket with unread bytes resets the connection, and the peer might never see our close frame.
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn obey(websocket: &mut Connection, text: &str, records: &Shared) -> Result<(), SendError> {
    if let Some(payload) = text.strip_prefix("ping ") {
        return websocket.ping(payload.as_bytes());
    }
    if let Some((code, reason)) = text.strip_prefix("close ").and_then(|rest| rest.split_once(' '))
        && let Ok(code) = code.parse()
    {
        return websocket.close(code, reason);
    }
    if let Some(port) = text.strip_prefix("closed ").and_then(|port| port.parse().ok()) {
        let mut records_of_all = records.lock();
        let closed = loop {
            match records_of_all.closed.remove(&port) {
                Some(closed) => break closed,
                None => records_of_all = records.changed.wait(records_of_all).unwrap_or_else(PoisonError::into_inner),
            }
        };
        return websocket.send_text(&closed);
    }
    websocket.send_text(text)
}
