//! Echo servers: Socket.IO on `/socket.io/` and plain Engine.IO on `/engine.io/`. They implement the contract of the conformance suite
//! (`conformance/fixtures/SERVER.md`) with its optional endpoints, so that one program serves that suite, the official test suites of the
//! protocols, our own tests with real clients, the comparison of servers, and attacks.
//!
//! Run with `cargo run --release -p socketio-tokio --example echo -- --port 3000`. Settings are flags or environment variables, see
//! [`Settings`]. Flags that turn something on apply to these two paths.

/// The events of the contract, which is a file of the conformance suite.
#[path = "../../../conformance/fixtures/rust/contract.rs"]
mod contract;

use std::env;
use std::time::Duration;

use socketio_tokio::rustls::ServerConfig;
use socketio_tokio::rustls::pki_types::pem::PemObject;
use socketio_tokio::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socketio_tokio::{
    AckError, Compression, ConnectRequest, Cors, EngineServer, Event, Namespace, Origins, Recovery, Refusal, Server,
    Socket, Tls, serve, serve_tls,
};
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::read()?;
    let mut runtime = match settings.workers {
        Some(0 | 1) => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            workers.map(|workers| runtime.worker_threads(workers));
            runtime
        }
    };
    runtime.enable_all().build()?.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    let mut socketio =
        Server::builder().engine(|config| settings.apply(config)).connect_timeout(settings.connect_timeout);
    let mut engineio = EngineServer::builder().config(|config| settings.apply(config));
    if settings.cors {
        let cors = Cors::new(Origins::mirrored()).credentials(true);
        (socketio, engineio) = (socketio.cors(cors.clone()), engineio.cors(cors));
    }
    if settings.compression {
        (socketio, engineio) = (socketio.compression(Compression::new()), engineio.compression(Compression::new()));
    }
    if let Some(threshold) = settings.deflate {
        (socketio, engineio) = (socketio.per_message_deflate(threshold), engineio.per_message_deflate(threshold));
    }
    if settings.recovery {
        let preset = Recovery::default();
        let duration = settings.recovery_duration.unwrap_or(preset.max_disconnection_duration);
        socketio = socketio.connection_state_recovery(Recovery { max_disconnection_duration: duration, ..preset });
    }
    let socketio = socketio.build();
    contract::register_namespaces(&socketio);
    let dynamic = socketio.matching(|name| name.starts_with("/dynamic-"));
    let guarded = socketio.of("/guarded");
    guarded.middleware(|request: ConnectRequest| {
        #[derive(serde::Deserialize)]
        struct Auth<'a> {
            token: &'a str,
        }
        match request.auth().map(|auth| auth.get::<Auth<'_>>(0)) {
            Some(Ok(Auth { token: "secret" })) => Ok(()),
            _ => Err(Refusal::new("not authorised").with_data(serde_json::json!({ "code": 401 }))),
        }
    });
    contract::register_handlers(&dynamic);
    contract::register_handlers(&guarded);
    for namespace in [&socketio.of("/"), &socketio.of("/custom"), &dynamic, &guarded] {
        register_more_handlers(namespace);
    }
    let engineio = contract::engine_echo(engineio);
    // The servers that benchmarks use come first, because paths are compared in this order.
    let servers = ((socketio, engineio), contract::optional_endpoints(settings.of_contract()));

    let listener = TcpListener::bind((settings.host.as_str(), settings.port)).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let stop = async {
        // If no signal handler can be installed, the signal ends the process.
        let _ = tokio::signal::ctrl_c().await;
    };
    match &settings.tls {
        None => serve(listener, servers).with_graceful_shutdown(stop).await,
        Some(tls) => {
            let listener = Tls::new(listener, tls.config()?);
            serve_tls(listener, servers).with_graceful_shutdown(stop).await;
        }
    }
    Ok(())
}

/// Events that only our own tests use.
fn register_more_handlers(namespace: &Namespace) {
    namespace
        .on("who-am-i", |socket: Socket, event: Event| {
            event.ack((socket.id().as_str(), socket.handshake().revision().number()))
        })
        .on("drop-me", |socket: Socket, _: Event| socket.drop_connection())
        .on("transport", |socket: Socket, _: Event| socket.emit("transport-back", socket.transport().as_str()))
        .on("ask", |socket: Socket, event: Event| async move {
            match socket.emit_with_ack_timeout("question", event.payload(), Duration::from_secs(5))?.await {
                Ok(answer) => socket.emit("answer", &answer),
                Err(error @ (AckError::Timeout | AckError::Disconnected)) => {
                    socket.emit("answer-failed", error.to_string())
                }
                Err(_) => Ok(()),
            }
        });
}

