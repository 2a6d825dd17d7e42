//! Runs a script: executes its steps one after the other against the implementation.

mod client_session;
mod events;
mod exchange;
mod link;
mod player;
mod program;
mod server_session;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::events::Event;
use self::player::Player;
use crate::case::Endpoint;
use crate::mutant::Mutant;
use crate::script::Step;
use crate::script::value::{Scope, Value};
use crate::transcript::Transcript;
use crate::wire::http::{Headers, RequestHead, header};
use crate::wire::{BoxStream, Connector, Session};

/// State that all objects of a running case share.
pub(crate) struct Context {
    /// The connector to the server under test. `None` when a client is tested.
    connector: Option<Arc<dyn Connector>>,
    pub(crate) transcript: Transcript,
    answers_heartbeats: AtomicBool,
    /// Why a connection to the server could not be opened. No case accepts that: otherwise a server that has crashed would pass every
    /// case that expects a refusal.
    unreachable: OnceLock<String>,
    path: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Context {
    /// Opens a connection to the server under test, or returns the event that reports the failure.
    async fn connect(&self) -> Result<BoxStream, Event> {
        match &self.connector {
            Some(connector) => {
                let connected = connector.connect().await;
                connected.map_err(|error| self.record_unreachable(format!("no connection: {error}")))
            }
            None => Err(Event::closed("no connection: this case plays the server")),
        }
    }

    fn record_unreachable(&self, reason: String) -> Event {
        let _ = self.unreachable.set(reason.clone());
        Event::closed(reason)
    }

    /// Opens a WebTransport session with the server under test, or returns the event that reports the failure.
    async fn webtransport(&self) -> Result<Arc<dyn Session>, Event> {
        match &self.connector {
            Some(connector) => {
                let opened = connector.webtransport(&self.path).await;
                opened.map_err(|error| self.record_unreachable(format!("no WebTransport session: {error}")))
            }
            None => Err(Event::closed("no connection: this case plays the server")),
        }
    }

    fn answers_heartbeats(&self) -> bool {
        self.answers_heartbeats.load(Ordering::Relaxed)
    }

    /// The head of a request with the headers that every client sends.
    fn request(&self, method: &str, target: &str) -> RequestHead {
        let authority = self.connector.as_ref().map_or("", |connector| connector.authority());
        let target = if target.starts_with('?') { format!("{}{target}", self.path) } else { target.to_owned() };
        let headers = vec![("Host".to_owned(), authority.to_owned()), ("Accept".to_owned(), "*/*".to_owned())];
        RequestHead { method: method.to_owned(), target, headers }
    }
}

/// Replaces headers of the same name and appends the others.
fn set_headers(headers: &mut Headers, wanted: Headers) {
    headers.retain(|(name, _)| header(&wanted, name).is_none());
    headers.extend(wanted);
}

/// Why a script stopped before its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The implementation did not do what the step requires.
    Failed { step: String, expected: String, seen: String },
    /// The case cannot be decided here.
    Skipped(String),
    /// The case itself is wrong: the script requires something impossible.
    Broken { step: String, error: String },
}

/// How to run a script.
pub(crate) struct ScriptOptions {
    pub(crate) connector: Option<Arc<dyn Connector>>,
    /// The command line of the client under test. `{url}` is replaced by the URL of the suite.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Applied between the suite and the client under test.
    pub(crate) mutant: Option<Arc<Mutant>>,
    /// The path of the endpoint.
    pub(crate) path: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) grace: Duration,
    /// A step that needs a longer wait is skipped.
    pub(crate) patience: Duration,
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) seed: u64,
}

/// Runs the steps and returns the result.
pub(crate) async fn play(options: ScriptOptions, transcript: Transcript, steps: &[Step]) -> Result<(), Stop> {
    let context = Arc::new(Context {
        connector: options.connector.clone(),
        transcript,
        answers_heartbeats: AtomicBool::new(true),
        unreachable: OnceLock::new(),
        path: options.path.clone(),
    });
    let mut scope = Scope::new(options.seed);
    scope.set("path", Value::Text(options.path.clone()));
    for (name, value) in &options.variables {
        scope.set(name, value.clone());
    }
    let mut player = Player::new(Arc::clone(&context), options, scope);
    player.start_program().await?;
    let result = player.steps(steps).await;
    match context.unreachable.get() {
        Some(reason) if result.is_ok() => {
            Err(Stop::Failed { step: String::new(), expected: "a connection".to_owned(), seen: reason.clone() })
        }
        _ => result,
    }
}
