//! How fast folding, writing, loading and asking are, on a fleet of a given size.
//!
//! `cargo run --release -p projections --example projection_rates -- [placements] [clusters] [decisions per
//! frame]`; 1,000 × 100 when nothing is said. The history is made by the real deciders.
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use domain::cluster::{
    Cluster, ClusterCommand, DeliveryOutcome, Notes, ObserveCluster, ReportDelivery, ReportLink,
};
use domain::placement::{Placement, PlacementCommand, RevisionInput, SubmitPlacement};
use events::cluster::ApplyStrategy;
use events::placement::{PlacementSpec, Policy};
use events::{AggregateId, ContentHash, PlacementKey, Position, Record, Sequence};
use projections::{At, EventFilter, FoldStep, Queries, Store};
use support::{Ask, MiniHub, Step, dirty, fold, partition_of};

const PARTITIONS: u16 = 32;
const STEPS_PER_BATCH: usize = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir] = &args[..]
        && mode == "load"
    {
        return load(Path::new(dir));
    }
    let number = |index: usize, default| {
        args.get(index).map_or(default, |text: &String| text.parse().expect("a number"))
    };
    let (placements, clusters) = (number(0, 1_000), number(1, 100));
    let hub = history(placements, clusters, number(2, 20));
    let events = hub.steps.iter().map(|step| step.events().count()).sum::<usize>();
    println!(
        "{placements} placements × {clusters} clusters: {events} events in {} records",
        hub.steps.len()
    );

    let bytes: Vec<Vec<u8>> =
        hub.steps.iter().map(|step| step.record.to_bytes().expect("JSON")).collect();
    let size: usize = bytes.iter().map(Vec::len).sum();
    println!("log: {} MB, {} bytes an event", size >> 20, size / events);
    rate("decode JSON", events, || {
        for bytes in &bytes {
            std::hint::black_box(Record::from_bytes(bytes).expect("a record"));
        }
    });
    rate("fold", events, || fold(&hub.steps).clusters.len());

    let tmp = tempfile::tempdir().expect("a directory");
    let dir = tmp.path().join("rows");
    let opened = Store::open(&dir, partition_of).expect("an empty store");
    let (mut store, mut model) = (opened.store, opened.model);
    let mut longest = Duration::ZERO;
    let mut shares = [Duration::ZERO; 3];
    rate("rebuild (fold + write + states)", events, || {
        for batch in hub.steps.chunks(STEPS_PER_BATCH) {
            let (started, start) = (Instant::now(), busy());
            let folds: Vec<FoldStep<'_>> = batch.iter().map(Step::fold).collect();
            let changes: Vec<_> = folds.iter().map(|step| model.apply(step)).collect();
            let folded = busy();
            store.write(folds.iter().zip(&changes)).expect("rows are written");
            let written = busy();
            store.snapshot(&model, &dirty(batch)).expect("states are written");
            for (share, took) in
                shares.iter_mut().zip([folded - start, written - folded, busy() - written])
            {
                *share += took;
            }
            longest = longest.max(started.elapsed());
        }
    });
    println!(
        "  fold, write, states: {shares:?}; the longest of {STEPS_PER_BATCH} records: {longest:?}"
    );
    store.flush().expect("rows are flushed");
    println!("rows on disk: {} MB, {}", directory_size(&dir) >> 20, memory());
    ask(&store.queries(), &hub);

    // Live: one record at a time.
    let mut more = hub;
    more.steps.clear();
    deliver(&mut more, clusters.min(20), 20.min(placements), 1);
    let some = &more.steps[..more.steps.len().min(2_000)];
    rate("write one record at a time (records)", some.len(), || {
        for step in some {
            let fold = step.fold();
            store.write([(&fold, &step.changes)]).expect("rows are written");
        }
    });
    drop((store, model, more));

    let mut child = Command::new(std::env::current_exe().expect("its own path"));
    child.arg("load").arg(&dir).status().expect("it runs again");
}

fn load(dir: &Path) {
    for _ in 0..2 {
        let (started, before) = (Instant::now(), busy());
        let opened = Store::open(dir, partition_of).expect("the store opens");
        let (took, busy) = (started.elapsed(), busy() - before);
        let targets: usize = opened.model.placements.values().map(|p| p.state.targets.len()).sum();
        println!("load: {targets} targets in {took:?}, busy {busy:?}, {}", memory());
        assert_eq!(opened.rebuilt, None);
    }
    let db = support::behind_the_back(dir);
    let mut kinds: BTreeMap<char, (usize, usize)> = BTreeMap::new();
    for (key, value) in db.iter().map(|row| row.expect("a row")) {
        let (rows, bytes) = kinds.entry(char::from(key[0])).or_default();
        (*rows, *bytes) = (*rows + 1, *bytes + key.len() + value.len());
    }
    println!("rows and bytes by kind: {kinds:?}");
}