/// Each setting has a flag or environment variable, and a default. Times are in milliseconds, sizes in bytes.
struct Settings {
    /// `--host`: 127.0.0.1.
    host: String,
    /// `--port` or `PORT`: 3000. 0 selects a free port.
    port: u16,
    /// `--ping-interval` or `PING_INTERVAL_MS`: 25000.
    ping_interval: Duration,
    /// `--ping-timeout` or `PING_TIMEOUT_MS`: 20000.
    ping_timeout: Duration,
    /// `--upgrade-timeout`: 10000.
    upgrade_timeout: Duration,
    /// `--max-payload` or `MAX_PAYLOAD`: 1000000.
    max_payload: usize,
    /// `--connect-timeout` or `CONNECT_TIMEOUT_MS`: 45000.
    connect_timeout: Duration,
    /// `--deflate`, without a value: compresses WebSocket messages from 1024 bytes on. Otherwise none.
    deflate: Option<usize>,
    /// `--allow-eio3`, without a value: clients of Socket.IO 1 and 2 are accepted, too.
    allow_eio3: bool,
    /// `--recovery`, without a value: clients can return after a lost connection.
    recovery: bool,
    /// `RECOVERY_MS`: how long they can. Otherwise the default of [`Recovery`], and 2000 on `/recovery/`.
    recovery_duration: Option<Duration>,
    /// `WORKERS`: the number of cores.
    workers: Option<usize>,
    /// `--cors`, without a value: allows pages of every origin, with credentials.
    cors: bool,
    /// `--compression`, without a value: compresses responses to polls.
    compression: bool,
    /// `--tls-cert` and `--tls-key`: serves TLS instead of plain TCP.
    tls: Option<Certificate>,
}

/// PEM files.
#[derive(Default)]
struct Certificate {
    certificates: String,
    key: String,
}

impl Certificate {
    fn config(&self) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let certificates = CertificateDer::pem_file_iter(&self.certificates)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        Ok(ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?)
    }
}

impl Settings {
    fn read() -> Result<Self, Box<dyn std::error::Error>> {
        let from_env = |name: &str| env::var(name).ok().map(|value| value.parse::<u64>()).transpose();
        let mut settings = Self {
            host: "127.0.0.1".to_owned(),
            port: from_env("PORT")?.unwrap_or(3000).try_into()?,
            ping_interval: Duration::from_millis(from_env("PING_INTERVAL_MS")?.unwrap_or(25_000)),
            ping_timeout: Duration::from_millis(from_env("PING_TIMEOUT_MS")?.unwrap_or(20_000)),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: from_env("MAX_PAYLOAD")?.unwrap_or(1_000_000).try_into()?,
            connect_timeout: Duration::from_millis(from_env("CONNECT_TIMEOUT_MS")?.unwrap_or(45_000)),
            deflate: None,
            allow_eio3: false,
            recovery: false,
            recovery_duration: from_env("RECOVERY_MS")?.map(Duration::from_millis),
            workers: from_env("WORKERS")?.map(usize::try_from).transpose()?,
            cors: false,
            compression: false,
            tls: None,
        };
        let mut arguments = env::args().skip(1);
        while let Some(flag) = arguments.next() {
            match flag.as_str() {
                "--allow-eio3" => {
                    settings.allow_eio3 = true;
                    continue;
                }
                "--cors" => {
                    settings.cors = true;
                    continue;
                }
                "--compression" => {
                    settings.compression = true;
                    continue;
                }
                "--deflate" => {
                    settings.deflate = Some(1024);
                    continue;
                }
                "--recovery" => {
                    settings.recovery = true;
                    continue;
                }
                _ => {}
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--host" => settings.host = value,
                "--port" => settings.port = value.parse()?,
                "--ping-interval" => settings.ping_interval = Duration::from_millis(value.parse()?),
                "--ping-timeout" => settings.ping_timeout = Duration::from_millis(value.parse()?),
                "--upgrade-timeout" => settings.upgrade_timeout = Duration::from_millis(value.parse()?),
                "--max-payload" => settings.max_payload = value.parse()?,
                "--connect-timeout" => settings.connect_timeout = Duration::from_millis(value.parse()?),
                "--tls-cert" => settings.tls.get_or_insert_default().certificates = value,
                "--tls-key" => settings.tls.get_or_insert_default().key = value,
                _ => return Err(format!("unknown flag {flag}: see `Settings` in examples/echo.rs").into()),
            }
        }
        Ok(settings)
    }

    fn apply(&self, config: &mut socketio_tokio::EngineConfig) {
        config.ping_interval = self.ping_interval;
        config.ping_timeout = self.ping_timeout;
        config.upgrade_timeout = self.upgrade_timeout;
        config.set_max_payload(self.max_payload);
        config.allow_eio3 = self.allow_eio3;
    }

    /// The settings of the endpoints that the conformance suite uses in addition.
    fn of_contract(&self) -> contract::Settings {
        let preset = contract::Settings::default();
        contract::Settings {
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            connect_timeout: self.connect_timeout,
            max_payload: self.max_payload,
            recovery: self.recovery_duration.unwrap_or(preset.recovery),
            webtransport: false,
        }
    }
}
