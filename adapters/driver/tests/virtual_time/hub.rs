//! The table of sessions, the timers, the server's shutdown, and tasks that the runtime drops.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::{EngineServer, EngineSocket, Runtime as _, Server, Socket};

use crate::support::{PipeSettings, Poller, Reply, Sim, WebSocket, request};
use crate::{ENGINE, Log, echo_server, end};

#[test]
fn a_task_that_the_runtime_drops_leaves_no_state() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let task = *sim.tasks().last().unwrap();
        let (get, replies) = (peer.clone(), Log::default());
        let gets = replies.clone();
        sim.spawn(async move { gets.push(get.get().await.status.to_string()) });
        sim.yield_to_ready_tasks().await;
        sim.drop_task(task);
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        assert_eq!(replies.lines(), ["400"], "the GET that was held is answered");
        assert_eq!(peer.post("4late").await.status, 400);
        // No application code runs after its runtime has dropped the task.
        assert_eq!(log.lines(), ["connect"]);
        end(&sim, server, peer).await;
    });
}

/// A value that is kept as long as the socket that is stored with it, and that socket.
struct Cycle<S>(#[expect(dead_code, reason = "it is only kept")] Arc<()>, S);

#[test]
fn a_close_handler_that_the_runtime_drops_leaves_no_value_of_its_socket() {
    for kind in 0..3 {
        let sim = Sim::new(kind);
        sim.clone().run(async move {
            let (value, waits) = (Arc::new(()), sim.clone());
            let wait = move || waits.sleep(Duration::from_secs(1000));
            let kept = Arc::clone(&value);
            let (tasks, peer) = match kind {
                0 => {
                    let server = EngineServer::new();
                    server
                        .on_connect(move |socket: EngineSocket| {
                            _ = socket.insert(Cycle(Arc::clone(&kept), socket.clone()))
                        })
                        .on_close(move |_: EngineSocket| wait());
                    let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
                    peer.close().await;
                    sim.settle().await;
                    assert_eq!(server.sessions(), 0);
                    (sim.tasks(), peer)
                }
                _ => {
                    let server = Server::new();
                    let own = wait.clone();
                    server.on_connect(move |socket: Socket| {
                        socket.insert(Cycle(Arc::clone(&kept), socket.clone()));
                        if kind == 2 {
                            let own = own.clone();
                            socket.on_disconnect(move |_: Socket| own());
                        }
                    });
                    server.on_disconnect(move |_: Socket| wait());
                    let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
                    peer.send("40").await.unwrap();
                    assert!(peer.next().await.unwrap().starts_with("40"));
                    peer.close().await;
                    sim.settle().await;
                    assert_eq!(server.sessions(), 0);
                    (sim.tasks(), peer)
                }
            };
            assert!(Arc::strong_count(&value) > 1, "the handler waits, and may read the values");
            tasks.into_iter().skip(1).for_each(|task| sim.drop_task(task));
            assert_eq!(Arc::strong_count(&value), 1, "kind {kind}");
            drop(peer);
        });
    }
}

#[test]
fn timers_still_fire_after_the_runtime_dropped_their_task() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        let (server, _) = echo_server(|builder| builder);
        let first = Poller::open(&sim, &server, ENGINE).await;
        sim.settle().await;
        // The runtime has dropped all its tasks, and another one serves the server.
        let tasks = sim.tasks();
        tasks.into_iter().skip(1).for_each(|task| sim.drop_task(task));
        assert_eq!(first.get().await.status, 400);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        assert_eq!(peer.next().await.unwrap(), "2");
        peer.close().await;
        end(&sim, server, (first, peer)).await;
    });
}

#[test]
fn deadlines_fire_in_order_and_near_ones_share_a_slot() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let (server, _) = echo_server(|builder| builder);
        let pings = Log::default();
        for peer in 0..20 {
            let (mut websocket, log, clock) =
                (WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await, pings.clone(), sim.clone());
            sim.spawn(async move {
                assert_eq!(websocket.next().await.unwrap(), "2");
                log.push(format!("{peer:02} {}", clock.elapsed().as_millis()));
                websocket.close().await;
            });
            sim.sleep(Duration::from_millis(if peer % 2 == 0 { 3 } else { 500 })).await;
        }
        sim.sleep(Duration::from_secs(40)).await;
        let lines = pings.lines();
        assert_eq!(lines.len(), 20);
        let times: Vec<u128> = lines.iter().map(|line| line[3..].parse().unwrap()).collect();
        assert!(times.is_sorted(), "{lines:?}");
        let slots = times.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!((10..=11).contains(&slots), "{lines:?}");
        end(&sim, server, ()).await;
    });
}

#[test]
fn a_shutdown_refuses_new_sessions_answers_held_gets_and_closes_links() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let polls = Poller::open(&sim, &server, ENGINE).await;
        let silent = Poller::open(&sim, &server, ENGINE).await;
        let mut websocket = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        let replies = Log::default();
        let (get, gets) = (polls.clone(), replies.clone());
        sim.spawn(async move { gets.push(get.get().await.body) });
        sim.settle().await;
        let (ending, wait) = (server.clone(), sim.clone());
        sim.spawn(async move { ending.shut_down(wait.sleep(Duration::from_secs(60))).await });
        assert_eq!(websocket.next().await, None);
        let Some(engineio_websocket::Closed::Peer(Some(frame))) = &websocket.closed else {
            panic!("{:?}", websocket.closed)
        };
        assert_eq!(frame.code, 1001);
        drop(websocket);
        sim.settle().await;
        assert_eq!(sim.elapsed(), Duration::ZERO, "nobody had to be waited for");
        assert_eq!(replies.lines(), ["1"]);
        assert_eq!(server.sessions(), 0);
        assert_eq!(silent.get().await.status, 400);
        let target = format!("{ENGINE}?EIO=4&transport=polling");
        let refused = Reply::read(
            socketio_driver::Endpoint::respond(&server, &sim, request(&sim, "GET", &target, None), None).await,
        );
        assert_eq!(refused.await.status, 503);
        assert_eq!(log.lines().iter().filter(|line| *line == "forced close").count(), 3);
        end(&sim, server, (polls, silent)).await;
    });
}

#[test]
fn a_shutdown_disconnects_peers_that_are_still_connected_at_its_deadline() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        // The peer has packets to fetch, and never sends a GET.
        assert_eq!(peer.post("4one").await.body, "ok");
        let begun = sim.elapsed();
        server.shut_down(sim.sleep(Duration::from_secs(5))).await;
        assert_eq!(sim.elapsed() - begun, Duration::from_secs(5));
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        end(&sim, server, peer).await;
    });
}
