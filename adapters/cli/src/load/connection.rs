//! One connection of the load: connects, sends messages, and waits for their acks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socketio_tokio::client::{Client, Socket};
use socketio_tokio::{AckError, DisconnectReason, EmitError, Event, Parser, Payload, SendError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::report::Counters;
use crate::value::Arguments;

/// What each connection does, and what all of them count.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) namespace: String,
    pub(super) event: String,
    pub(super) arguments: Arguments,
    pub(super) pace: Pace,
    /// `None` if no acks are wanted.
    pub(super) ack_timeout: Option<Duration>,
    /// Until the namespace is joined.
    pub(super) connect_timeout: Duration,
    pub(super) counters: Counters,
}

/// When the next message is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// At most so many are without an ack.
    Window(usize),
    /// After this time, whatever comes.
    Rate(Duration),
}

/// What all connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Connect,
    /// They send, since this time.
    Send(Instant),
    /// They wait for the acks, and close.
    Finish,
    /// They close.
    Close,
}

type Answered = (Instant, Result<Payload, AckError>);

/// One of `all` connections. The numbers begin with 0.
pub(super) async fn run<P: Parser>(
    client: Client<P>,
    load: Arc<Load>,
    number: u64,
    all: u64,
    mut stages: watch::Receiver<Stage>,
) {
    let lost = Arc::new(Notify::new());
    let socket = client.socket(&load.namespace);
    let (of_handler, notify) = (Arc::clone(&load), Arc::clone(&lost));
    let (of_event, stage) = (Arc::clone(&load), stages.clone());
    socket
        .on_any(move |_: Event<P>| {
            of_event.counters.received.fetch_add(1, Ordering::Relaxed);
        })
        .on_disconnect(move |reason: DisconnectReason| {
            // Closing is the end of each connection.
            if reason != DisconnectReason::IoClientDisconnect && *stage.borrow() != Stage::Close {
                of_handler.counters.lost.fetch_add(1, Ordering::Relaxed);
                of_handler.counters.error(&format!("connection lost: {reason}"));
            }
            notify.notify_one();
        });
    let begin = Instant::now();
    socket.connect();
    let counters = &load.counters;
    let connected = tokio::select! {
        connected = timeout(load.connect_timeout, socket.connected()) => connected,
        _ = stages.wait_for(|stage| *stage == Stage::Close) => return,
    };
    let failure = match connected {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(_) => Some("the server did not let it join the namespace in time".to_owned()),
    };
    if let Some(failure) = failure {
        counters.error(&format!("connect: {failure}"));
        counters.failed.fetch_add(1, Ordering::Relaxed);
        return;
    }
    counters.connecting.record(begin.elapsed());
    counters.connected.fetch_add(1, Ordering::Relaxed);
    let begun = stages.wait_for(|stage| *stage != Stage::Connect).await;
    if let Ok(Stage::Send(begin)) = begun.map(|stage| *stage) {
        // Connections take turns, rather than all sending at the same time.
        let begin = begin + share(&load.pace, number, all);
        send(&socket, &load, begin, &lost, &mut stages).await;
    }
    client.close();
    client.closed().await;
}

/// The part of a connection's interval after which it begins.
fn share(pace: &Pace, number: u64, all: u64) -> Duration {
    match pace {
        Pace::Window(_) => Duration::ZERO,
        #[allow(clippy::cast_precision_loss, reason = "there are not so many connections")]
        Pace::Rate(interval) => interval.mul_f64(number as f64 / all.max(1) as f64),
    }
}

/// Sends messages until the stage ends or the connection is lost, and waits for the acks.
async fn send<P: Parser>(
    socket: &Socket<P>,
    load: &Load,
    begin: Instant,
    lost: &Notify,
    stages: &mut watch::Receiver<Stage>,
) {
    let mut pending = FuturesUnordered::new();
    let mut due = begin;
    let mut is_full = false;
    'sending: loop {
        if let Pace::Window(window) = load.pace {
            while pending.len() < window && !is_full {
                match emit(socket, load) {
                    Ok(Some(answered)) => pending.push(answered),
                    Err(EmitError::Send(SendError::Full)) => is_full = true,
                    Ok(None) | Err(_) => break 'sending,
                }
            }
        }
        tokio::select! {
            () = lost.notified() => break,
            _ = stages.wait_for(|stage| matches!(stage, Stage::Finish | Stage::Close)) => break,
            Some(answered) = pending.next() => {
                // The connection is lost, which is about to be reported.
                if !count(load, answered) {
                    break;
                }
            }
            _ = socket.ready(), if is_full => is_full = false,
            () = sleep_until(due), if matches!(load.pace, Pace::Rate(_)) => {
                load.counters.late(due.elapsed());
                if let Ok(Some(answered)) = emit(socket, load) {
                    pending.push(answered);
                }
                if let Pace::Rate(interval) = load.pace {
                    due += interval;
                }
            }
        }
    }
    loop {
        tokio::select! {
            answered = pending.next() => match answered {
                Some(answered) => {
                    count(load, answered);
                }
                None => return,
            },
            _ = stages.wait_for(|stage| *stage == Stage::Close) => return,
        }
    }
}

/// Sends a message. Returns a future of its ack, if it wants one.
fn emit<P: Parser>(
    socket: &Socket<P>,
    load: &Load,
) -> Result<Option<impl Future<Output = Answered> + use<P>>, EmitError> {
    // The client would keep it until it connects again, which it does not.
    if !socket.is_connected() {
        return Err(EmitError::Disconnected);
    }
    let now = Instant::now();
    let sent = match load.ack_timeout {
        None => socket.emit(&load.event, &load.arguments).map(|()| None),
        Some(timeout) => socket.emit_with_ack_timeout(&load.event, &load.arguments, timeout).map(Some),
    };
    match sent {
        Ok(answer) => {
            load.counters.sent.fetch_add(1, Ordering::Relaxed);
            Ok(answer.map(|answer| async move { (now, answer.await) }))
        }
        Err(error) => {
            // In a window, the message is sent later.
            if !matches!((&error, load.pace), (EmitError::Send(SendError::Full), Pace::Window(_))) {
                load.counters.error(&format!("message: {error}"));
            }
            Err(error)
        }
    }
}

/// Counts an ack. Returns false if the connection is lost.
fn count(load: &Load, (sent, outcome): Answered) -> bool {
    match outcome {
        Ok(_) => load.counters.round_trips.record(sent.elapsed()),
        Err(error) => {
            load.counters.error(&format!("ack: {error}"));
            return error != AckError::Disconnected;
        }
    }
    true
}
