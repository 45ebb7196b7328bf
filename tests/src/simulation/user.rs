//! What people want: the objects on the hub's API server that its controllers would see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::selection::{GroupVersionKind, HubObject};
use events::PlacementKey;
use events::cluster::ApplyStrategy;
use events::placement::{LabelSelector, PlacementSpec, Policy};
use fastrand::Rng;
use serde_json::{Value, json};

/// The regions that clusters are labelled with.
pub const REGIONS: [&str; 2] = ["eu", "us"];

/// The names of the objects of which each placement selects some.
pub(super) const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// A placement object.
#[derive(Debug, Clone)]
pub struct PlacementObject {
    /// Its uid.
    pub uid: String,
    /// Its generation: rises with its specification.
    pub generation: i64,
    /// Which clusters it wants.
    pub policy: Policy,
    /// What it selects: the objects by name, with the value of each.
    pub selects: BTreeMap<String, u32>,
    /// Whether it waits for its deletion.
    pub deleting: bool,
}

/// A MemberCluster object.
#[derive(Debug, Clone)]
pub struct ClusterObject {
    /// Its uid.
    pub uid: String,
    /// Its labels.
    pub region: &'static str,
    /// Whether it waits for its deletion.
    pub deleting: bool,
}

/// Everything on the hub's API server.
#[derive(Debug, Default)]
pub struct User {
    /// The placements.
    pub placements: BTreeMap<PlacementKey, PlacementObject>,
    /// The members.
    pub clusters: BTreeMap<String, ClusterObject>,
    made: u32,
}

/// What a change was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A placement.
    Placement(PlacementKey),
    /// A member.
    Cluster(String),
}

impl User {
    /// Changes something at random. `names` are the clusters that there can be, `keys` the
    /// placements. Says what was changed, and how.
    pub fn act(
        &mut self,
        random: &mut Rng,
        names: &[String],
        keys: &[PlacementKey],
    ) -> Option<(Changed, String)> {
        if random.u8(..10) < 3 {
            let name = random.choice(names)?.clone();
            let what = self.change_cluster(random, &name)?;
            return Some((Changed::Cluster(name.clone()), format!("{what} cluster {name}")));
        }
        let key = random.choice(keys)?.clone();
        let what = self.change_placement(random, &key, names)?;
        Some((Changed::Placement(key.clone()), format!("{what} placement {key}")))
    }

    /// Makes something that is not there, or deletes it if it is: two that come to be at the same
    /// time must hear of each other. Says what was changed, and how.
    pub fn come_or_go(
        &mut self,
        random: &mut Rng,
        names: &[String],
        keys: &[PlacementKey],
    ) -> Option<(Changed, String)> {
        if random.bool() {
            let name = random.choice(names)?.clone();
            let what = self.join_or_remove(random, &name)?;
            return Some((Changed::Cluster(name.clone()), format!("{what} cluster {name}")));
        }
        let key = random.choice(keys)?.clone();
        let what = match self.placements.get_mut(&key) {
            None => self.change_placement(random, &key, names)?,
            Some(object) if object.deleting => return None,
            Some(object) => {
                object.deleting = true;
                "deletes"
            }
        };
        Some((Changed::Placement(key.clone()), format!("{what} placement {key}")))
    }

    /// Makes a cluster a member.
    pub fn join(&mut self, random: &mut Rng, name: &str) {
        self.made += 1;
        let object = ClusterObject {
            uid: format!("uid-{name}-{}", self.made),
            region: random.choice(REGIONS).unwrap_or("eu"),
            deleting: false,
        };
        self.clusters.insert(name.to_owned(), object);
    }

