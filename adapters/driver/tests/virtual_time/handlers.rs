//! Handlers: what they take and return, where they are set, in which order they run, and what becomes of their failures.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::{
    Ack, Auth, ConnectRequest, Data, DisconnectReason, EmitError, Event, EventName, Extension, Extract, Failure,
    HandlerInput, Namespace, Payload, Refusal, Runtime as _, Server, Socket, SocketSource, State, TryData,
};

use crate::support::{PipeSettings, Sim, WebSocket};
use crate::{Log, end};

/// A client that has joined `/`.
async fn join(sim: &Sim, server: &Server) -> WebSocket {
    let mut peer = WebSocket::open(sim, server, "/socket.io/", PipeSettings::default()).await;
    peer.send("40").await.unwrap();
    assert!(peer.next().await.unwrap().starts_with("40"));
    peer
}

impl WebSocket {
    /// Sends a packet, and returns the next one.
    async fn ask(&mut self, packet: &str) -> String {
        self.send(packet).await.unwrap();
        self.next().await.unwrap()
    }
}

/// Answers in order of arrival, so that everything before it has been handled.
fn fence(server: &Server) {
    server.on("fence", |ack: Ack| ack.send("passed"));
}

async fn pass_fence(peer: &mut WebSocket) {
    assert_eq!(peer.ask(r#"4299["fence"]"#).await, r#"4399["passed"]"#);
}

async fn add(Data((a, b)): Data<(i64, i64)>, ack: Ack) -> Result<(), EmitError> {
    ack.send(a + b)
}

fn first(Data(text): Data<String>, State(log): State<Log>) -> Option<char> {
    // A handler may end early with `?`.
    let first = text.chars().next()?;
    log.push(first);
    Some(first)
}

/// An extractor of an application, for all handlers that have a socket.
struct Tenant(String);

impl<A: SocketSource> Extract<A> for Tenant {
    type Error = &'static str;

    fn extract(input: &mut HandlerInput<A>) -> Result<Self, Self::Error> {
        let tenant = input.socket().get::<String>().ok_or("no tenant")?;
        Ok(Self(tenant.to_string()))
    }
}

#[test]
fn arguments_come_in_any_order_and_number_for_functions_and_closures() {
    Sim::run_each_seed(20, |sim| async move {
        let log = Log::default();
        let server = Server::builder().state(log.clone()).state(7_u8).build();
        fence(&server);
        server
            .on("add", add)
            .on("first", first)
            .on("none", || {})
            .on("async none", async || {})
            .on("event last", |socket: Socket, event: Event| socket.emit("got", event.payload()))
            .on("event first", |event: Event, socket: Socket| socket.emit("got", event.payload()))
            .on("both", async |event: Event, ack: Ack, Data(text): Data<String>, payload: Payload, again: Event| {
                let names = (event.name().to_owned(), again.name().to_owned(), payload.name().unwrap().to_owned());
                assert!(event.into_parts().1.is_none() && again.into_parts().1.is_none(), "the ack goes to `Ack`");
                ack.send((names, text))
            })
            .on("event acks", |_: Option<Extension<u32>>, event: Event, _: EventName| event.ack("event"))
            .on(
                "eight",
                |a: Socket,
                 b: Namespace,
                 EventName(c): EventName,
                 Data(d): Data<u8>,
                 TryData(e): TryData<String>,
                 State(f): State<u8>,
                 g: Option<Ack>,
                 h: Event| {
                    assert!(g.is_none() && e.is_err());
                    a.emit("eight", (b.name(), c, d, f, h.payload().len()))
                },
            );
        let mut peer = join(&sim, &server).await;
        assert_eq!(peer.ask(r#"421["add",3,4]"#).await, "431[7]");
        assert_eq!(peer.ask(r#"42["event last",1,"a"]"#).await, r#"42["got",1,"a"]"#);
        assert_eq!(peer.ask(r#"42["event first",1,"a"]"#).await, r#"42["got",1,"a"]"#);
        assert_eq!(peer.ask(r#"422["both","x"]"#).await, r#"432[["both","both","both"],"x"]"#);
        assert_eq!(peer.ask(r#"423["event acks"]"#).await, r#"433["event"]"#);
        assert_eq!(peer.ask(r#"42["eight",9]"#).await, r#"42["eight","/","eight",9,7,1]"#);
        for packet in [r#"42["none"]"#, r#"42["async none",1]"#, r#"42["first",""]"#, r#"42["first","abc"]"#] {
            peer.send(packet).await.unwrap();
        }
        pass_fence(&mut peer).await;
        assert_eq!(log.lines(), ["a"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn handlers_of_all_kinds_have_arguments() {
    #[derive(serde::Deserialize)]
    struct Name {
        name: String,
    }

    Sim::run_each_seed(20, |sim| async move {
        let log = Log::default();
        let server = Server::builder().state(log.clone()).build();
        server
            .middleware(async |Auth(auth): Auth<Name>, request: ConnectRequest, State(log): State<Log>| {
                log.push(format!("middleware {}", auth.name));
                request.insert(auth.name);
                Ok::<(), Refusal>(())
            })
            .middleware(|Extension(name): Extension<String>| match &**name {
                "eve" => Err(Refusal::new("not eve")),
                _ => Ok(()),
            })
            .on_connect(|State(log): State<Log>, Tenant(tenant): Tenant, Auth(auth): Auth<Name>, socket: Socket| {
                log.push(format!("connect {tenant} {}", auth.name));
                socket.emit("hello", tenant)
            })
            .on("say", async |Tenant(tenant): Tenant, Data(text): Data<String>, socket: Socket| {
                socket.emit("said", (tenant, text))
            })
            .on_any(|name: EventName, State(log): State<Log>| log.push(format!("any {}", &*name)))
            .on_disconnecting(|reason: DisconnectReason, State(log): State<Log>| log.push(format!("leaving {reason}")))
            .on_disconnect(|Extension(name): Extension<String>, State(log): State<Log>, reason: DisconnectReason| {
                log.push(format!("left {name} {reason}"));
            });
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        assert_eq!(peer.ask("40").await, r#"44{"message":"bad request"}"#, "without a name");
        assert_eq!(peer.ask(r#"40{"name":"eve"}"#).await, r#"44{"message":"not eve"}"#);
        assert!(peer.ask(r#"40{"name":"ann"}"#).await.starts_with("40{"));
        assert_eq!(peer.next().await.unwrap(), r#"42["hello","ann"]"#);
        assert_eq!(peer.ask(r#"42["say","x"]"#).await, r#"42["said","ann","x"]"#);
        peer.send("41").await.unwrap();
        sim.settle().await;
        let left = ["leaving client namespace disconnect", "left ann client namespace disconnect"];
        let before = ["middleware eve", "middleware ann", "connect ann ann", "any say"];
        assert_eq!(log.lines(), [&before[..], &left[..]].concat());
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_handler_whose_argument_cannot_be_extracted_is_not_started_and_later_events_are_handled() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        fence(&server);
        let logger = |name: &'static str| {
            let log = log.clone();
            move || log.push(name)
        };
        let (data, ack, state, extension, tenant) =
            (logger("data"), logger("ack"), logger("state"), logger("extension"), logger("tenant"));
        server
            .on("data", move |_: Data<(u8, u8)>| data())
            .on("ack", move |_: Ack| ack())
            .on("state", move |_: State<Arc<str>>| state())
            .on("extension", move |_: Extension<String>| extension())
            .on("tenant", move |_: Tenant| tenant());
        let mut peer = join(&sim, &server).await;
        for packet in [
            r#"["data",1]"#,
            r#"["data",1,256]"#,
            r#"["data","1",2]"#,
            r#"["data",1,2]"#,
            r#"["ack"]"#,
            r#"["state"]"#,
            r#"["extension"]"#,
            r#"["tenant"]"#,
        ] {
            peer.send(&format!("42{packet}")).await.unwrap();
        }
        peer.send(r#"420["ack"]"#).await.unwrap();
        pass_fence(&mut peer).await;
        assert_eq!(log.lines(), ["data", "ack"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_handler_returns_nothing_or_any_result_or_option_or_a_future_of_these() {
    async fn fails() -> Result<u8, Failure> {
        let _: u8 = "x".parse()?;
        Err("not reached".into())
    }

    Sim::run_each_seed(20, |sim| async move {
        let server = Server::new();
        fence(&server);
        server
            .on("a", || Ok::<_, String>(vec![1]))
            .on("b", || Err::<u8, _>("no"))
            .on("c", || Some("dropped"))
            .on("d", async || None::<u8>)
            .on("e", fails)
            .on("f", move |socket: Socket| {
                let sim = sim_of(&socket);
                async move {
                    sim.sleep(Duration::from_secs(1)).await;
                    Err::<(), _>(EmitError::Disconnected)
                }
            })
            .on_connect({
                let sim = sim.clone();
                move |socket: Socket| socket.insert(sim.clone())
            });
        let mut peer = join(&sim, &server).await;
        for event in ["a", "b", "c", "d", "e", "f"] {
            peer.send(&format!(r#"42["{event}"]"#)).await.unwrap();
        }
        pass_fence(&mut peer).await;
        end(&sim, server, peer).await;
    });
}

fn sim_of(socket: &Socket) -> Sim {
    (*socket.get::<Sim>().unwrap()).clone()
}
