//! Counters of a server, and the plain values that the application reads.
//!
//! A turn of a peer's task counts on its stack, and adds the sums to the server's counters once, at its end: at most four additions to
//! relaxed atomics in memory that all cores share, for all packets of the turn. What happens once in a session's life, or is a fault, is
//! counted by name under a lock. What the tables of the server know (sessions, queues, sockets, rooms) is not counted, but looked up when
//! the application asks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use engineio_proto::server::Refusal;
use engineio_proto::{CloseReason, ParseError, TransportError};
use serde::Serialize;
use socketio_proto::Fault;

use crate::handler::Ended;
use crate::sync::lock;

/// Numbers of things by kind. The names of kinds never change.
pub type Counts = BTreeMap<&'static str, u64>;

/// Counters of an Engine.IO server, since it was built; those that say *now* are of this moment. Returned by
/// [`EngineServer::metrics`](crate::EngineServer::metrics) and [`Server::metrics`](crate::Server::metrics).
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct EngineMetrics {
    /// Sessions that are open now.
    pub sessions: u64,
    /// Timers that are set now: one for each session, and one for the namespaces if acks or lost sockets are waited for.
    pub timers: u64,
    /// Sessions that were opened.
    pub sessions_opened: u64,
    /// Sessions that were upgraded from polling to a link.
    pub sessions_upgraded: u64,
    /// Sessions that have ended, by the reason of [`CloseReason`]: `transport close`, `ping timeout`, `forced close`, `transport error`,
    /// `parse error`. And `dropped`: the runtime has dropped the session's task.
    pub sessions_closed: Counts,
    /// What has ended sessions as a violation of a rule or a limit, by kind: those of [`TransportError`], [`ParseError`] and, in Socket.IO,
    /// [`Fault`]. A session counts once, with the more detailed one.
    pub faults: Counts,
    /// Requests that were refused, by reason: the message of the reference's code (`Session ID unknown`, `Forbidden`, ..), or the status of
    /// a response without a code (`status 431`, ..).
    pub refused: Counts,
    /// Received packets, of all types: messages of links, and packets in the bodies of POSTs. A body of revision 3 counts as one, and so
    /// do the bytes of one read of a WebTransport stream.
    pub packets_in: u64,
    /// Their bytes, without headers of HTTP and WebSocket, and the length of bodies.
    pub bytes_in: u64,
    /// Sent packets, of all types.
    pub packets_out: u64,
    /// Their bytes, as in `bytes_in`.
    pub bytes_out: u64,
    /// Handlers and middleware that wait now, of open sessions.
    pub handlers_waiting: u64,
    /// Handlers that returned an error, or were not started because their arguments could not be read.
    pub handlers_failed: u64,
    /// Handlers and middleware that panicked.
    pub handlers_panicked: u64,
    /// Bytes that wait to be sent now, in the queues of all sessions. A packet counts its own bytes and 40 more.
    pub queued_bytes: u64,
    /// The bytes in the longest of these queues.
    pub longest_queue: u64,
    /// Packets that did not fit in the queue of a session (`limits.max_outbound`), which is closed then. Broadcasts may count several for one
    /// session, until its task has closed it.
    pub queues_overflowed: u64,
}

/// Counters of a Socket.IO server, since it was built; those that say *now* are of this moment. Returned by
/// [`Server::metrics`](crate::Server::metrics).
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Those of its sessions.
    pub engine: EngineMetrics,
    /// Namespaces that exist now.
    pub namespaces: u64,
    /// Sockets that are connected now, on all namespaces.
    pub sockets: u64,
    /// Rooms that exist now, on all namespaces. The room of each socket's own id counts.
    pub rooms: u64,
    /// Broadcasts with acks whose answers are awaited now.
    pub broadcasts_awaited: u64,
    /// Sockets that have lost their connection and may return (connection state recovery), now.
    pub recoverable_sockets: u64,
    /// Packets that are kept for these now.
    pub recovery_packets: u64,
    /// The bytes of these sockets and packets, as counted for the limits of [`Recovery`](crate::Recovery).
    pub recovery_bytes: u64,
    /// Sockets that were connected.
    pub sockets_connected: u64,
    /// Requests to join a namespace that were refused, by the application or because the namespace does not exist.
    pub connects_refused: u64,
    /// Emits to more than one socket: to a namespace, a room or several, whether or not there were recipients.
    pub broadcasts: u64,
    /// Recipients of these, together.
    pub recipients: u64,
}

/// What a turn has transported.
#[derive(Default)]
pub(crate) struct Traffic {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
}

impl Traffic {
    #[inline]
    pub(crate) fn received(&mut self, bytes: usize) {
        self.packets_in = self.packets_in.wrapping_add(1);
        self.bytes_in = self.bytes_in.wrapping_add(number(bytes));
    }

