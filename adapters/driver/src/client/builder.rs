//! The builder methods of clients, written once for the builders of all adapters.

/// The methods that builders of Engine.IO and Socket.IO clients share on every runtime. The builder has a field `settings` with a field
/// `transport` of the type [`TransportSettings`](crate::client::TransportSettings).
#[doc(hidden)]
#[macro_export]
macro_rules! client_transport_settings {
    () => {
        /// Sets the path of the server, for example `/chat/socket.io`. Default: `/socket.io/`, and
        /// `/engine.io/` for a client of Engine.IO.
        ///
        /// # Errors
        /// If it does not begin with `/`, or has characters that a path cannot have.
        pub fn path(mut self, path: &str) -> Result<Self, $crate::client::InvalidUrl> {
            self.settings.transport.target = self.settings.transport.target.with_path(path)?;
            Ok(self)
        }

        /// Adds a parameter to the query of every request. The server reads it in its handshake.
        pub fn query(mut self, name: &str, value: &str) -> Self {
            self.settings.transport.target = self.settings.transport.target.with_parameter(name, value);
            self
        }

        /// Adds headers to every request and WebSocket (`extraHeaders`).
        pub fn headers(mut self, headers: $crate::client::HeaderMap) -> Self {
            self.settings.transport.headers.extend(headers);
            self
        }

        /// Keeps the cookies that the server sets, and sends them (`withCredentials`). A load balancer that keeps a session on one server by
        /// a cookie needs this. Default: off.
        pub fn cookies(mut self, keep: bool) -> Self {
            self.settings.transport.cookies = keep;
            self
        }

        /// Offers these subprotocols for a WebSocket, in order of preference. The server must then choose one of them.
        pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.settings.transport.protocols = protocols.into_iter().map(Into::into).collect();
            self
        }

        /// The transports that the client may use, in the order in which it tries them. The first one opens the connection. Default: polling,
        /// then a WebSocket. WebTransport is tried before a WebSocket, with a head start of 200 ms, if both are listed after polling. It
        /// needs an adapter that has it; otherwise, it fails with [`ConnectError::WebTransportMissing`]($crate::client::ConnectError).
        ///
        /// # Panics
        /// If there is none.
        pub fn transports(mut self, transports: impl IntoIterator<Item = $crate::Transport>) -> Self {
            self.settings.transport.set_transports(transports.into_iter().collect());
            self
        }

        /// Whether a connection that polls moves to a WebSocket, if the server offers it. Default: true.
        pub fn upgrade(mut self, upgrade: bool) -> Self {
            self.settings.transport.engine.upgrade = upgrade;
            self
        }

        /// Limits one received message or response, in bytes. Default: 100 000 000.
        pub fn max_payload(mut self, bytes: usize) -> Self {
            self.settings.transport.engine.max_payload = bytes;
            self
        }

        /// Changes the settings of Engine.IO that have no method here.
        pub fn engine(mut self, change: impl FnOnce(&mut $crate::client::EngineConfig)) -> Self {
            change(&mut self.settings.transport.engine);
            self
        }

        /// Maximum number of handlers that wait at the same time. At this number, the client stops reading from the server. Default: 1024.
        pub fn max_waiting_handlers(mut self, count: usize) -> Self {
            self.settings.set_max_waiting_handlers(count);
            self
        }
    };
}

/// The further methods of a builder of Socket.IO clients. Its field `settings` is a [`ClientSettings`](crate::client::ClientSettings).
#[doc(hidden)]
#[macro_export]
macro_rules! client_settings {
    () => {
        /// Sets what every socket sends when it joins its namespace: any value that serialises as an object. For a value that is made for
        /// each attempt, such as a token that expires, see [`Socket::auth`]($crate::client::Socket::auth). Default: nothing.
        ///
        /// # Errors
        /// If the value cannot be serialised.
        pub fn auth(mut self, auth: impl $crate::client::Serialize) -> Result<Self, $crate::EncodeError> {
            self.settings.set_auth(auth)?;
            Ok(self)
        }

        /// Whether the client connects again after its connection was lost or could not be made. Default: true.
        pub fn reconnection(mut self, reconnection: bool) -> Self {
            self.settings.socket.reconnection = reconnection;
            self
        }

        /// How often it tries in a row. Default: for ever.
        pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
            self.settings.socket.reconnection_attempts = Some(attempts);
            self
        }

        /// The delay before the first attempt to connect again, and the longest delay. It doubles with each attempt. Default: 1 s and 5 s.
        pub fn reconnection_delay(mut self, delay: ::std::time::Duration, max: ::std::time::Duration) -> Self {
            self.settings.socket.reconnection_delay = delay;
            self.settings.socket.reconnection_delay_max = max;
            self
        }

        /// By which part of itself a delay is changed at random, from 0 to 1. Default: 0.5.
        pub fn randomization_factor(mut self, factor: f64) -> Self {
            self.settings.socket.randomization_factor = factor;
            self
        }

        /// How long the connection may take to open (the option `timeout` of the reference). Default: 20 s. `None` is no limit.
        pub fn open_timeout(mut self, timeout: Option<::std::time::Duration>) -> Self {
            self.settings.socket.open_timeout = timeout;
            self
        }

        /// The timeout of acks that have none of their own. Default: none.
        pub fn ack_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.options.ack_timeout = Some(timeout);
            self
        }

        /// Sends each event again, up to `count` times, until the server has acknowledged it within `timeout`; the next event waits for that.
        /// The server gets each event at least once, unless all tries fail, and perhaps more than once. Its handlers must acknowledge.
        /// Volatile events are not part of this. Default: off.
        pub fn retries(mut self, count: u32, timeout: ::std::time::Duration) -> Self {
            self.settings.options.retries = Some($crate::client::Retries { count, timeout });
            self
        }

        /// Changes the settings of Socket.IO that have no method here.
        pub fn socket(mut self, change: impl FnOnce(&mut $crate::client::SocketConfig)) -> Self {
            change(&mut self.settings.socket);
            self
        }

        /// Stores a value for handlers, which take it as [`State`]($crate::State). One for each type.
        pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
            self.settings.insert_state(value);
            self
        }
    };
}
