//! The task of a peer: order of inputs, limits of a turn, deadlines, links that fail, handlers that panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use socketio_driver::{EngineServer, EngineSocket, Message, Runtime as _};

use crate::support::{Ending, PipeEnd, PipeSettings, Poller, Sim, Upgrading, WebSocket};
use crate::{ENGINE, Log, echo_server, end};

/// A polling peer whose WebSocket was probed.
async fn probed(sim: &Sim, server: &EngineServer) -> (Poller<EngineServer>, WebSocket) {
    let peer = Poller::open(sim, server, ENGINE).await;
    let target = peer.target("websocket");
    let upgrade = WebSocket::upgrade(sim, server, &target, PipeSettings::default(), Upgrading::default());
    let mut websocket = upgrade.await.unwrap();
    websocket.send("2probe").await.unwrap();
    assert_eq!(websocket.next().await.unwrap(), "3probe");
    (peer, websocket)
}

#[test]
fn a_get_is_handled_after_packets_that_arrived_on_the_link_before_it() {
    Sim::run_each_seed(300, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let (peer, mut websocket) = probed(&sim, &server).await;
        sim.settle().await;
        websocket.send("5").await.unwrap();
        // The session no longer polls.
        let reply = peer.get().await;
        assert_eq!(reply.status, 400, "{reply:?}");
        end(&sim, server, (peer, websocket)).await;
    });
}

#[test]
fn a_close_packet_in_a_post_is_handled_after_an_earlier_get() {
    Sim::run_each_seed(300, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let replies = Log::default();
        let (get, gets) = (peer.clone(), replies.clone());
        sim.spawn(async move { gets.push(get.get().await.body) });
        sim.settle().await;
        assert_eq!(peer.post("1").await.body, "ok");
        sim.settle().await;
        assert_eq!(replies.lines(), ["6"], "a GET that is held is answered with a noop");
        assert_eq!(log.lines(), ["connect", "transport close"]);
        end(&sim, server, peer).await;
    });
}

/// Writes a message of many frames, each of which holds one Engine.IO message of `size` bytes.
async fn flood(pipe: &mut PipeEnd, count: usize, size: usize) {
    let mut bytes = Vec::new();
    let text = format!("4{}", "x".repeat(size));
    for _ in 0..count {
        engineio_websocket::encode_text(&mut bytes, &text, Some([1, 2, 3, 4]));
    }
    pipe.write_all(bytes.into()).await.unwrap();
}

