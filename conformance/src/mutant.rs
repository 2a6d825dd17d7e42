//! The breaking proxy. It sits between the suite and a correct peer and breaks one rule of the protocol, to prove that a case can fail.
//!
//! It parses HTTP, WebSocket and WebTransport into messages, and Engine.IO into packets. To a rule, a packet in a polling body is the
//! same as a packet on a link. Anything that the proxy does not understand passes unchanged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex_lite::Regex;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, copy_bidirectional};
use tokio::net::TcpListener;

use crate::script::lex::{Token, tokens};
use crate::wire::http::{
    Framing, RequestHead, Response, header, read_body, read_request_head, read_response, request_framing,
};
use crate::wire::packets::{Payload, Revision, decode_body, encode_body};
use crate::wire::websocket::{self, BINARY, CLOSE, Frame, TEXT, read_frame};
use crate::wire::webtransport::{self, Header};
use crate::wire::{BoxStream, Connecting, Connector, Ending, Opening, Session, Source, msgpack};

/// The rules of a mutant, as described in the README ("Mutants").
#[derive(Debug)]
pub struct Mutant {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    place: Place,
    method: Option<String>,
    pattern: Option<Regex>,
    /// Apply the rule only to the match with this number, counted from 1.
    nth: Option<u32>,
    seen: AtomicU32,
    used: AtomicBool,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Answer,
    Request,
    ToClient,
    ToServer,
    Close,
}

#[derive(Debug)]
enum Change {
    Status(u16),
    Body(Vec<u8>),
    Replace(Option<Regex>, String),
    ReplaceBytes(Vec<u8>),
    Header(String, String),
    Without(String),
    Target(Regex, String),
    /// The proxy answers. The server does not receive the request.
    Instead(u16, Vec<u8>),
    /// The proxy opens the WebSocket and never sends a message on it.
    Accept,
    Hang,
    Cut,
    Nonsense(Vec<u8>),
    Drop,
    Duplicate,
    Hold(Duration),
    Before(Payload),
    After(Payload),
    Swallow,
}

