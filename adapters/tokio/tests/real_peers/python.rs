//! python-socketio 5.18.1, threaded and asynchronous, in each of its three ways to connect. And compression with `websockets` and aiohttp.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};

pub(crate) fn groups() -> Vec<Group> {
    let clients = [
        ("sync", "python_sync.py", include_str!("scripts/python_sync.py")),
        ("async", "python_async.py", include_str!("scripts/python_async.py")),
    ];
    let mut groups = Vec::new();
    for (name, script, source) in clients {
        for mode in ["polling", "websocket", "upgrade"] {
            groups.push(Group {
                name: format!("python::{name}::{mode}"),
                runner: Runner::Python,
                script,
                mode,
                checks: group::checks(source),
                opposite: Opposite::Example(Launch {
                    example: Example::Echo,
                    // A polling client that closes sometimes has a race: it does not send its close packet, and waits for
                    // the GET, which only the next ping answers.
                    flags: vec!["--max-payload", "4000000", "--ping-interval", "1000"],
                }),
            });
        }
    }
    groups.push(Group {
        name: "python::deflate".to_owned(),
        runner: Runner::Python,
        script: "deflate.py",
        mode: "websocket",
        checks: group::checks(include_str!("scripts/deflate.py")),
        opposite: Opposite::Example(Launch { example: Example::Echo, flags: vec!["--deflate"] }),
    });
    groups
}