    #[inline]
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.packets_out = self.packets_out.wrapping_add(1);
        self.bytes_out = self.bytes_out.wrapping_add(number(bytes));
    }

    /// The number of packets that were sent.
    #[inline]
    pub(crate) fn packets_sent(&self) -> u64 {
        self.packets_out
    }

    /// A body with packets that was sent.
    pub(crate) fn body_sent(&mut self, body: &[u8]) {
        self.packets_out = self.packets_out.wrapping_add(packets(body));
        self.bytes_out = self.bytes_out.wrapping_add(number(body.len()));
    }

    /// A body with packets: that of a POST on a server, and of the response to a GET on a client.
    pub(crate) fn body_received(&mut self, body: &[u8]) {
        self.packets_in = self.packets_in.wrapping_add(packets(body));
        self.bytes_in = self.bytes_in.wrapping_add(number(body.len()));
    }

    /// The response to a request of a session: packets, unless it confirms a POST.
    pub(crate) fn reply_sent(&mut self, body: &[u8]) {
        if body != b"ok" {
            self.body_sent(body);
        }
    }
}

/// The number of packets in a body of revision 4.
fn packets(body: &[u8]) -> u64 {
    const SEPARATOR: u8 = 0x1e;
    if body.is_empty() {
        return 0;
    }
    // The separators of 255 bytes fit into one byte, so that the compiler compares and adds many of them at once.
    let separators = |bytes: &[u8]| {
        let count = |count: u8, byte: &u8| count.wrapping_add(u8::from(*byte == SEPARATOR));
        u64::from(bytes.iter().fold(0, count))
    };
    body.chunks(255).map(separators).sum::<u64>().saturating_add(1)
}

