//! Routing of requests: the server's decision is compared with that of a model that parses the query with another library.

use arbitrary::{Result, Unstructured};
use std::collections::BTreeMap;

use engineio_proto::server::{Input as Fact, Refusal, RequestKind, Route, Server, Transmit};
use engineio_proto::{
    Config, ContentType, Instant, LinkId, LinkKind, Message, RequestHead, RequestId, Response, Revision, Sid,
    Transports,
};

use super::jsonp::argument;
use crate::input::{rest_text, short};

const METHODS: [&str; 6] = ["GET", "POST", "OPTIONS", "HEAD", "get", ""];

/// Input: the settings of the server, the kind of the request, its origin, its query.
pub fn http_route(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let bits = input.arbitrary::<u8>()?;
    let websocket = bits & 1 != 0;
    let transports = Transports { polling: bits & 2 == 0, websocket: bits & 4 == 0, webtransport: bits & 8 != 0 };
    let origin = if bits & 16 != 0 { Some(short(&mut input)?) } else { None };
    let method = *input.choose(&METHODS)?;
    let query = rest_text(&mut input)?;
    let mut config = Config::default();
    config.transports = transports;
    config.allow_eio3 = bits & 32 != 0;
    let allow_eio3 = config.allow_eio3;
    let route = Server::new(config).route(&RequestHead { method, query: &query, origin, websocket });

    let parameters: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let parameter = |name| parameters.get(name).map_or("", |value| &**value);
    let transport = parameter("transport");
    let consistent = websocket == (transport == "websocket");
    let revision4 = parameter("EIO") == "4";
    let served = (transport == "polling" && transports.polling) || (transport == "websocket" && transports.websocket);
    let bad_origin =
        origin.is_some_and(|origin| origin.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f));
    let refusal = if !served {
        Some(Refusal::UnknownTransport)
    } else if bad_origin {
        Some(Refusal::BadRequest)
    } else if !parameter("sid").is_empty() {
        Sid::new(parameter("sid")).is_err().then_some(Refusal::UnknownSid)
    } else if method != "GET" {
        Some(Refusal::BadHandshakeMethod)
    } else if !consistent {
        Some(Refusal::BadRequest)
    } else {
        (!revision4 && !allow_eio3).then_some(Refusal::UnsupportedVersion)
    };
    match (route, refusal) {
        (Route::Reply(response), Some(refusal)) => refused(&response, refusal, websocket),
        (Route::Session { sid, session_request }, None) => {
            assert_eq!(sid.as_str(), parameter("sid"));
            let kind = match method {
                _ if websocket => RequestKind::Link(LinkKind::WebSocket),
                "GET" => RequestKind::Get,
                "POST" => RequestKind::Post,
                _ => RequestKind::Other,
            };
            assert_eq!(session_request.kind(), kind);
            refused(&session_request.refuse(Refusal::UnknownSid), Refusal::UnknownSid, websocket);
            admitted(&session_request, revision4 && consistent);
        }
        (Route::Open(handshake), None) => {
            assert_eq!(handshake.link().is_some(), websocket);
            assert_eq!(handshake.revision(), if revision4 { Revision::V4 } else { Revision::V3 });
            opens(handshake, !parameter("b64").is_empty(), parameters.get("j").map(|j| &**j));
        }
        (route, refusal) => panic!("{route:?}, expected {refusal:?}"),
    }
    let forbidden = Refusal::Forbidden(&query);
    refused(&forbidden.response(websocket), forbidden, websocket);
    Ok(())
}

/// Checks that the body of a refusal is correct for any message of the application.
fn refused(response: &Response, refusal: Refusal<'_>, websocket: bool) {
    let status = if refusal.code() == 4 { 403 } else { 400 };
    assert_eq!(response.status(), status, "{refusal:?}");
    if websocket {
        assert_eq!(response.body(), refusal.to_string().as_bytes());
        return;
    }
    let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    let expected = serde_json::json!({"code": refusal.code(), "message": refusal.to_string()});
    assert_eq!(body, expected);
}

/// Checks that a polling session accepts consistent requests, and an upgrade.
fn admitted(session_request: &engineio_proto::server::SessionRequest, consistent: bool) {
    let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", origin: None, websocket: false };
    let Route::Open(handshake) = Server::new(Config::default()).route(&head) else { panic!("not a handshake") };
    let now = Instant::ZERO;
    let mut session = handshake.accept(now, Sid::from_random([7; 15]));
    session.handle(now, Fact::Get { request: RequestId(1) });
    let admitted = session.admit(session_request);
    assert_eq!(admitted.is_ok(), consistent && session_request.kind() != RequestKind::Other, "{admitted:?}");
}

/// Checks that a handshake opens a session on its transport. The response is a script if the query has a `j`, and binary is sent as text
/// to clients that request it.
fn opens(handshake: engineio_proto::server::Handshake, base64: bool, j: Option<&str>) {
    let (now, link, websocket) = (Instant::ZERO, LinkId(1), handshake.link().is_some());
    let revision = handshake.revision();
    let mut session = handshake.accept(now, Sid::from_random([7; 15]));
    if websocket {
        session.handle(now, Fact::LinkUp { link, kind: LinkKind::WebSocket });
    } else {
        session.handle(now, Fact::Get { request: RequestId(1) });
        session.handle(now, Fact::Replied { request: RequestId(1) });
        session.handle(now, Fact::Post { request: RequestId(2), content_type: ContentType::Text });
    }
    let Some(open) = session.poll_transmit() else { panic!("no open packet") };
    let open = match (open, j) {
        (Transmit::Link { frame, .. }, _) => [frame.head(), frame.data()].concat(),
        (Transmit::Reply { response, .. }, None) => response.into_body().to_vec(),
        (Transmit::Reply { response, .. }, Some(j)) => {
            let digits: String = j.chars().filter(char::is_ascii_digit).take(10).collect();
            argument(response.body(), &digits).into_bytes()
        }
        (other, _) => panic!("{other:?}"),
    };
    let open = match revision {
        Revision::V3 if !websocket => open.splitn(2, |byte| *byte == b':').nth(1).expect("a length"),
        _ => &open,
    };
    let open: serde_json::Value =
        serde_json::from_slice(open.strip_prefix(b"0").expect("an open packet")).expect("JSON");
    assert_eq!(open["sid"], session.sid().as_str());
    session.send(Message::Binary(vec![1, 2, 3].into())).expect("open");
    if let Some(Transmit::Link { frame, .. }) = session.poll_transmit() {
        let head = match (revision, base64) {
            (Revision::V4, true) => &b"b"[..],
            (Revision::V4, false) => b"",
            (Revision::V3, true) => b"b4",
            (Revision::V3, false) => b"\x04",
        };
        assert_eq!((frame.head(), frame.is_binary()), (head, !base64));
    }
}
