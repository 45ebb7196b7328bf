//! Two hubs on one Kafka: what happens when one of them dies or ends in order.
//!
//! There is a placement for each partition. When a hub goes, each of the placements that it owned
//! is changed at once, and the log says when another hub has decided on that change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use event_log::{Log, PARTITIONS, partition_of};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::{AggregateId, Partition, PlacementKey};
use futures::future::try_join_all;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use uuid::Uuid;
use xtask::bed::Bed;

use super::arrivals::{PATIENCE, Shown};
use super::log_follower::{LogFollower, OnRecord};
use super::processes::{HubPlace, HubProcess, LOOK_EVERY, Simulator};
use super::report::Recorder;
use super::samples::Samples;
use super::stage::{Stage, write_apps, write_greeting};

/// How often a hub is killed, and how often one ends in order.
const ROUNDS: usize = 5;

/// How long no partition may have moved before the next round.
const CALM: Duration = Duration::from_secs(2);

const NAMES: [&str; 2] = ["hub-a", "hub-b"];

pub(super) async fn measure(recorder: &Recorder) -> Result<()> {
    let (_simulator, ground) = Simulator::start(3).await?;
    let mut scene = Scene::set(Stage::on(ground)?).await?;
    let mut killed = vec![];
    for round in 0..ROUNDS {
        killed.extend(scene.kill(round % 2).await?);
    }
    let killed = Samples::of(killed);
    let how = format!(
        "{} partitions of {ROUNDS} killed owners, from the SIGKILL until a decision of the other \
         hub on that partition was read from the log; one Kafka node, leases as by default",
        killed.count()
    );
    recorder.say("killed.p50", killed.p50_ms() / 1_000.0, &how);
    recorder.say("killed.worst", killed.worst_ms() / 1_000.0, &how);

    let (mut owned, mut decided) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let (owns, decides) = scene.end_in_order(round % 2).await?;
        owned.push(owns);
        decided.extend(decides);
    }
    let (owned, decided) = (Samples::of(owned), Samples::of(decided));
    let how = format!(
        "{} hubs, from the SIGTERM until the claim of the other hub on the last of its partitions \
         was read from the log; {} changes made meanwhile were decided after {:.0} ms at p50, {:.0} \
         ms at worst",
        owned.count(),
        decided.count(),
        decided.p50_ms(),
        decided.worst_ms()
    );
    recorder.say("planned.p50", owned.p50_ms(), &how);
    recorder.say("planned.worst", owned.worst_ms(), &how);
    scene.account(recorder).await
}

struct Scene {
    stage: Stage,
    log: Arc<dyn Log>,
    follower: LogFollower,
    hub_log: String,
    hubs: [Option<HubProcess>; 2],
    /// One app and placement for each partition.
    apps: BTreeMap<Partition, String>,
    /// How often each was changed: a field of the placement that moves its generation.
    changes: i32,
    /// Every change that the API server took.
    asked: Vec<Change>,
}

/// A placement, and a generation of it.
type Change = (AggregateId, i64);

