//! Both halves of a handshake: the query of the client's request, and the open packet that answers it.
//!
//! Source: Engine.IO protocol v4, "Handshake"; engine.io `lib/server.ts` (the query is read by `URLSearchParams`) and
//! `lib/socket.ts`, `onOpen`; engine.io-client `lib/socket.ts`, `createTransport` and `onHandshake`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Config;
use crate::event::{LinkKind, Transport};
use crate::form::decode_text;
use crate::id::Sid;
use crate::json;
use crate::message::Text;
use crate::packet::{Frame, PacketType};
use crate::wire::Revision;

/// The parameters of a query that determine how a request is routed and answered. A missing parameter is the same as an empty one, as in
/// the reference.
#[derive(Default, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) transport: Cow<'a, str>,
    pub(crate) revision: Cow<'a, str>,
    pub(crate) sid: Cow<'a, str>,
    pub(crate) base64: Cow<'a, str>,
    /// `None` if it is missing. For this parameter alone, missing and empty differ.
    pub(crate) jsonp: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads a query as `URLSearchParams` does: `&` separates parameters, `+` is a space, names and values may have percent escapes, and
    /// U+FFFD replaces invalid UTF-8. Of several parameters with the same name, the last one wins.
    pub(crate) fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        let mut rest = Some(query);
        while let Some(query) = rest {
            // Every request has a query: one pass over it finds the parameter's parts, and whether anything in it is encoded.
            let (mut equals, mut end, mut encoded) = (None, None, false);
            for (place, byte) in query.bytes().enumerate() {
                match byte {
                    b'&' => {
                        end = Some(place);
                        break;
                    }
                    b'=' => equals = equals.or(Some(place)),
                    b'%' | b'+' => encoded = true,
                    _ => {}
                }
            }
            let (parameter, behind) = split_around(query, end);
            rest = behind;
            let (name, value) = split_around(parameter, equals);
            let decode = |part| if encoded { decode_text(part) } else { Cow::Borrowed(part) };
            let place = match &*decode(name) {
                "transport" => &mut parsed.transport,
                "EIO" => &mut parsed.revision,
                "sid" => &mut parsed.sid,
                "b64" => &mut parsed.base64,
                "j" => parsed.jsonp.get_or_insert_default(),
                _ => continue,
            };
            *place = decode(value.unwrap_or_default());
        }
        parsed
    }
}

impl Query<'_> {
    /// Whether the query has a session id. The result is that of [`Query::parse`], without parsing the other parameters.
    pub(crate) fn names_session(query: &str) -> bool {
        if query.contains('%') {
            return !Query::parse(query).sid.is_empty();
        }
        let sid = |parameter: &str| {
            parameter.strip_prefix("sid").is_some_and(|value| value.is_empty() || value.starts_with('='))
        };
        query.rsplit('&').find(|parameter| sid(parameter)).is_some_and(|last| last.len() > "sid=".len())
    }
}

/// Splits around the ASCII character at `place`. Without a place, the first half is the whole text.
fn split_around(text: &str, place: Option<usize>) -> (&str, Option<&str>) {
    let parts = place.and_then(|place| Some((text.get(..place)?, text.get(place.checked_add(1)?..)?)));
    parts.map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// The open packet of a session of this revision that was opened over `link`, or by polling. Its keys are in the reference's order.
/// Revision 3 has no WebTransport.
pub(crate) fn open_packet(config: &Config, revision: Revision, sid: Sid, link: Option<LinkKind>) -> Frame {
    let offered = link.is_none() && config.allow_upgrades;
    let webtransport = config.transports.webtransport && revision == Revision::V4;
    let upgrades = match (offered && config.transports.websocket, offered && webtransport) {
        (false, false) => "",
        (true, false) => r#""websocket""#,
        (false, true) => r#""webtransport""#,
        (true, true) => r#""websocket","webtransport""#,
    };
    // The characters of an id need no escapes in JSON.
    let json = format!(
        r#"{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
        milliseconds(config.ping_interval),
        milliseconds(config.ping_timeout),
        config.max_payload,
    );
    Frame::text(PacketType::Open, Text::from(json))
}

const fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis()
}

/// The characters of a query that need no escape (RFC 3986, "Unreserved Characters").
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The query of a client's request, without the parameters of the application.
pub(crate) fn client_query(revision: Revision, transport: Transport, sid: Option<&str>, base64: bool) -> Text {
    let mut query = format!("EIO={}&transport={}", revision.number(), transport.as_str());
    if let Some(sid) = sid {
        // Writing to a string cannot fail.
        let _ = write!(query, "&sid={}", utf8_percent_encode(sid, ESCAPED));
    }
    if base64 {
        query.push_str("&b64=1");
    }
    query.into()
}

/// The longest id of a session that a client accepts, in bytes. The id is a part of every later request.
const MAX_SID: usize = 1024;

