//! The validation rules of the API, as the API server evaluates them.
//!
//! Each constant is one CEL expression with the message that a user reads. The names follow the
//! numbering of the compatibility reference (V1–V27); a number with several constants is one
//! rule of the reference split so that each message can say which field to change. IMM in a name
//! means immutable.
//!
//! The expressions avoid what makes the API server's cost estimate explode: no nested loops, and
//! loops only over lists with `maxItems`.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// One validation rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The number of the rule in the compatibility reference.
    pub id: &'static str,
    /// The CEL expression; true admits the object.
    pub expression: &'static str,
    /// What the user reads when the expression is false.
    pub message: &'static str,
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("rule", self.expression)?;
        map.serialize_entry("message", self.message)?;
        map.end()
    }
}

const fn rule(id: &'static str, expression: &'static str, message: &'static str) -> Rule {
    Rule { id, expression, message }
}

/// The name of the object must fit into a label value.
pub const V1: Rule = rule(
    "V1",
    "size(self.metadata.name) <= 63",
    "metadata.name must be no more than 63 characters long; choose a shorter name",
);
/// The looser limit of the first version of update runs.
pub const V1A: Rule = rule(
    "V1a",
    "size(self.metadata.name) <= 127",
    "metadata.name must be no more than 127 characters long; choose a shorter name",
);
/// A policy stays once it is set.
pub const V2: Rule = rule(
    "V2",
    "!has(oldSelf.policy) || has(self.policy)",
    "policy cannot be removed once it is set; edit it instead",
);
/// A status copy needs one namespace to live in.
pub const V3: Rule = rule(
    "V3",
    "!has(self.statusReportingScope) || self.statusReportingScope != 'NamespaceAccessible' || \
     self.resourceSelectors.filter(s, s.group == '' && s.kind == 'Namespace').size() == 1",
    "statusReportingScope NamespaceAccessible needs exactly one resource selector of kind \
     Namespace; select one namespace or use ClusterScopeOnly",
);
/// Where the status goes is decided once.
pub const V4: Rule = rule(
    "V4",
    "!has(oldSelf.statusReportingScope) || (has(self.statusReportingScope) && \
     self.statusReportingScope == oldSelf.statusReportingScope)",
    "statusReportingScope is immutable; delete and re-create the placement to change it",
);
/// Only one namespace can have its contents picked by further selectors.
pub const V5: Rule = rule(
    "V5",
    "self.resourceSelectors.filter(s, has(s.selectionScope) && \
     s.selectionScope == 'NamespaceWithResourceSelectors').size() <= 1",
    "at most one resource selector may use selectionScope NamespaceWithResourceSelectors",
);
/// That namespace is named, not matched.
pub const V6: Rule = rule(
    "V6",
    "self.resourceSelectors.all(s, !has(s.selectionScope) || \
     s.selectionScope != 'NamespaceWithResourceSelectors' || \
     (has(s.name) && s.name != '' && !has(s.labelSelector)))",
    "a resource selector with selectionScope NamespaceWithResourceSelectors must select its \
     namespace by name, not by labelSelector",
);
/// And it is alone.
pub const V7: Rule = rule(
    "V7",
    "!self.resourceSelectors.exists(s, has(s.selectionScope) && \
     s.selectionScope == 'NamespaceWithResourceSelectors') || \
     !self.resourceSelectors.exists(s, s.group == '' && s.kind == 'Namespace' && \
     (!has(s.selectionScope) || s.selectionScope != 'NamespaceWithResourceSelectors'))",
    "selectionScope NamespaceWithResourceSelectors allows no other resource selector of kind \
     Namespace; remove the others or change the scope",
);
/// A selector goes by name or by labels. With neither it takes every object of its kind.
pub const V8: Rule = rule(
    "V8",
    "!has(self.name) || self.name == '' || !has(self.labelSelector)",
    "name and labelSelector are mutually exclusive; keep one of them",
);
/// A placement keeps its type.
pub const V9: Rule = rule(
    "V9",
    "self.placementType == oldSelf.placementType",
    "placementType is immutable; delete and re-create the placement to change it",
);
/// PickFixed names its clusters, so nothing is left to choose.
pub const V10_AFFINITY: Rule = rule(
    "V10",
    "self.placementType != 'PickFixed' || !has(self.affinity)",
    "affinity is not allowed with placementType PickFixed; remove it or use PickAll or PickN",
);
/// PickFixed counts its clusters by naming them.
pub const V10_NUMBER: Rule = rule(
    "V10",
    "self.placementType != 'PickFixed' || !has(self.numberOfClusters)",
    "numberOfClusters is not allowed with placementType PickFixed; list clusterNames instead",
);
/// PickFixed does not spread.
pub const V10_SPREAD: Rule = rule(
    "V10",
    "self.placementType != 'PickFixed' || !has(self.topologySpreadConstraints) || \
     size(self.topologySpreadConstraints) == 0",
    "topologySpreadConstraints are not allowed with placementType PickFixed; remove them or use \
     PickN",
);
/// PickFixed ignores taints.
pub const V10_TOLERATIONS: Rule = rule(
    "V10",
    "self.placementType != 'PickFixed' || !has(self.tolerations) || size(self.tolerations) == 0",
    "tolerations are not allowed with placementType PickFixed, which ignores taints; remove them",
);
/// PickAll takes what matches.
pub const V11_NAMES: Rule = rule(
    "V11",
    "self.placementType != 'PickAll' || !has(self.clusterNames) || size(self.clusterNames) == 0",
    "clusterNames are not allowed with placementType PickAll; remove them or use PickFixed",
);
/// PickAll takes as many as match.
pub const V11_NUMBER: Rule = rule(
    "V11",
    "self.placementType != 'PickAll' || !has(self.numberOfClusters)",
    "numberOfClusters is not allowed with placementType PickAll; remove it or use PickN",
);
/// PickAll does not spread.
pub const V11_SPREAD: Rule = rule(
    "V11",
    "self.placementType != 'PickAll' || !has(self.topologySpreadConstraints) || \
     size(self.topologySpreadConstraints) == 0",
    "topologySpreadConstraints are not allowed with placementType PickAll; remove them or use \
     PickN",
);
/// PickN chooses by itself.
pub const V12_NAMES: Rule = rule(
    "V12",
    "self.placementType != 'PickN' || !has(self.clusterNames) || size(self.clusterNames) == 0",
    "clusterNames are not allowed with placementType PickN; remove them or use PickFixed",
);
/// PickN needs its N.
pub const V12_NUMBER: Rule = rule(
    "V12",
    "self.placementType != 'PickN' || has(self.numberOfClusters)",
    "placementType PickN needs numberOfClusters; set how many clusters to pick",
);
/// Exists asks for presence, so a value would say nothing.
pub const V13: Rule = rule(
    "V13",
    "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
    "a toleration with operator Exists must not have a value; remove it or use Equal",
);
/// A toleration of everything has to say so.
pub const V14: Rule = rule(
    "V14",
    "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
    "a toleration without a key must use operator Exists; set a key or the operator",
);
/// Whoever took over the rollout keeps it. Also holds when the whole strategy is removed, which
/// would fall back to RollingUpdate.
pub const V15: Rule = rule(
    "V15",
    "!has(oldSelf.strategy) || !has(oldSelf.strategy.type) || \
     oldSelf.strategy.type != 'External' || (has(self.strategy) && \
     has(self.strategy.type) && self.strategy.type == 'External')",
    "strategy.type cannot be changed once it is External; delete and re-create the placement",
);
/// A mirrored status has to go somewhere.
pub const V16: Rule = rule(
    "V16",
    "self.type != 'Mirror' || has(self.destination)",
    "reportBackStrategy of type Mirror needs a destination; set OriginalResource or WorkAPI",
);
/// A run that has not started cannot be stopped.
pub const V17: Rule = rule(
    "V17",
    "!(oldSelf.state == 'Initialize' && self.state == 'Stop')",
    "state cannot go from Initialize to Stop; set Run first, or delete the run",
);
/// A running run cannot be initialised again.
pub const V18: Rule = rule(
    "V18",
    "!(oldSelf.state == 'Run' && self.state == 'Initialize')",
    "state cannot go from Run to Initialize; set Stop to pause the run",
);
/// A stopped run can only go on.
pub const V19: Rule = rule(
    "V19",
    "!(oldSelf.state == 'Stop' && self.state == 'Initialize')",
    "state cannot go from Stop to Initialize; set Run to resume the run",
);
/// An approval takes as long as it takes.
pub const V20: Rule = rule(
    "V20",
    "self.type != 'Approval' || !has(self.waitTime)",
    "a stage task of type Approval must not set waitTime; remove it or use TimedWait",
);
/// A timed wait needs its time.
pub const V21: Rule = rule(
    "V21",
    "self.type != 'TimedWait' || has(self.waitTime)",
    "a stage task of type TimedWait needs waitTime; set it, for example 1h",
);
/// Before a stage only people are waited for.
pub const V22: Rule = rule(
    "V22",
    "self.type != 'TimedWait'",
    "a task before a stage must be of type Approval; put TimedWait into afterStageTasks",
);
/// No stage can move zero clusters at a time.
pub const V23: Rule = rule(
    "V23",
    "type(self) != int || self >= 1",
    "maxConcurrency must be at least 1, or a percentage from 1% to 100%",
);
/// Objects without a namespace are placed by cluster-scoped placements only.
pub const V24: Rule = rule(
    "V24",
    "!has(self.spec.placement) || !has(self.spec.placement.scope) || \
     self.spec.placement.scope != 'Namespaced'",
    "a ClusterResourceOverride cannot refer to a Namespaced placement; set spec.placement.scope \
     to Cluster or use a ResourceOverride",
);
/// An override stays with its placement.
pub const V25: Rule = rule(
    "V25",
    "has(self.placement) == has(oldSelf.placement) && \
     (!has(self.placement) || self.placement == oldSelf.placement)",
    "placement is immutable and can be neither added nor removed; create another override",
);
/// One way to count what must survive.
pub const V26: Rule = rule(
    "V26",
    "!has(self.maxUnavailable) || !has(self.minAvailable)",
    "maxUnavailable and minAvailable are mutually exclusive; keep one of them",
);
/// A budget is a number or a share.
pub const V27: Rule = rule(
    "V27",
    "type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",
    "must be an integer of at least 0, or a percentage from 0% to 100%",
);
/// The placement of a run is immutable.
pub const IMM_PLACEMENT_NAME: Rule =
    rule("IMM", "self == oldSelf", "placementName is immutable; create another object instead");
