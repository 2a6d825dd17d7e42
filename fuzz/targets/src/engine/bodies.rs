//! POST bodies: the events do not depend on how packets are grouped into bodies (I6), every request is answered once, and decoding stops
//! while too much is unread.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use engineio_proto::server::{Input as Fact, Route, Server, Session, Transmit};
use engineio_proto::testkit::Watched;
use engineio_proto::{Config, ContentType, Event, Instant, RequestHead, RequestId, Sid};

use crate::input::rest_text;

const SEPARATOR: char = '\u{1e}';
const NEXT_BODY: char = '\u{1d}';

/// Input: the limit on unread data, whether the application reads eagerly, then bodies separated by U+001D.
pub fn http_bodies(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let soft_inbound = *input.choose(&[64 << 10, 0, 1, 100, 1000])?;
    let eager = input.arbitrary::<bool>()?;
    let text = rest_text(&mut input)?;
    let bodies: Vec<&str> = text.split(NEXT_BODY).collect();
    let joined = bodies.join("\u{1e}");
    let apart: Vec<&str> = joined.split(SEPARATOR).collect();
    let expected = play(&bodies, soft_inbound, eager);
    assert_eq!(play(&[&joined], soft_inbound, !eager), expected, "all in one body");
    assert_eq!(play(&apart, 64 << 10, eager), expected, "each in its own body");
    Ok(())
}

fn play(bodies: &[&str], soft_inbound: usize, eager: bool) -> Vec<Event> {
    let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
    let mut config = Config::default();
    config.limits.soft_inbound = soft_inbound;
    let (limits, max_payload) = (config.limits.clone(), config.max_payload);
    let Route::Open(handshake) = Server::new(config).route(&head) else { panic!("not a handshake") };
    let now = Instant::ZERO;
    let session = handshake.accept(now, Sid::from_random([7; 15]));
    let mut session = Watched::new(session, limits, max_payload, false);
    session.handle(now, Fact::Get { request: RequestId(0) });
    let mut events = Vec::new();
    for (request, body) in (1..).map(RequestId).zip(bodies) {
        session.handle(now, Fact::Post { request, content_type: ContentType::Text });
        session.handle(now, Fact::Body { request, body: Bytes::copy_from_slice(body.as_bytes()) });
        if eager {
            read(&mut session, &mut events);
        }
        let mut answered = replies(&mut session).contains(&request);
        // The peer may post again once its request is answered, which may only happen after everything is read.
        if !answered {
            read(&mut session, &mut events);
            answered = replies(&mut session).contains(&request);
        }
        assert!(answered, "{request:?} is not answered although everything was read");
        session.check().expect("invariants hold");
    }
    read(&mut session, &mut events);
    replies(&mut session);
    session.check_settled().expect("invariants hold");
    events
}

fn read(session: &mut Watched<Session>, events: &mut Vec<Event>) {
    events.extend(core::iter::from_fn(|| session.poll_event()));
}

fn replies(session: &mut Watched<Session>) -> Vec<RequestId> {
    let transmits = core::iter::from_fn(|| session.poll_transmit());
    let reply = |transmit| match transmit {
        Transmit::Reply { request, .. } => Some(request),
        _ => None,
    };
    transmits.filter_map(reply).collect()
}
