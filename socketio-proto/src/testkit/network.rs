//! The network between clients and one server process: requests with connections of their own, links that keep their order, and faults.
//!
//! It knows no application. Each side is told what has arrived, and passes on what its machines want to send.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use engineio_proto::client::{Method, Transmit};
use engineio_proto::server::LinkDownCause;
use engineio_proto::testkit::{NetworkSettings, SimNet};
use engineio_proto::{ContentType, Frame, Instant, LinkId, LinkKind, Message, RequestId, Response, Text, framing};

/// An exchange or a link of one client: the number of the client, and the id that it has chosen.
pub(super) type Id = (usize, u64);

/// Something that arrives.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A request arrived at the server.
    Request(Id),
    /// A reply was written, as far as the server knows.
    Written(Id),
    /// The connection of a request was lost, as the server notices.
    AbortedAtServer(Id),
    /// The connection of a request was lost, as the client notices.
    FailedAtClient(Id),
    /// A response arrived at the client.
    Response(Id, Response),
    /// A request for a link arrived at the server.
    Dial(Id, Text),
    /// The server's answer to it arrived at the client.
    Up(Id),
    /// A part of a link's stream arrived at the server.
    ToServer(Id, Part),
    /// A part of a link's stream arrived at the client.
    ToClient(Id, Part),
    /// The connection of a request is cut now.
    CutRequest(Id),
    /// A link is cut now.
    CutLink(Id),
    /// Everything of a client is cut now.
    CutClient(usize),
    /// An action of the applications is due.
    Action,
}

/// A part of what a link carries.
#[derive(Debug)]
pub(super) enum Part {
    Message(Message),
    Bytes(Bytes),
    Down(LinkDownCause),
}

/// A request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) query: Text,
    /// The connection is cut.
    pub(super) cut: bool,
    /// The server has nothing more to do with it.
    pub(super) done: bool,
}

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) kind: LinkKind,
    /// Nothing more arrives on it, except the news.
    cut: bool,
    pub(super) closed_at_client: bool,
    closed_at_server: bool,
    /// The arrival of the last part in each direction: parts arrive in order.
    to_client: Instant,
    to_server: Instant,
}

/// The network, and the clock of the simulation.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) net: SimNet<Arrival>,
    pub(super) settings: NetworkSettings,
    pub(super) exchanges: BTreeMap<Id, Exchange>,
    pub(super) links: BTreeMap<Id, Link>,
    /// Until then, nothing that a client sends arrives, and nothing arrives at it.
    pub(super) unreachable: BTreeMap<usize, Instant>,
}

impl Network {
    pub(super) fn new(seed: u64, settings: NetworkSettings) -> Self {
        Self {
            net: SimNet::new(seed),
            settings,
            exchanges: BTreeMap::new(),
            links: BTreeMap::new(),
            unreachable: BTreeMap::new(),
        }
    }

    pub(super) const fn now(&self) -> Instant {
        self.net.now()
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = (self.settings.least_delay, self.settings.most_delay);
        self.net.random().duration(least, most)
    }

    fn is_reachable(&self, client: usize) -> bool {
        self.unreachable.get(&client).is_none_or(|&until| until <= self.now())
    }

    fn send(&mut self, id: Id, item: Arrival) {
        let delay = self.delay();
        if self.is_reachable(id.0) {
            self.net.send(delay, item);
        }
    }

