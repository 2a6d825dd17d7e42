//! permessage-deflate: messages that another implementation has compressed arrive whole, and so do ours with that one. What a stream of
//! compressed frames holds does not depend on how it is cut and read, nor exceeds the limits. Whatever is inflated, that one inflates to
//! the same bytes.

use arbitrary::{Result, Unstructured};
use engineio_websocket::handshake::{ClientHandshake, deflate};
use engineio_websocket::{Arena, Decoder, Deflater, Error, Event, Limits, Role};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::decoder::{Outcome, cut, feed};
use super::{frame, limits};
use crate::input::{Cuts, short};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const BINARY: u8 = 2;

/// What a sender leaves out, and a receiver appends.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Input: role, limits, cuts, and acts: frames, or messages that are compressed and fragmented. At the end, an offer of extensions.
pub fn websocket_deflate(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let role = if input.arbitrary::<u8>()? & 1 == 1 { Role::Client } else { Role::Server };
    let limits = limits(&mut input)?;
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let (mut stream, mut expected, mut fragments) = (Vec::new(), Vec::new(), 1);
    // Frames of any kind may break the protocol, or a message that is sent in between.
    let mut only_messages = true;
    let mut deflater = Deflater::new();
    for _ in 0..20 {
        if input.is_empty() {
            break;
        }
        let act = input.arbitrary::<u8>()?;
        if act & 3 == 0 {
            let first = input.arbitrary::<u8>()?;
            frame(&mut stream, first, short(&mut input)?.to_vec(), role);
            only_messages = false;
            continue;
        }
        let times = [1, 3, 40, 300][usize::from(act >> 2 & 3)];
        let message = short(&mut input)?.repeat(times);
        let payload = if act & 3 == 1 {
            let payload = deflater.deflate(&[&message]);
            if let Some(payload) = &payload {
                assert!(payload.len() < message.len());
                assert_eq!(model(payload).as_deref(), Some(&message[..]), "ours, inflated by the other");
            }
            payload.map(Vec::from)
        } else {
            Some(compressed(i32::from(act >> 4) % 10, &message))
        };
        let mut first = BINARY | if payload.is_some() { RSV1 } else { 0 };
        let payload = payload.unwrap_or_else(|| message.clone());
        // More than one frame at times, of which some are empty.
        let size = if act >> 4 & 1 == 1 { usize::from(input.arbitrary::<u8>()?) + 1 } else { usize::MAX };
        let mut pieces = payload.chunks(size).peekable();
        let mut count = 1;
        while let Some(piece) = pieces.next() {
            let fin = if pieces.peek().is_none() { FIN } else { 0 };
            frame(&mut stream, fin | first, piece.to_vec(), role);
            (first, count) = (0, count + 1);
        }
        if payload.is_empty() {
            frame(&mut stream, FIN | first, Vec::new(), role);
        }
        fragments = fragments.max(count);
        expected.push((message, payload.len()));
    }
    let decoder = || Decoder::new(role, limits).inflate(true);
    let whole = feed(&mut decoder(), &mut Arena::new(), &stream);
    for event in &whole.0 {
        if let Event::Binary(bytes) = event {
            assert!(bytes.len() <= limits.max_message, "{} bytes", bytes.len());
        }
        assert!(!matches!(event, Event::Compressed { .. }));
    }
    assert!(cut(&limits, decoder(), &stream, cuts.clone(), false) == whole, "cut");
    assert!(cut(&limits, decoder(), &stream, cuts.clone(), true) == whole, "read into place");
    cuts.next(&mut &stream[..]);
    assert!(cut(&limits, decoder(), &stream, cuts, true) == whole, "cut elsewhere");
    if only_messages {
        check_messages(&whole, &expected, &limits, fragments);
    }
    check_with_model(&whole, feed(&mut Decoder::new(role, limits).allow_rsv1(true), &mut Arena::new(), &stream).0);
    check_offer(input.bytes(input.len())?);
    Ok(())
}

