//! Where a placement goes: a plain function from policy and fleet to a verdict on each cluster.
//!
//! Filters run in the order eligibility, affinity, taints; the first that objects gives the
//! verdict. Whatever is placed stays placed while the policy stays the same: labels and taints
//! that change later move nothing (reference: "ignored during execution").
//!
//! **Health withdraws nothing**, whatever the policy becomes: a cluster that is unwell gets nothing
//! new, and keeps and counts for what it holds. There is no clock here at all.

mod filters;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use events::placement::{Policy, Verdict, VerdictReason};

use crate::FleetView;
use filters::{reason_not_eligible, reason_not_tolerated, terms_match};

pub use filters::label_selector_matches;

/// The version of the algorithm, kept in each decision record.
pub const ALGORITHM: u32 = 2;

/// How many rejected clusters a decision record names. A record of 2,000 verdicts takes 200 KB of
/// the 900 KB that a frame may have; twice as many and a few such decisions no longer share one.
/// What is not named can be decided again from the log, which gives the same verdict.
pub const REJECTED_VERDICTS_MAX: usize = 1_000;

/// What to schedule.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which clusters are wanted.
    pub policy: &'a Policy,
    /// The clusters chosen before under the same policy.
    pub placed: &'a BTreeSet<String>,
    /// The clusters that are to hold it now, whichever policy put it there.
    pub held: &'a BTreeSet<String>,
    /// The fleet.
    pub fleet: &'a FleetView,
}

/// A scheduling decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether the policy could be fulfilled.
    pub fulfilled: bool,
    /// In words.
    pub message: String,
    /// In order of names: every chosen cluster, and the first rejected ones.
    pub verdicts: Vec<Verdict>,
}

/// Decides where a placement goes.
#[must_use]
pub fn schedule(request: &Request<'_>) -> Outcome {
    let mut verdicts = match request.policy {
        Policy::PickAll { terms, tolerations } => {
            let pick = |name: &String| pick_all(request, name, terms, tolerations);
            request.fleet.clusters.keys().map(pick).collect::<Vec<_>>()
        }
        Policy::PickFixed { clusters } => {
            let names: BTreeSet<&String> = clusters.iter().collect();
            names.into_iter().map(|name| pick_named(request, name)).collect()
        }
    };
    let chosen = verdicts.iter().filter(|verdict| verdict.chosen).count();
    let rejected = verdicts.len() - chosen;
    let fulfilled = match request.policy {
        Policy::PickAll { .. } => true,
        Policy::PickFixed { .. } => rejected == 0,
    };
    let message = match (fulfilled, request.policy) {
        (false, _) => format!(
            "{rejected} of the {} clusters named by the policy cannot be chosen: see the clusters' \
             entries",
            verdicts.len()
        ),
        (true, Policy::PickAll { .. }) => {
            format!("{chosen} of {} clusters match the policy", verdicts.len())
        }
        (true, Policy::PickFixed { .. }) => {
            format!("all {chosen} clusters named by the policy are chosen")
        }
    };
    keep_first_rejected(&mut verdicts);
    Outcome { fulfilled, message, verdicts }
}

fn pick_all(
    request: &Request<'_>,
    name: &str,
    terms: &[events::placement::LabelSelector],
    tolerations: &[events::placement::Toleration],
) -> Verdict {
    let cluster = &request.fleet.clusters[name];
    let by_policy = (!terms_match(terms, &cluster.labels))
        .then_some(VerdictReason::LabelsDoNotMatch)
        .or_else(|| reason_not_tolerated(&cluster.taints, tolerations));
    let objections = Objections { by_cluster: reason_not_eligible(cluster), by_policy };
    weigh(request, name, VerdictReason::Matches, objections)
}

/// A named cluster must exist and be eligible; its labels and taints do not matter.
fn pick_named(request: &Request<'_>, name: &str) -> Verdict {
    let Some(cluster) = request.fleet.clusters.get(name) else {
        return verdict(name, false, VerdictReason::NotFound);
    };
    let objections = Objections { by_cluster: reason_not_eligible(cluster), by_policy: None };
    weigh(request, name, VerdictReason::Named, objections)
}

/// What speaks against a cluster.
struct Objections {
    /// How it is.
    by_cluster: Option<VerdictReason>,
    /// What the policy asks for.
    by_policy: Option<VerdictReason>,
}

/// What speaks against a cluster that holds nothing keeps the placement away. What was placed under
/// this policy stays; what was placed under another one goes if this one says so, and for no other
/// reason.
fn weigh(
    request: &Request<'_>,
    name: &str,
    fits: VerdictReason,
    objections: Objections,
) -> Verdict {
    let stays = |despite| {
        let despite = Some(Box::new(despite));
        verdict(name, true, VerdictReason::StaysPlaced { despite })
    };
    let is_held = request.held.contains(name);
    let Objections { by_cluster, by_policy } = objections;
    match (by_cluster, by_policy) {
        (None, None) => verdict(name, true, fits),
        (Some(reason), _) | (None, Some(reason)) if request.placed.contains(name) => stays(reason),
        (Some(VerdictReason::Unhealthy), None) if is_held => stays(VerdictReason::Unhealthy),
        (Some(VerdictReason::Unhealthy), Some(reason)) if is_held => verdict(name, false, reason),
        (Some(reason), _) | (None, Some(reason)) => verdict(name, false, reason),
    }
}

fn verdict(cluster: &str, chosen: bool, reason: VerdictReason) -> Verdict {
    Verdict { cluster: cluster.to_owned(), chosen, reason }
}

fn keep_first_rejected(verdicts: &mut Vec<Verdict>) {
    let mut rejected = 0;
    verdicts.retain(|verdict| {
        rejected += usize::from(!verdict.chosen);
        verdict.chosen || rejected <= REJECTED_VERDICTS_MAX
    });
}
