//! The cookies that a server has set, for the further requests of one client.
//!
//! As in the reference (engine.io-client, `lib/globals.node.ts`), a cookie has a name, a value and perhaps a time at which it ends. Path,
//! domain and `Secure` are ignored, because the cookies of one client go only to the server that has set them.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// The maximum number of cookies, and the size of all of them. Servers refuse requests whose heads are larger than 8 to 16 KiB.
const MAX_COOKIES: usize = 50;
const MAX_BYTES: usize = 8 * 1024;

/// The size of the largest cookie, which is the one that browsers take (RFC 6265 section 6.1).
const MAX_COOKIE: usize = 4096;

/// The cookies that a server has set: at most 50, of 8 KiB together. If there are more, the oldest ones are forgotten. A cookie of more
/// than 4 KiB is ignored.
#[derive(Clone, Default)]
pub struct CookieJar {
    cookies: Vec<Cookie>,
}

#[derive(Clone)]
struct Cookie {
    name: String,
    value: String,
    /// `None`: at the end of the client.
    expires: Option<SystemTime>,
}

impl Cookie {
    fn length(&self) -> usize {
        // "name=value; "
        self.name.len().saturating_add(self.value.len()).saturating_add(3)
    }
}

impl CookieJar {
    /// An empty jar.
    #[must_use]
    pub const fn new() -> Self {
        Self { cookies: Vec::new() }
    }

    /// Keeps the cookies that a response sets. Those that have expired at `now` are removed, which is how servers delete cookies.
    pub fn store(&mut self, now: SystemTime, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            // Not text, so it could not be sent back.
            let cookie = value.to_str().ok().and_then(|text| parse(now, text));
            let Some(cookie) = cookie.filter(|cookie| cookie.length() <= MAX_COOKIE) else { continue };
            let place = self.cookies.iter().position(|known| known.name == cookie.name);
            if cookie.expires.is_some_and(|expires| expires <= now) {
                place.map(|place| self.cookies.remove(place));
                continue;
            }
            match place.and_then(|place| self.cookies.get_mut(place)) {
                Some(known) => *known = cookie,
                None => self.cookies.push(cookie),
            }
        }
        while self.cookies.len() > MAX_COOKIES || self.length() > MAX_BYTES {
            self.cookies.remove(0);
        }
    }

    fn length(&self) -> usize {
        self.cookies.iter().map(Cookie::length).fold(0, usize::saturating_add)
    }

    /// The value of the header `Cookie`, with the cookies that have not expired. `own` is the application's own value of that header, which
    /// comes first.
    #[must_use]
    pub fn header(&self, now: SystemTime, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let mut value = own.map(|own| own.as_bytes().to_vec()).unwrap_or_default();
        for cookie in self.cookies.iter().filter(|cookie| cookie.expires.is_none_or(|expires| expires > now)) {
            if !value.is_empty() {
                value.extend_from_slice(b"; ");
            }
            value.extend_from_slice(cookie.name.as_bytes());
            value.push(b'=');
            value.extend_from_slice(cookie.value.as_bytes());
        }
        let mut value =
            Some(value).filter(|value| !value.is_empty()).and_then(|value| HeaderValue::try_from(value).ok())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Names only, because values are secrets.
impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cookies.iter().map(|cookie| &cookie.name)).finish()
    }
}

/// Reads the value of `Set-Cookie`. A lifetime that cannot be read ends the cookie at once, so that a deletion is not taken for a cookie
/// that stays. `Max-Age` is stronger than `Expires` (RFC 6265 section 5.3); in the reference, the later of the two counts.
fn parse(now: SystemTime, text: &str) -> Option<Cookie> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return None;
    }
    let value = value.strip_prefix('"').map_or(value, |value| value.strip_suffix('"').unwrap_or(value));
    let (mut expires, mut max_age) = (None, None);
    for attribute in parts {
        let Some((name, value)) = attribute.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("expires") {
            expires = Some(date(value).unwrap_or(SystemTime::UNIX_EPOCH));
        } else if name.eq_ignore_ascii_case("max-age") {
            let seconds = value.parse::<i128>().ok().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
            // Beyond the end of time is never.
            max_age = Some(now.checked_add(Duration::from_secs(seconds)));
        }
    }
    let expires = max_age.unwrap_or(expires);
    Some(Cookie { name: name.to_owned(), value: value.to_owned(), expires })
}

