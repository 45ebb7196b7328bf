//! How far the hub's etcd has come is put on record now and then, and at once that it went back.

use std::time::Duration;

use actors::ask::AskError;
use actors::node::Router;
use domain::fleet::{AcceptHub, FleetCommand, ReportHubRevision};
use events::{AggregateId, Principal};
use kube::Client;
use tokio::time::Instant;

use super::Answers;
use crate::watch::Revision;

/// How often the revision is asked for. An etcd that is restored was away for longer; twice as often
/// would be a request in two seconds for something that happens once in years.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often it is put on record while it rises. A copy that is younger than this is not noticed by a
/// hub that was down meanwhile; twice as often would be three hundred events a day for nothing else.
const RECORD_EVERY: Duration = Duration::from_secs(600);

/// Looks for ever. Records what it sees when this node decides for the fleet.
pub(crate) async fn follow(router: Router, client: Client, revision: Revision, answers: Answers) {
    let mut recorded_at: Option<Instant> = None;
    let mut answered = answers.changes();
    loop {
        let seen = revision.look(&client).await;
        let fleet = router.fold().model().fleet.state.clone();
        if router.owns(&AggregateId::Fleet) {
            let is_due = recorded_at.is_none_or(|at| at.elapsed() >= RECORD_EVERY);
            if let Some(seen) = seen
                && (is_due || revision.went_back(fleet.hub_revision))
                && record(&router, &revision, seen).await
            {
                recorded_at = Some(Instant::now());
            }
            if let Some(held) = fleet.hub_went_back.filter(|it| answers.is_confirmed(&it.token)) {
                ask(&router, FleetCommand::AcceptHub(AcceptHub { token: held.token })).await;
            }
        } else {
            recorded_at = None;
        }
        // Without answers there is still the time.
        drop(tokio::time::timeout(LOOK_EVERY, answered.changed()).await);
    }
}

/// Puts on record how far it has come, and before that from where it fell. Says whether it is there.
async fn record(router: &Router, revision: &Revision, seen: u64) -> bool {
    let report = |revision| FleetCommand::ReportHubRevision(ReportHubRevision { revision });
    let recorded = router.fold().model().fleet.state.hub_revision;
    if let Some(from) = revision.fell_from()
        && from > recorded
        && !ask(router, report(from)).await
    {
        return false;
    }
    let is_recorded = ask(router, report(seen)).await;
    if is_recorded {
        revision.recorded();
    }
    is_recorded
}

/// Whether the hub's etcd is an older copy of itself and nobody has said that it counts. Asks the API
/// server: what a watch has told may be older than the record.
pub(crate) async fn went_back(router: &Router, client: &Client, revision: &Revision) -> bool {
    // Without an answer, what was known before counts.
    revision.look(client).await;
    let fleet = router.fold().model().fleet.state.clone();
    fleet.hub_went_back.is_some() || revision.went_back(fleet.hub_revision)
}

/// Whether it is on record.
async fn ask(router: &Router, command: FleetCommand) -> bool {
    match router.ask(AggregateId::Fleet, command.into(), Principal::System).await {
        Ok(_) => true,
        Err(AskError::NotOwner { .. }) => false,
        Err(error) => {
            tracing::warn!(%error, "how far the hub's etcd is cannot be put on record yet");
            false
        }
    }
}
