//! Condition types and reasons. Clients compare the strings, so they are part of the contract;
//! messages and transition times are free.
//!
//! Types and reasons are constants, grouped by the object that carries them. Where conditions
//! form a ladder (each step is judged only when the one before it holds), an enum gives the
//! order.

pub mod fleet;
pub mod placement;
pub mod rollout;
pub mod work;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Status {
    /// The string that Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as a controller judges it, before it is compared with what is already there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The type of the condition.
    pub condition_type: String,
    /// Whether it holds.
    pub status: Status,
    /// Why, in one word; one of the constants of this module.
    pub reason: String,
    /// Why, for people to read.
    pub message: String,
    /// The generation of the object that was judged.
    pub observed_generation: Option<i64>,
}

/// Writes a condition into a list, replacing the one of the same type, and tells whether the list
/// has changed. The transition time moves only when the status does.
pub fn upsert(conditions: &mut Vec<Condition>, judgement: Judgement, now: Timestamp) -> bool {
    let Judgement { condition_type, status, reason, message, observed_generation } = judgement;
    let existing = conditions.iter_mut().find(|condition| condition.type_ == condition_type);
    let last_transition_time = match &existing {
        Some(condition) if condition.status == status.as_str() => {
            condition.last_transition_time.clone()
        }
        Some(_) | None => Time(now),
    };
    let condition = Condition {
        type_: condition_type,
        status: status.as_str().to_owned(),
        reason,
        message,
        observed_generation,
        last_transition_time,
    };
    match existing {
        Some(old) if *old == condition => false,
        Some(old) => {
            *old = condition;
            true
        }
        None => {
            conditions.push(condition);
            true
        }
    }
}

/// Removes the condition of a type and tells whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, condition_type: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != condition_type);
    conditions.len() != before
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], condition_type: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == condition_type)
}

/// Tells whether a condition holds for a generation. A verdict about an older one does not count.
#[must_use]
pub fn is_true(conditions: &[Condition], condition_type: &str, generation: i64) -> bool {
    find(conditions, condition_type).is_some_and(|condition| {
        condition.status == Status::True.as_str()
            && condition.observed_generation == Some(generation)
    })
}

#[cfg(test)]
mod tests;
