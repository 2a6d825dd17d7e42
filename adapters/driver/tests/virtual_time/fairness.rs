//! One peer that floods the server does not delay the others. Work is counted in turns of tasks, because no time passes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::{Event, Runtime as _, Server, Socket};

use crate::end;
use crate::support::{PipeSettings, Sim, WebSocket};

const PATH: &str = "/socket.io/";
const QUIET: usize = 10;
const ROUNDS: usize = 20;
/// The limit of a turn: 2 rounds of 128 events.
const EVENTS_PER_TURN: usize = 2 * 128;

/// What happened to the flooding peer.
#[derive(Default)]
struct Flood {
    /// The handled events in each turn of its task.
    events: BTreeMap<u64, usize>,
}

/// Lets quiet peers send and receive, each for some rounds, with or without a flood. Returns the turns of their tasks, the turns that the
/// flooding peer had during each round trip, and the events of each of its turns.
async fn play(sim: Sim, floods: bool) -> (Vec<u64>, Vec<u64>, Vec<usize>) {
    let (server, flood, task) = (Server::new(), Arc::<Mutex<Flood>>::default(), Arc::<Mutex<Option<u64>>>::default());
    let (counted, of, runtime) = (Arc::clone(&flood), Arc::clone(&task), sim.clone());
    server
        .on("flood", move |_: Socket, _: Event| {
            let task = of.lock().unwrap().unwrap_or_default();
            *counted.lock().unwrap().events.entry(runtime.polls(task)).or_default() += 1;
        })
        .on("ping", |socket: Socket, _: Event| socket.emit("pong", ()));
    let mut quiet = Vec::new();
    for _ in 0..QUIET {
        quiet.push(open(&sim, &server).await);
    }
    let (mut flooder, flooders_task) = open(&sim, &server).await;
    *task.lock().unwrap() = Some(flooders_task);
    let stop = Arc::<AtomicBool>::default();
    let (stopped, runtime) = (Arc::clone(&stop), sim.clone());
    sim.spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            if floods {
                // As much as the connection takes, without an end, and many events in each read.
                for _ in 0..1000 {
                    flooder.connection.send_text(r#"42["flood"]"#).unwrap();
                }
                flooder.send(r#"42["flood"]"#).await.unwrap();
            } else {
                runtime.sleep(Duration::from_secs(1)).await;
            }
        }
        flooder.close().await;
    });
    let (done, waits) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<u64>>>::default());
    for (mut client, id) in quiet {
        let (done, waits, sim) = (Arc::clone(&done), Arc::clone(&waits), sim.clone());
        let before = sim.polls(id);
        sim.clone().spawn(async move {
            for _ in 0..ROUNDS {
                let start = sim.polls(flooders_task);
                client.send(r#"42["ping"]"#).await.unwrap();
                assert_eq!(client.next().await.unwrap(), r#"42["pong"]"#);
                waits.lock().unwrap().push(sim.polls(flooders_task) - start);
            }
            done.lock().unwrap().push(sim.polls(id) - before);
            client.close().await;
        });
    }
    // Tasks that are ready run first: no time passes during the flood.
    while done.lock().unwrap().len() < QUIET {
        sim.yield_to_ready_tasks().await;
    }
    assert_eq!(sim.elapsed(), Duration::ZERO);
    stop.store(true, Ordering::Relaxed);
    end(&sim, server, ()).await;
    let events = std::mem::take(&mut flood.lock().unwrap().events).into_values().collect();
    (std::mem::take(&mut *done.lock().unwrap()), std::mem::take(&mut *waits.lock().unwrap()), events)
}

/// Opens a session, and joins `/`. Returns the client and the session's task.
async fn open(sim: &Sim, server: &Server) -> (WebSocket, u64) {
    let before = sim.tasks();
    let mut client = WebSocket::open(sim, server, PATH, PipeSettings::default()).await;
    // The first session also starts the task of the timers, which is spawned before.
    let task = *sim.tasks().iter().rfind(|task| !before.contains(task)).unwrap();
    client.send("40").await.unwrap();
    assert!(client.next().await.unwrap().starts_with("40"));
    (client, task)
}

#[test]
fn an_endless_flood_from_one_peer_does_not_delay_the_others() {
    let rounds = |floods: bool| {
        let (turns, mut waits, events) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        Sim::each_seed(3, |sim| {
            let (some_turns, some_waits, some_events) = sim.run(play(sim.clone(), floods));
            turns.lock().unwrap().extend(some_turns);
            waits.lock().unwrap().extend(some_waits);
            events.lock().unwrap().extend(some_events);
        });
        waits.get_mut().unwrap().sort_unstable();
        (turns.into_inner().unwrap(), waits.into_inner().unwrap(), events.into_inner().unwrap())
    };
    let (turns, _, _) = rounds(false);
    let (flooded_turns, waits, events) = rounds(true);
    // There was a flood, and each of its turns ended at its limit.
    assert!(events.iter().sum::<usize>() > 100 * EVENTS_PER_TURN, "{}", events.len());
    assert!(events.iter().all(|events| *events <= EVENTS_PER_TURN), "{:?}", events.iter().max());
    // The tasks of quiet peers do the same work as without it: at most a turn for each message and each answer.
    assert_eq!(turns.len(), flooded_turns.len());
    assert!(
        flooded_turns.iter().max() <= turns.iter().max().map(|most| most + 1).as_ref(),
        "{turns:?} {flooded_turns:?}"
    );
    // During a round trip, the flooding peer has no more turns than any other of a dozen peers that are always ready.
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= 12, "{p99} of {} turns", waits[waits.len() - 1]);
}
