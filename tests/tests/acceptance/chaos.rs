//! A chaos round on real parts: two hubs on Kafka, API servers of members and of the hub that hang
//! or are killed, hubs that end and come back, links that are swapped with those of another fleet,
//! and people who change their minds meanwhile. When it is over, every member holds exactly what
//! people wrote, nothing of the other fleet, and the log replays clean.
//!
//! A round is a function of its seed. It needs a bed of its own, whose servers it may break.

#![expect(clippy::print_stdout, reason = "what was broken when is worth reading")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acceptance::ground::Ground;
use acceptance::scenarios::{greeting_on, hold_the_same, member_shows, place, write_app};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system};
use actors::node::Ownership;
use api::conditions::fleet::agent_reason;
use event_log::lease::LeaseConfig;
use event_log::{Log, MemoryLog, PARTITIONS};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use fastrand::Rng;
use hub::Hub;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use xtask::bed::Bed;
use xtask::trial;

/// How many faults an ordinary round has, and one of `--soak`.
const FAULTS: usize = 8;
const FAULTS_SOAK: usize = 60;

/// How long a server hangs at most: longer than a request to a member may take.
const HANG_MAX_MS: u64 = 6_000;

/// The apps that people place and take back.
const APPS: [&str; 4] = ["app-alpha", "app-beta", "app-gamma", "app-delta"];

const REGIONS: [&str; 2] = ["eu", "us"];

/// What people want of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    greeting: String,
    regions: Vec<&'static str>,
}

/// One fleet under chaos.
struct Chaos<'a> {
    bed: &'a Bed,
    ground: &'a Ground,
    /// A member of another fleet, to which links are led astray.
    stranger: &'a Ground,
    bootstrap: &'a str,
    prefix: &'a str,
    dir: &'a Path,
    hubs: BTreeMap<&'static str, Hub>,
    wanted: BTreeMap<&'static str, Wanted>,
    random: Rng,
}

async fn connect(bootstrap: &str, prefix: &str) -> Arc<dyn Log> {
    let config = KafkaConfig {
        topic_prefix: prefix.to_owned(),
        mode: Mode::Development,
        ..KafkaConfig::new(bootstrap)
    };
    Arc::new(KafkaLog::connect(config).await.expect("Kafka answers"))
}

impl Chaos<'_> {
    async fn start_hub(&mut self, name: &'static str) {
        let log = connect(self.bootstrap, self.prefix).await;
        let ownership = Ownership::Leased(LeaseConfig::default());
        let data = self.dir.join(name);
        let hub = hubs::start(name, self.ground, log, &data, ownership).await;
        self.hubs.insert(name, hub);
    }

    /// Somebody changes something.
    async fn change(&mut self, number: usize) {
        let app = APPS[self.random.usize(..APPS.len())];
        if self.wanted.contains_key(app) && self.random.u8(..4) == 0 {
            self.wanted.remove(app);
            let api: Api<api::ClusterResourcePlacement> = Api::all(self.ground.hub.client.clone());
            api.delete(app, &DeleteParams::default()).await.expect("it is there");
            let gone = || async { api.get_opt(app).await.expect("it answers").is_none() };
            // It goes when every member has let go; that may be when the faults are over.
            drop(tokio::time::timeout(Duration::from_secs(1), eventually("it goes", gone)).await);
            return;
        }
        let api: Api<api::ClusterResourcePlacement> = Api::all(self.ground.hub.client.clone());
        let is_going = api
            .get_opt(app)
            .await
            .expect("it answers")
            .is_some_and(|placement| placement.metadata.deletion_timestamp.is_some());
        if is_going {
            return;
        }
        let greeting = format!("hello {number}");
        let regions: Vec<&'static str> =
            REGIONS.into_iter().filter(|_| self.random.u8(..4) > 0).collect();
        write_app(self.ground, app, &greeting).await;
        place(self.ground, app, app, &regions).await;
        self.wanted.insert(app, Wanted { greeting, regions });
    }

    /// Something breaks, people go on, and it is mended.
    async fn fault(&mut self, number: usize) {
        let hang = Duration::from_millis(self.random.u64(500..HANG_MAX_MS));
        let member = ["member-1", "member-2"][self.random.usize(..2)];
        match self.random.u8(..5) {
            0 => {
                println!("{number}: {member} hangs for {hang:?}");
                self.bed.apiserver(member).pause().expect("it runs");
                self.change(number).await;
                tokio::time::sleep(hang).await;
                self.bed.apiserver(member).resume().expect("it is paused");
            }
            1 => {
                println!("{number}: {member} is killed");
                self.bed.apiserver(member).kill().expect("it runs");
                self.change(number).await;
                let server = self.bed.apiserver(member);
                let started = tokio::task::spawn_blocking(move || server.start()).await;
                started.expect("it does not panic").expect("it starts");
            }
            2 => {
                println!("{number}: the hub's API server hangs for {hang:?}");
                self.change(number).await;
                self.bed.apiserver("hub").pause().expect("it runs");
                tokio::time::sleep(hang).await;
                self.bed.apiserver("hub").resume().expect("it is paused");
                self.change(number).await;
            }
            3 => {
                let name = ["hub-a", "hub-b"][self.random.usize(..2)];
                println!("{number}: {name} ends and comes back");
                let hub = self.hubs.remove(name).expect("it runs");
                hub.shutdown().await;
                self.change(number).await;
                self.start_hub(name).await;
            }
            _ => {
                println!("{number}: the links of {member} and of the other fleet are swapped");
                self.swap_links(member, number).await;
            }
        }
    }

    /// A link leads to a member of another fleet for a while, and the other way round.
    async fn swap_links(&mut self, member: &str, number: usize) {
        let find = |ground: &Ground, name: &str| {
            let found = ground.members.iter().find(|member| member.name == name);
            found.expect("the ground has it").kubeconfig.clone()
        };
        let (ours, theirs) = (find(self.ground, member), find(self.stranger, "member-1"));
        self.ground.link(member, &theirs).await;
        self.stranger.link("member-1", &ours).await;
        self.change(number).await;
        // Which of the two it says first depends on which it asks first: whose the cluster is, or
        // which it is.
        come("the hub says that the link leads elsewhere", || async {
            let shown = ("Healthy", "False", agent_reason::UNHEALTHY);
            let message = member_shows(self.ground, member, shown).await;
            let says_so = ["leads to", "deployment"].iter().any(|word| message.contains(word));
            says_so.then_some(())
        })
        .await;
        self.ground.link(member, &ours).await;
        self.stranger.link("member-1", &theirs).await;
    }

    /// When everything is mended, members hold what people wrote, and nothing else.
    async fn is_at_rest(&self) {
        let placements: Api<api::ClusterResourcePlacement> =
            Api::all(self.ground.hub.client.clone());
        let list = || async { placements.list(&Default::default()).await.expect("it answers") };
        eventually("placements that were deleted are gone", || async {
            list().await.iter().all(|one| self.wanted.contains_key(one.name_any().as_str()))
        })
        .await;
        for app in APPS {
            let wanted = self.wanted.get(app);
            for (member, region) in self.ground.members.iter().zip(REGIONS) {
                let greeting = wanted.filter(|wanted| wanted.regions.contains(&region));
                let greeting = greeting.map(|wanted| wanted.greeting.clone());
                eventually(&format!("{app} on {} is {greeting:?}", member.name), || async {
                    greeting_on(member, app).await == greeting
                })
                .await;
                if greeting.is_some() {
                    hold_the_same(self.ground, &[member], app).await;
                }
            }
        }
        for wanted in self.wanted.keys() {
            come(&format!("{wanted} is observed at its generation and not failed"), || async {
                let placement = placements.get(wanted).await.expect("it answers");
                let generation = placement.metadata.generation;
                let status = placement.status?;
                let settled = status.conditions.iter().all(|condition| {
                    condition.status == "True" && condition.observed_generation == generation
                });
                settled.then_some(())
            })
            .await;
        }
    }

    /// The other fleet's member has what its own hub placed, and nothing of this fleet.
    async fn left_the_stranger_alone(&self) {
        let member = &self.stranger.members[0];
        let theirs =
            || async { greeting_on(member, "app-theirs").await.as_deref() == Some("theirs") };
        eventually("the other fleet has what is its own", theirs).await;
        for app in APPS {
            assert_eq!(greeting_on(member, app).await, None, "{app} went to another fleet");
        }
        for member in &self.ground.members {
            assert_eq!(greeting_on(member, "app-theirs").await, None, "{} has theirs", member.name);
        }
    }
}