impl Mutant {
    /// Parses rules that are separated by semicolons.
    ///
    /// # Errors
    /// A message that describes the error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text).map_err(|error| format!("`{text}`: {error}"))?;
        let rules = tokens
            .split(|token| *token == Token::Symbol(';'))
            .map(|rule| parse(rule).map_err(|error| format!("`{text}`: {error}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// The changes of all rules that match. Each match is counted.
    fn rules<'a>(&'a self, place: Place, method: &'a str, text: &'a str) -> impl Iterator<Item = &'a Change> {
        self.rules.iter().filter_map(move |rule| {
            let fits = rule.place == place
                && rule.method.as_deref().is_none_or(|wanted| wanted == method)
                && rule.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
            if !fits {
                return None;
            }
            let number = rule.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if rule.nth.is_some_and(|nth| nth != number) {
                return None;
            }
            rule.used.store(true, Ordering::Relaxed);
            Some(&rule.change)
        })
    }

    /// The numbers of the rules that have matched nothing so far, counted from 1.
    pub(crate) fn idle(&self) -> Vec<usize> {
        (1..)
            .zip(&self.rules)
            .filter(|(_, rule)| !rule.used.load(Ordering::Relaxed))
            .map(|(number, _)| number)
            .collect()
    }

    /// Whether the end of a link is hidden from the client.
    fn swallows_close(&self) -> bool {
        self.rules(Place::Close, "", "").any(|change| matches!(change, Change::Swallow))
    }

    fn has(&self, place: Place) -> bool {
        self.rules.iter().any(|rule| rule.place == place)
    }
}

fn parse(mut tokens: &[Token]) -> Result<Rule, String> {
    let mut next = || {
        let (first, rest) = tokens.split_first()?;
        tokens = rest;
        Some(first)
    };
    let place = match next() {
        Some(Token::Word(word)) => match word.as_str() {
            "answer" => Place::Answer,
            "request" => Place::Request,
            "to-client" => Place::ToClient,
            "to-server" => Place::ToServer,
            "close" => Place::Close,
            other => return Err(format!("a rule cannot begin with {other:?}")),
        },
        _ => return Err("a rule begins with answer, request, to-client, to-server or close".to_owned()),
    };
    let (mut method, mut pattern, mut nth) = (None, None, None);
    let verb = loop {
        match next() {
            Some(Token::Regex(regex)) => pattern = Some(compile_regex(regex)?),
            Some(Token::Word(word)) if word.chars().all(|letter| letter.is_ascii_uppercase()) => {
                method = Some(word.clone());
            }
            Some(Token::Word(word)) if word == "nth" => {
                nth = Some(number(next())?);
            }
            Some(Token::Word(word)) => break word.clone(),
            other => return Err(format!("expected what to do, found {other:?}")),
        }
    };
    let change = match verb.as_str() {
        "status" => Change::Status(number(next())?),
        "body" => Change::Body(payload(next())?.into_bytes()),
        "replace" => match next() {
            Some(Token::Regex(regex)) => Change::Replace(Some(compile_regex(regex)?), payload(next())?.text()?),
            other => match payload(other)? {
                Payload::Text(text) => Change::Replace(None, text),
                Payload::Bytes(bytes) => Change::ReplaceBytes(bytes),
            },
        },
        "header" => {
            let line = payload(next())?.text()?;
            let (name, value) = line.split_once(':').ok_or("a header needs a colon")?;
            Change::Header(name.to_owned(), value.trim().to_owned())
        }
        "without" => Change::Without(payload(next())?.text()?),
        "target" => match next() {
            Some(Token::Regex(regex)) => Change::Target(compile_regex(regex)?, payload(next())?.text()?),
            other => return Err(format!("expected a regular expression, found {other:?}")),
        },
        "instead" => Change::Instead(number(next())?, payload(next())?.into_bytes()),
        "accept" => Change::Accept,
        "hang" => Change::Hang,
        "cut" => Change::Cut,
        "nonsense" => Change::Nonsense(payload(next())?.into_bytes()),
        "drop" => Change::Drop,
        "duplicate" => Change::Duplicate,
        "hold" => match next() {
            Some(Token::Number(milliseconds)) => {
                Change::Hold(Duration::try_from_secs_f64(milliseconds / 1000.0).map_err(|error| error.to_string())?)
            }
            other => return Err(format!("expected a time, found {other:?}")),
        },
        "before" => Change::Before(payload(next())?),
        "after" => Change::After(payload(next())?),
        "swallow" => Change::Swallow,
        other => return Err(format!("unknown change {other:?}")),
    };
    if next().is_some() {
        return Err("unexpected text after the rule".to_owned());
    }
    if !change.applies_to(place) {
        return Err(format!("{verb:?} has no effect there: see README.md, section Mutants"));
    }
    Ok(Rule { place, method, pattern, nth, seen: AtomicU32::new(0), used: AtomicBool::new(false), change })
}

impl Change {
    /// Whether the proxy supports this change there. An unsupported one would never be noticed.
    fn applies_to(&self, place: Place) -> bool {
        match place {
            Place::Answer => matches!(
                self,
                Self::Status(_)
                    | Self::Body(_)
                    | Self::Replace(..)
                    | Self::Header(..)
                    | Self::Without(_)
                    | Self::Hold(_)
                    | Self::Hang
                    | Self::Cut
                    | Self::Nonsense(_)
                    | Self::Instead(..)
                    | Self::Accept
            ),
            Place::Request => matches!(
                self,
                Self::Target(..)
                    | Self::Header(..)
                    | Self::Without(_)
                    | Self::Body(_)
                    | Self::Instead(..)
                    | Self::Nonsense(_)
                    | Self::Accept
                    | Self::Hold(_)
                    | Self::Hang
                    | Self::Cut
                    | Self::Duplicate
            ),
            Place::ToClient | Place::ToServer => matches!(
                self,
                Self::Drop
                    | Self::Replace(..)
                    | Self::ReplaceBytes(_)
                    | Self::Duplicate
                    | Self::Hold(_)
                    | Self::Before(_)
                    | Self::After(_)
                    | Self::Cut
            ),
            Place::Close => matches!(self, Self::Swallow),
        }
    }
}

fn compile_regex(template: &crate::script::value::Template) -> Result<Regex, String> {
    let source = template.literal().ok_or("variables are not allowed here")?;
    Regex::new(&source).map_err(|error| format!("/{source}/: {error}"))
}

fn number<T: TryFrom<u64>>(token: Option<&Token>) -> Result<T, String> {
    match token {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        Some(Token::Number(number)) => T::try_from(*number as u64).map_err(|_| format!("{number} is too large")),
        other => Err(format!("expected a number, found {other:?}")),
    }
}

fn payload(token: Option<&Token>) -> Result<Payload, String> {
    match token {
        Some(Token::Double(text) | Token::Single(text)) => {
            text.literal().map(Payload::Text).ok_or_else(|| "variables are not allowed here".to_owned())
        }
        Some(Token::Bytes(bytes)) => Ok(Payload::Bytes(bytes.clone())),
        other => Err(format!("expected a text, found {other:?}")),
    }
}

impl Payload {
    fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bytes(_) => Err("expected a text, found bytes".to_owned()),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The method under which rules match input that is not a valid request.
const UNREADABLE: &str = "UNREADABLE";

/// The most bytes of its first line that rules match.
const MAX_LINE: usize = 1000;

/// A connector that leads to a server through a [`Mutant`].
#[derive(Clone)]
pub struct MutantProxy {
    inner: Arc<dyn Connector>,
    mutant: Arc<Mutant>,
}

impl MutantProxy {
    /// Breaks the traffic with this server.
    pub fn new(inner: Arc<dyn Connector>, mutant: impl Into<Arc<Mutant>>) -> Self {
        Self { inner, mutant: mutant.into() }
    }

