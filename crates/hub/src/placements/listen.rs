//! What concerns placements besides their own objects: what they select, what was decided, who owns
//! them.

use std::time::Duration;

use domain::selection::{Catalogue, GroupVersionKind};
use events::AggregateId;
use tokio::sync::broadcast::error::RecvError;

use super::controller::Controller;
use super::writer::PlacementObject;
use crate::index::ObjectsChange;

/// How long changes of selected objects are collected before a placement is resolved again: what
/// one `kubectl apply` changes should be one revision where possible, and nobody notices 10 ms.
const COLLECT: Duration = Duration::from_millis(10);

/// How much longer changes are collected for each object that a placement selected before: a
/// revision lists all of them, so a busy placement of thousands must not write a list for each
/// change. 5,000 objects make it half a second.
const COLLECT_PER_OBJECT: Duration = Duration::from_micros(100);

impl<P: PlacementObject> Controller<P> {
    pub(super) async fn listen_to_objects(self) {
        let mut changes = self.config.index.changes();
        let mut status = self.config.index.status();
        let mut moves = status.borrow().moves;
        // What changed before this listens.
        self.mark_submits();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.mark_concerned(&change),
                    Err(RecvError::Lagged(_)) => self.mark_submits(),
                    Err(RecvError::Closed) => return,
                },
                moved = status.changed() => {
                    if moved.is_err() {
                        return;
                    }
                    let status = status.borrow_and_update().clone();
                    if std::mem::replace(&mut moves, status.moves) != status.moves {
                        // Kinds that came or went may concern anybody.
                        self.mark_submits();
                    } else if !status.is_early() {
                        // At the start all kinds are listed one after the other: who waits for them
                        // looks again once, when that is done.
                        self.mark_waiting();
                    }
                }
            }
        }
    }

    fn mark_concerned(&self, change: &ObjectsChange) {
        let namespace_labels = |name: &str| {
            let kind = GroupVersionKind::new("", "v1", "Namespace");
            let namespace = self.config.index.objects().object(&kind, None, name);
            namespace.map(|namespace| namespace.labels.clone())
        };
        let objects = self.objects();
        let concerned = objects.iter().filter(|(_, known)| {
            let interest = known.interest.as_ref();
            interest.is_some_and(|interest| interest.is_concerned(change, namespace_labels))
        });
        for (key, _) in concerned {
            let selected = {
                let model = self.config.router.fold().model();
                let placement = model.placements.get(key);
                placement.and_then(|known| known.state.revision.as_ref().map(|r| r.objects))
            };
            let collect = COLLECT + COLLECT_PER_OBJECT * selected.unwrap_or_default();
            self.submits.mark(key.clone(), collect);
        }
    }

    pub(super) async fn listen_to_log(self) {
        let mut changes = self.config.router.fold().changes();
        self.mark_statuses();
        loop {
            match changes.recv().await {
                Ok(change) => {
                    for aggregate in &change.aggregates {
                        if *aggregate == AggregateId::Fleet {
                            self.mark_absent();
                        }
                        if let AggregateId::Placement(key) = aggregate {
                            if let Some(traceparent) = change.traceparents.get(aggregate) {
                                self.next_traceparent(key.clone(), traceparent.clone());
                            }
                            self.mark_status(key.clone());
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => self.mark_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Whoever selects what was damaged in the log can store it again.
    pub(super) async fn listen_to_contents(self) {
        let mut damages = self.config.contents.damages();
        while damages.changed().await.is_ok() {
            self.mark_all();
        }
    }

    pub(super) async fn listen_to_ownership(self) {
        let mut owning = self.config.router.owning();
        self.mark_all();
        while owning.changed().await.is_ok() {
            self.mark_all();
        }
    }

    fn mark_all(&self) {
        self.mark_submits();
        self.mark_statuses();
    }
}
