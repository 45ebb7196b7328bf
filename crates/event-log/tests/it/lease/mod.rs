//! The leases, simulated: nodes that are killed, paused and restarted, a log that does not answer,
//! loses and delays what is appended. One seed is one history.

mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use event_log::lease::{NodeLeaving, NodeSeen};
use event_log::{LeaseConfig, LeaseCore, LeaseRecord, PARTITIONS};
use uuid::Uuid;

use self::simulation::{Fault, NodeId, Simulation, Weather};

/// How many histories each property is tried on: in an ordinary run, and in a long one.
const SEEDS: usize = 60;
const SEEDS_SOAK: usize = 3_000;

fn seeds() -> impl Iterator<Item = u64> {
    xtask::seeds!(SEEDS, SEEDS_SOAK)
}

/// Who owns what, when each partition has one node that may claim it.
fn settled(simulation: &Simulation) -> Option<BTreeMap<u16, NodeId>> {
    let claimants = simulation.claimants();
    let single = claimants.iter().filter(|(_, owners)| owners.len() == 1);
    let single: BTreeMap<u16, NodeId> =
        single.map(|(partition, owners)| (*partition, owners[0])).collect();
    (single.len() == usize::from(PARTITIONS)).then_some(single)
}

/// Runs until everything has one owner, and says how long that took.
fn settle(simulation: &mut Simulation, within_ms: u64, what: &str) -> u64 {
    let since = simulation.now_ms();
    while settled(simulation).is_none() {
        let took = simulation.now_ms() - since;
        assert!(took <= within_ms, "{what}: not settled after {took} ms\n{simulation}");
        simulation.run_for(5);
    }
    simulation.now_ms() - since
}

/// The first nodes find each other.
fn start(simulation: &mut Simulation) {
    simulation.run_for(200);
    settle(simulation, 0, "start");
}

#[test]
fn a_node_that_is_alone_gets_everything_at_once() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 1, Weather::Fair);
        let took = settle(&mut simulation, 200, "alone");
        assert!(took <= 200);
        // And when it is restarted, it waits for nobody either.
        simulation.inject(Fault::Kill(0));
        simulation.run_for(50);
        simulation.inject(Fault::Start(0));
        settle(&mut simulation, 200, "alone, restarted");
    }
}

#[test]
fn nodes_that_start_together_share_everything_out() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 4, Weather::Fair);
        simulation.run_for(200);
        settle(&mut simulation, 0, "started together");
        let changes = simulation.changes();
        simulation.run_for(10_000);
        let owners = settled(&simulation).expect("settled");
        for node in 0..4 {
            assert!(owners.values().any(|owner| *owner == node), "node {node} gets something");
        }
        assert_eq!(simulation.changes(), changes, "nothing has changed hands since");
    }
}

#[test]
fn a_killed_node_is_replaced_within_five_seconds() {
    let mut longest = 0;
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 3, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(3_000 + seed % 1_000);
        let before = settled(&simulation).expect("settled");
        simulation.inject(Fault::Kill(1));
        let took = settle(&mut simulation, 5_000, "after a kill");
        longest = longest.max(took);
        for (partition, owner) in settled(&simulation).expect("settled") {
            assert!(before[&partition] == 1 || before[&partition] == owner, "others keep theirs");
        }
    }
    assert!(longest >= 2_000, "a lease lasts for a while: {longest} ms");
}

#[test]
fn a_node_that_says_goodbye_is_replaced_at_once() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 3, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(seed % 1_000);
        simulation.inject(Fault::Leave(2));
        settle(&mut simulation, 100, "after a goodbye");
        simulation.inject(Fault::Again(2));
        for _ in 0..100 {
            simulation.run_for(50);
            settle(&mut simulation, 0, "a renewal that comes late brings nobody back");
        }
    }
}

#[test]
fn a_node_that_joins_gets_its_share_and_the_rest_stays() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 2, Weather::Fair);
        start(&mut simulation);
        let before = settled(&simulation).expect("settled");
        simulation.inject(Fault::Start(2));
        simulation.run_for(500);
        settle(&mut simulation, 0, "after a node has joined");
        let after = settled(&simulation).expect("settled");
        assert!(after.values().any(|owner| *owner == 2));
        assert!(after.iter().all(|(p, owner)| *owner == 2 || *owner == before[p]));
    }
}

