//! Events that have arrived and that no step has taken yet.

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::wire::http::Response;
use crate::wire::packets::Payload;
use crate::wire::{hexadecimal, printable};

/// Something that the peer did.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Packet(Payload),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The 101 of a WebSocket. A script need not expect it.
    Opened(Response),
    Answer(Response),
    /// The end. `code` is the code of a WebSocket close frame.
    Closed {
        code: Option<u16>,
        how: String,
    },
}

impl Event {
    pub(crate) fn closed(how: impl Into<String>) -> Self {
        Self::Closed { code: None, how: how.into() }
    }

    /// A description for reports.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Packet(payload) => payload.describe(),
            Self::Ping(payload) => format!("ping {}", printable(payload)),
            Self::Pong(payload) => format!("pong {}", printable(payload)),
            Self::Opened(_) => "the WebSocket was opened".to_owned(),
            Self::Answer(response) => format!("the answer {}", response.summary()),
            Self::Closed { code: Some(code), how } => format!("closed with code {code}: {how}"),
            Self::Closed { code: None, how } => format!("closed: {how}"),
        }
    }
}

/// An event and the time of its arrival.
#[derive(Clone, Debug)]
pub(crate) struct TimedEvent {
    pub(crate) at: Instant,
    pub(crate) event: Event,
}

/// The sending end of an [`Inbox`].
#[derive(Clone, Debug)]
pub(crate) struct EventSender(UnboundedSender<TimedEvent>);

impl EventSender {
    pub(crate) fn send(&self, event: Event) {
        self.send_at(TimedEvent { at: Instant::now(), event });
    }

    pub(crate) fn send_at(&self, arrived: TimedEvent) {
        // The receiver is dropped when the case is over.
        let _ = self.0.send(arrived);
    }
}

/// Events in order. Once the end is taken, every later call returns it again.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: UnboundedReceiver<TimedEvent>,
    end: Option<TimedEvent>,
}

impl Inbox {
    pub(crate) fn new() -> (EventSender, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (EventSender(sender), Self { receiver, end: None })
    }

    /// The next event, or `None` if none arrives before the deadline.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Option<TimedEvent> {
        if let Some(end) = &self.end {
            return Some(end.clone());
        }
        let arrived = match timeout_at(deadline, self.receiver.recv()).await {
            Ok(Some(arrived)) => arrived,
            // The script has ended its task.
            Ok(None) => TimedEvent { at: Instant::now(), event: Event::closed("by this script") },
            Err(_) => return None,
        };
        Some(self.remember_end(arrived))
    }

    fn remember_end(&mut self, arrived: TimedEvent) -> TimedEvent {
        if matches!(arrived.event, Event::Closed { .. }) {
            self.end = Some(arrived.clone());
        }
        arrived
    }

    /// Returns an event that has already arrived.
    pub(crate) fn try_next(&mut self) -> Option<TimedEvent> {
        let arrived = self.receiver.try_recv().ok()?;
        Some(self.remember_end(arrived))
    }
}

/// A task that is aborted when its owner is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Formats packets for a transcript.
pub(crate) fn describe_packets(packets: &[Payload]) -> String {
    packets.iter().map(Payload::describe).collect::<Vec<_>>().join("  ")
}

/// Formats a frame for a transcript.
pub(crate) fn describe_frame(frame: &crate::wire::websocket::Frame) -> String {
    use crate::wire::websocket::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
    let mut text = match frame.opcode {
        TEXT => printable(&frame.payload),
        BINARY => Payload::Bytes(frame.payload.clone()).describe(),
        CONTINUATION => format!("continuation {}", printable(&frame.payload)),
        CLOSE => {
            let reason = frame.payload.get(2..).unwrap_or_default();
            format!("close {} {}", frame.close_code(), printable(reason))
        }
        PING => format!("ping {}", printable(&frame.payload)),
        PONG => format!("pong {}", printable(&frame.payload)),
        other => format!("frame of type {other}: {}", hexadecimal(&frame.payload)),
    };
    if !frame.fin {
        text.push_str(" (not final)");
    }
    if frame.reserved != 0 {
        text.push_str(&format!(" (reserved bits {:03b})", frame.reserved));
    }
    text
}
