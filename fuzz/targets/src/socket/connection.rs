//! A connection under arbitrary use: valid and invalid packets of a peer, commands of an application, and time. After every step, all
//! invariants are checked, and sockets and acks are tracked (I12). The order of the polls makes no difference (I1).

use arbitrary::{Result, Unstructured};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use engineio_proto::server::{Input, LinkDownCause, Route, Server, Transmit};
use engineio_proto::testkit::Watched;
use engineio_proto::{
    ContentType, Frame, Instant, LinkId, LinkKind, Message, RequestHead, RequestId, Revision, SendError, Sid, payload,
};
use socketio_proto::server::Connection;
use socketio_proto::{
    AckId, AckToken, Config, EmitError, Encoder, Event, Json, MsgPack, Outgoing, PacketType, Parser, Pending,
    SocketHandle, SocketId,
};

use super::messages;
use super::value::{Arguments, Value};
use crate::input::{short, short_text};

const NAMESPACES: [&str; 4] = ["/", "/a", "/b", "/c"];
const LINK: LinkId = LinkId(1);

/// The order in which a driver polls.
#[derive(Clone, Copy, Debug)]
enum PollOrder {
    EventsFirst,
    TransmitsFirst,
    /// At the times that the script selects.
    Sometimes,
}

/// Input: format, transport, limits and order of polls, then steps.
pub fn socket_connection(data: &[u8]) -> Result<()> {
    connection(Revision::V4, data)
}

/// As [`socket_connection`], for a client of protocol 4, over revision 3. It joins `/` without asking, sends pings, and may add a query to the
/// name of a namespace.
pub fn socket_connection_v3(data: &[u8]) -> Result<()> {
    connection(Revision::V3, data)
}

fn connection(revision: Revision, data: &[u8]) -> Result<()> {
    let packed = data.first().is_some_and(|bits| bits & 1 == 1);
    if packed { play(&MsgPack, revision, data) } else { play(&Json, revision, data) }
}

fn play<P: Parser>(parser: &P, revision: Revision, data: &[u8]) -> Result<()> {
    if data.first().is_some_and(|bits| bits & 4 == 4) {
        run(parser, revision, data, PollOrder::Sometimes)?;
        return Ok(());
    }
    let one = run(parser, revision, data, PollOrder::EventsFirst)?;
    let two = run(parser, revision, data, PollOrder::TransmitsFirst)?;
    assert_eq!(one, two, "I1");
    Ok(())
}

struct World<P: Parser> {
    parser: P,
    revision: Revision,
    order: PollOrder,
    now: Instant,
    connection: Watched<Connection<P>>,
    encoder: Encoder,
    polling: bool,
    requests: u64,
    /// The id of the last link. No id is used twice.
    links: u64,
    /// The pending GET and POST.
    get: Option<RequestId>,
    post: Option<RequestId>,
    replied: Vec<RequestId>,
    sids: u8,
    max_namespace_length: usize,
    pending: Vec<Pending>,
    tokens: Vec<AckToken>,
    requested: BTreeSet<SocketHandle>,
    joined: BTreeMap<SocketHandle, &'static str>,
    /// Sockets for which `Disconnecting` was emitted.
    leaving: BTreeSet<SocketHandle>,
    awaited_acks: BTreeSet<(SocketHandle, AckId)>,
    odd_ids: u32,
    refused: u32,
    events: Vec<String>,
    transmits: Vec<String>,
}

fn run<P: Parser>(parser: &P, revision: Revision, data: &[u8], order: PollOrder) -> Result<(Vec<String>, Vec<String>)> {
    let mut input = Unstructured::new(data);
    let mut world = World::new(parser, revision, &mut input, order)?;
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        world.act(&mut input)?;
        if !matches!(order, PollOrder::Sometimes) {
            world.drain();
        }
        world.connection.check().expect("invariants hold");
    }
    let now = world.now;
    world.connection.timed_command(now, 0, Connection::discard);
    world.drain();
    world.connection.check_settled().expect("invariants hold");
    assert!(world.connection.ended(), "the connection has not ended after `discard`");
    world.connection.check_after_end(now).expect("invariants hold");
    Ok((world.events, world.transmits))
}

