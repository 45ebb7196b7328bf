//! The objects on the hub that people write, and how a hub turns them into commands.

use std::collections::BTreeMap;

use events::placement::{Policy, RefusalReason};
use events::{AggregateId, PlacementKey};

use super::make;
use super::member::{Member, Mood};
use super::world::World;
use crate::cluster::{
    CheckHealthGrace, ClusterCommand, ObserveCluster, RemoveCluster, ReportHealth, ReportLink,
};
use crate::placement::{
    DeletePlacement, PlacementCommand, PlacementState, RefusePlacement, SubmitPlacement,
};

/// A hub with its objects, over a world.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) world: World,
    clusters: BTreeMap<String, ClusterObject>,
    placements: BTreeMap<PlacementKey, PlacementObject>,
    uids: u32,
}

struct ClusterObject {
    uid: String,
    labels: String,
    taints: String,
}

struct PlacementObject {
    uid: String,
    generation: i64,
    policy: Policy,
    content: String,
    refused: bool,
    deleting: bool,
}

impl Hub {
    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    /// Writes a MemberCluster object, or changes it.
    pub(crate) fn write_cluster(&mut self, name: &str, labels: &str, taints: &str) {
        let uid = match self.clusters.get(name) {
            Some(object) => object.uid.clone(),
            None => self.uid(),
        };
        let (labels, taints) = (labels.to_owned(), taints.to_owned());
        self.clusters.insert(name.to_owned(), ClusterObject { uid, labels, taints });
        let member = || Member::new(format!("id-{name}"));
        self.world.members.entry(name.to_owned()).or_insert_with(member);
        self.observe(name);
    }

    fn observe(&mut self, name: &str) {
        let Some(object) = self.clusters.get(name) else { return };
        let command = ClusterCommand::ObserveCluster(ObserveCluster {
            uid: object.uid.clone(),
            labels: make::labels(&object.labels),
            taints: make::taints(&object.taints),
            heartbeat_period_seconds: 60,
        });
        self.tell_cluster(name, command);
    }

    /// Deletes a MemberCluster object.
    pub(crate) fn delete_cluster(&mut self, name: &str) {
        let Some(object) = self.clusters.remove(name) else { return };
        let command = ClusterCommand::RemoveCluster(RemoveCluster { uid: object.uid });
        self.tell_cluster(name, command);
    }

    /// Deletes a MemberCluster object and writes it again so fast that the deletion is not seen.
    pub(crate) fn replace_cluster(&mut self, name: &str) {
        let uid = self.uid();
        if let Some(object) = self.clusters.get_mut(name) {
            object.uid = uid;
            self.observe(name);
        }
    }

    /// Behind the same MemberCluster object there is another, empty cluster now.
    pub(crate) fn rebuild_member(&mut self, name: &str) {
        let identity = self.uid();
        self.world.members.insert(name.to_owned(), Member::new(identity));
        self.world.forget_stale_effects(name);
    }

    /// Tries the link.
    pub(crate) fn link(&mut self, name: &str) {
        let Some(member) = self.world.members.get(name) else { return };
        if member.mood == Mood::Away {
            return;
        }
        let command = ClusterCommand::ReportLink(ReportLink {
            cluster: name.to_owned(),
            identity: member.identity.clone(),
            hub_identity: "id-hub".to_owned(),
            kubernetes_version: "v1.36.4".to_owned(),
            // Whoever rebuilt it has said so.
            confirmed: Some(member.identity.clone()),
            taken_from: None,
        });
        self.tell_cluster(name, command);
    }

    /// Changes how a member answers.
    pub(crate) fn mood(&mut self, name: &str, mood: Mood) {
        if let Some(member) = self.world.members.get_mut(name) {
            member.mood = mood;
        }
    }

    /// Checks the health of a member.
    pub(crate) fn check_health(&mut self, name: &str) {
        let Some(member) = self.world.members.get(name) else { return };
        let healthy = member.mood != Mood::Away;
        let message = if healthy { "it answers" } else { "no answer" }.to_owned();
        let report = ReportHealth { healthy, message, properties: None };
        self.tell_cluster(name, ClusterCommand::ReportHealth(report));
    }

    /// Looks whether a member was unwell for the grace period.
    pub(crate) fn end_grace(&mut self, name: &str) {
        self.tell_cluster(name, ClusterCommand::CheckHealthGrace(CheckHealthGrace {}));
        self.world.settle();
    }

