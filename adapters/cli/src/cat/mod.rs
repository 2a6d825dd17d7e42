//! `socketio cat`: prints what a server sends, and sends what the user types.

mod input;
mod output;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use socketio_tokio::MsgPack;
use tokio::runtime::Builder;

use self::input::Kind;
use self::output::{Files, Output};
use self::session::{Settings, run};
use crate::Exit;
use crate::options::{Failure, Format, HELP as SERVER_HELP, ServerOptions, seconds};

const HELP: &str = "\
Prints what a Socket.IO server sends, and sends what you type.

    socketio cat URL [OPTIONS]

URL is http://HOST:PORT (or https, ws, wss); its path is the namespace. Events and acks are printed on stdout, and the state of the
connection on stderr.
";

const OPTIONS: &str = "\
Events
    --event NAME          the event of a plain line (default message)
    --only NAME           print only events with this name; may be given several times
    --auto-ack            acknowledge each event that wants an ack, with the arguments of the event
    --ack-timeout SECS    how long `:ack` waits (default 10)
Input and output
    --text                each line of the input is a text, whatever is in it
    --json                input and output are objects of JSON, one in each line:
                              {\"type\":\"event\",\"namespace\":\"/\",\"event\":\"NAME\",\"args\":[..],\"ack\":1}
                              {\"type\":\"ack\",\"ack\":1,\"args\":[..]}
    --save DIR            save binary data in files of this directory
    --quiet               print only events, acks and errors
    --wait SECS           stay this long after the end of the input (default 0); `forever` until Ctrl-C
Reconnection
    --retry               try again if the first attempt to connect fails, too
    --attempts N          how often in a row to try to connect again (default: for ever)
    --no-reconnect        end when the connection is lost
";

const EXIT: &str = "\
The exit status is 0 after the end of the input, `:close` or Ctrl-C; 1 if a line was not valid or could not be sent, or an ack did not come;
2 if the command line is not valid; 3 if the server cannot be reached, or not any more; 4 if it refused a namespace; 5 if it disconnected
the socket.
";

/// Runs the tool with the rest of the command line.
pub(crate) fn start(mut parser: lexopt::Parser) -> Result<Exit, Failure> {
    let mut server = ServerOptions::default();
    let mut output = Output { json: false, quiet: false, files: None };
    let mut settings = Settings {
        event: "message".to_owned(),
        only: Vec::new(),
        kind: Kind::Lines,
        auto_ack: false,
        ack_timeout: Duration::from_secs(10),
        join_timeout: Duration::ZERO,
        wait: Some(Duration::ZERO),
        retry: false,
        attempts: None,
        reconnection: true,
    };
    let mut directory = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                crate::print(&[HELP, SERVER_HELP, OPTIONS, input::HELP, EXIT].join("\n"));
                return Ok(Exit::Success);
            }
            Long("event") => settings.event = parser.value()?.string()?,
            Long("only") => settings.only.push(parser.value()?.string()?),
            Long("auto-ack") => settings.auto_ack = true,
            Long("ack-timeout") => settings.ack_timeout = seconds(&parser.value()?)?,
            Long("text") => settings.kind = Kind::Text,
            Long("json") => output.json = true,
            Long("save") => directory = Some(PathBuf::from(parser.value()?)),
            Long("quiet") => output.quiet = true,
            Long("wait") => {
                let value = parser.value()?;
                settings.wait = if value == "forever" { None } else { Some(seconds(&value)?) };
            }
            Long("retry") => settings.retry = true,
            Long("attempts") => settings.attempts = Some(parser.value()?.parse()?),
            Long("no-reconnect") => settings.reconnection = false,
            Long(option) => {
                let option = option.to_owned();
                if !server.take(&option, &mut parser)? {
                    return Err(format!("--{option} is no option: see `socketio cat --help`").into());
                }
            }
            Value(url) => server.take_url(url)?,
            other => return Err(other.unexpected().into()),
        }
    }
    if output.json && settings.kind == Kind::Lines {
        settings.kind = Kind::Json;
    }
    let server = server.finish()?;
    settings.join_timeout = server.open_timeout;
    if let Some(directory) = directory {
        let files = Files::new(directory.clone());
        output.files = Some(files.map_err(|error| format!("--save {}: {error}", directory.display()))?);
    }
    let (builder, namespaces) = (settings.apply(server.client()?), &server.namespaces);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match server.format {
            Format::Json => run(builder.build(), namespaces, settings, output).await,
            Format::MsgPack => run(builder.parser(MsgPack).build(), namespaces, settings, output).await,
            Format::Revision3 => run(builder.eio3().build(), namespaces, settings, output).await,
        }
    });
    // A read of the terminal may still be in progress.
    runtime.shutdown_background();
    Ok(exit)
}
