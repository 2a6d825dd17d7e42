//! HTTP/1.1: both sides against an arbitrary peer. The result does not depend on how the input is split, and no limit is exceeded.

use arbitrary::{Result, Unstructured};
use engineio_http::{Error, Limits, client, server};

use crate::input::{Cuts, rest};

/// Returns small limits, or the defaults.
fn limits(input: &mut Unstructured<'_>) -> Result<Limits> {
    let bits = input.arbitrary::<u8>()?;
    let size = usize::from(bits >> 1);
    let limits = Limits::default();
    Ok(if bits & 1 == 0 {
        limits
    } else {
        limits
            .with_max_body(size)
            .with_max_headers(size / 8)
            .with_max_chunk_extensions(size / 16)
            .with_max_trailers(size / 16)
    })
}

/// Everything that a server's connection did with a peer.
#[derive(Debug, Default, PartialEq)]
struct Served {
    requests: Vec<(String, String, u8, usize)>,
    bodies: Vec<Vec<u8>>,
    failed: Option<Error>,
    output: Vec<u8>,
}

impl Served {
    fn poll(&mut self, http: &mut server::Connection, limits: &Limits) {
        while let Some(event) = http.poll_event() {
            match event {
                server::Event::Request(request) => {
                    assert!(request.headers().len() <= limits.max_headers);
                    let (method, target) = (request.method().to_owned(), request.target().to_owned());
                    self.requests.push((method, target, request.version(), request.headers().len()));
                    self.bodies.push(Vec::new());
                }
                server::Event::Body(part) => {
                    let body = self.bodies.last_mut().expect("a body follows its request");
                    body.extend_from_slice(&part);
                    assert!(body.len() <= limits.max_body, "{} bytes", body.len());
                }
                server::Event::End => {
                    let body = self.bodies.last().expect("an end follows its request").clone();
                    http.respond(200, [], body).expect("a complete request can be answered");
                }
                server::Event::Failed(error) => {
                    assert_eq!(self.failed.replace(error), None);
                    http.respond(error.status(), [], "").expect("a failure can be answered");
                }
                _ => panic!("{event:?}"),
            }
            self.write(http);
        }
        self.write(http);
    }

    fn write(&mut self, http: &mut server::Connection) {
        while let Some(bytes) = http.poll_transmit() {
            // Whether an interim response is needed depends on what has arrived.
            if bytes != "HTTP/1.1 100 Continue\r\n\r\n" {
                self.output.extend_from_slice(&bytes);
            }
        }
    }
}

fn serve(limits: Limits, pieces: &[&[u8]]) -> Served {
    let (mut http, mut served) = (server::Connection::new(limits), Served::default());
    for piece in pieces {
        http.handle(piece);
        served.poll(&mut http, &limits);
    }
    assert!(http.is_finished() || served.failed.is_none());
    http.handle_end();
    assert!(matches!(http.poll_event(), Some(server::Event::Closed)));
    assert!(http.poll_event().is_none() && http.poll_transmit().is_none() && http.is_finished());
    served
}

/// Input: limits, cuts, and what the client sends. At most 16 KiB are used, because more may be refused while the next request waits.
pub fn http_server(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let limits = limits(&mut input)?;
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let stream = rest(&mut input)?;
    let stream = stream.get(..limits.max_head).unwrap_or(stream);
    let whole = serve(limits, &[stream]);
    assert_eq!(serve(limits, &cuts.all(stream)), whole, "cut");
    assert!(whole.bodies.iter().map(Vec::len).sum::<usize>() <= stream.len());
    Ok(())
}

/// What became of a request.
#[derive(Debug, Default, PartialEq)]
struct Received {
    status: Option<u16>,
    body: Vec<u8>,
    ended: bool,
    failed: Option<Error>,
    rest: Option<Vec<u8>>,
    reusable: bool,
}

fn receive(limits: Limits, method: &str, upgrade: bool, pieces: &[&[u8]]) -> Received {
    let (mut http, mut received) = (client::Connection::new(limits), Received::default());
    let headers = upgrade.then_some(("upgrade", "websocket"));
    http.request(method, "/", "host", headers, None).expect("a new connection can be used");
    let poll = |http: &mut client::Connection, received: &mut Received| {
        while let Some(event) = http.poll_event() {
            assert!(!received.ended && received.failed.is_none(), "{event:?}");
            match event {
                client::Event::Response(response) => {
                    assert!(upgrade || response.status() >= 200);
                    assert!(response.headers().len() <= limits.max_headers);
                    assert_eq!(received.status.replace(response.status()), None);
                }
                client::Event::Body(part) => received.body.extend_from_slice(&part),
                client::Event::End => received.ended = true,
                client::Event::Failed(error) => received.failed = Some(error),
                _ => panic!("{event:?}"),
            }
        }
        assert!(received.body.len() <= limits.max_body);
    };
    for piece in pieces {
        http.handle(piece);
        poll(&mut http, &mut received);
    }
    received.reusable = http.is_reusable();
    assert!(!received.reusable || received.ended);
    http.handle_end();
    poll(&mut http, &mut received);
    received.rest = http.upgrade().ok().map(Into::into);
    let ends = [received.ended, received.failed.is_some(), received.rest.is_some()];
    assert_eq!(ends.iter().filter(|end| **end).count(), 1, "{received:?}");
    received
}

/// Input: limits, cuts, the method and whether it asks for an upgrade, and what the server sends.
pub fn http_client(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let limits = limits(&mut input)?;
    let mut cuts = input.arbitrary::<Cuts<'_>>()?;
    let bits = input.arbitrary::<u8>()?;
    let (method, upgrade) = (if bits & 1 == 1 { "HEAD" } else { "GET" }, bits & 2 == 2);
    let stream = rest(&mut input)?;
    let stream = stream.get(..limits.max_head).unwrap_or(stream);
    let whole = receive(limits, method, upgrade, &[stream]);
    assert_eq!(receive(limits, method, upgrade, &cuts.all(stream)), whole, "cut");
    Ok(())
}
