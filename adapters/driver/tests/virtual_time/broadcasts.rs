//! Broadcasts with acks: every recipient counts once, and the timeout is exact.

use std::time::Duration;

use socketio_driver::{AckError, Runtime as _, Server};

use crate::support::{PipeSettings, Sim, WebSocket};
use crate::{Log, end};

/// How a client reacts to an event with an ack.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Reaction {
    Acks(Duration),
    Disconnects(Duration),
    Resets(Duration),
    Nothing,
}

/// Plays the client until the connection ends: answers pings, and reacts to each event with an ack as told.
async fn run_client(sim: Sim, mut peer: WebSocket, reaction: Reaction) {
    while let Some(packet) = peer.next().await {
        if packet == "2" {
            let _ = peer.send("3").await;
        }
        let Some(id) = packet.strip_prefix("42").and_then(|rest| rest.split('[').next()).filter(|id| !id.is_empty())
        else {
            continue;
        };
        match reaction {
            Reaction::Acks(after) => {
                sim.sleep(after).await;
                let _ = peer.send(&format!("43{id}[{id}]")).await;
            }
            Reaction::Disconnects(after) => {
                sim.sleep(after).await;
                let _ = peer.send("41").await;
            }
            Reaction::Resets(after) => {
                sim.sleep(after).await;
                return peer.pipe.reset();
            }
            Reaction::Nothing => {}
        }
    }
}

#[test]
fn a_broadcast_with_acks_ends_when_every_recipient_has_acked_or_disconnected_or_at_its_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    Sim::run_each_seed(200, |sim| async move {
        let server = Server::new();
        let mut clients = Vec::new();
        for _ in 0..sim.index(6) {
            let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
            peer.send("40").await.unwrap();
            let reply = peer.next().await.unwrap();
            let id = reply.split('"').nth(3).unwrap().to_owned();
            // Far enough from the timeout that the rounding of deadlines does not matter.
            let early = sim.duration(Duration::from_millis(1800));
            let late = TIMEOUT + Duration::from_millis(200);
            let reaction = [
                Reaction::Acks(early),
                Reaction::Acks(late),
                Reaction::Disconnects(early),
                Reaction::Resets(early),
                Reaction::Nothing,
            ][sim.index(5)];
            sim.spawn(run_client(sim.clone(), peer, reaction));
            clients.push((id, reaction));
        }
        // The broadcast must read the time from the runtime: every time kept before this sleep is out of date.
        sim.sleep(sim.duration(Duration::from_secs(60))).await;
        let asked = sim.elapsed();
        let answers = server.broadcast().emit_with_ack("ask", (), TIMEOUT).unwrap().await.answers;
        let took = sim.elapsed() - asked;
        assert_eq!(answers.len(), clients.len(), "one for each");
        for (id, reaction) in &clients {
            let (_, answer) = answers.iter().find(|(socket, _)| *socket.id() == **id).unwrap();
            match reaction {
                Reaction::Acks(after) if *after < TIMEOUT => assert_eq!(answer.as_ref().unwrap().get(0), Ok(1)),
                Reaction::Disconnects(_) | Reaction::Resets(_) => {
                    assert_eq!(*answer, Err(AckError::Disconnected), "{reaction:?}")
                }
                Reaction::Acks(_) | Reaction::Nothing => assert_eq!(*answer, Err(AckError::Timeout), "{reaction:?}"),
            }
        }
        let waits = |reaction: &Reaction| {
            matches!(reaction, Reaction::Nothing) || matches!(reaction, Reaction::Acks(after) if *after > TIMEOUT)
        };
        if clients.iter().any(|(_, reaction)| waits(reaction)) {
            assert!((TIMEOUT..TIMEOUT + Duration::from_millis(101)).contains(&took), "{took:?} for {clients:?}");
        } else {
            assert!(took < Duration::from_millis(1900), "{took:?} for {clients:?}");
        }
        drop(answers);
        end(&sim, server, ()).await;
    });
}

#[test]
fn recipients_whose_tasks_the_runtime_dropped_count_as_disconnected() {
    let sim = Sim::new(1);
    sim.clone().run(async move {
        let server = Server::new();
        let (mut peers, log) = (Vec::new(), Log::default());
        for _ in 0..3 {
            let before = sim.tasks();
            let mut peer = WebSocket::open(&sim, &server, "/socket.io/", PipeSettings::default()).await;
            peer.send("40").await.unwrap();
            assert!(peer.next().await.is_some());
            let tasks: Vec<_> = sim.tasks().into_iter().filter(|task| !before.contains(task)).collect();
            peers.push((peer, tasks));
        }
        let answers = server.broadcast().emit_with_ack("ask", (), Duration::from_secs(1)).unwrap();
        let done = log.clone();
        sim.spawn(async move {
            for (_, answer) in answers.await.answers {
                done.push(format!("{:?}", answer.unwrap_err()));
            }
        });
        for (_, tasks) in &peers {
            tasks.iter().for_each(|task| sim.drop_task(*task));
        }
        sim.settle().await;
        assert_eq!(log.lines(), ["Disconnected"; 3]);
        drop(peers);
        end(&sim, server, ()).await;
    });
}
