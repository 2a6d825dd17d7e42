//! The server's side: what it emits, answers and refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use engineio_http::server::{Connection, Event, Request};
use engineio_http::{Error, Limits, MAX_HEADERS, SendError};
use proptest::prelude::*;

/// Everything that a connection did, with the parts of a body together.
#[derive(Debug, Default, PartialEq)]
struct Record {
    requests: Vec<(String, Vec<u8>)>,
    failed: Option<Error>,
    closed: bool,
    output: Vec<u8>,
    finished: bool,
}

fn described(request: &Request) -> String {
    let fields = request.headers().iter().map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)));
    format!("{} {} 1.{}{}", request.method(), request.target(), request.version(), fields.collect::<String>())
}

impl Record {
    fn poll(&mut self, http: &mut Connection) {
        while let Some(event) = http.poll_event() {
            match event {
                Event::Request(request) => self.requests.push((described(&request), vec![])),
                Event::Body(data) => self.requests.last_mut().unwrap().1.extend_from_slice(&data),
                Event::End => http.respond(200, [("x", "y")], self.requests.last().unwrap().1.clone()).unwrap(),
                Event::Failed(error) => {
                    self.failed = Some(error);
                    http.respond(error.status(), [], "").unwrap();
                }
                Event::Closed => self.closed = true,
                _ => unreachable!(),
            }
            self.write(http);
        }
        self.write(http);
    }

    fn write(&mut self, http: &mut Connection) {
        std::iter::from_fn(|| http.poll_transmit()).for_each(|bytes| self.output.extend_from_slice(&bytes));
    }
}

/// Serves these pieces with an echo.
fn serve<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Record {
    let (mut http, mut record) = (Connection::new(limits), Record::default());
    for piece in pieces {
        http.handle(piece);
        record.poll(&mut http);
    }
    record.finished = http.is_finished();
    http.handle_end();
    record.poll(&mut http);
    assert!(http.is_finished() && record.closed);
    record
}

fn whole(input: &str) -> Record {
    serve(Limits::default(), [input.as_bytes()])
}

/// The record does not depend on how the input is split.
fn in_bytes(input: &str) -> Record {
    let record = serve(Limits::default(), input.as_bytes().chunks(1));
    assert_eq!(record, whole(input), "{input:?}");
    record
}

const GET: &str = "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n";

