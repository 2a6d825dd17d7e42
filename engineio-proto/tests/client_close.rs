//! How a session of a client ends: by the application, gracefully or at once, and by the server.

mod client;

use client::{OFFER, Peer, QUIET, config, over};
use engineio_proto::client::Transmit;
use engineio_proto::server::LinkDownCause;
use engineio_proto::{Instant, LinkId, SendError};

const GET: &str = "EIO=4&transport=polling&sid=abc";

#[test]
fn a_close_over_polling_posts_what_is_queued_and_then_a_close_packet() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    peer.assert_outputs(&["post 3: 4a"]);
    peer.send("b");
    peer.close();
    peer.close();
    assert_eq!(peer.try_send("late"), Err(SendError::Closed));
    peer.assert_outputs(&[]);
    peer.answer(3, "ok");
    peer.assert_outputs(&["post 4: 4b"]);
    peer.answer(2, "4nobody reads it any more");
    peer.assert_outputs(&[&format!("get 5: {GET}")]);
    peer.answer(4, "ok");
    peer.assert_outputs(&["post 6: 1"]);
    // The server answers its GET when it gets the close packet. The session is unknown to it from then on.
    peer.answer(5, "6");
    peer.assert_outputs(&[]);
    peer.answer(6, "ok");
    peer.assert_outputs(&["closed: forced close"]);
    peer.assert_over();
}

#[test]
fn a_close_over_polling_cancels_a_get_that_is_still_held() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.close();
    peer.assert_outputs(&["post 3: 1"]);
    peer.answer(3, "ok");
    peer.assert_outputs(&["closed: forced close", "cancel 2"]);
    peer.assert_over();
}

#[test]
fn a_poll_that_fails_after_the_close_packet_is_no_error() {
    for fails in [true, false] {
        let mut peer = Peer::polling(config(), QUIET);
        peer.close();
        peer.assert_outputs(&["post 3: 1"]);
        if fails {
            peer.failed(2);
        } else {
            peer.respond(2, 400, r#"{"code":1,"message":"Session ID unknown"}"#);
        }
        peer.assert_outputs(&[]);
        peer.failed(3);
        peer.assert_outputs(&["closed: forced close"]);
        peer.assert_over();
    }
}

#[test]
fn a_close_that_the_server_does_not_answer_ends_after_its_time() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    peer.close();
    peer.assert_outputs(&["post 3: 4a"]);
    peer.sleep_until(1999);
    peer.assert_outputs(&[]);
    peer.sleep_until(2000);
    peer.assert_outputs(&["closed: forced close", "cancel 2", "cancel 3"]);
    peer.assert_over();
}

#[test]
fn what_is_queued_is_lost_if_its_post_fails_while_the_session_closes_and_the_reason_says_so() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    peer.close();
    peer.assert_outputs(&["post 3: 4a"]);
    peer.respond(3, 413, "");
    peer.assert_outputs(&["closed: transport error (post error: status 413)", "cancel 2"]);
    peer.assert_over();
}

#[test]
fn a_close_over_a_link_sends_what_is_queued_and_no_close_packet() {
    let mut peer = Peer::websocket(config(), QUIET);
    peer.send("a");
    peer.close();
    peer.assert_outputs(&["closed: forced close", "link 1: 4a", "close link 1"]);
    peer.assert_over();
}

#[test]
fn a_close_before_the_session_is_open_ends_it_at_once() {
    for (transport, ends) in [("p", "cancel 1"), ("w", "close link 1"), ("t", "close link 1")] {
        for discards in [false, true] {
            let mut peer = Peer::opening(over(transport));
            peer.turn();
            if discards {
                peer.discard()
            } else {
                peer.close()
            }
            peer.assert_outputs(&["closed: forced close", ends]);
            assert_eq!(peer.try_send("late"), Err(SendError::NotConnected));
            peer.assert_over();
        }
    }
}

