//! One HTTP request and its answer, on a connection of its own; and connections that carry what the script writes.

use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::Context;
use super::inbox::{Event, Inbox, Task};
use crate::wire::http::{RequestHead, read_response};
use crate::wire::{Source, printable};

/// A request under way. Dropping it cuts the connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) inbox: Inbox,
    more: UnboundedSender<Vec<u8>>,
    who: String,
    _task: Task,
}

impl Exchange {
    /// Sends a request; the answer, or the end of the connection, comes into the inbox.
    pub(crate) fn start(context: &Arc<Context>, who: &str, head: RequestHead, body: Option<Vec<u8>>) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, rest) = mpsc::unbounded_channel();
        let task = Task::spawn({
            let context = Arc::clone(context);
            let who = who.to_owned();
            async move { post.put(exchange(&context, &who, &head, body.as_deref(), Some(rest)).await) }
        });
        Self { inbox, more, who: who.to_owned(), _task: task }
    }

    /// A task that ends with an answer, seen like a request.
    pub(crate) fn of(who: &str, future: impl Future<Output = Event> + Send + 'static) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, _) = mpsc::unbounded_channel();
        Self { inbox, more, who: who.to_owned(), _task: Task::spawn(async move { post.put(future.await) }) }
    }

    /// A connection without anything on it. Answers are read one after the other, as far as they come.
    pub(crate) fn raw(context: &Arc<Context>, who: &str) -> Self {
        let (post, inbox) = Inbox::new();
        let (more, rest) = mpsc::unbounded_channel();
        let task = Task::spawn({
            let context = Arc::clone(context);
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
                                context.transcript.arrived(&who, error.to_string());
                                return post.put(Event::closed(error.to_string()));
                            }
                        }
                    }
                };
                tokio::select! {
                    () = reading => {}
                    () = write_all(&mut writer, rest) => {}
                }
            }
        });
        Self { inbox, more, who: who.to_owned(), _task: task }
    }

    /// Writes these bytes, whatever the head of the request announced.
    pub(crate) fn write(&self, context: &Context, bytes: Vec<u8>) {
        context.transcript.out(&self.who, printable(&bytes));
        // The inbox tells when the connection is gone.
        let _ = self.more.send(bytes);
    }
}

/// Carries out one request.
pub(crate) async fn exchange(
    context: &Context,
    who: &str,
    head: &RequestHead,
    body: Option<&[u8]>,
    more: Option<UnboundedReceiver<Vec<u8>>>,
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
        // A server may answer and close before it has read everything: the answer tells.
        let _ = writer.write_all(&request).await;
        let _ = writer.flush().await;
        match more {
            Some(more) => write_all(&mut writer, more).await,
            None => std::future::pending().await,
        }
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

/// Writes what comes; never ends, so that it can be raced against reading.
async fn write_all(writer: &mut (impl tokio::io::AsyncWrite + Unpin), mut rest: UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = rest.recv().await {
        let _ = writer.write_all(&bytes).await;
        let _ = writer.flush().await;
    }
    std::future::pending().await
}
