//! A WebTransport stream: the packets and the session do not depend on how the stream is cut (I6).

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use engineio_proto::framing::Decoder;
use engineio_proto::server::{IncomingOutcome, Input as Fact, Server, Session, Transmit};
use engineio_proto::{Config, Event, Instant, LinkId, LinkKind, Packet, ParseError, Sid};

use crate::input::{Cuts, rest};

/// Input: the limit, cuts, and a stream.
pub fn webtransport(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let limit = usize::from(input.arbitrary::<u16>()?);
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let stream = rest(&mut input)?;
    let pieces = cuts.all(stream);
    let whole = decode(limit, &[stream]);
    let sum: usize = whole.0.iter().map(|packet| packet.data.len()).sum();
    assert!(sum <= stream.len());
    assert_eq!(decode(limit, &pieces), whole, "cut");
    assert_eq!(decode(limit, &cuts.all(stream)), whole, "in other chunks");
    assert_eq!(pushed_at_once(limit, &pieces), whole, "pushed at once");
    assert_eq!(run_session(limit, &pieces), run_session(limit, &[stream]), "a session");
    Ok(())
}

/// Decodes the packets of these chunks, and returns the error if there is one.
pub(super) fn decode(limit: usize, chunks: &[&[u8]]) -> (Vec<Packet>, Option<ParseError>) {
    let mut decoder = Decoder::new(limit);
    let mut packets = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        if let Some(error) = take_all(&mut decoder, &mut packets) {
            return (packets, Some(error));
        }
    }
    (packets, None)
}

fn pushed_at_once(limit: usize, chunks: &[&[u8]]) -> (Vec<Packet>, Option<ParseError>) {
    let mut decoder = Decoder::new(limit);
    let mut packets = Vec::new();
    chunks.iter().for_each(|chunk| decoder.push(Bytes::copy_from_slice(chunk)));
    let error = take_all(&mut decoder, &mut packets);
    (packets, error)
}

fn take_all(decoder: &mut Decoder, packets: &mut Vec<Packet>) -> Option<ParseError> {
    loop {
        match decoder.next() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return None,
            Err(error) => {
                assert_eq!(decoder.next(), Err(error), "errors persist");
                return Some(error);
            }
        }
    }
}

/// What the peer and the application observe.
#[derive(PartialEq, Debug)]
enum SessionOutcome {
    Undecided,
    Refused,
    Attached(Sid),
    Opened { events: Vec<Event>, packets: Vec<Transmit> },
}

fn run_session(limit: usize, chunks: &[&[u8]]) -> SessionOutcome {
    let mut config = Config::default();
    config.transports.webtransport = true;
    config.max_payload = limit;
    let (now, link) = (Instant::ZERO, LinkId(1));
    let mut incoming = Server::new(config).incoming(now);
    let mut chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
    let outcome = loop {
        let Some(chunk) = chunks.next() else { return SessionOutcome::Undecided };
        incoming.handle(chunk);
        if let Some(outcome) = incoming.poll() {
            break outcome;
        }
    };
    let handshake = match outcome {
        IncomingOutcome::Open(handshake) => handshake,
        IncomingOutcome::Attach { sid, .. } => return SessionOutcome::Attached(sid),
        _ => return SessionOutcome::Refused,
    };
    let mut session = handshake.accept(now, Sid::from_random([7; 15]));
    session.handle(now, Fact::LinkUp { link, kind: LinkKind::WebTransport });
    let (mut events, mut packets) = (Vec::new(), Vec::new());
    for chunk in [incoming.into_rest()].into_iter().chain(chunks) {
        session.handle(now, Fact::LinkBytes { link, chunk });
        if drain(&mut session, &mut events, &mut packets) {
            break;
        }
    }
    SessionOutcome::Opened { events, packets }
}

/// Polls everything, and returns whether the session has closed the link.
fn drain(session: &mut Session, events: &mut Vec<Event>, packets: &mut Vec<Transmit>) -> bool {
    events.extend(core::iter::from_fn(|| session.poll_event()));
    packets.extend(core::iter::from_fn(|| session.poll_transmit()));
    matches!(packets.last(), Some(Transmit::CloseLink { .. }))
}
