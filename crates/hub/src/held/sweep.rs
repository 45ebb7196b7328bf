//! Answers that were acted on go: the same loss a second time is another question.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actors::node::Router;
use events::AggregateId;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Patch;
use kube::{Api, Client};
use projections::Model;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ANSWERS, Answers};
use crate::placements::patch_params;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long an answer stays after nothing is held for it: every node has acted on it by then.
const STAYS: Duration = Duration::from_secs(60);

/// Answers for which nothing is held, since when.
#[derive(Debug, Default)]
struct Unused {
    since: BTreeMap<String, Instant>,
}

impl Unused {
    /// Which of the answers are to go now.
    fn due(
        &mut self,
        answers: &BTreeSet<String>,
        held: &BTreeSet<String>,
        now: Instant,
    ) -> Vec<String> {
        self.since.retain(|token, _| answers.contains(token) && !held.contains(token));
        for token in answers.difference(held) {
            self.since.entry(token.clone()).or_insert(now);
        }
        let due = self.since.iter().filter(|(_, since)| now.duration_since(**since) >= STAYS);
        due.map(|(token, _)| token.clone()).collect()
    }
}

/// Takes them away for ever, when this node decides for the fleet.
pub(crate) async fn sweep(router: Router, client: Client, namespace: String, answers: Answers) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let mut unused = Unused::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let held = held_tokens(&router.fold().model());
        let due = unused.due(&answers.all(), &held, Instant::now());
        if due.is_empty() || !router.owns(&AggregateId::Fleet) {
            continue;
        }
        let gone: BTreeMap<String, Value> =
            due.into_iter().map(|token| (token, Value::Null)).collect();
        let patch = Patch::Merge(json!({ "data": gone }));
        if let Err(error) = api.patch(ANSWERS, &patch_params(), &patch).await {
            tracing::warn!(%error, "answers that were acted on are taken away later");
        }
    }
}

fn held_tokens(model: &Model) -> BTreeSet<String> {
    let placements = model.placements.values().filter_map(|known| known.state.held.as_ref());
    let placements = placements.map(|held| held.token.clone());
    let members = model.clusters.values().filter_map(|known| known.state.member());
    let members = members.filter_map(|member| member.held.as_ref().map(|it| it.token.clone()));
    let fleet = model.fleet.state.hub_went_back.iter().map(|held| held.token.clone());
    placements.chain(members).chain(fleet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_a_while_after_nothing_is_held_for_it() {
        let set = |tokens: &[&str]| tokens.iter().map(|token| (*token).to_owned()).collect();
        let (answers, none) = (set(&["a", "b"]), BTreeSet::new());
        let (start, mut unused) = (Instant::now(), Unused::default());
        assert_eq!(unused.due(&answers, &set(&["b"]), start), [""; 0]);
        assert_eq!(unused.due(&answers, &none, start + STAYS / 2), [""; 0]);
        assert_eq!(unused.due(&answers, &none, start + STAYS), ["a"]);
        assert_eq!(unused.due(&answers, &set(&["a"]), start + STAYS), [""; 0], "held once more");
        assert_eq!(unused.due(&answers, &none, start + STAYS * 2), ["b"]);
    }
}