    fn tell_cluster(&mut self, name: &str, command: ClusterCommand) {
        // What is no member refuses most of this.
        drop(self.world.ask(&AggregateId::Cluster(name.to_owned()), command));
    }

    /// Writes a placement object, or changes it, or changes what it selects.
    pub(crate) fn write_placement(&mut self, name: &str, content: &str, policy: &Policy) {
        let key = PlacementKey::cluster(name);
        self.forget_deleted(&key);
        let uid = self.uid();
        let object = self.placements.entry(key.clone()).or_insert_with(|| PlacementObject {
            uid,
            generation: 1,
            policy: policy.clone(),
            content: content.to_owned(),
            refused: false,
            deleting: false,
        });
        if object.deleting {
            return;
        }
        if object.policy != *policy || object.refused {
            object.generation += 1;
        }
        object.policy = policy.clone();
        object.content = content.to_owned();
        object.refused = false;
        self.submit(&key);
    }

    /// Submits what stands there, once more.
    pub(crate) fn submit(&mut self, key: &PlacementKey) {
        let Some(object) = self.placements.get(key) else { return };
        if object.refused || object.deleting {
            return;
        }
        let command = PlacementCommand::SubmitPlacement(SubmitPlacement {
            uid: object.uid.clone(),
            generation: object.generation,
            spec: make::spec(object.policy.clone()),
            revision: make::content(&object.content),
            notes: vec![],
        });
        let id = AggregateId::Placement(key.clone());
        self.world.ask(&id, command).expect("what stands on the hub is current");
    }

    /// Writes a specification that cannot be followed.
    pub(crate) fn misspell_placement(&mut self, name: &str) {
        let key = PlacementKey::cluster(name);
        self.forget_deleted(&key);
        let Some(object) = self.placements.get_mut(&key).filter(|object| !object.deleting) else {
            return;
        };
        object.generation += 1;
        object.refused = true;
        let command = PlacementCommand::RefusePlacement(RefusePlacement {
            uid: object.uid.clone(),
            generation: object.generation,
            reason: RefusalReason::InvalidResourceSelectors,
            message: "no such kind".to_owned(),
        });
        let id = AggregateId::Placement(key);
        self.world.ask(&id, command).expect("what stands on the hub is current");
    }

    /// Deletes a placement object. It stays until nothing of it is left anywhere.
    pub(crate) fn delete_placement(&mut self, name: &str) {
        let key = PlacementKey::cluster(name);
        self.forget_deleted(&key);
        let Some(object) = self.placements.get_mut(&key) else { return };
        object.deleting = true;
        let command =
            PlacementCommand::DeletePlacement(DeletePlacement { uid: object.uid.clone() });
        let id = AggregateId::Placement(key);
        self.world.ask(&id, command).expect("the object that is deleted is the one on record");
    }

    /// Removes the object with force and writes it again, whatever is left of it.
    pub(crate) fn replace_placement(&mut self, name: &str) {
        let key = PlacementKey::cluster(name);
        self.forget_deleted(&key);
        let uid = self.uid();
        let Some(object) = self.placements.get_mut(&key) else { return };
        object.uid = uid;
        object.generation = 1;
        object.refused = false;
        object.deleting = false;
        self.submit(&key);
    }

    /// Drops the finalizer of an object that is being deleted and of which nothing is left.
    fn forget_deleted(&mut self, key: &PlacementKey) {
        let state = self.world.placements.get(key);
        let is_gone =
            |state: &PlacementState| state.specified.is_none() && state.deleting.is_none();
        if self.placements.get(key).is_some_and(|object| object.deleting)
            && state.is_none_or(is_gone)
        {
            self.placements.remove(key);
        }
    }

    /// The names of all clusters with an object.
    pub(crate) fn cluster_names(&self) -> Vec<String> {
        self.clusters.keys().cloned().collect()
    }

    /// Which placements cannot be followed as they stand.
    pub(crate) fn misspelled(&self) -> Vec<PlacementKey> {
        let refused = self.placements.iter().filter(|(_, object)| object.refused);
        refused.filter(|(_, object)| !object.deleting).map(|(key, _)| key.clone()).collect()
    }

    /// Which placements should be there, and what they select.
    pub(crate) fn wanted(&self) -> BTreeMap<PlacementKey, String> {
        let wanted = self.placements.iter().filter(|(_, object)| !object.deleting);
        wanted.map(|(key, object)| (key.clone(), object.content.clone())).collect()
    }
}
