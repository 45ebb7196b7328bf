//! What is held, where people look: every node notes it, whoever owns it.

use actors::concerns::Gravity;
use actors::node::Router;
use events::AggregateId;
use projections::Model;
use tokio::sync::broadcast::error::RecvError;

/// The concern about what is held.
const CHECK: &str = "held";

/// Keeps the concerns of a node current for ever.
pub(crate) async fn note(router: Router) {
    let mut changes = router.fold().changes();
    note_all(&router);
    loop {
        match changes.recv().await {
            Ok(change) => note_some(&router, &change.aggregates),
            Err(RecvError::Lagged(_)) => note_all(&router),
            Err(RecvError::Closed) => return,
        }
    }
}

fn note_all(router: &Router) {
    let all: Vec<AggregateId> = {
        let model = router.fold().model();
        let placements = model.placements.keys().cloned().map(AggregateId::Placement);
        let clusters = model.clusters.keys().cloned().map(AggregateId::Cluster);
        placements.chain(clusters).chain([AggregateId::Fleet]).collect()
    };
    note_some(router, &all);
}

fn note_some<'a>(router: &Router, aggregates: impl IntoIterator<Item = &'a AggregateId>) {
    for aggregate in aggregates {
        let message = why(&router.fold().model(), aggregate);
        router.concerns().set(CHECK, &aggregate.to_string(), Gravity::Warning, message);
    }
}

/// Why something is held, if it is.
fn why(model: &Model, aggregate: &AggregateId) -> Option<String> {
    match aggregate {
        AggregateId::Placement(key) => {
            let held = model.placements.get(key)?.state.held.as_ref()?;
            Some(held.message.clone())
        }
        AggregateId::Cluster(name) => {
            let held = model.clusters.get(name)?.state.member()?.held.as_ref()?;
            Some(held.message.clone())
        }
        AggregateId::Fleet => {
            model.fleet.state.hub_went_back.as_ref().map(|held| held.message.clone())
        }
    }
}
