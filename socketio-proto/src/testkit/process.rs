//! A server process on the simulated [`Network`]: it routes requests, keeps its sessions, and can end at any time.

use alloc::collections::{BTreeMap, VecDeque};

use engineio_proto::client::Method;
use engineio_proto::server::{
    Handshake, Incoming, IncomingOutcome, Input, LinkDownCause, Refusal, RequestKind, Route, Server, Transmit,
};
use engineio_proto::{Arc, ContentType, Instant, LinkId, LinkKind, RequestHead, RequestId, Response, Sid, Text};

use super::network::{Arrival, Id, Network, Part};
use crate::config::Config;
use crate::event::Event;
use crate::parser::Json;
use crate::server::Connection;

/// A session.
pub(super) struct Peer {
    pub(super) client: usize,
    pub(super) connection: Connection,
    /// What links have delivered, and the connection does not want yet.
    unread: VecDeque<(Id, Part)>,
}

/// The process.
pub(super) struct Process {
    server: Server,
    config: Arc<Config>,
    pub(super) peers: BTreeMap<Sid, Peer>,
    /// The sessions of requests and links.
    homes: BTreeMap<Id, Sid>,
    /// WebTransport sessions before their first packet.
    incoming: BTreeMap<Id, Incoming>,
    sessions: u64,
    /// Until then, the process does not run.
    pub(super) starts_at: Instant,
}

impl Process {
    pub(super) fn new(engine: engineio_proto::Config, config: Config) -> Self {
        Self {
            server: Server::new(engine),
            config: Arc::new(config),
            peers: BTreeMap::new(),
            homes: BTreeMap::new(),
            incoming: BTreeMap::new(),
            sessions: 0,
            starts_at: Instant::ZERO,
        }
    }

    /// Ends the process. It starts again later, and knows nothing of its sessions.
    pub(super) fn restart(&mut self, starts_at: Instant) {
        self.starts_at = starts_at;
        (self.peers, self.homes, self.incoming) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    }

    /// Handles what has arrived at the server.
    pub(super) fn arrive(&mut self, network: &mut Network, arrival: Arrival) {
        let runs = network.now() >= self.starts_at;
        match arrival {
            Arrival::Request(id) if runs => self.request(network, id),
            Arrival::Request(id) => network.cut_request(id),
            Arrival::Written(id) => self.ended(network, id, Input::Replied { request: RequestId(id.1) }),
            Arrival::AbortedAtServer(id) => self.ended(network, id, Input::Aborted { request: RequestId(id.1) }),
            Arrival::Dial(id, query) if runs => self.dial(network, id, &query),
            Arrival::Dial(id, _) => network.close_at_server(id, LinkDownCause::Failed),
            Arrival::ToServer(id, part) if network.is_taken_by_server(id, &part) => self.part(network, id, part),
            _ => {}
        }
    }

    fn handle(&mut self, network: &Network, id: Id, input: Input) {
        if let Some(peer) = self.homes.get(&id).and_then(|sid| self.peers.get_mut(sid)) {
            peer.connection.handle(network.now(), input);
        }
    }

    fn request(&mut self, network: &mut Network, id: Id) {
        let Some(exchange) = network.exchanges.get(&id).filter(|exchange| !exchange.cut) else { return };
        let (method, body) = match &exchange.method {
            Method::Post { body, content_type } => ("POST", Some((body.clone(), *content_type))),
            _ => ("GET", None),
        };
        let head = RequestHead { method, query: &exchange.query, origin: None, websocket: false };
        let admitted = match self.server.route(&head) {
            Route::Open(handshake) => {
                self.open(network.now(), id, handshake);
                Ok(RequestKind::Get)
            }
            Route::Session { sid, session_request } => self
                .peers
                .get(&sid)
                .ok_or_else(|| session_request.refuse(Refusal::UnknownSid))
                .and_then(|peer| peer.connection.session().admit(&session_request))
                .map(|()| {
                    self.homes.insert(id, sid);
                    session_request.kind()
                }),
            Route::Reply(response) => Err(response),
            _ => return,
        };
        let request = RequestId(id.1);
        match (admitted, body) {
            (Err(response), _) => Self::refuse(network, id, response),
            (Ok(RequestKind::Get), _) => self.handle(network, id, Input::Get { request }),
            (Ok(_), body) => {
                let (body, content_type) = body.unwrap_or_else(|| (Text::new().into_bytes(), ContentType::Text));
                self.handle(network, id, Input::Post { request, content_type });
                self.handle(network, id, Input::Body { request, body });
            }
        }
    }

    fn refuse(network: &mut Network, id: Id, response: Response) {
        network.respond(id, response);
        if let Some(exchange) = network.exchanges.get_mut(&id) {
            exchange.done = true;
        }
    }

    /// The server is done with a request.
    fn ended(&mut self, network: &mut Network, id: Id, input: Input) {
        if let Some(exchange) = network.exchanges.get_mut(&id)
            && !core::mem::replace(&mut exchange.done, true)
        {
            self.handle(network, id, input);
        }
    }

