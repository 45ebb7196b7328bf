//! Members that hold placements for newer orders than the record has.
//!
//! A member remembers the generation and epoch of the order that it carried out last, and refuses
//! older ones. When it refuses the latest one on record, either another hub delivers to it, or the
//! log of this hub is an older copy of itself: with it, and with projections of the same age, nothing
//! else could tell. What members say is noted where people look, and when somebody says so
//! (`taffrail log raise`) further moves of the placement are numbered above it.

use std::collections::BTreeMap;

use actors::concerns::Gravity;
use actors::node::Router;
use delivery::Fence;
use domain::placement::{PlacementCommand, RaiseMoves};
use domain::{DomainCommand, EffectKey};
use events::{AggregateId, CommandEnvelope, CommandId, CorrelationId, Principal, Timestamp};
use tokio::sync::watch;

use crate::held::{Answers, token};

/// The concern about them.
const CHECK: &str = "fence";

/// What a member holds, and what it was ordered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// The order that the member holds the placement for.
    pub holder: Fence,
    /// The latest order on record.
    pub own: Fence,
}

/// Members that are ahead of the record, by delivery: at most as many as there are deliveries. Cheap
/// to clone.
#[derive(Debug, Clone)]
pub struct Fences {
    ahead: watch::Sender<BTreeMap<EffectKey, Ahead>>,
}

impl Default for Fences {
    fn default() -> Self {
        Self { ahead: watch::Sender::new(BTreeMap::new()) }
    }
}

impl Fences {
    /// A member refused an order for a newer one.
    pub(crate) fn refused(&self, key: &EffectKey, ahead: Ahead) {
        self.ahead.send_if_modified(|all| all.insert(key.clone(), ahead) != Some(ahead));
    }

    /// A member took an order.
    pub(crate) fn taken(&self, key: &EffectKey) {
        if self.ahead.borrow().contains_key(key) {
            self.ahead.send_if_modified(|all| all.remove(key).is_some());
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<EffectKey, Ahead> {
        self.ahead.borrow().clone()
    }

    /// Notes what members say, and raises the record above it when that is confirmed. For ever.
    pub(crate) async fn follow(self, router: Router, answers: Answers) {
        let (mut ahead, mut answered) = (self.ahead.subscribe(), answers.changes());
        let mut noted = BTreeMap::new();
        loop {
            let now = ahead.borrow_and_update().clone();
            note(&router, &noted, &now);
            noted = now;
            for (key, ahead) in &noted {
                if answers.is_confirmed(&token_of(key, *ahead)) {
                    raise(&router, key, *ahead).await;
                }
            }
            let changed = tokio::select! {
                changed = ahead.changed() => changed,
                changed = answered.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// What stands for it in an answer.
#[must_use]
pub fn token_of(key: &EffectKey, ahead: Ahead) -> String {
    let EffectKey { cluster, placement } = key;
    let holder = ahead.holder.to_string();
    token(["member ahead", cluster.as_str(), placement.to_string().as_str(), holder.as_str()])
}

/// What is told of it.
#[must_use]
pub fn message(ahead: Ahead) -> String {
    let Ahead { holder, own } = ahead;
    format!(
        "the member holds the placement for a newer order ({holder}) than the one on record ({own}), \
         as after a restore of the log from an older copy: nothing of it moves there; if no other hub \
         delivers to this member, number further orders above that with: taffrail log raise"
    )
}

fn note(router: &Router, before: &BTreeMap<EffectKey, Ahead>, now: &BTreeMap<EffectKey, Ahead>) {
    let name = |key: &EffectKey| {
        format!("{} on {}", AggregateId::Placement(key.placement.clone()), key.cluster)
    };
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        router.concerns().settle(CHECK, &name(key));
    }
    for (key, ahead) in now {
        let message = message(*ahead);
        router.concerns().set(CHECK, &name(key), Gravity::Warning, Some(message));
    }
}

/// Asks whoever decides for the placement. The same member at the same order asks once.
async fn raise(router: &Router, key: &EffectKey, ahead: Ahead) {
    let aggregate = AggregateId::Placement(key.placement.clone());
    let raise = RaiseMoves { above: ahead.holder.generation };
    let command = DomainCommand::from(PlacementCommand::RaiseMoves(raise));
    let (kind, data) = command.to_parts().expect("it is plain data");
    let id = CommandId::of_input(&token_of(key, ahead));
    let envelope = CommandEnvelope {
        id,
        aggregate,
        kind,
        principal: Principal::System,
        time: Timestamp::now(),
        causation: None,
        origin: None,
        correlation: CorrelationId(id.0),
        traceparent: None,
        data,
    };
    if let Err(error) = router.submit(&envelope).await {
        let EffectKey { cluster, placement } = key;
        tracing::warn!(%cluster, %placement, %error, "the record cannot be raised yet");
    }
}