#[test]
fn what_people_wrote_is_everywhere_when_it_is_over() {
    let seed = xtask::seed!();
    let faults = trial::rounds(FAULTS, FAULTS_SOAK);
    in_a_system(async {
        if !xtask::bed::wanted() {
            return;
        }
        let bed = tokio::task::spawn_blocking(|| {
            Bed::builder().members(2).kafka_nodes(1).start().expect("a bed can be started")
        });
        let bed = bed.await.expect("it does not panic");
        let kubeconfig = |name: String| (name.clone(), bed.context(&name).kubeconfig());
        let ground = Ground::at(bed.context_names().into_iter().map(kubeconfig).collect()).await;
        let stranger = Ground::simulated(1).await;
        let dir = tempfile::tempdir().expect("a directory can be made");

        let their_log: Arc<dyn Log> = Arc::new(MemoryLog::new());
        let their_data = dir.path().join("theirs");
        let their_hub =
            hubs::start("theirs", &stranger, their_log.clone(), &their_data, Ownership::Alone)
                .await;
        stranger.join(&stranger.members[0], &[("region", "eu")]).await;
        write_app(&stranger, "app-theirs", "theirs").await;
        place(&stranger, "theirs", "app-theirs", &["eu"]).await;

        let prefix = format!("chaos-{}.", uuid::Uuid::new_v4().simple());
        let mut chaos = Chaos {
            bed: &bed,
            ground: &ground,
            stranger: &stranger,
            bootstrap: bed.kafka().bootstrap(),
            prefix: &prefix,
            dir: dir.path(),
            hubs: BTreeMap::new(),
            wanted: BTreeMap::new(),
            random: Rng::with_seed(seed),
        };
        chaos.start_hub("hub-a").await;
        chaos.start_hub("hub-b").await;
        for (member, region) in ground.members.iter().zip(REGIONS) {
            ground.join(member, &[("region", region)]).await;
        }
        for number in 0..APPS.len() {
            chaos.change(number).await;
        }
        for number in APPS.len()..APPS.len() + faults {
            chaos.fault(number).await;
        }
        chaos.is_at_rest().await;
        chaos.left_the_stranger_alone().await;

        for hub in std::mem::take(&mut chaos.hubs).into_values() {
            hub.shutdown().await;
        }
        their_hub.shutdown().await;
        let log = connect(bed.kafka().bootstrap(), &prefix).await;
        for log in [log, their_log] {
            let report = actors::replay::verify(&*log, PARTITIONS).await.expect("it can be read");
            assert_eq!(report.first_difference, None);
        }
        stranger.stop();
    });
}
