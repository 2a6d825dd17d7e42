//! Clients of the driver against servers of the driver: connecting, handlers, reconnection, what is left when they end.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body::Body as _;
use serde_json::json;
use socketio_driver::client::{
    Client, ClientSettings, ConnectError, ConnectFailure, ConnectionEvent, Connector, Socket, Upgraded,
};
use socketio_driver::{
    Ack, AckError, ConnectRequest, Data, DisconnectReason, Endpoint as _, Event, Json, LinkKind, Recovery, Refusal,
    Runtime as _, SendError, Server, Socket as ServerSocket, Stream, Transport, Upgrade,
};

use crate::Log;
use crate::support::{Ending, PipeEnd, PipeSettings, RequestBody, Sim, pipe};

const URL: &str = "http://server/";

/// The network between a client and a server, which can be cut, and whose server can be replaced.
#[derive(Clone)]
struct Network {
    sim: Sim,
    server: Arc<Mutex<Option<Server>>>,
    links: Arc<Mutex<Vec<Weak<Mutex<PipeEnd>>>>>,
    settings: PipeSettings,
}

impl Network {
    fn new(sim: &Sim, server: &Server) -> Self {
        let settings = PipeSettings { splits: true, max_delay: Duration::from_millis(20), ..PipeSettings::default() };
        let server = Arc::new(Mutex::new(Some(server.clone())));
        Self { sim: sim.clone(), server, links: Arc::default(), settings }
    }

    /// Resets all WebSockets.
    fn cut(&self) {
        for link in std::mem::take(&mut *self.links.lock().unwrap()).iter().filter_map(Weak::upgrade) {
            link.lock().unwrap().reset();
        }
    }

    /// From now on, clients reach this server, or none.
    fn replace(&self, server: Option<Server>) {
        *self.server.lock().unwrap() = server;
        self.cut();
    }

    fn reach(&self) -> Result<Server, ConnectError> {
        self.server.lock().unwrap().clone().ok_or_else(|| ConnectError::Unreachable {
            address: "server:80".to_owned(),
            source: io::ErrorKind::ConnectionRefused.into(),
        })
    }
}

impl Connector for Network {
    type Stream = Link;

    fn request(
        &self,
        request: http::Request<Bytes>,
        _: usize,
    ) -> BoxFuture<'static, Result<http::Response<Bytes>, ConnectError>> {
        let network = self.clone();
        let (parts, body) = request.into_parts();
        async move {
            let (server, sim) = (network.reach()?, &network.sim);
            sim.sleep(sim.duration(network.settings.max_delay)).await;
            let pieces = (!body.is_empty()).then_some((Duration::ZERO, body));
            let request = http::Request::from_parts(parts, RequestBody::new(sim, pieces, Ending::Complete));
            let (parts, mut body) = server.respond(sim, request, None).await.into_parts();
            let mut read = Vec::new();
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                read.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
            drop(body);
            sim.sleep(sim.duration(network.settings.max_delay)).await;
            Ok(http::Response::from_parts(parts, read.into()))
        }
        .boxed()
    }

    fn upgrade(&self, request: http::Request<()>) -> BoxFuture<'static, Result<Upgraded<Link>, ConnectError>> {
        let network = self.clone();
        async move {
            let (server, sim) = (network.reach()?, &network.sim);
            sim.sleep(sim.duration(network.settings.max_delay)).await;
            let (here, there) = pipe(sim, network.settings);
            let (let_go, gone) = oneshot::channel::<()>();
            let upgrade = Upgrade::new(async move {
                gone.await.map_err(io::Error::other)?;
                Ok((there, Bytes::new()))
            });
            let request = request.map(|()| RequestBody::empty(sim));
            let (parts, _) = server.respond(sim, request, Some(upgrade)).await.into_parts();
            assert_eq!(parts.status, 101);
            let _ = let_go.send(());
            let here = Arc::new(Mutex::new(here));
            network.links.lock().unwrap().push(Arc::downgrade(&here));
            Ok(Upgraded { response: http::Response::from_parts(parts, ()), stream: Link(here), early: Bytes::new() })
        }
        .boxed()
    }

    fn close_idle(&self) {}
}

/// The client's end of a WebSocket.
struct Link(Arc<Mutex<PipeEnd>>);

impl Stream for Link {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().poll_shutdown(cx)
    }
}