    /// Listens for clients on a free port of this machine while the returned future runs. Returns the URL and the future.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub async fn listen(self) -> io::Result<(String, impl Future<Output = ()> + Send + 'static)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (inner, mutant) = (Arc::clone(&self.inner), Arc::clone(&self.mutant));
                connections.spawn(async move { proxy_connection(&mutant, Box::new(stream), &*inner).await });
            }
        };
        Ok((url, serving))
    }
}

impl std::fmt::Debug for MutantProxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MutantProxy").field("mutant", &self.mutant).finish_non_exhaustive()
    }
}

impl Connector for MutantProxy {
    fn connect(&self) -> Connecting<'_> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (inner, mutant) = (Arc::clone(&self.inner), Arc::clone(&self.mutant));
        tokio::spawn(async move { proxy_connection(&mutant, Box::new(theirs), &*inner).await });
        Box::pin(async { Ok(Box::new(ours) as BoxStream) })
    }

    fn authority(&self) -> &str {
        self.inner.authority()
    }

    fn webtransport<'a>(&'a self, path: &'a str) -> Opening<'a> {
        Box::pin(async move {
            let inner = self.inner.webtransport(path).await?;
            Ok(Arc::new(MutantSession { inner, mutant: Arc::clone(&self.mutant) }) as Arc<dyn Session>)
        })
    }
}

/// A WebTransport session that leads through a [`Mutant`].
struct MutantSession {
    inner: Arc<dyn Session>,
    mutant: Arc<Mutant>,
}

impl Session for MutantSession {
    fn stream(&self) -> Connecting<'_> {
        Box::pin(async {
            let server = self.inner.stream().await?;
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let (inner, mutant) = (Arc::clone(&self.inner), Arc::clone(&self.mutant));
            tokio::spawn(async move {
                // An error ends the stream, too.
                let _ = forward_stream(&mutant, Box::new(theirs), server).await;
                inner.close(0, "");
            });
            Ok(Box::new(ours) as BoxStream)
        })
    }

    fn ended(&self) -> Ending<'_> {
        if self.mutant.swallows_close() { Box::pin(std::future::pending()) } else { self.inner.ended() }
    }

    fn close(&self, code: u32, reason: &str) {
        self.inner.close(code, reason);
    }
}

