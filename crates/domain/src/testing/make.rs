//! Short ways to write what tests are about.

use events::cluster::{ApplyStrategy, Labels, ObjectFailure, RevisionRef, Taint};
use events::placement::{LabelSelector, PlacementSpec, Policy, Toleration};
use events::{ContentHash, ObjectId, PlacementKey, Timestamp};

use crate::placement::RevisionInput;

/// Some seconds after the tests began.
pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// `env=prod tier=1`
pub(crate) fn labels(text: &str) -> Labels {
    let pair = |word: &str| {
        let (key, value) = word.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

/// `gpu=yes spot=`
pub(crate) fn taints(text: &str) -> Vec<Taint> {
    labels(text).into_iter().map(|(key, value)| Taint { key, value }).collect()
}

/// The placement `web` of the cluster scope.
pub(crate) fn web() -> PlacementKey {
    PlacementKey::cluster("web")
}

/// A revision whose list of manifests says `content`.
pub(crate) fn revision(index: u32, content: &str) -> RevisionRef {
    RevisionRef { index, manifests: ContentHash::of(content.as_bytes()) }
}

pub(crate) fn content(content: &str) -> RevisionInput {
    RevisionInput { manifests: ContentHash::of(content.as_bytes()), objects: 2 }
}

pub(crate) fn spec(policy: Policy) -> PlacementSpec {
    PlacementSpec { selectors: vec![], policy, apply: ApplyStrategy::default() }
}

/// Every cluster.
pub(crate) fn everywhere() -> Policy {
    Policy::PickAll { terms: vec![], tolerations: vec![] }
}

/// Every cluster with these labels.
pub(crate) fn wherever(text: &str) -> Policy {
    let term = LabelSelector { match_labels: labels(text), match_expressions: vec![] };
    Policy::PickAll { terms: vec![term], tolerations: vec![] }
}

/// These clusters.
pub(crate) fn fixed(clusters: &[&str]) -> Policy {
    Policy::PickFixed { clusters: clusters.iter().map(|&name| name.to_owned()).collect() }
}

pub(crate) fn tolerates(key: &str, value: Option<&str>) -> Toleration {
    Toleration { key: key.to_owned(), value: value.map(str::to_owned) }
}

/// A ConfigMap that could not be applied.
pub(crate) fn failure(name: &str) -> ObjectFailure {
    ObjectFailure {
        object: ObjectId {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        },
        reason: "ManifestApplyFailed".to_owned(),
        message: "no".to_owned(),
        generation: None,
    }
}