    fn open(&mut self, now: Instant, id: Id, handshake: Handshake) {
        self.sessions = self.sessions.saturating_add(1);
        let mut secret = [0; 15];
        for (byte, part) in secret.iter_mut().zip(self.sessions.to_le_bytes()) {
            *byte = part;
        }
        let sid = Sid::from_random(secret);
        let connection = Connection::new(now, handshake.accept(now, sid), Json, Arc::clone(&self.config));
        self.peers.insert(sid, Peer { client: id.0, connection, unread: VecDeque::new() });
        self.homes.insert(id, sid);
    }

    fn dial(&mut self, network: &mut Network, id: Id, query: &str) {
        if network.links.get(&id).is_some_and(|link| link.kind == LinkKind::WebTransport) {
            self.incoming.insert(id, self.server.incoming(network.now()));
            return network.send_up(id);
        }
        let head = RequestHead { method: "GET", query, origin: None, websocket: true };
        let admitted = match self.server.route(&head) {
            Route::Open(handshake) => {
                self.open(network.now(), id, handshake);
                true
            }
            Route::Session { sid, session_request } => {
                self.homes.insert(id, sid);
                self.peers.get(&sid).is_some_and(|peer| peer.connection.session().admit(&session_request).is_ok())
            }
            _ => false,
        };
        if admitted {
            network.send_up(id);
        }
        self.decided(network, id, LinkKind::WebSocket, admitted);
    }

    fn decided(&mut self, network: &mut Network, id: Id, kind: LinkKind, admitted: bool) {
        if admitted {
            self.handle(network, id, Input::LinkUp { link: LinkId(id.1), kind });
        } else {
            network.close_at_server(id, LinkDownCause::Failed);
        }
    }

    fn part(&mut self, network: &mut Network, id: Id, part: Part) {
        let Some(mut incoming) = self.incoming.remove(&id) else {
            if let Some(peer) = self.homes.get(&id).and_then(|sid| self.peers.get_mut(sid)) {
                peer.unread.push_back((id, part));
            }
            return;
        };
        if let Part::Bytes(bytes) = part {
            incoming.handle(bytes);
            self.poll_incoming(network, id, incoming);
        } else {
            network.close_at_server(id, LinkDownCause::Failed);
        }
    }

    /// Checks whether a WebTransport session has sent its first packet.
    fn poll_incoming(&mut self, network: &mut Network, id: Id, mut incoming: Incoming) {
        let Some(outcome) = incoming.poll() else {
            self.incoming.insert(id, incoming);
            return;
        };
        let admitted = match outcome {
            IncomingOutcome::Open(handshake) => {
                self.open(network.now(), id, handshake);
                true
            }
            IncomingOutcome::Attach { sid, session_request } => {
                self.homes.insert(id, sid);
                self.peers.get(&sid).is_some_and(|peer| peer.connection.session().admit(&session_request).is_ok())
            }
            _ => false,
        };
        self.decided(network, id, LinkKind::WebTransport, admitted);
        let rest = incoming.into_rest();
        if admitted && !rest.is_empty() {
            self.handle(network, id, Input::LinkBytes { link: LinkId(id.1), chunk: rest });
        }
    }

    /// Passes on what the sessions want to send, and to the sessions what they want to read. Forgets sessions that have ended.
    pub(super) fn settle(&mut self, network: &mut Network) {
        for peer in self.peers.values_mut() {
            loop {
                while let Some(transmit) = peer.connection.poll_transmit() {
                    match transmit {
                        Transmit::Reply { request, response } => network.respond((peer.client, request.0), response),
                        Transmit::Link { link, frame } => network.send_frame((peer.client, link.0), &frame),
                        Transmit::CloseLink { link } => {
                            network.close_at_server((peer.client, link.0), LinkDownCause::Closed);
                        }
                        _ => {}
                    }
                }
                if !peer.connection.wants_input() {
                    break;
                }
                let Some(((_, link), part)) = peer.unread.pop_front() else { break };
                let link = LinkId(link);
                let input = match part {
                    Part::Message(message) => Input::LinkMessage { link, message },
                    Part::Bytes(chunk) => Input::LinkBytes { link, chunk },
                    Part::Down(cause) => Input::LinkDown { link, cause },
                };
                peer.connection.handle(network.now(), input);
            }
        }
        self.peers.retain(|_, peer| !peer.connection.is_drained());
    }

    /// The next event of any session.
    pub(super) fn poll_event(&mut self) -> Option<(Sid, usize, Event)> {
        self.peers.iter_mut().find_map(|(&sid, peer)| Some((sid, peer.client, peer.connection.poll_event()?)))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.peers.values().filter_map(|peer| peer.connection.poll_timeout());
        sessions.chain(self.incoming.values().filter_map(Incoming::poll_timeout)).min()
    }

    pub(super) fn handle_timeout(&mut self, network: &mut Network) {
        let now = network.now();
        for peer in self.peers.values_mut() {
            peer.connection.handle_timeout(now);
        }
        for (id, mut incoming) in core::mem::take(&mut self.incoming) {
            incoming.handle_timeout(now);
            self.poll_incoming(network, id, incoming);
        }
    }
}
