//! Firmware for QEMU's `mps2-an385`, whose UART is joined by TCP to a Socket.IO server. It connects, emits, acknowledges and is
//! acknowledged, sends binary, loses its connection, connects again, and exits with 0.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod heap;

use alloc::string::String;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use board::Board;
use bytes::Bytes;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use socketio_embedded::proto::Payload;
use socketio_embedded::{Client, Config, Event, Json, SocketHandle, SocketOptions};

#[cortex_m_rt::entry]
fn main() -> ! {
    heap::init();
    let peripherals = cortex_m::Peripherals::take().unwrap();
    let mut work = pin!(run(Board::new(peripherals.SYST)));
    // The executor: there is one task, and it polls the UART.
    while let Poll::Pending = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {}
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

type Firmware = Client<Board, Json>;

async fn run(board: Board) {
    let mut config = Config::small("localhost");
    // QEMU joins the pipe again after a second. What is written before is lost.
    config.socketio.reconnection_delay = Duration::from_millis(1500);
    config.socketio.randomization_factor = 0.0;
    config.socketio.open_timeout = Some(Duration::from_secs(3));
    let mut client = Client::new(config, board);
    let socket = client.socket("/", SocketOptions::default()).unwrap();
    client.connect(socket);
    connected(&mut client).await;
    hprintln!("connected");
    hprintln!("heap idle: {} bytes", heap::HEAP.used());

    client.emit(socket, "echo", &("text", 1)).unwrap();
    assert_eq!(received(&mut client, "echo").await.read::<(String, u32)>().unwrap(), (String::from("text"), 1));
    client.emit(socket, "echo", &(Bytes::from_static(b"\0\xff"),)).unwrap();
    assert_eq!(received(&mut client, "echo").await.bytes(0).unwrap(), b"\0\xff"[..]);
    hprintln!("binary");
    client.emit_with_ack(socket, "ask", &(5,), Some(Duration::from_secs(20))).unwrap();
    match next(&mut client).await {
        Event::Acked { outcome: Ok(payload), .. } => assert_eq!(payload.get::<u32>(0).unwrap(), 5),
        other => panic!("{other:?}"),
    }
    client.emit(socket, "question", &()).unwrap();
    match next(&mut client).await {
        Event::Received { ack: Some(ack), payload, .. } => client.ack(ack, &(payload.get::<u32>(0).unwrap(),)).unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(received(&mut client, "answer").await.get::<u32>(0).unwrap(), 7);
    hprintln!("acks");
    client.emit(socket, "large", &(4096,)).unwrap();
    heap::HEAP.take_peak();
    assert_eq!(received(&mut client, "large").await.get::<&str>(0).unwrap().len(), 4096);
    hprintln!("heap peak: {} bytes", heap::HEAP.take_peak());

    client.emit(socket, "cut", &()).unwrap();
    while !matches!(client.next().await, Some(Event::Disconnected { .. })) {}
    hprintln!("disconnected");
    client.emit(socket, "echo", &("later",)).unwrap();
    connected(&mut client).await;
    assert_eq!(received(&mut client, "echo").await.get::<&str>(0).unwrap(), "later");
    assert!(client.platform().dials() > 1);
    hprintln!("connected again");
    client.disconnect(socket);
    while client.next().await.is_some() {}
    hprintln!("done");
}

async fn connected(client: &mut Firmware) -> SocketHandle {
    loop {
        if let Event::Connected { socket, .. } = next(client).await {
            return socket;
        }
    }
}

async fn received(client: &mut Firmware, name: &str) -> Payload {
    match next(client).await {
        Event::Received { payload, .. } if payload.name() == Some(name) => payload,
        other => panic!("{other:?} instead of {name}"),
    }
}

/// The next event that is about a socket.
async fn next(client: &mut Firmware) -> Event {
    loop {
        let event = client.next().await.unwrap();
        if !matches!(event, Event::Opened | Event::Ping { .. }) {
            return event;
        }
    }
}
