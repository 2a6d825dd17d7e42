//! The builder methods for HTTP, written once for both servers.

/// The builder methods. The builder has a field `http` of the type `HttpSettings`.
macro_rules! http_settings {
    () => {
        /// Limits the number of sessions that are open at the same time, whether or not they have joined a namespace. A further handshake
        /// is refused with status 503, and clients try again later. Each session needs some KiB, and can queue up to
        /// [`EngineLimits::max_outbound`](crate::EngineLimits). Default: no limit, as in the reference.
        pub fn max_sessions(mut self, count: usize) -> Self {
            self.http.max_sessions = count;
            self
        }

        /// Decides whether to accept the HTTP request of a handshake, on every transport. If the callback returns an error, the client
        /// receives its text: as the message of code 4 with status 403, or as the body of a refused WebSocket handshake. An empty text is
        /// replaced with `Forbidden`. A panic refuses the request.
        ///
        /// The callback returns `Result<(), String>`, or a future of it. The future cannot borrow the request, so clone what it needs. It
        /// is dropped if the client goes away meanwhile. See [`max_waiting_requests`](Self::max_waiting_requests) for how many may wait.
        ///
        /// ```
        /// # use socketio_driver::Server;
        /// # async fn is_valid(_: &str) -> bool { true }
        /// let server = Server::builder()
        ///     .allow_request(|request| {
        ///         let token = request.headers.get("authorization").and_then(|token| token.to_str().ok()).map(str::to_owned);
        ///         async move {
        ///             match token {
        ///                 Some(token) if is_valid(&token).await => Ok(()),
        ///                 _ => Err("unauthorized".to_owned()),
        ///             }
        ///         }
        ///     })
        ///     .build();
        /// ```
        ///
        /// Only handshakes are asked about: the later requests of a session have its id. Source: `allowRequest` of the reference.
        pub fn allow_request<R: $crate::http::Permission<M>, M>(
            mut self,
            allow: impl Fn(&http::request::Parts) -> R + Send + Sync + 'static,
        ) -> Self {
            self.http.allow = Some($crate::http::AllowRequest::new(allow));
            self
        }

        /// Maximum number of handshakes that wait for [`allow_request`](Self::allow_request) at the same time. Further ones are refused
        /// with status 503. Default: 1024.
        pub fn max_waiting_requests(mut self, count: usize) -> Self {
            self.http.max_waiting_requests = count.max(1);
            self
        }

        /// Lets pages of other origins use the server over HTTP; see [`Cors`](crate::Cors). Default: no CORS headers, so only pages of the
        /// server's own origin can poll.
        ///
        /// # Panics
        /// If credentials are allowed for [`Origins::any`](crate::Origins::any), which browsers refuse.
        pub fn cors(mut self, cors: $crate::http::Cors) -> Self {
            cors.check();
            self.http.cors = Some(cors);
            self
        }

        /// Refuses WebSocket handshakes of pages from other origins than these, with code 4. CORS does not apply to WebSockets: without
        /// this check, any page can open one, and the browser adds the cookies of its visitor. List the origin of your own pages, too.
        /// Requests without an `Origin` header are not from pages, and pass. Default: no check, as in the reference.
        pub fn check_origin(mut self, origins: impl Into<$crate::http::Origins>) -> Self {
            self.http.check_origin = Some(origins.into());
            self
        }

        /// Sets a cookie with the session id in the first response of a polling session; see [`Cookie`](crate::Cookie). Default: no cookie.
        ///
        /// # Panics
        /// If the cookie has `SameSite::None` and is not secure, which browsers refuse.
        pub fn cookie(mut self, cookie: $crate::http::Cookie) -> Self {
            cookie.check();
            self.http.cookie = Some(cookie);
            self
        }

        /// Changes the headers of the first response of each session: the one with the open packet, or the `101` of a WebSocket. A panic
        /// is logged. Source: event `initial_headers` of the reference.
        ///
        /// ```
        /// use http::header::{HeaderValue, SET_COOKIE};
        /// use socketio_driver::Server;
        ///
        /// let server = Server::builder()
        ///     .initial_headers(|headers, _request| {
        ///         headers.append(SET_COOKIE, HeaderValue::from_static("server=a"));
        ///     })
        ///     .build();
        /// ```
        pub fn initial_headers(
            mut self,
            change: impl Fn(&mut http::HeaderMap, &http::request::Parts) + Send + Sync + 'static,
        ) -> Self {
            self.http.initial_headers = Some(Box::new(change));
            self
        }

        /// Changes the headers of every response of a session: polls and POSTs with status 200, and the `101` of a WebSocket. Runs after
        /// [`initial_headers`](Self::initial_headers). Refusals do not have these headers. A panic is logged. Source: event `headers` of
        /// the reference.
        pub fn headers(
            mut self,
            change: impl Fn(&mut http::HeaderMap, &http::request::Parts) + Send + Sync + 'static,
        ) -> Self {
            self.http.headers = Some(Box::new(change));
            self
        }

        /// Is called for every request that the protocol or the application refuses, before the response is sent. Use it for logs and
        /// counters: anybody can cause it, as often as they like. Source: event `connection_error` of the reference.
        pub fn on_connection_error(
            mut self,
            hook: impl Fn($crate::http::ConnectionError<'_>) + Send + Sync + 'static,
        ) -> Self {
            self.http.on_connection_error = Some(Box::new(hook));
            self
        }

        /// Makes the ids of sessions, for example with a prefix that a load balancer routes by. An id is a secret: anyone who has it can
        /// act as the client, so it needs at least 96 random bits. Default: 120 random bits from the operating system.
        ///
        /// An id that is in use is discarded, and the callback is called again, three times in all. If it returns an error, panics, or
        /// finds no unused id, the handshake is refused with code 3.
        pub fn generate_id<E: std::fmt::Display>(
            mut self,
            generate: impl Fn(&http::request::Parts) -> Result<$crate::Sid, E> + Send + Sync + 'static,
        ) -> Self {
            self.http.generate_id = Some(Box::new(move |parts| generate(parts).map_err(|error| error.to_string())));
            self
        }

        /// Takes the address of a client from a header that your proxies set; see [`ClientAddress`](crate::ClientAddress). It is then that of
        /// [`Handshake::address`](crate::Handshake::address), and of [`RemoteAddress`](crate::RemoteAddress) in the extensions of the
        /// request for the other callbacks. Default: the address of the connection, which behind a proxy is the proxy's.
        pub fn client_address(mut self, source: $crate::http::ClientAddress) -> Self {
            self.http.client_address = Some(source);
            self
        }

        /// Compresses the responses to polls; see [`Compression`](crate::Compression). Default: off. (The reference compresses by default.)
        #[cfg(feature = "compression")]
        pub fn compression(mut self, compression: $crate::http::Compression) -> Self {
            self.http.compression = Some(compression);
            self
        }

        /// Compresses WebSocket messages of at least `threshold` bytes (permessage-deflate, RFC 7692), for clients that support it,
        /// and accepts compressed messages from them. Browsers and the JavaScript client on Node do, python-socketio does not. Default:
        /// off, as in the reference, whose threshold is 1024 once it is on. Needs the feature `deflate`. For single events, see
        /// [`Broadcast::compress`](crate::Broadcast::compress).
        ///
        /// It pays where bandwidth is scarce, not on a fast network:
        ///
        /// * **Time.** Compressing takes some 40 µs for a message of 4 KiB and 200 µs for one of 100 KB, on the thread that serves
        ///   the connection. A broadcast is compressed once, whatever the number of recipients. Inflating is 5 times as fast.
        ///   The size may be a fifth for JSON. A message that does not get smaller is sent as it is.
        /// * **Memory.** None for an idle connection: no context is kept from one message to the next
        ///   (`server_no_context_takeover` and `client_no_context_takeover`). Up to 64 KiB of input wait while a connection may not
        ///   read because its messages inflated to much. Each thread that has compressed a message keeps a compressor of 300 KiB, and
        ///   the process up to 1 MiB of messages that are being broadcast, or the last one if it is larger.
        /// * **Limits.** [`max_payload`](Self::max_payload) holds for a message before and after it is inflated. One that exceeds
        ///   it is inflated only to the limit and closes the connection. After 64 KiB of inflated messages, the other limits of
        ///   the session are checked before more is inflated.
        /// * **Secrets.** An attacker who can choose a part of a message and see the length of the frame can guess other parts of
        ///   the same message (the attack CRIME). Do not turn it on if messages mix secrets with text from others.
        ///
        /// A client may limit the reach of the compression (`server_max_window_bits`). Then longer messages than that reach are not
        /// compressed for it.
        #[cfg(feature = "deflate")]
        pub fn per_message_deflate(mut self, threshold: usize) -> Self {
            self.http.deflate_threshold = Some(u32::try_from(threshold).unwrap_or(u32::MAX));
            self
        }
    };
}

pub(crate) use http_settings;
