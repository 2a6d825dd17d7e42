//! The client's side: what it sends, emits and refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use engineio_http::client::{Connection, Event};
use engineio_http::{Error, Limits, SendError};
use proptest::prelude::*;

/// What became of a request.
#[derive(Debug, Default, PartialEq)]
struct Record {
    status: Option<u16>,
    body: Vec<u8>,
    ended: bool,
    failed: Option<Error>,
    reusable: bool,
}

fn drive<'a>(mut http: Connection, pieces: impl IntoIterator<Item = &'a [u8]>) -> Record {
    let mut record = Record::default();
    let poll = |http: &mut Connection, record: &mut Record| {
        while let Some(event) = http.poll_event() {
            match event {
                Event::Response(response) => assert_eq!(record.status.replace(response.status()), None),
                Event::Body(data) => record.body.extend_from_slice(&data),
                Event::End => record.ended = true,
                Event::Failed(error) => record.failed = Some(error),
                _ => unreachable!(),
            }
        }
    };
    for piece in pieces {
        http.handle(piece);
        poll(&mut http, &mut record);
    }
    record.reusable = http.is_reusable();
    http.handle_end();
    poll(&mut http, &mut record);
    assert!(!http.is_reusable());
    record
}

fn asked(method: &str, headers: &[(&str, &str)]) -> Connection {
    let mut http = Connection::new(Limits::default());
    http.request(method, "/", "h", headers.iter().copied(), None).unwrap();
    http
}

/// The record does not depend on how the input is split.
fn get(input: &str) -> Record {
    let record = drive(asked("GET", &[]), [input.as_bytes()]);
    assert_eq!(drive(asked("GET", &[]), input.as_bytes().chunks(1)), record, "{input:?}");
    record
}

fn answered(body: &str, reusable: bool) -> Record {
    Record { status: Some(200), body: body.into(), ended: true, failed: None, reusable }
}

#[test]
fn a_request_has_a_host_and_a_length() {
    let mut http = Connection::new(Limits::default());
    http.request("POST", "/a?b", "h:1", [("x", "y")], Some("hello".into())).unwrap();
    assert_eq!(
        http.poll_transmit().unwrap(),
        "POST /a?b HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 5\r\n\r\nhello"
    );
    assert_eq!(http.request("GET", "/", "h", [], None), Err(SendError::State));
}

#[test]
fn a_request_cannot_be_broken_by_its_parts() {
    let mut http = Connection::new(Limits::default());
    for (method, target, host) in
        [("G T", "/", "h"), ("", "/", "h"), ("GET", "/ a", "h"), ("GET", "", "h"), ("GET", "/", "h\r\n")]
    {
        assert_eq!(http.request(method, target, host, [], None), Err(SendError::InvalidHead));
    }
    assert_eq!(http.request("GET", "/", "h", [("content-length", "1")], None), Err(SendError::Framing));
    assert!(http.poll_transmit().is_none() && http.is_reusable());
}

#[test]
fn a_body_ends_by_length_chunks_or_the_end_of_the_connection() {
    assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), answered("hi", true));
    assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), answered("", true));
    assert_eq!(
        get("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n1;a\r\nh\r\n1\r\ni\r\n0\r\nt: v\r\n\r\n"),
        answered("hi", true)
    );
    assert_eq!(get("HTTP/1.1 200 OK\r\n\r\nhi"), answered("hi", false));
    assert_eq!(get("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), answered("hi", false));
    assert_eq!(get("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"), answered("hi", false));
    let closing =
        drive(asked("GET", &[("connection", "close")]), [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..]]);
    assert_eq!(closing, answered("", false));
}

