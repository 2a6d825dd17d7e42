//! What the Rust clients share: their arguments, their measurements, and what they print.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Arguments: URL, number of clients, window of each, number of messages of all. Without messages, the clients stay idle.
pub struct Arguments {
    pub url: String,
    pub clients: u64,
    pub window: u64,
    pub messages: u64,
}

impl Arguments {
    pub fn read() -> Self {
        let mut arguments = std::env::args().skip(1);
        let url = arguments.next().expect("arguments: URL CLIENTS WINDOW MESSAGES");
        let mut number = || arguments.next().expect("a number").parse().expect("a number");
        Self { url, clients: number(), window: number(), messages: number() }
    }
}

/// Counts the messages that have come back.
pub struct Count {
    left: AtomicU64,
    changed: Notify,
}

impl Count {
    pub fn new(events: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(events), changed: Notify::new() })
    }

    /// Counts one. Returns whether another message is to be sent: fewer are on their way than are missing.
    pub fn count(&self, in_flight: u64) -> bool {
        let left = self.left.fetch_sub(1, Ordering::Relaxed).wrapping_sub(1);
        if left == 0 {
            self.changed.notify_one();
        }
        left >= in_flight
    }

    pub async fn done(&self) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.changed.notified().await;
        }
    }
}

/// Resident memory of this process in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

/// CPU time of this process in microseconds.
pub fn cpu() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid, and the call fills it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}

/// Runs a program on one thread.
pub fn run(main: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(main);
}

/// Prints the result as the other clients do: bytes of memory for each client, and microseconds for all messages.
pub fn report(bytes: u64, micros: f64, messages: u64) {
    let per_message = micros / messages.max(1) as f64;
    println!("{}", serde_json::json!({ "rss_per_client": bytes, "cpu_us_per_msg": per_message, "msgs": messages }));
}
