//! The outbound queue of a peer: limits, refusals, and waiting for space.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::{EmitError, EngineServer, EngineSocket, Runtime as _, SendError, Server, Socket};

use crate::support::{PipeSettings, Poller, Sim, WebSocket};
use crate::{ENGINE, Log, end};

const LIMIT: usize = 10_000;

/// A server, and its sockets, oldest first.
fn server() -> (EngineServer, Arc<Mutex<Vec<EngineSocket>>>) {
    let sockets = Arc::<Mutex<Vec<EngineSocket>>>::default();
    let opened = Arc::clone(&sockets);
    let server = EngineServer::builder()
        .config(|config| config.limits.max_outbound = LIMIT)
        .on_connect(move |socket: EngineSocket| opened.lock().unwrap().push(socket))
        .build();
    (server, sockets)
}

/// Sends a message, waiting for space whenever the queue is full. Returns how often it was refused.
async fn send_when_ready(socket: &EngineSocket, length: usize) -> Result<usize, SendError> {
    let message = "x".repeat(length);
    for refusals in 0..1000 {
        match socket.send(&*message) {
            Err(SendError::Full) => socket.ready().await?,
            sent => return sent.map(|()| refusals),
        }
    }
    panic!("`ready` returned 1000 times, and the queue was still full")
}

