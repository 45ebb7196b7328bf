//! Which deployment a member belongs to: a mark on the member itself, a ConfigMap.
//!
//! Two deployments on one cluster would remove and overwrite each other's objects. So a cluster is
//! taken only when it carries no mark or ours, and the mark is there before the first order is. It
//! goes when the cluster leaves. Nothing else changes it but a person who hands the cluster over.
//!
//! A mark also says for which cluster it was made: one that was copied into another cluster, as
//! backups are restored, says nothing about that one.

use std::collections::BTreeMap;

/// The ConfigMap on a member, in [`MARK_NAMESPACE`].
pub const MEMBER_MARK: &str = "taffrail-member";

/// The namespace of marks.
pub const MARK_NAMESPACE: &str = api::names::FLEET_SYSTEM_NAMESPACE;

const DEPLOYMENT: &str = "deployment";
const CLUSTER: &str = "cluster";
const HUB: &str = "hub";
const NAME: &str = "name";
const FROM_DEPLOYMENT: &str = "fromDeployment";

/// What the mark on a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMark {
    /// The deployment that the cluster belongs to.
    pub deployment: String,
    /// Its hub cluster: the uid of its kube-system namespace.
    pub hub: String,
    /// The member's name there.
    pub name: String,
    /// The deployment that it was taken over from, if it was.
    pub from_deployment: Option<String>,
}

/// What was found where the mark should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MarkSeen {
    /// The cluster is nobody's.
    #[default]
    Absent,
    /// It is somebody's.
    Found(MemberMark),
    /// There is something, and it cannot be told whose the cluster is.
    Unclear(String),
    /// The credential may not look.
    Forbidden,
}

/// What became of an attempt to mark a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// The mark is there.
    Done,
    /// Somebody else was faster: look again.
    Raced,
    /// The credential may not.
    Forbidden,
}

impl MemberMark {
    /// The data of the ConfigMap on this cluster.
    #[must_use]
    pub fn to_data(&self, cluster: &str) -> BTreeMap<String, String> {
        let entries = [
            (CLUSTER, Some(cluster)),
            (DEPLOYMENT, Some(self.deployment.as_str())),
            (HUB, Some(self.hub.as_str())),
            (NAME, Some(self.name.as_str())),
            (FROM_DEPLOYMENT, self.from_deployment.as_deref()),
        ];
        let present = entries.into_iter().filter_map(|(key, value)| Some((key, value?)));
        present.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// What the data of the ConfigMap on this cluster says.
    #[must_use]
    pub fn of_data(data: &BTreeMap<String, String>, cluster: &str) -> MarkSeen {
        let entry = |key: &str| data.get(key).filter(|value| !value.is_empty()).cloned();
        match (entry(CLUSTER), entry(DEPLOYMENT)) {
            (Some(other), _) if other != cluster => MarkSeen::Absent,
            (None, _) => MarkSeen::Unclear(format!("it has no entry {CLUSTER}")),
            (Some(_), None) => MarkSeen::Unclear(format!("it has no entry {DEPLOYMENT}")),
            (Some(_), Some(deployment)) => MarkSeen::Found(Self {
                deployment,
                hub: entry(HUB).unwrap_or_default(),
                name: entry(NAME).unwrap_or_default(),
                from_deployment: entry(FROM_DEPLOYMENT),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> MemberMark {
        MemberMark {
            deployment: "ours".to_owned(),
            hub: "hub".to_owned(),
            name: "eu-1".to_owned(),
            from_deployment: Some("theirs".to_owned()),
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let without = MemberMark { from_deployment: None, ..mark() };
        for mark in [mark(), without] {
            assert_eq!(MemberMark::of_data(&mark.to_data("here"), "here"), MarkSeen::Found(mark));
        }
    }

    #[test]
    fn a_mark_that_was_copied_from_another_cluster_says_nothing() {
        assert_eq!(MemberMark::of_data(&mark().to_data("there"), "here"), MarkSeen::Absent);
    }

    #[test]
    fn a_mark_that_says_nothing_is_not_taken_for_none() {
        let mut data = mark().to_data("here");
        data.remove(DEPLOYMENT);
        assert!(matches!(MemberMark::of_data(&data, "here"), MarkSeen::Unclear(_)));
        assert!(matches!(MemberMark::of_data(&BTreeMap::new(), "here"), MarkSeen::Unclear(_)));
    }
}
