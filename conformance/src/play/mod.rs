//! Plays a script: carries out its steps one after the other against the other side.

mod exchange;
mod hosted;
mod inbox;
mod link;
mod player;
mod program;
mod visit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::inbox::Event;
use self::player::Player;
use crate::case::Endpoint;
use crate::mutant::Mutant;
use crate::script::Step;
use crate::script::value::{Scope, Value};
use crate::transcript::Transcript;
use crate::wire::http::{Headers, RequestHead, header};
use crate::wire::{BoxStream, Connector, Session};

/// What all objects of a running case share.
pub(crate) struct Context {
    /// The way to the server under test; none when a client is tested.
    connector: Option<Arc<dyn Connector>>,
    pub(crate) transcript: Transcript,
    answers_heartbeats: AtomicBool,
    /// Why a connection to the server could not be made. No case accepts that: a server that is gone refuses everything, and does nothing wrong.
    unreachable: OnceLock<String>,
    path: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Context {
    /// A new connection to the server under test, or what to tell of the failure.
    async fn connect(&self) -> Result<BoxStream, Event> {
        match &self.connector {
            Some(connector) => {
                let connected = connector.connect().await;
                connected.map_err(|error| self.is_unreachable(format!("no connection: {error}")))
            }
            None => Err(Event::closed("no connection: this case plays the server")),
        }
    }

    fn is_unreachable(&self, reason: String) -> Event {
        let _ = self.unreachable.set(reason.clone());
        Event::closed(reason)
    }

    /// A new session of WebTransport with the server under test, or what to tell of the failure.
    async fn webtransport(&self) -> Result<Arc<dyn Session>, Event> {
        match &self.connector {
            Some(connector) => {
                let opened = connector.webtransport(&self.path).await;
                opened.map_err(|error| self.is_unreachable(format!("no session of WebTransport: {error}")))
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

/// Replaces headers of the same name and adds the others.
fn set_headers(headers: &mut Headers, wanted: Headers) {
    headers.retain(|(name, _)| header(&wanted, name).is_none());
    headers.extend(wanted);
}

/// Why a script did not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The implementation did something else.
    Failed { step: String, expected: String, seen: String },
    /// It cannot be told here.
    Skipped(String),
    /// The script asks for something impossible.
    Broken { step: String, error: String },
}

/// How a script is played.
pub(crate) struct Setting {
    pub(crate) connector: Option<Arc<dyn Connector>>,
    /// The command line of the client under test; `{url}` in it stands for the URL of the suite.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Stands between the suite and the client under test.
    pub(crate) mutant: Option<Arc<Mutant>>,
    /// Where the endpoint is.
    pub(crate) path: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) grace: Duration,
    /// The longest wait that is worth it.
    pub(crate) patience: Duration,
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) seed: u64,
}

/// Plays the steps, and returns how it ended.
pub(crate) async fn play(setting: Setting, transcript: Transcript, steps: &[Step]) -> Result<(), Stop> {
    let context = Arc::new(Context {
        connector: setting.connector.clone(),
        transcript,
        answers_heartbeats: AtomicBool::new(true),
        unreachable: OnceLock::new(),
        path: setting.path.clone(),
    });
    let mut scope = Scope::new(setting.seed);
    scope.set("path", Value::Text(setting.path.clone()));
    for (name, value) in &setting.variables {
        scope.set(name, value.clone());
    }
    let mut player = Player::new(Arc::clone(&context), setting, scope);
    player.start_program().await?;
    let result = player.steps(steps).await;
    match context.unreachable.get() {
        Some(reason) if result.is_ok() => {
            Err(Stop::Failed { step: String::new(), expected: "a connection".to_owned(), seen: reason.clone() })
        }
        _ => result,
    }
}