/// What a server says of a session in its open packet.
#[cfg_attr(feature = "testkit", derive(Hash))]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Handshake {
    /// The id of the session. It is a secret: anyone who has it can act as the client.
    pub sid: Text,
    /// The links to which the session may move, in the server's order. Unknown ones are left out.
    pub upgrades: Vec<LinkKind>,
    /// Time from one ping to the next. At least a millisecond.
    pub ping_interval: Duration,
    /// Time within which a ping must be answered. At least a millisecond.
    pub ping_timeout: Duration,
    /// The largest body that the server accepts in a POST, in bytes. `None` if it did not say: servers of Socket.IO 1 and 2 do not.
    pub max_payload: Option<usize>,
}

impl Handshake {
    /// Reads the data of an open packet. Returns `None` if it is not a JSON object, or if the id or one of the durations is missing or
    /// invalid, or the id is longer than 1024 bytes. The reference checks nothing.
    pub(crate) fn parse(open: &str) -> Option<Self> {
        let (mut sid, mut upgrades) = (None, Vec::new());
        let (mut ping_interval, mut ping_timeout, mut max_payload) = (None, None, None);
        json::members(open, |key, value| match key {
            "sid" => sid = json::string_value(value).filter(|sid| !sid.is_empty() && sid.len() <= MAX_SID),
            "upgrades" => upgrades = read_upgrades(value),
            "pingInterval" => ping_interval = read_duration(value),
            "pingTimeout" => ping_timeout = read_duration(value),
            "maxPayload" => max_payload = value.parse().ok().filter(|bytes| *bytes > 0),
            _ => {}
        })?;
        Some(Self {
            sid: sid?.into_owned().into(),
            upgrades,
            ping_interval: ping_interval?,
            ping_timeout: ping_timeout?,
            max_payload,
        })
    }
}

/// The links in a list of upgrades, each once.
fn read_upgrades(json: &str) -> Vec<LinkKind> {
    let mut upgrades = Vec::new();
    let read = json::elements(json, |element| {
        let kind = match element {
            r#""websocket""# => LinkKind::WebSocket,
            r#""webtransport""# => LinkKind::WebTransport,
            _ => return,
        };
        if !upgrades.contains(&kind) {
            upgrades.push(kind);
        }
    });
    if read.is_some() { upgrades } else { Vec::new() }
}

/// Reads a number of milliseconds. A heartbeat without any pause would not end, so the shortest duration is a millisecond.
fn read_duration(json: &str) -> Option<Duration> {
    let first = json.bytes().next()?;
    let milliseconds: f64 = if first.is_ascii_digit() { json.parse().ok()? } else { return None };
    let duration = Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX);
    Some(duration.max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::config::Transports;

    #[test]
    fn a_query_names_a_session_when_its_last_sid_is_not_empty() {
        for query in ["sid=a", "x=1&sid=a&y", "sid=&sid=a", "s%69d=a", "sid==", "sidx=1&sid=a"] {
            assert!(Query::names_session(query), "{query}");
            assert!(!Query::parse(query).sid.is_empty(), "{query}");
        }
        for query in ["", "sid", "sid=", "sid=a&sid=", "sid=a&sid", "xsid=a", "sidx=a", "%73id="] {
            assert!(!Query::names_session(query), "{query}");
            assert!(Query::parse(query).sid.is_empty(), "{query}");
        }
    }

    #[test]
    fn a_query_is_read_as_url_search_params_does() {
        let query = Query::parse(
            "EIO=3&b64=1&transport=we%62sock%65t&EI%4F=4&sid=a+b%zz%&x&&=&transport2=&%73id=%E2%82%ac%ff=",
        );
        assert_eq!(query.transport, "websocket");
        assert_eq!(query.revision, "4");
        assert_eq!(query.base64, "1");
        assert_eq!(query.sid, "\u{20ac}\u{fffd}=");
        assert_eq!(Query::parse("sid=a+b%zz%").sid, "a b%zz%");
        assert_eq!(Query::parse("").transport, "");
        assert!(matches!(Query::parse("sid=plain").sid, Cow::Borrowed("plain")));
    }

    fn open(config: &Config, link: Option<LinkKind>) -> String {
        let frame = open_packet(config, Revision::V4, Sid::new("lv_VI97HAXpY6yYWAAAC").unwrap(), link);
        assert_eq!(frame.head(), b"0");
        String::from_utf8(frame.data().to_vec()).unwrap()
    }

    #[test]
    fn the_open_packet_has_the_references_keys_in_its_order() {
        assert_eq!(
            open(&Config::default(), None),
            r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
    }

    #[test]
    fn item_21_upgrades_are_those_that_are_enabled_and_none_over_a_link() {
        let all = Transports { polling: true, websocket: true, webtransport: true };
        let config = Config { transports: all, ..Config::default() };
        assert!(open(&config, None).contains(r#""upgrades":["websocket","webtransport"]"#));
        assert!(open(&config, Some(LinkKind::WebSocket)).contains(r#""upgrades":[]"#));
        assert!(open(&config, Some(LinkKind::WebTransport)).contains(r#""upgrades":[]"#));
        let only = Transports { websocket: false, ..all };
        assert!(
            open(&Config { transports: only, ..Config::default() }, None).contains(r#""upgrades":["webtransport"]"#)
        );
        let disabled = Config { transports: all, allow_upgrades: false, ..Config::default() };
        assert!(open(&disabled, None).contains(r#""upgrades":[]"#));
    }
}
