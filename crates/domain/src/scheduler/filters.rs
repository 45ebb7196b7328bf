//! The filters: why a cluster cannot be chosen.

use events::cluster::{Labels, Taint};
use events::placement::{
    LabelOperator, LabelRequirement, LabelSelector, Toleration, VerdictReason,
};

use crate::ClusterView;

/// A cluster is eligible when it has joined and was not unwell for the whole grace period (reference
/// §2.4, Eligibility).
pub(super) fn reason_not_eligible(cluster: &ClusterView) -> Option<VerdictReason> {
    if cluster.identity.is_none() {
        return Some(VerdictReason::NotJoined);
    }
    cluster.is_unhealthy.then_some(VerdictReason::Unhealthy)
}

/// Terms are ORed; no terms match everything.
pub(super) fn terms_match(terms: &[LabelSelector], labels: &Labels) -> bool {
    terms.is_empty() || terms.iter().any(|term| label_selector_matches(term, labels))
}

/// Whether labels satisfy a Kubernetes label selector.
#[must_use]
pub fn label_selector_matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| holds(requirement, labels))
}

fn holds(requirement: &LabelRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let is_listed = value.is_some_and(|value| requirement.values.contains(value));
    match requirement.operator {
        LabelOperator::In => is_listed,
        LabelOperator::NotIn => !is_listed,
        LabelOperator::Exists => value.is_some(),
        LabelOperator::DoesNotExist => value.is_none(),
    }
}

/// The first taint that no toleration accepts.
pub(super) fn reason_not_tolerated(
    taints: &[Taint],
    tolerations: &[Toleration],
) -> Option<VerdictReason> {
    let accepted = |taint: &Taint| tolerations.iter().any(|toleration| accepts(toleration, taint));
    let taint = taints.iter().find(|taint| !accepted(taint))?;
    Some(VerdictReason::TaintNotTolerated { key: taint.key.clone(), value: taint.value.clone() })
}

fn accepts(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.key.is_empty() || toleration.key == taint.key)
        && toleration.value.as_ref().is_none_or(|value| *value == taint.value)
}
