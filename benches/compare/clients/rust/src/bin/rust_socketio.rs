//! The asynchronous client of rust_socketio.

use futures_util::FutureExt;
use perf_clients::{Arguments, Count, cpu, report, resident, run};
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use tokio::sync::mpsc;

fn main() {
    run(async {
        let Arguments { url, clients, window, messages } = Arguments::read();
        let count = Count::new(messages);
        let in_flight = clients * window;
        let empty = resident();
        let mut sockets = Vec::new();
        for _ in 0..clients {
            let count = count.clone();
            let (tell, mut connected) = mpsc::channel(1);
            let client = ClientBuilder::new(&*url)
                .transport_type(TransportType::Websocket)
                .on(Event::Connect, move |_, _| {
                    let tell = tell.clone();
                    async move {
                        let _ = tell.try_send(());
                    }
                    .boxed()
                })
                .on("message-back", move |payload: Payload, client: Client| {
                    let count = count.clone();
                    async move {
                        if count.count(in_flight)
                            && let Payload::Text(values) = payload
                        {
                            client.emit("message", values[0].clone()).await.expect("it is connected");
                        }
                    }
                    .boxed()
                })
                .connect()
                .await
                .expect("it connects");
            connected.recv().await.expect("it connects");
            sockets.push(client);
        }
        let bytes = resident().saturating_sub(empty) / clients;
        if messages == 0 {
            return report(bytes, 0.0, 0);
        }
        let before = cpu();
        let text = serde_json::Value::from("x".repeat(64));
        for _ in 0..window {
            for socket in &sockets {
                socket.emit("message", text.clone()).await.expect("it is connected");
            }
        }
        count.done().await;
        report(bytes, cpu() - before, messages);
    });
}
