//! Labels, annotations, finalizers and object names that existing users and tools look for.
//!
//! Names of objects are functions of what they are about, so that finding an object never needs
//! an index. None of the functions checks lengths except [`binding`] and [`work`]; the API server
//! refuses what is too long.

use sha2::{Digest as _, Sha256};

/// How long the name of an object may be: that of a DNS subdomain.
const NAME_BYTES_MAX: usize = 253;

/// Labels on the objects of the fleet.
pub mod label {
    /// The placement that an object was made for; used for both kinds of placement.
    pub const PARENT_PLACEMENT: &str = "kubernetes-fleet.io/parent-CRP";
    /// The namespace of that placement, on the works of namespaced placements.
    pub const PARENT_PLACEMENT_NAMESPACE: &str = "kubernetes-fleet.io/parent-placement-namespace";
    /// `true` on the latest snapshot of a placement or override, `false` on older ones.
    pub const IS_LATEST_SNAPSHOT: &str = "kubernetes-fleet.io/is-latest-snapshot";
    /// The index of a policy snapshot, counted from zero for each placement.
    pub const POLICY_INDEX: &str = "kubernetes-fleet.io/policy-index";
    /// The index of a resource snapshot, shared by all chunks of one revision.
    pub const RESOURCE_INDEX: &str = "kubernetes-fleet.io/resource-index";
    /// The index of an override snapshot, counted from zero for each override.
    pub const OVERRIDE_INDEX: &str = "kubernetes-fleet.io/override-index";
    /// The override that a snapshot was taken of.
    pub const PARENT_OVERRIDE: &str = "kubernetes-fleet.io/parent-resource-override";
    /// The resource snapshot index that a work holds.
    pub const PARENT_RESOURCE_SNAPSHOT_INDEX: &str =
        "kubernetes-fleet.io/parent-resource-snapshot-index";
    /// The binding that a work was made for.
    pub const PARENT_BINDING: &str = "kubernetes-fleet.io/parent-resource-binding";
    /// The kind of envelope that a work holds.
    pub const ENVELOPE_WORK: &str = "kubernetes-fleet.io/envelope-work";
    /// The name of the envelope that a work holds.
    pub const ENVELOPE_NAME: &str = "kubernetes-fleet.io/envelope-name";
    /// The namespace of the envelope that a work holds.
    pub const ENVELOPE_NAMESPACE: &str = "kubernetes-fleet.io/envelope-namespace";
    /// The update run that an approval request belongs to.
    pub const TARGET_UPDATE_RUN: &str = "kubernetes-fleet.io/targetUpdateRun";
    /// The stage that an approval request belongs to.
    pub const TARGET_UPDATING_STAGE: &str = "kubernetes-fleet.io/targetUpdatingStage";
    /// `true` on the approval request that counts.
    pub const IS_LATEST_UPDATE_RUN_APPROVAL: &str = "kubernetes-fleet.io/isLatestUpdateRunApproval";
    /// Whether an approval request stands before or after its stage: [`super::TASK_BEFORE_STAGE`]
    /// or [`super::TASK_AFTER_STAGE`].
    pub const TASK_TYPE: &str = "kubernetes-fleet.io/taskType";
    /// The own name of a member cluster, for selectors that want one cluster.
    pub const MEMBER_NAME: &str = "kubernetes-fleet.io/member-name";
    /// `true` on the namespace that the hub keeps for a member.
    pub const IS_FLEET_RESOURCE: &str = "kubernetes-fleet.io/is-fleet-resource";
}

