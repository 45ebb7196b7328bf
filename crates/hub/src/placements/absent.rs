//! Placements on record whose objects are not there, or are older than the record.

use std::time::Duration;

use actors::ask::AskError;
use api::conditions::placement::Scope;
use domain::placement::{
    AcceptOlder, DeletePlacement, Hold, HoldPlacement, PlacementCommand, PlacementState,
};
use events::placement::HoldReason;
use events::{AggregateId, PlacementKey, PlacementScope, Principal};
use kube::ResourceExt;

use super::controller::{Controller, RETRY};
use super::writer::PlacementObject;
use crate::held::token;
use crate::work_queue::Next;

impl<P: PlacementObject> Controller<P> {
    /// Has those looked at that are on record and have no object, and those that are held.
    pub(super) fn mark_absent(&self) {
        let keys: Vec<PlacementKey> = {
            // In this order everywhere: each may have somebody waiting who wants to write.
            let objects = self.objects();
            let model = self.config.router.fold().model();
            let ours = model.placements.iter().filter(|(key, _)| is_of_kind::<P>(key));
            let suspects = ours.filter(|(key, placement)| {
                let state = &placement.state;
                state.held.is_some() || (uid_of(state).is_some() && !objects.contains_key(*key))
            });
            suspects.map(|(key, _)| key.clone()).collect()
        };
        for key in keys {
            self.submits.mark(key, Duration::ZERO);
        }
    }

    pub(super) async fn listen_to_answers(self) {
        let mut answers = self.config.answers.changes();
        self.mark_absent();
        while answers.changed().await.is_ok() {
            self.mark_absent();
        }
    }

    /// The object of a placement is not there, although all objects were told of.
    pub(super) async fn absent(&self, key: &PlacementKey) -> Next {
        if !self.is_listed() || !self.config.router.owns(&AggregateId::Placement(key.clone())) {
            return Next::Wait;
        }
        let Some((uid, held)) = self.on_record(key) else { return Next::Wait };
        let token = token(["object gone", &key.to_string(), &uid]);
        if self.config.answers.is_confirmed(&token) {
            let delete = PlacementCommand::DeletePlacement(DeletePlacement { uid });
            return self.asked(key, self.ask_for(key, delete).await);
        }
        if held.is_some_and(|held| held.token == token) {
            return Next::Wait;
        }
        match self.fetch(key).await {
            Ok(None) => {
                let id = AggregateId::Placement(key.clone());
                let message = format!(
                    "the object is not on the hub, and nobody deleted it, as after a restore of the \
                     hub's etcd: what it placed stays as it is; write the object again, or have \
                     removed what it placed with: taffrail held confirm {id}"
                );
                let reason = HoldReason::ObjectGone;
                self.hold(key, HoldPlacement { uid, reason, token, message }).await
            }
            // It is there: the watch is about to say so.
            Ok(Some(_)) | Err(_) => Next::After(RETRY),
        }
    }

    /// The object has a generation below what is on record of the same object. `None` if it has not.
    pub(super) async fn went_back(&self, key: &PlacementKey, object: &P) -> Option<Next> {
        let uid = object.uid().unwrap_or_default();
        let generation = object.meta().generation.unwrap_or_default();
        let (recorded, held) = {
            let model = self.config.router.fold().model();
            let state = &model.placements.get(key)?.state;
            let recorded = state.specified.as_ref().filter(|known| known.uid == uid)?.generation;
            (recorded, state.held.clone())
        };
        if recorded <= generation {
            return None;
        }
        let token = token(["object went back", &key.to_string(), &uid, &generation.to_string()]);
        if self.config.answers.is_confirmed(&token) {
            let accept = PlacementCommand::AcceptOlder(AcceptOlder { token });
            let next = self.asked(key, self.ask_for(key, accept).await);
            return Some(if next == Next::Wait { Next::After(Duration::ZERO) } else { next });
        }
        if held.is_some_and(|held| held.token == token) {
            return Some(Next::Wait);
        }
        let is_older = |fresh: &P| fresh.meta().generation.unwrap_or_default() < recorded;
        let next = match self.fetch(key).await {
            Ok(Some(fresh)) if fresh.uid().as_ref() == Some(&uid) && is_older(&fresh) => {
                let id = AggregateId::Placement(key.clone());
                let message = format!(
                    "the object has generation {generation}, and {recorded} is on record, as after a \
                     restore of the hub's etcd: nothing moves; have it count as it is with: \
                     taffrail held confirm {id}"
                );
                self.waits(key, Some(message.clone()));
                let reason = HoldReason::ObjectWentBack;
                self.hold(key, HoldPlacement { uid, reason, token, message }).await
            }
            Ok(_) | Err(_) => Next::After(RETRY),
        };
        Some(next)
    }

    pub(super) async fn hold(&self, key: &PlacementKey, hold: HoldPlacement) -> Next {
        let HoldPlacement { uid, reason, message, .. } = &hold;
        tracing::warn!(placement = %key, uid, ?reason, message, "a placement is held");
        self.asked(key, self.ask_for(key, PlacementCommand::HoldPlacement(hold)).await)
    }

    async fn ask_for(&self, key: &PlacementKey, command: PlacementCommand) -> Result<(), AskError> {
        self.ask(AggregateId::Placement(key.clone()), command, Principal::System).await
    }

    /// The object as it is now: a watch may be behind what another hub has put on record.
    async fn fetch(&self, key: &PlacementKey) -> Result<Option<P>, kube::Error> {
        P::api(self.config.client.clone(), key).get_opt(&key.name).await
    }

    /// The uid of the object on record, and why the placement is held; `None` if there is nothing
    /// on record, or it is being removed.
    pub(super) fn on_record(&self, key: &PlacementKey) -> Option<(String, Option<Hold>)> {
        let model = self.config.router.fold().model();
        let state = &model.placements.get(key)?.state;
        Some((uid_of(state)?.to_owned(), state.held.clone()))
    }
}

/// The object whose placement is on record and not being removed.
fn uid_of(state: &PlacementState) -> Option<&str> {
    if state.deleting.is_some() {
        return None;
    }
    let specified = state.specified.as_ref().map(|specified| specified.uid.as_str());
    specified.or_else(|| state.problem.as_ref().map(|problem| problem.uid.as_str()))
}

fn is_of_kind<P: PlacementObject>(key: &PlacementKey) -> bool {
    match (&key.scope, P::SCOPE) {
        (PlacementScope::Cluster, Scope::Cluster)
        | (PlacementScope::Namespace(_), Scope::Namespaced) => true,
        (PlacementScope::Cluster, Scope::Namespaced)
        | (PlacementScope::Namespace(_), Scope::Cluster) => false,
    }
}
