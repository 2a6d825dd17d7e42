//! What a line of the input means.

use serde::Deserialize;

use crate::value::{Arguments, Value};

/// The help text of the input.
pub(super) const HELP: &str = "\
Input: each line is one of these.
    hello                     emits the event of --event with the text as its argument
    [\"NAME\", ARGUMENTS..]     emits an event: its name and its arguments in JSON
    {..} or \"..\"              emits the event of --event with this value of JSON as its argument
    :emit NAME JSON..         emits an event; between the arguments are spaces
    :ack NAME JSON..          emits an event that wants an ack, and prints the ack
    :answer NUMBER JSON..     acknowledges an event that wants an ack; its number is printed behind the event
    :join ROOM, :leave ROOM   emits `join` or `leave` with the room, as many servers expect it (rooms are the server's)
    :use NAMESPACE            joins the namespace, and sends further lines there
    :connect, :disconnect     joins or leaves the namespace
    :close                    ends the program, as the end of the input does
    :help                     prints this
Binary data is an object of JSON with hexadecimal digits: {\"$hex\":\"0102ff\"}. Empty lines mean nothing.
";

/// What the user wants.
#[derive(PartialEq, Debug)]
pub(super) enum Request {
    Emit(Emit),
    Answer { number: u64, arguments: Arguments },
    Use(String),
    Connect,
    Disconnect,
    Close,
    Help,
}

/// An event to send.
#[derive(PartialEq, Debug)]
pub(super) struct Emit {
    /// That of `:use` if there is none.
    pub(super) namespace: Option<String>,
    pub(super) event: String,
    pub(super) arguments: Arguments,
    pub(super) ack: AckWish,
}

/// Whether an event wants an ack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AckWish {
    No,
    Yes,
    /// With the number that a program has chosen.
    Numbered(u64),
}

/// Which kind of lines come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Those of `HELP`.
    Lines,
    /// Each line is one text, whatever is in it.
    Text,
    /// Objects of JSON, as they are printed, and commands.
    Json,
}

/// Reads a line. `Ok(None)` if it means nothing. `event` is the event of a plain line.
pub(super) fn parse(line: &str, kind: Kind, event: &str) -> Result<Option<Request>, String> {
    let emit = |event: &str, arguments, ack| {
        Ok(Some(Request::Emit(Emit { namespace: None, event: event.to_owned(), arguments, ack })))
    };
    if kind == Kind::Text {
        return emit(event, Arguments(vec![Value::Text(line.to_owned())]), AckWish::No);
    }
    let trimmed = line.trim();
    if let Some(command) = trimmed.strip_prefix(':') {
        return parse_command(command).map(Some);
    }
    match trimmed.chars().next() {
        None => Ok(None),
        Some(_) if kind == Kind::Json => parse_object(trimmed).map(Some),
        Some('[') => {
            let advice = "a line that begins with `[` is an event in JSON, [\"NAME\", ARGUMENTS..]; `:emit NAME JSON..` \
                          sends an array as an argument";
            let value = Value::parse(trimmed).map_err(|error| format!("{advice}: {error}"))?;
            let Value::Array(mut values) = value else { return Err(advice.to_owned()) };
            if values.is_empty() {
                return Err(advice.to_owned());
            }
            let Value::Text(name) = values.remove(0) else { return Err(advice.to_owned()) };
            emit(&name, Arguments(values), AckWish::No)
        }
        Some('{' | '"') => {
            let value = Value::parse(trimmed).map_err(|error| {
                format!("a line that begins with a brace or a quote is JSON (--text sends it as text): {error}")
            })?;
            emit(event, Arguments(vec![value]), AckWish::No)
        }
        Some(_) => emit(event, Arguments(vec![Value::Text(line.to_owned())]), AckWish::No),
    }
}

fn parse_command(command: &str) -> Result<Request, String> {
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let alone = |request| match rest {
        "" => Ok(request),
        _ => Err(format!(":{name} takes nothing behind it")),
    };
    let word = |what: &str| match rest {
        "" => Err(format!(":{name} needs {what}")),
        word => Ok(word.to_owned()),
    };
    let emit = |(event, arguments), ack| Request::Emit(Emit { namespace: None, event, arguments, ack });
    match name {
        "emit" => Ok(emit(event_and_arguments(rest)?, AckWish::No)),
        "ack" => Ok(emit(event_and_arguments(rest)?, AckWish::Yes)),
        "answer" => {
            let (number, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let number = number.parse().map_err(|_| {
                format!("`{number}` is no number: :answer takes the one that is printed behind the event")
            })?;
            Ok(Request::Answer { number, arguments: Arguments::parse(arguments)? })
        }
        "join" | "leave" => Ok(emit((name.to_owned(), Arguments(vec![Value::Text(word("a room")?)])), AckWish::No)),
        "use" => word("a namespace").map(Request::Use),
        "connect" => alone(Request::Connect),
        "disconnect" => alone(Request::Disconnect),
        "close" => alone(Request::Close),
        "help" => alone(Request::Help),
        _ => {
            Err(format!("`:{name}` is no command: `:help` shows them, and [\"message\",\":{name}\"] sends it as text"))
        }
    }
}

/// A name, in quotes if it has spaces, and arguments.
fn event_and_arguments(text: &str) -> Result<(String, Arguments), String> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = values.next().and_then(Result::ok).ok_or("the name of the event has no closing quote")?;
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        return Ok((name, Arguments::parse(rest)?));
    }
    match text.split_once(char::is_whitespace).unwrap_or((text, "")) {
        ("", _) => Err("the name of the event is missing".to_owned()),
        (name, arguments) => Ok((name.to_owned(), Arguments::parse(arguments)?)),
    }
}

