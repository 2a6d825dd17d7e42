//! Whole servers with their clients, generated from a seed.

use arbitrary::{Result, Unstructured};
use core::time::Duration;

use engineio_proto::Transports;
use socketio_proto::testkit::{Scenario, run};

use crate::engine::network_settings;

/// Input: a seed, then the scenario.
pub fn socket_world(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let seed = input.arbitrary::<u64>()?;
    let mut scenario = Scenario {
        clients: input.int_in_range(0..=2)? + 1,
        actions: u64::from(input.int_in_range(0..=39_u8)?),
        ..Scenario::default()
    };
    scenario.engine.transports = Transports { polling: true, websocket: true, webtransport: true };
    scenario.engine.ping_interval = Duration::from_millis(300);
    scenario.engine.ping_timeout = Duration::from_millis(400);
    scenario.engine.close_timeout = Duration::from_secs(2);
    scenario.socket.connect_timeout = Duration::from_secs(1);
    scenario.well_behaved = input.arbitrary::<bool>()?;
    if !scenario.well_behaved {
        scenario.network = network_settings(&mut input)?;
        // The models of the scenario do not support repeated requests.
        scenario.network.repeated_requests = 0;
        scenario.span = Duration::from_millis(u64::from(input.int_in_range(0..=1999_u16)?));
        scenario.stall = Duration::from_millis(u64::from(input.arbitrary::<u8>()?));
        scenario.socket.rearm_connect_timeout = input.arbitrary::<bool>()?;
        if input.arbitrary::<bool>()? {
            scenario.engine.limits.soft_inbound = usize::from(input.int_in_range(0..=1999_u16)?);
            scenario.engine.limits.max_inbound = 20_000;
            scenario.engine.limits.max_outbound = 200 + usize::from(input.int_in_range(0..=3999_u16)?);
            scenario.socket.limits.max_awaited_acks = input.int_in_range(0..=9)?;
            scenario.socket.limits.max_pending = input.int_in_range(0..=3)?;
            scenario.socket.limits.max_namespaces = input.int_in_range(0..=3)?;
        }
    }
    if let Err(failure) = run(seed, &scenario, false) {
        let log = run(seed, &scenario, true).err().map(|failure| failure.log);
        panic!("{seed}, {scenario:?}: {failure}\n{}", log.unwrap_or_default());
    }
    Ok(())
}
