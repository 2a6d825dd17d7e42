//! Test cases as data: the requirement, its source, the script that checks it, and the mutants that prove that the case can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mutant::Mutant;
use crate::script::value::{Expression, Value};
use crate::script::{Action, Step, script};

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// How binding a case is. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The text of the protocol requires it.
    Must,
    /// The text of the protocol recommends it, or safety requires it.
    Should,
    /// The text leaves it open. The case checks what the JavaScript reference does.
    Reference,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Reference => "reference",
        })
    }
}

/// Which side is tested. The enum is exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The suite plays the client.
    Server,
    /// The suite plays the server.
    Client,
}

/// The endpoint of the server under test, or the one that a client connects to. The enum is exhaustive: the contract defines these
/// endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// Plain Engine.IO of revision 4.
    Engineio,
    /// Socket.IO over Engine.IO of revision 4.
    Socketio,
    /// Plain Engine.IO of revision 3.
    Eio3Engineio,
    /// Socket.IO over Engine.IO of revision 3.
    Eio3Socketio,
    /// Socket.IO with the MessagePack parser.
    Msgpack,
    /// Socket.IO with connection state recovery.
    Recovery,
}

impl Endpoint {
    /// The default endpoint of a case, which follows from its group.
    fn of(id: &str) -> Self {
        match id.split('/').next().unwrap_or_default() {
            "eio4" => Self::Engineio,
            "eio3" => Self::Eio3Engineio,
            "sio4" => Self::Eio3Socketio,
            "msgpack" => Self::Msgpack,
            _ if id.starts_with("sio5/recovery") => Self::Recovery,
            _ if id.starts_with("client/eio3/") || id.starts_with("client/sio4/") => Self::Eio3Socketio,
            _ => Self::Socketio,
        }
    }

    /// The name of the endpoint on the command line and in case files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Engineio => "engineio",
            Self::Socketio => "socketio",
            Self::Eio3Engineio => "eio3-engineio",
            Self::Eio3Socketio => "eio3-socketio",
            Self::Msgpack => "msgpack",
            Self::Recovery => "recovery",
        }
    }

    /// The default path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Engineio => "/engine.io/",
            Self::Socketio => "/socket.io/",
            Self::Eio3Engineio => "/eio3/engine.io/",
            Self::Eio3Socketio => "/eio3/socket.io/",
            Self::Msgpack => "/msgpack/socket.io/",
            Self::Recovery => "/recovery/socket.io/",
        }
    }

    /// Returns whether the endpoint speaks Socket.IO.
    pub(crate) fn is_socketio(self) -> bool {
        !matches!(self, Self::Engineio | Self::Eio3Engineio)
    }

    pub(crate) fn is_revision_3(self) -> bool {
        matches!(self, Self::Eio3Engineio | Self::Eio3Socketio)
    }

    /// The capabilities that cases for this endpoint need.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Engineio => &["engineio", "eio4"],
            Self::Socketio => &["socketio", "eio4", "sio5"],
            Self::Eio3Engineio => &["engineio", "eio3"],
            Self::Eio3Socketio => &["socketio", "eio3"],
            Self::Msgpack => &["msgpack", "eio4", "sio5"],
            Self::Recovery => &["recovery", "eio4", "sio5"],
        }
    }
}

/// A case that is ready to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The stable id. The parts before the slashes are groups.
    pub id: String,
    /// Which side it tests.
    pub role: Role,
    /// How binding it is.
    pub level: Level,
    /// The requirement, in one sentence.
    pub requirement: String,
    /// Where the requirement is written.
    pub source: String,
    /// The case of an official test suite that this one replays.
    pub official: Option<String>,
    /// The case is skipped if one of these capabilities is missing.
    pub needs: Vec<String>,
    /// Rules of the breaking proxy. The case must fail under each of them.
    pub mutants: Vec<String>,
    /// For clients: environment variables of the program.
    pub environment: Vec<(String, String)>,
    /// Whether the case affects all clients of the server, so that no other case may run at the same time.
    pub alone: bool,
    /// Rules that break the traffic between the suite and the implementation. Used to test the suite itself.
    pub mutant: Option<String>,
    /// The endpoint that it tests.
    pub endpoint: Endpoint,
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// Returns this case with a mutant between the suite and the implementation.
    #[must_use]
    pub fn with_mutant(&self, mutant: &str) -> Self {
        Self { mutant: Some(mutant.to_owned()), ..self.clone() }
    }

    /// Returns whether the case needs a build of the suite with the feature `webtransport`.
    pub fn needs_webtransport(&self) -> bool {
        self.needs.iter().any(|need| need == WEBTRANSPORT)
    }
}

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<RawCase>,
}

/// A case as written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: String,
    level: Level,
    requirement: String,
    source: String,
    official: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    alone: bool,
    endpoint: Option<Endpoint>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    each: Option<Each>,
    steps: String,
    mutants: Vec<String>,
}

