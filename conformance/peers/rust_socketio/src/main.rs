//! rust_socketio implements the client contract (`fixtures/CLIENT.md`) as far as it can.
//!
//! A client is one namespace on a connection of its own; a second namespace opens a second connection. It cannot acknowledge, has no buffer
//! for what is emitted while there is no connection, no volatile events, no retries, and reports neither upgrades nor attempts nor ids.
//! Of several arguments with binary among them it hands out the first attachment alone, and sends one binary argument at most.

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead as _, Write as _};
use std::process;
use std::sync::{LazyLock, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, RawClient, TransportType};
use serde_json::{Value, json};

/// Connected clients by namespace.
static CLIENTS: LazyLock<Mutex<HashMap<String, Client>>> = LazyLock::new(Mutex::default);

type Failure = Box<dyn std::error::Error>;

fn main() {
    let namespaces = text("NAMESPACE", "/");
    let root = namespaces.split(',').next().unwrap_or("/").to_owned();
    if text("AUTO_CONNECT", "1") == "1" {
        let auth = env::var("AUTH").ok().and_then(|auth| serde_json::from_str(&auth).ok());
        thread::spawn(move || {
            for namespace in namespaces.split(',') {
                report_error(connect(namespace, auth.clone()));
            }
        });
    }
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(command) => queue(&root, command),
            Err(error) => report(json!({ "event": "error", "message": error.to_string() })),
        }
    }
    loop {
        thread::park();
    }
}

fn text(name: &str, preset: &str) -> String {
    env::var(name).unwrap_or_else(|_| preset.to_owned())
}

fn report(line: Value) {
    let mut output = io::stdout().lock();
    if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
        // Nobody reads any more: the run is over.
        process::exit(1);
    }
}

/// Reports an error of the library and continues.
fn report_error(result: Result<(), Failure>) {
    if let Err(error) = result {
        report(json!({ "event": "error", "message": error.to_string() }));
    }
}

/// Runs commands one after the other on a separate thread, because while a handler runs, the library holds the locks that some of them
/// need.
static COMMANDS: LazyLock<mpsc::Sender<(String, Value)>> = LazyLock::new(|| {
    let (sender, commands) = mpsc::channel::<(String, Value)>();
    thread::spawn(move || {
        for (namespace, command) in commands {
            report_error(perform(&namespace, &command));
        }
    });
    sender
});

fn queue(namespace: &str, command: Value) {
    // The thread runs as long as the program.
    let _ = COMMANDS.send((namespace.to_owned(), command));
}

fn connect(namespace: &str, auth: Option<Value>) -> Result<(), Failure> {
    let url = env::args().nth(1).ok_or("the URL is missing")?;
    let mut builder = ClientBuilder::new(url + &text("SOCKET_PATH", "/socket.io/"))
        .namespace(namespace)
        .transport_type(match (text("TRANSPORTS", "polling,websocket").as_str(), text("UPGRADE", "1").as_str()) {
            ("websocket", _) => TransportType::Websocket,
            ("polling", _) | (_, "0") => TransportType::Polling,
            _ => TransportType::Any,
        })
        .reconnect(text("RECONNECTION", "1") == "1")
        .reconnect_on_disconnect(false)
        .reconnect_delay(
            text("RECONNECTION_DELAY_MS", "50").parse()?,
            text("RECONNECTION_DELAY_MAX_MS", "200").parse()?,
        );
    if let Ok(attempts) = env::var("RECONNECTION_ATTEMPTS") {
        builder = builder.max_reconnect_attempts(attempts.parse()?);
    }
    if let Some(auth) = auth {
        builder = builder.auth(auth);
    }
    let at = |namespace: &str| namespace.to_owned();
    let (connected, closed, failed, any) = (at(namespace), at(namespace), at(namespace), at(namespace));
    let client = builder
        .on(Event::Connect, move |_, _| report(json!({ "event": "connect", "namespace": connected })))
        .on(Event::Close, move |_, _| report(json!({ "event": "disconnect", "namespace": closed, "reason": "" })))
        .on(Event::Error, move |payload, _| failure(&failed, &payload))
        .on_any(move |event, payload, client| received(&any, event, payload, &client))
        .connect()?;
    CLIENTS.lock().map_err(|error| error.to_string())?.insert(namespace.to_owned(), client);
    Ok(())
}