/// Forwards the stream of a WebTransport session until it ends.
async fn forward_stream(mutant: &Mutant, client: BoxStream, server: BoxStream) -> io::Result<()> {
    let (client_reader, mut client_writer) = tokio::io::split(client);
    let (server_reader, mut server_writer) = tokio::io::split(server);
    let (mut client, mut server) = (Source::new(client_reader), Source::new(server_reader));
    let down = async {
        let ended = forward_packets(mutant, Place::ToClient, &mut server, &mut client_writer).await;
        if mutant.swallows_close() {
            std::future::pending::<()>().await;
        }
        ended
    };
    let up = forward_packets(mutant, Place::ToServer, &mut client, &mut server_writer);
    tokio::select! {
        ended = down => ended,
        ended = up => ended,
    }
}

/// A longer frame may never arrive completely, so rules match its length instead.
const MAX_MATCHED_LENGTH: u64 = 1_000_000;

/// Forwards the packets of one direction until the stream ends.
async fn forward_packets(mutant: &Mutant, place: Place, source: &mut Reader, writer: &mut Writer) -> io::Result<()> {
    if !mutant.has(place) {
        // Also forwards invalid frames, in the same chunks.
        return forward_bytes(source, writer).await;
    }
    while let Some(header) = Header::read(source).await? {
        if header.length == 0 || header.length > MAX_MATCHED_LENGTH {
            let shown = format!("length {}", header.length);
            let rules: Vec<&Change> = mutant.rules(place, "", &shown).collect();
            if rules.iter().any(|change| matches!(change, Change::Cut)) {
                return Ok(());
            }
            if !rules.iter().any(|change| matches!(change, Change::Drop)) {
                writer.write_all(&header.bytes).await?;
                writer.flush().await?;
                return forward_bytes(source, writer).await;
            }
            // Scripts announce such a frame without sending its payload, so the next frame follows.
            continue;
        }
        let packet = webtransport::packet(source, &header).await?;
        let before = packet.clone();
        let (packets, cut) = apply_rules_to_all(mutant, place, vec![packet]).await;
        for packet in packets {
            let mut bytes = webtransport::encode(&packet);
            if packet == before {
                // Keep the encoding in which the length arrived.
                bytes.splice(..Header::new(header.binary, header.length).bytes.len(), header.bytes.clone());
            }
            writer.write_all(&bytes).await?;
        }
        writer.flush().await?;
        if cut {
            return Ok(());
        }
    }
    Ok(())
}

/// Forwards the bytes of one direction as they arrive, until the stream ends.
async fn forward_bytes<W: AsyncWrite + Unpin>(source: &mut Reader, writer: &mut W) -> io::Result<()> {
    loop {
        let bytes = source.read_some().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
}

type Reader = Source<ReadHalf<BoxStream>>;
type Writer = WriteHalf<BoxStream>;

/// Proxies one connection until it ends. An error closes both sides.
async fn proxy_connection(mutant: &Mutant, client: BoxStream, server: &dyn Connector) {
    let Ok(stream) = server.connect().await else { return };
    let (reader, client_writer) = tokio::io::split(client);
    let client_source = Source::new(reader);
    let (reader, server_writer) = tokio::io::split(stream);
    let server_source = Source::new(reader);
    let mut connection = ProxiedConnection {
        mutant,
        server,
        client_source,
        client_writer,
        server_source,
        server_writer,
        duplicates: Vec::new(),
    };
    while let Ok(true) = connection.forward_exchange().await {}
}

struct ProxiedConnection<'a> {
    mutant: &'a Mutant,
    server: &'a dyn Connector,
    client_source: Reader,
    client_writer: Writer,
    server_source: Reader,
    server_writer: Writer,
    /// The connections of duplicated requests, whose responses are discarded.
    duplicates: Vec<BoxStream>,
}

