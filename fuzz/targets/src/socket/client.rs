//! A client under arbitrary use: valid and invalid packets of a server, links that come and go, commands of an application, and time. Sockets,
//! acks and the connection are tracked (I12). The order of the polls makes no difference (I1). And a client against real connections.

use arbitrary::{Result, Unstructured};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use engineio_proto::client::{Input, Transmit};
use engineio_proto::server::{LinkDownCause, Transport};
use engineio_proto::testkit::NetworkSettings;
use engineio_proto::{Instant, LinkId, LinkKind, Message, Revision};
use socketio_proto::client::{Auth, AuthRequest, Client, Config, ConnectError, Event, Retries, SocketOptions};
use socketio_proto::server::RecoveryConfig;
use socketio_proto::testkit::{Reconnections, run_with_reconnections};
use socketio_proto::{AckId, AckToken, EmitError, Encoder, Json, MsgPack, Outgoing, PacketType, Parser, SocketHandle};

use super::{message, messages};
use crate::input::{short, short_text};

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

const OPEN: &str = r#"0{"sid":"engine","upgrades":[],"pingInterval":2000,"pingTimeout":3000,"maxPayload":1000}"#;

/// The order in which a driver polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PollOrder {
    EventsFirst,
    TransmitsFirst,
    /// At the times that the script selects.
    Sometimes,
}

/// Input: format, revision, order of polls and limits, then steps.
pub fn socket_client(data: &[u8]) -> Result<()> {
    let packed = data.first().is_some_and(|bits| bits & 1 == 1);
    if packed { play(&MsgPack, data) } else { play(&Json, data) }
}

fn play<P: Parser>(parser: &P, data: &[u8]) -> Result<()> {
    if data.first().is_some_and(|bits| bits & 4 == 4) {
        run(parser, data, PollOrder::Sometimes)?;
        return Ok(());
    }
    let one = run(parser, data, PollOrder::EventsFirst)?;
    let two = run(parser, data, PollOrder::TransmitsFirst)?;
    assert_eq!(one, two, "I1");
    Ok(())
}

struct World<P: Parser> {
    parser: P,
    order: PollOrder,
    now: Instant,
    client: Client<P>,
    encoder: Encoder,
    max_send_buffer: usize,
    /// The link that the client has asked for and not closed.
    link: Option<LinkId>,
    sockets: BTreeSet<SocketHandle>,
    /// Sockets of which the last event was that they are connected.
    connected: BTreeSet<SocketHandle>,
    awaited: BTreeMap<(SocketHandle, AckId), ()>,
    tokens: Vec<AckToken>,
    requests: Vec<AuthRequest>,
    is_open: bool,
    events: Vec<String>,
    transmits: Vec<String>,
}

fn run<P: Parser>(parser: &P, data: &[u8], order: PollOrder) -> Result<(Vec<String>, Vec<String>)> {
    let mut input = Unstructured::new(data);
    let mut world = World::new(parser, &mut input, order)?;
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        world.act(&mut input)?;
        if order != PollOrder::Sometimes {
            world.drain();
            world.check_early_timeout();
        }
        world.check();
    }
    world.end();
    Ok((world.events, world.transmits))
}

impl<P: Parser> World<P> {
    fn new(parser: &P, input: &mut Unstructured<'_>, order: PollOrder) -> Result<Self> {
        let bits = input.arbitrary::<u8>()?;
        let mut engine = engineio_proto::client::Config::default();
        engine.transports = vec![Transport::Link(LinkKind::WebSocket)];
        engine.revision = if bits & 2 == 2 { Revision::V3 } else { Revision::V4 };
        let mut config = Config::default();
        config.reconnection_delay = Duration::from_millis(u64::from(bits));
        let limits = input.arbitrary::<u8>()?;
        if limits & 1 == 1 {
            engine.limits.soft_inbound = usize::from(input.arbitrary::<u8>()?) * 4;
            engine.limits.max_inbound = usize::from(input.arbitrary::<u8>()?) * 16;
        }
        if limits & 2 == 2 {
            engine.limits.max_outbound = usize::from(input.arbitrary::<u8>()?) * 4;
        }
        if limits & 4 == 4 {
            config.max_send_buffer = usize::from(input.arbitrary::<u8>()?) * 4;
            config.reconnection_attempts = Some(u32::from(input.int_in_range(0..=3_u8)?));
        }
        if limits & 8 == 8 {
            config.limits.max_awaited_acks = input.int_in_range(0..=3)?;
            config.limits.max_namespaces = input.int_in_range(0..=3)?;
            config.limits.max_attachments = input.int_in_range(0..=3_u8)?;
        }
        let max_send_buffer = config.max_send_buffer;
        Ok(Self {
            parser: parser.clone(),
            order,
            now: Instant::from_millis(1000),
            client: Client::new(Arc::new(engine), parser.clone(), Arc::new(config), u64::from(limits)),
            encoder: Encoder::new(),
            max_send_buffer,
            link: None,
            sockets: BTreeSet::new(),
            connected: BTreeSet::new(),
            awaited: BTreeMap::new(),
            tokens: Vec::new(),
            requests: Vec::new(),
            is_open: false,
            events: Vec::new(),
            transmits: Vec::new(),
        })
    }

