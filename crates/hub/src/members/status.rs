//! The status of a MemberCluster: a plain function of what was decided and what was last seen.

use std::collections::BTreeMap;

use api::conditions::fleet::{self, agent_reason, member_reason};
use api::conditions::{self, Judgement, Status};
use api::member_cluster::{
    AgentStatus, MEMBER_AGENT, MemberClusterStatus, PropertyValue, ResourceUsage,
};
use api::schema::Quantity;
use domain::cluster::{ClusterState, Member};
use events::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::heartbeat::LastProbe;
use crate::placements::time;

/// What a status is made of.
#[derive(Debug)]
pub struct MemberStatusInputs<'a> {
    /// The name of the member.
    pub name: &'a str,
    /// The generation of the object.
    pub generation: i64,
    /// What was decided.
    pub state: &'a ClusterState,
    /// What the member last said. `None` before that.
    pub probe: Option<&'a LastProbe>,
    /// What the object shows now.
    pub shown: Option<&'a MemberClusterStatus>,
    /// The time of writing.
    pub now: Timestamp,
}

/// The status to show.
#[must_use]
pub fn member_status(inputs: &MemberStatusInputs<'_>) -> MemberClusterStatus {
    let member = inputs.state.member();
    let shown = inputs.shown;
    let shown_agent =
        shown.and_then(|s| s.agent_status.iter().find(|a| a.agent_type == MEMBER_AGENT));
    let seen = inputs.probe.map(|probe| (probe.at, &probe.seen));
    MemberClusterStatus {
        conditions: judged(
            shown.map(|shown| shown.conditions.as_slice()),
            member_judgements(member, inputs),
            inputs.now,
        ),
        properties: seen
            .map(|(at, seen)| properties(at, seen, shown))
            .or_else(|| shown.map(|shown| shown.properties.clone()))
            .unwrap_or_default(),
        namespaces: BTreeMap::new(),
        resource_usage: seen
            .and_then(|(at, seen)| resource_usage(at, seen))
            .or_else(|| shown.and_then(|shown| shown.resource_usage.clone())),
        agent_status: vec![AgentStatus {
            agent_type: MEMBER_AGENT.to_owned(),
            conditions: judged(
                shown_agent.map(|agent| agent.conditions.as_slice()),
                agent_judgements(member, inputs),
                inputs.now,
            ),
            last_received_heartbeat: seen
                .map(|(at, _)| time(at))
                .or_else(|| shown_agent.and_then(|agent| agent.last_received_heartbeat.clone())),
        }],
    }
}

fn judged(
    shown: Option<&[Condition]>,
    judgements: Vec<Judgement>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = vec![];
    for judgement in judgements {
        let before = shown.and_then(|shown| conditions::find(shown, &judgement.condition_type));
        conditions.extend(before.cloned());
        conditions::upsert(&mut conditions, judgement, time(now).0);
    }
    conditions
}

fn judgement(
    condition_type: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    inputs: &MemberStatusInputs<'_>,
) -> Judgement {
    Judgement {
        condition_type: condition_type.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.into(),
        observed_generation: Some(inputs.generation),
    }
}