impl ProxiedConnection<'_> {
    /// Forwards one request and its response. Returns whether the connection stays open.
    async fn forward_exchange(&mut self) -> io::Result<bool> {
        let mut head = match read_request_head(&mut self.client_source).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(false),
            Err(_) => return self.forward_invalid().await.map(|()| false),
        };
        let (method, target) = (head.method.clone(), head.target.clone());
        let (mut replaced_body, mut duplicate) = (None, false);
        for change in self.mutant.rules(Place::Request, &method, &target) {
            match change {
                Change::Target(regex, text) => {
                    head.target = regex.replace_all(&head.target, text.as_str()).into_owned()
                }
                Change::Header(name, value) => {
                    head.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                    head.headers.push((name.clone(), value.clone()));
                }
                Change::Without(name) => head.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name)),
                Change::Body(body) => replaced_body = Some(body.clone()),
                Change::Cut => return Ok(false),
                Change::Nonsense(bytes) => {
                    self.client_writer.write_all(bytes).await?;
                    self.client_writer.flush().await?;
                    return Ok(false);
                }
                Change::Hang => return self.hang().await.map(|()| false),
                Change::Hold(time) => tokio::time::sleep(*time).await,
                Change::Instead(status, body) => {
                    // The body must not be taken for the next request. A body with a wrong length is answered all the same.
                    let _ = read_body(&mut self.client_source, request_framing(&head)).await;
                    return self.send_response(&proxy_response(*status, body)).await.map(|()| true);
                }
                Change::Accept => return self.accept_websocket(&head).await.map(|()| false),
                Change::Duplicate => duplicate = true,
                _ => {}
            }
        }
        if head.is_upgrade() {
            if duplicate {
                self.send_duplicate(&head.encode(None)).await?;
            }
            self.forward_websocket(&head, &method, &target).await?;
            return Ok(false);
        }
        let revision = revision(&target);
        let framing = request_framing(&head);
        let mut remaining = framing;
        if replaced_body.is_some() || duplicate || (framing != Framing::None && self.mutant.has(Place::ToServer)) {
            let mut body = read_body(&mut self.client_source, framing).await?;
            remaining = Framing::None;
            if let Some(replaced) = replaced_body {
                body = replaced;
            }
            if let Some(packets) = decode_body(revision, false, &body) {
                let (packets, cut) = apply_rules_to_all(self.mutant, Place::ToServer, packets).await;
                if cut {
                    return Ok(false);
                }
                if packets.is_empty() {
                    // The server receives no packet, and the client does not notice.
                    self.send_response(&proxy_response(200, b"ok")).await?;
                    return Ok(true);
                }
                body = encode_body(revision, &packets);
            }
            head.headers.retain(|(name, _)| {
                !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("transfer-encoding")
            });
            let request = head.encode((framing != Framing::None || !body.is_empty()).then_some(&body));
            self.server_writer.write_all(&request).await?;
            if duplicate {
                self.send_duplicate(&request).await?;
            }
        } else {
            self.server_writer.write_all(&head.encode(None)).await?;
        }
        self.server_writer.flush().await?;
        let response = self.read_response(&method, remaining).await?;
        let changes: Vec<&Change> = self.mutant.rules(Place::Answer, &method, &target).collect();
        let Some(response) = self.apply_to_response(response, &changes).await? else { return Ok(false) };
        let binary = header(&response.headers, "content-type").is_some_and(|value| value.contains("octet-stream"));
        let mut response = response;
        if method == "GET"
            && self.mutant.has(Place::ToClient)
            && response.status == 200
            && let Some(packets) = decode_body(revision, binary, &response.body)
        {
            let before = packets.clone();
            let (packets, cut) = apply_rules_to_all(self.mutant, Place::ToClient, packets).await;
            if cut {
                return Ok(false);
            }
            if packets.is_empty() {
                // Neither revision allows an empty body, so send a noop.
                response.body = encode_body(revision, &[Payload::Text("6".to_owned())]);
            } else if packets != before {
                response.body = encode_body(revision, &packets);
                if binary {
                    response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                }
            }
        }
        self.send_response(&response).await?;
        Ok(true)
    }

    /// Repeats a request on a separate connection.
    async fn send_duplicate(&mut self, request: &[u8]) -> io::Result<()> {
        let mut stream = self.server.connect().await?;
        stream.write_all(request).await?;
        stream.flush().await?;
        self.duplicates.push(stream);
        Ok(())
    }

    /// Handles input that is not a valid request. Rules match its first line.
    async fn forward_invalid(&mut self) -> io::Result<()> {
        let line = self.client_source.buffered().split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line.get(..MAX_LINE).unwrap_or(line)).into_owned();
        match self.mutant.rules(Place::Request, UNREADABLE, &line).last() {
            Some(Change::Instead(status, body)) => self.send_response(&proxy_response(*status, body)).await,
            Some(Change::Hang) => self.hang().await,
            Some(Change::Cut) => Ok(()),
            _ => self.forward_raw().await,
        }
    }

    /// Forwards input that cannot be parsed, unchanged.
    async fn forward_raw(&mut self) -> io::Result<()> {
        let length = self.client_source.buffered().len();
        let bytes = self.client_source.consume(length);
        self.server_writer.write_all(&bytes).await?;
        let mut client = tokio::io::join(&mut self.client_source, &mut self.client_writer);
        let mut server = tokio::io::join(&mut self.server_source, &mut self.server_writer);
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    /// Waits for the response. Meanwhile it forwards the rest of the body, and the client may disconnect.
    async fn read_response(&mut self, method: &str, mut remaining: Framing) -> io::Result<Response> {
        let mut answer = std::pin::pin!(read_response(&mut self.server_source, method));
        let mut ended = false;
        loop {
            let buffered = self.client_source.buffered().len();
            let length = match &mut remaining {
                Framing::Length(remaining) => {
                    let length = buffered.min(*remaining);
                    *remaining = remaining.saturating_sub(length);
                    length
                }
                Framing::Chunked => buffered,
                Framing::None | Framing::UntilTheEnd => 0,
            };
            if length > 0 {
                let bytes = self.client_source.consume(length);
                // A server may respond before it has read everything.
                let _ = self.server_writer.write_all(&bytes).await;
                let _ = self.server_writer.flush().await;
            }
            tokio::select! {
                answer = &mut answer => return answer,
                more = self.client_source.fill(), if !ended => if !more? {
                    // Whether the client still reads is unknown, so only the end of its half is passed on.
                    ended = true;
                    if self.client_source.buffered().is_empty() {
                        self.server_writer.shutdown().await?;
                    }
                },
            }
        }
    }

    /// Applies the rules for responses. Returns `None` if the connection ends.
    async fn apply_to_response(&mut self, mut response: Response, changes: &[&Change]) -> io::Result<Option<Response>> {
        for change in changes {
            match change {
                Change::Status(status) => response.status = *status,
                Change::Body(body) => response.body.clone_from(body),
                Change::Replace(Some(regex), text) => {
                    let body = String::from_utf8_lossy(&response.body).into_owned();
                    response.body = regex.replace_all(&body, text.as_str()).into_owned().into_bytes();
                }
                Change::Replace(None, text) => response.body = text.clone().into_bytes(),
                Change::Header(name, value) => {
                    response.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                    response.headers.push((name.clone(), value.clone()));
                }
                Change::Without(name) => response.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name)),
                Change::Cut => return Ok(None),
                Change::Hang => return self.hang().await.map(|()| None),
                Change::Hold(time) => tokio::time::sleep(*time).await,
                Change::Nonsense(bytes) => {
                    self.client_writer.write_all(bytes).await?;
                    self.client_writer.flush().await?;
                    return Ok(None);
                }
                Change::Instead(status, body) => response = proxy_response(*status, body),
                _ => {}
            }
        }
        Ok(Some(response))
    }

    async fn send_response(&mut self, response: &Response) -> io::Result<()> {
        let mut response = response.clone();
        // The body is no longer chunked, and its length may have changed.
        let chunked = header(&response.headers, "transfer-encoding").is_some();
        if chunked {
            let mut body = Vec::new();
            if !response.body.is_empty() {
                body.extend(format!("{:x}\r\n", response.body.len()).into_bytes());
                body.extend(&response.body);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            response.body = body;
        } else if !response.body.is_empty() {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        }
        self.client_writer.write_all(&response.encode()).await?;
        self.client_writer.flush().await
    }

    /// Opens a WebSocket without the server.
    async fn accept_websocket(&mut self, head: &RequestHead) -> io::Result<()> {
        let key = header(&head.headers, "sec-websocket-key").unwrap_or_default();
        let headers = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain([("Sec-WebSocket-Accept".to_owned(), websocket::accept(key))])
            .collect();
        self.send_response(&Response {
            status: 101,
            reason: "Switching Protocols".to_owned(),
            headers,
            body: Vec::new(),
        })
        .await?;
        self.hang().await
    }

    /// Sends nothing until the client disconnects.
    async fn hang(&mut self) -> io::Result<()> {
        while !self.client_source.read_some().await?.is_empty() {}
        Ok(())
    }

    async fn forward_websocket(&mut self, head: &RequestHead, method: &str, target: &str) -> io::Result<()> {
        self.server_writer.write_all(&head.encode(None)).await?;
        self.server_writer.flush().await?;
        let response = self.read_response(method, Framing::None).await?;
        let opened = response.status == 101;
        let changes: Vec<&Change> = self.mutant.rules(Place::Answer, method, target).collect();
        if changes.iter().any(|change| matches!(change, Change::Accept)) {
            return self.accept_websocket(head).await;
        }
        let Some(response) = self.apply_to_response(response, &changes).await? else { return Ok(()) };
        self.send_response(&response).await?;
        if !(opened && response.status == 101) {
            return Ok(());
        }
        let mutant = self.mutant;
        let swallow = mutant.swallows_close();
        let down = async {
            let ended =
                forward_frames(mutant, Place::ToClient, &mut self.server_source, &mut self.client_writer, swallow)
                    .await;
            if swallow {
                std::future::pending::<()>().await;
            }
            ended
        };
        let up = forward_frames(mutant, Place::ToServer, &mut self.client_source, &mut self.server_writer, false);
        tokio::select! {
            ended = down => ended,
            ended = up => ended,
        }
    }
}

