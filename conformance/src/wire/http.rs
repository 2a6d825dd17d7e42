//! HTTP/1.1 as bytes: requests are written exactly as in the script, and responses are read without validation.

use std::fmt::Write as _;
use std::io;

use tokio::io::AsyncRead;

use super::{MAX_BODY, Source, printable};

/// Names and values in wire order.
pub(crate) type Headers = Vec<(String, String)>;

/// The value of the first header with this name, ignoring case.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request, without the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
}

impl RequestHead {
    /// Encodes the head and the body. The length of the body is added unless a header gives one.
    pub(crate) fn encode(&self, body: Option<&[u8]>) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let sized = header(&self.headers, "content-length").or(header(&self.headers, "transfer-encoding")).is_some();
        if let Some(body) = body
            && !sized
        {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }

    /// The decoded value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Returns whether this requests a WebSocket.
    pub(crate) fn is_upgrade(&self) -> bool {
        header(&self.headers, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Encodes the response. The length of the body is added unless a header gives one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let sized = header(&self.headers, "content-length").or(header(&self.headers, "transfer-encoding")).is_some();
        if !sized && self.status != 101 && self.status != 204 {
            let _ = write!(text, "Content-Length: {}\r\n", self.body.len());
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// A description for reports, in one line.
    pub(crate) fn summary(&self) -> String {
        if self.body.is_empty() {
            format!("{} without a body", self.status)
        } else {
            format!("{} with {}", self.status, printable(&self.body))
        }
    }
}

/// How the end of a body is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilTheEnd,
}

fn framing(headers: &Headers, otherwise: Framing) -> Framing {
    if header(headers, "transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        return Framing::Chunked;
    }
    header(headers, "content-length").and_then(|value| value.trim().parse().ok()).map_or(otherwise, Framing::Length)
}

/// How the body of this request ends.
pub(crate) fn request_framing(head: &RequestHead) -> Framing {
    framing(&head.headers, Framing::None)
}

const MAX_HEAD: usize = 128 * 1024;
const MAX_HEADERS: usize = 128;

fn collected(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())).collect()
}

/// Reads the head of a request. Returns `None` if the stream ends before it.
pub(crate) async fn read_request_head<R: AsyncRead + Unpin>(source: &mut Source<R>) -> io::Result<Option<RequestHead>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(source.buffered()) {
            Ok(httparse::Status::Complete(length)) => {
                let head = RequestHead {
                    method: request.method.unwrap_or_default().to_owned(),
                    target: request.path.unwrap_or_default().to_owned(),
                    headers: collected(request.headers),
                };
                source.consume(length);
                return Ok(Some(head));
            }
            Ok(httparse::Status::Partial) if source.buffered().len() > MAX_HEAD => {
                return Err(io::Error::other("the head of a request is too large"));
            }
            Ok(httparse::Status::Partial) => {
                if !source.fill().await? {
                    return if source.buffered().is_empty() {
                        Ok(None)
                    } else {
                        Err(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            "the stream ended within the head of a request",
                        ))
                    };
                }
            }
            Err(error) => return Err(io::Error::other(format!("this is not a request: {error}"))),
        }
    }
}

/// Reads a body.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(source: &mut Source<R>, framing: Framing) -> io::Result<Vec<u8>> {
    match framing {
        Framing::None => Ok(Vec::new()),
        Framing::Length(length) => Ok(source.read_exact(length).await?.to_vec()),
        Framing::Chunked => {
            let mut body = Vec::new();
            loop {
                let line = source.read_line().await?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let length = usize::from_str_radix(digits, 16)
                    .map_err(|_| io::Error::other(format!("{line:?} is not a chunk length")))?;
                if body.len().saturating_add(length) > MAX_BODY {
                    return Err(io::Error::other("the body is too large"));
                }
                if length == 0 {
                    while !source.read_line().await?.is_empty() {}
                    return Ok(body);
                }
                body.extend_from_slice(&source.read_exact(length).await?);
                source.read_line().await?;
            }
        }
        Framing::UntilTheEnd => {
            while source.fill().await? {
                if source.buffered().len() > MAX_BODY {
                    return Err(io::Error::other("the body is too large"));
                }
            }
            let length = source.buffered().len();
            Ok(source.consume(length).to_vec())
        }
    }
}

/// Reads the response to a request with this method. After a 101 the stream is left as it is: the WebSocket follows.
pub(crate) async fn read_response<R: AsyncRead + Unpin>(source: &mut Source<R>, method: &str) -> io::Result<Response> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(source.buffered()) {
            Ok(httparse::Status::Complete(length)) => {
                let mut whole = Response {
                    status: response.code.unwrap_or_default(),
                    reason: response.reason.unwrap_or_default().to_owned(),
                    headers: collected(response.headers),
                    body: Vec::new(),
                };
                source.consume(length);
                if whole.status == 101 {
                    return Ok(whole);
                }
                if whole.status < 200 {
                    continue;
                }
                let framing = if method == "HEAD" || whole.status == 204 || whole.status == 304 {
                    Framing::None
                } else {
                    framing(&whole.headers, Framing::UntilTheEnd)
                };
                whole.body = read_body(source, framing).await?;
                return Ok(whole);
            }
            Ok(httparse::Status::Partial) if source.buffered().len() > MAX_HEAD => {
                return Err(io::Error::other("the head of the response is too large"));
            }
            Ok(httparse::Status::Partial) => {
                if !source.fill().await? {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        if source.buffered().is_empty() {
                            "the connection was closed without an answer".to_owned()
                        } else {
                            format!("the connection was closed within an answer: {}", printable(source.buffered()))
                        },
                    ));
                }
            }
            Err(error) => {
                return Err(io::Error::other(format!("this is not HTTP ({error}): {}", printable(source.buffered()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_without_its_encoding() {
        let target = "/socket.io/?sid=a%2Bb%26c=d%2Fe+%E2%82%AC%zz%+1%2&b=";
        let head = RequestHead { target: target.to_owned(), ..RequestHead::default() };
        assert_eq!(head.query("sid").unwrap(), "a+b&c=d/e €%zz% 1%2");
        assert_eq!(head.query("b").unwrap(), "");
        assert_eq!(head.query("c"), None);
    }
}
