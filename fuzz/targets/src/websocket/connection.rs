//! One connection with an arbitrary peer: for any input and commands, it sends valid WebSocket frames, ends once, and stays
//! within its limits.

use arbitrary::{Result, Unstructured};
use engineio_websocket::{Arena, Closed, Connection, ConnectionEvent, Decoder, Error, Event, Limits, Role, SendError};

use super::{frame, limits};
use crate::input::{short, short_text};

const MAX_OUTGOING: usize = 1000;

struct World {
    connection: Connection,
    role: Role,
    /// Decodes what the connection sends.
    peer: Decoder,
    heard: Vec<Event>,
    ended: Option<Closed>,
    /// Whether this end has called `close`.
    closed: bool,
    sent: usize,
    largest: usize,
}

/// Input: role and limits, then steps.
pub fn websocket_connection(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let client = input.arbitrary::<bool>()?;
    let limits = limits(&mut input)?;
    let connection = if client { Connection::client(limits, [7; 16]) } else { Connection::server(limits) };
    let (role, other) = if client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let mut world = World {
        connection: connection.with_max_outgoing(MAX_OUTGOING),
        role,
        peer: Decoder::new(other, Limits::default()),
        heard: Vec::new(),
        ended: None,
        closed: false,
        sent: 0,
        largest: 0,
    };
    while !input.is_empty() {
        world.act(&mut input)?;
        let allowed = MAX_OUTGOING + world.largest + 2 * 150;
        assert!(world.connection.outgoing_bytes() <= allowed, "{} wait", world.connection.outgoing_bytes());
    }
    world.connection.handle_end();
    world.read();
    world.write();
    assert!(world.ended.is_some() && world.connection.is_finished() && !world.connection.wants_input());
    assert_eq!(world.connection.send_text("late"), Err(SendError::Closed));
    assert_eq!(world.connection.poll_event(), None);
    assert_eq!(world.connection.poll_transmit(), None);
    Ok(())
}

impl World {
    fn act(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=15)? {
            0..5 => {
                let first = *input.choose(&[0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, 0x83, 0xc1])?;
                let times = if input.int_in_range(0..=15)? == 0 { 300 } else { 1 };
                let payload = short(input)?.repeat(times);
                let mut bytes = Vec::new();
                frame(&mut bytes, first, payload, self.role);
                self.arrive(&mut bytes, input)?;
            }
            5 => {
                let mut bytes = short(input)?.to_vec();
                self.arrive(&mut bytes, input)?;
            }
            6 => {
                // Many messages at once: more than the limit on unread input.
                let mut bytes = Vec::new();
                for number in 0..input.arbitrary::<u8>()? {
                    frame(&mut bytes, 0x82, vec![number], self.role);
                }
                self.arrive(&mut bytes, input)?;
            }
            7 | 8 => self.read(),
            9 => drop(self.event()),
            10 => self.write(),
            11 | 12 => {
                let payload = short(input)?.repeat(1 + input.int_in_range(0..=7)?);
                self.largest = self.largest.max(payload.len());
                let result = if input.arbitrary::<bool>()? {
                    self.connection.send_binary(&payload)
                } else {
                    let text = String::from_utf8_lossy(&payload);
                    self.largest = self.largest.max(text.len());
                    self.connection.send_text(&text)
                };
                self.note(result, true);
            }
            13 => {
                let result = self.connection.ping(short(input)?);
                self.note(result, false);
            }
            14 => {
                let (code, reason) = (*input.choose(&[1000, 1001, 1005, 3000, 4999, 5000])?, short_text(input)?);
                if input.int_in_range(0..=3)? == 0 {
                    self.closed |= self.connection.close(code, &reason).is_ok();
                }
            }
            _ => {
                if input.int_in_range(0..=15)? == 0 {
                    self.connection.handle_end();
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, result: Result<(), SendError>, message: bool) {
        match result {
            Ok(()) => self.sent += usize::from(message),
            Err(SendError::Closed | SendError::Full) => {}
            Err(error) => assert!(matches!(error, SendError::Invalid(_)) && !message, "{error}"),
        }
    }

    fn arrive(&mut self, bytes: &mut [u8], input: &mut Unstructured<'_>) -> Result<()> {
        let at = input.choose_index(bytes.len().clamp(1, 256))?;
        let (one, two) = bytes.split_at_mut(at);
        self.connection.handle(one);
        self.connection.handle(two);
        Ok(())
    }

    fn read(&mut self) {
        while self.event().is_some() {}
    }

    fn event(&mut self) -> Option<ConnectionEvent> {
        let event = self.connection.poll_event()?;
        assert_eq!(self.ended, None, "{event:?} after the end");
        if let ConnectionEvent::Closed(closed) = &event {
            self.ended = Some(closed.clone());
        }
        Some(event)
    }

    /// Checks that the output is valid for the peer, and that no frame follows a close frame.
    fn write(&mut self) {
        while let Some(bytes) = self.connection.poll_transmit() {
            let mut bytes = bytes.to_vec();
            let mut rest = &mut bytes[..];
            let mut arena = Arena::new();
            loop {
                match self.peer.decode(&mut rest, &mut arena) {
                    Ok(Some(event)) => {
                        assert!(!matches!(event, Event::Compressed { .. }));
                        self.heard.push(event);
                        let closed = matches!(self.heard.last(), Some(Event::Close(_)));
                        assert!(!closed || rest.is_empty(), "data after the close frame");
                    }
                    Ok(None) => break,
                    Err(error) => panic!("invalid output: {error:?}"),
                }
            }
        }
        let closes = self.heard.iter().filter(|event| matches!(event, Event::Close(_))).count();
        assert!(closes <= 1, "{closes} close frames");
        let messages = self.heard.iter().filter(|event| matches!(event, Event::Text(_) | Event::Binary(_))).count();
        assert!(messages <= self.sent);
        match &self.ended {
            Some(Closed::Error(error)) => self.check_error(*error),
            Some(Closed::Peer(frame)) if !self.closed => {
                assert_eq!(self.heard.last(), Some(&Event::Close(frame.clone())), "the answer repeats the close");
            }
            _ => {}
        }
    }

    /// Checks that a peer that violates the protocol receives the close code of the error, unless this end closed first.
    fn check_error(&self, error: Error) {
        let code = self.heard.iter().find_map(|event| match event {
            Event::Close(frame) => frame.as_ref().map(|frame| frame.code),
            _ => None,
        });
        assert!(code.is_some() || self.heard.iter().any(|event| matches!(event, Event::Close(_))), "{error:?}");
    }
}
