//! The transport of clients, as a test uses it: requests and WebSockets by hand, without a client machine.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use engineio_proto::ContentType;
use engineio_proto::client::Method;
use engineio_websocket::{Connection, ConnectionEvent, Limits};
use socketio_driver::Stream as _;
use socketio_tokio::client::{ConnectError, ConnectedWebSocket, Dialer, HttpClient, HttpConnector, Proxies, Target};
use socketio_tokio::{Stream, Tokio};

use super::http::Wire;
use super::within;

pub(crate) type Connector = HttpConnector<Dialer, Tokio>;
pub(crate) type Client = HttpClient<Connector>;

/// A client of Socket.IO's default path.
pub(crate) fn client(url: &str) -> Client {
    client_with(url, Dialer::new(), Proxies::none())
}

pub(crate) fn client_with(url: &str, dialer: Dialer, proxies: Proxies) -> Client {
    let (target, _) = Target::socketio(url).unwrap();
    HttpClient::new(HttpConnector::new(Tokio, Arc::new(dialer), proxies), target)
}

pub(crate) const POLL: &str = "EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "EIO=4&transport=websocket";

pub(crate) async fn try_get(client: &Client, query: &str) -> Result<http::Response<Bytes>, ConnectError> {
    within(client.request(Method::Get, query)).await
}

/// A GET whose answer has status 200.
pub(crate) async fn get(client: &Client, query: &str) -> String {
    let response = try_get(client, query).await.unwrap();
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert_eq!(response.status(), 200, "{body}");
    body
}

pub(crate) async fn try_post(client: &Client, query: &str, body: &str) -> Result<http::Response<Bytes>, ConnectError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    within(client.request(Method::Post { body, content_type: ContentType::Text }, query)).await
}

pub(crate) async fn post(client: &Client, query: &str, body: &str) {
    let response = try_post(client, query, body).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"ok"[..]));
}

/// Opens a polling session and joins `/`. Returns the query of its further requests.
pub(crate) async fn join(client: &Client) -> String {
    let query = format!("{POLL}&sid={}", super::peers::sid_of(&get(client, POLL).await));
    post(client, &query, "40").await;
    let reply = get(client, &query).await;
    assert!(reply.starts_with("40{"), "{reply}");
    query
}

/// A WebSocket that the transport has connected.
pub(crate) struct Link {
    pub(crate) stream: Stream,
    connection: Connection,
}

impl Link {
    pub(crate) fn new(connected: ConnectedWebSocket<Stream>) -> Self {
        let mut connection = Connection::client(Limits::default().with_max_message(64 << 20), [7; 16]);
        if let Some(agreed) = connected.deflate {
            connection = connection.with_deflate(agreed, 0);
        }
        connection.handle(&mut connected.early.to_vec());
        Self { stream: connected.stream, connection }
    }

    pub(crate) async fn open(client: &Client, query: &str) -> Self {
        Self::new(within(client.connect_websocket(query)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.connection.send_text(text).unwrap();
        while let Some(bytes) = self.connection.poll_transmit() {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let written = poll_fn(|cx| self.stream.poll_write(cx, &[IoSlice::new(rest)]));
                rest = &rest[within(written).await.unwrap()..];
            }
        }
        within(poll_fn(|cx| self.stream.poll_flush(cx))).await.unwrap();
    }

    /// The next text, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.connection.poll_event() {
                Some(ConnectionEvent::Text(text)) => return Some(text.to_string()),
                Some(ConnectionEvent::Closed(_)) => return None,
                Some(_) => continue,
                None => {}
            }
            match within(poll_fn(|cx| self.stream.poll_read(cx, &mut buffer))).await {
                Ok(read @ 1..) => self.connection.handle(&mut buffer[..read]),
                _ => return None,
            }
        }
    }

    /// Joins `/` on a session that this link opens, and has an event come back under another name.
    pub(crate) async fn joins_and_echoes(&mut self, event: &str, back: &str) {
        let open = self.next().await.unwrap();
        assert!(open.starts_with("0{"), "{open}");
        self.send("40").await;
        let reply = self.next().await.unwrap();
        assert!(reply.starts_with("40{"), "{reply}");
        self.send(&format!("42[\"{event}\",1]")).await;
        // Some servers greet first.
        while self.next().await.unwrap() != format!("42[\"{back}\",1]") {}
    }
}

/// A server written out by a test: it takes one connection after the other.
pub(crate) struct Scripted {
    listener: tokio::net::TcpListener,
    pub(crate) url: String,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    pub(crate) async fn accept(&self) -> Wire {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        Wire { stream, buffer: bytes::BytesMut::new() }
    }
}

impl Wire {
    /// Reads the next request, with its body.
    pub(crate) async fn request(&mut self) -> String {
        let mut missing = 4;
        while missing > 0 {
            assert!(self.fill().await, "the connection ended before a complete request: {:?}", self.buffer);
            let request = std::str::from_utf8(&self.buffer).unwrap();
            let Some(head) = request.find("\r\n\r\n") else { continue };
            let length =
                request.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or("0", |length| length);
            missing = (head + 4 + length.parse::<usize>().unwrap()).saturating_sub(request.len());
        }
        String::from_utf8(self.buffer.split().to_vec()).unwrap()
    }

    /// Answers with status 200.
    pub(crate) async fn answer(&mut self, headers: &str, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    }
}
