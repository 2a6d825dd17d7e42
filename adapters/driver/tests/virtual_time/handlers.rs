//! Handlers: what they take and return, where they are set, in which order they run, and what becomes of their failures.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socketio_driver::{
    Ack, Auth, ConnectRequest, Data, DisconnectReason, EmitError, Event, EventName, Extension, Extract, Failure,
    FailureKind, HandlerFailure, HandlerInput, HandlerKind, Namespace, Payload, Recovery, Refusal, Runtime as _,
    Server, Socket, SocketSource, State, TryData,
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
fn handlers_of_all_kinds_have_the_server_which_is_dropped_with_its_last_handle() {
    type Notes = State<(Log, Arc<()>)>;

    fn note(name: &str, server: &Server, State((log, _)): &Notes) {
        log.push(format!("{name} {}", server.namespaces().len()));
    }

    let sim = Sim::new(0);
    sim.clone().run(async move {
        let (log, value) = (Log::default(), Arc::new(()));
        let server = Server::builder().state((log.clone(), Arc::clone(&value))).build();
        server
            .of("/x")
            .middleware(|server: Server, notes: Notes| {
                note("middleware", &server, &notes);
                Ok::<(), Refusal>(())
            })
            .on_connect(|notes: Notes, server: Server| note("connect", &server, &notes))
            .on("event", async |server: Server, notes: Notes, Data(number): Data<u8>, ack: Ack| {
                note("event", &server, &notes);
                ack.send(number)?;
                Err::<(), Failure>("as planned".into())
            })
            .on_error(|_: HandlerFailure, server: Server, notes: Notes| note("error", &server, &notes))
            .on_disconnect(|server: Server, _: DisconnectReason, notes: Notes| note("disconnect", &server, &notes));
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        assert!(peer.ask("40/x,").await.starts_with("40/x,"));
        assert_eq!(peer.ask(r#"42/x,1["event",7]"#).await, "43/x,1[7]");
        peer.close().await;
        sim.settle().await;
        assert_eq!(log.lines(), ["middleware 2", "connect 2", "event 2", "error 2", "disconnect 2"]);
        end(&sim, server, peer).await;
        assert_eq!(Arc::strong_count(&value), 1, "the server does not contain itself");
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

/// A handler that logs its name, and whether it has the ack.
fn note(log: &Log, name: &'static str) -> impl Fn(Event) + Send + Sync + 'static + use<> {
    let log = log.clone();
    move |mut event: Event| {
        let ack = if event.take_ack().is_some() { " with ack" } else { "" };
        log.push(format!("{name} {}{ack}", event.name()));
    }
}

/// The lines since the last call.
fn drain(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.0.lock().unwrap())
}

#[test]
fn handlers_of_a_socket_run_before_those_of_its_namespace_and_take_effect_for_the_next_event() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        fence(&server);
        let (own, shared) = (log.clone(), log.clone());
        server
            .on("x", move |event: Event| note(&shared, "namespace")(event))
            .on("set", move |socket: Socket| {
                socket.on("x", note(&own, "replaced"));
                socket.on("x", note(&own, "on"));
                socket.once("x", note(&own, "once"));
                socket.once("x", note(&own, "once more"));
                socket.on("own", note(&own, "on"));
            })
            .on("unset", |socket: Socket| {
                socket.off("x");
            });
        let (mut peer, mut other) = (join(&sim, &server).await, join(&sim, &server).await);
        peer.send(r#"420["x"]"#).await.unwrap();
        peer.send(r#"42["own"]"#).await.unwrap();
        peer.send(r#"42["set"]"#).await.unwrap();
        pass_fence(&mut peer).await;
        assert_eq!(drain(&log), ["namespace x with ack"]);
        for packet in [r#"421["x"]"#, r#"422["x"]"#, r#"42["own"]"#, r#"42["unset"]"#, r#"423["x"]"#] {
            peer.send(packet).await.unwrap();
        }
        pass_fence(&mut peer).await;
        let first = ["on x with ack", "once x", "once more x", "namespace x"];
        let later = ["on x with ack", "namespace x", "on own", "namespace x with ack"];
        assert_eq!(drain(&log), [first, later].concat());
        other.send(r#"424["x"]"#).await.unwrap();
        pass_fence(&mut other).await;
        assert_eq!(drain(&log), ["namespace x with ack"], "another socket has none of them");
        end(&sim, server, (peer, other)).await;
    });
}

#[test]
fn a_handler_that_runs_once_runs_for_exactly_one_of_many_events_also_if_it_waits() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        fence(&server);
        let runs = log.clone();
        server.on_connect({
            let sim = sim.clone();
            move |socket: Socket| {
                let (sim, runs) = (sim.clone(), runs.clone());
                socket.once("x", move |Data(number): Data<u8>| {
                    let (sim, runs) = (sim.clone(), runs.clone());
                    async move {
                        sim.sleep(Duration::from_secs(1)).await;
                        runs.push(number.to_string());
                    }
                });
            }
        });
        let mut peer = join(&sim, &server).await;
        for number in 0..10 {
            peer.send(&format!(r#"42["x",{number}]"#)).await.unwrap();
        }
        sim.sleep(Duration::from_secs(2)).await;
        pass_fence(&mut peer).await;
        assert_eq!(log.lines(), ["0"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn the_handlers_of_a_socket_see_its_end_before_the_namespace_and_are_dropped_after_it() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let alive = Arc::new(());
        let (own, held) = (log.clone(), Arc::clone(&alive));
        let (leaving, left) = (log.clone(), log.clone());
        let clock = sim.clone();
        server
            .on_connect(move |socket: Socket| {
                socket.insert(String::from("value"));
                let (held, clone) = (Arc::clone(&held), socket.clone());
                socket.on("x", move |socket: Socket| assert!(socket == clone && Arc::strong_count(&held) > 1));
                let (first, second, clock) = (own.clone(), own.clone(), clock.clone());
                socket.on_disconnecting(move |socket: Socket| {
                    first.push(format!("own leaving {}", socket.rooms().len()))
                });
                socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                    second.push(format!("own {reason}"));
                    let (second, clock) = (second.clone(), clock.clone());
                    async move {
                        clock.sleep(Duration::from_secs(1)).await;
                        second.push(format!("own has {:?}", socket.get::<String>().is_some()));
                        // Too late: nothing would drop it.
                        socket.on("y", |_: Event| {});
                    }
                });
            })
            .on_disconnecting(move |socket: Socket| leaving.push(format!("leaving {}", socket.rooms().len())))
            .on_disconnect(move |socket: Socket| {
                left.push(format!("left, has {}", socket.get::<String>().is_some()));
            });
        let mut peer = join(&sim, &server).await;
        assert_eq!(Arc::strong_count(&alive), 3, "here, in the connect handler, and in that of the socket");
        peer.send("41").await.unwrap();
        sim.sleep(Duration::from_secs(2)).await;
        let lines = ["own leaving 1", "leaving 1", "own client namespace disconnect", "left, has true", "own has true"];
        assert_eq!(log.lines(), lines);
        assert_eq!(Arc::strong_count(&alive), 2);
        end(&sim, server, peer).await;
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn item_127_filters_see_every_event_once_in_order_and_may_change_answer_drop_or_fail_it() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let (first, second, third, failed) = (log.clone(), log.clone(), log.clone(), log.clone());
        server
            .on_connect(move |socket: Socket| {
                let third = third.clone();
                socket.filter(move |event: Event| {
                    third.push(format!("socket {}", event.name()));
                    event
                });
            })
            .filter(move |event: Event| {
                first.push(format!("first {}", event.name()));
                match event.name() {
                    "drop" => Ok(None),
                    "answer" => event.ack("from the filter").map(|()| None),
                    "change" => event.with("changed", ("a", vec![1, 2])).map(Some),
                    _ => Ok(Some(event)),
                }
            })
            .filter(async move |event: Event| match event.name() {
                "fail" => Err("refused"),
                "panic" => panic!("on purpose"),
                _ => Ok(event),
            })
            .filter(move |EventName(name): EventName, event: Event| {
                second.push(format!("last {name}"));
                Some(event)
            })
            .on_error(move |failure: HandlerFailure| {
                failed.push(failure.to_string());
                assert_eq!(failure.handler, HandlerKind::Filter);
                failure.ack.map(|ack| ack.send("failed"))
            })
            .on("changed", note(&log, "handler"))
            .on("echo", |event: Event| {
                let payload = event.payload().clone();
                event.ack(payload)
            })
            .on_unhandled(note(&log, "unhandled"));
        let mut peer = join(&sim, &server).await;
        assert_eq!(peer.ask(r#"421["echo",1,{"a":2}]"#).await, r#"431[1,{"a":2}]"#);
        assert_eq!(drain(&log), ["first echo", "last echo", "socket echo"]);
        peer.send(r#"422["drop"]"#).await.unwrap();
        assert_eq!(peer.ask(r#"423["answer"]"#).await, r#"433["from the filter"]"#);
        assert_eq!(peer.ask(r#"424["fail"]"#).await, r#"434["failed"]"#);
        assert_eq!(peer.ask(r#"425["panic"]"#).await, r#"435["failed"]"#);
        let lines = [
            "first drop",
            "first answer",
            "first fail",
            r#"the filter handler of "fail" failed: refused"#,
            "first panic",
            r#"the filter handler of "panic" panicked: on purpose"#,
        ];
        assert_eq!(drain(&log), lines);
        peer.send(r#"426["change",true]"#).await.unwrap();
        peer.send(r#"427["other"]"#).await.unwrap();
        assert_eq!(peer.ask(r#"428["echo"]"#).await, "438[]");
        let lines = [
            "first change",
            "last changed",
            "socket changed",
            "handler changed with ack",
            "first other",
            "last other",
            "socket other",
            "unhandled other with ack",
        ];
        assert_eq!(drain(&log)[..8], lines);
        end(&sim, server, peer).await;
    });
}

#[test]
fn an_event_that_a_filter_holds_keeps_its_place_and_acks_go_on() {
    Sim::run_each_seed(200, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let handled = log.clone();
        let clock = sim.clone();
        server
            .filter(move |socket: Socket, event: Event| {
                let clock = clock.clone();
                async move {
                    if clock.chance(300) {
                        clock.sleep(clock.duration(Duration::from_millis(500))).await;
                    }
                    if event.name() == "ask" {
                        // An ack of its own peer is behind the events that wait.
                        let answer = socket.emit_with_ack("question", ())?.await?;
                        return Ok::<_, Failure>(Some(event.with("asked", answer)?));
                    }
                    Ok(Some(event))
                }
            })
            .on_any(move |event: Event| handled.push(format!("{}{}", event.name(), event.payload().raw_args())));
        server.of("/other");
        fence(&server);
        let mut peer = join(&sim, &server).await;
        for number in 0..10 {
            peer.send(&format!(r#"42["n",{number}]"#)).await.unwrap();
        }
        assert_eq!(peer.ask(r#"42["ask"]"#).await, r#"420["question"]"#);
        for number in 10..20 {
            peer.send(&format!(r#"42["n",{number}]"#)).await.unwrap();
        }
        peer.send("430[7]").await.unwrap();
        pass_fence(&mut peer).await;
        let numbers = |range: std::ops::Range<u8>| range.map(|number| format!("n{number}")).collect::<Vec<_>>();
        assert_eq!(
            log.lines(),
            [numbers(0..10), vec!["asked7".to_owned()], numbers(10..20), vec!["fence".to_owned()]].concat()
        );
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_filter_that_waits_for_ever_ends_with_its_socket() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let (left, handled) = (log.clone(), log.clone());
        let socket = Arc::new(OnceLock::new());
        let to_server = Arc::clone(&socket);
        server
            .filter(async |event: Event| {
                if event.name() == "hold" {
                    std::future::pending::<()>().await;
                }
                Some(event)
            })
            .on_any(move |event: Event| handled.push(event.name()))
            .on_connect(move |socket: Socket| drop(to_server.set(socket)))
            .on_disconnect(move |reason: DisconnectReason| left.push(reason.to_string()));
        let mut peer = join(&sim, &server).await;
        peer.send(r#"42["a"]"#).await.unwrap();
        peer.send(r#"42["hold"]"#).await.unwrap();
        peer.send(r#"42["b"]"#).await.unwrap();
        sim.settle().await;
        assert_eq!(log.lines(), ["a"]);
        let reason = if sim.chance(500) {
            peer.pipe.reset();
            "transport"
        } else {
            socket.get().unwrap().disconnect();
            assert_eq!(peer.next().await.unwrap(), "41");
            "server namespace disconnect"
        };
        sim.sleep(Duration::from_secs(1)).await;
        let lines = log.lines();
        assert_eq!((lines.len(), &*lines[0]), (2, "a"), "{lines:?}");
        assert!(lines[1].starts_with(reason), "{lines:?}");
        end(&sim, server, peer).await;
    });
}

#[test]
fn item_126_observers_see_every_event_and_the_handler_of_unhandled_ones_those_without_a_handler() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        fence(&server);
        let own = log.clone();
        server
            .on_connect(move |socket: Socket| {
                socket.on_any(note(&own, "own any"));
                socket.on("own", note(&own, "own"));
            })
            .on_any(note(&log, "any"))
            .on("x", note(&log, "handler"))
            .on("off", |socket: Socket| {
                socket.off_any();
            })
            .on_unhandled(note(&log, "unhandled"));
        let mut peer = join(&sim, &server).await;
        for packet in [r#"421["x"]"#, r#"422["own"]"#, r#"423["y"]"#, r#"42["off"]"#] {
            peer.send(packet).await.unwrap();
        }
        pass_fence(&mut peer).await;
        let lines = [
            "own any x",
            "any x",
            "handler x with ack",
            "own any own",
            "any own",
            "own own with ack",
            "own any y",
            "any y",
            "unhandled y with ack",
            "own any off",
            "any off",
            "any fence",
        ];
        assert_eq!(log.lines(), lines);
        end(&sim, server, peer).await;
    });
}

#[test]
fn an_observer_alone_gets_the_ack_of_events_without_a_handler() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let own = log.clone();
        fence(&server);
        server
            .on_connect(move |socket: Socket| {
                socket.on_any(note(&own, "own any"));
            })
            .on_any(note(&log, "any"));
        let mut peer = join(&sim, &server).await;
        peer.send(r#"421["x"]"#).await.unwrap();
        pass_fence(&mut peer).await;
        assert_eq!(log.lines(), ["own any x with ack", "any x", "own any fence", "any fence"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn every_failure_reaches_the_handler_of_failures_and_through_it_the_client() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let failed = log.clone();
        let clock = sim.clone();
        server
            .on("fails", |_: Ack| Err::<(), _>("an error"))
            .on("fails later", move |socket: Socket, event: Event| {
                let clock = clock.clone();
                async move {
                    clock.sleep(Duration::from_secs(1)).await;
                    drop(event);
                    Err::<(), _>(format!("later, of {}", socket.is_connected()))
                }
            })
            .on("panics", |_: Event| {
                if true {
                    panic!("at once")
                }
            })
            .on("panics later", async |_: Event, State(clock): State<Sim>| drop(clock))
            .on("wants", |_: Data<u8>, _: Ack| {})
            .on("cannot be acked", |ack: Ack| ack.send(f64_map()))
            .on("was acked", |ack: Ack| {
                ack.send("the handler's")?;
                Err::<(), Failure>("after the ack".into())
            })
            .on_connect(|Auth(_): Auth<String>| {})
            .on_disconnect(|| Err::<(), _>("at the end"))
            .on_error(async move |failure: HandlerFailure, socket: Socket| {
                assert_eq!(failure.socket, socket);
                Ok::<(), EmitError>(())
            })
            .on_error(move |failure: HandlerFailure| {
                let failed = failed.clone();
                async move {
                    failed.push(failure.to_string());
                    let panicked = failure.kind == FailureKind::Panicked;
                    match failure.ack {
                        Some(ack) if panicked => ack.send("internal error"),
                        Some(ack) => ack.send(failure.error),
                        None => Ok(()),
                    }
                }
            });
        let mut peer = join(&sim, &server).await;
        assert_eq!(peer.ask(r#"421["fails"]"#).await, r#"431["an error"]"#);
        assert_eq!(peer.ask(r#"422["fails later"]"#).await, r#"432["later, of true"]"#);
        assert_eq!(peer.ask(r#"423["panics"]"#).await, r#"433["internal error"]"#, "and it stays open");
        assert!(peer.ask(r#"424["wants","x"]"#).await.contains("argument Data<u8> could not be extracted"));
        assert!(peer.ask(r#"424["panics later"]"#).await.contains("ServerBuilder::state"));
        assert!(peer.ask(r#"425["cannot be acked"]"#).await.contains("cannot be serialised"));
        assert_eq!(peer.ask(r#"426["was acked"]"#).await, r#"436["the handler's"]"#);
        peer.send(r#"42["wants",1]"#).await.unwrap();
        peer.send("41").await.unwrap();
        sim.sleep(Duration::from_secs(1)).await;
        let lines = log.lines();
        let starts = [
            "the connect handler was not started: its argument Auth<",
            "the event handler of \"fails\" failed: an error",
            "the event handler of \"fails later\" failed: later",
            "the event handler of \"panics\" panicked: at once",
            "the event handler of \"wants\" was not started: its argument Data<u8>",
            "the event handler of \"panics later\" was not started: its argument State<",
            "the event handler of \"cannot be acked\" failed: cannot be serialised",
            "the event handler of \"was acked\" failed: after the ack",
            "the event handler of \"wants\" was not started: its argument Ack",
            "the disconnect handler failed: at the end",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        end(&sim, server, peer).await;
    });
}

/// A value that JSON cannot represent.
fn f64_map() -> std::collections::BTreeMap<Option<[u8; 2]>, u8> {
    [(Some([1, 2]), 3)].into()
}

#[test]
fn an_ack_that_is_still_in_use_is_not_in_the_failure() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::builder().state(sim.clone()).build(), Log::default());
        let failed = log.clone();
        server
            .on("passes it on", |ack: Ack, State(sim): State<Sim>| {
                let clock = sim.clone();
                sim.spawn(async move {
                    clock.sleep(Duration::from_secs(1)).await;
                    ack.send("from the task").unwrap();
                });
                Err::<(), _>("early")
            })
            .on_error(move |failure: HandlerFailure| {
                failed.push(failure.ack.is_some().to_string());
                // A failure of this handler closes nothing, and is logged.
                Err::<(), _>("no")
            });
        let mut peer = join(&sim, &server).await;
        assert_eq!(peer.ask(r#"421["passes it on"]"#).await, r#"431["from the task"]"#);
        assert_eq!(log.lines(), ["false"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_handler_that_fails_after_its_connection_reaches_the_handler_of_failures() {
    Sim::run_each_seed(50, |sim| async move {
        let (server, log) = (Server::builder().state(sim.clone()).build(), Log::default());
        let failed = log.clone();
        server
            .on("slow", async |State(sim): State<Sim>, _: Event| {
                sim.sleep(Duration::from_secs(100)).await;
                panic!("late");
                #[allow(unreachable_code)]
                ()
            })
            .on_error(move |failure: HandlerFailure, State(sim): State<Sim>| {
                let failed = failed.clone();
                async move {
                    sim.sleep(Duration::from_secs(10)).await;
                    failed.push(failure.to_string());
                }
            });
        let mut peer = join(&sim, &server).await;
        peer.send(r#"421["slow"]"#).await.unwrap();
        sim.settle().await;
        peer.pipe.reset();
        sim.sleep(Duration::from_secs(200)).await;
        assert_eq!(log.lines(), [r#"the event handler of "slow" panicked: late"#]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn item_126_observers_of_what_is_sent_see_every_event_for_each_socket_that_gets_it() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        fence(&server);
        let (ids, all, own) = (Log::default(), log.clone(), log.clone());
        let number = |ids: &Log, socket: &Socket| {
            let id = socket.id().to_string();
            ids.lines().iter().position(|known| *known == id).unwrap()
        };
        let (joined, known, more) = (ids.clone(), ids.clone(), ids.clone());
        server
            .on_connect(move |socket: Socket| {
                joined.push(socket.id().as_str());
                if joined.lines().len() == 2 {
                    let (own, ids) = (own.clone(), more.clone());
                    socket.on_any_outgoing(move |socket: &Socket, event: &Payload| {
                        own.push(format!("own {} {}", number(&ids, socket), event.name().unwrap()));
                        if event.name() == Some("once") {
                            // What it sends is observed as well, and no lock is held.
                            socket.broadcast().emit("again", socket.rooms().len()).unwrap();
                            socket.off_any_outgoing();
                            if true {
                                panic!("on purpose")
                            }
                        }
                    });
                }
            })
            .on_any_outgoing(move |socket: &Socket, event: &Payload| {
                let bytes = event.attachments().len();
                let (name, args) = (event.name().unwrap(), event.raw_args());
                all.push(format!("{} {name} {args} {bytes}", number(&known, socket)));
            });
        let (mut first, second) = (join(&sim, &server).await, join(&sim, &server).await);
        let sockets = |index: usize| server.of("/").socket(&ids.lines()[index]).unwrap();
        sockets(0).emit("to one", ("a", bytes::Bytes::from("xyz"))).unwrap();
        sockets(1).emit_volatile("volatile", ()).unwrap();
        drop(sockets(1).emit_with_ack("asks", 5).unwrap());
        let mut lines = vec![
            r#"0 to one "a",{"_placeholder":true,"num":0} 1"#,
            "1 volatile  0",
            "own 1 volatile",
            "1 asks 5 0",
            "own 1 asks",
        ];
        assert_eq!(drain(&log), lines);
        server.emit("all", (1, 2)).unwrap();
        drop(sockets(0).broadcast().emit_with_ack("ask all", (), Duration::from_secs(1)).unwrap());
        sockets(1).emit("once", ()).unwrap();
        sockets(1).emit("last", ()).unwrap();
        lines = vec![
            "0 all 1,2 0",
            "1 all 1,2 0",
            "own 1 all",
            "1 ask all  0",
            "own 1 ask all",
            "1 once  0",
            "own 1 once",
            "0 again 1 0",
            "1 last  0",
        ];
        let mut seen = drain(&log);
        // In the order of a table.
        seen[..3].sort_unstable();
        assert_eq!(seen, lines);
        // An ack is not an event, and neither is a refused emit.
        pass_fence_after(&mut first).await;
        sockets(0).emit("connect", ()).unwrap_err();
        assert_eq!(drain(&log), [""; 0]);
        end(&sim, server, (first, second)).await;
    });
}

/// Same as [`pass_fence`], after packets that nobody has read.
async fn pass_fence_after(peer: &mut WebSocket) {
    peer.send(r#"4299["fence"]"#).await.unwrap();
    while peer.next().await.unwrap() != r#"4399["passed"]"# {}
}

#[test]
fn namespaces_that_come_on_demand_have_the_filters_and_observers_of_their_parent() {
    Sim::run_each_seed(20, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let sent = log.clone();
        server
            .matching(|name| name.starts_with("/room-"))
            .filter(|event: Event| (event.name() != "drop").then_some(event))
            .on_any(note(&log, "any"))
            .on_any_outgoing(move |socket: &Socket, event: &Payload| {
                sent.push(format!("{} gets {}", socket.namespace().name(), event.name().unwrap()));
            })
            .on_error(|failure: HandlerFailure| failure.ack.map(|ack| ack.send(failure.error)))
            .on("echo", |socket: Socket, _: Data<u8>, event: Event| socket.emit("echo", event.payload()));
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        assert!(peer.ask("40/room-1,").await.starts_with("40/room-1,{"));
        peer.send(r#"42/room-1,["drop"]"#).await.unwrap();
        assert_eq!(peer.ask(r#"42/room-1,["echo",1]"#).await, r#"42/room-1,["echo",1]"#);
        assert!(peer.ask(r#"42/room-1,7["echo"]"#).await.starts_with("43/room-1,7["));
        assert_eq!(log.lines(), ["any echo", "/room-1 gets echo", "any echo"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_recovered_socket_has_new_handlers_of_its_own_and_kept_packets_are_observed() {
    /// The string at this place among all strings of a packet.
    fn string(packet: &str, index: usize) -> &str {
        packet.split('"').nth(2 * index + 1).unwrap()
    }

    Sim::run_each_seed(50, |sim| async move {
        let server = Server::builder().connection_state_recovery(Recovery::default()).build();
        let (log, alive) = (Log::default(), Arc::new(()));
        let (own, sent, held) = (log.clone(), log.clone(), Arc::clone(&alive));
        fence(&server);
        server
            .on_connect(move |socket: Socket| {
                let (clone, held, own) = (socket.clone(), Arc::clone(&held), own.clone());
                let run = move |socket: Socket| own.push(format!("{} {}", socket == clone, Arc::strong_count(&held)));
                socket.once("x", run);
            })
            .on_any_outgoing(move |_: &Socket, event: &Payload| {
                sent.push(format!("{} {}", event.name().unwrap(), event.len()));
            });
        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        let reply = peer.ask("40").await;
        let sockets = server.of("/").sockets();
        sockets[0].emit("plain", 1).unwrap();
        server.emit("all", 1).unwrap();
        peer.next().await.unwrap();
        let last = peer.next().await.unwrap();
        // One is of the connect handler, one of the socket's. The last argument is the offset.
        assert_eq!((drain(&log), Arc::strong_count(&alive)), (vec!["plain 2".to_owned(), "all 2".to_owned()], 3));
        peer.pipe.reset();
        sim.sleep(Duration::from_secs(1)).await;
        assert!(!sockets[0].is_connected());
        assert_eq!(Arc::strong_count(&alive), 2, "what is kept for the client's return has no handlers");

        let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
        let claim = format!(r#"40{{"pid":"{}","offset":"{}"}}"#, string(&reply, 3), string(&last, 1));
        let again = peer.ask(&claim).await;
        assert_eq!(string(&again, 1), string(&reply, 1), "the same socket: {again}");
        for _ in 0..2 {
            peer.send(r#"42["x"]"#).await.unwrap();
        }
        pass_fence(&mut peer).await;
        assert_eq!(drain(&log), ["true 3"]);
        end(&sim, server, (peer, sockets)).await;
    });
}
