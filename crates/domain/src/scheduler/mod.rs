//! Where a placement goes: a plain function from policy and fleet to a verdict on each cluster.
//!
//! Filters run in the order eligibility, affinity, taints; the first that objects gives the
//! verdict. Whatever is placed stays placed while the policy stays the same: labels and taints
//! that change later move nothing (reference: "ignored during execution").

mod filters;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use events::Timestamp;
use events::placement::{Policy, Verdict, VerdictReason};

use crate::FleetView;
use filters::{reason_not_eligible, reason_not_tolerated, terms_match};

pub use filters::{UNHEALTHY_GRACE_SECONDS, label_selector_matches};

/// The version of the algorithm, kept in each decision record.
pub const ALGORITHM: u32 = 1;

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
    /// The fleet.
    pub fleet: &'a FleetView,
    /// The time of the decision.
    pub now: Timestamp,
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
    let objection = reason_not_eligible(cluster, request.now)
        .or_else(|| {
            (!terms_match(terms, &cluster.labels)).then_some(VerdictReason::LabelsDoNotMatch)
        })
        .or_else(|| reason_not_tolerated(&cluster.taints, tolerations));
    match objection {
        None => verdict(name, true, VerdictReason::Matches),
        Some(_) if request.placed.contains(name) => verdict(name, true, VerdictReason::StaysPlaced),
        Some(reason) => verdict(name, false, reason),
    }
}

/// A named cluster must exist and be eligible; its labels and taints do not matter.
fn pick_named(request: &Request<'_>, name: &str) -> Verdict {
    let objection = match request.fleet.clusters.get(name) {
        None => return verdict(name, false, VerdictReason::NotFound),
        Some(cluster) => reason_not_eligible(cluster, request.now),
    };
    match objection {
        None => verdict(name, true, VerdictReason::Named),
        Some(_) if request.placed.contains(name) => verdict(name, true, VerdictReason::StaysPlaced),
        Some(reason) => verdict(name, false, reason),
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
