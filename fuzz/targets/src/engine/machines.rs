//! The session and the client: each alone with arbitrary input, each connected to a correct peer, and both connected to each other.

use arbitrary::{Result, Unstructured};
use core::time::Duration;

use engineio_proto::testkit::scenario::{Ending, Scenario, run, run_machines};
use engineio_proto::testkit::{
    Choices, ClientBehavior, ClientWalk, Clock, NetworkSettings, PollOrder, Random, RandomWalk,
};
use engineio_proto::{LinkKind, Revision, Transports};

/// The decisions of a [`RandomWalk`] or a [`ClientWalk`].
struct Script<'a>(Unstructured<'a>);

impl Choices for Script<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        limit.checked_sub(1).and_then(|most| self.0.int_in_range(0..=most).ok()).unwrap_or(0)
    }
}

/// Input: a byte that selects what must make no difference: a second run (I8), a clock that jumps backwards (I11), the order of polls (I1,
/// two ways). Eight bytes that seed its random numbers. The number of steps, then the script of a [`RandomWalk`]: any inputs, commands and
/// times in any order. Every invariant is checked after every step.
pub fn engine_session(data: &[u8]) -> Result<()> {
    session(Revision::V4, data)
}

/// As [`engine_session`], for a session of revision 3.
pub fn engine_session_v3(data: &[u8]) -> Result<()> {
    session(Revision::V3, data)
}

fn session(revision: Revision, data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let comparison = input.int_in_range(0..=3)?;
    let seed = input.arbitrary()?;
    let acts = input.int_in_range(1..=100)?;
    let walk = RandomWalk::of_revision(revision, &mut Script(input), acts);
    let chance = || Random::new(seed);
    let play = |order: PollOrder, clock: Clock| match walk.play(order, clock, false) {
        Ok(outcome) => outcome,
        Err((violation, _)) => panic!("{violation}\n{walk:?}"),
    };
    let (one, two) = match comparison {
        0 => {
            // A loop works around a bug of Rust 1.94 to 1.96: of two identical calls with an argument that has a destructor, the
            // second gets what is left of the first one's argument (rust-lang/rust#158830).
            let [one, two] = [(); 2].map(|()| play(PollOrder::Sometimes(chance(), 200), Clock::Steady));
            assert_eq!(one, two, "I8");
            (one, two)
        }
        1 => (
            play(PollOrder::EventsFirst, Clock::StandsStill(chance())),
            play(PollOrder::EventsFirst, Clock::Backwards(chance())),
        ),
        2 => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::TransmitsFirst, Clock::Steady)),
        _ => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::Any(chance()), Clock::Steady)),
    };
    // In revision 3, the order of polls may decide how many pongs there are, and so which GET is answered: a body is decoded while its
    // messages are taken, and a pong that is not sent yet answers several pings.
    if comparison < 2 || revision == Revision::V4 {
        assert_eq!((one.events, one.transmits), (two.events, two.transmits));
    }
    Ok(())
}

/// Input: a byte that selects what must make no difference, and eight bytes that seed it, as for [`engine_session`]. The revision, and the
/// number of steps, then the script of a [`ClientWalk`]: any answers of a server, commands and times in any order. Every invariant is checked
/// after every step.
pub fn engine_client(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let comparison = input.int_in_range(0..=3)?;
    let seed = input.arbitrary()?;
    let revision = if input.arbitrary::<bool>()? { Revision::V3 } else { Revision::V4 };
    let acts = input.int_in_range(1..=120)?;
    let walk = ClientWalk::new(revision, &mut Script(input), acts);
    let chance = || Random::new(seed);
    let play = |order: PollOrder, clock: Clock| match walk.play(order, clock, false) {
        Ok(outcome) => outcome,
        Err((violation, _)) => panic!("{violation}\n{walk:?}"),
    };
    let (one, two) = match comparison {
        0 => {
            // A loop, for the reason that `session` has.
            let [one, two] = [(); 2].map(|()| play(PollOrder::Sometimes(chance(), 200), Clock::Steady));
            assert_eq!(one, two, "I8");
            return Ok(());
        }
        1 => (
            play(PollOrder::EventsFirst, Clock::StandsStill(chance())),
            play(PollOrder::EventsFirst, Clock::Backwards(chance())),
        ),
        2 => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::TransmitsFirst, Clock::Steady)),
        _ => (play(PollOrder::EventsFirst, Clock::Steady), play(PollOrder::Any(chance()), Clock::Steady)),
    };
    if comparison == 1 || walk.ignores_poll_order() {
        assert_eq!((one.events, one.transmits), (two.events, two.transmits));
    }
    Ok(())
}

/// Input: a seed, then the scenario of a client and a server with a network between them. The client is a model of the JavaScript one.
pub fn engine_pair(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let (seed, scenario) = scenario(&mut input)?;
    if let Err(failure) = run(seed, &scenario, false) {
        let log = run(seed, &scenario, true).err().map(|failure| failure.log);
        panic!("{seed}, {scenario:?}: {failure}\n{}", log.unwrap_or_default());
    }
    Ok(())
}