/// Forwards the frames of one direction until the stream ends.
async fn forward_frames<W: AsyncWrite + Unpin>(
    mutant: &Mutant,
    place: Place,
    source: &mut Reader,
    writer: &mut W,
    swallow: bool,
) -> io::Result<()> {
    if !mutant.has(place) && !swallow {
        // Also forwards invalid frames.
        return forward_bytes(source, writer).await;
    }
    loop {
        let frame = read_frame(source).await?;
        if frame.opcode == CLOSE && swallow {
            return Ok(());
        }
        let masked = frame.masked;
        let packet = match frame.opcode {
            TEXT if frame.fin => String::from_utf8(frame.payload.clone()).ok().map(Payload::Text),
            BINARY if frame.fin => Some(Payload::Bytes(frame.payload.clone())),
            _ => None,
        };
        let mut out = Vec::new();
        let mut cut = false;
        match packet {
            Some(packet) if frame.reserved == 0 => cut = apply_rules(mutant, place, packet, &mut out).await,
            _ => match apply_rules_to_frame(mutant, place, &frame).await {
                FrameAction::Write(frame) => writer.write_all(&frame.encode(None)).await?,
                FrameAction::Drop => continue,
                FrameAction::Cut => return Ok(()),
            },
        }
        for packet in out {
            let frame = match packet {
                Payload::Text(text) => Frame::new(TEXT, text, masked),
                Payload::Bytes(bytes) => Frame::new(BINARY, bytes, masked),
            };
            writer.write_all(&frame.encode(None)).await?;
        }
        writer.flush().await?;
        if cut {
            return Ok(());
        }
    }
}