#[test]
fn a_request_is_emitted_and_answered() {
    let record = in_bytes("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(record.requests, [("POST /p 1.1 Host=h Content-Length=5".into(), b"hello".to_vec())]);
    assert_eq!(record.output, b"HTTP/1.1 200 \r\nx: y\r\ncontent-length: 5\r\n\r\nhello");
    assert!(!record.finished);
}

#[test]
fn requests_that_arrive_ahead_are_answered_in_order() {
    let post = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nt: v\r\n\r\n";
    let record = in_bytes(&format!("{GET}{post}\r\n{GET}"));
    assert_eq!(record.requests.len(), 3);
    assert_eq!(record.requests[1].1, b"hi");
}

#[test]
fn the_next_request_waits_until_the_answer_was_taken() {
    let mut http = Connection::new(Limits::default());
    http.handle(GET.repeat(2).as_bytes());
    assert!(matches!(http.poll_event(), Some(Event::Request(_))));
    assert!(matches!(http.poll_event(), Some(Event::End)));
    assert!(http.poll_event().is_none());
    http.respond(200, [], "").unwrap();
    assert!(http.poll_event().is_none());
    assert!(http.poll_transmit().is_some());
    assert!(matches!(http.poll_event(), Some(Event::Request(_))));
}

#[test]
fn too_many_bytes_ahead_of_an_answer_fail() {
    let mut http = Connection::new(Limits::default().with_max_head(100));
    http.handle(GET.as_bytes());
    while http.poll_event().is_some() {}
    http.handle(&[b'x'; 100]);
    assert!(http.poll_event().is_none());
    http.handle(b"x");
    assert!(matches!(http.poll_event(), Some(Event::Failed(Error::TooMuchAhead))));
    http.respond(200, [], "late").unwrap();
    assert!(http.poll_transmit().unwrap().ends_with(b"connection: close\r\n\r\nlate"));
    assert!(http.is_finished());
}

#[test]
fn an_end_while_a_request_is_held_is_reported() {
    let mut http = Connection::new(Limits::default());
    http.handle(GET.as_bytes());
    while http.poll_event().is_some() {}
    assert!(http.has_open_request() && !http.is_idle());
    http.handle_end();
    assert!(matches!(http.poll_event(), Some(Event::Closed)));
    assert!(http.poll_event().is_none());
    assert_eq!(http.respond(200, [], ""), Err(SendError::State));
    assert!(http.is_finished() && http.poll_transmit().is_none());
}

#[test]
fn what_can_be_understood_differently_is_refused() {
    let hostile: &[(&str, Error)] = &[
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            Error::LengthAndEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
            Error::LengthAndEncoding,
        ),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", Error::RepeatedLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", Error::RepeatedLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1, 1\r\n\r\n", Error::InvalidLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +1\r\n\r\n", Error::InvalidLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: \r\n\r\n", Error::InvalidLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999\r\n\r\n", Error::InvalidLength),
        ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Error::UnsupportedEncoding),
        ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: xchunked\r\n\r\n", Error::UnsupportedEncoding),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            Error::UnsupportedEncoding,
        ),
        ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: identity\r\n\r\n", Error::UnsupportedEncoding),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", Error::EncodingInHttp10),
        ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding : chunked\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\nhost: h\r\na: b\r\n c\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\n host: h\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\nhost: h\r\na: b\0c\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\nhost: h\r\na: b\rc\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\nhost: h\n\n", Error::BareLf),
        ("GET / HTTP/1.1\r\nhost: h\r\na: b\n\r\n", Error::BareLf),
        ("GET / HTTP/1.1\r\nhost: h\r\n\n", Error::BareLf),
        ("\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", Error::BareLf),
        ("\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\nhost: h\r\nHost: h\r\n\r\n", Error::RepeatedHost),
        ("GET / HTTP/2.0\r\nhost: h\r\n\r\n", Error::InvalidHead),
        ("GET /\r\nhost: h\r\n\r\n", Error::InvalidHead),
        ("GET  / HTTP/1.1\r\nhost: h\r\n\r\n", Error::InvalidHead),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Error::InvalidHead),
        ("\u{16}\u{3}\u{1}\r\n\r\n", Error::InvalidHead),
        ("GET / HTTP/1.1\r\nhost: h\r\nexpect: tea\r\n\r\n", Error::UnsupportedExpectation),
    ];
    for (input, error) in hostile {
        let record = in_bytes(&format!("{input}{GET}"));
        assert_eq!((record.requests.len(), record.failed), (0, Some(*error)), "{input:?}");
        let answer = format!("HTTP/1.1 {} \r\ncontent-length: 0\r\nconnection: close\r\n\r\n", error.status());
        assert_eq!(String::from_utf8(record.output).unwrap(), answer, "{input:?}");
        assert!(record.finished);
    }
}

#[test]
fn an_invalid_chunk_fails_after_its_request() {
    let hostile = [
        ("\r\n", Error::InvalidChunk),
        ("g\r\n", Error::InvalidChunk),
        ("-1\r\n", Error::InvalidChunk),
        ("0x1\r\n", Error::InvalidChunk),
        ("1\nx\r\n", Error::BareLf),
        ("1;a\nx\r\n", Error::BareLf),
        ("1\rx", Error::InvalidChunk),
        ("1\r\nxy\r\n", Error::InvalidChunk),
        ("1\r\nx\n", Error::InvalidChunk),
        ("00000000000000001\r\n", Error::InvalidChunk),
        ("ffffffffffffffff\r\n", Error::BodyTooLarge),
        ("f4241\r\n", Error::BodyTooLarge),
        ("0\r\n\n", Error::BareLf),
        ("0\r\na: b\n\r\n", Error::BareLf),
        ("0\r\na: b\rc\r\n\r\n", Error::InvalidChunk),
        ("1;\0\r\n", Error::InvalidChunk),
    ];
    for (chunks, error) in hostile {
        let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n\r\n";
        let record = in_bytes(&format!("{head}{chunks}{GET}"));
        assert_eq!((record.requests.len(), record.failed), (1, Some(error)), "{chunks:?}");
        assert!(record.finished);
    }
}