/// All placements on all clusters, until everything is available.
fn history(placements: usize, clusters: usize, per_frame: usize) -> MiniHub {
    let mut hub = MiniHub::new(PARTITIONS);
    for n in 0..clusters {
        let id = AggregateId::Cluster(cluster_name(n));
        let labels = [("region", n % 7), ("zone", n % 3), ("tier", n % 2)];
        let labels = labels.map(|(key, value)| (key.to_owned(), format!("{key}-{value}")));
        hub.direct(
            id.clone(),
            ClusterCommand::ObserveCluster(ObserveCluster {
                uid: uid(n),
                labels: labels.into(),
                taints: vec![],
                heartbeat_period_seconds: 15,
            }),
        );
        hub.direct(
            id,
            ClusterCommand::ReportLink(ReportLink {
                cluster: cluster_name(n),
                identity: uid(n + 10_000),
                hub_identity: uid(99_999),
                kubernetes_version: "v1.36.4".to_owned(),
                confirmed: None,
                taken_from: None,
            }),
        );
    }
    for n in 0..placements {
        let submit = PlacementCommand::SubmitPlacement(SubmitPlacement {
            uid: uid(n),
            generation: 1,
            spec: PlacementSpec {
                selectors: vec![],
                policy: Policy::PickAll { terms: vec![], tolerations: vec![] },
                apply: ApplyStrategy::default(),
            },
            revision: RevisionInput { manifests: ContentHash::of(&n.to_be_bytes()), objects: 3 },
            notes: vec![],
        });
        hub.direct(AggregateId::Placement(placement_key(n)), submit);
    }
    hub.settle(per_frame);
    deliver(&mut hub, clusters, placements, per_frame);
    hub.settle(per_frame);
    hub
}

/// Every member reports that everything is available.
fn deliver(hub: &mut MiniHub, clusters: usize, placements: usize, per_frame: usize) {
    for n in 0..clusters {
        let id = AggregateId::Cluster(cluster_name(n));
        let state = &hub.model.clusters[&cluster_name(n)].state;
        let untracked = u32::from(hub.steps.is_empty());
        let asks: Vec<Ask> = state
            .deliveries
            .iter()
            .take(placements)
            .map(|(placement, delivery)| {
                let report = ReportDelivery {
                    placement: placement.clone(),
                    generation: delivery.generation,
                    outcome: DeliveryOutcome::Available { untracked },
                    notes: Notes::default(),
                };
                Ask::Direct(id.clone(), ClusterCommand::ReportDelivery(report).into())
            })
            .collect();
        for some in asks.chunks(per_frame) {
            hub.frame(hub.partition(&id), some);
        }
    }
}

fn ask(queries: &Queries, hub: &MiniHub) {
    let last = hub.steps.iter().flat_map(Step::events).last().expect("some event").0;
    let middle = Position { sequence: Sequence(last.sequence.0 / 2), ..last };
    let cluster = AggregateId::Cluster(cluster_name(0));
    let placement = AggregateId::Placement(placement_key(0));
    let cluster_at = queries.history(&cluster, 300, 1).expect("a history").items[0].position;
    let watermark = queries.watermark_at(hub.now).expect("a watermark");
    let everything = EventFilter::default();
    let rare = EventFilter { event_type: Some("NoSuchEvent".to_owned()), ..everything.clone() };
    let correlation = queries.event(last).expect("an event").map(|e| e.envelope.correlation);
    let correlated = EventFilter { correlation, ..everything.clone() };

    time("event", || queries.event(middle).expect("an answer").is_some());
    time("history, 100 events", || queries.history(&cluster, 100, 100).expect("one").items.len());
    time("events, first 100", || queries.events(&everything, None, 100).expect("one").items.len());
    time("events, 100 after one", || {
        queries.events(&everything, Some(middle), 100).expect("one").items.len()
    });
    time("events, page that finds nothing", || {
        queries.events(&rare, None, 100).expect("one").items.len()
    });
    time("events of one correlation", || {
        queries.events(&correlated, None, 1_000).expect("one").items.len()
    });
    time("state of a cluster in the past", || {
        let at = At::Position(cluster_at);
        queries.state_at::<Cluster>(&cluster, &at).expect("a state").sequence
    });
    time("state of a cluster now", || {
        queries.state_at::<Cluster>(&cluster, &At::Now).expect("a state").sequence
    });
    time("state of a placement now", || {
        queries.state_at::<Placement>(&placement, &At::Now).expect("a state").sequence
    });
    time("watermark of a time", || queries.watermark_at(hub.now).expect("one").0.len());
    time("view of the fleet", || queries.view_at(&watermark).expect("one").clusters.len());
    time("decision of an event", || queries.decision_of(last).expect("one").is_some());
    time("latest decision", || {
        queries.latest_decision(&placement_key(0), &At::Now).expect("one").is_some()
    });
}

fn rate<T>(what: &str, count: usize, work: impl FnOnce() -> T) {
    let (started, busy) = (Instant::now(), busy());
    std::hint::black_box(work());
    let (took, busy) = (started.elapsed(), self::busy() - busy);
    println!(
        "{what}: {:.0} /s of its own time ({busy:?} of {took:?})",
        count as f64 / busy.as_secs_f64()
    );
}

/// How long this thread was on a processor, where the system says so: on a machine that others use
/// as well, this is what can be compared.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// The median and the worst of 50.
fn time<T: std::fmt::Debug>(what: &str, work: impl Fn() -> T) {
    let mut took = vec![];
    let mut answer = None;
    for _ in 0..50 {
        let started = Instant::now();
        answer = Some(work());
        took.push(started.elapsed());
    }
    took.sort();
    println!("  {what}: {:?}, worst {:?} -> {answer:?}", took[25], took[49]);
}

fn cluster_name(n: usize) -> String {
    format!("member-{n:05}")
}

fn placement_key(n: usize) -> PlacementKey {
    PlacementKey::namespaced(format!("team-{}", n % 50), format!("app-{n:05}"))
}

fn uid(n: usize) -> String {
    format!("0a1b2c3d-0000-4000-8000-{n:012}")
}

fn directory_size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry"));
    entries
        .map(|entry| match entry.metadata().expect("metadata") {
            metadata if metadata.is_dir() => directory_size(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

/// Resident memory, where the system says so.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("memory unknown").split_whitespace().collect::<Vec<_>>().join(" ")
}