    fn act(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=24_u8)? {
            0 => self.socket(input)?,
            1..=2 => {
                if let Some(socket) = self.any_socket(input)? {
                    self.client.connect(self.now, socket);
                }
            }
            3 => {
                if let Some(link) = self.link {
                    self.client.handle(self.now, Input::LinkUp { link });
                    self.receive(OPEN.into());
                }
            }
            4 => {
                if let Some(link) = self.link {
                    let cause = if input.arbitrary::<bool>()? { LinkDownCause::Closed } else { LinkDownCause::Failed };
                    self.client.handle(self.now, Input::LinkDown { link, cause });
                }
            }
            // What a server may send.
            5..=8 => self.packet(input)?,
            9 => self.receive(Message::from(short_text(input)?)),
            10 => self.receive(Message::from(["4", &short_text(input)?].concat())),
            11 => self.receive(Bytes::copy_from_slice(short(input)?).into()),
            // Time.
            12 => self.advance(Duration::from_millis(u64::from(input.arbitrary::<u16>()?))),
            13 => {
                if let Some(deadline) = self.client.poll_timeout() {
                    self.advance(deadline - self.now);
                }
            }
            // What an application may do.
            14..=17 => self.emit(input)?,
            18 => {
                if let Some(socket) = self.any_socket(input)? {
                    self.client.disconnect(self.now, socket);
                }
            }
            19 => {
                if let Some(socket) = self.any_socket(input)? {
                    self.sockets.remove(&socket);
                    self.client.remove(self.now, socket);
                }
            }
            20 => {
                if let Some(token) = self.tokens.pop() {
                    let answer = short_text(input)?;
                    let _ = self.client.ack(&mut self.encoder, token, &answer);
                }
            }
            21 => {
                if let Some(request) = self.requests.pop() {
                    let token = short_text(input)?;
                    let auth = BTreeMap::from([("token", token)]);
                    self.client.authenticate(self.now, request, Some(&auth)).expect("it can be sent");
                }
            }
            22 => match input.int_in_range(0..=5_u8)? {
                0 => self.client.close(self.now),
                1 => self.client.discard(self.now),
                2 => self.client.set_reconnection(false),
                3 => self.client.set_reconnection(true),
                _ => self.client.open(self.now),
            },
            23 => {
                if let Some(socket) = self.any_socket(input)? {
                    self.client.clear_send_buffer(socket);
                }
            }
            _ if self.order == PollOrder::Sometimes => match input.int_in_range(0..=3_u8)? {
                0 => _ = self.poll_event(),
                1 => _ = self.poll_transmit(),
                2 => {
                    if let Some(event) = self.client.poll_outcome() {
                        self.told(event);
                    }
                }
                _ => self.drain(),
            },
            _ => {}
        }
        Ok(())
    }

    fn socket(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let namespace = input.choose(&NAMESPACES)?;
        let bits = input.arbitrary::<u8>()?;
        let auth = match bits & 3 {
            0 => Auth::None,
            1 => Auth::fixed(&BTreeMap::from([("token", "t")])).expect("an object"),
            2 => Auth::Asked,
            _ => Auth::fixed(&BTreeMap::from([("list", [1])])).expect("an object"),
        };
        let mut options = SocketOptions::default();
        options.auth = auth;
        options.ack_timeout = (bits & 4 == 4).then_some(Duration::from_millis(500));
        options.retries = (bits & 8 == 8)
            .then_some(Retries { count: u32::from(bits >> 6), timeout: Duration::from_millis(u64::from(bits) * 4) });
        if let Ok(socket) = self.client.socket(namespace, options) {
            self.sockets.insert(socket);
        }
        Ok(())
    }

    fn any_socket(&self, input: &mut Unstructured<'_>) -> Result<Option<SocketHandle>> {
        let index = usize::from(input.arbitrary::<u8>()?);
        Ok(self.sockets.iter().nth(index.checked_rem(self.sockets.len()).unwrap_or(0)).copied())
    }

    fn receive(&mut self, message: Message) {
        if let Some(link) = self.link {
            self.client.handle(self.now, Input::LinkMessage { link, message });
        }
    }

    /// A packet as a correct server would encode it, at any time.
    fn packet(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let namespace = input.choose(&NAMESPACES)?;
        let id = input.arbitrary::<u8>()?;
        let reply = BTreeMap::from([("sid", "id"), ("pid", if id & 1 == 1 { "p" } else { "q" })]);
        let only_sid = BTreeMap::from([("sid", "other")]);
        let refusal = BTreeMap::from([("message", "no")]);
        let args = (id, "offset");
        let with_binary = (Bytes::from_static(b"binary"), id);
        let (ack, encoder) = (u64::from(id % 8), &mut self.encoder);
        let encoded = match input.int_in_range(0..=9_u8)? {
            0 | 1 => self.parser.encode(&Outgoing::new(PacketType::Connect, namespace, Some(&reply)), encoder),
            2 => self.parser.encode(&Outgoing::new(PacketType::Connect, namespace, Some(&only_sid)), encoder),
            3 => self.parser.encode(&Outgoing::new(PacketType::Connect, namespace, None::<&()>), encoder),
            4 => self.parser.encode(&Outgoing::new(PacketType::ConnectError, namespace, Some(&refusal)), encoder),
            5 => self.parser.encode(&Outgoing::new(PacketType::Disconnect, namespace, None::<&()>), encoder),
            6 => self.parser.encode(&Outgoing::event(namespace, Some(ack), "e", &args), encoder),
            7 => self.parser.encode(&Outgoing::event(namespace, None, "e", &args), encoder),
            8 => self.parser.encode(&Outgoing::event(namespace, None, "e", &with_binary), encoder),
            _ => self.parser.encode(&Outgoing::ack(namespace, ack, &args), encoder),
        };
        for message in messages(&encoded.expect("it can be encoded")) {
            self.receive(match message {
                Message::Text(text) => Message::from(["4", &text].concat()),
                // In revision 3, the first byte is the type of the packet.
                Message::Binary(bytes) if self.client.engine().revision() == Revision::V3 => {
                    Message::from([&b"\x04"[..], &bytes].concat())
                }
                binary => binary,
            });
        }
        Ok(())
    }

    fn emit(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let Some(socket) = self.any_socket(input)? else { return Ok(()) };
        let kind = input.arbitrary::<u8>()?;
        let args = (short_text(input)?, Bytes::copy_from_slice(short(input)?));
        let (client, encoder, now) = (&mut self.client, &mut self.encoder, self.now);
        let buffered = (client.send_buffer_len(socket), client.retry_queue_len(socket), client.buffered_bytes());
        let result = match kind % 4 {
            0 => client.emit(now, encoder, socket, "e", &args),
            1 => client.emit_volatile(now, encoder, socket, "e", &args, kind & 4 == 4).map(|_| ()),
            _ => {
                let timeout = (kind & 8 == 8).then_some(Duration::from_millis(u64::from(kind) * 10));
                client.emit_with_ack(now, encoder, socket, "e", &args, timeout).map(|id| {
                    assert!(self.awaited.insert((socket, id), ()).is_none(), "the id is in use");
                })
            }
        };
        if matches!(result, Err(EmitError::BufferFull | EmitError::TooManyAcks)) {
            let client = &self.client;
            let after = (client.send_buffer_len(socket), client.retry_queue_len(socket), client.buffered_bytes());
            // The connection may have ended before, because a ping was missing.
            assert!(buffered == after || !client.is_open(), "a refused command has changed something");
        }
        Ok(())
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "I2: {next:?} at {:?}", self.now);
    }

    /// Before the deadline, a timeout does nothing.
    fn check_early_timeout(&mut self) {
        if self.client.poll_timeout().is_none_or(|next| next > self.now) {
            self.client.handle_timeout(self.now);
            let (event, transmit) = (self.client.poll_event(), self.client.poll_transmit());
            assert!(event.is_none() && transmit.is_none(), "I3: {event:?}, {transmit:?}");
        }
    }

    fn drain(&mut self) {
        loop {
            let moved = match self.order {
                PollOrder::TransmitsFirst => self.poll_transmit() || self.poll_event(),
                _ => self.poll_event() || self.poll_transmit(),
            };
            if !moved {
                return;
            }
        }
    }

    fn poll_transmit(&mut self) -> bool {
        let Some(transmit) = self.client.poll_transmit() else { return false };
        match transmit {
            Transmit::Connect { link, .. } => {
                self.link = Some(link);
                self.transmits.push(format!("connect {link:?}"));
            }
            Transmit::CloseLink { link } => {
                self.link.take_if(|known| *known == link);
                self.transmits.push(format!("close {link:?}"));
            }
            Transmit::Link { link, frame } => self.transmits.push(format!("{link:?}: {:?}", message(&frame))),
            other => panic!("{other:?}"),
        }
        true
    }

    fn poll_event(&mut self) -> bool {
        let Some(event) = self.client.poll_event() else { return false };
        self.told(event);
        true
    }

    fn told(&mut self, event: Event) {
        // It overtakes other events.
        if !matches!(event, Event::Writable) {
            self.events.push(format!("{event:?}"));
        }
        match event {
            Event::Opened => assert!(!core::mem::replace(&mut self.is_open, true), "opened twice"),
            Event::Closed(_) => assert!(core::mem::replace(&mut self.is_open, false), "closed, and was not open"),
            Event::OpenFailed(_) | Event::ReconnectAttempt(_) => assert!(!self.is_open),
            Event::Connected { socket, .. } => _ = self.connected.insert(socket),
            Event::Disconnected { socket, .. } => assert!(self.connected.remove(&socket), "was not connected"),
            Event::Error { socket, .. } => assert!(self.connected.contains(&socket)),
            Event::ConnectError { socket, error } => {
                assert!(!self.connected.contains(&socket) || error == ConnectError::OldServer, "{error}");
            }
            Event::Acked { socket, id, .. } => {
                assert!(self.awaited.remove(&(socket, id)).is_some(), "I12: {socket:?}, {id:?}");
            }
            Event::Received { ack, .. } => self.tokens.extend(ack),
            Event::AuthRequested(request) => self.requests.push(request),
            _ => {}
        }
    }

    fn check(&self) {
        for &socket in &self.sockets {
            let (length, bytes) = (self.client.send_buffer_len(socket), self.client.send_buffer_bytes(socket));
            assert!(bytes <= self.max_send_buffer || length == 1, "{length} events of {bytes} bytes");
            let (length, bytes) = (self.client.retry_queue_len(socket), self.client.retry_queue_bytes(socket));
            assert!(bytes <= self.max_send_buffer || length == 1, "{length} events of {bytes} bytes");
            assert!(!self.client.is_connected(socket) || self.client.id(socket).is_some());
        }
    }

    fn end(&mut self) {
        self.client.discard(self.now);
        for socket in core::mem::take(&mut self.sockets) {
            self.client.remove(self.now, socket);
        }
        self.drain();
        assert!(self.client.is_drained(), "not drained");
        assert_eq!(self.client.poll_timeout(), None);
        assert!(!self.is_open && self.connected.is_empty(), "{:?}", self.connected);
        assert!(self.awaited.is_empty(), "I12: {:?}", self.awaited);
    }
}

