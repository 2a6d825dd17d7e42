//! The builder methods for sessions and their handlers, written once for both servers. Those for HTTP are in `http/builder`.

/// The builder methods. The builder has the fields `engine` (an `engineio_proto::Config`), `http` (an `HttpSettings`) and `max_waiting` (a
/// `MaxWaiting`). `path` is its default path, and `eio3` says what else is to know about clients of revision 3.
macro_rules! session_settings {
    (path: $path:literal, eio3: $eio3:literal) => {
        #[doc = concat!("The path of the server. Every request below it matches, such as `", $path, "x`; one without the trailing")]
        #[doc = concat!("slash does not. Default: `", $path, "`.")]
        pub fn path(mut self, path: &str) -> Self {
            path.clone_into(&mut self.http.path);
            self
        }

        /// Interval between pings. Default: 25 s.
        pub fn ping_interval(mut self, interval: Duration) -> Self {
            self.engine.ping_interval = interval;
            self
        }

        /// How long to wait for the pong after a ping. Then the session is closed with the reason `ping timeout`. Default: 20 s.
        pub fn ping_timeout(mut self, timeout: Duration) -> Self {
            self.engine.ping_timeout = timeout;
            self
        }

        /// How long an upgrade may take. Default: 10 s.
        pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
            self.engine.upgrade_timeout = timeout;
            self
        }

        /// Maximum size of an inbound message in bytes, on every transport. A larger one closes the session. Of a Socket.IO packet, each
        /// attachment is a message. Default: 1 000 000.
        ///
        /// This also raises the limits that such messages would exceed next; see [`engineio_proto::Config::set_max_payload`].
        pub fn max_payload(mut self, bytes: usize) -> Self {
            self.engine.set_max_payload(bytes);
            self
        }

        /// The transports that are served. Default: polling and WebSocket.
        pub fn transports(mut self, transports: Transports) -> Self {
            self.engine.transports = transports;
            self
        }

        /// Whether clients of revision 3 of Engine.IO are accepted, which Socket.IO 1 and 2 use.
        #[doc = $eio3]
        /// [`Handshake::revision`](crate::Handshake::revision) tells the clients apart. Default: false, as in the reference
        /// (`allowEIO3`).
        pub fn allow_eio3(mut self, allow: bool) -> Self {
            self.engine.allow_eio3 = allow;
            self
        }

        /// Changes any setting or limit of the Engine.IO level; see [`EngineConfig`](crate::EngineConfig).
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let server = socketio_driver::Server::builder()
        ///     .engine(|engine| {
        ///         engine.close_timeout = Duration::from_secs(10);
        ///         engine.limits.max_outbound = 1 << 20;
        ///     })
        ///     .build();
        /// ```
        pub fn engine(mut self, change: impl FnOnce(&mut engineio_proto::Config)) -> Self {
            change(&mut self.engine);
            self
        }

        /// Maximum number of handlers of one session that wait at the same time, with middleware. At this number, no further event or message
        /// of the session is handled, and soon the server stops reading from it. Default: 1024.
        pub fn max_waiting_handlers(mut self, count: usize) -> Self {
            self.max_waiting.set_handlers(count);
            self
        }

        /// Maximum size in bytes of the events and messages whose handlers wait, and of the `auth` payloads whose middleware wait, for one
        /// session. At this size, no further event or message of the session is handled, and soon the server stops reading from it. A
        /// single one is always handled, whatever its size. It counts until its handler ends, even if the handler has dropped it.
        /// Default: 16 MiB.
        pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
            self.max_waiting.set_bytes(bytes);
            self
        }

        /// Selects one of the subprotocols that a WebSocket handshake offers (`io(url, { protocols: [..] })` in JavaScript). They
        /// are in the client's order of preference. With `None`, the response selects no subprotocol, and clients close the
        /// connection. The function is not called if the client offers none. Default: the first one, as in the reference.
        pub fn select_protocol(
            mut self,
            select: impl for<'a> Fn(&[&'a str]) -> Option<&'a str> + Send + Sync + 'static,
        ) -> Self {
            self.http.select_protocol = Some(Box::new(select));
            self
        }

        /// Maximum number of bytes of a handshake's request head (target and headers), which is kept with the session for
        /// [`Handshake`](crate::Handshake). A larger handshake is refused with status 431. The HTTP server has its own limit on the size of
        /// a request head. Default: 16 KiB, as in Node's HTTP server.
        pub fn max_head_bytes(mut self, bytes: usize) -> Self {
            self.http.max_head = bytes;
            self
        }
    };
}

pub(crate) use session_settings;
