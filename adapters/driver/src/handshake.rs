//! The request that opened a session, kept in one block of memory of exact size and parsed on demand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engineio_proto::{Revision, query_parameters};
use http::Version;
use http::request::Parts;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::webtransport::OverWebTransport;

/// The address of the peer. Listeners add it to the extensions of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoteAddress(pub SocketAddr);

/// Marks a request that came over TLS. Listeners add it to the extensions of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Secure;

/// The request that opened a session.
///
/// It serialises as `socket.handshake` does in the reference, without `auth`: `headers`, `time`, `address`, `xdomain`, `secure`, `issued`
/// (in milliseconds since 1970), `url` and `query`. A name that the query has several times has an array of values. Headers contain
/// secrets such as cookies.
#[derive(Debug)]
pub struct Handshake {
    /// `t` for WebTransport, `s` if the request came over TLS, otherwise `-`. Then `path?query`, and for each header a line feed and
    /// `name:value`. The types of the HTTP library are not kept, because they would keep its read buffer alive.
    head: Box<[u8]>,
    address: Option<SocketAddr>,
    issued: SystemTime,
}

impl Handshake {
    /// The number of bytes that a handshake keeps of this request.
    pub(crate) fn length(parts: &Parts) -> usize {
        let length = |(name, value): (&[u8], &[u8])| name.len().saturating_add(value.len()).saturating_add(2);
        headers(parts).map(length).fold(target(parts).len().saturating_add(1), usize::saturating_add)
    }

    pub(crate) fn new(parts: &Parts) -> Self {
        let mut head = Vec::with_capacity(Self::length(parts));
        // In HTTP/1, the scheme is what the client claims.
        let claimed = parts.version >= Version::HTTP_2 && parts.uri.scheme_str() == Some("https");
        let secure = claimed || parts.extensions.get::<Secure>().is_some();
        head.push(match parts.extensions.get::<OverWebTransport>() {
            Some(OverWebTransport) => b't',
            None if secure => b's',
            None => b'-',
        });
        head.extend_from_slice(target(parts).as_bytes());
        for (name, value) in headers(parts) {
            head.push(b'\n');
            head.extend_from_slice(name);
            head.push(b':');
            head.extend_from_slice(value);
        }
        Self {
            head: head.into_boxed_slice(),
            address: parts.extensions.get::<RemoteAddress>().map(|address| address.0),
            issued: SystemTime::now(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.head.get(1..).unwrap_or_default().split(|byte| *byte == b'\n')
    }

    /// The path and query, as the client sent them.
    #[must_use]
    pub fn target(&self) -> &str {
        self.lines().next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
    }

    /// Same as [`Handshake::target`]; the name in the reference.
    #[must_use]
    pub fn url(&self) -> &str {
        self.target()
    }

    /// The query without its question mark, still percent-encoded.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The revision of Engine.IO that the client uses (`socket.conn.protocol` in the reference). Clients of revision 3 use protocol 4 of
    /// Socket.IO, clients of revision 4 use protocol 5.
    #[must_use]
    pub fn revision(&self) -> Revision {
        // The request of a WebTransport session does not name it, and there is only one.
        if self.head.first() == Some(&b't') {
            return Revision::V4;
        }
        Revision::from_query(self.query_string())
    }

    /// The names and values of the query, decoded, in the order in which they were sent. Those of Engine.IO (`EIO`, `transport`) are among
    /// them. A name can come several times.
    ///
    /// ```
    /// # fn of(handshake: &socketio_driver::Handshake) {
    /// for (name, value) in handshake.query() {
    ///     println!("{name} = {value}");
    /// }
    /// # }
    /// ```
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        query_parameters(self.query_string())
    }

    /// The first value of this name in the query, decoded. (`io(url, { query: { name: value } })` in JavaScript)
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The names and values of the cookies. Quotes around a value are removed. Percent escapes are kept, as their meaning depends on who has
    /// set the cookie. Cookies that are not UTF-8 are skipped.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers().filter(|(name, _)| *name == "cookie");
        let pairs = headers.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        pairs.filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            let value = value.trim();
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            Some((name.trim(), unquoted.unwrap_or(value)))
        })
    }

    /// The value of the first cookie with this name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Whether the request came over TLS: it is that of a WebTransport session, the listener says so ([`Secure`]), or the scheme of an HTTP/2
    /// request is `https`. Behind a proxy that ends TLS, this is false; look at the header that the proxy adds, often `x-forwarded-proto`.
    #[must_use]
    pub fn secure(&self) -> bool {
        matches!(self.head.first(), Some(b's' | b't'))
    }

    /// Whether the request has the header `origin`. Browsers add it to requests from pages of another origin, and to every WebSocket.
    #[must_use]
    pub fn xdomain(&self) -> bool {
        self.headers().any(|(name, _)| name == "origin")
    }

    /// The names (in lower case) and values of the headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((std::str::from_utf8(name).ok()?, value.get(1..)?))
        })
    }

    /// The value of a header, if the request has it and it is UTF-8. `name` must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| *key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The address of the peer, if the listener provides it. `serve` always does. With axum and other servers, it is the [`RemoteAddress`]
    /// in the extensions of the request.
    ///
    /// Behind a proxy, this is the address of the proxy, unless [`ServerBuilder::client_address`](crate::ServerBuilder::client_address) says
    /// where that of the client is. The port is 0 if the proxy does not tell it.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// When the session was opened, as JavaScript writes it, in UTC: `Mon Nov 30 2026 17:16:42 GMT+0000 (Coordinated Universal Time)`.
    #[must_use]
    pub fn time(&self) -> String {
        javascript_date(self.since_epoch())
    }

    fn since_epoch(&self) -> Duration {
        self.issued.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// When the session was opened.
    #[must_use]
    pub const fn issued(&self) -> SystemTime {
        self.issued
    }
}

