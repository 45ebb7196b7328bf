//! What must hold when faults have stopped and everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actors::shard::wake_ups;
use domain::placement::PlacementState;
use domain::scheduler::label_selector_matches;
use events::placement::{Policy, TargetPhase, VerdictReason};
use events::{CommandId, Partition, PlacementKey};
use projections::Model;

use super::Shared;
use super::oracle::{Checked, violated};
use super::user::{ClusterObject, PlacementObject};

/// Checks the log, the models of all nodes, and every member.
pub async fn check(
    shared: &Shared,
    models: &[&Model],
    keys: &[PlacementKey],
    acknowledged: &BTreeSet<CommandId>,
) -> Checked {
    let oracle = &shared.oracle;
    oracle.check_decided(acknowledged)?;
    oracle.check_model(&oracle.model).await?;
    if models.iter().any(|model| **model != oracle.model) {
        return violated!("nodes that have read everything know different things");
    }
    match actors::replay::verify(&shared.memory, shared.partitions).await {
        Err(error) => return violated!("the log cannot be replayed: {error}"),
        Ok(report) => {
            if let Some(difference) = report.first_difference {
                return violated!("a replay decides otherwise: {difference:?}");
            }
            if report.undecided > 0 || report.records != oracle.records {
                return violated!("a replay reads another log: {report:?}");
            }
        }
    }
    let now = shared.start + Duration::from_millis(shared.now_ms);
    for partition in (0..shared.partitions).map(Partition) {
        let wanted = wake_ups(&oracle.model, partition, shared.partitions);
        if let Some((id, wake_up)) = wanted.iter().find(|(_, wake_up)| wake_up.at <= now) {
            return violated!("{id} was never asked {:?}", wake_up.command);
        }
    }
    for (name, object) in &shared.user.clusters {
        let known = oracle.model.clusters.get(name);
        let member = known.and_then(|known| known.state.member());
        let is_joined = member.is_some_and(|m| m.uid == object.uid && m.identity.is_some());
        if !is_joined || member.is_some_and(|member| member.unhealthy.is_some()) {
            return violated!("{name} is not joined and well: {member:?}");
        }
    }
    for key in keys {
        check_placement(shared, key)?;
    }
    Ok(())
}

fn check_placement(shared: &Shared, key: &PlacementKey) -> Checked {
    let known = shared.oracle.model.placements.get(key);
    let state = known.map(|known| known.state.clone()).unwrap_or_default();
    let object = shared.user.placements.get(key);
    match (object, &state.specified) {
        (None, None) if state.targets.is_empty() && state.deleting.is_none() => {}
        (None, _) => return violated!("{key} was deleted and is still placed: {state:?}"),
        (Some(object), Some(specified))
            if (&specified.uid, specified.generation, &specified.spec.policy)
                == (&object.uid, object.generation, &object.policy) => {}
        (Some(_), _) => return violated!("{key} is not what was asked for: {state:?}"),
    }
    for member in &shared.members.names {
        check_member(shared, key, object, &state, member)?;
    }
    Ok(())
}

fn check_member(
    shared: &Shared,
    key: &PlacementKey,
    object: Option<&PlacementObject>,
    state: &PlacementState,
    member: &str,
) -> Checked {
    let cluster = shared.user.clusters.get(member);
    let target = state.targets.get(member);
    let wanted = object.zip(cluster).is_some_and(|(object, cluster)| {
        is_chosen(&object.policy, member, cluster)
            || matches!(
                state.scheduled.as_ref().and_then(|scheduled| scheduled.verdict(member)),
                Some(VerdictReason::StaysPlaced { .. })
            )
    });
    if wanted != target.is_some() {
        return violated!("{key} on {member}: wanted is {wanted}, but its target is {target:?}");
    }
    let latest = state.revision.as_ref().map(|revision| revision.reference.index);
    if let Some(target) = target
        && (target.phase != TargetPhase::Available || target.revision != latest)
    {
        return violated!("{key} on {member} is not there: {target:?}");
    }
    if cluster.is_none() {
        // Who left keeps what it has, and nobody looks after it.
        return Ok(());
    }
    let selects = object.filter(|_| wanted).map(|object| &object.selects);
    let selects = selects.into_iter().flatten();
    let should: BTreeMap<String, String> =
        selects.map(|(name, value)| (name.clone(), value.to_string())).collect();
    let mut holds = shared.members.holds(member, key);
    holds.retain(|name, _| should.contains_key(name) || !shared.members.is_lived_in(key, name));
    let place = (member.to_owned(), key.clone());
    for orphan in shared.oracle.orphans.get(&place).into_iter().flatten() {
        let name = orphan.name.strip_prefix(&format!("{}-", key.name)).unwrap_or_default();
        if !should.contains_key(name) {
            holds.remove(name);
        }
    }
    match holds == should {
        true => Ok(()),
        false => violated!("{member} holds {holds:?} of {key}, and should hold {should:?}"),
    }
}

fn is_chosen(policy: &Policy, name: &str, cluster: &ClusterObject) -> bool {
    let labels = BTreeMap::from([("region".to_owned(), cluster.region.to_owned())]);
    match policy {
        Policy::PickAll { terms, .. } => {
            terms.is_empty() || terms.iter().any(|term| label_selector_matches(term, &labels))
        }
        Policy::PickFixed { clusters } => clusters.iter().any(|wanted| wanted == name),
    }
}