#[test]
fn limits_hold_exactly() {
    let limits = Limits::default();
    let failed = |limits, input: &str| serve(limits, [input.as_bytes()]).failed;
    let head = GET.len();
    assert_eq!(failed(limits.with_max_head(head), GET), None);
    assert_eq!(failed(limits.with_max_head(head - 1), GET), Some(Error::HeadTooLarge));
    // The same error, whether the byte behind the limit has arrived or not.
    let long = format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\n", "x".repeat(100));
    assert_eq!(failed(limits.with_max_head(64), &long), Some(Error::HeadTooLarge));
    assert_eq!(serve(limits.with_max_head(64), long.as_bytes().chunks(1)).failed, Some(Error::HeadTooLarge));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    assert_eq!(failed(limits.with_max_headers(3), &fields(3)), None);
    assert_eq!(failed(limits.with_max_headers(3), &fields(4)), Some(Error::TooManyHeaders));
    assert_eq!(failed(limits.with_max_headers(usize::MAX), &fields(MAX_HEADERS)), None);
    assert_eq!(failed(limits.with_max_headers(usize::MAX), &fields(MAX_HEADERS + 1)), Some(Error::TooManyHeaders));
    let sized =
        |length: usize| format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
    assert_eq!(failed(limits.with_max_body(3), &sized(3)), None);
    assert_eq!(failed(limits.with_max_body(3), &sized(4)), Some(Error::BodyTooLarge));
    let chunked =
        |chunks: &str| format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}\r\n");
    assert_eq!(failed(limits.with_max_body(3), &chunked("2\r\nxx\r\n1\r\nx\r\n0\r\n")), None);
    assert_eq!(failed(limits.with_max_body(3), &chunked("2\r\nxx\r\n2\r\nx")), Some(Error::BodyTooLarge));
    let extended = "1;a\r\nx\r\n0;bc\r\n";
    assert_eq!(failed(limits.with_max_chunk_extensions(5), &chunked(extended)), None);
    assert_eq!(failed(limits.with_max_chunk_extensions(4), &chunked(extended)), Some(Error::ChunkExtensionsTooLarge));
    let trailers = "0\r\na: b\r\nc:\r\n";
    assert_eq!(failed(limits.with_max_trailers(6), &chunked(trailers)), None);
    assert_eq!(failed(limits.with_max_trailers(5), &chunked(trailers)), Some(Error::TrailersTooLarge));
}

