//! A server in memory that follows a rule of the protocol text that no listed implementation follows: a second stream ends a WebTransport
//! session. It opens a session and echoes short messages, without a heartbeat, and does nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socketio_conformance::wire::{BoxStream, Connecting, Connector, Ending, Opening, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;

pub(crate) struct StrictServer;

impl Connector for StrictServer {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn authority(&self) -> &str {
        "nowhere"
    }

    fn webtransport<'a>(&'a self, _: &'a str) -> Opening<'a> {
        Box::pin(async { Ok(Arc::new(StrictSession::default()) as Arc<dyn Session>) })
    }
}

#[derive(Default)]
struct StrictSession {
    has_stream: AtomicBool,
    end: Notify,
}

impl Session for StrictSession {
    fn stream(&self) -> Connecting<'_> {
        let (ours, theirs) = tokio::io::duplex(1024);
        if self.has_stream.swap(true, Ordering::Relaxed) {
            self.end.notify_one();
        } else {
            tokio::spawn(serve(theirs));
        }
        Box::pin(async { Ok(Box::new(ours) as BoxStream) })
    }

    fn ended(&self) -> Ending<'_> {
        Box::pin(async {
            self.end.notified().await;
            "for a second stream".to_owned()
        })
    }

    fn close(&self, _: u32, _: &str) {
        self.end.notify_one();
    }
}

const OPEN: &[u8] = br#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

async fn serve(mut stream: DuplexStream) -> io::Result<()> {
    loop {
        // Lengths below 126 have one byte; its highest bit is for binary.
        let header = stream.read_u8().await?;
        let mut packet = vec![0; usize::from(header & 0x7f)];
        stream.read_exact(&mut packet).await?;
        if packet == b"0" {
            packet = OPEN.to_vec();
        }
        let length = u8::try_from(packet.len()).map_err(io::Error::other)?;
        stream.write_u8(header & 0x80 | length).await?;
        stream.write_all(&packet).await?;
    }
}
