//! No lock is held while application code runs. The test uses a parser that inspects its own server, creates namespaces and broadcasts
//! whenever it is called (to encode, to create a decoder, to be cloned or dropped), and a room observer that joins rooms. Neither
//! causes a deadlock.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socketio_proto::{Args, EncodeError, Encoded, Encoder, Limits, Outgoing};
use socketio_tokio::{Event, Json, Parser, Recovery, RoomEvent, Server, Socket};
use support::peers::Client;
use support::{Host, until, within};
use tokio::sync::mpsc;

thread_local! {
    // Calls to the server call the parser again; this flag stops the recursion.
    static LOOKS: Cell<bool> = const { Cell::new(false) };
}

/// The default parser, which also uses its server.
struct Nosy(Arc<Surroundings>);

#[derive(Default)]
struct Surroundings {
    server: OnceLock<Server<Nosy>>,
    looks: AtomicUsize,
}

impl Nosy {
    fn look(&self) {
        let Some(server) = self.0.server.get() else { return };
        if LOOKS.replace(true) {
            return;
        }
        let number = self.0.looks.fetch_add(1, Ordering::Relaxed);
        let root = server.of("/");
        server.of(&format!("/{}", number % 50)).broadcast().emit("looked", number).unwrap();
        root.emit("looked", number).unwrap();
        drop(root.broadcast().emit_with_ack("asked", number, Duration::from_secs(1)).unwrap());
        for socket in root.sockets() {
            socket.join("seen");
            socket.emit("looked", number).unwrap();
            assert!(!socket.rooms().is_empty() || !socket.is_connected());
        }
        root.to("seen").join("seen again");
        assert!(root.len() < 10 && server.sessions() < 10);
        LOOKS.set(false);
    }
}

impl Parser for Nosy {
    type Decoder = <Json as Parser>::Decoder;

    fn decoder(&self, limits: &Limits) -> Self::Decoder {
        self.look();
        Json.decoder(limits)
    }

    fn encode<A: Args + ?Sized>(
        &self,
        packet: &Outgoing<'_, A>,
        encoder: &mut Encoder,
    ) -> Result<Encoded, EncodeError> {
        self.look();
        Json.encode(packet, encoder)
    }
}

impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.look();
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parser_may_do_anything_whenever_it_is_asked_for_something() {
    for recovery in [None, Some(Recovery::default())] {
        a_parser_may_do_anything(recovery).await;
    }
}

async fn a_parser_may_do_anything(recovery: Option<Recovery>) {
    let surroundings = Arc::new(Surroundings::default());
    let mut builder = Server::builder();
    if let Some(recovery) = recovery {
        builder = builder.connection_state_recovery(recovery);
    }
    let server = builder.parser(Nosy(Arc::clone(&surroundings))).build();
    server.on("message", |socket: Socket<Nosy>, event: Event<Nosy>| socket.emit("message-back", event.payload()));
    assert!(surroundings.server.set(server.clone()).is_ok());
    let host = Host::start(server.clone()).await;
    for _ in 0..3 {
        let mut clients = [Client::join(host.address).await, Client::join(host.address).await];
        for client in &mut clients {
            client.send(r#"42["message",1]"#).await;
            // With recovery, an offset follows.
            while !client.packet().await.starts_with(r#"2["message-back",1"#) {}
        }
    }
    until(|| server.of("/").is_empty()).await;
    assert!(surroundings.looks.load(Ordering::Relaxed) > 10);
    // The server and its parsers own each other, so only the host can be dropped.
    drop(host);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observers_of_rooms_may_join_rooms_and_all_of_them_hear_everything_in_order() {
    let server = Server::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    let acting = server.clone();
    server
        .of("/")
        .on_room(move |event| {
            if let RoomEvent::Joined { socket, room } = event
                && let Some(number) = room.strip_prefix("room ").and_then(|number| number.parse::<u32>().ok())
                && number < 20
            {
                acting.of("/").socket(socket.as_str()).unwrap().join(&format!("room {}", number + 1));
            }
        })
        .on_room(move |event| told.send(event).unwrap());
    let host = Host::start(server.clone()).await;
    let client = Client::join(host.address).await;
    let socket = server.of("/").socket(&client.sid).unwrap();
    socket.join("room 0");
    let mut next = async || within(heard.recv()).await.unwrap();
    let id = socket.id();
    for room in std::iter::once(id.to_string()).chain((0..=20).map(|number| format!("room {number}"))) {
        assert_eq!(next().await, RoomEvent::Created { room: room.as_str().into() });
        assert_eq!(next().await, RoomEvent::Joined { socket: id.clone(), room: room.into() });
    }
}
