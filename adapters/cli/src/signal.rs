//! Ctrl-C, and the request of an operating system to end.

use std::{io, process};

use crate::Exit;

/// Resolves when the user or the operating system asks the program to end.
pub(crate) async fn interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Ends the program at the second request, whatever it does: it may wait for somebody who does not read its output, or for a server that does
/// not let a connection close. Needs a runtime with several threads.
pub(crate) fn end_at_the_second() {
    tokio::spawn(async {
        for _ in 0..2 {
            if interrupted().await.is_err() {
                return;
            }
        }
        process::exit(i32::from(Exit::Interrupted as u8));
    });
}