    fn change_cluster(&mut self, random: &mut Rng, name: &str) -> Option<&'static str> {
        match self.clusters.get_mut(name) {
            Some(cluster) if !cluster.deleting && random.u8(..3) > 0 => {
                cluster.region = random.choice(REGIONS).unwrap_or("eu");
                Some("labels")
            }
            Some(_) | None => self.join_or_remove(random, name),
        }
    }

    /// Never removes the last one.
    fn join_or_remove(&mut self, random: &mut Rng, name: &str) -> Option<&'static str> {
        let is_last = self.clusters.values().filter(|cluster| !cluster.deleting).count() < 2;
        match self.clusters.get_mut(name) {
            None => {
                self.join(random, name);
                Some("joins")
            }
            Some(cluster) if cluster.deleting || is_last => None,
            Some(cluster) => {
                cluster.deleting = true;
                Some("removes")
            }
        }
    }

    fn change_placement(
        &mut self,
        random: &mut Rng,
        key: &PlacementKey,
        names: &[String],
    ) -> Option<&'static str> {
        let Some(object) = self.placements.get_mut(key) else {
            self.made += 1;
            let object = PlacementObject {
                uid: format!("uid-{}-{}", key.name, self.made),
                generation: 1,
                policy: some_policy(random, names),
                selects: some_objects(random),
                deleting: false,
            };
            self.placements.insert(key.clone(), object);
            return Some("creates");
        };
        if object.deleting {
            return None;
        }
        match random.u8(..8) {
            0 => {
                object.deleting = true;
                Some("deletes")
            }
            1 | 2 => {
                object.policy = some_policy(random, names);
                object.generation += 1;
                Some("specifies")
            }
            _ => {
                object.selects = some_objects(random);
                Some("changes what is selected by")
            }
        }
    }
}

fn some_policy(random: &mut Rng, names: &[String]) -> Policy {
    match random.u8(..5) {
        0 => {
            let picked: BTreeSet<String> =
                names.iter().filter(|_| random.bool()).cloned().collect();
            Policy::PickFixed { clusters: picked.into_iter().collect() }
        }
        1 | 2 => {
            let region = random.choice(REGIONS).unwrap_or("eu").to_owned();
            let term = LabelSelector {
                match_labels: BTreeMap::from([("region".to_owned(), region)]),
                match_expressions: vec![],
            };
            Policy::PickAll { terms: vec![term], tolerations: vec![] }
        }
        _ => Policy::PickAll { terms: vec![], tolerations: vec![] },
    }
}

fn some_objects(random: &mut Rng) -> BTreeMap<String, u32> {
    let mut some = BTreeMap::new();
    for name in NAMES {
        if random.bool() {
            some.insert(name.to_owned(), random.u32(..1_000));
        }
    }
    if some.is_empty() {
        some.insert(NAMES[0].to_owned(), random.u32(..1_000));
    }
    some
}

impl PlacementObject {
    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> PlacementSpec {
        PlacementSpec {
            selectors: vec![],
            policy: self.policy.clone(),
            apply: ApplyStrategy::default(),
        }
    }

    /// What it selects.
    #[must_use]
    pub fn objects(&self, key: &PlacementKey) -> Vec<Arc<HubObject>> {
        let kind = |kind: &str| GroupVersionKind::new("", "v1", kind);
        let read = |of: &str, body: Value| {
            Arc::new(HubObject::read(&kind(of), body).expect("it has a name"))
        };
        let namespace = namespace_of(key);
        let mut objects = vec![];
        if brings_its_namespace(key) {
            objects.push(read("Namespace", json!({ "metadata": { "name": namespace } })));
        }
        objects.extend(self.selects.iter().map(|(name, value)| {
            let body = json!({
                "metadata": { "name": format!("{}-{name}", key.name), "namespace": namespace },
                "data": { "value": value.to_string() },
            });
            read("ConfigMap", body)
        }));
        objects
    }
}

/// The namespace of what a placement places.
#[must_use]
pub fn namespace_of(key: &PlacementKey) -> String {
    match brings_its_namespace(key) {
        true => format!("app-{}", key.name),
        false => "default".to_owned(),
    }
}

/// Whether a placement selects the namespace of its objects as well.
#[must_use]
pub fn brings_its_namespace(key: &PlacementKey) -> bool {
    key.name == "web"
}