fn client(network: &Network, change: impl FnOnce(&mut ClientSettings<Json>)) -> Client {
    let mut settings = ClientSettings::new(URL, Json).unwrap();
    change(&mut settings);
    settings.start(network.clone(), network.sim.clone())
}

/// A client that uses only WebSockets, which can be cut.
fn on_websocket(network: &Network) -> Client {
    client(network, |settings| settings.transport.engine.transports = vec![Transport::Link(LinkKind::WebSocket)])
}

/// Waits for a condition, for a day at most.
async fn until(sim: &Sim, mut condition: impl FnMut() -> bool) {
    for _ in 0..864_000 {
        if condition() {
            return;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not happen within a day");
}

/// Waits until clients that were dropped have closed their connections, then ends the test as [`crate::end`].
async fn end<S: socketio_driver::Endpoint>(sim: &Sim, server: S, peers: impl Send) {
    drop(peers);
    sim.sleep(Duration::from_secs(60)).await;
    crate::end(sim, server, ()).await;
}

#[test]
fn messages_arrive_once_and_in_order_across_the_upgrade() {
    Sim::run_each_seed(60, |sim| async move {
        let server = Server::new();
        server.on("n", |socket: ServerSocket, event: Event| socket.emit("n", event.payload()));
        let network = Network::new(&sim, &server);
        let client = client(&network, |_| {});
        let socket = client.socket("/");
        socket.connect();
        for number in 0..40 {
            socket.emit("n", number).unwrap();
            if sim.index(2) == 0 {
                sim.sleep(sim.duration(Duration::from_millis(30))).await;
            }
        }
        for number in 0..40 {
            assert_eq!(socket.recv().await.unwrap().read::<usize>().unwrap(), number);
        }
        until(&sim, || client.transport() != Transport::Polling).await;
        client.close();
        client.closed().await;
        end(&sim, server, (client, socket, network)).await;
    });
}

#[test]
fn a_client_returns_after_its_server_was_away_and_sends_what_it_kept() {
    Sim::run_each_seed(60, |sim| async move {
        let (log, received) = (Log::default(), Log::default());
        let new_server = || {
            let (server, received) = (Server::new(), received.clone());
            server.on("say", move |Data(text): Data<String>| received.push(text));
            server
        };
        let first = new_server();
        let network = Network::new(&sim, &first);
        let client = on_websocket(&network);
        let events = log.clone();
        client.on_event(move |event: ConnectionEvent| events.push(format!("{event:?}")));
        let socket = client.socket("/");
        let (connects, disconnects) = (log.clone(), log.clone());
        socket
            .on_connect(move |_: Socket| connects.push("connect"))
            .on_disconnect(move |reason: DisconnectReason| disconnects.push(reason.to_string()))
            .connect();
        socket.connected().await.unwrap();
        socket.emit("say", "one").unwrap();
        until(&sim, || received.lines().len() == 1).await;

        network.replace(None);
        until(&sim, || !socket.is_connected()).await;
        assert!(socket.is_active());
        socket.emit("say", "two").unwrap();
        sim.sleep(Duration::from_secs(30)).await;
        let failure = socket.connected().await.unwrap_err();
        assert!(failure.to_string().contains("server:80") && !failure.is_refused(), "{failure}");
        assert!(failure.cause().is_some());

        let second = new_server();
        network.replace(Some(second.clone()));
        until(&sim, || received.lines().len() == 2).await;
        assert_eq!(received.lines(), ["one", "two"]);
        let log = log.lines();
        assert_eq!(log.iter().filter(|line| *line == "connect").count(), 2);
        assert!(log.contains(&"transport close".to_owned()), "{log:?}");
        assert!(log.contains(&"ReconnectAttempt(1)".to_owned()), "{log:?}");
        assert!(log.iter().any(|line| line.starts_with("Reconnect(")), "{log:?}");
        drop((client, socket));
        end(&sim, (first, second), network).await;
    });
}

#[test]
fn a_refused_client_learns_why_and_does_not_try_again() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        server.middleware(|request: ConnectRequest| match request.read_auth::<serde_json::Value>() {
            Ok(auth) if auth == json!({ "token": "good" }) => Ok(()),
            _ => Err(Refusal::new("not authorised").with_data(json!({ "code": 7 }))),
        });
        let network = Network::new(&sim, &server);
        let client = client(&network, |settings| settings.set_auth(json!({ "token": "bad" })).unwrap());
        let socket = client.socket("/");
        let log = Log::default();
        let errors = log.clone();
        socket
            .on_connect_error(move |socket: Socket, failure: ConnectFailure| {
                errors.push(format!("{failure} {}", socket.is_active()));
            })
            .connect();
        let failure = socket.connected().await.unwrap_err();
        assert!(failure.is_refused());
        assert_eq!((failure.message(), failure.data().unwrap()), ("not authorised".to_owned(), json!({ "code": 7 })));
        assert_eq!(log.lines(), ["not authorised false"]);
        assert!(socket.recv().await.is_none(), "nothing can come");
        sim.sleep(Duration::from_secs(100)).await;
        assert_eq!(log.lines().len(), 1);
        assert_eq!(server.metrics().engine.sessions, 0, "no other socket needs the connection");
        // A function makes the auth of each attempt.
        socket.auth(async || json!({ "token": "good" }));
        socket.connect().connected().await.unwrap();
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn an_auth_that_cannot_be_made_fails_the_attempt() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        let network = Network::new(&sim, &server);
        let client = on_websocket(&network);
        let socket = client.socket("/");
        for (auth, expected) in [("fails", "the vault is closed"), ("panics", "no vault"), ("not an object", "object")]
        {
            socket.auth(move || async move {
                match auth {
                    "fails" => Err("the vault is closed"),
                    "panics" => panic!("no vault"),
                    _ => Ok(1),
                }
            });
            let failure = socket.connect().connected().await.unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
            assert!(!socket.is_active());
        }
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn acks_go_both_ways_and_fail_with_the_connection() {
    Sim::run_each_seed(40, |sim| async move {
        let server = Server::new();
        server.on("double", |Data(number): Data<u32>, ack: Ack| ack.send(number * 2)).on("never", |_: Ack| {}).on(
            "ask",
            async |socket: ServerSocket, ack: Ack| {
                let answer = socket.emit_with_ack("question", "what")?.await?;
                ack.send(&answer)?;
                Ok::<(), socketio_driver::Failure>(())
            },
        );
        let network = Network::new(&sim, &server);
        let client = on_websocket(&network);
        let socket = client.socket("/");
        socket.on("question", |Data(text): Data<String>, ack: Ack| ack.send((text, 42))).connect();
        let doubled: u32 = socket.emit_with_ack("double", 4).unwrap().await.unwrap().read().unwrap();
        assert_eq!(doubled, 8);
        let answer: (String, u32) = socket.emit_with_ack("ask", ()).unwrap().await.unwrap().read().unwrap();
        assert_eq!(answer, ("what".to_owned(), 42));
        let timeout = socket.emit_with_ack_timeout("never", (), Duration::from_secs(3)).unwrap();
        assert_eq!(timeout.await.unwrap_err(), AckError::Timeout);
        let lost = socket.emit_with_ack("never", ()).unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        network.cut();
        assert_eq!(lost.await.unwrap_err(), AckError::Disconnected);
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn handlers_run_in_order_and_the_first_one_of_the_name_gets_the_ack() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        server.on("start", async |socket: ServerSocket, ack: Ack| {
            let answer = socket.emit_with_ack("x", 1)?.await?;
            socket.emit("x", 2)?;
            socket.emit("y", 3)?;
            ack.send(&answer)?;
            Ok::<(), socketio_driver::Failure>(())
        });
        let network = Network::new(&sim, &server);
        let client = client(&network, |_| {});
        let (socket, log) = (client.socket("/"), Log::default());
        let (any, each, once) = (log.clone(), log.clone(), log.clone());
        socket
            .on_any(move |event: Event| {
                any.push(format!("any {} {}", event.name(), event.read::<u32>().unwrap()));
                event.ack("from any")
            })
            .on("x", move |Data(number): Data<u32>, ack: Option<Ack>| {
                each.push(format!("x {number} {}", ack.is_some()));
                ack.map_or(Ok(()), |ack| ack.send("from x"))
            })
            .once("x", move |Data(number): Data<u32>| once.push(format!("once {number}")))
            .connect();
        let answer: String = socket.emit_with_ack("start", ()).unwrap().await.unwrap().read().unwrap();
        assert_eq!(answer, "from x");
        assert_eq!(log.lines(), ["any x 1", "x 1 true", "once 1", "any x 2", "x 2 false", "any y 3"]);
        socket.off("x").off_any();
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn a_handler_that_panics_drops_the_connection_which_is_made_again() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        server.on("ask", |socket: ServerSocket| socket.emit("bang", ()));
        let network = Network::new(&sim, &server);
        let client = on_websocket(&network);
        let socket = client.socket("/");
        socket.on("bang", |_: Event| -> () { panic!("as it should") }).connect();
        socket.connected().await.unwrap();
        let id = socket.id();
        socket.emit("ask", ()).unwrap();
        until(&sim, || socket.is_connected() && socket.id() != id).await;
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn the_last_handle_that_is_dropped_closes_the_connection() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let reasons = log.clone();
        server.on_disconnect(move |reason: DisconnectReason| reasons.push(reason.to_string()));
        let network = Network::new(&sim, &server);
        let socket = client(&network, |_| {}).socket("/");
        socket.connect().connected().await.unwrap();
        let other = socket.clone();
        drop(socket);
        sim.sleep(Duration::from_secs(60)).await;
        assert!(other.is_connected());
        drop(other);
        until(&sim, || !log.lines().is_empty()).await;
        assert_eq!(log.lines(), ["client namespace disconnect"]);
        end(&sim, server, network).await;
    });
}

#[test]
fn a_client_whose_task_is_dropped_ends_every_wait() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        server.on("never", |_: Ack| {});
        let network = Network::new(&sim, &server);
        let before = sim.tasks();
        let socket = on_websocket(&network).socket("/");
        let task = *sim.tasks().iter().find(|task| !before.contains(task)).unwrap();
        socket.connect().connected().await.unwrap();
        let answer = socket.emit_with_ack("never", ()).unwrap();
        sim.drop_task(task);
        assert_eq!(answer.await.unwrap_err(), AckError::Disconnected);
        assert!(socket.recv().await.is_none());
        assert_eq!(socket.emit("x", ()), Err(SendError::Closed.into()));
        assert!(!socket.is_connected() && !socket.is_active());
        socket.connect();
        assert!(socket.ready().await.is_err());
        end(&sim, server, (socket, network)).await;
    });
}