#[test]
fn some_responses_have_no_body() {
    let head = drive(asked("HEAD", &[]), [&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"[..]]);
    assert_eq!(head, answered("", true));
    for status in [204, 304] {
        let record = get(&format!("HTTP/1.1 {status} \r\n\r\n"));
        assert_eq!((record.status, record.ended, record.reusable), (Some(status), true, true));
    }
}

#[test]
fn interim_responses_are_skipped_within_the_limit_of_a_head() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    assert_eq!(get(&format!("{}HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", interim.repeat(3))), answered("", true));
    assert_eq!(get(&interim.repeat(500)).failed, Some(Error::HeadTooLarge));
}

#[test]
fn what_no_request_asked_for_ends_the_connection() {
    let record = get("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
    assert_eq!(record, answered("hi", false));
    let mut http = Connection::new(Limits::default());
    http.handle(b"HTTP/1.1 408 \r\n\r\n");
    assert!(http.poll_event().is_none() && !http.is_reusable());
}

#[test]
fn a_connection_is_reusable_when_its_events_are_polled() {
    let mut http = asked("GET", &[]);
    http.handle(b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi");
    assert!(!http.is_reusable());
    while http.poll_event().is_some() {}
    assert!(http.is_reusable());
    http.request("GET", "/", "h", [], None).unwrap();
    http.handle(b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
    assert!(matches!(http.poll_event(), Some(Event::Response(_))));
    assert!(matches!(http.poll_event(), Some(Event::End)));
}

#[test]
fn what_is_not_valid_or_not_complete_fails() {
    let failing = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", Error::Incomplete),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n", Error::Incomplete),
        ("HTTP/1.1 20", Error::Incomplete),
        ("", Error::Incomplete),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nh", Error::RepeatedLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nh", Error::LengthAndEncoding),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nh", Error::UnsupportedEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Error::EncodingInHttp10),
        ("HTTP/1.1 200 OK\nContent-Length: 1\n\n", Error::BareLf),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Error::InvalidHead),
        ("\r\n\r\n", Error::InvalidHead),
        ("HTTP/1.1 099 \r\n\r\n", Error::InvalidHead),
        ("SSH-2.0-x\r\n\r\n", Error::InvalidHead),
        ("HTTP/1.1 101 \r\nupgrade: websocket\r\n\r\n", Error::UnaskedSwitch),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n", Error::BodyTooLarge),
    ];
    for (input, error) in failing {
        let record = get(input);
        assert_eq!((record.failed, record.ended, record.reusable), (Some(error), false, record.reusable), "{input:?}");
    }
    let mut http = Connection::new(Limits::default().with_max_body(2));
    http.request("GET", "/", "h", [], None).unwrap();
    assert_eq!(drive(http, [&b"HTTP/1.1 200 \r\n\r\nabc"[..]]).failed, Some(Error::BodyTooLarge));
}

#[test]
fn a_switch_hands_over_what_was_read_after_the_head() {
    let switch = b"HTTP/1.1 101 \r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nfra";
    for size in [1, 7, 1000] {
        let mut http = asked("GET", &[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert_eq!(http.upgrade(), Err(SendError::State));
        switch.chunks(size).for_each(|piece| http.handle(piece));
        http.handle(b"mes");
        assert!(matches!(http.poll_event(), Some(Event::Response(response)) if response.status() == 101));
        assert_eq!(http.upgrade().unwrap(), "frames");
        assert!(http.poll_event().is_none() && !http.is_reusable());
    }
    let mut http = Connection::new(Limits::default().with_max_head(100));
    http.request("GET", "/", "h", [("upgrade", "websocket")], None).unwrap();
    http.handle(switch);
    http.handle(&[0; 100]);
    assert!(matches!(http.poll_event(), Some(Event::Response(_))));
    assert!(matches!(http.poll_event(), Some(Event::Failed(Error::TooMuchAhead))));
}

/// Input that is close to HTTP.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n".to_owned()),
        Just("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n".to_owned()),
        Just("HTTP/1.1 100 \r\n\r\n".to_owned()),
        Just("content-length: 3\r\n\r\nabc".to_owned()),
        Just("transfer-encoding: chunked\r\n\r\n".to_owned()),
        Just("3;x\r\nabc\r\n".to_owned()),
        Just("0\r\n\r\n".to_owned()),
        Just("\r\n".to_owned()),
        "[ -~\r\n]{0,8}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes())
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
        prop_assert_eq!(drive(asked("GET", &[]), pieces), drive(asked("GET", &[]), [&input[..]]));
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..200), tail in input()) {
        drive(asked("GET", &[]), [&input[..], &tail]);
        drive(asked("GET", &[]), [&tail[..], &input]);
    }
}