impl<P: Parser> World<P> {
    fn new(parser: &P, revision: Revision, input: &mut Unstructured<'_>, order: PollOrder) -> Result<Self> {
        let polling = input.arbitrary::<u8>()? & 2 == 2;
        let mut engine = engineio_proto::Config::default();
        engine.ping_interval = Duration::from_secs(2);
        engine.ping_timeout = Duration::from_secs(3);
        engine.max_payload = 5000;
        engine.allow_eio3 = revision == Revision::V3;
        let mut config = Config::default();
        config.connect_timeout = Duration::from_secs(4);
        let limits = input.arbitrary::<u8>()?;
        config.rearm_connect_timeout = limits & 1 == 1;
        if limits & 2 == 2 {
            engine.limits.soft_inbound = usize::from(input.arbitrary::<u8>()?) * 4;
            engine.limits.max_inbound = usize::from(input.arbitrary::<u8>()?) * 16;
        }
        if limits & 4 == 4 {
            engine.limits.max_outbound = usize::from(input.arbitrary::<u8>()?) * 4;
        }
        if limits & 8 == 8 {
            config.limits.max_awaited_acks = input.int_in_range(0..=3)?;
            config.limits.max_pending = input.int_in_range(0..=3)?;
            config.limits.max_namespaces = input.int_in_range(0..=3)?;
            config.limits.max_attachments = input.int_in_range(0..=3_u8)?;
        }
        if limits & 16 == 16 {
            config.limits.max_namespace_length = "/a".len();
        }
        let max_namespace_length = config.limits.max_namespace_length;
        let now = Instant::from_millis(1000);
        let transport = if polling { "polling" } else { "websocket" };
        let query = format!("EIO={}&transport={transport}", revision.number());
        let (limits, max_payload) = (engine.limits.clone(), engine.max_payload);
        let head = RequestHead { method: "GET", query: &query, origin: None, websocket: !polling };
        let Route::Open(handshake) = Server::new(engine).route(&head) else { panic!("not a handshake") };
        let session = handshake.accept(now, Sid::from_random([0; 15]));
        let connection = Connection::new(now, session, parser.clone(), Arc::new(config));
        let mut world = Self {
            parser: parser.clone(),
            revision,
            order,
            now,
            connection: Watched::new(connection, limits, max_payload, false),
            encoder: Encoder::new(),
            polling,
            requests: 0,
            links: LINK.0,
            get: None,
            post: None,
            replied: Vec::new(),
            sids: 0,
            max_namespace_length,
            pending: Vec::new(),
            tokens: Vec::new(),
            requested: BTreeSet::new(),
            joined: BTreeMap::new(),
            leaving: BTreeSet::new(),
            awaited_acks: BTreeSet::new(),
            odd_ids: 1,
            refused: 0,
            events: Vec::new(),
            transmits: Vec::new(),
        };
        // Packets of the connection itself (a refusal, a DISCONNECT) are accepted by an empty queue, whatever the limit is. They
        // contain the namespace, whose 255 bytes may have become U+FFFD.
        world.connection.command(300 + 3 * 255, |_| ());
        if polling {
            world.poll();
        } else {
            world.handle(Input::LinkUp { link: LINK, kind: LinkKind::WebSocket });
        }
        world.drain();
        Ok(world)
    }

    fn handle(&mut self, input: Input) {
        self.connection.handle(self.now, input);
    }

