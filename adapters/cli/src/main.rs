//! Command line tools for Socket.IO: `socketio cat` talks to a server, and `socketio load` puts load on one. README.md has examples.
//!
//! | file | responsibility |
//! |---|---|
//! | `options` | the options of both tools: the server, and how to connect to it |
//! | `value` | values as people type and read them |
//! | `signal` | Ctrl-C |
//! | `cat` | the tool `cat`: its options, and its session |
//! | `cat/input` | what a line of the input means |
//! | `cat/output` | what is printed |
//! | `load` | the tool `load`: its options, and its connections |
//! | `load/histogram` | a histogram of times |
//! | `load/report` | what is counted, the progress bar, and the result |

mod cat;
mod load;
mod options;
mod signal;
mod value;

use std::process::ExitCode;

use lexopt::prelude::*;

use self::options::Failure;

const HELP: &str = "\
Talks to Socket.IO servers.

    socketio cat URL [OPTIONS]     prints what the server sends, and sends what you type
    socketio load URL [OPTIONS]    opens many connections, sends messages, and measures how long the answers take

`socketio cat --help` and `socketio load --help` show the options.
";

/// How the program ends. The numbers are part of its interface: README.md and the help texts list them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Success = 0,
    /// It ran, but something failed.
    Failed = 1,
    /// The command line is not valid.
    Usage = 2,
    /// The connection could not be opened, or was lost for good.
    Unreachable = 3,
    /// The server refused a namespace.
    Refused = 4,
    /// The server disconnected the socket.
    Disconnected = 5,
    /// Ctrl-C a second time.
    Interrupted = 130,
}

fn main() -> ExitCode {
    let exit = start().unwrap_or_else(|error| {
        eprintln!("{}", value::printable(&error.to_string()));
        Exit::Usage
    });
    ExitCode::from(exit as u8)
}

fn start() -> Result<Exit, Failure> {
    let mut parser = lexopt::Parser::from_env();
    let tool = match parser.next()? {
        Some(Value(tool)) => tool.string()?,
        Some(Long("help") | Short('h')) => {
            print(HELP);
            return Ok(Exit::Success);
        }
        Some(Long("version") | Short('V')) => {
            print(concat!("socketio ", env!("CARGO_PKG_VERSION"), "\n"));
            return Ok(Exit::Success);
        }
        Some(other) => return Err(other.unexpected().into()),
        None => {
            eprint!("{HELP}");
            return Ok(Exit::Usage);
        }
    };
    match &*tool {
        "cat" => cat::start(parser),
        "load" => load::start(parser),
        "help" => {
            print(HELP);
            Ok(Exit::Success)
        }
        tool => Err(format!("`{tool}` is no tool of this program: there are `cat` and `load`").into()),
    }
}

/// Prints a text. Whoever reads it may have stopped.
fn print(text: &str) {
    use std::io::Write as _;

    let _ = std::io::stdout().write_all(text.as_bytes());
}