#[test]
fn a_quick_restart_moves_nothing() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 3, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(5_000);
        let before = settled(&simulation).expect("settled");
        simulation.inject(Fault::Kill(0));
        simulation.run_for(1_000);
        simulation.inject(Fault::Start(0));
        settle(&mut simulation, 500, "after a restart");
        assert_eq!(settled(&simulation).expect("settled"), before);
    }
}

/// What a former run had appended comes late, a renewal and then its goodbye: neither is about the
/// run that took its place.
#[test]
fn regression_a_former_run_says_goodbye_late() {
    let mut core = LeaseCore::new("hub-0".to_owned(), Uuid::nil(), 4, LeaseConfig::default());
    let seen = |generation: u64, renewal| {
        LeaseRecord::NodeSeen(NodeSeen {
            node: "hub-1".to_owned(),
            generation,
            incarnation: Uuid::from_u128(generation.into()),
            renewal,
            ttl_ms: 3_000,
        })
    };
    let goodbye = LeaseRecord::NodeLeaving(NodeLeaving {
        node: "hub-1".to_owned(),
        generation: 1,
        incarnation: Uuid::from_u128(1),
        partitions: BTreeSet::new(),
    });
    for record in [seen(1, 8), seen(2, 1), seen(1, 9), goodbye] {
        core.on_record(&record, 10);
    }
    assert_eq!(core.nodes(), BTreeSet::from(["hub-1"]));
}

/// All that a former run had appended came late, so this one has not read of it in time and has the
/// same generation. It must not be taken for gone when the goodbye is read.
#[test]
fn regression_the_goodbye_of_a_run_that_nobody_knew() {
    let core = |node: &str, incarnation| {
        let incarnation = Uuid::from_u128(incarnation);
        LeaseCore::new(node.to_owned(), incarnation, 4, LeaseConfig::default())
    };
    let (mut former, mut run) = (core("hub-1", 9), core("hub-1", 1));
    let mut other = core("hub-0", 5);
    let mut tell_all = |run: &mut LeaseCore, record: &LeaseRecord, now_ms| {
        run.on_record(record, now_ms);
        other.on_record(record, now_ms);
        other.nodes().contains("hub-1")
    };
    let mark = former.on_tick(0).append.expect("a mark");
    former.on_record(&mark, 10);
    former.on_tick(10).append.expect("a renewal, which comes late");
    let goodbye = former.leave();

    let mark = run.on_tick(90).append.expect("a mark");
    assert!(!tell_all(&mut run, &mark, 100));
    let first = run.on_tick(100).append.expect("a first renewal");
    assert!(tell_all(&mut run, &first, 110));
    assert!(!tell_all(&mut run, &goodbye, 120));
    let again = run.on_tick(120);
    assert!(!again.may_claim && !again.is_superseded, "the others believe that it is gone");
    let again = again.append.expect("it says at once that it is there");
    assert!(tell_all(&mut run, &again, 130));
    assert!(run.on_tick(130).may_claim);
}

/// Who renews no more has nothing to do until it reads something.
#[test]
fn regression_a_run_that_is_over_is_not_asked_all_the_time() {
    let seen = |core: &mut LeaseCore, now_ms| {
        let record = core.on_tick(now_ms).append.expect("a renewal");
        core.on_record(&record, now_ms);
    };
    let config = LeaseConfig::default();
    let started = || {
        let mut core = LeaseCore::new("hub-0".to_owned(), Uuid::from_u128(1), 4, config);
        seen(&mut core, 0);
        seen(&mut core, 0);
        assert!(core.on_tick(0).may_claim);
        core
    };
    let mut superseded = started();
    superseded.on_record(
        &LeaseRecord::NodeSeen(NodeSeen {
            node: "hub-0".to_owned(),
            generation: 2,
            incarnation: Uuid::from_u128(2),
            renewal: 1,
            ttl_ms: config.ttl_ms,
        }),
        10,
    );
    let mut leaving = started();
    let _: LeaseRecord = leaving.leave();

    for mut core in [superseded, leaving] {
        let (mut now_ms, mut asked) = (10, 0);
        while now_ms < 60_000 {
            let actions = core.on_tick(now_ms);
            assert!(actions.append.is_none() && !actions.may_claim, "{actions:?}");
            assert!(actions.desired.is_empty(), "{actions:?}");
            (now_ms, asked) = (actions.next_tick_ms, asked + 1);
        }
        assert!(asked <= 30, "asked {asked} times in a minute");
    }
}