impl Scene {
    async fn set(stage: Stage) -> Result<Self> {
        let bed = Bed::shared().context("there is no test bed")?;
        let prefix = format!("bench-hand-over-{}.", Uuid::new_v4().simple());
        let config = KafkaConfig {
            topic_prefix: prefix.clone(),
            mode: Mode::Development,
            ..KafkaConfig::new(bed.kafka().bootstrap())
        };
        let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(config).await?);
        let follower = LogFollower::start(&log).await?;
        let hub_log = format!("kafka:{},{prefix}", bed.kafka().bootstrap());
        let apps = one_for_each_partition();
        let hubs = [None, None];
        let mut scene =
            Self { stage, log, follower, hub_log, hubs, apps, changes: 1, asked: vec![] };
        scene.start(0)?;
        scene.start(1)?;
        scene.stage.join().await?;
        let apps: Vec<String> = scene.apps.values().cloned().collect();
        write_apps(&scene.stage.ground.hub.client, &apps, "hello", 8).await?;
        scene.stage.place_all(&apps, 8).await;
        scene.stage.statuses.show(&apps, 1, Shown::Available, PATIENCE).await?;
        scene.calm().await?;
        Ok(scene)
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let name = NAMES[index];
        let (kubeconfig, data): (PathBuf, PathBuf) =
            (self.stage.kubeconfig(), self.stage.data(name));
        let place = HubPlace { name, kubeconfig: &kubeconfig, data: &data, log: &self.hub_log };
        self.hubs[index] = Some(HubProcess::spawn(&place)?);
        Ok(())
    }

    /// Waits until both hubs own something and no partition has moved for some time.
    async fn calm(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            ensure!(since.elapsed() < PATIENCE, "the hubs do not come to an agreement");
            let is_calm = {
                let on_record = self.follower.on_record();
                let moved = on_record.owners.values().map(|(_, at)| *at).max();
                NAMES.iter().all(|name| !on_record.owned_by(name).is_empty())
                    && on_record.owners.len() == usize::from(PARTITIONS)
                    && moved.is_some_and(|moved| moved.elapsed() > CALM)
            };
            if is_calm {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills a hub; answers with how long each of its partitions was without decisions.
    async fn kill(&mut self, index: usize) -> Result<Vec<Duration>> {
        let orphans = self.follower.on_record().owned_by(NAMES[index]);
        let at = self.hubs[index].take().context("it runs")?.kill()?;
        let changes = self.change(&orphans).await?;
        let mut times = vec![];
        for change in &changes {
            let (by, read) = self.decided(change).await?;
            ensure!(by != NAMES[index], "a dead hub has decided");
            times.push(read.duration_since(at));
        }
        self.start(index)?;
        self.calm().await?;
        Ok(times)
    }

    /// Ends a hub in order; answers with how long it took until the other owned all that it had,
    /// and until changes that were made meanwhile were decided, by whichever of the two.
    async fn end_in_order(&mut self, index: usize) -> Result<(Duration, Vec<Duration>)> {
        let orphans = self.follower.on_record().owned_by(NAMES[index]);
        let hub = self.hubs[index].take().context("it runs")?;
        let at = hub.ask_to_end()?;
        let changes = self.change(&orphans).await?;
        let other = NAMES[1 - index];
        let owns_all = |on_record: &OnRecord| {
            let claims = orphans.iter().map(|partition| on_record.claim_of(*partition, other));
            claims.collect::<Option<Vec<Instant>>>()?.into_iter().max()
        };
        let owned = self.follower.answer("the other owns everything", PATIENCE, owns_all).await?;
        let mut times = vec![];
        for change in &changes {
            times.push(self.decided(change).await?.1.saturating_duration_since(at));
        }
        hub.wait()?;
        self.start(index)?;
        self.calm().await?;
        Ok((owned.duration_since(at), times))
    }

    /// Changes the placements of these partitions, all at once. Answers with the generations that
    /// they have then.
    async fn change(&mut self, partitions: &[Partition]) -> Result<Vec<Change>> {
        self.changes += 1;
        let patch = json!({ "spec": { "revisionHistoryLimit": self.changes } });
        let api: Api<api::ClusterResourcePlacement> =
            Api::all(self.stage.ground.hub.client.clone());
        let change = async |partition: &Partition| {
            let app = &self.apps[partition];
            let patch = Patch::Merge(&patch);
            let changed = api.patch(app, &PatchParams::default(), &patch).await?;
            let generation = changed.metadata.generation.context("it has a generation")?;
            anyhow::Ok((aggregate(app), generation))
        };
        let changes: Vec<Change> = try_join_all(partitions.iter().map(change)).await?;
        self.asked.extend(changes.iter().cloned());
        Ok(changes)
    }

    /// Waits until a change is decided; answers with by whom, and when that was read.
    async fn decided(&self, change: &Change) -> Result<(String, Instant)> {
        let what = format!("{} is decided in generation {}", change.0, change.1);
        let decided = |on_record: &OnRecord| on_record.specified.get(change).cloned();
        self.follower.answer(&what, PATIENCE, decided).await
    }

    /// What was lost and what was done twice over all of it.
    async fn account(mut self, recorder: &Recorder) -> Result<()> {
        let apps: Vec<String> = self.apps.values().cloned().collect();
        for app in &apps {
            write_greeting(&self.stage.ground.hub.client, app, "the end").await?;
        }
        // Not an error: what has not arrived then is counted.
        drop(self.stage.arrivals.everywhere(&apps, "the end").await);
        let absent = self.stage.arrivals.missing(&apps, "the end");
        tokio::time::sleep(CALM).await;
        for hub in self.hubs.iter_mut().filter_map(Option::take) {
            hub.ask_to_end()?;
            hub.wait()?;
        }
        let report = actors::replay::verify(&*self.log, PARTITIONS).await?;
        ensure!(report.is_clean(), "the replay differs: {:?}", report.first_difference);
        let on_record = self.follower.on_record();
        let undecided =
            self.asked.iter().filter(|change| !on_record.specified.contains_key(change));
        let undecided = undecided.count() as u64 + report.undecided;
        let how = format!(
            "{} changes that the API server took and {} follow-ups without a decision ({undecided}), \
             last contents missing on members ({absent} of {}); the replay is clean",
            self.asked.len(),
            report.follow_ups,
            apps.len() * self.stage.ground.members.len()
        );
        recorder.say("lost", (undecided + absent as u64) as f64, how);
        let how = format!(
            "generations of placements recorded twice and follow-ups decided twice, of {} decisions \
             that count; {} records of former owners do not",
            report.decisions, report.rejected
        );
        recorder.say("duplicated", on_record.duplicates as f64, how);
        Ok(())
    }
}

fn aggregate(app: &str) -> AggregateId {
    AggregateId::Placement(PlacementKey::cluster(app))
}

/// The first app name for each partition.
fn one_for_each_partition() -> BTreeMap<Partition, String> {
    let mut apps = BTreeMap::new();
    for n in 0.. {
        if apps.len() == usize::from(PARTITIONS) {
            break;
        }
        let app = format!("app-shared-{n:04}");
        apps.entry(partition_of(&aggregate(&app), PARTITIONS)).or_insert(app);
    }
    apps
}
