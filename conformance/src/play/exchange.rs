//! HTTP requests, each on its own connection, and raw connections on which the script writes bytes.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::Context;
use super::inbox::{Event, Inbox, Task};
use crate::wire::http::{RequestHead, read_response};
use crate::wire::{Source, printable};

/// What to do on a connection after its request.
#[derive(Debug)]
pub(crate) enum Order {
    Write(Vec<u8>),
    /// Shut down the writing half. Input is still read.
    Finish,
}

/// Why a connection broke: it was reset, or a write failed. Not set if the peer closed it cleanly.
pub(crate) type Broken = Arc<OnceLock<String>>;

/// A pending request. Dropping it cuts the connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) inbox: Inbox,
    more: UnboundedSender<Order>,
    broken: Broken,
    who: String,
    _task: Task,
}

impl Exchange {
    /// Sends a request. The response or the end of the connection arrives in the inbox.
    pub(crate) fn start(context: &Arc<Context>, who: &str, head: RequestHead, body: Option<Vec<u8>>) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, rest) = mpsc::unbounded_channel();
        let broken = Broken::default();
        let task = Task::spawn({
            let (context, broken) = (Arc::clone(context), Arc::clone(&broken));
            let who = who.to_owned();
            async move { post.put(exchange(&context, &who, &head, body.as_deref(), Some((rest, &broken))).await) }
        });
        Self { inbox, more, broken, who: who.to_owned(), _task: task }
    }

    /// Presents a task that ends with a response as an exchange.
    pub(crate) fn of(who: &str, future: impl Future<Output = Event> + Send + 'static) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, _) = mpsc::unbounded_channel();
        let task = Task::spawn(async move { post.put(future.await) });
        Self { inbox, more, broken: Broken::default(), who: who.to_owned(), _task: task }
    }

    /// Opens a connection without sending a request. Responses are read one after the other as they arrive.
    pub(crate) fn raw(context: &Arc<Context>, who: &str) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, rest) = mpsc::unbounded_channel();
        let broken = Broken::default();
        let task = Task::spawn({
            let (context, broken) = (Arc::clone(context), Arc::clone(&broken));
            let who = who.to_owned();
            async move {
                let stream = match context.connect().await {
                    Ok(stream) => stream,
                    Err(event) => return post.put(event),
                };
                let (reader, mut writer) = tokio::io::split(stream);
                let reading = async {
                    let mut source = Source::new(reader);
                    loop {
                        match read_response(&mut source, "").await {
                            Ok(response) => {
                                context.transcript.arrived(&who, response.summary());
                                post.put(Event::Answer(response));
                            }
                            Err(error) => {
                                note(&broken, &error);
                                context.transcript.arrived(&who, error.to_string());
                                return post.put(Event::closed(error.to_string()));
                            }
                        }
                    }
                };
                // The script may continue to write after the peer has shut down its half.
                tokio::join!(reading, carry_out(&mut writer, rest, &broken));
            }
        });
        Self { inbox, more, broken, who: who.to_owned(), _task: task }
    }

    /// Writes these bytes, regardless of the length that the request announced.
    pub(crate) fn write(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.out(&self.who, printable(&bytes));
        // The inbox reports if the connection is closed.
        let _ = self.more.send(Order::Write(bytes));
    }

    /// Shuts down the writing half of the connection.
    pub(crate) fn finish(&self, context: &Context) {
        context.transcript.out(&self.who, "shuts down its writing half");
        let _ = self.more.send(Order::Finish);
    }

    /// Why the connection broke, if it did.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }
}

/// Stores the first error other than the end of the stream.
fn note(broken: &Broken, error: &io::Error) {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        let _ = broken.set(error.to_string());
    }
}

/// Sends one request and waits for the response.
pub(crate) async fn exchange(
    context: &Context,
    who: &str,
    head: &RequestHead,
    body: Option<&[u8]>,
    more: Option<(UnboundedReceiver<Order>, &Broken)>,
) -> Event {
    let mut stream = match context.connect().await {
        Ok(stream) => stream,
        Err(event) => return event,
    };
    let mut line = format!("{} {}", head.method, head.target);
    if let Some(body) = body {
        line.push_str(&format!("\n{}", printable(body)));
    }
    context.transcript.out(who, line);
    let request = head.encode(body);
    let (reader, mut writer) = tokio::io::split(&mut stream);
    let mut source = Source::new(reader);
    let writing = async {
        // A server may respond and close before it has read everything. The response decides.
        let _ = writer.write_all(&request).await;
        let _ = writer.flush().await;
        if let Some((more, broken)) = more {
            carry_out(&mut writer, more, broken).await;
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = read_response(&mut source, &head.method) => answer,
        () = writing => return Event::closed("by this script"),
    };
    match answer {
        Ok(response) => {
            context.transcript.arrived(who, response.summary());
            Event::Answer(response)
        }
        Err(error) => {
            context.transcript.arrived(who, error.to_string());
            Event::closed(error.to_string())
        }
    }
}

/// Executes the orders of the script.
async fn carry_out(writer: &mut (impl AsyncWrite + Unpin), mut rest: UnboundedReceiver<Order>, broken: &Broken) {
    while let Some(order) = rest.recv().await {
        let done = match order {
            Order::Write(bytes) => write(writer, &bytes).await,
            Order::Finish => writer.shutdown().await,
        };
        if let Err(error) = done {
            note(broken, &error);
        }
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}
