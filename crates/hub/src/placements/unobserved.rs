//! Changes that nobody decides on: their owner is another hub that does nothing, or they are refused.
//! Such a placement would look as well as before its change, so it says itself that the change is
//! not observed, and each hub says so too.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::concerns::Gravity;
use domain::placement::PlacementState;
use events::{AggregateId, PlacementKey};
use kube::ResourceExt;
use tokio::time::Instant;

use super::controller::Controller;
use super::writer::PlacementObject;

/// The check under which they are named.
const CHECK: &str = "placements";

/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a change may wait for a decision before that is told: three times what a take-over by
/// another hub takes. Much longer, and people would have gone home.
const UNOBSERVED_AFTER: Duration = Duration::from_secs(10);

/// What an object asks for: another one starts another wait.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    uid: String,
    generation: i64,
    is_deletion: bool,
}

impl<P: PlacementObject> Controller<P> {
    /// Looks for ever.
    pub(super) async fn look_for_unobserved(self) {
        let mut waiting: BTreeMap<PlacementKey, (Asked, Instant)> = BTreeMap::new();
        loop {
            let now = Instant::now();
            let before = std::mem::take(&mut waiting);
            waiting.extend(self.undecided().into_iter().map(|(key, asked)| {
                let since = before.get(&key).filter(|(known, _)| *known == asked);
                let since = since.map_or(now, |(_, since)| *since);
                (key, (asked, since))
            }));
            let late = waiting.iter().filter(|(_, (_, since))| now - *since >= UNOBSERVED_AFTER);
            let told =
                late.filter_map(|(key, (asked, _))| Some((key.clone(), self.why(key, asked)?)));
            self.tell_unobserved(told.collect());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn undecided(&self) -> Vec<(PlacementKey, Asked)> {
        let objects = self.objects();
        let model = self.config.router.fold().model();
        let asked = objects.iter().filter_map(|(key, known)| {
            let meta = known.object.meta();
            let asked = Asked {
                uid: meta.uid.clone().unwrap_or_default(),
                generation: meta.generation.unwrap_or_default(),
                is_deletion: meta.deletion_timestamp.is_some(),
            };
            let state = model.placements.get(key).map(|placement| &placement.state);
            (!is_decided(&asked, state)).then(|| (key.clone(), asked))
        });
        asked.collect()
    }

    /// Says so in words that are the same on every hub, since each may write them into the object.
    /// `None` while the object says already what is in the way.
    fn why(&self, key: &PlacementKey, asked: &Asked) -> Option<String> {
        if self.obstacle_to_selection(key).is_some() {
            return None;
        }
        let object = &self.known(key)?.object;
        let fields = object.managed_fields().iter();
        let written = fields.filter(|field| field.subresource.as_deref() != Some("status"));
        let since = object.meta().deletion_timestamp.as_ref().filter(|_| asked.is_deletion);
        let since = since
            .map(|at| at.0)
            .or_else(|| written.filter_map(|field| field.time.as_ref().map(|time| time.0)).max());
        let since = since.map_or(String::new(), |since| format!(" since {since}"));
        let what = match asked.is_deletion {
            true => "the deletion of this placement".to_owned(),
            false => format!("generation {} of this placement", asked.generation),
        };
        Some(format!("{what} is not observed{since}: {}", self.who_does_not(key)))
    }

    fn who_does_not(&self, key: &PlacementKey) -> String {
        let id = AggregateId::Placement(key.clone());
        if self.config.router.owns(&id) {
            let refused = self.refusal(key);
            return refused.unwrap_or_else(|| "its hub has not come to it yet".to_owned());
        }
        let partition = self.config.router.partition_of(&id);
        let owner = self.config.router.fold().model().checkpoint(partition).owner;
        match owner {
            None => format!("no hub has ever claimed partition {partition} of the log"),
            Some(owner) => format!(
                "partition {partition} of the log was claimed last by the hub {}, which does not \
                 decide on it; look at that hub's /readyz",
                owner.node
            ),
        }
    }

    fn tell_unobserved(&self, told: BTreeMap<PlacementKey, String>) {
        let before = self.replace_unobserved(told.clone());
        let concerns = self.config.router.concerns();
        let moved = before.iter().filter(|(key, text)| told.get(*key) != Some(*text));
        for (key, _) in moved {
            concerns.settle(CHECK, &key.to_string());
            self.mark_status(key.clone());
        }
        for (key, text) in told.iter().filter(|(key, text)| before.get(*key) != Some(*text)) {
            tracing::warn!(placement = %key, "{text}");
            concerns.set(CHECK, &key.to_string(), Gravity::Warning, Some(text.clone()));
            self.mark_status(key.clone());
        }
    }
}

/// Whether it is on record that an object asks for this.
fn is_decided(asked: &Asked, state: Option<&PlacementState>) -> bool {
    let Some(state) = state else { return asked.is_deletion };
    if asked.is_deletion {
        let is_gone = state.specified.is_none() && state.problem.is_none();
        return is_gone || state.deleting.as_ref() == Some(&asked.uid);
    }
    let specified = state.specified.iter().map(|it| (&it.uid, it.generation));
    let refused = state.problem.iter().map(|it| (&it.uid, it.generation));
    specified.chain(refused).any(|known| known == (&asked.uid, asked.generation))
}

#[cfg(test)]
mod tests {
    use domain::placement::Problem;
    use events::Timestamp;
    use events::placement::RefusalReason;

    use super::*;

    fn asked(generation: i64, is_deletion: bool) -> Asked {
        Asked { uid: "uid".to_owned(), generation, is_deletion }
    }

    #[test]
    fn what_is_on_record_is_decided() {
        let problem = Problem {
            uid: "uid".to_owned(),
            generation: 2,
            reason: RefusalReason::InvalidResourceSelectors,
            message: String::new(),
            since: Timestamp::UNIX_EPOCH,
        };
        let state = PlacementState { problem: Some(problem), ..PlacementState::default() };
        assert!(is_decided(&asked(2, false), Some(&state)));
        assert!(!is_decided(&asked(3, false), Some(&state)));
        assert!(!is_decided(&asked(2, true), Some(&state)));
        let other = Asked { uid: "other".to_owned(), ..asked(2, false) };
        assert!(!is_decided(&other, Some(&state)));

        let deleting = Some("uid".to_owned());
        assert!(is_decided(&asked(2, true), Some(&PlacementState { deleting, ..state })));
        assert!(!is_decided(&asked(1, false), None));
        assert!(is_decided(&asked(1, true), None), "nothing of it was ever decided");
    }
}