/// Annotations on the objects of the fleet.
pub mod annotation {
    /// How many clusters a policy asks for; kept outside the policy so that scaling makes no new
    /// snapshot.
    pub const NUMBER_OF_CLUSTERS: &str = "kubernetes-fleet.io/number-of-clusters";
    /// The generation of the placement that a policy snapshot reflects.
    pub const PLACEMENT_GENERATION: &str = "kubernetes-fleet.io/CRP-generation";
    /// The hash over all objects of a revision, on the first chunk.
    pub const RESOURCE_HASH: &str = "kubernetes-fleet.io/resource-hash";
    /// How many envelopes a revision holds, on the first chunk.
    pub const NUMBER_OF_ENVELOPES: &str = "kubernetes-fleet.io/number-of-enveloped-object";
    /// How many chunks a revision has, on the first chunk.
    pub const NUMBER_OF_SNAPSHOTS: &str = "kubernetes-fleet.io/number-of-resource-snapshots";
    /// The number of a chunk, on every chunk but the first.
    pub const SUBINDEX: &str = "kubernetes-fleet.io/subindex-of-resource-snapshot";
    /// When a change was first seen that the next snapshot will hold.
    pub const NEXT_SNAPSHOT_CANDIDATE_TIME: &str =
        "kubernetes-fleet.io/next-resource-snapshot-candidate-detection-time";
    /// The resource snapshot that a work was made from.
    pub const PARENT_RESOURCE_SNAPSHOT_NAME: &str =
        "kubernetes-fleet.io/parent-resource-snapshot-name";
    /// The hash over the cluster-scoped override snapshots that went into a work.
    pub const PARENT_CLUSTER_OVERRIDE_HASH: &str =
        "kubernetes-fleet.io/parent-cluster-resource-override-snapshot-hash";
    /// The hash over the namespaced override snapshots that went into a work.
    pub const PARENT_OVERRIDE_HASH: &str =
        "kubernetes-fleet.io/parent-resource-override-snapshot-hash";
    /// The state of a binding before it was unscheduled.
    pub const PREVIOUS_BINDING_STATE: &str = "kubernetes-fleet.io/previous-binding-state";
    /// The hash of the manifest that an object on a member was applied from.
    pub const SPEC_HASH: &str = "kubernetes-fleet.io/spec-hash";
    /// The manifest that an object on a member was last applied from.
    pub const LAST_APPLIED: &str = "kubernetes-fleet.io/last-applied-configuration";
}

/// Finalizers on the objects of the fleet.
pub mod finalizer {
    /// On placements of both kinds, until their snapshots are gone.
    pub const PLACEMENT: &str = "kubernetes-fleet.io/crp-cleanup";
    /// On placements of both kinds, until their bindings are gone.
    pub const SCHEDULER: &str = "kubernetes-fleet.io/scheduler-cleanup";
    /// On bindings, until the scheduler has seen them go.
    pub const SCHEDULER_BINDING: &str = "kubernetes-fleet.io/scheduler-crb-cleanup";
    /// On bindings until their works are gone, and on works until their objects are gone.
    pub const WORK: &str = "kubernetes-fleet.io/work-cleanup";
    /// On member clusters, until they have left.
    pub const MEMBER_CLUSTER: &str = "kubernetes-fleet.io/membercluster-finalizer";
    /// On member clusters, until their cluster profile is gone.
    pub const CLUSTER_PROFILE: &str = "kubernetes-fleet.io/cluster-profile-cleanup";
    /// On overrides, until their snapshots are gone.
    pub const OVERRIDE: &str = "kubernetes-fleet.io/override-cleanup";
    /// On update runs, until their approval requests are gone.
    pub const UPDATE_RUN: &str = "kubernetes-fleet.io/stagedupdaterun-finalizer";
}

/// Properties that clusters publish.
pub mod property {
    /// The number of nodes.
    pub const NODE_COUNT: &str = "kubernetes-fleet.io/node-count";
    /// The version of Kubernetes.
    pub const KUBERNETES_VERSION: &str = "k8s.io/k8s-version";
    /// The address of the API server.
    pub const ENTRYPOINT: &str = "k8s.io/cluster-entrypoint";
    /// The certificate authority of the API server, in base64.
    pub const CERTIFICATE_AUTHORITY: &str = "k8s.io/cluster-certificate-authority-data";
    /// Properties that are read from the resource usage of a cluster:
    /// `<prefix>{total|allocatable|available}-<resource>`.
    pub const RESOURCE_PREFIX: &str = "resources.kubernetes-fleet.io/";
}

