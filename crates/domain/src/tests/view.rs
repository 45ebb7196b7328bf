//! The view of the fleet.

use events::cluster::{ClusterHealthLost, ClusterPropertiesChanged, DeliveryRemoved, LinkProblem};
use events::event::ClusterEvent;
use events::{AggregateId, Event};

use crate::cluster::{ClusterCommand, ReportLinkProblem};
use crate::testing::hub::Hub;
use crate::testing::make::{everywhere, labels, moment, taints, web};
use crate::testing::member::Mood;
use crate::{ClusterView, FleetView, ViewChange};

#[test]
fn the_view_shows_what_a_scheduler_looks_at() {
    let mut hub = Hub::default();
    hub.write_cluster("eu-1", "env=prod", "");
    hub.write_cluster("eu-2", "", "");
    hub.link("eu-1");
    hub.write_cluster("eu-1", "env=test", "gpu=yes");
    hub.world.now = 30;
    hub.mood("eu-1", Mood::Away);
    hub.check_health("eu-1");
    hub.world.settle();
    let eu_1 = ClusterView {
        labels: labels("env=test"),
        taints: taints("gpu=yes"),
        identity: Some("id-eu-1".to_owned()),
        joined_at: Some(moment(0)),
        is_unhealthy: false,
        properties: [].into(),
    };
    assert_eq!(hub.world.view.clusters["eu-1"], eu_1);
    assert_eq!(hub.world.view.clusters["eu-2"], ClusterView::default());
    hub.world.now = 30 + 300;
    hub.end_grace("eu-1");
    assert!(hub.world.view.clusters["eu-1"].is_unhealthy);

    hub.mood("eu-1", Mood::Willing);
    hub.check_health("eu-1");
    hub.delete_cluster("eu-2");
    hub.world.settle();
    assert!(!hub.world.view.clusters["eu-1"].is_unhealthy);
    assert_eq!(hub.world.view.clusters.keys().collect::<Vec<_>>(), ["eu-1"]);
}

#[test]
fn a_member_whose_link_works_again_is_well() {
    let mut hub = Hub::default();
    hub.write_cluster("eu-1", "", "");
    hub.link("eu-1");
    let problem = ReportLinkProblem {
        problem: LinkProblem::Missing,
        message: String::new(),
        is_new_link: false,
    };
    let eu_1 = AggregateId::Cluster("eu-1".to_owned());
    hub.world.ask(&eu_1, ClusterCommand::ReportLinkProblem(problem)).unwrap();
    hub.world.settle();
    hub.world.now = 300;
    hub.end_grace("eu-1");
    assert!(hub.world.view.clusters["eu-1"].is_unhealthy);
    hub.link("eu-1");
    hub.world.settle();
    assert!(!hub.world.view.clusters["eu-1"].is_unhealthy);
}

#[test]
fn a_new_membership_starts_from_nothing() {
    let mut hub = Hub::default();
    hub.write_cluster("eu-1", "env=prod", "");
    hub.link("eu-1");
    hub.replace_cluster("eu-1");
    hub.world.settle();
    let expected = ClusterView { labels: labels("env=prod"), ..ClusterView::default() };
    assert_eq!(hub.world.view.clusters["eu-1"], expected);
}

/// Only what moves a scheduler makes placements look again.
#[test]
fn it_says_whether_something_moved() {
    let mut hub = Hub::default();
    hub.write_cluster("eu-1", "env=prod", "");
    hub.link("eu-1");
    hub.write_placement("web", "first", &everywhere());
    hub.world.settle();
    let mut view = FleetView::default();
    let mut moved = vec![];
    for (number, envelope) in (1..).zip(&hub.world.log) {
        let name = envelope.event.event_type().name;
        if view.apply(crate::testing::evidence(number), envelope) == ViewChange::Moved {
            moved.push(name);
        }
    }
    assert_eq!(moved, ["ClusterRegistered", "ClusterJoined"]);
    assert_eq!(view.watermark.of(events::Partition(1)).0, hub.world.log.len() as u64);
}

#[test]
fn what_happens_to_clusters_that_are_not_there_is_ignored() {
    let mut hub = Hub::default();
    hub.write_cluster("eu-1", "", "");
    let mut envelope = hub.world.log[0].clone();
    let mut view = FleetView::default();
    let strays: [ClusterEvent; 3] = [
        ClusterHealthLost { message: String::new() }.into(),
        ClusterPropertiesChanged { properties: [].into() }.into(),
        DeliveryRemoved { placement: web(), generation: 1 }.into(),
    ];
    for stray in strays {
        envelope.event = Event::Cluster(stray);
        assert_eq!(view.apply(crate::testing::evidence(1), &envelope), ViewChange::Nothing);
    }
    envelope.aggregate = AggregateId::Placement(web());
    assert_eq!(view.apply(crate::testing::evidence(2), &envelope), ViewChange::Nothing);
    assert!(view.clusters.is_empty());
}

#[test]
fn another_member_with_an_identity_is_found_by_name() {
    let mut hub = Hub::default();
    for name in ["eu-1", "eu-2"] {
        hub.write_cluster(name, "", "");
        hub.link(name);
    }
    hub.world.settle();
    let view = &hub.world.view;
    assert_eq!(view.other_with_identity("id-eu-1", "eu-2"), Some((Some(moment(0)), "eu-1")));
    assert_eq!(view.other_with_identity("id-eu-1", "eu-1"), None);
    assert_eq!(view.other_with_identity("id-us-1", "eu-1"), None);
}
