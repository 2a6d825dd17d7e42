//! Clients of an Engine.IO server.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

use engineio_proto::Message;

use super::client::ConnectError;
use super::line::{Dial, End, Line, Transport};
use super::world::World;
use crate::engine::EngineServer;

/// A client of an [`EngineServer`] that is about to connect.
#[must_use = "call `connect`"]
pub struct EngineConnect {
    world: World,
    dial: Dial<EngineServer>,
    transport: Transport,
}

/// How a session of an [`EngineServer`] ended, as its client sees it. The server's reason is in its
/// [`on_close`](EngineServer::on_close) handler.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Closed {
    /// The server closed it, or the connection was lost.
    ByServer {
        /// The code of the WebSocket's close frame: 1001 for a shutdown, for example, or 1009 for a message that is too large. `None`
        /// without a code, as [`EngineSocket::close`](crate::EngineSocket::close) sends it, and for a client that polls.
        code: Option<u16>,
    },
    /// The client closed or cut it.
    ByClient,
    /// A request of a client that polls was refused, because its session has ended or the request broke a rule.
    Refused {
        /// The status of the response.
        status: u16,
        /// Its body.
        body: String,
    },
}

impl EngineConnect {
    pub(super) const fn new(world: World, dial: Dial<EngineServer>) -> Self {
        Self { world, dial, transport: Transport::WebSocket }
    }

    /// Connects through HTTP requests. [`EngineClient::upgrade`] upgrades to a WebSocket. Default: a WebSocket from the start.
    pub const fn polling(mut self) -> Self {
        self.transport = Transport::Polling;
        self
    }

    /// Adds a header to all requests of the connection.
    ///
    /// # Panics
    /// If this is not the name and the value of a header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.dial.add_header(name, value);
        self
    }

    /// Adds a parameter to the query of the connection's requests.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.dial.add_parameter(name, value);
        self
    }

    /// Sets the address of the client, which handlers read with [`Handshake::address`](crate::Handshake::address). Default: none.
    pub const fn address(mut self, address: SocketAddr) -> Self {
        self.dial.address = Some(address);
        self
    }

    /// Connects, and waits for the server's answer.
    ///
    /// # Errors
    /// See [`ConnectError`]. `?` and `unwrap` show what the server said.
    #[track_caller]
    pub fn connect(self) -> Result<EngineClient, ConnectError> {
        let Self { world, dial, transport } = self;
        let line = Line::open(&dial, transport);
        line.wait_for_open(&world)?;
        world.settle();
        Ok(EngineClient { world, dial, line, inbox: VecDeque::new() })
    }
}

/// A client of an [`EngineServer`]. It answers pings by itself.
///
/// Its methods run the server until nothing is left to do. Those that wait for something let virtual time pass, at most the
/// [patience](super::TestServer::set_patience), and panic if it does not come. A client that is dropped stays connected;
/// [`EngineClient::close`] closes its session.
pub struct EngineClient {
    world: World,
    dial: Dial<EngineServer>,
    line: Line,
    /// What has arrived and was not read.
    inbox: VecDeque<Message>,
}

impl EngineClient {
    /// The id of the session.
    #[must_use]
    pub fn id(&self) -> String {
        self.line.sid().expect("the session is open")
    }

    /// How the client is connected now.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.line.transport().unwrap_or(Transport::Polling)
    }

    /// Whether the session is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.world.settle();
        self.line.end().is_none()
    }

    /// Sends a message: text or binary.
    pub fn send(&mut self, message: impl Into<Message>) {
        self.line.send([engineio_proto::Frame::message(message.into())]);
        self.world.settle();
    }

    /// Takes the oldest unread message. Waits for one if there is none.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn receive(&mut self) -> Message {
        let Self { world, line, inbox, .. } = self;
        let message = world.wait(|| {
            inbox.extend(std::iter::from_fn(|| line.receive()));
            // Nothing comes any more.
            if inbox.is_empty() && line.end().is_some() { Some(None) } else { inbox.pop_front().map(Some) }
        });
        message.flatten().unwrap_or_else(|| self.fail("a message"))
    }

    /// As [`EngineClient::receive`], for a message that is text.
    ///
    /// # Panics
    /// If no message comes, or a binary one.
    #[track_caller]
    pub fn receive_text(&mut self) -> String {
        match self.receive() {
            Message::Text(text) => text.to_string(),
            Message::Binary(data) => panic!("expected text, and received binary: {data:?}"),
        }
    }

    /// What has arrived and was not read, oldest first. No time passes, and it stays unread.
    #[must_use]
    pub fn unread(&mut self) -> Vec<Message> {
        self.world.settle();
        self.inbox.extend(std::iter::from_fn(|| self.line.receive()));
        self.inbox.iter().cloned().collect()
    }

    /// Asserts that no message is unread. No time passes.
    ///
    /// # Panics
    /// If there is one.
    #[track_caller]
    pub fn assert_nothing_unread(&mut self) {
        let unread = self.unread();
        assert!(unread.is_empty(), "expected no unread message, but there are {unread:?}");
    }

    /// Upgrades the session from polling to a WebSocket, and waits for the end of the upgrade.
    ///
    /// # Errors
    /// Why the upgrade failed. The client goes on polling, if the session is still open.
    pub fn upgrade(&mut self) -> Result<(), String> {
        self.line.upgrade(&self.world, &self.dial)
    }

    /// Closes the session.
    pub fn close(&mut self) {
        self.line.close();
        self.world.settle();
    }

    /// Cuts the connection, as a network does that fails; see [`Client::cut`](super::Client::cut).
    pub fn cut(&mut self) {
        self.line.cut();
        self.world.settle();
    }

    /// Stops reading. Pings stay unanswered; see [`Client::stop_reading`](super::Client::stop_reading).
    pub fn stop_reading(&mut self) {
        self.line.set_deaf(true);
        self.world.settle();
    }

    /// Reads again.
    pub fn resume_reading(&mut self) {
        self.line.set_deaf(false);
        self.world.settle();
    }

    /// Waits until the session has ended, and returns how. What has arrived before can still be read.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn closed(&mut self) -> Closed {
        match self.world.wait(|| self.line.end()) {
            Some(End::Closed { code }) => Closed::ByServer { code },
            Some(End::ByClient) => Closed::ByClient,
            Some(End::Refused { status, body }) => Closed::Refused { status, body },
            None => self.fail("the session to end"),
        }
    }

    /// Panics, because something did not come.
    #[track_caller]
    fn fail(&self, expected: &str) -> ! {
        let (patience, elapsed, seed) = (self.world.patience(), self.world.elapsed(), self.world.seed());
        let state = match self.line.end() {
            None => format!("is open, with the id {}", self.id()),
            Some(end) => format!("has ended: {end:?}"),
        };
        panic!(
            "expected {expected}, within {patience:?} of virtual time\n  unread: {:?}\n  the session {state}\n  {elapsed:?} have passed, seed {seed}",
            self.inbox
        )
    }
}

impl fmt::Debug for EngineConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConnect").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineClient").field("id", &self.line.sid()).finish_non_exhaustive()
    }
}