/// What to do with a frame that is not a packet.
enum FrameAction {
    Write(Frame),
    Drop,
    Cut,
}

/// Applies the rules to a frame that is not a packet. Rules match it as `frame N payload`.
async fn apply_rules_to_frame(mutant: &Mutant, place: Place, frame: &Frame) -> FrameAction {
    let text = format!("frame {} {}", frame.opcode, String::from_utf8_lossy(&frame.payload));
    let mut frame = frame.clone();
    for change in mutant.rules(place, "", &text) {
        match change {
            Change::Drop => return FrameAction::Drop,
            Change::Cut => return FrameAction::Cut,
            Change::Hold(time) => tokio::time::sleep(*time).await,
            Change::Replace(None, text) => frame.payload = text.clone().into_bytes(),
            Change::ReplaceBytes(bytes) => frame.payload.clone_from(bytes),
            _ => {}
        }
    }
    FrameAction::Write(frame)
}

/// Applies the rules of one direction to packets. Also returns whether to cut the connection.
async fn apply_rules_to_all(mutant: &Mutant, place: Place, packets: Vec<Payload>) -> (Vec<Payload>, bool) {
    let mut out = Vec::new();
    for packet in packets {
        if apply_rules(mutant, place, packet, &mut out).await {
            return (out, true);
        }
    }
    (out, false)
}

