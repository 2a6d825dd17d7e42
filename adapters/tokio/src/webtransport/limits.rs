//! The settings of QUIC: what one connection may make us keep, and how long it may be silent.

use std::sync::Arc;
use std::time::Duration;

use wtransport::quinn::{IdleTimeout, TransportConfig, VarInt};

/// A connection without any packet for this long is dead. Engine.IO notices earlier by its own pings, unless their interval is longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Keeps addresses in routers alive, and connections whose pings are further apart.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The bytes of one stream that were received and not read.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Those of all streams of a connection.
const WINDOW: u32 = 1024 * 1024;
/// The bytes of a connection that were written and not acknowledged. More stay in the queue of the session, which has its own limit.
const SEND_WINDOW: u64 = 512 * 1024;
/// The request, the stream of the session, and one more, which is noticed and ends the session.
const BIDIRECTIONAL_STREAMS: u32 = 3;
/// HTTP/3 needs three. Those of a session are ignored.
const UNIDIRECTIONAL_STREAMS: u32 = 8;
/// The bytes of datagrams that wait. Nobody reads them.
const DATAGRAMS: usize = 4096;

pub(super) fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(BIDIRECTIONAL_STREAMS.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(
            u32::try_from(IDLE_TIMEOUT.as_millis()).ok().map(|ms| IdleTimeout::from(VarInt::from_u32(ms))),
        );
    Arc::new(transport)
}
