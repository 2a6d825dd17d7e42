//! A server in this process, and clients written by hand: HTTP as bytes, WebSocket with the machine of `engineio-websocket`, Engine.IO
//! and Socket.IO as text. They can send data that a well-behaved client never sends, and receive every byte of the response.
//!
//! Tests wait for events. [`within`] is the last resort if an event never comes.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod peers;
pub(crate) mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use socketio_tokio::{Endpoint, Settings, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a future, and panics if it takes too long.
pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.expect("the awaited event did not happen in time")
}

/// Waits until a condition holds. For conditions without an event to wait for.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A server in this process.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn start(endpoint: impl Endpoint) -> Self {
        Self::start_with(endpoint, |_| {}).await
    }

    /// Starts a server with other limits and deadlines of HTTP connections.
    pub(crate) async fn start_with(endpoint: impl Endpoint, settings: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(listener, endpoint).with_settings(settings).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Self { address, stop: Some(stop), task: tokio::spawn(serving.into_future()) }
    }

    /// Starts a graceful shutdown.
    pub(crate) fn stop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }

    /// Waits for the end of the shutdown.
    pub(crate) async fn ended(&mut self) {
        within(&mut self.task).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}
