//! A client for a test, in one of the ways to connect, and what it reports.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use socketio_tokio::client::{Client, ClientBuilder, ConnectFailure, ConnectionEvent, Socket};
use socketio_tokio::{DisconnectReason, Event, LinkKind, Parser, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::server::Shared;

/// The longest time that a test waits for an event. A last resort.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const WEBSOCKET: Transport = Transport::Link(LinkKind::WebSocket);

/// How a client connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Polling,
    WebSocket,
    Upgrade,
}

pub(crate) const WAYS: [Way; 3] = [Way::Polling, Way::WebSocket, Way::Upgrade];

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Upgrade => "upgrade",
        }
    }

    fn transports(self) -> Vec<Transport> {
        match self {
            Self::Polling => vec![Transport::Polling],
            Self::WebSocket => vec![WEBSOCKET],
            Self::Upgrade => vec![Transport::Polling, WEBSOCKET],
        }
    }
}

/// One check against one server in one way.
pub(crate) struct Test {
    pub(crate) server: Arc<Shared>,
    pub(crate) way: Way,
}

impl Test {
    /// The client of this test for the server at a URL.
    pub(crate) fn builder(&self, url: &str) -> ClientBuilder {
        let (way, kind) = (self.way, self.server.kind);
        ClientBuilder::new(url)
            .unwrap()
            .path(kind.path)
            .unwrap()
            .transports(way.transports())
            .engine(|engine| engine.revision = kind.revision)
            .reconnection_delay(Duration::from_millis(20), Duration::from_millis(100))
    }

    /// How many events a test may emit at once.
    pub(crate) fn batch(&self) -> u32 {
        // python-engineio refuses a body with more than 16 packets (`Payload.max_decode_packets`).
        if self.server.kind.peer == "python-aiohttp" && self.way != Way::WebSocket { 5 } else { 300 }
    }

    /// The bytes of a large message.
    pub(crate) fn large(&self) -> usize {
        // On aiohttp, python-engineio takes a body for complete when its first part has come (`AwaitablePayload.read`).
        if self.server.kind.peer == "python-aiohttp" && self.way != Way::WebSocket { 5_000 } else { 300_000 }
    }

    /// Waits until the client uses the transport that it ends up with.
    pub(crate) async fn settled<P: Parser>(&self, client: &Client<P>, events: &mut Reports<ConnectionEvent>) {
        if self.way == Way::Upgrade {
            events.until("the upgrade", |event| matches!(event, ConnectionEvent::Upgraded(_)).then_some(())).await;
        }
        let expected = if self.way == Way::Polling { Transport::Polling } else { WEBSOCKET };
        assert_eq!(client.transport(), expected);
    }
}

/// Runs a check.
pub(crate) fn block_on(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // Each wait in it has a limit of its own, and says what it waits for.
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE * 4, check).await.expect("the end of the test did not come") });
}

/// Waits, and panics if it takes too long.
pub(crate) async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// What a client has reported, in order.
pub(crate) struct Reports<T>(UnboundedReceiver<T>);

impl<T> Reports<T> {
    pub(crate) async fn next(&mut self, what: &str) -> T {
        within(what, self.0.recv()).await.unwrap_or_else(|| panic!("the client ended before {what}"))
    }

    /// Skips reports until one of them is the one that is looked for.
    pub(crate) async fn until<R>(&mut self, what: &str, mut find: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            if let Some(found) = find(&self.next(what).await) {
                return found;
            }
        }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What happens to the connection.
pub(crate) fn connection<P: Parser>(client: &Client<P>) -> Reports<ConnectionEvent> {
    let (sender, receiver) = unbounded_channel();
    client.on_event(move |event: ConnectionEvent| {
        let _ = sender.send(event);
    });
    Reports(receiver)
}

/// When the socket connects, and whether its state was recovered.
pub(crate) fn connects<P: Parser>(socket: &Socket<P>) -> Reports<bool> {
    let (sender, receiver) = unbounded_channel();
    socket.on_connect(move |socket: Socket<P>| {
        let _ = sender.send(socket.recovered());
    });
    Reports(receiver)
}

/// Why the socket could not connect.
pub(crate) fn failures<P: Parser>(socket: &Socket<P>) -> Reports<ConnectFailure> {
    let (sender, receiver) = unbounded_channel();
    socket.on_connect_error(move |failure: ConnectFailure| {
        let _ = sender.send(failure);
    });
    Reports(receiver)
}

/// Why the socket disconnects.
pub(crate) fn disconnects<P: Parser>(socket: &Socket<P>) -> Reports<DisconnectReason> {
    let (sender, receiver) = unbounded_channel();
    socket.on_disconnect(move |reason: DisconnectReason| {
        let _ = sender.send(reason);
    });
    Reports(receiver)
}

/// The next event, which must have this name.
pub(crate) async fn received<P: Parser>(socket: &Socket<P>, name: &str) -> Event<P> {
    let event = within(name, socket.recv()).await.unwrap_or_else(|| panic!("the client ended before {name}"));
    assert_eq!(event.name(), name, "{event:?}");
    event
}

/// Connects a socket, and takes the first event of the servers.
pub(crate) async fn connected<P: Parser>(socket: &Socket<P>) {
    socket.connect();
    within("the connection", socket.connected()).await.unwrap();
    received(socket, "auth").await;
}

/// The checks of a file as a list. Each is generic in the parser of the client, which depends on the server.
#[macro_export]
macro_rules! checks {
    ($($name:ident $applies:expr),* $(,)?) => {
        pub(crate) const CHECKS: &[$crate::Check] = &[$((stringify!($name), $applies, |test| {
            $crate::connection::block_on(async {
                match test.server.kind.revision {
                    socketio_tokio::Revision::V3 => $name(test, |url| test.builder(url).parser(socketio_tokio::JsonV4)).await,
                    _ => $name(test, |url| test.builder(url)).await,
                }
            });
        })),*];
    };
}