/// The prefix of labels and annotations that belong to the fleet.
pub const PREFIX: &str = "kubernetes-fleet.io/";
/// The task type of approval requests before a stage.
pub const TASK_BEFORE_STAGE: &str = "beforeStage";
/// The task type of approval requests after a stage.
pub const TASK_AFTER_STAGE: &str = "afterStage";
/// The name of the stage that removes what is no longer placed.
pub const DELETE_STAGE: &str = "kubernetes-fleet.io/deleteStage";
/// The namespace of the hub that holds cluster profiles.
pub const FLEET_SYSTEM_NAMESPACE: &str = "fleet-system";
/// How many characters of the placement name go into the name of a binding.
pub const BINDING_PLACEMENT_CHARS_MAX: usize = 26;
/// How many characters of the cluster name go into the name of a binding. Both limits together
/// with two dashes and eight hex digits make 63, the length of a DNS label.
pub const BINDING_CLUSTER_CHARS_MAX: usize = 27;

/// The namespace that the hub keeps for a member.
#[must_use]
pub fn member_namespace(member: &str) -> String {
    format!("fleet-member-{member}")
}

/// The member whose namespace this is, if it is one.
#[must_use]
pub fn member_of_namespace(namespace: &str) -> Option<&str> {
    namespace.strip_prefix("fleet-member-").filter(|member| !member.is_empty())
}

/// The role of a member in its namespace.
#[must_use]
pub fn member_role(member: &str) -> String {
    format!("fleet-role-{member}")
}

/// The binding of that role.
#[must_use]
pub fn member_role_binding(member: &str) -> String {
    format!("fleet-rolebinding-{member}")
}

/// A policy snapshot.
#[must_use]
pub fn policy_snapshot(placement: &str, index: u64) -> String {
    format!("{placement}-{index}")
}

/// The first chunk of a resource snapshot, which carries the counts and the hash.
#[must_use]
pub fn resource_snapshot(placement: &str, index: u64) -> String {
    format!("{placement}-{index}-snapshot")
}

/// A further chunk of a resource snapshot, counted from zero.
#[must_use]
pub fn resource_snapshot_chunk(placement: &str, index: u64, subindex: u64) -> String {
    format!("{placement}-{index}-{subindex}")
}

/// A snapshot of an override.
#[must_use]
pub fn override_snapshot(override_name: &str, index: u64) -> String {
    format!("{override_name}-{index}")
}

/// A binding of a placement to a cluster. `unique` keeps apart what the shortened names do not.
///
/// The result is always a DNS label: dots, which names of both may have, become dashes.
#[must_use]
pub fn binding(placement: &str, cluster: &str, unique: u32) -> String {
    let placement = &placement[..placement.floor_char_boundary(BINDING_PLACEMENT_CHARS_MAX)];
    let cluster = &cluster[..cluster.floor_char_boundary(BINDING_CLUSTER_CHARS_MAX)];
    format!("{placement}-{cluster}-{unique:08x}").replace('.', "-")
}

/// What the names of the works of a placement start with.
#[must_use]
pub fn work_base(placement_namespace: Option<&str>, placement: &str) -> String {
    match placement_namespace {
        Some(namespace) => format!("{namespace}.{placement}"),
        None => placement.to_owned(),
    }
}

/// The work for the first chunk of a snapshot. Names that would be too long for an object are
/// shortened, with the start of a hash over all of it that keeps them apart.
#[must_use]
pub fn work(base: &str) -> String {
    const HASH_BYTES: usize = 8;
    const SUFFIX: &str = "-work";
    if base.len() + SUFFIX.len() <= NAME_BYTES_MAX {
        return format!("{base}{SUFFIX}");
    }
    let hash = hex::encode(&Sha256::digest(base)[..HASH_BYTES]);
    let room = NAME_BYTES_MAX - SUFFIX.len() - hash.len() - "-".len();
    // A part of a name may not end with a dot or a dash.
    let start = base[..base.floor_char_boundary(room)].trim_end_matches(['.', '-']);
    format!("{start}-{hash}{SUFFIX}")
}

/// The work for a further chunk of a snapshot.
#[must_use]
pub fn work_chunk(base: &str, subindex: u64) -> String {
    format!("{base}-{subindex}")
}