#[test]
fn the_task_of_a_flooding_peer_yields_after_four_reads() {
    Sim::run_each_seed(20, |sim| async move {
        let server = EngineServer::builder().on_message(|_: EngineSocket, _: Message| {}).build();
        let settings = PipeSettings { capacity: 16 << 20, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        sim.settle().await;
        let task = *sim.tasks().last().unwrap();
        let (polls, before) = (sim.polls(task), peer.pipe.unread_by_peer());
        assert_eq!(before, 0);
        // The session does not stop reading for them.
        let mut pings = Vec::new();
        while pings.len() < 4 << 20 {
            engineio_websocket::encode_ping(&mut pings, &[7; 125], Some([1, 2, 3, 4])).unwrap();
        }
        peer.pipe.write_all(pings.into()).await.unwrap();
        let sent = peer.pipe.unread_by_peer();
        let mut turns = 0;
        while peer.pipe.unread_by_peer() > 0 {
            sim.yield_to_ready_tasks().await;
            let read = sent - peer.pipe.unread_by_peer();
            turns = sim.polls(task) - polls;
            assert!(read <= usize::try_from(turns).unwrap() * 4 * 64 * 1024, "{read} bytes in {turns} turns");
        }
        assert!(turns >= 16, "{turns} turns");
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn the_task_of_a_peer_with_thousands_of_small_messages_yields_and_loses_none() {
    Sim::run_each_seed(10, |sim| async move {
        let count = Arc::new(AtomicUsize::new(0));
        let handled = Arc::clone(&count);
        let server = EngineServer::builder()
            .on_message(move |_: EngineSocket, _: Message| {
                handled.fetch_add(1, Ordering::Relaxed);
            })
            .build();
        let settings = PipeSettings { capacity: 1 << 20, splits: sim.chance(500), ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        sim.settle().await;
        let task = *sim.tasks().last().unwrap();
        let polls = sim.polls(task);
        flood(&mut peer.pipe, 20_000, 0).await;
        let mut turns = 0;
        while count.load(Ordering::Relaxed) < 20_000 {
            sim.yield_to_ready_tasks().await;
            turns = sim.polls(task) - polls;
            // 16 rounds of 256 events.
            assert!(count.load(Ordering::Relaxed) <= usize::try_from(turns).unwrap() * 16 * 256);
        }
        assert!(turns >= 5, "{turns} turns");
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn an_idle_session_is_polled_once_per_input() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        sim.settle().await;
        let task = *sim.tasks().last().unwrap();
        let polls = sim.polls(task);
        // A message, its echo, and nothing else.
        peer.send("4hello").await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "4hello");
        sim.settle().await;
        assert_eq!(sim.polls(task) - polls, 1);
        // The ping, and its pong.
        assert_eq!(peer.next().await.unwrap(), "2");
        peer.send("3").await.unwrap();
        sim.settle().await;
        assert_eq!(sim.polls(task) - polls, 3);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_pong_that_arrived_while_the_process_was_stopped_counts() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        assert_eq!(peer.next().await.unwrap(), "2");
        sim.settle().await;
        peer.pipe.write_all(masked("3")).await.unwrap();
        sim.stall(Duration::from_secs(60));
        peer.send("4still here").await.unwrap();
        loop {
            match peer.next().await.as_deref() {
                Some("4still here") => break,
                // The next ping was due in the meantime.
                Some("2") => peer.send("3").await.unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(log.lines(), ["connect", "still here"]);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_pong_that_has_arrived_is_read_before_its_deadline_is_checked() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        assert_eq!(peer.next().await.unwrap(), "2");
        sim.sleep(Duration::from_millis(19_500)).await;
        // The pong is in time. The session's turn comes after the deadline, but not late enough to count as a stop.
        peer.pipe.write_all(masked("3")).await.unwrap();
        sim.stall(Duration::from_secs(5));
        peer.send("4still here").await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "4still here");
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn unwritten_bytes_of_a_link_count_against_the_limit() {
    const LIMIT: usize = 200_000;
    Sim::run_each_seed(50, |sim| async move {
        let sockets = Arc::<std::sync::Mutex<Vec<EngineSocket>>>::default();
        let opened = Arc::clone(&sockets);
        let server = EngineServer::builder()
            .config(|config| config.limits.max_outbound = LIMIT)
            .on_connect(move |socket: EngineSocket| opened.lock().unwrap().push(socket))
            .build();
        let settings = PipeSettings { capacity: 1000, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        // Long messages are written in place, and short ones are copied.
        let message = "x".repeat(if sim.chance(500) { 10_000 } else { 3000 });
        let mut sent = 0;
        while socket.send(&*message).is_ok() {
            sent += 1;
            // The first turn passes as much to the link as it accepts at once.
            if sent >= 8 {
                sim.settle().await;
            }
        }
        let bytes = sent * message.len();
        assert!((LIMIT * 9 / 10..=LIMIT + settings.capacity).contains(&bytes), "{bytes} bytes are held");
        for _ in 0..sent {
            assert_eq!(peer.next().await.unwrap().len(), message.len() + 1);
        }
        drop(socket);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_closed_session_waits_at_most_its_limit_for_a_peer_that_does_not_read() {
    Sim::run_each_seed(20, |sim| async move {
        let server = EngineServer::builder()
            .on_message(|socket: EngineSocket, _: Message| {
                for _ in 0..50 {
                    socket.send("x".repeat(10_000)).unwrap();
                }
                socket.close();
            })
            .build();
        let settings = PipeSettings { capacity: 1000, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        peer.send("4").await.unwrap();
        sim.sleep(Duration::from_secs(29)).await;
        assert_eq!(server.sessions(), 1);
        sim.sleep(Duration::from_secs(2)).await;
        assert_eq!(server.sessions(), 0);
        end(&sim, server, peer).await;
    });
}

#[test]
fn late_timers_close_no_peer_that_answers() {
    Sim::each_seed(100, |sim| {
        let sim = sim.clone();
        sim.delay_timers(Duration::from_secs(30));
        sim.clone().run(async move {
            let (server, log) = echo_server(|builder| builder);
            let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
            for _ in 0..20 {
                assert_eq!(peer.next().await.unwrap(), "2");
                peer.send("3").await.unwrap();
            }
            peer.close().await;
            drop(peer);
            assert_eq!(log.lines().len(), 2, "{:?}", log.lines());
            end(&sim, server, ()).await;
        });
    });
}

fn masked(text: &str) -> Bytes {
    let mut bytes = Vec::new();
    engineio_websocket::encode_text(&mut bytes, text, Some([9, 8, 7, 6]));
    bytes.into()
}

#[test]
fn frames_that_arrived_with_the_request_are_read_first() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let target = format!("{ENGINE}?EIO=4&transport=websocket");
        // More than one read takes, ending in the middle of a frame.
        let mut early: Vec<u8> = masked("4early").to_vec();
        early.extend_from_slice(&masked(&format!("4{}", "l".repeat(150_000))));
        let (early, late) = early.split_at(140_000);
        let upgrading = Upgrading { early: Bytes::copy_from_slice(early), ..Upgrading::default() };
        let upgrade = WebSocket::upgrade(&sim, &server, &target, PipeSettings::default(), upgrading);
        let mut peer = upgrade.await.unwrap();
        peer.pipe.write_all(Bytes::copy_from_slice(late)).await.unwrap();
        assert!(peer.next().await.unwrap().starts_with('0'));
        assert_eq!(peer.next().await.unwrap(), "4early");
        assert_eq!(peer.next().await.unwrap().len(), 150_001);
        peer.close().await;
        drop(peer);
        assert_eq!(log.lines()[1], "early");
        end(&sim, server, ()).await;
    });
}

#[test]
fn a_session_whose_first_link_is_not_handed_over_ends() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let target = format!("{ENGINE}?EIO=4&transport=websocket");
        let upgrading = Upgrading { fails: true, ..Upgrading::default() };
        let upgrade = WebSocket::upgrade(&sim, &server, &target, PipeSettings::default(), upgrading);
        let mut peer = upgrade.await.unwrap();
        assert_eq!(peer.next().await, None);
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        assert!(log.lines().is_empty(), "nobody has come, and nobody is gone: {:?}", log.lines());
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_session_continues_polling_if_its_upgrade_is_not_handed_over() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let target = peer.target("websocket");
        let upgrading = Upgrading { fails: true, ..Upgrading::default() };
        let upgrade = WebSocket::upgrade(&sim, &server, &target, PipeSettings::default(), upgrading);
        assert_eq!(upgrade.await.unwrap().next().await, None);
        assert_eq!(peer.post("4on").await.body, "ok");
        assert_eq!(peer.get().await.body, "4on");
        peer.post("1").await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_link_that_is_reset_ends_its_session_and_leaves_no_state() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        peer.send("4one").await.unwrap();
        peer.pipe.reset();
        assert_eq!(peer.next().await, None);
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        assert_eq!(log.lines().last().unwrap(), "transport close");
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_handler_that_panics_closes_only_its_own_session() {
    Sim::each_seed(50, |sim| {
        let sim = sim.clone();
        let waits = sim.chance(500);
        let sleeper = sim.clone();
        sim.clone().run(async move {
            let server = EngineServer::builder()
                .on_message(move |socket: EngineSocket, message: Message| {
                    let sim = sleeper.clone();
                    async move {
                        if waits {
                            sim.sleep(Duration::from_secs(1)).await;
                        }
                        assert_ne!(message, Message::from("panic"), "expected panic");
                        socket.send(message)
                    }
                })
                .build();
            let mut other = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
            let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
            peer.send("4panic").await.unwrap();
            assert_eq!(peer.next().await, None);
            other.send("4fine").await.unwrap();
            assert_eq!(other.next().await.unwrap(), "4fine");
            assert_eq!(server.sessions(), 1);
            other.close().await;
            end(&sim, server, (peer, other)).await;
        });
    });
}

#[test]
fn a_body_that_does_not_end_times_out_and_ends_its_session() {
    Sim::run_each_seed(30, |sim| async move {
        for (ending, status, reason) in
            [(Ending::Stalls, 408, "transport error"), (Ending::Breaks, 400, "transport error")]
        {
            let (server, log) = echo_server(|builder| builder);
            let peer = Poller::open(&sim, &server, ENGINE).await;
            let pieces = [(Duration::from_millis(1), Bytes::from_static(b"4half"))];
            let reply = peer.post_in_pieces(pieces, ending).await;
            assert_eq!(reply.status, status, "{ending:?}");
            sim.settle().await;
            assert_eq!(server.sessions(), 0);
            assert_eq!(log.lines(), ["connect", reason], "{ending:?}");
            end(&sim, server, peer).await;
        }
    });
}

#[test]
fn a_get_whose_connection_is_lost_ends_its_session_and_leaves_no_state() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let get = peer.clone();
        let task = sim.spawn_task(async move { drop(get.get_unread().await) });
        sim.yield_to_ready_tasks().await;
        let has_come = sim.polls(task) > 0;
        sim.drop_task(task);
        sim.settle().await;
        // As in the reference, `lib/transports/polling.ts`: "poll connection closed prematurely".
        assert_eq!(server.sessions(), usize::from(!has_come));
        if !has_come {
            assert_eq!(peer.post("4lost").await.body, "ok");
            // A reply that is not read loses its packets.
            drop(peer.get_unread().await);
            sim.settle().await;
            assert_eq!(server.sessions(), 0);
        }
        assert_eq!(log.lines().last().unwrap(), "transport error");
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_get_whose_connection_is_lost_during_a_probe_ends_its_session() {
    Sim::run_each_seed(200, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let (peer, websocket) = probed(&sim, &server).await;
        sim.settle().await;
        let get = peer.clone();
        let task = sim.spawn_task(async move { drop(get.get_unread().await) });
        sim.yield_to_ready_tasks().await;
        let has_come = sim.polls(task) > 0;
        sim.drop_task(task);
        sim.settle().await;
        assert_eq!(server.sessions(), usize::from(!has_come));
        end(&sim, server, (peer, websocket)).await;
    });
}

#[test]
fn a_link_that_accepts_no_more_writes_ends_its_session() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        peer.pipe.refuse_input();
        // The echo cannot be written, and there is nothing left to read.
        peer.pipe.write_all(masked("4lost")).await.unwrap();
        sim.settle().await;
        assert_eq!(server.sessions(), 0);
        assert_eq!(log.lines(), ["connect", "lost", "transport error"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_waiting_handler_continues_after_the_end_of_its_session() {
    Sim::each_seed(20, |sim| {
        let sim = sim.clone();
        let (clock, log) = (sim.clone(), Log::default());
        let done = log.clone();
        sim.clone().run(async move {
            let server = EngineServer::builder()
                .on_message(move |_: EngineSocket, _: Message| {
                    let (sim, done) = (clock.clone(), done.clone());
                    async move {
                        sim.sleep(Duration::from_secs(5)).await;
                        done.push("done");
                    }
                })
                .build();
            let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
            peer.send("4").await.unwrap();
            peer.close().await;
            sim.settle().await;
            assert_eq!((server.sessions(), log.lines().len()), (0, 0));
            // A shutdown waits for the handler, and for the link unless its peer has closed it.
            drop(peer);
            server.shut_down(sim.sleep(Duration::from_secs(60))).await;
            assert_eq!((log.lines().len(), sim.elapsed()), (1, Duration::from_secs(5)));
            end(&sim, server, ()).await;
        });
    });
}

#[test]
fn pings_are_answered_and_a_close_frame_is_echoed() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let mut peer = WebSocket::open(&sim, &server, ENGINE, PipeSettings::default()).await;
        peer.connection.ping(b"first").unwrap();
        peer.connection.ping(b"latest").unwrap();
        peer.send("4one").await.unwrap();
        assert_eq!(peer.next().await.unwrap(), "4one");
        // Earlier pings need no answer.
        assert_eq!(peer.pongs.last().unwrap(), "latest");
        peer.connection.close(4001, "over").unwrap();
        assert_eq!(peer.next().await, None);
        let Some(engineio_websocket::Closed::Peer(Some(frame))) = &peer.closed else { panic!("{:?}", peer.closed) };
        assert_eq!((frame.code, &*frame.reason), (4001, "over"));
        assert_eq!(log.lines().last().unwrap(), "transport close");
        end(&sim, server, peer).await;
    });
}
