//! Interoperability with an independent implementation, `tungstenite`, in both roles over loopback sockets. Tests wait for
//! received data, never for durations.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use engineio_websocket::handshake::{ClientHandshake, accept};
use engineio_websocket::{Closed, Connection, ConnectionEvent, Limits};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocket};

/// Reads an HTTP head. The peer sends nothing after it until it receives our answer, or our first frame if we are the client.
fn read_head(stream: &mut TcpStream) -> (String, Vec<(String, String)>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let split = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    (first, lines.filter_map(split).collect())
}

/// Echoes until the connection is finished, and returns how it ended.
fn echo(mut stream: TcpStream, mut websocket: Connection) -> Option<Closed> {
    let mut buffer = [0; 16 * 1024];
    let mut end = None;
    while !websocket.is_finished() {
        match stream.read(&mut buffer).unwrap() {
            0 => websocket.handle_end(),
            count => websocket.handle(&mut buffer[..count]),
        }
        while let Some(event) = websocket.poll_event() {
            match event {
                ConnectionEvent::Text(text) => websocket.send_text(&text).unwrap(),
                ConnectionEvent::Binary(data) => websocket.send_binary(&data).unwrap(),
                ConnectionEvent::Closed(closed) => end = Some(closed),
                _ => {}
            }
        }
        while let Some(bytes) = websocket.poll_transmit() {
            stream.write_all(&bytes).unwrap();
        }
    }
    end
}

/// Our echo server after a real handshake, and tungstenite's client connected to it.
fn with_our_server(limits: Limits, talk: impl FnOnce(&mut WebSocket<TcpStream>)) -> Option<Closed> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (_, headers) = read_head(&mut stream);
        let key = accept(headers.iter().map(|(name, value)| (name, value))).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            key.as_str()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        echo(stream, Connection::server(limits))
    });
    let stream = TcpStream::connect(address).unwrap();
    let (mut client, _) = tungstenite::client(format!("ws://{address}/"), stream).unwrap();
    talk(&mut client);
    drop(client);
    server.join().unwrap()
}

/// Tungstenite's server after a real handshake, and our echoing client connected to it.
fn with_our_client(talk: impl FnOnce(&mut WebSocket<TcpStream>)) -> Option<Closed> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let handshake = ClientHandshake::new([42; 16]);
        let mut request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in handshake.headers() {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes()).unwrap();
        let (line, headers) = read_head(&mut stream);
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        handshake.check(status, headers.iter().map(|(name, value)| (name, value))).unwrap();
        echo(stream, Connection::client(Limits::default(), [77; 16]))
    });
    let (stream, _) = listener.accept().unwrap();
    let mut server = tungstenite::accept(stream).unwrap();
    talk(&mut server);
    drop(server);
    client.join().unwrap()
}

/// Messages of every size class, whole and fragmented, with pings in between.
fn exchange(peer: &mut WebSocket<TcpStream>) {
    for length in [0, 1, 125, 126, 2047, 2049, 65_535, 65_536, 1_000_000] {
        let string = "\u{e9}x".repeat(length / 3) + &"y".repeat(length % 3);
        peer.send(Message::text(string.clone())).unwrap();
        assert_eq!(peer.read().unwrap(), Message::text(string), "text of {length} bytes");
        let data: Vec<u8> = (0..length).map(|n| (n % 255) as u8).collect();
        peer.send(Message::binary(data.clone())).unwrap();
        assert_eq!(peer.read().unwrap(), Message::binary(data), "binary of {length} bytes");
    }
    let piece = |payload: &'static [u8], data, fin| Message::Frame(Frame::message(payload, OpCode::Data(data), fin));
    peer.write(piece(b"one \xc3", Data::Text, false)).unwrap();
    peer.write(Message::Ping(b"between"[..].into())).unwrap();
    peer.write(piece(b"", Data::Continue, false)).unwrap();
    peer.write(piece(b"\xbc two", Data::Continue, true)).unwrap();
    peer.flush().unwrap();
    let mut answers = [peer.read().unwrap(), peer.read().unwrap()];
    // The pong may arrive before or after the message.
    answers.sort_by_key(Message::is_text);
    assert_eq!(answers, [Message::Pong(b"between"[..].into()), Message::text("one \u{fc} two")]);
}

/// Closes, and asserts that the answer has the same code and reason.
fn part(peer: &mut WebSocket<TcpStream>, code: u16) {
    peer.close(Some(CloseFrame { code: code.into(), reason: "bye".into() })).unwrap();
    let Message::Close(Some(answer)) = peer.read().unwrap() else { panic!("expected a close frame") };
    assert_eq!((u16::from(answer.code), answer.reason.as_str()), (code, "bye"));
}

#[test]
fn our_server_and_their_client_exchange_messages_and_close() {
    let end = with_our_server(Limits::default(), |client| {
        exchange(client);
        part(client, 4321);
    });
    let Some(Closed::Peer(Some(close))) = end else { panic!("{end:?}") };
    assert_eq!((close.code, &*close.reason), (4321, "bye"));
}

#[test]
fn our_client_and_their_server_exchange_messages_and_close() {
    let end = with_our_client(|server| {
        exchange(server);
        part(server, 1001);
    });
    let Some(Closed::Peer(Some(close))) = end else { panic!("{end:?}") };
    assert_eq!((close.code, &*close.reason), (1001, "bye"));
}

#[test]
fn many_messages_in_one_write_come_back_in_order() {
    with_our_server(Limits::default(), |client| {
        for n in 0..500 {
            client.write(Message::text(format!("message {n}"))).unwrap();
        }
        client.flush().unwrap();
        for n in 0..500 {
            assert_eq!(client.read().unwrap(), Message::text(format!("message {n}")));
        }
        part(client, 1000);
    });
}

#[test]
fn their_client_is_told_why_it_was_closed() {
    let cases: [(Message, CloseCode); 3] = [
        (Message::binary(vec![0; 1001]), CloseCode::Size),
        (Message::Frame(Frame::message(&b"\xff"[..], OpCode::Data(Data::Text), true)), CloseCode::Invalid),
        (Message::Frame(Frame::message(&b"x"[..], OpCode::Data(Data::Continue), true)), CloseCode::Protocol),
    ];
    for (bad, code) in cases {
        let end = with_our_server(Limits::default().with_max_message(1000), |client| {
            client.send(bad).unwrap();
            let Message::Close(Some(close)) = client.read().unwrap() else { panic!("expected a close frame") };
            assert_eq!(close.code, code);
        });
        assert!(matches!(end, Some(Closed::Error(_))), "{end:?}");
    }
}

#[test]
fn a_client_that_vanishes_is_lost() {
    assert_eq!(with_our_server(Limits::default(), |_| {}), Some(Closed::Lost));
}

#[test]
fn frames_without_masks_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        echo(stream, Connection::server(Limits::default()))
    });
    // A tungstenite server, which does not mask, acts as the client.
    let mut wrong = WebSocket::from_raw_socket(TcpStream::connect(address).unwrap(), Role::Server, None);
    wrong.send(Message::text("hi")).unwrap();
    assert_eq!(server.join().unwrap(), Some(Closed::Error(engineio_websocket::Error::Unmasked)));
}