/// A broker fails over: nobody can renew for a while. That moves no partition, however long it
/// takes, and meanwhile nobody who cannot be sure claims.
#[test]
fn an_outage_of_the_log_moves_nothing() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 4, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(5_000 + seed % 1_000);
        let before = settled(&simulation).expect("settled");
        let changes = simulation.changes();
        let length_ms = 500 + seed * 37 % 20_000;
        simulation.inject(Fault::Outage { ms: length_ms });

        simulation.run_for(length_ms - 1);
        if length_ms > 3_000 {
            let claimants = simulation.claimants();
            assert!(claimants.is_empty(), "nobody claims in a long outage\n{simulation}");
        }
        settle(&mut simulation, 1_500, "after an outage");
        simulation.run_for(10_000);
        assert_eq!(settled(&simulation).expect("settled"), before, "{length_ms} ms\n{simulation}");
        assert_eq!(simulation.changes(), changes, "nothing moved on the way\n{simulation}");
    }
}

#[test]
fn a_node_that_dies_in_an_outage_is_replaced_after_it() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 4, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(5_000);
        let before = settled(&simulation).expect("settled");
        simulation.inject(Fault::Outage { ms: 8_000 });
        simulation.run_for(seed * 13 % 7_000);
        simulation.inject(Fault::Kill(3));
        simulation.run_for(8_000 - seed * 13 % 7_000);
        settle(&mut simulation, 5_000, "after an outage with a death");
        let after = settled(&simulation).expect("settled");
        assert!(after.iter().all(|(p, owner)| before[p] == 3 || before[p] == *owner));
    }
}

#[test]
fn of_two_processes_with_one_name_the_later_one_stays() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 2, Weather::Fair);
        start(&mut simulation);
        simulation.run_for(2_000);
        simulation.inject(Fault::Double(0));
        simulation.run_for(10_000);
        settle(&mut simulation, 0, "after a double has come");
        let double = simulation.newest();
        let owners = settled(&simulation).expect("settled");
        assert!(owners.values().all(|owner| *owner == 1 || *owner == double));
        assert!(owners.values().any(|owner| *owner == double));
    }
}

/// Kills, restarts, pauses, outages, goodbyes, and a log that loses, delays and doubles renewals.
/// When it all has calmed down, each partition has exactly one owner. On the way nobody claims what
/// another may claim too, beyond the time that it takes to read the news: the simulation sees to it.
#[test]
fn after_any_weather_everything_has_one_owner() {
    let mut moved = 0;
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, 4, Weather::Foul);
        for _ in 0..30 {
            simulation.inject_any();
            simulation.run_for(2_000);
        }
        simulation.calm_down();
        simulation.run_for(15_000);
        settle(&mut simulation, 0, "in the end");
        let changes = simulation.changes();
        simulation.run_for(20_000);
        settle(&mut simulation, 0, "and it stays so");
        assert_eq!(simulation.changes(), changes, "nothing moves in a calm\n{simulation}");
        moved += changes;
    }
    assert!(moved > 1_000, "the weather was foul: {moved}");
}

#[test]
fn one_seed_is_one_history() {
    let history = || {
        let mut simulation = Simulation::new(11, 4, Weather::Foul);
        for _ in 0..20 {
            simulation.inject_any();
            simulation.run_for(2_000);
        }
        simulation.to_string()
    };
    assert_eq!(history(), history());
}

/// Whoever may write to the log may write any number into it.
#[test]
fn regression_numbers_at_their_ends_stop_nobody() {
    let config = LeaseConfig::default();
    let mut core = LeaseCore::new("hub-0".to_owned(), Uuid::nil(), 4, config);
    let mut now_ms = 0;
    for node in ["hub-0", "hub-1"] {
        for generation in [u64::MAX, u64::MAX - 1] {
            let incarnation = Uuid::from_u128(generation.into());
            let seen = NodeSeen {
                node: node.to_owned(),
                generation,
                incarnation,
                renewal: u64::MAX,
                ttl_ms: u64::MAX,
            };
            core.on_record(&LeaseRecord::NodeSeen(seen), now_ms);
            core.on_tick(now_ms);
        }
    }
    // The node that never was is there for an hour at most, while the log answers.
    while now_ms < 61 * 60 * 1_000 {
        now_ms += config.renew_every_ms;
        if let Some(renewal) = core.on_tick(now_ms).append {
            core.on_record(&renewal, now_ms);
        }
    }
    assert_eq!(core.on_tick(now_ms).desired.len(), 4, "nobody else is there");
}