#[test]
fn a_refused_message_of_any_length_is_accepted_after_one_wait() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, sockets) = server();
        let settings = PipeSettings { capacity: 500, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        // Small messages, lengths around half the limit, exactly the limit, and above it.
        let lengths: Vec<usize> =
            (0..12).map(|_| [1, 3000, 4900, 6000, LIMIT - 50, LIMIT - 41, LIMIT, 30_000][sim.index(8)]).collect();
        let (expected, log) = (lengths.clone(), Log::default());
        let (done, waits) = (log.clone(), socket.clone());
        sim.spawn(async move {
            for length in lengths {
                let refusals = send_when_ready(&waits, length).await.unwrap();
                assert!(refusals <= 1, "{refusals} refusals of {length} bytes");
            }
            done.push("sent");
        });
        sim.settle().await;
        for length in expected {
            assert_eq!(peer.next().await.unwrap().len(), length + 1);
        }
        sim.settle().await;
        assert_eq!(log.lines(), ["sent"]);
        assert!(sim.panics().is_empty(), "{:?}", sim.panics());
        drop(socket);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_queue_is_freed_when_polling_replies_are_written() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, sockets) = server();
        let peer = Poller::open(&sim, &server, ENGINE).await;
        sim.settle().await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        let lengths: Vec<usize> = (0..8).map(|_| [1, 4000, 6000, LIMIT, 30_000][sim.index(5)]).collect();
        let total: usize = lengths.iter().sum();
        let (log, waits) = (Log::default(), socket.clone());
        let done = log.clone();
        sim.spawn(async move {
            for length in lengths {
                send_when_ready(&waits, length).await.unwrap();
            }
            done.push("sent");
        });
        let mut got = 0;
        while got < total {
            let mut response = peer.get_unread().await;
            // The bytes are written later than the HTTP library has taken them.
            let confirmation = response.body_mut().take_confirmation();
            let reply = crate::support::Reply::read(response).await;
            sim.sleep(sim.duration(Duration::from_millis(100))).await;
            confirmation.unwrap().written();
            got += reply.body.matches('x').count();
        }
        assert!(sim.elapsed() < Duration::from_secs(5), "it waited for something else than room: {:?}", sim.elapsed());
        assert_eq!(log.lines(), ["sent"]);
        drop(socket);
        peer.post("1").await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn all_concurrent_waits_for_queue_capacity_succeed() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, sockets) = server();
        let settings = PipeSettings { capacity: 500, splits: true, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        let log = Log::default();
        for length in [1, 2000, 6000, 9000] {
            let (waits, done) = (socket.clone(), log.clone());
            sim.spawn(async move {
                for _ in 0..5 {
                    send_when_ready(&waits, length).await.unwrap();
                }
                done.push("sent");
            });
        }
        for _ in 0..20 {
            assert!(peer.next().await.unwrap().starts_with("4x"));
        }
        sim.settle().await;
        assert_eq!(log.lines().len(), 4);
        drop(socket);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_wait_for_queue_capacity_fails_when_the_session_ends() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, sockets) = server();
        let settings = PipeSettings { capacity: 500, ..PipeSettings::default() };
        let peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        socket.send("x".repeat(9000)).unwrap();
        let (waits, log) = (socket.clone(), Log::default());
        let errors = log.clone();
        sim.spawn(async move { errors.push(send_when_ready(&waits, 8000).await.unwrap_err().to_string()) });
        sim.settle().await;
        assert!(log.lines().is_empty());
        peer.pipe.reset();
        sim.settle().await;
        assert_eq!(log.lines(), [SendError::Closed.to_string()]);
        drop(socket);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_connect_handler_may_send_up_to_the_limit() {
    Sim::run_each_seed(50, |sim| async move {
        let server = Server::builder().engine(|config| config.limits.max_outbound = LIMIT).build();
        let length = [LIMIT - 100, LIMIT - 50, 3 * LIMIT][sim.index(3)];
        // The reply to the client's CONNECT is in the session's queue by then.
        server.on_connect(move |socket: Socket| -> Result<(), EmitError> { socket.emit("all", "x".repeat(length)) });
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        peer.send("40").await.unwrap();
        assert!(peer.next().await.unwrap().starts_with("40"));
        assert!(peer.next().await.is_some_and(|all| all.len() > length));
        peer.close().await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_connect_handler_that_sends_much_over_polling_is_told_to_wait_and_keeps_its_connection() {
    Sim::run_each_seed(50, |sim| async move {
        let server = Server::builder().engine(|config| config.limits.max_outbound = LIMIT).build();
        let length = [LIMIT - 100, LIMIT - 50, 3 * LIMIT][sim.index(3)];
        let log = Log::default();
        let refused = log.clone();
        server.on_connect(move |socket: Socket| {
            let refused = refused.clone();
            async move {
                // The reply to the client's CONNECT is in the session's queue, until the client fetches it.
                while let Err(error) = socket.emit("all", ".".repeat(length)) {
                    refused.push(error.to_string());
                    socket.ready().await?;
                }
                Ok::<(), SendError>(())
            }
        });
        let peer = Poller::open(&sim, &server, "/socket.io/").await;
        let held = sim.chance(500);
        let mut text = String::new();
        if held {
            // The GET is held when the CONNECT comes.
            let poll = peer.clone();
            let got = Arc::new(Mutex::new(String::new()));
            let body = Arc::clone(&got);
            sim.spawn(async move { *body.lock().unwrap() = poll.get().await.body });
            sim.settle().await;
            assert_eq!(peer.post("40").await.body, "ok");
            sim.settle().await;
            text.push_str(&got.lock().unwrap());
        } else {
            assert_eq!(peer.post("40").await.body, "ok");
        }
        for _ in 0..2 {
            if text.matches('.').count() < length {
                let reply = peer.get().await;
                assert_eq!(reply.status, 200, "{reply:?}");
                text.push_str(&reply.body);
            }
        }
        assert!(text.starts_with("40{"), "{text}");
        assert_eq!(text.matches('.').count(), length);
        assert!(log.lines().len() <= 1, "{:?}", log.lines());
        peer.post("1").await;
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_volatile_message_is_dropped_while_another_is_queued() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, sockets) = server();
        let settings = PipeSettings { capacity: 500, ..PipeSettings::default() };
        let mut peer = WebSocket::open(&sim, &server, ENGINE, settings).await;
        let socket = sockets.lock().unwrap().pop().unwrap();
        sim.settle().await;
        socket.send_volatile("leaves").unwrap();
        sim.settle().await;
        // The link buffers the rest of this message, and the session none of it.
        socket.send("x".repeat(2000)).unwrap();
        sim.settle().await;
        socket.send_volatile("dropped").unwrap();
        socket.send("last").unwrap();
        assert_eq!(peer.next().await.unwrap(), "4leaves");
        assert_eq!(peer.next().await.unwrap().len(), 2001);
        assert_eq!(peer.next().await.unwrap(), "4last");
        drop(socket);
        peer.close().await;
        end(&sim, server, peer).await;
    });
}