/// Creates one case per value: `["polling", "websocket"]`, or `{ name = "value" }`, or `{ name = { send = "…", … } }`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Each {
    Names(Vec<String>),
    Values(BTreeMap<String, toml::Value>),
}

/// The built-in cases for servers. Cases that this build does not support are left out, see [`excluded_cases`].
///
/// # Errors
/// A message with the file and the line. A test checks that no built-in case fails to parse.
pub fn server_cases() -> Result<Vec<Case>, String> {
    let mut cases = load(SERVER, Role::Server)?;
    cases.retain(|case| HAS_WEBTRANSPORT || !case.needs_webtransport());
    Ok(cases)
}

/// The built-in cases for servers that need the feature `webtransport`, if this build does not have it.
///
/// # Errors
/// As for [`server_cases`].
pub fn excluded_cases() -> Result<Vec<Case>, String> {
    let mut cases = load(SERVER, Role::Server)?;
    cases.retain(|case| !HAS_WEBTRANSPORT && case.needs_webtransport());
    Ok(cases)
}

/// Whether this build supports [`WEBTRANSPORT`].
const HAS_WEBTRANSPORT: bool = cfg!(feature = "webtransport");

/// The capability that requires the feature `webtransport` of this crate, because QUIC takes long to build.
const WEBTRANSPORT: &str = "webtransport";

/// The built-in cases for clients.
///
/// # Errors
/// A message with the file and the line. A test checks that no built-in case fails to parse.
pub fn client_cases() -> Result<Vec<Case>, String> {
    load(CLIENT, Role::Client)
}

fn load(files: &[(&str, &str)], role: Role) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (name, text) in files {
        cases.extend(parse(text, role).map_err(|error| format!("{name}.toml: {error}"))?);
    }
    let mut ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(twice) => Err(format!("{twice:?} have the same id")),
        None => Ok(cases),
    }
}

/// Parses a file of cases.
///
/// # Errors
/// A message with the case and the line.
pub fn parse(text: &str, role: Role) -> Result<Vec<Case>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut cases = Vec::new();
    for raw in file.case {
        let steps = script(&raw.steps).map_err(|error| format!("{}: {error}", raw.id))?;
        match &raw.each {
            None => cases.push(case(&raw, role, &steps, "", Vec::new())?),
            Some(Each::Names(names)) => {
                for name in names {
                    let variables = vec![("each".to_owned(), Value::Text(name.clone()))];
                    cases.push(case(&raw, role, &steps, name, variables)?);
                }
            }
            Some(Each::Values(values)) => {
                for (name, value) in values {
                    let mut variables = vec![("name".to_owned(), Value::Text(name.clone()))];
                    match value {
                        toml::Value::Table(fields) => {
                            for (field, value) in fields {
                                variables.push((format!("each.{field}"), variable_value(value)?));
                            }
                        }
                        value => variables.push(("each".to_owned(), variable_value(value)?)),
                    }
                    cases.push(case(&raw, role, &steps, name, variables)?);
                }
            }
        }
    }
    Ok(cases)
}

fn variable_value(value: &toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::String(text) => Ok(Value::Text(text.clone())),
        #[allow(clippy::cast_precision_loss, reason = "case files have no numbers that large")]
        toml::Value::Integer(number) => Ok(Value::Number(*number as f64)),
        toml::Value::Float(number) => Ok(Value::Number(*number)),
        other => Err(format!("{other} cannot be a variable")),
    }
}

fn case(
    raw: &RawCase,
    role: Role,
    steps: &[Step],
    name: &str,
    variables: Vec<(String, Value)>,
) -> Result<Case, String> {
    let id = if name.is_empty() { raw.id.clone() } else { format!("{}/{name}", raw.id) };
    let fill = |text: &String| {
        // Longest names first: `$each` is a prefix of `$each.send`.
        variables
            .iter()
            .rev()
            .fold(text.clone(), |text, (name, value)| text.replace(&format!("${name}"), &value.text()))
    };
    let mutants: Vec<String> = raw.mutants.iter().map(fill).collect();
    for mutant in &mutants {
        Mutant::parse(mutant).map_err(|error| format!("{id}: {error}"))?;
    }
    if id.split('/').count() < 2 || steps.is_empty() {
        return Err(format!("{id}: an id needs a group, and a case needs steps"));
    }
    if role == Role::Server && steps.iter().any(is_for_clients_only) {
        return Err(format!("{id}: a case for servers cannot use `accept` and other steps for clients"));
    }
    let endpoint = raw.endpoint.unwrap_or_else(|| Endpoint::of(&id));
    let mut needs = raw.needs.clone();
    needs.extend(endpoint.needs().iter().map(|need| (*need).to_owned()));
    let environment: Vec<_> = raw.environment.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
    let used = match role {
        Role::Server => transports_of_steps(steps, &fill),
        Role::Client => transports_of_environment(&environment),
    };
    needs.extend(used.into_iter().filter(|transport| !raw.needs.iter().any(|need| need == transport)));
    Ok(Case {
        id,
        role,
        level: raw.level,
        requirement: fill(&raw.requirement),
        source: raw.source.clone(),
        official: raw.official.clone(),
        needs,
        mutants,
        environment,
        alone: raw.alone,
        mutant: None,
        endpoint,
        variables,
        steps: steps.to_vec(),
    })
}