/// Refusals and everything else that goes wrong come as the same event, as a text.
fn failure(namespace: &str, payload: &Payload) {
    let message = match payload {
        Payload::Text(values) => values.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let Some(refusal) = message.strip_prefix("Received an ConnectError frame: ") else {
        return report(json!({ "event": "error", "message": message }));
    };
    let refusal: Value = serde_json::from_str(refusal).unwrap_or_default();
    let text = refusal.get("message").and_then(Value::as_str).or(refusal.as_str()).unwrap_or_default();
    let mut line = json!({ "event": "connect_error", "namespace": namespace, "message": text });
    if let (Some(data), Some(line)) = (refusal.get("data"), line.as_object_mut()) {
        line.insert("data".to_owned(), data.clone());
    }
    report(line);
}

fn received(namespace: &str, event: Event, payload: Payload, client: &RawClient) {
    let name = event.to_string();
    let arguments = values(&payload);
    if name == "do" {
        queue(namespace, arguments.first().cloned().unwrap_or_default());
        return;
    }
    report(json!({ "event": "received", "namespace": namespace, "name": name, "args": arguments }));
    if name == "echo" {
        report_error(client.emit("echo-back", payload).map_err(Into::into));
    }
}

/// What was received, as reports write it.
fn values(payload: &Payload) -> Vec<Value> {
    match payload {
        Payload::Text(values) => values.clone(),
        Payload::Binary(bytes) => {
            vec![json!({ "$bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })]
        }
        #[allow(deprecated)] // Nothing makes it any more.
        Payload::String(text) => vec![json!(text)],
    }
}

fn payload(arguments: &[Value]) -> Result<Payload, Failure> {
    let binary = |value: &Value| value.get("$bytes").and_then(Value::as_str).map(str::to_owned);
    match arguments {
        [one] if binary(one).is_some() => {
            let hexadecimal = binary(one).unwrap_or_default();
            let bytes = (0..hexadecimal.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(hexadecimal.get(at..at + 2).unwrap_or_default(), 16))
                .collect::<Result<Vec<u8>, _>>()?;
            Ok(Payload::from(bytes))
        }
        _ if arguments.iter().any(|value| binary(value).is_some()) => {
            Err("binary among others is not supported".into())
        }
        _ => Ok(Payload::from(arguments.to_vec())),
    }
}

fn perform(namespace: &str, command: &Value) -> Result<(), Failure> {
    let command = command.as_array().ok_or("a command is an array")?;
    let (verb, operands) = command.split_first().ok_or("a command is not empty")?;
    let operand = |index: usize| operands.get(index).and_then(Value::as_str);
    match verb.as_str().unwrap_or_default() {
        "emit" => {
            let name = operand(0).ok_or("the name is missing")?;
            client(namespace)?.emit(name, payload(operands.get(1..).unwrap_or_default())?)?;
        }
        "emit-with-ack" => {
            let name = operand(0).ok_or("the name is missing")?.to_owned();
            // The library requires a timeout, but does not report when it expires.
            let timeout = operands.get(1).and_then(Value::as_u64).unwrap_or(60_000);
            let (at, event) = (namespace.to_owned(), name.clone());
            let on_ack = move |payload: Payload, _: RawClient| {
                // The text of the acknowledgement, an array, is taken for one argument.
                let arguments = match values(&payload).as_slice() {
                    [Value::Array(arguments)] => arguments.clone(),
                    other => other.to_vec(),
                };
                report(json!({ "event": "acked", "namespace": at, "name": event, "args": arguments }));
            };
            let arguments = payload(operands.get(2..).unwrap_or_default())?;
            client(namespace)?.emit_with_ack(name, arguments, Duration::from_millis(timeout), on_ack)?;
        }
        "connect" => connect(operand(0).unwrap_or(namespace), operands.get(1).cloned())?,
        "disconnect" => client(operand(0).unwrap_or(namespace))?.disconnect()?,
        "in" => {
            perform(operand(0).ok_or("the namespace is missing")?, operands.get(1).ok_or("the command is missing")?)?
        }
        "say" => report(json!({ "event": "said", "text": operands.first() })),
        "exit" => process::exit(0),
        other => return Err(format!("unknown command {other}").into()),
    }
    Ok(())
}

fn client(namespace: &str) -> Result<Client, Failure> {
    let clients = CLIENTS.lock().map_err(|error| error.to_string())?;
    Ok(clients.get(namespace).ok_or("not connected")?.clone())
}