/// Reads a date by the algorithm of RFC 6265 section 5.1.1, which takes all formats that servers use.
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |character: char| !(character.is_ascii_alphanumeric() || character == ':');
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        let number = || token.parse::<u64>().ok();
        let as_month = || {
            let start = token.get(..3)?;
            MONTHS.iter().position(|month| start.eq_ignore_ascii_case(month))
        };
        if time.is_none() && token.contains(':') {
            let mut fields = token.split(':').map(|field| field.parse::<u64>().ok());
            let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
            if hour > 23 || minute > 59 || second > 60 {
                return None;
            }
            time = Some(hour * 3600 + minute * 60 + second);
        } else if day.is_none() && token.len() <= 2 && number().is_some() {
            day = number();
        } else if month.is_none() && as_month().is_some() {
            month = as_month();
        } else if year.is_none() && (token.len() == 2 || token.len() == 4) {
            year = number();
        }
    }
    let year = match year? {
        year @ 70..=99 => 1900 + year,
        year @ 0..=69 => 2000 + year,
        year => year,
    };
    let (day, month) = (day.filter(|day| (1..=31).contains(day))?, u64::try_from(month?).ok()?);
    // Before the epoch is over in any case.
    if year < 1970 {
        return Some(SystemTime::UNIX_EPOCH);
    }
    // Days since the epoch, with years that begin in March, so that the leap day is the last of its year.
    let (shifted_year, shifted_month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (153 * shifted_month + 2) / 5
        + (day - 1);
    // The first of March of the year 0 is 719 468 days before the epoch.
    let seconds = days.checked_sub(719_468)?.checked_mul(86_400)?.checked_add(time?)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn set(jar: &mut CookieJar, now: SystemTime, values: &[&str]) {
        let values = values.iter().map(|value| (SET_COOKIE, HeaderValue::from_str(value).unwrap()));
        jar.store(
            now,
            &values.collect::<Vec<_>>().into_iter().fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            }),
        );
    }

    fn sent(jar: &CookieJar, now: SystemTime) -> String {
        jar.header(now, None).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn item_155_cookies_are_sent_until_they_expire_or_are_deleted() {
        let (mut jar, now) = (CookieJar::new(), at(1_000_000));
        set(
            &mut jar,
            now,
            &["io=abc; Path=/; HttpOnly; SameSite=Strict", "lb=\"node 1\"; MAX-AGE=60", "no name", "=x"],
        );
        assert_eq!(sent(&jar, now), "io=abc; lb=node 1");
        assert_eq!(sent(&jar, at(1_000_060)), "io=abc", "it ends with its last second");
        set(&mut jar, now, &["io=def", "lb=; max-age=0"]);
        assert_eq!(sent(&jar, now), "io=def");
        for deletion in ["Max-Age=-1", "Max-Age=soon", "Expires=soon", "expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
            set(&mut jar, now, &["io=x"]);
            set(&mut jar, now, &[&format!("io=x; {deletion}")]);
            assert_eq!(sent(&jar, now), "", "{deletion}");
        }
        set(
            &mut jar,
            now,
            &["a=1; Max-Age=99999999999999999999999", "b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9"],
        );
        assert_eq!(sent(&jar, now), "b=2", "a number that is too large counts as one that cannot be read");
    }

    #[test]
    fn the_applications_own_cookies_come_first() {
        let (mut jar, now) = (CookieJar::new(), at(0));
        let own = HeaderValue::from_static("mine=1");
        assert_eq!(jar.header(now, Some(&own)).unwrap(), "mine=1");
        assert_eq!(jar.header(now, None), None);
        set(&mut jar, now, &["io=1"]);
        assert_eq!(jar.header(now, Some(&own)).unwrap(), "mine=1; io=1");
        assert_eq!(format!("{jar:?}"), "[\"io\"]");
    }

    #[test]
    fn dates_are_read_in_every_format_that_servers_use() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "6 november 1994 8:49:37",
        ] {
            assert_eq!(date(text), Some(at(784_111_777)), "{text}");
        }
        assert_eq!(date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(at(1_709_164_800)));
        assert_eq!(date("Fri, 01 Mar 2024 00:00:00 GMT"), Some(at(1_709_251_200)));
        assert_eq!(date("Fri, 31 Dec 9999 23:59:59 GMT"), Some(at(253_402_300_799)));
        assert_eq!(date("Mon, 01 Jan 1601 00:00:00 GMT"), Some(at(0)));
        for text in ["", "tomorrow", "06 Nov 1994", "32 Jan 2020 00:00:00", "1 Jan 2020 24:00:00", "1 Jan 2020 1:1"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_server_can_make_a_client_keep_is_bounded_and_the_newest_stay() {
        let (mut jar, now) = (CookieJar::new(), at(0));
        for number in 0..60 {
            set(&mut jar, now, &[&format!("c{number}=1")]);
        }
        let cookies = sent(&jar, now);
        assert!(cookies.starts_with("c10=1; ") && cookies.ends_with("; c59=1"), "{cookies}");
        let large = "x".repeat(4000);
        set(&mut jar, now, &[&format!("first={large}"), &format!("second={large}")]);
        assert!(sent(&jar, now).len() <= MAX_BYTES);
        assert!(sent(&jar, now).contains("first=") && !sent(&jar, now).contains("c10="));
        set(&mut jar, now, &[&format!("third={large}"), &format!("ignored={large}{large}")]);
        assert!(sent(&jar, now).contains("third=") && !sent(&jar, now).contains("first="));
        assert!(!sent(&jar, now).contains("ignored="));
    }
}