/// The transports that the environment selects for a client.
fn transports_of_environment(environment: &[(String, String)]) -> BTreeSet<String> {
    let setting = environment.iter().find(|(name, _)| name == "TRANSPORTS");
    // The default of the contract.
    let names = setting.map_or("polling,websocket", |(_, value)| value.as_str());
    names.split(',').map(str::to_owned).collect()
}

/// The transports that these steps require of a server.
fn transports_of_steps(steps: &[Step], fill: &impl Fn(&String) -> String) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for step in steps {
        let transport = match &step.action {
            Action::Open { transport, .. } | Action::Upgrade { transport: Some(transport) } => match transport {
                Expression::Text(name) => name.literal(),
                Expression::Variable(name) => Some(fill(&format!("${name}"))),
                _ => None,
            },
            Action::Upgrade { transport: None } | Action::WebSocket { .. } => Some("websocket".to_owned()),
            Action::Poll { .. } | Action::Post { .. } => Some("polling".to_owned()),
            // Requests written by hand name the transport in their query.
            Action::Request { .. } | Action::Bytes(_) if fill(&step.text).contains("transport=polling") => {
                Some("polling".to_owned())
            }
            Action::Repeat { steps, .. } => {
                used.append(&mut transports_of_steps(steps, fill));
                None
            }
            _ => None,
        };
        used.extend(transport);
    }
    used
}

fn is_for_clients_only(step: &Step) -> bool {
    match &step.action {
        Action::AcceptSession { .. }
        | Action::AcceptConnect { .. }
        | Action::AcceptUpgrade
        | Action::RequestsManual
        | Action::RequestsRefused
        | Action::AcceptRequest { .. }
        | Action::AcceptLink { .. }
        | Action::Answer { .. } => true,
        Action::Repeat { steps, .. } => steps.iter().any(is_for_clients_only),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read_and_has_a_mutant() {
        for cases in [server_cases(), client_cases()] {
            for case in cases.unwrap() {
                assert!(!case.mutants.is_empty(), "{} cannot be seen to fail", case.id);
            }
        }
    }

    #[test]
    fn a_case_needs_the_transports_that_it_uses() {
        let case = |steps: &str| {
            format!(
                "[[case]]\nid = 'eio4/a'\nlevel = 'must'\nrequirement = ''\nsource = ''\neach = ['polling', 'websocket']\n\
                 steps = \"\"\"\n{steps}\n\"\"\"\nmutants = []"
            )
        };
        let transports = |text: &str, role| -> Vec<String> {
            let cases = parse(text, role).unwrap();
            let first = cases.into_iter().next().unwrap();
            first
                .needs
                .into_iter()
                .filter(|need| ["polling", "websocket", "webtransport"].contains(&need.as_str()))
                .collect()
        };
        let of_a_server = |steps| transports(&case(steps), Role::Server);
        assert_eq!(of_a_server("open $each\nalive"), ["polling"]);
        assert_eq!(of_a_server("open polling\nrepeat 2 {\nw: websocket\n}"), ["polling", "websocket"]);
        assert_eq!(of_a_server("r: request GET '?EIO=4&transport=$each'"), ["polling"]);
        assert_eq!(of_a_server("open websocket\nupgrade webtransport"), ["websocket", "webtransport"]);
        assert_eq!(transports(&case("accept polling"), Role::Client), ["polling", "websocket"]);
        let text = format!("{}\nenvironment = {{ TRANSPORTS = '$each' }}", case("accept $each"));
        assert_eq!(transports(&text, Role::Client), ["polling"]);
    }

    #[test]
    fn each_makes_a_case_of_every_value() {
        let text = r#"
            [[case]]
            id = "a/b"
            level = "must"
            requirement = "says $each.send"
            source = "nowhere"
            each = { one = { send = "4x", back = "4y" }, two = { send = "4z", back = "4" } }
            steps = "send $each.send"
            mutants = ["to-server /$each.send/ drop"]
        "#;
        let cases = parse(text, Role::Server).unwrap();
        let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, ["a/b/one", "a/b/two"]);
        assert_eq!(cases[1].requirement, "says 4z");
        assert_eq!(cases[0].mutants, ["to-server /4x/ drop"]);
    }
}
