//! The client of socketio-tokio.

use perf_clients::{Arguments, Count, cpu, report, resident, run};
use socketio_tokio::Data;
use socketio_tokio::client::{ClientBuilder, Socket};
use socketio_tokio::{LinkKind, Transport};

fn main() {
    run(async {
        let Arguments { url, clients, window, messages } = Arguments::read();
        let count = Count::new(messages);
        let in_flight = clients * window;
        let empty = resident();
        let mut sockets = Vec::new();
        for _ in 0..clients {
            let builder = ClientBuilder::new(&url).expect("a URL").transports([Transport::Link(LinkKind::WebSocket)]);
            let client = builder.build();
            let socket = client.socket("/");
            let count = count.clone();
            socket.on("message-back", move |socket: Socket, Data(text): Data<String>| {
                if count.count(in_flight) {
                    socket.emit("message", &text).expect("it is connected");
                }
            });
            socket.connect();
            socket.connected().await.expect("it connects");
            sockets.push((client, socket));
        }
        let bytes = resident().saturating_sub(empty) / clients;
        if messages == 0 {
            return report(bytes, 0.0, 0);
        }
        let before = cpu();
        let text = "x".repeat(64);
        for _ in 0..window {
            for (_, socket) in &sockets {
                socket.emit("message", &text).expect("it is connected");
            }
        }
        count.done().await;
        report(bytes, cpu() - before, messages);
    });
}
