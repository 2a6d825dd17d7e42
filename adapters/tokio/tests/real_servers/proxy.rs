//! A relay between a client and its server, whose connections the test can cut.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    pub(crate) url: String,
    up: watch::Sender<bool>,
}

impl Proxy {
    /// A relay to the server at this URL.
    pub(crate) async fn start(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (up, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.clone());
                tokio::spawn(async move {
                    let relay = async {
                        if let Ok(mut server) = TcpStream::connect(&server).await {
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = state.wait_for(|up| !up) => {}
                        () = relay => {}
                    }
                });
            }
        });
        Self { url, up }
    }

    /// Ends all connections, and all that are made from now on. What is on its way is lost.
    pub(crate) fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Relays again.
    pub(crate) fn heal(&self) {
        self.up.send_replace(true);
    }
}