/// Every message within the limits has arrived.
fn check_messages((events, result): &Outcome, expected: &[(Vec<u8>, usize)], limits: &Limits, fragments: u32) {
    let fits = |(message, compressed): &&(Vec<u8>, usize)| message.len().max(*compressed) <= limits.max_message;
    let good = expected.iter().take_while(fits).count();
    if fragments <= limits.max_fragments {
        assert_eq!(events.len(), good);
        let error = if good < expected.len() { Err(Error::MessageTooBig) } else { Ok(()) };
        assert_eq!(*result, error);
    }
    for (event, (message, _)) in events.iter().zip(expected) {
        assert!(matches!(event, Event::Binary(bytes) if bytes == message), "{event:?}");
    }
}

/// The other implementation inflates each message to the same bytes. `compressed` has the messages as they came.
fn check_with_model((events, result): &Outcome, compressed: Vec<Event>) {
    for (event, compressed) in events.iter().zip(&compressed) {
        let Event::Compressed { payload, .. } = compressed else {
            assert_eq!(event, compressed);
            continue;
        };
        let inflated = match event {
            Event::Text(text) => str::as_bytes(text),
            Event::Binary(bytes) => bytes,
            other => panic!("{other:?} out of a compressed message"),
        };
        // It forgets its window at the end of a stream, which a message may have in its middle.
        if let Some(bytes) = model(payload) {
            assert!(bytes == inflated, "{} bytes, and {} by the other", inflated.len(), bytes.len());
        }
    }
    match result {
        // It ends at the same place for any other reason, before or behind.
        Err(Error::Deflate | Error::MessageTooBig | Error::TooManyBlocks | Error::InvalidUtf8) => {}
        _ => assert_eq!(events.len(), compressed.len()),
    }
}

/// The message that this payload stands for, by another implementation. `None` if it does not take it, or if it is long.
fn model(payload: &[u8]) -> Option<Vec<u8>> {
    let mut inflate = Inflate::new(false, 15);
    let mut out = vec![0; 1_000_001];
    let mut length = 0;
    let mut rest = &[payload, &TAIL[..]].concat()[..];
    loop {
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(rest, &mut out[length..], InflateFlush::SyncFlush).ok()?;
        let consumed = usize::try_from(inflate.total_in() - before_in).expect("small");
        let written = usize::try_from(inflate.total_out() - before_out).expect("small");
        length += written;
        rest = &rest[consumed..];
        match status {
            // Only the tail is left of a message that ends with its last block.
            Status::StreamEnd if rest.len() <= TAIL.len() => break,
            Status::StreamEnd => inflate.reset(false),
            _ if rest.is_empty() => break,
            _ if consumed == 0 && written == 0 => return None,
            _ => {}
        }
    }
    (length < out.len()).then(|| out[..length].to_vec())
}

/// The payload of a message, compressed by another implementation.
fn compressed(level: i32, message: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new(level, false, 15);
    let mut out = vec![0; message.len() + message.len() / 100 + 1000];
    deflate.compress(message, &mut out, DeflateFlush::SyncFlush).expect("a buffer that is large enough");
    out.truncate(usize::try_from(deflate.total_out()).expect("small"));
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// Whatever a header says, what is accepted is accepted by the client half too, if it was offered.
fn check_offer(header: &[u8]) {
    let Some(accepted) = deflate([("Sec-WebSocket-Extensions", header)]) else { return };
    let response = accepted.response();
    assert!(header.windows(18).any(|window| window == b"permessage-deflate"));
    let client = ClientHandshake::new([7; 16]).with_deflate();
    assert!(client.deflate([("Sec-WebSocket-Extensions", response.as_bytes())]).is_some(), "{response}");
    let own = deflate(client.headers()).expect("our own offer").response();
    assert!(response.starts_with(&own), "{response}");
}
