//! What clients send when they join a namespace, over real sockets.

mod support;

use serde_json::{Value, json};
use socketio_tokio::client::ClientBuilder;
use socketio_tokio::{Server, Socket};
use support::{Host, within};

#[tokio::test]
async fn the_auth_of_the_builder_is_sent_unless_the_socket_has_a_function_that_makes_its_own() {
    let server = Server::new();
    for namespace in ["/", "/own", "/async"] {
        server.of(namespace).on_connect(|socket: Socket| {
            let auth: Option<Value> = socket.auth().map(|auth| auth.get(0).unwrap());
            socket.emit("auth", auth)
        });
    }
    let host = Host::start(server).await;
    let builder = ClientBuilder::new(&format!("http://{}", host.address)).unwrap();
    let client = builder.auth(json!({ "token": "fixed" })).unwrap().build();
    client.socket("/own").auth(|| json!({ "token": "made" }));
    client.socket("/async").auth(async || Ok::<_, std::io::Error>(json!({ "token": "awaited" })));
    for (namespace, token) in [("/", "fixed"), ("/own", "made"), ("/async", "awaited")] {
        let socket = client.socket(namespace);
        socket.connect();
        let auth: Value = within(socket.recv()).await.unwrap().read().unwrap();
        assert_eq!(auth, json!({ "token": token }), "{namespace}");
    }
}