/// Applies the rules to one packet. Returns whether to cut the connection.
async fn apply_rules(mutant: &Mutant, place: Place, packet: Payload, out: &mut Vec<Payload>) -> bool {
    let text = match &packet {
        Payload::Text(text) => text.clone(),
        Payload::Bytes(bytes) => match msgpack::decode_packet(bytes) {
            Some(packet) => format!("msgpack{packet}"),
            None => format!("b{}", STANDARD.encode(bytes)),
        },
    };
    let written = |text: &str| match text.strip_prefix("msgpack").map(serde_json::from_str) {
        Some(Ok(packet)) => Payload::Bytes(msgpack::encode(&packet)),
        _ => Payload::Text(text.to_owned()),
    };
    let mut packet = Some(packet);
    let (mut after, mut copies) = (Vec::new(), 1);
    for change in mutant.rules(place, "", &text) {
        match change {
            Change::Drop => packet = None,
            Change::Replace(None, text) => packet = Some(written(text)),
            Change::Replace(Some(regex), with) => {
                packet = Some(written(&regex.replace_all(&text, with.as_str())));
            }
            Change::ReplaceBytes(bytes) => packet = Some(Payload::Bytes(bytes.clone())),
            Change::Duplicate => copies = 2,
            Change::Hold(time) => tokio::time::sleep(*time).await,
            Change::Before(payload) => out.push(payload.clone()),
            Change::After(payload) => after.push(payload.clone()),
            Change::Cut => return true,
            _ => {}
        }
    }
    if let Some(packet) = packet {
        out.extend(std::iter::repeat_n(packet, copies));
    }
    out.extend(after);
    false
}

fn proxy_response(status: u16, body: &[u8]) -> Response {
    let headers = vec![("Content-Type".to_owned(), "text/plain; charset=UTF-8".to_owned())];
    Response { status, reason: "-".to_owned(), headers, body: body.to_vec() }
}

fn revision(target: &str) -> Revision {
    if target.contains("EIO=3") { Revision::Three } else { Revision::Four }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Hands out pipes and keeps their other ends.
    #[derive(Default)]
    struct Pipes(Mutex<Vec<tokio::io::DuplexStream>>);

    impl Connector for Pipes {
        fn connect(&self) -> Connecting<'_> {
            let (ours, theirs) = tokio::io::duplex(1024);
            self.0.lock().unwrap().push(theirs);
            Box::pin(async { Ok(Box::new(ours) as BoxStream) })
        }

        fn authority(&self) -> &str {
            "nowhere"
        }
    }

    #[test]
    fn a_rule_that_would_do_nothing_is_refused() {
        for rule in ["request POST status 400", "answer duplicate", "to-client /a/ status 200", "close drop"] {
            assert!(Mutant::parse(rule).is_err(), "{rule}");
        }
    }

    #[test]
    fn rules_that_match_nothing_are_known_by_their_numbers() {
        let mutant = Mutant::parse("to-client /a/ drop ; to-client /b/ drop ; to-client /a/ nth 2 drop").unwrap();
        assert_eq!(mutant.rules(Place::ToClient, "", "a").count(), 1);
        assert_eq!(mutant.idle(), [2, 3]);
    }

    #[tokio::test]
    async fn a_request_can_be_made_twice() {
        let pipes = Arc::new(Pipes::default());
        let proxy = MutantProxy::new(pipes.clone(), Mutant::parse("request GET /poll/ duplicate").unwrap());
        let mut client = proxy.connect().await.unwrap();
        client.write_all(b"GET /poll HTTP/1.1\r\n\r\n").await.unwrap();
        for number in 0..2 {
            while pipes.0.lock().unwrap().len() <= number {
                tokio::task::yield_now().await;
            }
            let mut server = std::mem::replace(&mut pipes.0.lock().unwrap()[number], tokio::io::duplex(1).0);
            let mut line = [0; 9];
            server.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"GET /poll");
            pipes.0.lock().unwrap()[number] = server;
        }
    }
}