/// Input: as for [`engine_pair`], then the revision, and limits and pauses of the client. The client is our machine.
pub fn engine_client_pair(data: &[u8]) -> Result<()> {
    let mut input = Unstructured::new(data);
    let (seed, mut scenario) = scenario(&mut input)?;
    scenario.behavior = ClientBehavior { revision_3: input.arbitrary::<bool>()?, ..ClientBehavior::default() };
    if scenario.behavior.revision_3 {
        scenario.config.allow_eio3 = true;
        // Revision 3 has no WebTransport.
        for link in [&mut scenario.start, &mut scenario.upgrade] {
            *link = link.map(|_| LinkKind::WebSocket);
        }
    }
    if input.arbitrary::<bool>()? {
        scenario.client_stall = millis(&mut input, 999)?;
        scenario.client_limits.soft_inbound = usize::from(input.int_in_range(0..=1999_u16)?);
        scenario.client_limits.max_outbound = usize::from(input.int_in_range(0..=1999_u16)?);
    }
    if let Err(failure) = run_machines(seed, &scenario, false) {
        let log = run_machines(seed, &scenario, true).err().map(|failure| failure.log);
        panic!("{seed}, {scenario:?}: {failure}\n{}", log.unwrap_or_default());
    }
    Ok(())
}

/// A seed, and a scenario.
fn scenario(input: &mut Unstructured<'_>) -> Result<(u64, Scenario)> {
    let seed = input.arbitrary::<u64>()?;
    let kinds = [None, Some(LinkKind::WebSocket), Some(LinkKind::WebTransport)];
    let mut scenario = Scenario {
        start: if input.arbitrary::<bool>()? { *input.choose(&kinds)? } else { None },
        upgrade: *input.choose(&kinds)?,
        messages: u64::from(input.int_in_range(0..=39_u8)?),
        largest: usize::from(input.int_in_range(0..=1999_u16)?),
        span: Duration::from_millis(u64::from(input.int_in_range(0..=2999_u16)?)),
        ending: *input.choose(&[
            None,
            Some(Ending::ClientCloses),
            Some(Ending::ServerCloses),
            Some(Ending::ServerDiscards),
            Some(Ending::ClientCrashes),
            Some(Ending::NetworkFails),
        ])?,
        ends_after_delivery: input.arbitrary::<bool>()?,
        network: network_settings(input)?,
        behavior: ClientBehavior { upgrades_during_post: input.arbitrary::<bool>()?, ..ClientBehavior::default() },
        ..Scenario::default()
    };
    if scenario.behavior.upgrades_during_post {
        // The order between a POST and the link is only guaranteed if the server receives the POST, and receives it first.
        scenario.network.most_delay = scenario.network.least_delay;
        scenario.network.lost_requests = 0;
    }
    // The session cannot end after delivery if an extra copy of a message arrives, or if a lost probe prevents the upgrade.
    scenario.ends_after_delivery &= scenario.network.repeated_requests == 0 && scenario.network.lost_links == 0;
    scenario.config.transports = Transports { polling: true, websocket: true, webtransport: true };
    if input.arbitrary::<bool>()? {
        scenario.config.ping_interval = Duration::from_millis(60 + u64::from(input.int_in_range(0..=999_u16)?));
        scenario.config.ping_timeout = Duration::from_millis(400 + u64::from(input.int_in_range(0..=999_u16)?));
        // The client must not time out, whatever the network does to pings.
        scenario.heartbeat_timeout = Some(Duration::from_secs(30));
    }
    if input.arbitrary::<bool>()? {
        scenario.config.max_payload = 200 + usize::from(input.arbitrary::<u16>()?);
        // As base64, a message is a third larger.
        scenario.largest = scenario.largest.min(scenario.config.max_payload / 2);
        // A body of many small packets may still be too large, because the JavaScript client counts differently. A client that does not
        // wait for the response continues.
        scenario.behavior.upgrades_during_post = false;
    }
    if !scenario.ends_after_delivery && input.arbitrary::<bool>()? {
        scenario.config.limits.max_outbound = usize::from(input.int_in_range(0..=1999_u16)?);
    }
    Ok((seed, scenario))
}

/// A network between fully reliable and almost unusable.
pub(crate) fn network_settings(input: &mut Unstructured<'_>) -> Result<NetworkSettings> {
    let mut network = NetworkSettings { most_delay: millis(input, 149)?, ..NetworkSettings::default() };
    if input.arbitrary::<bool>()? {
        network.slow_bodies = millis(input, 299)?;
        network.slow_links = millis(input, 49)?;
        network.lateness = millis(input, 19)?;
        network.clock_jitter = millis(input, 19)?;
    }
    if input.arbitrary::<bool>()? {
        network.lost_requests = u64::from(input.int_in_range(0..=999_u16)?);
        network.lost_links = u64::from(input.int_in_range(0..=999_u16)?);
        network.repeated_requests = u64::from(input.int_in_range(0..=299_u16)?);
    }
    Ok(network)
}

fn millis(input: &mut Unstructured<'_>, most: u64) -> Result<Duration> {
    input.int_in_range(0..=most).map(Duration::from_millis)
}