/// One value, or an array of several, as Node's query parser returns them.
struct OneOrMany<'a>(Vec<Cow<'a, str>>);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl Serialize for Handshake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut headers = BTreeMap::<&str, String>::new();
        for (name, value) in self.headers() {
            let value = String::from_utf8_lossy(value);
            // As Node joins them.
            let separator = if name == "cookie" { "; " } else { ", " };
            headers.entry(name).and_modify(|all| *all = format!("{all}{separator}{value}")).or_insert(value.into());
        }
        let mut query = BTreeMap::<Cow<'_, str>, OneOrMany<'_>>::new();
        for (name, value) in self.query() {
            query.entry(name).or_insert(OneOrMany(Vec::new())).0.push(value);
        }
        let issued = u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX);
        let mut fields = serializer.serialize_struct("Handshake", 8)?;
        fields.serialize_field("headers", &headers)?;
        fields.serialize_field("time", &self.time())?;
        fields.serialize_field("address", &self.address.map(|address| address.ip().to_string()))?;
        fields.serialize_field("xdomain", &self.xdomain())?;
        fields.serialize_field("secure", &self.secure())?;
        fields.serialize_field("issued", &issued)?;
        fields.serialize_field("url", self.url())?;
        fields.serialize_field("query", &query)?;
        fields.end()
    }
}

/// Writes a moment as `Date.prototype.toString` does in UTC.
fn javascript_date(since_epoch: Duration) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = since_epoch.as_secs();
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = usize::try_from(day % 7).ok().and_then(|day| DAYS.get(day)).unwrap_or(&"");
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970_u64;
    // 400 years have 146 097 days.
    year = year.saturating_add((day / 146_097).saturating_mul(400));
    day %= 146_097;
    while day >= 365 + u64::from(is_leap(year)) {
        day = day.saturating_sub(365 + u64::from(is_leap(year)));
        year = year.saturating_add(1);
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut name = "";
    for (length, month) in lengths.into_iter().zip(MONTHS) {
        name = month;
        if day < length {
            break;
        }
        day = day.saturating_sub(length);
    }
    let (day, hour, minute, second) = (day.saturating_add(1), second / 3600, second / 60 % 60, second % 60);
    format!(
        "{weekday} {name} {day:02} {year:04} {hour:02}:{minute:02}:{second:02} GMT+0000 (Coordinated Universal Time)"
    )
}

fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |target| target.as_str())
}

fn headers(parts: &Parts) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(uri: &str, headers: &[(&str, &str)]) -> Handshake {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Handshake::new(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn r103_query_and_cookies_are_read_by_name() {
        let headers = [("cookie", r#"a=1; b="2 3"; c; a=4"#), ("cookie", "d=%20"), ("origin", "http://o")];
        let handshake = handshake("/socket.io/?EIO=4&room=a%20b&x=1&room=c", &headers);
        assert_eq!(handshake.query_string(), "EIO=4&room=a%20b&x=1&room=c");
        let query: Vec<_> = handshake.query().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query, ["EIO=4", "room=a b", "x=1", "room=c"]);
        assert_eq!((handshake.query_value("room").as_deref(), handshake.query_value("no")), (Some("a b"), None));
        let cookies: Vec<_> = handshake.cookies().collect();
        assert_eq!(cookies, [("a", "1"), ("b", "2 3"), ("a", "4"), ("d", "%20")]);
        assert_eq!((handshake.cookie("a"), handshake.cookie("c")), (Some("1"), None));
        assert!(handshake.xdomain() && !handshake.secure());
    }

    #[test]
    fn tls_is_known_from_the_listener_or_the_scheme() {
        assert!(!handshake("https://host/socket.io/", &[]).secure(), "in HTTP/1, the client writes the scheme");
        let request = http::Request::builder().uri("https://host/socket.io/").version(Version::HTTP_2);
        assert!(Handshake::new(&request.body(()).unwrap().into_parts().0).secure());
        let mut request = http::Request::new(());
        request.extensions_mut().insert(Secure);
        assert!(Handshake::new(&request.into_parts().0).secure());
    }

    #[test]
    fn r103_it_serialises_as_in_the_reference() {
        let mut handshake = handshake("/socket.io/?EIO=4&a=1&a=2", &[("x-a", "1"), ("x-a", "2"), ("cookie", "c=1")]);
        handshake.issued = UNIX_EPOCH + Duration::from_millis(1_796_058_202_500);
        handshake.address = Some(([127, 0, 0, 1], 80).into());
        let expected = serde_json::json!({
            "headers": { "x-a": "1, 2", "cookie": "c=1" },
            "time": "Mon Nov 30 2026 17:03:22 GMT+0000 (Coordinated Universal Time)",
            "address": "127.0.0.1",
            "xdomain": false,
            "secure": false,
            "issued": 1_796_058_202_500_u64,
            "url": "/socket.io/?EIO=4&a=1&a=2",
            "query": { "EIO": "4", "a": ["1", "2"] },
        });
        assert_eq!(serde_json::to_value(&handshake).unwrap(), expected);
    }

    #[test]
    fn dates_are_those_of_javascript() {
        for (seconds, date) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_400, "Tue Feb 29 2000 00:00:00"),
            (951_868_799, "Tue Feb 29 2000 23:59:59"),
            (4_107_542_400, "Mon Mar 01 2100 00:00:00"),
            (1_735_689_599, "Tue Dec 31 2024 23:59:59"),
            (13_601_088_000, "Mon Jan 01 2401 00:00:00"),
        ] {
            let written = javascript_date(Duration::from_secs(seconds));
            assert_eq!(written, format!("{date} GMT+0000 (Coordinated Universal Time)"));
        }
    }
}
