//! Sessions with random inputs. In any order, every request is answered once, every deadline makes progress, and nothing is left at
//! the end.

mod common;
mod seeds;

use common::{Peer, config};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::testkit::Random;
use engineio_proto::{ContentType, Instant, LinkKind};

/// Packets that a well-behaved peer sends once its session is open.
const SANE: [&str; 7] = ["4a", "4b€", "3", "6", "4", "bAQID", "4long long long message"];
/// Packets that are invalid, or invalid at certain times.
const OTHER: [&str; 7] = ["2probe", "5", "2", "1", "x", "", "3probe"];

fn one_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

/// Mostly valid packets, so that sessions stay open for a while.
fn packet(random: &mut Random) -> &'static str {
    let packets = if one_in(random, 60) { OTHER } else { SANE };
    random.pick(&packets).copied().unwrap_or_default()
}

/// A peer that mostly follows the protocol, and its own state.
struct Script {
    random: Random,
    newest: u64,
    links: u64,
    reading: Option<u64>,
}

impl Script {
    fn step(&mut self, peer: &mut Peer) {
        let random = &mut self.random;
        match random.below(40) {
            0..8 if !peer.session.is_writable() || one_in(random, 40) => self.newest = peer.get(),
            8..13 => {
                let body: Vec<&str> = (0..=random.below(4)).map(|_| packet(random)).collect();
                let post = self.reading.take().unwrap_or_else(|| peer.post_head());
                peer.body(post, &body.join("␞"));
                self.newest = post;
            }
            13 if self.reading.is_none() || one_in(random, 20) => self.reading = Some(peer.post_head()),
            14 if one_in(random, 60) => self.newest = peer.post_typed(ContentType::OctetStream),
            15 if one_in(random, 30) => peer.aborted(self.newest.saturating_sub(random.below(4))),
            16 => peer.replied(self.newest.saturating_sub(random.below(4))),
            17 if one_in(random, 3) => {
                let kind = if one_in(random, 4) { LinkKind::WebTransport } else { LinkKind::WebSocket };
                self.links = peer.up(kind);
            }
            18 if peer.session.transport() == Transport::Polling => peer.text(self.links, "2probe"),
            19 if peer.session.transport() == Transport::Polling => peer.text(self.links, "5"),
            20..26 => {
                if peer.session.transport() != Transport::Polling || one_in(random, 20) {
                    let packet = packet(random);
                    peer.text(self.links.saturating_sub(random.below(12) / 11), packet);
                }
            }
            26 => peer.bytes(self.links, &[u8::try_from(random.below(4)).unwrap_or(0), b'4', b'x']),
            27 if one_in(random, 40) => peer.down(self.links.saturating_sub(random.below(2)), LinkDownCause::Closed),
            28..34 => drop(peer.try_send("some text")),
            34 if one_in(random, 60) => peer.close(),
            35 if one_in(random, 120) => peer.discard(),
            _ => {
                let now = peer.now.as_micros() / 1000;
                peer.sleep_until(now + random.below(60));
            }
        }
    }
}

fn run(seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut config = config();
    config.close_timeout = common::millis(2_000);
    config.limits.soft_inbound = 150;
    config.limits.max_inbound = 1_000;
    config.limits.max_outbound = 500;
    let mut peer = match random.below(3) {
        0 => Peer::polling(config),
        1 => Peer::websocket(config),
        _ => Peer::accepted(config, "EIO=4&transport=polling", false),
    };
    peer.confirms = random.below(2) == 0;
    let mut log = Vec::new();
    let mut script = Script { random, newest: 1, links: 1, reading: None };
    for _ in 0..300 {
        script.step(&mut peer);
        // A ping may exceed the limit, and every unwritten reply may contain one.
        assert!(peer.session.buffered_bytes() <= 500 + 100 + 8 * 41);
        if script.random.below(2) == 0 {
            log.extend(peer.turn());
        }
    }
    peer.discard();
    log.extend(peer.turn());
    peer.assert_over();
    peer.session.handle_timeout(Instant::FAR_FUTURE);
    peer.assert_over();
    let ends = log.iter().filter(|line| line.starts_with("closed")).count();
    assert_eq!(ends, 1);
    log
}

#[test]
fn no_input_leaves_state_behind() {
    let mut reached = std::collections::BTreeMap::<String, u32>::new();
    seeds::each(1_500, |seed, _| {
        let log = run(seed);
        assert_eq!(log, run(seed), "the same input gives the same log");
        for line in log.iter().filter(|line| line.starts_with("closed") || line.starts_with("upgraded")) {
            *reached.entry(line.clone()).or_default() += 1;
        }
    });
    println!("{reached:#?}");
    if seeds::all() {
        // The test is only meaningful if sessions reach these states.
        for end in ["upgraded WebSocket", "closed: ping timeout", "closed: transport close", "closed: forced close"] {
            assert!(reached.get(end).is_some_and(|&times| times > 20), "{end}: {reached:?}");
        }
    }
}
