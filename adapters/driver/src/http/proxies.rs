//! The address of a client behind proxies, from the header that the proxies add.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName, HeaderValue};
use http::request::Parts;

use crate::handshake::RemoteAddress;

/// Where the address of a client is when the server is behind proxies. Pass it to
/// [`ServerBuilder::client_address`](crate::ServerBuilder::client_address).
///
/// Anybody can send these headers, so they are trusted only as far as your own proxies have written them. Each proxy appends the address of
/// the peer that it accepted the connection from. With `hops` proxies in front of the server, the address of the client is therefore the
/// entry number `hops` from the end; everything before it is what the client claims. If there are fewer entries, or the entry is not an
/// address, the address stays that of the connection.
///
/// Use this only if clients cannot reach the server past the proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    header: Header,
    hops: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Header {
    XForwardedFor,
    Forwarded,
}

impl ClientAddress {
    /// Reads `X-Forwarded-For`, behind this number of proxies. nginx sets it with `proxy_set_header X-Forwarded-For
    /// $proxy_add_x_forwarded_for`, HAProxy with `option forwardfor`.
    #[must_use]
    pub const fn x_forwarded_for(hops: usize) -> Self {
        Self { header: Header::XForwardedFor, hops }
    }

    /// Reads `Forwarded` (RFC 7239), behind this number of proxies. HAProxy sets it with `option forwarded`.
    #[must_use]
    pub const fn forwarded(hops: usize) -> Self {
        Self { header: Header::Forwarded, hops }
    }

    /// Replaces the address of the connection with that of the client.
    pub(crate) fn apply(&self, parts: &mut Parts) {
        if let Some(address) = self.find(parts) {
            parts.extensions.insert(RemoteAddress(address));
        }
    }

    fn find(&self, parts: &Parts) -> Option<SocketAddr> {
        let name = match self.header {
            Header::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Header::Forwarded => FORWARDED,
        };
        // Several lines are one list. The client may have written anything before the entry of the first trusted proxy, so only that
        // entry is decoded.
        let lines: Vec<&[u8]> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let mut entries = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        let entry = str::from_utf8(entries.nth(self.hops.checked_sub(1)?)?).ok()?;
        match self.header {
            Header::XForwardedFor => address(entry),
            Header::Forwarded => entry.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then(|| address(value.trim_matches('"')))?
            }),
        }
    }
}

/// Reads `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`. Without a port, the port is 0.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let ip = |text: &str| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    text.parse().ok().or_else(|| ip(text)).or_else(|| ip(text.strip_prefix('[')?.strip_suffix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(client: ClientAddress, lines: &[(&str, &str)]) -> Option<String> {
        let mut request = http::Request::new(());
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        let (mut parts, ()) = request.into_parts();
        client.apply(&mut parts);
        parts.extensions.get::<RemoteAddress>().map(|address| address.0.to_string())
    }

    #[test]
    fn the_entry_of_the_outermost_trusted_proxy_is_the_client() {
        let lines = [("x-forwarded-for", "6.6.6.6, 1.1.1.1"), ("x-forwarded-for", "2.2.2.2:80")];
        let hops = |hops| found(ClientAddress::x_forwarded_for(hops), &lines);
        assert_eq!(hops(1).as_deref(), Some("2.2.2.2:80"));
        assert_eq!(hops(2).as_deref(), Some("1.1.1.1:0"));
        assert_eq!(hops(3).as_deref(), Some("6.6.6.6:0"));
        assert_eq!(hops(4), None);
        assert_eq!(hops(0), None);
        assert_eq!(found(ClientAddress::forwarded(1), &lines), None);
    }

    #[test]
    fn what_a_client_writes_before_the_entry_has_no_influence() {
        let client = || ClientAddress::x_forwarded_for(1);
        assert_eq!(found(client(), &[("x-forwarded-for", "\u{e9}, 1.2.3.4")]).as_deref(), Some("1.2.3.4:0"));
        let lines = [("x-forwarded-for", "\u{e9}"), ("x-forwarded-for", "1.2.3.4")];
        assert_eq!(found(client(), &lines).as_deref(), Some("1.2.3.4:0"));
        let forwarded = [("forwarded", "for=\u{e9}, for=1.2.3.4")];
        assert_eq!(found(ClientAddress::forwarded(1), &forwarded).as_deref(), Some("1.2.3.4:0"));
    }

    #[test]
    fn forwarded_is_read_with_quotes_brackets_and_ports() {
        let lines = [("forwarded", "for=192.0.2.43, for=\"[2001:db8::1]:4711\";proto=http;by=203.0.113.43")];
        assert_eq!(found(ClientAddress::forwarded(1), &lines).as_deref(), Some("[2001:db8::1]:4711"));
        assert_eq!(found(ClientAddress::forwarded(2), &lines).as_deref(), Some("192.0.2.43:0"));
        assert_eq!(
            found(ClientAddress::forwarded(1), &[("forwarded", "proto=https; For=\"[::1]\"")]).as_deref(),
            Some("[::1]:0")
        );
    }

    #[test]
    fn what_is_no_address_changes_nothing() {
        for entry in ["unknown", "_hidden", "", "1.2.3", "1.2.3.4, ", "[::1", "\u{e9}"] {
            assert_eq!(found(ClientAddress::x_forwarded_for(1), &[("x-forwarded-for", entry)]), None, "{entry}");
            assert_eq!(found(ClientAddress::forwarded(1), &[("forwarded", &format!("for={entry}"))]), None, "{entry}");
        }
    }
}