fn number(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A counter that tasks of all cores increment.
#[derive(Default, Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.add_number(number(count));
    }

    #[inline]
    fn add_number(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn subtract(&self, count: usize) {
        self.0.fetch_sub(number(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of a server. Aligned, so that they share no cache line with what is only read.
#[derive(Default, Debug)]
#[repr(align(128))]
pub(crate) struct Counters {
    packets_in: Counter,
    bytes_in: Counter,
    packets_out: Counter,
    bytes_out: Counter,
    handlers_waiting: Counter,
    pub(crate) handlers_failed: Counter,
    pub(crate) handlers_panicked: Counter,
    pub(crate) sessions_opened: Counter,
    pub(crate) sessions_upgraded: Counter,
    pub(crate) sockets_connected: Counter,
    pub(crate) connects_refused: Counter,
    pub(crate) broadcasts: Counter,
    pub(crate) recipients: Counter,
    pub(crate) queues_overflowed: Counter,
    /// No other lock is taken while one of these is held.
    closed: Mutex<Counts>,
    faults: Mutex<Counts>,
    refused: Mutex<Counts>,
}

impl Counters {
    /// Adds what a turn has transported.
    #[inline]
    pub(crate) fn transported(&self, traffic: &Traffic) {
        self.packets_in.add_number(traffic.packets_in);
        self.bytes_in.add_number(traffic.bytes_in);
        self.packets_out.add_number(traffic.packets_out);
        self.bytes_out.add_number(traffic.bytes_out);
    }

    /// The waiting handlers of a session were `before`, and are `now`.
    #[cold]
    pub(crate) fn waiting_changed(&self, before: usize, now: usize) {
        match now.checked_sub(before) {
            Some(more) => self.handlers_waiting.add(more),
            None => self.handlers_waiting.subtract(before.saturating_sub(now)),
        }
    }

    /// A handler has ended.
    pub(crate) fn handler_ended<T>(&self, ended: &Ended<Result<(), T>>) {
        match ended {
            Ended::Returned(Ok(())) => {}
            Ended::Returned(Err(_)) | Ended::NotStarted(_) => self.handlers_failed.add(1),
            Ended::Panicked(_) => self.handlers_panicked.add(1),
        }
    }

    /// A session has ended. `fault` is the violation of Socket.IO that has ended it.
    pub(crate) fn session_closed(&self, reason: CloseReason, fault: Option<&Fault>) {
        count(&self.closed, reason.as_str());
        let fault = match (fault, reason) {
            (Some(fault), _) => fault_name(fault),
            (None, CloseReason::TransportError(error)) => transport_error_name(error),
            (None, CloseReason::ParseError(error)) => parse_error_name(error),
            _ => return,
        };
        count(&self.faults, fault);
    }

    /// The task of an open session was dropped.
    pub(crate) fn session_dropped(&self) {
        count(&self.closed, "dropped");
    }

    /// A request was answered with this status and body. Returns the name that it is counted with.
    #[cold]
    pub(crate) fn request_refused(&self, status: u16, body: &[u8]) -> &'static str {
        let name = refusal_name(status, body);
        count(&self.refused, name);
        name
    }

    /// The values of the counters. `sessions`, `timers`, `queued_bytes` and `longest_queue` are not known here.
    pub(crate) fn read(&self) -> EngineMetrics {
        EngineMetrics {
            sessions: 0,
            timers: 0,
            sessions_opened: self.sessions_opened.get(),
            sessions_upgraded: self.sessions_upgraded.get(),
            sessions_closed: lock(&self.closed).clone(),
            faults: lock(&self.faults).clone(),
            refused: lock(&self.refused).clone(),
            packets_in: self.packets_in.get(),
            bytes_in: self.bytes_in.get(),
            packets_out: self.packets_out.get(),
            bytes_out: self.bytes_out.get(),
            handlers_waiting: self.handlers_waiting.get(),
            handlers_failed: self.handlers_failed.get(),
            handlers_panicked: self.handlers_panicked.get(),
            queued_bytes: 0,
            longest_queue: 0,
            queues_overflowed: self.queues_overflowed.get(),
        }
    }
}

fn count(counts: &Mutex<Counts>, name: &'static str) {
    let mut counts = lock(counts);
    let count = counts.entry(name).or_default();
    *count = count.saturating_add(1);
}

/// The name of a refusal: its message, or the status of a response without a code.
fn refusal_name(status: u16, body: &[u8]) -> &'static str {
    // Over HTTP, the body is an object with the code first. In a refused upgrade, it is the message.
    let codes = [
        (Refusal::UnknownTransport, "Transport unknown"),
        (Refusal::UnknownSid, "Session ID unknown"),
        (Refusal::BadHandshakeMethod, "Bad handshake method"),
        (Refusal::BadRequest, "Bad request"),
        (Refusal::Forbidden(""), "Forbidden"),
        (Refusal::UnsupportedVersion, "Unsupported protocol version"),
    ];
    match status {
        503 => return "Service unavailable",
        403 => return "Forbidden",
        _ => {}
    }
    let code = body.strip_prefix(br#"{"code":"#).and_then(|rest| rest.first()).map(|digit| digit.wrapping_sub(b'0'));
    for (refusal, name) in codes {
        if code == Some(refusal.code()) || body == name.as_bytes() {
            return name;
        }
    }
    match status {
        400 => "status 400",
        405 => "status 405",
        413 => "status 413",
        426 => "status 426",
        431 => "status 431",
        500 => "status 500",
        _ => "other status",
    }
}

fn transport_error_name(error: TransportError) -> &'static str {
    match error {
        TransportError::PollOverlap => "two polls at once",
        TransportError::PostOverlap => "two posts at once",
        TransportError::PollAborted => "poll aborted",
        TransportError::PostAborted => "post aborted",
        TransportError::InvalidContent => "invalid content type",
        TransportError::PayloadTooLarge => "payload too large",
        TransportError::TooManyChunks => "too many chunks",
        TransportError::BodyTimeout => "body timeout",
        TransportError::HeartbeatDirection => "ping of a client",
        TransportError::LinkFailed => "link failed",
        TransportError::InboundOverflow => "unread input over limit",
        TransportError::Stalled => "application stalled",
        TransportError::NeverOpened => "never opened",
        _ => "other transport error",
    }
}

fn parse_error_name(error: ParseError) -> &'static str {
    match error {
        ParseError::Empty => "empty engine packet",
        ParseError::UnknownType => "unknown engine packet type",
        ParseError::Base64 => "invalid base64",
        ParseError::Utf8 => "invalid UTF-8",
        ParseError::Length => "invalid packet length",
        ParseError::EmptyFrame => "empty frame",
        ParseError::FrameTooLarge => "frame too large",
        _ => "other parse error",
    }
}

fn fault_name(fault: &Fault) -> &'static str {
    match fault {
        Fault::InvalidPacket(_) => "invalid packet",
        Fault::NotJoined => "packet for a namespace not joined",
        Fault::ConnectedTwice => "connected twice",
        Fault::UnexpectedPacket => "unexpected packet",
        _ => "other fault",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_names_of_their_codes_over_http_and_in_upgrades() {
        for refusal in [
            Refusal::UnknownTransport,
            Refusal::UnknownSid,
            Refusal::BadHandshakeMethod,
            Refusal::BadRequest,
            Refusal::Forbidden("no"),
            Refusal::UnsupportedVersion,
            Refusal::Unavailable,
        ] {
            let expected =
                if refusal == Refusal::Forbidden("no") { "Forbidden".to_owned() } else { refusal.to_string() };
            for upgrade in [false, true] {
                let response = refusal.response(upgrade);
                assert_eq!(refusal_name(response.status(), response.body()), expected);
            }
        }
        assert_eq!(refusal_name(431, b"the head of the request is too large"), "status 431");
    }

    #[test]
    fn bodies_are_counted_by_packets() {
        assert_eq!([packets(b""), packets(b"2"), packets(b"4a\x1e4b\x1e4c")], [0, 1, 3]);
        assert_eq!(packets(&[0x1e; 1000]), 1001);
    }
}
