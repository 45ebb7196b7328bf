//! What was derived from the log, before a node goes on from it: it must come from the log as it is.

use event_log::{Log, partition_of};
use projections::{Model, Store};

use super::NodeError;
use crate::fold::check_fit;

/// What to go on from. When the log went backwards or was replaced, nothing that was derived from
/// it holds: it is set aside, and the log is read from its start.
pub(super) async fn fitting(
    log: &dyn Log,
    model: Model,
    store: Option<Store>,
    partitions: u16,
) -> Result<(Model, Option<Store>), NodeError> {
    let misfit = check_fit(log, &model, partitions).await.map_err(NodeError::Log)?;
    let Some(misfit) = misfit else { return Ok((model, store)) };
    let Some(mut store) = store else {
        tracing::error!(%misfit, "the log is not the one that was read before; it is read anew");
        return Ok((Model::new(partition_of), None));
    };
    let dir = store.dir().display().to_string();
    let reason = misfit.to_string();
    let started = tokio::task::spawn_blocking(move || store.start_over(&reason));
    let opened = started.await.expect("starting over catches what sled panics at");
    let opened = opened.map_err(|source| NodeError::Projections { dir: dir.clone(), source })?;
    let quarantine = opened.rebuilt.as_ref().map(|aside| aside.moved_to.display().to_string());
    tracing::error!(
        %misfit, projections = dir, quarantine,
        "the log went backwards or was replaced: what was derived from it is set aside and built \
         again from the log as it is now; what members got since then may differ from it"
    );
    Ok((opened.model, Some(opened.store)))
}