/// The cluster of an eviction is immutable.
pub const IMM_CLUSTER_NAME: Rule =
    rule("IMM", "self == oldSelf", "clusterName is immutable; create another eviction instead");
/// The strategy of a run is immutable.
pub const IMM_STRATEGY_NAME: Rule = rule(
    "IMM",
    "self == oldSelf",
    "stagedRolloutStrategyName is immutable; create another run instead",
);
/// The snapshot of a run is immutable, and can be neither added nor removed later. An empty index
/// counts as none, because Go clients leave it out when they write the object back.
pub const IMM_SNAPSHOT_INDEX: Rule = rule(
    "IMM",
    "(has(self.resourceSnapshotIndex) ? self.resourceSnapshotIndex : '') == \
     (has(oldSelf.resourceSnapshotIndex) ? oldSelf.resourceSnapshotIndex : '')",
    "resourceSnapshotIndex is immutable; create another run instead",
);
/// The whole spec is immutable.
pub const IMM_SPEC: Rule =
    rule("IMM", "self == oldSelf", "spec is immutable; create another object instead");

/// All rules, in the order of the reference.
pub const ALL: &[Rule] = &[
    V1,
    V1A,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10_AFFINITY,
    V10_NUMBER,
    V10_SPREAD,
    V10_TOLERATIONS,
    V11_NAMES,
    V11_NUMBER,
    V11_SPREAD,
    V12_NAMES,
    V12_NUMBER,
    V13,
    V14,
    V15,
    V16,
    V17,
    V18,
    V19,
    V20,
    V21,
    V22,
    V23,
    V24,
    V25,
    V26,
    V27,
    IMM_PLACEMENT_NAME,
    IMM_CLUSTER_NAME,
    IMM_STRATEGY_NAME,
    IMM_SNAPSHOT_INDEX,
    IMM_SPEC,
];
