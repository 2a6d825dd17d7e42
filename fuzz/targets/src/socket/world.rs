//! Whole servers with their clients, as a seed makes them up.

use core::time::Duration;

use engineio_proto::Transports;
use socketio_proto::testkit::{Scenario, run};

use crate::engine::wires;
use crate::input::Input;

/// A seed, then the frame that it fills in.
pub fn socket_world(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.word();
    let mut scenario =
        Scenario { clients: input.below(3) + 1, actions: u64::from(input.byte() % 40), ..Scenario::default() };
    scenario.engine.transports = Transports { polling: true, websocket: true, webtransport: true };
    scenario.engine.ping_interval = Duration::from_millis(300);
    scenario.engine.ping_timeout = Duration::from_millis(400);
    scenario.engine.close_timeout = Duration::from_secs(2);
    scenario.socket.connect_timeout = Duration::from_secs(1);
    scenario.calm = input.flag();
    if !scenario.calm {
        scenario.wires = wires(&mut input);
        // Its models do not know of requests that come twice.
        scenario.wires.repeated_requests = 0;
        scenario.span = Duration::from_millis(u64::from(input.pair() % 2000));
        scenario.stall = Duration::from_millis(u64::from(input.byte()));
        scenario.socket.rearm_connect_timeout = input.flag();
        if input.flag() {
            scenario.engine.limits.soft_inbound = usize::from(input.pair() % 2000);
            scenario.engine.limits.max_inbound = 20_000;
            scenario.engine.limits.max_outbound = 200 + usize::from(input.pair() % 4000);
            scenario.socket.limits.max_awaited_acks = input.below(10);
            scenario.socket.limits.max_pending = input.below(4);
            scenario.socket.limits.max_namespaces = input.below(4);
        }
    }
    if let Err(failure) = run(seed, &scenario, false) {
        let log = run(seed, &scenario, true).err().map(|failure| failure.log);
        panic!("{seed}, {scenario:?}: {failure}\n{}", log.unwrap_or_default());
    }
}