fn member_judgements(member: Option<&Member>, inputs: &MemberStatusInputs<'_>) -> Vec<Judgement> {
    let Some(member) = member else {
        let message = "the cluster has left the fleet; what was placed on it stays there";
        return vec![judgement(fleet::JOINED, Status::False, member_reason::LEFT, message, inputs)];
    };
    let ready = judgement(
        fleet::READY_TO_JOIN,
        Status::True,
        member_reason::READY_TO_JOIN,
        "the hub knows the cluster",
        inputs,
    );
    let joined = match (&member.identity, &member.link_failure) {
        (Some(_), _) => judgement(
            fleet::JOINED,
            Status::True,
            member_reason::JOINED,
            "the cluster has joined the fleet",
            inputs,
        ),
        (None, Some(failure)) => judgement(
            fleet::JOINED,
            Status::Unknown,
            member_reason::JOIN_STATE_UNKNOWN,
            &failure.message,
            inputs,
        ),
        (None, None) => judgement(
            fleet::JOINED,
            Status::Unknown,
            member_reason::JOIN_STATE_UNKNOWN,
            "the cluster is being asked for the first time",
            inputs,
        ),
    };
    let mut judgements = vec![ready, joined];
    if let Some(LastProbe { seen, .. }) = inputs.probe {
        let (status, message) = match seen.incomplete.as_slice() {
            [] => (Status::True, "the properties of the cluster are collected".to_owned()),
            missing => (Status::False, missing.join("; ")),
        };
        judgements.push(judgement(
            fleet::PROPERTY_COLLECTION_SUCCEEDED,
            status,
            match status {
                Status::True => "PropertiesCollected",
                Status::False | Status::Unknown => "PropertiesIncomplete",
            },
            message,
            inputs,
        ));
    }
    if let Some(credential) = member.credential.filter(|credential| credential.is_told) {
        let name = &inputs.name;
        let message = format!(
            "the credential of the link ends at {}; renew it with: taffrail join {name} \
             --member-kubeconfig FILE",
            credential.expires_at
        );
        judgements.push(judgement(
            fleet::CREDENTIAL_EXPIRING,
            Status::True,
            member_reason::CREDENTIAL_EXPIRES_SOON,
            message,
            inputs,
        ));
    }
    judgements
}

fn agent_judgements(member: Option<&Member>, inputs: &MemberStatusInputs<'_>) -> Vec<Judgement> {
    let joined =
        |status, reason, message: &str| judgement(fleet::JOINED, status, reason, message, inputs);
    let healthy =
        |status, reason, message: &str| judgement(fleet::HEALTHY, status, reason, message, inputs);
    let Some(member) = member else {
        let message = "the cluster has left the fleet";
        return vec![joined(Status::False, agent_reason::LEFT, message)];
    };
    let mut judgements = vec![match (&member.identity, &member.link_failure) {
        (Some(_), _) => {
            joined(Status::True, agent_reason::JOINED, "the cluster has joined the fleet")
        }
        (None, Some(failure)) => {
            joined(Status::False, agent_reason::FAILED_TO_JOIN, &failure.message)
        }
        (None, None) => return vec![],
    }];
    if member.identity.is_some() {
        let problem = member.link_failure.as_ref().map(|failure| &failure.message);
        let unwell = member.unhealthy.as_ref().map(|it| problem.unwrap_or(&it.message));
        judgements.push(match unwell {
            None => {
                healthy(Status::True, agent_reason::HEALTHY, "the cluster answers that it is well")
            }
            Some(message) => healthy(Status::False, agent_reason::UNHEALTHY, message),
        });
    }
    judgements
}

/// Observation times move only with the value, so that an idle fleet's status stays as it is.
fn properties(
    at: Timestamp,
    seen: &delivery::Probe,
    shown: Option<&MemberClusterStatus>,
) -> BTreeMap<String, PropertyValue> {
    let value = |(name, value): (&String, &String)| {
        let known = shown
            .and_then(|shown| shown.properties.get(name))
            .filter(|known| known.value == *value);
        let fresh = || PropertyValue { value: value.clone(), observation_time: time(at) };
        (name.clone(), known.cloned().unwrap_or_else(fresh))
    };
    let own = seen.properties.iter();
    own.filter(|(name, _)| !name.starts_with(api::names::property::RESOURCE_PREFIX))
        .map(value)
        .collect()
}

fn resource_usage(at: Timestamp, seen: &delivery::Probe) -> Option<ResourceUsage> {
    let usage = seen.usage.as_ref()?;
    let quantities = |amounts: &BTreeMap<String, String>| {
        amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect()
    };
    Some(ResourceUsage {
        capacity: quantities(&usage.capacity),
        allocatable: quantities(&usage.allocatable),
        available: quantities(&usage.available),
        observation_time: Some(time(at.checked_sub(usage.age).unwrap_or(at))),
    })
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
