//! The server of the soak: everything on, the events of the conformance suite, and an allocator that counts the live bytes of the process.
//!
//!     server PING_INTERVAL PING_TIMEOUT RECOVERY
//!
//! Times are in seconds. Prints `listening on ADDRESS`. Then it answers each line of standard input with one line of JSON: the live bytes and allocations of the
//! heap, and the metrics of the server. It ends when standard input ends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::BufRead as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use socketio_tokio::{ConnectRequest, Event, Recovery, Refusal, Server, Socket, serve};
use tokio::net::TcpListener;

/// The events of the conformance suite.
#[allow(dead_code, reason = "it serves more than this program")]
#[path = "../../../../conformance/fixtures/rust/contract.rs"]
mod contract;

struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
static BLOCKS: AtomicI64 = AtomicI64::new(0);

fn count(bytes: usize, sign: i64) {
    BYTES.fetch_add(sign * bytes as i64, Ordering::Relaxed);
    BLOCKS.fetch_add(sign, Ordering::Relaxed);
}

// SAFETY: every call is forwarded unchanged to the system's allocator. The counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size as i64 - layout.size() as i64, Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut seconds = || -> Result<Duration, Box<dyn std::error::Error>> {
        Ok(Duration::from_secs(arguments.next().ok_or("an argument is missing")?.parse()?))
    };
    let server = Server::builder()
        .allow_eio3(true)
        .ping_interval(seconds()?)
        .ping_timeout(seconds()?)
        .connection_state_recovery(Recovery { max_disconnection_duration: seconds()?, ..Recovery::default() })
        .cleanup_empty_child_namespaces(true)
        .build();
    for namespace in ["/", "/custom"] {
        contract::register_events(&server.of(namespace));
    }
    contract::register_events(&server.matching(|name| name.starts_with("/dynamic-")));
    server.of("/refuse").middleware(|_: ConnectRequest| Err(Refusal::new("refused")));
    // Asks everybody in a room, some of whom never answer.
    server.on("ask-room", async |socket: Socket, event: Event| -> Result<(), Box<dyn std::error::Error>> {
        let room: String = event.read()?;
        let asked = socket.to(&room).emit_with_ack("ack-me", ("question",), Duration::from_millis(500))?;
        let answers = asked.await;
        Ok(socket.emit("asked", answers.answers.len())?)
    });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::spawn(serve(listener, server.clone()).into_future());
    let (lines, mut received) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || lines.blocking_send(()).is_err() {
                break;
            }
        }
    });
    while received.recv().await.is_some() {
        let (bytes, blocks) = (BYTES.load(Ordering::Relaxed), BLOCKS.load(Ordering::Relaxed));
        let metrics = serde_json::to_value(server.metrics())?;
        println!("{}", serde_json::json!({ "heap": bytes, "blocks": blocks, "metrics": metrics }));
    }
    Ok(())
}
