//! HTTP requests: slow, long and endless bodies, and refused requests.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use socketio_driver::{Endpoint as _, EngineServer, Runtime as _};

use crate::support::{Ending, Poller, Reply, RequestBody, Sim, WebSocket, request};
use crate::{ENGINE, Log, echo_server, end};

fn piece(text: &'static str) -> (Duration, Bytes) {
    (Duration::ZERO, Bytes::from_static(text.as_bytes()))
}

fn pieces(count: usize, wait: Duration, length: usize) -> Vec<(Duration, Bytes)> {
    (0..count).map(|_| (wait, Bytes::from(vec![b'x'; length]))).collect()
}

#[test]
fn a_slow_body_is_read_until_its_timeout() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        for (wait, status) in [(Duration::from_secs(14), 200), (Duration::from_secs(16), 408)] {
            let (server, _) =
                echo_server(|builder| builder.config(|config| config.ping_interval = Duration::from_secs(100)));
            let peer = Poller::open(&sim, &server, ENGINE).await;
            let body = [(wait, Bytes::from_static(b"4a")), (wait, Bytes::from_static(b"b"))];
            let begun = sim.elapsed();
            assert_eq!(peer.post_in_pieces(body, Ending::Complete).await.status, status);
            let took = sim.elapsed() - begun;
            // The body has 30 s. Then the rest of it is read for up to 2 s while it arrives.
            assert!((28..=32).contains(&took.as_secs()), "{took:?}");
            end(&sim, server, peer).await;
        }
    });
}

#[test]
fn a_body_over_a_limit_ends_only_its_own_session() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        for body in [pieces(30, Duration::ZERO, 50), pieces(3, Duration::ZERO, 400)] {
            let (server, log) = echo_server(|builder| {
                builder.config(|config| {
                    config.max_payload = 1000;
                    config.limits.max_body_chunks = 20;
                })
            });
            let other = Poller::open(&sim, &server, ENGINE).await;
            let peer = Poller::open(&sim, &server, ENGINE).await;
            assert_eq!(peer.post_in_pieces(body, Ending::Complete).await.status, 413);
            sim.settle().await;
            assert_eq!(server.sessions(), 1);
            assert_eq!(log.lines().last().unwrap(), "transport error");
            assert_eq!(other.post("4fine").await.body, "ok");
            other.get().await;
            end(&sim, server, (peer, other)).await;
        }
    });
}

/// Sends a request that is refused. Returns whether the connection ends after the answer, and how long the answer took.
async fn refused(sim: &Sim, server: &EngineServer, body: RequestBody, expects: bool) -> (bool, Duration) {
    let target = format!("{ENGINE}?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA");
    let mut post = request(sim, "POST", &target, Some(body));
    if expects {
        post.headers_mut().insert(EXPECT, "100-continue".parse().unwrap());
    }
    let begun = sim.elapsed();
    let response = server.respond(sim, post, None).await;
    assert_eq!(response.status(), 400);
    (response.headers().get(CONNECTION).is_some_and(|value| value == "close"), sim.elapsed() - begun)
}

#[test]
fn the_body_of_a_refused_request_is_read_before_the_answer() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        let (server, _) = echo_server(|builder| builder.config(|config| config.max_payload = 1000));
        let body = |pieces: Vec<_>, ending| RequestBody::new(&sim, pieces, ending);
        let (none, some) = (Duration::ZERO, Duration::from_millis(500));
        // A body of up to twice the limit is read to its end.
        assert_eq!(
            refused(&sim, &server, body(pieces(2, some, 1000), Ending::Complete), false).await,
            (false, 2 * some)
        );
        // A longer body is not read, and the server waits at most 2 s for the rest of a shorter one.
        assert_eq!(refused(&sim, &server, body(pieces(3, none, 1000), Ending::Complete), false).await, (true, none));
        let slow = refused(&sim, &server, body(vec![piece("x")], Ending::Stalls), false).await;
        assert_eq!(slow, (true, Duration::from_secs(2)));
        assert_eq!(refused(&sim, &server, body(vec![piece("x")], Ending::Breaks), false).await, (true, none));
        // A peer that waits for `100 Continue` has sent nothing.
        assert_eq!(refused(&sim, &server, body(vec![piece("x")], Ending::Stalls), true).await, (true, none));
        end(&sim, server, ()).await;
    });
}

#[test]
fn a_post_is_refused_before_its_body_arrives() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, _) = echo_server(|builder| builder);
        let websocket = WebSocket::open(&sim, &server, ENGINE, crate::support::PipeSettings::default()).await;
        let sid = websocket.sid.clone();
        let peer = Poller { sim: sim.clone(), server: server.clone(), path: ENGINE, sid };
        let begun = sim.elapsed();
        // The session does not poll.
        let reply = peer.post_in_pieces([piece("4late")], Ending::Stalls).await;
        assert_eq!(reply.status, 400);
        assert_eq!(sim.elapsed() - begun, Duration::from_secs(2));
        end(&sim, server, (peer, websocket)).await;
    });
}

#[test]
fn a_second_get_ends_the_session_and_both_are_answered() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, log) = echo_server(|builder| builder);
        let peer = Poller::open(&sim, &server, ENGINE).await;
        let replies = Log::default();
        for _ in 0..2 {
            let (get, gets) = (peer.clone(), replies.clone());
            sim.spawn(async move { gets.push(get.get().await.status.to_string()) });
        }
        sim.settle().await;
        let mut statuses = replies.lines();
        statuses.sort();
        assert_eq!(statuses, ["200", "400"]);
        assert_eq!(log.lines(), ["connect", "transport error"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_request_is_refused_if_its_callback_panics_and_others_are_not() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        let (server, _) = echo_server(|builder| {
            builder.allow_request(|parts| {
                assert!(!parts.uri.query().unwrap().contains("panic"), "expected panic");
                Ok(())
            })
        });
        let target = format!("{ENGINE}?EIO=4&transport=polling");
        for (target, status) in [(format!("{target}&panic"), 403), (target, 200)] {
            let response = server.respond(&sim, request(&sim, "GET", &target, None), None).await;
            assert_eq!(Reply::read(response).await.status, status);
        }
        assert_eq!(server.sessions(), 1);
        end(&sim, server, ()).await;
    });
}

#[test]
fn a_handshake_whose_head_is_too_large_is_refused() {
    let sim = Sim::new(0);
    sim.clone().run(async move {
        let (server, _) = echo_server(|builder| builder.max_head_bytes(1000));
        let target = format!("{ENGINE}?EIO=4&transport=polling");
        for (length, status) in [(800, 200), (1001, 431)] {
            let mut get = request(&sim, "GET", &target, None);
            get.headers_mut().insert("x", "y".repeat(length).parse().unwrap());
            assert_eq!(Reply::read(server.respond(&sim, get, None).await).await.status, status);
        }
        assert_eq!(server.sessions(), 1);
        end(&sim, server, ()).await;
    });
}
