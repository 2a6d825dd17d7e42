//! Sessions from the handshake to the end, over each transport.

use std::time::Duration;

use socketio_driver::{CloseReason, EngineServer, EngineSocket, Event, Runtime as _, Server, Socket};

use crate::support::{PipeSettings, Poller, Sim, Upgrading, WebSocket};
use crate::{ENGINE, Log, echo_server, end};

#[test]
fn a_polling_peer_is_pinged_and_closes() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        assert_eq!(server.sessions(), 1);
        assert_eq!(peer.post("4one\u{1e}4two").await.body, "ok");
        assert_eq!(peer.get().await.body, "4one\u{1e}4two");
        // The GET is held until the ping is due, 25 s after the handshake.
        assert_eq!(peer.get().await.body, "2");
        assert!((25_000..25_200).contains(&sim.elapsed().as_millis()), "{:?}", sim.elapsed());
        assert_eq!(peer.post("3").await.body, "ok");
        assert_eq!(peer.post("1").await.body, "ok");
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        assert_eq!(peer.get().await.status, 400);
        assert_eq!(log.lines(), ["connect", "one", "two", "transport close"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_websocket_peer_is_pinged_and_closes() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let settings = PipeSettings { splits: true, max_delay: Duration::from_millis(5), ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        peer.send("4one").await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "4one");
        assert_eq!(peer.next().await.unwrap(), "2");
        peer.send("3").await.unwrap();
        peer.send("4two").await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "4two");
        peer.close().await;
        drop(peer);
        sim.settle().await;
        assert_eq!(log.lines(), ["connect", "one", "two", "transport close"]);
        end(&sim, server, ()).await;
    });
}

#[test]
fn a_peer_that_does_not_answer_a_ping_times_out() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        assert_eq!(peer.next().await.unwrap(), "2");
        assert_eq!(peer.next().await, None);
        // The ping is due after 25 s and the pong after another 20 s, each rounded up by at most 100 ms.
        assert!((45_000..45_200).contains(&sim.elapsed().as_millis()), "{:?}", sim.elapsed());
        assert_eq!(log.lines(), ["connect", "ping timeout"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn an_upgrade_loses_no_message_and_answers_the_held_get() {
    Sim::run_each_seed(200, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let (held, polls) = (peer.clone(), sim.clone());
        let got = Log::default();
        let bodies = got.clone();
        sim.spawn(async move {
            polls.yield_to_ready_tasks().await;
            bodies.push(held.get().await.body);
        });
        assert_eq!(peer.post("4one").await.body, "ok");
        let settings = PipeSettings { splits: true, max_delay: Duration::from_millis(5), ..PipeSettings::default() };
        let upgrading = Upgrading { delay: sim.duration(Duration::from_millis(50)), ..Upgrading::default() };
        let target = peer.target("websocket");
        let mut websocket = WebSocket::upgrade(&sim, &server, &target, settings, upgrading).await.unwrap();
        websocket.send("2probe").await.unwrap();
        assert_eq!(websocket.next().await.unwrap(), "3probe");
        // The echo is in the answer to the first GET, or to the next one.
        sim.sleep(Duration::from_millis(500)).await;
        let mut echoes = got.lines().concat();
        if !echoes.contains("4one") {
            echoes.push_str(&peer.get().await.body);
        }
        assert!(echoes.contains("4one"), "{echoes}");
        websocket.send("5").await.unwrap();
        websocket.send("4two").await.unwrap();
        assert_eq!(websocket.next().await.unwrap(), "4two");
        websocket.close().await;
        drop(websocket);
        sim.settle().await;
        assert_eq!(log.lines(), ["connect", "one", "two", "transport close"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_socket_io_client_connects_emits_gets_an_ack_and_disconnects() {
    Sim::run_each_seed(50, |sim| async move {
        let server = Server::new();
        server.on_connect(|socket: Socket| socket.emit("hello", socket.id().as_str().len())).on(
            "sum",
            async |_: Socket, event: Event| {
                let (a, b): (u32, u32) = event.read().unwrap();
                event.ack(a + b).unwrap();
            },
        );
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        peer.send("40").await.unwrap();
        assert!(peer.next().await.unwrap().starts_with(r#"40{"sid":""#));
        assert_eq!(peer.next().await.unwrap(), r#"42["hello",20]"#);
        peer.send(r#"427["sum",3,4]"#).await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "437[7]");
        assert_eq!(server.sockets().len(), 1);
        peer.send("41").await.unwrap();
        sim.settle().await;
        assert_eq!((server.sockets().len(), server.sessions()), (0, 1));
        server.shut_down(sim.sleep(Duration::from_secs(60))).await;
        assert_eq!(peer.next().await, None);
        drop((peer, server));
        sim.settle().await;
        assert_eq!(sim.tasks().len(), 1);
    });
}

#[test]
fn a_close_handler_that_waits_still_has_the_values_of_its_socket_and_they_are_dropped_after_it() {
    Sim::run_each_seed(10, |sim| async move {
        let (server, log, waits) = (EngineServer::new(), Log::default(), sim.clone());
        let closes = log.clone();
        server.on_connect(|socket: EngineSocket| _ = socket.insert(7_u8)).on_close(
            move |socket: EngineSocket, reason: CloseReason| {
                let (wait, log) = (waits.sleep(Duration::from_secs(1)), closes.clone());
                async move {
                    wait.await;
                    log.push(format!("{reason} {:?}", socket.get::<u8>()));
                }
            },
        );
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        sim.settle().await;
        let socket = server.sockets().remove(0);
        peer.close().await;
        sim.sleep(Duration::from_secs(2)).await;
        assert_eq!((log.lines(), socket.get::<u8>()), (vec!["transport close Some(7)".to_owned()], None));
        end(&sim, server, peer).await;
    });
}