#[test]
fn a_close_as_soon_as_the_session_is_open_begins_no_probe() {
    let mut peer = Peer::opening(config());
    peer.turn();
    peer.answer(1, OFFER);
    assert_eq!(peer.client.poll_event(), Some(engineio_proto::Event::Open));
    peer.close();
    // The link was asked for when the open packet arrived.
    let connect = "connect 2: WebSocket EIO=4&transport=websocket&sid=abc";
    peer.assert_outputs(&[connect, &format!("get 3: {GET}"), "close link 2", "post 4: 1"]);
    peer.answer(4, "ok");
    peer.assert_outputs(&["closed: forced close", "cancel 3"]);
    peer.assert_over();
}

#[test]
fn a_discard_drops_what_is_queued() {
    let mut peer = Peer::websocket(config(), QUIET);
    peer.send("a");
    peer.text(1, "2");
    peer.discard();
    peer.assert_outputs(&["ping", "closed: forced close", "close link 1"]);
    peer.assert_over();
    let mut peer = Peer::polling(config(), QUIET);
    peer.send("a");
    peer.turn();
    peer.send("b");
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "cancel 2", "cancel 3"]);
    peer.assert_over();
}

#[test]
fn a_discard_ends_a_close_that_takes_too_long() {
    let mut peer = Peer::polling(config(), QUIET);
    peer.close();
    peer.turn();
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "cancel 2", "cancel 3"]);
    peer.assert_over();
    // Over a link, the client is closed already, and the last packets are dropped.
    let mut peer = Peer::websocket(config(), QUIET);
    peer.send("a");
    peer.close();
    peer.discard();
    peer.assert_outputs(&["closed: forced close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn a_server_that_closes_its_link_ends_the_session() {
    for (cause, reason) in [
        (LinkDownCause::Closed, "closed: transport close"),
        (LinkDownCause::Failed, "closed: transport error (link failed)"),
    ] {
        let mut peer = Peer::websocket(config(), QUIET);
        peer.text(1, "4last");
        peer.send("queued");
        peer.down(1, cause);
        peer.assert_outputs(&["message last", reason]);
        peer.assert_over();
    }
}

#[test]
fn a_close_packet_on_a_link_ends_the_session() {
    let mut peer = Peer::websocket(config(), QUIET);
    peer.text(1, "4a");
    peer.text(1, "1");
    peer.text(1, "4b");
    peer.assert_outputs(&["message a", "closed: transport close", "close link 1"]);
    peer.assert_over();
}

#[test]
fn invalid_packets_on_a_link_end_the_session() {
    for (packet, error) in [("", "empty packet"), ("9", "unknown packet type"), ("bA*", "invalid base64")] {
        let mut peer = Peer::websocket(config(), QUIET);
        peer.text(1, packet);
        peer.text(1, "4late");
        peer.assert_outputs(&[&format!("closed: parse error ({error})"), "close link 1"]);
        peer.assert_over();
    }
}

#[test]
fn a_close_right_after_a_ping_is_a_transport_close() {
    let mut peer = Peer::websocket(config(), QUIET);
    peer.text(1, "2");
    peer.down(1, LinkDownCause::Closed);
    peer.assert_outputs(&["ping", "closed: transport close"]);
    peer.assert_over();
}

#[test]
fn last_packets_that_a_link_does_not_take_are_dropped_after_the_close_timeout() {
    for opens_again in [false, true] {
        let deadline = Instant::ZERO + config().close_timeout;
        let Peer { mut client, now, .. } = Peer::websocket(config(), QUIET);
        client.send("never taken".into()).unwrap();
        client.close(now);
        if opens_again {
            client.open(now);
        }
        // The driver of a link that takes nothing polls only control outputs.
        while let Some(transmit) = client.poll_control() {
            assert!(matches!(transmit, Transmit::Connect { .. }), "{transmit:?}");
        }
        assert_eq!(client.poll_timeout(), Some(deadline));
        client.handle_timeout(deadline);
        assert_eq!(client.poll_control(), Some(Transmit::CloseLink { link: LinkId(1) }));
        assert_eq!(client.buffered_bytes(), 0);
        while client.poll_event().is_some() {}
        assert_eq!(client.is_drained(), !opens_again);
        assert!(opens_again || client.poll_timeout().is_none());
    }
}
