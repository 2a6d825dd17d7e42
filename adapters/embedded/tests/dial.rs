//! How the client dials, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use engineio_proto::Instant;
use socketio_embedded::{Client, Config, Event, Platform, SocketOptions};
use tokio::sync::Notify;

const SECOND: Duration = Duration::from_secs(1);

/// A network whose servers do not answer until they are told to refuse.
struct Silent {
    epoch: tokio::time::Instant,
    dials: Rc<Cell<usize>>,
    refuses: Rc<Notify>,
}

enum NoStream {}

impl ErrorType for NoStream {
    type Error = Infallible;
}

impl Read for NoStream {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        match *self {}
    }
}

impl Write for NoStream {
    async fn write(&mut self, _: &[u8]) -> Result<usize, Infallible> {
        match *self {}
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        match *self {}
    }
}

impl Platform for Silent {
    type Stream = NoStream;
    type Error = ();

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    async fn sleep_until(&self, deadline: Instant) {
        if deadline == Instant::FAR_FUTURE {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.epoch + deadline.saturating_duration_since(Instant::ZERO)).await;
    }

    fn random(&mut self) -> [u8; 16] {
        [7; 16]
    }

    async fn connect(&self) -> Result<NoStream, ()> {
        self.dials.set(self.dials.get() + 1);
        self.refuses.notified().await;
        Err(())
    }
}

fn silent(config: Config) -> (Client<Silent>, Rc<Cell<usize>>, Rc<Notify>) {
    let (dials, refuses) = (Rc::default(), Rc::new(Notify::new()));
    let network = Silent { epoch: tokio::time::Instant::now(), dials: Rc::clone(&dials), refuses: Rc::clone(&refuses) };
    (Client::new(config, network), dials, refuses)
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_an_ack_does_not_begin_an_attempt_again() {
    let (mut client, dials, refuses) = silent(Config::small("server"));
    let socket = client.socket("/", SocketOptions::default()).unwrap();
    client.connect(socket);
    client.emit_with_ack(socket, "x", &(), Some(SECOND)).unwrap();
    client.emit_with_ack(socket, "x", &(), Some(SECOND * 2)).unwrap();
    let refuse = async {
        tokio::time::sleep(SECOND * 3).await;
        refuses.notify_one();
    };
    let (event, ()) = tokio::join!(client.next(), refuse);
    assert!(matches!(event, Some(Event::Acked { outcome: Err(_), .. })), "{event:?}");
    assert!(matches!(client.next().await, Some(Event::Acked { outcome: Err(_), .. })));
    assert!(matches!(client.next().await, Some(Event::OpenFailed(_))));
    assert_eq!(dials.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_given_up_and_the_next_one_follows() {
    let mut config = Config::small("server");
    config.socketio.open_timeout = Some(SECOND * 5);
    let (mut client, dials, _refuses) = silent(config);
    let socket = client.socket("/", SocketOptions::default()).unwrap();
    client.connect(socket);
    let start = tokio::time::Instant::now();
    for attempt in 1..4 {
        while !matches!(client.next().await, Some(Event::OpenFailed(_))) {}
        assert_eq!(dials.get(), attempt);
    }
    assert!(start.elapsed() >= SECOND * 15, "{:?}", start.elapsed());
}