#[test]
fn a_connection_lasts_as_long_as_both_sides_agree() {
    let output = |input: &str| String::from_utf8(in_bytes(input).output).unwrap();
    let close = output("GET / HTTP/1.1\r\nhost: h\r\nconnection: x, Close\r\n\r\n");
    assert!(close.contains("\r\nconnection: close\r\n"), "{close}");
    let old = output("GET / HTTP/1.0\r\n\r\n");
    assert!(old.contains("\r\nconnection: close\r\n"), "{old}");
    let old = output("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert!(old.contains("\r\nconnection: keep-alive\r\n") && old.contains("\r\nconnection: close\r\n"), "{old}");
    assert!(in_bytes("GET / HTTP/1.0\r\n\r\n").finished);
    let mut http = Connection::new(Limits::default());
    http.handle(GET.as_bytes());
    http.close();
    http.respond(200, [], "").unwrap();
    assert!(http.poll_transmit().unwrap().ends_with(b"connection: close\r\n\r\n"));
    assert!(http.is_finished());
}

#[test]
fn an_answer_before_the_end_of_the_request_closes() {
    let mut http = Connection::new(Limits::default());
    http.handle(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nab");
    http.respond(403, [], "no").unwrap();
    http.handle(b"cdefghi");
    assert!(http.poll_event().is_none());
    assert!(http.poll_transmit().unwrap().ends_with(b"connection: close\r\n\r\nno"));
    assert!(http.is_finished());
}

#[test]
fn a_client_that_expects_an_interim_response_gets_it_if_its_body_is_wanted() {
    let head = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-Continue\r\n\r\n";
    let mut http = Connection::new(Limits::default());
    http.handle(head);
    assert!(http.poll_transmit().is_none());
    assert!(matches!(http.poll_event(), Some(Event::Request(_))));
    assert_eq!(http.poll_transmit().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(http.poll_transmit().is_none());
    let mut http = Connection::new(Limits::default());
    http.handle(head);
    http.poll_event();
    http.respond(413, [], "").unwrap();
    assert!(http.poll_transmit().unwrap().starts_with(b"HTTP/1.1 413 "));
    assert!(http.poll_transmit().is_none());
}

#[test]
fn the_answer_to_head_has_a_length_and_no_body() {
    let mut http = Connection::new(Limits::default());
    http.handle(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n");
    http.respond(200, [], "hello").unwrap();
    assert_eq!(http.poll_transmit().unwrap(), "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\n");
    assert!(http.poll_transmit().is_none());
    http.handle(GET.as_bytes());
    http.respond(204, [], "").unwrap();
    assert_eq!(http.poll_transmit().unwrap(), "HTTP/1.1 204 \r\n\r\n");
}

#[test]
fn an_answer_of_unknown_length_comes_in_chunks() {
    let mut http = Connection::new(Limits::default());
    let output = |http: &mut Connection| {
        let bytes: Vec<u8> = std::iter::from_fn(|| http.poll_transmit()).flatten().collect();
        String::from_utf8(bytes).unwrap()
    };
    http.handle(GET.as_bytes());
    assert_eq!(http.send_body("x"), Err(SendError::State));
    http.begin_response(200, []).unwrap();
    assert_eq!(http.respond(200, [], ""), Err(SendError::State));
    for data in ["a".repeat(17), String::new(), "b".into()] {
        http.send_body(data).unwrap();
    }
    http.end_response().unwrap();
    assert_eq!(http.end_response(), Err(SendError::State));
    let expected =
        format!("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n11\r\n{}\r\n1\r\nb\r\n0\r\n\r\n", "a".repeat(17));
    assert_eq!(output(&mut http), expected);
    assert!(!http.is_finished());
    http.handle(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    http.begin_response(200, []).unwrap();
    http.send_body("a").unwrap();
    http.end_response().unwrap();
    assert_eq!(output(&mut http), "HTTP/1.1 200 \r\nconnection: close\r\n\r\na");
    assert!(http.is_finished());
}

#[test]
fn a_response_that_began_early_can_still_be_ended() {
    let mut http = Connection::new(Limits::default());
    http.handle(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n");
    http.begin_response(200, []).unwrap();
    while http.poll_transmit().is_some() {}
    assert!(!http.is_finished());
    http.send_body("a").unwrap();
    http.end_response().unwrap();
    while http.poll_transmit().is_some() {}
    assert!(http.is_finished());
}

#[test]
fn an_upgrade_hands_over_what_was_read_after_the_request() {
    let mut http = Connection::new(Limits::default());
    assert_eq!(http.upgrade(), Err(SendError::State));
    http.handle(format!("{GET}frames").as_bytes());
    assert_eq!(http.upgrade().unwrap(), "frames");
    assert!(http.poll_event().is_none());
    assert!(!http.is_finished());
    let mut http = Connection::new(Limits::default());
    http.handle(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n");
    assert_eq!(http.upgrade(), Err(SendError::State));
}

#[test]
fn a_head_cannot_be_broken_by_its_headers() {
    let mut http = Connection::new(Limits::default());
    http.handle(GET.as_bytes());
    for header in [("a", "b\r\nc: d"), ("a b", "c"), ("", "b"), ("a", "\0"), ("a:", "b")] {
        assert_eq!(http.respond(200, [header], ""), Err(SendError::InvalidHead));
    }
    for name in ["Content-Length", "transfer-encoding"] {
        assert_eq!(http.respond(200, [(name, "1")], ""), Err(SendError::Framing));
    }
    for status in [0, 100, 101, 199, 600] {
        assert_eq!(http.respond(status, [], ""), Err(SendError::Status));
    }
    assert!(http.poll_transmit().is_none());
    http.respond(200, [], "").unwrap();
}

/// Input that is close to HTTP.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(GET.to_owned()),
        Just("POST / HTTP/1.1\r\nhost: h\r\n".to_owned()),
        Just("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_owned()),
        Just("content-length: 3\r\n\r\nabc".to_owned()),
        Just("transfer-encoding: chunked\r\n\r\n".to_owned()),
        Just("expect: 100-continue\r\n".to_owned()),
        Just("3;x\r\nabc\r\n".to_owned()),
        Just("0\r\n\r\n".to_owned()),
        Just("0\r\nt: v\r\n\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        "[ -~\r\n]{0,8}",
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn events_do_not_depend_on_how_the_input_is_split(input in input(), sizes in prop::collection::vec(1..40_usize, 1..8)) {
        let mut pieces = vec![];
        let mut rest = &input[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let mut split = serve(Limits::default(), pieces);
        let mut joined = serve(Limits::default(), [&input[..]]);
        // Whether the interim response is needed depends on what has arrived.
        for record in [&mut split, &mut joined] {
            let output = String::from_utf8_lossy(&record.output).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
            record.output = output.into_bytes();
        }
        prop_assert_eq!(split, joined);
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..200), tail in input()) {
        let limits = Limits::default().with_max_head(64).with_max_body(8).with_max_chunk_extensions(2).with_max_trailers(2);
        serve(limits, [&input[..], &tail]);
        serve(limits, [&tail[..], &input]);
    }
}
