//! A server and a client connected by a stream that is cut anywhere: every message arrives once and in order, in both directions,
//! including messages sent while the other end closes.

use arbitrary::{Result, Unstructured};
use std::collections::VecDeque;

use engineio_websocket::{Closed, Connection, ConnectionEvent, Limits, SendError};

use crate::input::{short, short_text};

struct End {
    connection: Connection,
    /// The bytes in transit to the other end.
    wire: Vec<u8>,
    /// The messages that the other end must still receive.
    expected: VecDeque<Vec<u8>>,
    pings: VecDeque<Vec<u8>>,
    closed: Option<Closed>,
}

impl End {
    fn new(connection: Connection) -> Self {
        let (wire, expected, pings) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self { connection, wire, expected, pings, closed: None }
    }

    fn write(&mut self) {
        while let Some(bytes) = self.connection.poll_transmit() {
            self.wire.extend_from_slice(&bytes);
        }
    }
}

/// Input: a seed for the masks, then steps. At the end, one side closes.
pub fn websocket_pair(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let seed = [input.arbitrary::<u8>()?; 16];
    let small = input.arbitrary::<bool>()?;
    let limit = if small { 500 } else { usize::MAX };
    let client = Connection::client(Limits::default(), seed).with_max_outgoing(limit);
    let mut ends = [End::new(client), End::new(Connection::server(Limits::default()).with_max_outgoing(limit))];
    while !input.is_empty() {
        let act = input.arbitrary::<u8>()?;
        let from = usize::from(act & 1);
        match act >> 1 & 7 {
            0..3 => send(&mut ends[from], &mut input)?,
            3 => {
                let payload = short(&mut input)?;
                if ends[from].connection.ping(payload).is_ok() {
                    ends[from].pings.push_back(payload.to_vec());
                }
            }
            4 | 5 => {
                ends[from].write();
                let size = usize::from(input.arbitrary::<u16>()?);
                carry(&mut ends, from, size);
            }
            6 => read(&mut ends, from, usize::from(input.int_in_range(0..=7_u8)?)),
            _ if act >> 4 == 15 => close(&mut ends[from], &mut input)?,
            _ => read(&mut ends, from, usize::MAX),
        }
    }
    close(&mut ends[0], &mut input)?;
    for _ in 0..20_000 {
        for from in [0, 1] {
            ends[from].write();
            carry(&mut ends, from, 4096);
            read(&mut ends, from, usize::MAX);
        }
        if ends.iter().all(|end| end.connection.is_finished()) {
            break;
        }
    }
    [0, 1].into_iter().for_each(|at| read(&mut ends, at, usize::MAX));
    for end in &ends {
        assert!(end.connection.is_finished() && end.wire.is_empty(), "never ends: {:?}", end.connection);
        assert!(matches!(end.closed, Some(Closed::Peer(_))), "{:?}", end.closed);
        assert!(end.expected.is_empty(), "{} messages were lost", end.expected.len());
    }
    Ok(())
}

fn send(end: &mut End, input: &mut Unstructured<'_>) -> Result<()> {
    let bits = input.arbitrary::<u8>()?;
    let times = if bits >> 1 == 0x7f { 300 } else { 1 + usize::from(bits >> 6) };
    let payload = short(input)?.repeat(times);
    let (payload, result) = if bits & 1 == 1 {
        let result = end.connection.send_binary(&payload);
        (payload, result)
    } else {
        let text = String::from_utf8_lossy(&payload).into_owned();
        let result = end.connection.send_text(&text);
        (text.into_bytes(), result)
    };
    match result {
        Ok(()) => end.expected.push_back(payload),
        Err(error) => assert!(matches!(error, SendError::Closed | SendError::Full), "{error}"),
    }
    Ok(())
}

fn close(end: &mut End, input: &mut Unstructured<'_>) -> Result<()> {
    let reason = short_text(input)?;
    if end.connection.close(1000, &reason).is_err() {
        let _ = end.connection.close(3000 + u16::from(input.arbitrary::<u8>()?), "");
    }
    Ok(())
}

/// Delivers this many bytes.
fn carry(ends: &mut [End; 2], from: usize, size: usize) {
    let to = 1 - from;
    if !ends[to].connection.wants_input() && ends[to].closed.is_none() {
        return;
    }
    let size = size.min(ends[from].wire.len());
    let mut bytes: Vec<u8> = ends[from].wire.drain(..size).collect();
    ends[to].connection.handle(&mut bytes);
}

fn read(ends: &mut [End; 2], at: usize, count: usize) {
    for _ in 0..count {
        let Some(event) = ends[at].connection.poll_event() else { return };
        assert_eq!(ends[at].closed, None, "{event:?} after the end");
        let other = 1 - at;
        match event {
            ConnectionEvent::Text(text) => {
                assert_eq!(ends[other].expected.pop_front().as_deref(), Some(str::as_bytes(&text)));
            }
            ConnectionEvent::Binary(bytes) => assert_eq!(ends[other].expected.pop_front().as_deref(), Some(&bytes[..])),
            ConnectionEvent::Pong(payload) => {
                // If several pings are pending, only the latest is answered.
                while ends[at].pings.pop_front().expect("a pong without a ping") != payload {}
            }
            ConnectionEvent::Closed(closed) => ends[at].closed = Some(closed),
            _ => {}
        }
    }
}