    /// Performs an output of a client.
    pub(super) fn perform(&mut self, client: usize, transmit: Transmit) {
        match transmit {
            Transmit::Request { request: RequestId(request), method, query } => {
                let id = (client, request);
                self.exchanges.insert(id, Exchange { method, query, cut: false, done: false });
                self.send(id, Arrival::Request(id));
                if self.net.random().chance(self.settings.lost_requests) {
                    // At any time from before its arrival to long after its answer.
                    let most = self.settings.most_delay.saturating_mul(8);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Arrival::CutRequest(id));
                }
            }
            Transmit::Cancel { request: RequestId(request) } => {
                if let Some(exchange) = self.exchanges.get_mut(&(client, request)) {
                    exchange.cut = true;
                    self.send((client, request), Arrival::AbortedAtServer((client, request)));
                }
            }
            Transmit::Connect { link: LinkId(link), kind, query } => {
                let (id, now) = ((client, link), self.now());
                let (closed_at_client, closed_at_server) = (false, false);
                let link =
                    Link { kind, cut: false, closed_at_client, closed_at_server, to_client: now, to_server: now };
                self.links.insert(id, link);
                self.send(id, Arrival::Dial(id, query));
                if self.net.random().chance(self.settings.lost_links) {
                    let most = self.settings.most_delay.saturating_mul(16);
                    let delay = self.net.random().duration(Duration::ZERO, most);
                    self.net.send(delay, Arrival::CutLink(id));
                }
            }
            Transmit::Link { link: LinkId(link), frame } => {
                let id = (client, link);
                if self.links.get(&id).is_some_and(|link| !link.closed_at_client) {
                    for part in self.parts(id, &frame) {
                        self.send_to_server(id, part);
                    }
                }
            }
            Transmit::CloseLink { link: LinkId(link) } => self.close_at_client((client, link), LinkDownCause::Closed),
            _ => {}
        }
    }

    /// Sends a response. The server is told when it is written.
    pub(super) fn respond(&mut self, id: Id, response: Response) {
        if self.exchanges.get(&id).is_some_and(|exchange| !exchange.cut) {
            self.send(id, Arrival::Written(id));
            self.send(id, Arrival::Response(id, response));
        }
    }

    /// Sends a packet of the server.
    pub(super) fn send_frame(&mut self, id: Id, frame: &Frame) {
        for part in self.parts(id, frame) {
            self.send_to_client(id, part);
        }
    }

    pub(super) fn close_at_client(&mut self, id: Id, cause: LinkDownCause) {
        if let Some(link) = self.links.get_mut(&id)
            && !core::mem::replace(&mut link.closed_at_client, true)
        {
            self.send_to_server(id, Part::Down(cause));
        }
    }

    pub(super) fn close_at_server(&mut self, id: Id, cause: LinkDownCause) {
        if let Some(link) = self.links.get_mut(&id)
            && !core::mem::replace(&mut link.closed_at_server, true)
        {
            self.send_to_client(id, Part::Down(cause));
        }
    }

    /// Sends the answer to a request for a link, before everything else on it.
    pub(super) fn send_up(&mut self, id: Id) {
        let at = self.now() + self.delay();
        if let Some(link) = self.links.get_mut(&id) {
            link.to_client = at.max(link.to_client);
            let at = link.to_client;
            if self.is_reachable(id.0) {
                self.net.send_at(at, Arrival::Up(id));
            }
        }
    }

    fn send_to_client(&mut self, id: Id, part: Part) {
        let at = self.now() + self.delay() + self.settings.slow_links;
        if let Some(link) = self.links.get_mut(&id).filter(|link| !link.cut) {
            link.to_client = at.max(link.to_client);
            let at = link.to_client;
            if self.is_reachable(id.0) {
                self.net.send_at(at, Arrival::ToClient(id, part));
            } else {
                // A stream has no gaps: what comes later does not arrive either.
                self.cut_link(id, false);
            }
        }
    }

    fn send_to_server(&mut self, id: Id, part: Part) {
        let at = self.now() + self.delay() + self.settings.slow_links;
        if let Some(link) = self.links.get_mut(&id).filter(|link| !link.cut) {
            link.to_server = at.max(link.to_server);
            let at = link.to_server;
            if self.is_reachable(id.0) {
                self.net.send_at(at, Arrival::ToServer(id, part));
            } else {
                self.cut_link(id, false);
            }
        }
    }

    /// The parts that carry a packet: one message, or pieces of a stream.
    fn parts(&mut self, id: Id, frame: &Frame) -> Vec<Part> {
        let packet = Bytes::from([frame.head(), frame.data()].concat());
        if self.links.get(&id).is_some_and(|link| link.kind == LinkKind::WebSocket) {
            let text = if frame.is_binary() { None } else { Text::try_from(packet.clone()).ok() };
            return alloc::vec![Part::Message(text.map_or(Message::Binary(packet), Message::Text))];
        }
        let mut stream = Bytes::from([framing::header(frame).as_bytes(), &packet].concat());
        let mut parts = Vec::new();
        while !stream.is_empty() {
            let most = if self.net.random().chance(500) { 4 } else { stream.len() };
            let length = self.net.random().index(most).saturating_add(1).min(stream.len());
            parts.push(Part::Bytes(stream.split_to(length)));
        }
        parts
    }

    /// Cuts the connection of a request. Each end notices after a delay of its own.
    pub(super) fn cut_request(&mut self, id: Id) {
        if let Some(exchange) = self.exchanges.get_mut(&id)
            && !core::mem::replace(&mut exchange.cut, true)
        {
            let (server, client) = (self.delay(), self.delay());
            self.net.send(server, Arrival::AbortedAtServer(id));
            self.net.send(client, Arrival::FailedAtClient(id));
        }
    }

    /// Cuts a link: nothing more arrives on it. With `notice`, each end notices after a delay of its own. Otherwise, its heartbeat does.
    pub(super) fn cut_link(&mut self, id: Id, notice: bool) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.cut) else { return };
        link.cut = true;
        let (at_client, at_server) = (!link.closed_at_client, !link.closed_at_server);
        if notice {
            let (server, client) = (self.delay(), self.delay());
            if at_client {
                self.net.send(client, Arrival::ToClient(id, Part::Down(LinkDownCause::Failed)));
            }
            if at_server {
                self.net.send(server, Arrival::ToServer(id, Part::Down(LinkDownCause::Failed)));
            }
        }
    }

    /// Cuts everything of a client.
    pub(super) fn cut_client(&mut self, client: usize, notice: bool) {
        for id in self.open_links(client) {
            self.cut_link(id, notice);
        }
        let open = |(id, exchange): (&Id, &Exchange)| (id.0 == client && !exchange.cut).then_some(*id);
        let open: Vec<Id> = self.exchanges.iter().filter_map(open).collect();
        for id in open {
            if notice {
                self.cut_request(id);
            } else if let Some(exchange) = self.exchanges.get_mut(&id) {
                exchange.cut = true;
                // HTTP clients have timeouts.
                self.net.send(Duration::from_secs(2), Arrival::FailedAtClient(id));
                self.net.send(Duration::from_secs(2), Arrival::AbortedAtServer(id));
            }
        }
    }

    /// Whether a part that arrives at the client is taken there. The end of a link is taken once.
    pub(super) fn is_taken_by_client(&mut self, id: Id, part: &Part) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.closed_at_client) else { return false };
        let is_end = matches!(part, Part::Down(_));
        link.closed_at_client = is_end;
        is_end || !link.cut
    }

    /// Whether a part that arrives at the server is taken there.
    pub(super) fn is_taken_by_server(&mut self, id: Id, part: &Part) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.closed_at_server) else { return false };
        let is_end = matches!(part, Part::Down(_));
        link.closed_at_server = is_end;
        is_end || !link.cut
    }

    fn open_links(&self, client: usize) -> Vec<Id> {
        let open = |(id, link): (&Id, &Link)| {
            (id.0 == client && !link.cut && !(link.closed_at_client && link.closed_at_server)).then_some(*id)
        };
        self.links.iter().filter_map(open).collect()
    }

    /// Cuts everything of a client while what is sent now may be on its way.
    pub(super) fn cut_client_soon(&mut self, client: usize) {
        let delay = self.delay();
        self.net.send(delay, Arrival::CutClient(client));
    }

    /// The server's process has ended: its clients notice.
    pub(super) fn cut_server(&mut self, clients: usize) {
        for client in 0..clients {
            self.cut_client(client, true);
        }
    }

    /// The content type of a response.
    pub(super) fn content_type(response: &Response) -> ContentType {
        let content_type = response.headers().iter().find(|(name, _)| *name == "content-type");
        ContentType::from_response_header(content_type.map(|(_, value)| value.as_bytes()))
    }
}