/// The work for an envelope. The suffix is the start of a hash over what names the envelope, so
/// the same envelope always has the same work.
#[must_use]
pub fn work_envelope(base: &str, envelope_type: &str, namespace: &str, name: &str) -> String {
    const HASH_BYTES: usize = 8;
    let hash = Sha256::digest(format!("{envelope_type}/{namespace}/{name}"));
    format!("{base}-envelope-{}", hex::encode(&hash[..HASH_BYTES]))
}

/// The approval request before a stage.
#[must_use]
pub fn approval_before_stage(run: &str, stage: &str) -> String {
    format!("{run}-before-{stage}")
}

/// The approval request after a stage.
#[must_use]
pub fn approval_after_stage(run: &str, stage: &str) -> String {
    format!("{run}-after-{stage}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the API server takes as a DNS label.
    fn is_dns_label(name: &str) -> bool {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty()
            && name.len() <= 63
            && name.chars().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    #[test]
    fn a_binding_name_is_a_dns_label_however_long_its_parts() {
        assert_eq!(binding("web", "eu-1", 0xab), "web-eu-1-000000ab");
        let long = "a.b".repeat(80);
        for (placement, cluster) in [("web.shop", "eu.1"), (&long, &long), ("x", &long)] {
            let name = binding(placement, cluster, u32::MAX);
            assert!(is_dns_label(&name), "{name}");
        }
        assert_eq!(binding(&long, &long, 0).len(), 63);
    }

    #[test]
    fn snapshot_chunks_follow_the_master() {
        assert_eq!(policy_snapshot("web", 3), "web-3");
        assert_eq!(resource_snapshot("web", 3), "web-3-snapshot");
        assert_eq!(resource_snapshot_chunk("web", 3, 0), "web-3-0");
        assert_eq!(override_snapshot("small", 0), "small-0");
    }

    #[test]
    fn works_of_namespaced_placements_carry_the_namespace() {
        assert_eq!(work(&work_base(None, "web")), "web-work");
        assert_eq!(work(&work_base(Some("shop"), "web")), "shop.web-work");
        assert_eq!(work_chunk("web", 1), "web-1");
    }

    #[test]
    fn regression_a_work_of_the_longest_placement_has_a_name_of_its_own() {
        let longest = "x".repeat(248);
        assert_eq!(work(&longest), format!("{longest}-work"));
        let (one, other) = (format!("{longest}-a"), format!("{longest}-b"));
        assert_ne!(work(&one), work(&other));
        // Where the cut falls must not matter for what the API server takes.
        let base = work_base(Some(&"n".repeat(63)), &"a.-b".repeat(63));
        for base in (0..5).map(|n| format!("{}{base}", "y".repeat(n))).chain([one, other]) {
            let name = work(&base);
            assert!(name.len() <= 253 && name.ends_with("-work"), "{name}");
            let start = name.trim_end_matches("-work").rsplit_once('-').unwrap().0;
            assert!(start.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
        }
    }

    #[test]
    fn envelopes_that_differ_in_one_part_have_different_works() {
        let name = work_envelope("web", "ResourceEnvelope", "shop", "quota");
        assert!(name.starts_with("web-envelope-") && name.len() == "web-envelope-".len() + 16);
        assert_eq!(name, work_envelope("web", "ResourceEnvelope", "shop", "quota"));
        for (kind, namespace, envelope) in [
            ("ClusterResourceEnvelope", "shop", "quota"),
            ("ResourceEnvelope", "bar", "quota"),
            ("ResourceEnvelope", "shop", "limits"),
        ] {
            assert_ne!(name, work_envelope("web", kind, namespace, envelope));
        }
    }

    #[test]
    fn member_namespaces_lead_back_to_their_member() {
        assert_eq!(member_of_namespace(&member_namespace("eu-1")), Some("eu-1"));
        assert_eq!(member_of_namespace("fleet-system"), None);
        assert_eq!(member_of_namespace("fleet-member-"), None);
    }

    #[test]
    fn approval_requests_say_on_which_side_of_the_stage_they_stand() {
        assert_eq!(approval_before_stage("run", "canary"), "run-before-canary");
        assert_eq!(approval_after_stage("run", "canary"), "run-after-canary");
    }
}