/// Input: a seed, then the scenario.
pub fn socket_client_pair(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let seed = input.arbitrary::<u64>()?;
    let mut engine = engineio_proto::Config::default();
    engine.ping_interval = Duration::from_millis(300);
    engine.ping_timeout = Duration::from_millis(400);
    engine.close_timeout = Duration::from_secs(1);
    let mut client_engine = engineio_proto::client::Config::default();
    client_engine.close_timeout = Duration::from_secs(1);
    client_engine.upgrade_timeout = Duration::from_secs(1);
    let mut client = Config::default();
    client.reconnection_delay = Duration::from_millis(u64::from(input.arbitrary::<u8>()?));
    client.reconnection_delay_max = Duration::from_millis(300);
    client.randomization_factor = f64::from(input.arbitrary::<u8>()?) / 200.0;
    client.open_timeout = Some(Duration::from_secs(2));
    let bits = input.arbitrary::<u8>()?;
    let mut scenario = Reconnections {
        clients: usize::from(bits & 1) + 1,
        engine,
        server: socketio_proto::Config::default(),
        client_engine,
        client,
        recovery: (bits & 2 == 2).then(RecoveryConfig::default),
        retries: (bits & 4 == 4).then_some(Retries { count: u32::MAX, timeout: Duration::from_millis(300) }),
        network: NetworkSettings::default(),
        cuts: bits & 8 == 8,
        restless: bits & 16 == 16,
        span: Duration::from_millis(u64::from(input.int_in_range(0..=1999_u16)?)),
    };
    if scenario.cuts {
        scenario.network.lost_requests = u64::from(input.int_in_range(0..=49_u8)?);
        scenario.network.lost_links = u64::from(input.arbitrary::<u8>()?);
        scenario.network.slow_links = Duration::from_millis(u64::from(input.int_in_range(0..=49_u8)?));
    }
    if bits & 32 == 32 && scenario.restless {
        scenario.client_engine.limits.max_outbound = 1000 + usize::from(input.arbitrary::<u8>()?) * 8;
        scenario.client_engine.limits.soft_inbound = 100 + usize::from(input.arbitrary::<u8>()?) * 8;
        scenario.client.max_send_buffer = 100 + usize::from(input.arbitrary::<u8>()?) * 8;
        scenario.client.limits.max_awaited_acks = 1 + input.int_in_range(0..=7_usize)?;
    }
    if let Err(violation) = run_with_reconnections(seed, &scenario, true) {
        panic!("{seed}, {scenario:?}: {violation}");
    }
    Ok(())
}