/// An object of JSON: `{"type":"event","event":"NAME","args":[..]}`, or `{"type":"ack","ack":NUMBER,"args":[..]}`.
fn parse_object(text: &str) -> Result<Request, String> {
    #[derive(Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
    enum Line {
        Event {
            event: String,
            #[serde(default)]
            args: Vec<Value>,
            namespace: Option<String>,
            ack: Option<u64>,
        },
        Ack {
            ack: u64,
            #[serde(default)]
            args: Vec<Value>,
        },
    }

    let line = serde_json::from_str(text).map_err(|error| {
        format!("a line is {{\"type\":\"event\",\"event\":..,\"args\":[..]}} or {{\"type\":\"ack\",\"ack\":..,\"args\":[..]}}: {error}")
    })?;
    let arguments =
        |args: Vec<Value>| args.into_iter().map(Value::with_binary).collect::<Result<_, _>>().map(Arguments);
    Ok(match line {
        Line::Event { event, args, namespace, ack } => Request::Emit(Emit {
            namespace,
            event,
            arguments: arguments(args)?,
            ack: ack.map_or(AckWish::No, AckWish::Numbered),
        }),
        Line::Ack { ack, args } => Request::Answer { number: ack, arguments: arguments(args)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(line: &str, kind: Kind) -> String {
        match parse(line, kind, "message") {
            Ok(Some(Request::Emit(Emit { event, arguments, ack, .. }))) => {
                let arguments: Vec<_> = arguments.0.iter().map(|value| format!("{value:?}")).collect();
                format!("{event} {} {ack:?}", arguments.join(","))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_text_an_event_a_value_or_a_command() {
        for (line, meaning) in [
            ("hello", r#"message Text("hello") No"#),
            (" hello 1", r#"message Text(" hello 1") No"#),
            ("42", r#"message Text("42") No"#),
            (r#"["a", 1, [2]]"#, "a Unsigned(1),Array([Unsigned(2)]) No"),
            (r#"["a"]"#, "a  No"),
            (r#"{"a":1}"#, r#"message Map([(Text("a"), Unsigned(1))]) No"#),
            (r#"":x""#, r#"message Text(":x") No"#),
            (r#":emit a 1 "b c""#, r#"a Unsigned(1),Text("b c") No"#),
            (r#":emit "a b" 1"#, "a b Unsigned(1) No"),
            (":ack sum 1 2", "sum Unsigned(1),Unsigned(2) Yes"),
            (":join the room", r#"join Text("the room") No"#),
            ("  ", "Ok(None)"),
            (":use /a", r#"Ok(Some(Use("/a")))"#),
            (":close", "Ok(Some(Close))"),
            (":answer 3 null", "Ok(Some(Answer { number: 3, arguments: Arguments([Null]) }))"),
        ] {
            assert_eq!(emitted(line, Kind::Lines), meaning, "{line}");
        }
        assert_eq!(emitted(r#":help "#, Kind::Text), r#"message Text(":help ") No"#);
    }

    #[test]
    fn a_line_that_means_nothing_is_refused_with_what_to_do() {
        for (line, advice) in [
            ("[1]", "NAME"),
            ("[]", "NAME"),
            ("[\"a\"", "NAME"),
            ("{a}", "--text"),
            (":exit", ":help"),
            (":emit", "name of the event"),
            (":emit a b", "quotes"),
            (":emit \"a", "closing quote"),
            (":answer x", "number"),
            (":close now", "takes nothing"),
            (":use", "needs a namespace"),
        ] {
            let error = parse(line, Kind::Lines, "message").unwrap_err();
            assert!(error.contains(advice), "{line}: {error}");
        }
    }

    #[test]
    fn a_program_writes_the_objects_that_it_reads() {
        let event = r#"{"type":"event","namespace":"/","event":"a","args":[{"$hex":"ff"}],"ack":7}"#;
        assert_eq!(emitted(event, Kind::Json), r#"a Binary(b"\xff") Numbered(7)"#);
        assert_eq!(emitted(r#"{"type":"event","event":"a"}"#, Kind::Json), "a  No");
        let ack = parse(r#"{"type":"ack","ack":7,"args":[1]}"#, Kind::Json, "message");
        assert_eq!(ack, Ok(Some(Request::Answer { number: 7, arguments: Arguments(vec![Value::Unsigned(1)]) })));
        assert_eq!(parse(":close", Kind::Json, "message"), Ok(Some(Request::Close)));
        for wrong in ["hello", r#"{"type":"connect"}"#, r#"{"type":"event"}"#, r#"{"type":"ack","ack":-1}"#] {
            assert!(parse(wrong, Kind::Json, "message").is_err(), "{wrong}");
        }
    }
}
