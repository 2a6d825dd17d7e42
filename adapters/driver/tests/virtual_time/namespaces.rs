//! Namespaces that requests of clients create, their removal, and the handlers of new namespaces.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::{ConnectRequest, DisconnectReason, Namespace, Refusal, Runtime as _, Server, Socket};

use crate::support::{PipeSettings, Sim, WebSocket};
use crate::{Log, end};

const UNKNOWN: &str = r#"{"message":"Invalid namespace"}"#;

async fn open(sim: &Sim, server: &Server) -> WebSocket {
    WebSocket::open(sim, server, "/socket.io/", PipeSettings::default()).await
}

/// The answer to a request to join, without pings.
async fn join(peer: &mut WebSocket, name: &str, auth: &str) -> Option<String> {
    peer.send(&format!("40{name},{auth}")).await.ok()?;
    answer(peer).await
}

async fn answer(peer: &mut WebSocket) -> Option<String> {
    loop {
        match peer.next().await?.as_str() {
            "2" => peer.send("3").await.ok()?,
            packet => return Some(packet.to_owned()),
        }
    }
}

#[test]
fn r97_parents_are_asked_in_order_and_decide_by_name_and_auth() {
    Sim::run_each_seed(10, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        server.of("/static");
        let (asked, told) = (log.clone(), log.clone());
        server.matching(|name| name.starts_with("/p-")).on_connect(|socket: Socket| socket.emit("from", "pattern"));
        let waits = sim.clone();
        server
            .dynamic(move |request: ConnectRequest| {
                asked.push(format!("asked {}", request.namespace()));
                let sim = waits.clone();
                async move {
                    sim.sleep(Duration::from_secs(1)).await;
                    let auth: BTreeMap<String, String> = request.read_auth().unwrap();
                    request.insert(7_u8);
                    auth.get("token").is_some_and(|token| token == "good")
                }
            })
            .middleware(|request: ConnectRequest| {
                request.get::<u8>().map(|_| ()).ok_or_else(|| Refusal::new("the value is lost"))
            })
            .on_connect(|socket: Socket| socket.emit("from", ("function", *socket.get::<u8>().unwrap())));
        server.on_new_namespace(move |namespace: Namespace| told.push(format!("new {}", namespace.name())));

        let mut peer = open(&sim, &server).await;
        assert!(join(&mut peer, "/static", "").await.unwrap().starts_with(r#"40/static,{"sid""#));
        assert!(join(&mut peer, "/p-1", "").await.unwrap().starts_with(r#"40/p-1,{"sid""#));
        assert_eq!(answer(&mut peer).await.unwrap(), r#"42/p-1,["from","pattern"]"#);
        assert_eq!(join(&mut peer, "/f", "").await.unwrap(), format!("44/f,{UNKNOWN}"));
        assert_eq!(join(&mut peer, "/f", r#"{"token":"bad"}"#).await.unwrap(), format!("44/f,{UNKNOWN}"));
        assert!(join(&mut peer, "/f", r#"{"token":"good"}"#).await.unwrap().starts_with(r#"40/f,{"sid""#));
        assert_eq!(answer(&mut peer).await.unwrap(), r#"42/f,["from","function",7]"#);
        assert_eq!(join(&mut peer, "/_0", "").await.unwrap(), format!("44/_0,{UNKNOWN}"), "a parent cannot be joined");
        let asked_for = ["new /p-1", "asked /f", "asked /f", "asked /f", "new /f", "asked /_0"];
        assert_eq!(log.lines(), asked_for);
        let names: Vec<_> = server.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
        assert_eq!(names, ["/", "/f", "/p-1", "/static"]);
        end(&sim, server, peer).await;
    });
}

#[test]
fn r97_requests_for_one_name_at_the_same_time_create_one_namespace() {
    Sim::run_each_seed(100, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let (waits, created, connects) = (sim.clone(), log.clone(), Arc::new(AtomicUsize::new(0)));
        server.on_new_namespace(move |namespace: Namespace| {
            created.push(namespace.name());
            let connects = Arc::clone(&connects);
            // What is added here applies to the first client already.
            namespace.on_connect(move |socket: Socket| socket.emit("number", connects.fetch_add(1, Ordering::Relaxed)));
        });
        server.dynamic(move |_: ConnectRequest| {
            let sim = waits.clone();
            async move {
                sim.sleep(sim.duration(Duration::from_millis(20))).await;
                true
            }
        });
        let (mut peers, count) = (Vec::new(), 1 + sim.index(8));
        for _ in 0..count {
            peers.push(open(&sim, &server).await);
        }
        for peer in &mut peers {
            peer.send("40/x,").await.unwrap();
        }
        let mut numbers = Vec::new();
        for peer in &mut peers {
            assert!(answer(peer).await.unwrap().starts_with(r#"40/x,{"sid""#));
            numbers.push(answer(peer).await.unwrap());
        }
        numbers.sort();
        let all: Vec<_> = (0..count).map(|number| format!(r#"42/x,["number",{number}]"#)).collect();
        assert_eq!(numbers, all);
        assert_eq!(log.lines(), ["/x"]);
        assert_eq!(server.get("x").unwrap().len(), count);
        end(&sim, server, peers).await;
    });
}

/// One client joins, waits, and ends its visit in some way.
async fn visit(sim: Sim, server: Server, name: &'static str) {
    let mut peer = open(&sim, &server).await;
    if peer.send(&format!("40{name},")).await.is_err() {
        return;
    }
    match sim.index(4) {
        // The connection breaks while the parent or the middleware decides.
        0 => {
            sim.sleep(sim.duration(Duration::from_millis(30))).await;
            peer.pipe.reset();
        }
        how => {
            let Some(reply) = answer(&mut peer).await else { return };
            if reply.starts_with("44") {
                return peer.close().await;
            }
            let id = reply.split('"').nth(3).unwrap().to_owned();
            sim.sleep(sim.duration(Duration::from_millis(30))).await;
            let namespace = server.get(name).expect("a namespace with a socket is not removed");
            assert!(namespace.socket(&id).is_some(), "the socket is on it");
            match how {
                1 => drop(peer.send(&format!("41{name},")).await),
                2 => namespace.socket(&id).unwrap().disconnect(),
                _ => peer.close().await,
            }
            sim.sleep(Duration::from_millis(5)).await;
            peer.pipe.reset();
        }
    }
}

#[test]
fn r97_an_empty_child_is_removed_whatever_ended_the_last_visit_and_created_again() {
    Sim::run_each_seed(200, |sim| async move {
        let server = Server::builder().cleanup_empty_child_namespaces(true).build();
        let (asks, decides) = (sim.clone(), sim.clone());
        let parent = server.dynamic(move |_: ConnectRequest| {
            let sim = asks.clone();
            async move {
                sim.sleep(sim.duration(Duration::from_millis(10))).await;
                sim.index(8) > 0
            }
        });
        parent.middleware(move |_: ConnectRequest| {
            let sim = decides.clone();
            async move {
                sim.sleep(sim.duration(Duration::from_millis(10))).await;
                if sim.index(4) > 0 { Ok(()) } else { Err(Refusal::new("no")) }
            }
        });
        let created = Log::default();
        let log = created.clone();
        server.on_new_namespace(move |namespace: Namespace| log.push(namespace.name()));
        for _ in 0..2 {
            let running = Arc::new(Mutex::new(0_usize));
            for number in 0..8 {
                let (sim, server, running) = (sim.clone(), server.clone(), Arc::clone(&running));
                *running.lock().unwrap() += 1;
                sim.clone().spawn(async move {
                    sim.sleep(sim.duration(Duration::from_millis(60))).await;
                    visit(sim.clone(), server, ["/a", "/b"][number % 2]).await;
                    *running.lock().unwrap() -= 1;
                });
            }
            sim.sleep(Duration::from_secs(10)).await;
            assert_eq!(*running.lock().unwrap(), 0);
            let names: Vec<_> = server.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
            assert_eq!((names, parent.children().len()), (vec!["/".to_owned()], 0), "created {:?}", created.lines());
        }
        end(&sim, server, parent).await;
    });
}

#[test]
fn r97_without_the_option_an_empty_child_stays() {
    Sim::run_each_seed(10, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let created = log.clone();
        server.on_new_namespace(move |namespace: Namespace| created.push(namespace.name()));
        server.matching(|_| true);
        let mut peer = open(&sim, &server).await;
        for _ in 0..2 {
            assert!(join(&mut peer, "/x", "").await.unwrap().starts_with("40/x,"));
            peer.send("41/x,").await.unwrap();
        }
        sim.settle().await;
        assert_eq!((server.get("/x").unwrap().len(), log.lines()), (0, vec!["/x".to_owned()]));
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_parent_that_panics_closes_the_connection_and_a_failed_handler_of_new_namespaces_leaves_none() {
    Sim::run_each_seed(10, |sim| async move {
        let server = Server::new();
        server.dynamic(|request: ConnectRequest| match request.namespace() {
            "/panics" => panic!("as planned"),
            name => name == "/unguarded",
        });
        server.on_new_namespace(|_: Namespace| panic!("as planned"));
        let mut peer = open(&sim, &server).await;
        assert_eq!(join(&mut peer, "/unguarded", "").await.unwrap(), format!("44/unguarded,{UNKNOWN}"));
        assert!(server.get("/unguarded").is_none());
        assert_eq!(join(&mut peer, "/panics", "").await, None);
        end(&sim, server, peer).await;
    });
}

#[test]
fn clients_create_no_more_children_than_the_limit_allows() {
    Sim::run_each_seed(10, |sim| async move {
        let server = Server::builder().max_child_namespaces(2).cleanup_empty_child_namespaces(true).build();
        server.matching(|name| name.len() == 2);
        let mut peer = open(&sim, &server).await;
        assert!(join(&mut peer, "/a", "").await.unwrap().starts_with("40/a,"));
        assert!(join(&mut peer, "/b", "").await.unwrap().starts_with("40/b,"));
        assert_eq!(join(&mut peer, "/c", "").await.unwrap(), format!("44/c,{UNKNOWN}"));
        peer.send("41/a,").await.unwrap();
        assert!(join(&mut peer, "/c", "").await.unwrap().starts_with("40/c,"));
        end(&sim, server, peer).await;
    });
}

#[test]
fn a_removed_namespace_disconnects_its_sockets_and_refuses_those_who_wait() {
    Sim::run_each_seed(10, |sim| async move {
        let (server, log) = (Server::new(), Log::default());
        let (waits, gone) = (sim.clone(), log.clone());
        server
            .of("/x")
            .middleware(move |request: ConnectRequest| {
                let (sim, slow) = (waits.clone(), request.auth().is_some());
                async move {
                    if slow {
                        sim.sleep(Duration::from_secs(1)).await;
                    }
                    Ok::<(), Refusal>(())
                }
            })
            .on_disconnect(move |_: Socket, reason: DisconnectReason| gone.push(reason.to_string()));
        let (mut there, mut waiting) = (open(&sim, &server).await, open(&sim, &server).await);
        assert!(join(&mut there, "/x", "").await.unwrap().starts_with("40/x,"));
        waiting.send(r#"40/x,{"slow":1}"#).await.unwrap();
        sim.settle().await;
        let old = server.get("x").unwrap();
        assert!(server.remove("x"));
        assert!(!server.remove("/x"));
        assert!(server.get("/x").is_none());
        assert_eq!(answer(&mut there).await.unwrap(), "41/x,");
        assert_eq!(join(&mut there, "/x", "").await.unwrap(), format!("44/x,{UNKNOWN}"));
        // A namespace of the same name has nothing to do with the old one.
        server.of("/x");
        assert_eq!(answer(&mut waiting).await.unwrap(), format!("44/x,{UNKNOWN}"));
        assert!(join(&mut there, "/x", "").await.unwrap().starts_with("40/x,"));
        assert_eq!((old.len(), server.of("/x").len()), (0, 1));
        assert_eq!(log.lines(), ["server namespace disconnect"]);
        end(&sim, server, (there, waiting, old)).await;
    });
}

#[test]
fn what_a_parent_sends_reaches_the_sockets_of_its_children_only() {
    Sim::run_each_seed(10, |sim| async move {
        let server = Server::new();
        let parent = server.matching(|name| name.starts_with("/p"));
        parent.on_connect(|socket: Socket| socket.join("room"));
        server.of("/other");
        // Its name matches, so it is a child, too.
        server.of("/p3");
        let mut peer = open(&sim, &server).await;
        for name in ["/p1", "/p2", "/other"] {
            assert!(join(&mut peer, name, "").await.unwrap().starts_with("40"));
        }
        let children: Vec<_> = parent.children().iter().map(|child| child.name().to_owned()).collect();
        assert_eq!(
            (children, parent.len(), parent.sockets().len()),
            (["/p1", "/p2", "/p3"].map(str::to_owned).to_vec(), 2, 2)
        );
        parent.emit("all", 1).unwrap();
        parent.to("room").emit("room", 2).unwrap();
        parent.except("room").emit("nobody", 3).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let packet = answer(&mut peer).await.unwrap();
            if packet.starts_with("42/p1") { first.push(packet) } else { second.push(packet) }
        }
        assert_eq!(first, [r#"42/p1,["all",1]"#, r#"42/p1,["room",2]"#]);
        assert_eq!(second, [r#"42/p2,["all",1]"#, r#"42/p2,["room",2]"#]);

        let answers = parent.to("room").emit_with_ack("ask", (), Duration::from_secs(5)).unwrap();
        for _ in 0..2 {
            let packet = answer(&mut peer).await.unwrap();
            let (name, rest) = packet.strip_prefix("42").unwrap().split_once(',').unwrap();
            let id = rest.split('[').next().unwrap();
            peer.send(&format!(r#"43{name},{id}["{name}"]"#)).await.unwrap();
        }
        let answers = answers.await.answers;
        let mut names: Vec<String> =
            answers.iter().map(|(_, answer)| answer.as_ref().unwrap().get(0).unwrap()).collect();
        names.sort();
        assert_eq!(names, ["/p1", "/p2"]);

        let socket = parent.sockets().remove(0);
        assert_eq!(parent.socket(socket.id().as_str()), Some(socket));
        assert!(server.remove(parent.name()));
        assert_eq!(join(&mut peer, "/p9", "").await.unwrap(), format!("44/p9,{UNKNOWN}"));
        assert!(server.get("/p1").is_some(), "the children stay");
        end(&sim, server, (peer, answers, parent)).await;
    });
}
