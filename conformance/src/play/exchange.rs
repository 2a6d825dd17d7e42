//! HTTP requests, each on its own connection, and raw connections on which the script writes bytes.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::Context;
use super::events::{Event, Inbox, Task};
use crate::wire::http::{RequestHead, read_response};
use crate::wire::{Source, printable};

/// What to do on a connection after its request.
#[derive(Debug)]
pub(crate) enum Command {
    Write(Vec<u8>),
    /// Shut down the writing half. Input is still read.
    ShutDown,
}

/// Why a connection broke: it was reset, or a write failed. Not set if the peer closed it cleanly.
pub(crate) type ConnectionError = Arc<OnceLock<String>>;

/// A pending request. Dropping it cuts the connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) inbox: Inbox,
    sender: UnboundedSender<Command>,
    connection_error: ConnectionError,
    who: String,
    _task: Task,
}

impl Exchange {
    /// Sends a request. The response or the end of the connection arrives in the inbox.
    pub(crate) fn start(context: &Arc<Context>, who: &str, head: RequestHead, body: Option<Vec<u8>>) -> Self {
        let (events, inbox) = Inbox::new();
        let (sender, commands) = mpsc::unbounded_channel();
        let connection_error = ConnectionError::default();
        let task = Task::spawn({
            let (context, connection_error) = (Arc::clone(context), Arc::clone(&connection_error));
            let who = who.to_owned();
            async move {
                events.send(exchange(&context, &who, &head, body.as_deref(), Some((commands, &connection_error))).await)
            }
        });
        Self { inbox, sender, connection_error, who: who.to_owned(), _task: task }
    }

    /// Presents a task that ends with a response as an exchange.
    pub(crate) fn from_future(who: &str, future: impl Future<Output = Event> + Send + 'static) -> Self {
        let (events, inbox) = Inbox::new();
        let (sender, _) = mpsc::unbounded_channel();
        let task = Task::spawn(async move { events.send(future.await) });
        Self { inbox, sender, connection_error: ConnectionError::default(), who: who.to_owned(), _task: task }
    }

    /// Opens a connection without sending a request. Responses are read one after the other as they arrive.
    pub(crate) fn raw(context: &Arc<Context>, who: &str) -> Self {
        let (events, inbox) = Inbox::new();
        let (sender, commands) = mpsc::unbounded_channel();
        let connection_error = ConnectionError::default();
        let task = Task::spawn({
            let (context, connection_error) = (Arc::clone(context), Arc::clone(&connection_error));
            let who = who.to_owned();
            async move {
                let stream = match context.connect().await {
                    Ok(stream) => stream,
                    Err(event) => return events.send(event),
                };
                let (reader, mut writer) = tokio::io::split(stream);
                let reading = async {
                    let mut source = Source::new(reader);
                    loop {
                        match read_response(&mut source, "").await {
                            Ok(response) => {
                                context.transcript.received(&who, response.summary());
                                events.send(Event::Answer(response));
                            }
                            Err(error) => {
                                record_error(&connection_error, &error);
                                context.transcript.received(&who, error.to_string());
                                return events.send(Event::closed(error.to_string()));
                            }
                        }
                    }
                };
                // The script may continue to write after the peer has shut down its half.
                tokio::join!(reading, run_commands(&mut writer, commands, &connection_error));
            }
        });
        Self { inbox, sender, connection_error, who: who.to_owned(), _task: task }
    }

    /// Writes these bytes, regardless of the length that the request announced.
    pub(crate) fn write(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.sent(&self.who, printable(&bytes));
        // The inbox reports if the connection is closed.
        let _ = self.sender.send(Command::Write(bytes));
    }

    /// Shuts down the writing half of the connection.
    pub(crate) fn shut_down(&self, context: &Context) {
        context.transcript.sent(&self.who, "shuts down its writing half");
        let _ = self.sender.send(Command::ShutDown);
    }

    /// Why the connection broke, if it did.
    pub(crate) fn connection_error(&self) -> Option<&str> {
        self.connection_error.get().map(String::as_str)
    }
}

/// Stores the first error other than the end of the stream.
fn record_error(connection_error: &ConnectionError, error: &io::Error) {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        let _ = connection_error.set(error.to_string());
    }
}

/// Sends one request and waits for the response.
pub(crate) async fn exchange(
    context: &Context,
    who: &str,
    head: &RequestHead,
    body: Option<&[u8]>,
    commands: Option<(UnboundedReceiver<Command>, &ConnectionError)>,
) -> Event {
    let mut stream = match context.connect().await {
        Ok(stream) => stream,
        Err(event) => return event,
    };
    let mut line = format!("{} {}", head.method, head.target);
    if let Some(body) = body {
        line.push_str(&format!("\n{}", printable(body)));
    }
    context.transcript.sent(who, line);
    let request = head.encode(body);
    let (reader, mut writer) = tokio::io::split(&mut stream);
    let mut source = Source::new(reader);
    let writing = async {
        // A server may respond and close before it has read everything. The response decides.
        let _ = writer.write_all(&request).await;
        let _ = writer.flush().await;
        if let Some((commands, connection_error)) = commands {
            run_commands(&mut writer, commands, connection_error).await;
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = read_response(&mut source, &head.method) => answer,
        () = writing => return Event::closed("by this script"),
    };
    match answer {
        Ok(response) => {
            context.transcript.received(who, response.summary());
            Event::Answer(response)
        }
        Err(error) => {
            context.transcript.received(who, error.to_string());
            Event::closed(error.to_string())
        }
    }
}

/// Executes the orders of the script.
async fn run_commands(
    writer: &mut (impl AsyncWrite + Unpin),
    mut commands: UnboundedReceiver<Command>,
    connection_error: &ConnectionError,
) {
    while let Some(command) = commands.recv().await {
        let done = match command {
            Command::Write(bytes) => write(writer, &bytes).await,
            Command::ShutDown => writer.shutdown().await,
        };
        if let Err(error) = done {
            record_error(connection_error, &error);
        }
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}
