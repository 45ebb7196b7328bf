//! Random histories of a small fleet: whatever happens in whatever order, some things always hold.
//! Most of them are checked by the world after every step; see its `check_…` functions.

use std::collections::BTreeSet;

use events::placement::{Policy, TargetPhase};
use events::{AggregateId, ContentHash, PlacementKey};
use proptest::prelude::*;

use crate::cluster::DeliveryPhase;
use crate::scheduler::label_selector_matches;
use crate::testing::hub::Hub;
use crate::testing::make::{everywhere, fixed, tolerates, wherever};
use crate::testing::member::Mood;

const CLUSTERS: [&str; 3] = ["eu-1", "eu-2", "us-1"];
const PLACEMENTS: [&str; 2] = ["api", "web"];

/// Something that somebody does, that happens to a member, or that a hub gets done.
#[derive(Debug, Clone)]
enum Step {
    WriteCluster { cluster: usize, labels: usize, taints: usize },
    DeleteCluster(usize),
    ReplaceCluster(usize),
    RebuildMember(usize),
    Link(usize),
    CheckHealth(usize),
    Mood(usize, Mood),
    WritePlacement { placement: usize, content: usize, policy: usize },
    SubmitAgain(usize),
    MisspellPlacement(usize),
    DeletePlacement(usize),
    ReplacePlacement(usize),
    DeliverMail(usize),
    Fold,
    Reschedule(usize),
    Perform { nth: usize, lose_report: bool },
    RepeatReport(usize),
    Wait(i64),
    Settle,
}

fn any_step() -> impl Strategy<Value = Step> {
    let cluster = 0..CLUSTERS.len();
    let placement = 0..PLACEMENTS.len();
    let mood = prop_oneof![
        2 => Just(Mood::Willing),
        1 => Just(Mood::Slow),
        1 => Just(Mood::Broken),
        1 => Just(Mood::Away),
    ];
    prop_oneof![
        4 => (cluster.clone(), 0..2usize, 0..2usize)
            .prop_map(|(cluster, labels, taints)| Step::WriteCluster { cluster, labels, taints }),
        1 => cluster.clone().prop_map(Step::DeleteCluster),
        1 => cluster.clone().prop_map(Step::ReplaceCluster),
        1 => cluster.clone().prop_map(Step::RebuildMember),
        4 => cluster.clone().prop_map(Step::Link),
        2 => cluster.clone().prop_map(Step::CheckHealth),
        2 => (cluster, mood).prop_map(|(cluster, mood)| Step::Mood(cluster, mood)),
        6 => (placement.clone(), 0..3usize, 0..5usize).prop_map(|(placement, content, policy)| {
            Step::WritePlacement { placement, content, policy }
        }),
        1 => placement.clone().prop_map(Step::SubmitAgain),
        1 => placement.clone().prop_map(Step::MisspellPlacement),
        2 => placement.clone().prop_map(Step::DeletePlacement),
        1 => placement.prop_map(Step::ReplacePlacement),
        20 => (0..8usize).prop_map(Step::DeliverMail),
        12 => Just(Step::Fold),
        6 => (0..2usize).prop_map(Step::Reschedule),
        10 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(nth, lose_report)| Step::Perform { nth: nth.index(64), lose_report }),
        2 => any::<prop::sample::Index>().prop_map(|nth| Step::RepeatReport(nth.index(64))),
        1 => (1..400i64).prop_map(Step::Wait),
        2 => Just(Step::Settle),
    ]
}

fn policy(number: usize) -> Policy {
    match number {
        0 | 1 => everywhere(),
        2 => wherever("env=prod"),
        3 => fixed(&["eu-1", "us-1"]),
        _ => Policy::PickAll { terms: vec![], tolerations: vec![tolerates("gpu", None)] },
    }
}