#[test]
fn what_is_kept_while_offline_is_bounded_and_refused_beyond() {
    Sim::run_each_seed(10, |sim| async move {
        let (server, received) = (Server::new(), Log::default());
        let log = received.clone();
        server.on("fill", move |Data((number, _)): Data<(usize, String)>| log.push(number.to_string()));
        let network = Network::new(&sim, &server);
        network.replace(None);
        let client = client(&network, |settings| settings.transport.engine.limits.max_outbound = 10_000);
        let socket = client.socket("/");
        socket.connect();
        let mut kept = 0;
        while socket.emit("fill", (kept, "x".repeat(500))).is_ok() {
            kept += 1;
            sim.settle().await;
            assert!(kept < 100 && client.queued_bytes() <= 10_600, "{kept} {}", client.queued_bytes());
        }
        assert!(kept > 10, "{kept}");
        assert_eq!(socket.emit("fill", (0, "x".repeat(500))), Err(SendError::Full.into()));
        network.replace(Some(server.clone()));
        socket.ready().await.unwrap();
        until(&sim, || received.lines().len() == kept).await;
        let expected: Vec<_> = (0..kept).map(|number| number.to_string()).collect();
        assert_eq!(received.lines(), expected);
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn a_client_that_does_not_receive_stops_reading_and_loses_nothing() {
    Sim::run_each_seed(10, |sim| async move {
        let server = Server::new();
        server.on("start", async |socket: ServerSocket| {
            for number in 0..300 {
                socket.ready().await?;
                socket.emit("n", (number, "x".repeat(2000)))?;
            }
            Ok::<(), socketio_driver::Failure>(())
        });
        let network = Network::new(&sim, &server);
        let client = on_websocket(&network);
        let socket = client.socket("/");
        socket.connect();
        // From now on, events are kept.
        assert!(socket.recv().now_or_never().is_none());
        socket.emit("start", ()).unwrap();
        // Longer than this, the server would miss the answer to its ping, which is behind the events.
        sim.sleep(Duration::from_secs(20)).await;
        assert!(socket.is_connected());
        for expected in 0..300 {
            let (number, _): (usize, String) = socket.recv().await.unwrap().read().unwrap();
            assert_eq!(number, expected);
        }
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn with_retries_every_event_arrives_at_least_once_in_order() {
    Sim::run_each_seed(60, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let received = log.clone();
        server.on("n", move |Data(number): Data<usize>, ack: Ack| {
            received.push(number.to_string());
            ack.send(())
        });
        let network = Network::new(&sim, &server);
        let client = client(&network, |settings| {
            settings.transport.engine.transports = vec![Transport::Link(LinkKind::WebSocket)];
            settings.options.retries =
                Some(socketio_driver::client::Retries { count: 1000, timeout: Duration::from_secs(1) });
        });
        let socket = client.socket("/");
        socket.connect();
        for number in 0..30 {
            socket.emit("n", number).unwrap();
            if sim.index(3) == 0 {
                sim.sleep(sim.duration(Duration::from_millis(500))).await;
                network.cut();
            }
        }
        until(&sim, || log.lines().last().is_some_and(|last| last == "29")).await;
        let mut lines = log.lines();
        lines.dedup();
        let expected: Vec<_> = (0..30).map(|number| number.to_string()).collect();
        assert_eq!(lines, expected);
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn a_recovered_client_gets_every_broadcast_once_and_in_order() {
    Sim::run_each_seed(60, |sim| async move {
        let server = Server::builder().connection_state_recovery(Recovery::default()).build();
        let network = Network::new(&sim, &server);
        let client = client(&network, |settings| {
            settings.transport.engine.transports = vec![Transport::Link(LinkKind::WebSocket)];
            settings.socket.reconnection_delay = Duration::from_millis(100);
        });
        let socket = client.socket("/");
        socket.connect().connected().await.unwrap();
        // The offset is known with the first event.
        server.emit("n", 0_usize).unwrap();
        assert_eq!(socket.recv().await.unwrap().read::<usize>().unwrap(), 0);
        let id = socket.id();
        for number in 1..60_usize {
            server.emit("n", number).unwrap();
            if sim.index(6) == 0 {
                network.cut();
            }
            sim.sleep(sim.duration(Duration::from_millis(200))).await;
        }
        for number in 1..60 {
            let event = socket.recv().await.unwrap();
            assert_eq!(event.read::<usize>().unwrap(), number, "recovered: {}", socket.recovered());
        }
        assert_eq!(socket.id(), id);
        drop((client, socket));
        end(&sim, server, network).await;
    });
}

#[test]
fn a_client_that_takes_no_events_goes_on() {
    Sim::run_each_seed(10, |sim| async move {
        let server = Server::new();
        server.on("flood", |socket: ServerSocket, ack: Ack| {
            for size in [0, 1, 40, 700] {
                for _ in 0..200 {
                    socket.emit("ignored", "x".repeat(size))?;
                }
            }
            ack.send(())
        });
        let network = Network::new(&sim, &server);
        let client = on_websocket(&network);
        let socket = client.socket("/");
        socket.connect();
        for _ in 0..3 {
            socket.emit_with_ack("flood", ()).unwrap().await.unwrap();
            sim.sleep(Duration::from_secs(1)).await;
        }
        network.cut();
        until(&sim, || !socket.is_connected()).await;
        until(&sim, || socket.is_connected()).await;
        end(&sim, server, (client, socket, network)).await;
    });
}

#[test]
fn a_socket_that_is_connected_right_after_it_was_disconnected_receives() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        server.on("echo", |socket: ServerSocket, event: Event| socket.emit("echo", event.payload()));
        let network = Network::new(&sim, &server);
        let client = client(&network, |_| {});
        let socket = client.socket("/");
        socket.connect().connected().await.unwrap();
        for closes in [false, true] {
            if closes {
                client.close();
            } else {
                socket.disconnect();
            }
            socket.connect().connected().await.unwrap();
            socket.emit("echo", closes).unwrap();
            assert_eq!(socket.recv().await.unwrap().read::<bool>().unwrap(), closes);
        }
        end(&sim, server, (client, socket, network)).await;
    });
}

#[test]
fn without_reconnection_every_wait_ends_with_the_first_failure() {
    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        let network = Network::new(&sim, &server);
        network.replace(None);
        let client = client(&network, |settings| settings.socket.reconnection = false);
        let socket = client.socket("/");
        assert!(socket.connect().connected().await.is_err());
        assert!(!socket.is_active());
        assert!(socket.connected().await.is_err());
        assert!(socket.recv().await.is_none());
        end(&sim, server, (client, socket, network)).await;
    });
}
