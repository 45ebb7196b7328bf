//! Stories of a fleet, as transcripts. A line is an event of an aggregate; an indented one is what
//! happened on a member.

use events::PlacementKey;

use crate::testing::hub::Hub;
use crate::testing::make::{everywhere, fixed, wherever};
use crate::testing::member::Mood;

/// A story: what somebody does or what happens, and all that follows from it.
struct Story {
    hub: Hub,
    text: String,
    told: usize,
}

impl Story {
    /// A fleet of members with these labels.
    fn of(members: &[(&str, &str)]) -> Self {
        let mut story = Self { hub: Hub::default(), text: String::new(), told: 0 };
        for (name, labels) in members {
            story.hub.write_cluster(name, labels, "");
            story.hub.link(name);
        }
        story.hub.world.settle();
        story.told = story.hub.world.lines.len();
        story
    }

    /// Something happens, and nothing else yet.
    fn at_first(&mut self, what: &str, act: impl FnOnce(&mut Hub)) {
        act(&mut self.hub);
        self.tell(what);
    }

    /// Something happens, and everything that follows.
    fn then(&mut self, what: &str, act: impl FnOnce(&mut Hub)) {
        act(&mut self.hub);
        self.hub.world.settle();
        self.tell(what);
    }

    fn tell(&mut self, what: &str) {
        self.text += &format!("# {what}\n");
        for line in &self.hub.world.lines[self.told..] {
            self.text += &format!("{line}\n");
        }
        self.told = self.hub.world.lines.len();
    }

    /// The whole text, after the checks that every history has to stand.
    fn end(self) -> String {
        self.hub.world.check_replay();
        self.hub.world.check_decisions();
        self.text
    }

    /// What is really on a member, in numbers of revisions.
    fn held(&self, cluster: &str, placement: &str) -> usize {
        self.hub.world.members[cluster].held(&PlacementKey::cluster(placement)).len()
    }
}

#[test]
fn three_clusters_one_fails_is_mended() {
    let mut story = Story::of(&[("eu-1", ""), ("eu-2", ""), ("us-1", "")]);
    story.hub.mood("eu-2", Mood::Broken);
    story.then("web is created; a quota on eu-2 is in the way", |hub| {
        hub.write_placement("web", "first", &everywhere());
    });
    story.then("one of its objects changes", |hub| {
        hub.write_placement("web", "second", &everywhere());
    });
    assert_eq!(story.held("eu-2", "web"), 2, "of both revisions there is something");
    story.then("the quota is raised", |hub| hub.mood("eu-2", Mood::Willing));
    assert_eq!(story.held("eu-2", "web"), 1);
    insta::assert_snapshot!(story.end());
}

#[test]
fn a_cluster_leaves_in_the_middle() {
    let mut story = Story::of(&[("eu-1", ""), ("eu-2", "")]);
    story.at_first("web is created", |hub| hub.write_placement("web", "first", &everywhere()));
    story.then("eu-1 is removed before it heard of it", |hub| hub.delete_cluster("eu-1"));
    story.then("web changes", |hub| hub.write_placement("web", "second", &everywhere()));
    story.then("eu-1 is registered again", |hub| hub.write_cluster("eu-1", "", ""));
    story.then("eu-1 joins", |hub| hub.link("eu-1"));
    insta::assert_snapshot!(story.end());
}

#[test]
fn a_placement_is_deleted_while_a_member_is_away() {
    let mut story = Story::of(&[("eu-1", ""), ("eu-2", "")]);
    story.then("web is created", |hub| hub.write_placement("web", "first", &everywhere()));
    story.then("eu-2 goes away", |hub| {
        hub.mood("eu-2", Mood::Away);
        hub.check_health("eu-2");
    });
    story.then("web is deleted", |hub| hub.delete_placement("web"));
    story.then("somebody deletes it again", |hub| hub.delete_placement("web"));
    assert_eq!(story.held("eu-2", "web"), 1);
    story.then("eu-2 comes back", |hub| {
        hub.mood("eu-2", Mood::Willing);
        hub.check_health("eu-2");
    });
    assert_eq!(story.held("eu-2", "web"), 0);
    insta::assert_snapshot!(story.end());
}

/// Nobody will ever report the removal: the deletion ends with the membership.
#[test]
fn regression_a_placement_is_deleted_and_the_member_never_comes_back() {
    let mut story = Story::of(&[("eu-1", ""), ("eu-2", "")]);
    story.then("web is created", |hub| hub.write_placement("web", "first", &everywhere()));
    story.hub.mood("eu-2", Mood::Away);
    story.then("eu-2 is lost, and web is deleted", |hub| hub.delete_placement("web"));
    story.then("eu-2 is removed from the fleet", |hub| hub.delete_cluster("eu-2"));
    insta::assert_snapshot!(story.end());
}

#[test]
fn a_cluster_is_replaced_under_its_name() {
    let mut story = Story::of(&[("eu-1", "")]);
    story.then("web is created", |hub| hub.write_placement("web", "first", &everywhere()));
    story.then("the MemberCluster object is deleted and created at once", |hub| {
        hub.replace_cluster("eu-1");
    });
    story.then("web changes before eu-1 has joined", |hub| {
        hub.write_placement("web", "second", &everywhere());
    });
    story.then("eu-1 joins", |hub| hub.link("eu-1"));
    insta::assert_snapshot!(story.end());
}

#[test]
fn the_cluster_behind_a_member_is_rebuilt() {
    let mut story = Story::of(&[("eu-1", "")]);
    story.then("web is created", |hub| hub.write_placement("web", "first", &everywhere()));
    story.hub.rebuild_member("eu-1");
    assert_eq!(story.held("eu-1", "web"), 0);
    story.then("the link leads to an empty cluster", |hub| hub.link("eu-1"));
    assert_eq!(story.held("eu-1", "web"), 1);
    insta::assert_snapshot!(story.end());
}

#[test]
fn a_placement_moves_from_one_cluster_to_another() {
    let mut story = Story::of(&[("eu-1", "env=prod"), ("eu-2", "env=test")]);
    story.then("web is created for production", |hub| {
        hub.write_placement("web", "first", &wherever("env=prod"));
    });
    story.then("labels are swapped: what is placed stays", |hub| {
        hub.write_cluster("eu-1", "env=test", "");
        hub.write_cluster("eu-2", "env=prod", "");
    });
    story.then("the policy names eu-2", |hub| {
        hub.write_placement("web", "first", &fixed(&["eu-2"]));
    });
    assert_eq!((story.held("eu-1", "web"), story.held("eu-2", "web")), (0, 1));
    insta::assert_snapshot!(story.end());
}