fn take(hub: &mut Hub, step: &Step) {
    match *step {
        Step::WriteCluster { cluster, labels, taints } => {
            let (labels, taints) = (["env=prod", "env=test"][labels], ["", "gpu=yes"][taints]);
            hub.write_cluster(CLUSTERS[cluster], labels, taints);
        }
        Step::DeleteCluster(cluster) => hub.delete_cluster(CLUSTERS[cluster]),
        Step::ReplaceCluster(cluster) => hub.replace_cluster(CLUSTERS[cluster]),
        Step::RebuildMember(cluster) => hub.rebuild_member(CLUSTERS[cluster]),
        Step::Link(cluster) => hub.link(CLUSTERS[cluster]),
        Step::CheckHealth(cluster) => hub.check_health(CLUSTERS[cluster]),
        Step::Mood(cluster, mood) => hub.mood(CLUSTERS[cluster], mood),
        Step::WritePlacement { placement, content, policy: number } => {
            let content = ["red", "green", "blue"][content];
            hub.write_placement(PLACEMENTS[placement], content, &policy(number));
        }
        Step::SubmitAgain(placement) => hub.submit(&PlacementKey::cluster(PLACEMENTS[placement])),
        Step::MisspellPlacement(placement) => hub.misspell_placement(PLACEMENTS[placement]),
        Step::DeletePlacement(placement) => hub.delete_placement(PLACEMENTS[placement]),
        Step::ReplacePlacement(placement) => hub.replace_placement(PLACEMENTS[placement]),
        Step::DeliverMail(nth) => hub.world.deliver_mail(nth),
        Step::Fold => hub.world.fold(),
        Step::Reschedule(nth) => hub.world.reschedule(nth),
        Step::Perform { nth, lose_report } => hub.world.perform(nth, lose_report),
        Step::RepeatReport(nth) => {
            let reports = hub.world.reports.len();
            if reports > 0 {
                let (cluster, report) = hub.world.reports[nth % reports].clone();
                // Most of them were overtaken and are refused.
                drop(hub.world.ask(&AggregateId::Cluster(cluster), report));
            }
        }
        Step::Wait(seconds) => hub.world.now += seconds,
        Step::Settle => hub.world.settle(),
    }
}

/// Every member answers, every cluster joins, every specification is corrected.
fn heal(hub: &mut Hub) {
    for cluster in hub.cluster_names() {
        hub.mood(&cluster, Mood::Willing);
        hub.link(&cluster);
        hub.check_health(&cluster);
    }
    for placement in hub.misspelled() {
        hub.write_placement(&placement.name, "red", &everywhere());
    }
    hub.world.settle();
}

/// Every chosen cluster holds the latest revision and nothing else, and nobody else holds anything.
fn check_at_rest(hub: &Hub) {
    let wanted = hub.wanted();
    for (key, state) in &hub.world.placements {
        assert!(state.deleting.is_none(), "{key} is still being deleted");
        assert_eq!(state.specified.is_some(), wanted.contains_key(key), "{key}");
        let chosen: BTreeSet<&str> =
            state.scheduled.iter().flat_map(|scheduled| scheduled.chosen()).collect();
        assert_eq!(chosen, state.targets.keys().map(String::as_str).collect(), "{key}");
        let latest = wanted.get(key).map(|content| ContentHash::of(content.as_bytes()));
        for (cluster, member) in &hub.world.members {
            let expected = latest.filter(|_| chosen.contains(cluster.as_str()));
            let held = member.held(key);
            assert_eq!(held, expected.into_iter().collect(), "{cluster} holds {key}");
            let delivery = hub.world.clusters[cluster].deliveries.get(key);
            let phase = delivery.map(|delivery| &delivery.phase);
            let done = DeliveryPhase::Available { untracked: 0 };
            assert_eq!(phase, expected.map(|_| &done), "the delivery of {key} on {cluster}");
        }
        for (cluster, target) in &state.targets {
            assert_eq!(target.phase, TargetPhase::Available, "{key} on {cluster}");
            let delivery = &hub.world.clusters[cluster].deliveries[key];
            assert_eq!(delivery.generation, target.generation, "{key} on {cluster}");
        }
        if let Some(specified) = &state.specified {
            check_choice(hub, key, &specified.spec.policy, &chosen);
        }
    }
    assert_eq!(hub.world.outstanding(), []);
}

/// Whatever matches is chosen; whatever is not a member is not.
fn check_choice(hub: &Hub, key: &PlacementKey, policy: &Policy, chosen: &BTreeSet<&str>) {
    for cluster in CLUSTERS {
        let member = hub.world.clusters.get(cluster).and_then(|state| state.member());
        let Some(member) = member.filter(|member| member.identity.is_some()) else {
            assert!(!chosen.contains(cluster), "{key} on {cluster}, which is no member");
            continue;
        };
        match policy {
            Policy::PickFixed { clusters } => {
                let is_named = clusters.iter().any(|name| name == cluster);
                assert_eq!(chosen.contains(cluster), is_named, "{key} on {cluster}");
            }
            // What was placed stays placed, so some that do not match may be chosen too.
            Policy::PickAll { terms, tolerations } => {
                let is_tolerated = member.taints.is_empty() || !tolerations.is_empty();
                let matches = terms.is_empty()
                    || terms.iter().any(|term| label_selector_matches(term, &member.labels));
                assert!(
                    chosen.contains(cluster) || !matches || !is_tolerated,
                    "{key} is not on {cluster}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_fleet_ends_up_as_it_should(
        steps in prop::collection::vec(any_step(), 1..160)
    ) {
        let mut hub = Hub::default();
        for cluster in CLUSTERS {
            hub.write_cluster(cluster, "env=prod", "");
        }
        for step in &steps {
            take(&mut hub, step);
        }
        heal(&mut hub);
        check_at_rest(&hub);
        hub.world.check_replay();
        hub.world.check_decisions();
    }
}