    fn act(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=39)? {
            0..4 => self.peer_sends(input, PacketType::Connect)?,
            4 => self.peer_sends(input, PacketType::Disconnect)?,
            5..12 => self.peer_sends(input, PacketType::Event)?,
            12..16 => self.peer_sends(input, PacketType::Ack)?,
            16 => {
                let bytes = short(input)?;
                let text = String::from_utf8_lossy(bytes).into_owned();
                let message = if input.arbitrary::<bool>()? {
                    Message::Binary(Bytes::copy_from_slice(bytes))
                } else {
                    text.into_text()
                };
                self.arrive(&[message]);
            }
            17..19 => self.poll(),
            19..23 => self.accept(input)?,
            23 => self.refuse(input)?,
            24..28 => self.emit(input)?,
            28..31 => self.ask(input)?,
            31 => self.ask_for_namespace(input)?,
            32..34 => self.answer(input)?,
            34 => {
                let socket = self.socket(input)?;
                self.timed(100, |connection, now| connection.disconnect(now, socket));
            }
            35 => self.end(input)?,
            36 => self.wait(Duration::from_millis(input.int_in_range(0..=4999)?)),
            37 => self.wait(Duration::from_millis(u64::from(input.arbitrary::<u8>()?))),
            38 => {
                self.take_outcome();
            }
            _ => self.drain(),
        }
        Ok(())
    }

    /// The peer sends a packet.
    fn peer_sends(&mut self, input: &mut Unstructured<'_>, packet_type: PacketType) -> Result<()> {
        let namespace = *input.choose(&NAMESPACES)?;
        let bits = input.arbitrary::<u8>()?;
        let id = if packet_type == PacketType::Ack { Some(u64::from(bits >> 2)) } else { (bits & 1 == 1).then_some(7) };
        let values = self.values(input, bits & 2 == 2)?;
        let parser = self.parser.clone();
        let with_query = format!("{namespace}?a=1&b=%22");
        let namespace = if self.revision == Revision::V3 && bits & 128 == 128 { &with_query } else { namespace };
        let encoded = match packet_type {
            PacketType::Event => {
                parser.encode(&Outgoing::event(namespace, id, "e", &Arguments(&values)), &mut self.encoder)
            }
            PacketType::Ack => {
                parser.encode(&Outgoing::ack(namespace, id.unwrap_or(0), &Arguments(&values)), &mut self.encoder)
            }
            _ => {
                let packet = Outgoing::<()>::new(packet_type, namespace, None);
                parser.encode(&packet, &mut self.encoder)
            }
        };
        if let Ok(encoded) = encoded {
            self.arrive(&messages(&encoded));
        }
        Ok(())
    }

    fn values(&self, input: &mut Unstructured<'_>, several: bool) -> Result<Vec<Value>> {
        let mut attachments = 0;
        (0..if several { input.int_in_range(0..=3)? } else { 1 })
            .map(|_| Value::new(input, 2, &mut attachments))
            .collect()
    }

    /// Delivers messages of the peer on the current transport. The peer posts only after its last POST is answered.
    fn arrive(&mut self, messages: &[Message]) {
        let mut frames: Vec<Frame> = messages.iter().cloned().map(Frame::message).collect();
        if self.revision == Revision::V3 {
            frames = frames.into_iter().map(Frame::into_v3).collect();
        }
        if !self.polling {
            for frame in &frames {
                let message = match frame.is_binary() {
                    true => Bytes::from([frame.head(), frame.data()].concat()).into(),
                    false => String::from_utf8([frame.head(), frame.data()].concat()).expect("text").into_text(),
                };
                self.handle(Input::LinkMessage { link: LINK, message });
            }
            return;
        }
        if self.post.is_some() {
            return;
        }
        let mut body = bytes::BytesMut::new();
        let content_type = match self.revision {
            Revision::V3 => payload::v3::encode(&frames, true, &mut body),
            Revision::V4 => {
                payload::encode(&frames, &mut body);
                ContentType::Text
            }
        };
        let request = self.request();
        self.post = Some(request);
        self.handle(Input::Post { request, content_type });
        self.handle(Input::Body { request, body: body.freeze() });
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn poll(&mut self) {
        if self.polling && self.get.is_none() {
            let request = self.request();
            self.get = Some(request);
            self.handle(Input::Get { request });
        }
    }

    fn timed<R: core::fmt::Debug>(&mut self, size: usize, command: impl FnOnce(&mut Connection<P>, Instant) -> R) -> R {
        self.connection.timed_command(self.now, size, command)
    }

    fn socket(&self, input: &mut Unstructured<'_>) -> Result<SocketHandle> {
        // Mostly an existing one.
        let at = input.arbitrary::<u8>()?;
        let there: Vec<SocketHandle> = self.joined.keys().copied().collect();
        let is_there = at < 200 && !there.is_empty();
        Ok(if is_there { there[usize::from(at) % there.len()] } else { SocketHandle(u32::from(at % 8)) })
    }

    fn accept(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = self.pending.remove(input.choose_index(self.pending.len().min(256))?);
        self.sids = self.sids.wrapping_add(1);
        let (id, requested) = (SocketId::from_random([self.sids; 15]), pending.socket());
        let namespace = NAMESPACES.into_iter().find(|name| *name == &**pending.namespace()).unwrap_or("?");
        match self.timed(300, |connection, now| connection.accept(now, pending, &id)) {
            Ok(socket) => {
                assert_eq!(socket, requested);
                assert!(self.joined.values().all(|joined| *joined == "?" || *joined != namespace), "{namespace} twice");
                assert!(self.joined.insert(socket, namespace).is_none());
            }
            Err(EmitError::Disconnected | EmitError::Send(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        Ok(())
    }

    fn refuse(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let Some(pending) = self.pending.pop() else { return Ok(()) };
        let (message, mut attachments) = (short_text(input)?, 0);
        let data = Value::new(input, 2, &mut attachments)?;
        let data = input.arbitrary::<bool>()?.then_some(&data);
        // JSON cannot represent bytes in the data of a refusal.
        let _ = self.timed(5000, |connection, now| connection.refuse(now, pending, &message, data));
        Ok(())
    }

    fn note<R>(&mut self, result: &Result<R, EmitError>) -> bool {
        self.refused += u32::from(matches!(result, Err(EmitError::Send(SendError::Full))));
        result.is_ok()
    }

    fn emit(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let socket = self.socket(input)?;
        let values = self.values(input, true)?;
        let name = if input.int_in_range(0..=7)? == 0 { short_text(input)? } else { "e".into() };
        let encoder = &mut self.encoder;
        let emit = |connection: &mut Connection<P>| connection.emit(encoder, socket, &name, &Arguments(&values));
        let result = self.connection.command(10_000, emit);
        assert!(!self.note(&result) || self.joined.contains_key(&socket), "sent to {socket:?}, which has not joined");
        Ok(())
    }

    fn ask(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let socket = self.socket(input)?;
        let timeout = match input.arbitrary()? {
            true => Some(Duration::from_millis(10 * u64::from(input.arbitrary::<u8>()?))),
            false => None,
        };
        let (now, encoder) = (self.now, &mut self.encoder);
        let ask =
            |connection: &mut Connection<P>| connection.emit_with_ack(now, encoder, socket, "q", &("?",), timeout);
        let result = self.connection.command(300, ask);
        if self.note(&result)
            && let Ok(id) = result
        {
            assert!(self.joined.contains_key(&socket) && id.0 % 2 == 0);
            assert!(self.awaited_acks.insert((socket, id)), "{id:?} is already awaited");
        }
        Ok(())
    }

    /// Emits with an ack as a namespace does: the packet and its id are created outside of the connection.
    fn ask_for_namespace(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let socket = self.socket(input)?;
        let Some(namespace) = self.joined.get(&socket).copied().filter(|namespace| *namespace != "?") else {
            return Ok(());
        };
        let again = input.arbitrary::<bool>()?.then(|| self.odd_ids.checked_sub(2)).flatten();
        let id = AckId(again.unwrap_or(self.odd_ids));
        if again.is_some() {
            // Read all outcomes first: a pending id is refused, but one with an unread outcome is not. A namespace never reuses an id.
            while self.take_outcome() {}
        }
        self.odd_ids = self.odd_ids.max(id.0 + 2);
        let packet = Outgoing::event(namespace, Some(id.0.into()), "b", &());
        let encoded = self.parser.encode(&packet, &mut self.encoder).expect("the packet can be encoded");
        let result = self.timed(300, |connection, now| connection.send_with_ack(now, socket, &encoded, id, None));
        if self.note(&result) {
            assert!(self.awaited_acks.insert((socket, id)), "{id:?} is already awaited");
        }
        Ok(())
    }

    fn answer(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let token = self.tokens.remove(input.choose_index(self.tokens.len().min(256))?);
        let values = self.values(input, true)?;
        let encoder = &mut self.encoder;
        let result = self.connection.command(10_000, |connection| connection.ack(encoder, token, &Arguments(&values)));
        self.note(&result);
        Ok(())
    }

    /// Occasionally the application ends the connection.
    fn end(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.arbitrary::<u8>()? {
            0..10 => self.timed(1000, Connection::close),
            10..20 => self.timed(0, Connection::shut_down),
            20..30 => self.timed(0, Connection::discard),
            30..40 if !self.polling => self.handle(Input::LinkDown { link: LINK, cause: LinkDownCause::Closed }),
            40..50 => {
                if let Some(request) = self.get.take() {
                    self.handle(Input::Aborted { request });
                }
            }
            50..60 => {
                self.links += 1;
                self.handle(Input::LinkUp { link: LinkId(self.links), kind: LinkKind::WebSocket });
            }
            _ => {}
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.connection.get().poll_timeout().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.connection.handle_timeout(self.now);
            if !matches!(self.order, PollOrder::Sometimes) {
                self.drain();
            }
            self.connection.check().expect("invariants hold");
            if !self.polling && !self.connection.ended() {
                // Whoever does not ask answers.
                let beat = if self.revision == Revision::V3 { "2" } else { "3" };
                self.handle(Input::LinkMessage { link: LINK, message: beat.into() });
            }
        }
        self.now = until;
    }

    fn take_outcome(&mut self) -> bool {
        let Some(event) = self.connection.command(0, Connection::poll_outcome) else { return false };
        self.handle_event(event);
        true
    }

    /// Polls until there are no more outputs.
    fn drain(&mut self) {
        let mut transmits_first = !matches!(self.order, PollOrder::EventsFirst);
        let mut quiet = 0;
        while quiet < 2 {
            let moved = if transmits_first { self.transmit() } else { self.event() };
            quiet = if moved { 0 } else { quiet + 1 };
            if !moved {
                transmits_first = !transmits_first;
            }
        }
        self.connection.check_settled().expect("invariants hold");
        // The driver confirms a reply once all of it is written.
        for request in std::mem::take(&mut self.replied) {
            self.handle(Input::Replied { request });
        }
    }

    fn transmit(&mut self) -> bool {
        let Some(transmit) = self.connection.poll_transmit() else { return false };
        self.transmits.push(format!("{transmit:?}"));
        if let Transmit::Reply { request, .. } = transmit {
            self.get = self.get.filter(|get| *get != request);
            self.post = self.post.filter(|post| *post != request);
            self.replied.push(request);
        }
        true
    }

    fn event(&mut self) -> bool {
        let Some(event) = self.connection.poll_event() else { return false };
        self.handle_event(event);
        true
    }

    /// Checks that an event is consistent with the earlier ones.
    fn handle_event(&mut self, event: Event) {
        let detail = format!("{event:?}");
        self.events.push(detail.clone());
        match event {
            Event::ConnectRequested(pending) => {
                assert!(self.requested.insert(pending.socket()), "{detail}: the id is in use");
                assert!(pending.namespace().len() <= self.max_namespace_length, "{detail}: the namespace is too long");
                self.pending.push(pending);
            }
            Event::Received { socket, ack, .. } => {
                assert!(self.joined.contains_key(&socket), "{detail}: the socket has not joined");
                self.tokens.extend(ack);
            }
            Event::Acked { socket, id, .. } => {
                assert!(self.awaited_acks.remove(&(socket, id)), "{detail}: the ack is not awaited");
                assert!(self.joined.contains_key(&socket), "{detail}: the socket has disconnected");
            }
            Event::Disconnecting { socket, .. } => {
                assert!(self.joined.contains_key(&socket), "{detail}: the socket has not joined");
                assert!(self.leaving.insert(socket), "{detail}: emitted twice");
            }
            Event::Disconnected { socket, .. } => {
                assert!(self.joined.remove(&socket).is_some(), "{detail}: the socket has not joined");
                assert!(self.leaving.remove(&socket), "{detail}: without `Disconnecting`");
                assert!(self.awaited_acks.iter().all(|(of, _)| *of != socket), "{detail}: an ack is still awaited");
            }
            // A refusal may follow an unread `Writable`, and cause another one.
            Event::Writable => self.refused = self.refused.checked_sub(1).expect("`Writable` without a refusal"),
            Event::Closed(_) => assert!(self.joined.is_empty() && self.awaited_acks.is_empty(), "{detail}"),
            _ => {}
        }
    }
}

trait IntoText {
    fn into_text(self) -> Message;
}

impl IntoText for String {
    fn into_text(self) -> Message {
        Message::Text(self.into())
    }
}
