//! What is known of a placement, and how events change it.

use std::collections::BTreeMap;

use events::cluster::{ApplyStrategy, ObjectFailure, RevisionRef};
use events::placement::{
    HoldReason, PlacementEvent, PlacementSpec, RefusalReason, TargetMove, TargetPhase, Verdict,
    VerdictReason,
};
use events::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// A placement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlacementState {
    /// What it asks for; `None` before the first specification and after deletion.
    pub specified: Option<Specified>,
    /// Why the latest specification cannot be followed, if so.
    pub problem: Option<Problem>,
    /// The latest revision.
    pub revision: Option<Revision>,
    /// What its selectors leave out, or do not find, in words.
    pub notes: Vec<String>,
    /// Earlier revisions that targets still hold, by index.
    pub revisions: BTreeMap<u32, Revision>,
    /// The latest scheduling decision.
    pub scheduled: Option<Scheduled>,
    /// Where it is, by cluster.
    pub targets: BTreeMap<String, Target>,
    /// How many moves there were: the generation of the latest one. Never falls.
    pub moves: u64,
    /// Targets of moves up to this one are moved again: members hold moves up to it that are not on
    /// record, because the log is an older copy of itself.
    pub moved_again_through: u64,
    /// The uid of the object whose deletion was requested, while things are being removed.
    pub deleting: Option<String>,
    /// Why nothing moves, if so.
    pub held: Option<Hold>,
}

/// What the hub's Kubernetes API lost of a placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The uid of the object on record.
    pub uid: String,
    /// What.
    pub reason: HoldReason,
    /// Stands for exactly that.
    pub token: String,
    /// In words, with what to do.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a placement asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Specified {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// What it asks for.
    pub spec: PlacementSpec,
    /// The number of the policy.
    pub policy_index: u32,
}

/// Why a specification cannot be followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// Why.
    pub reason: RefusalReason,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A set of manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Which.
    pub reference: RevisionRef,
    /// How many objects.
    pub objects: u32,
}

/// The latest scheduling decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The generation of the specification that was followed.
    pub generation: i64,
    /// The policy that was followed.
    pub policy_index: u32,
    /// Whether the policy could be fulfilled.
    pub fulfilled: bool,
    /// In words.
    pub message: String,
    /// The verdict on each cluster.
    pub verdicts: Vec<Verdict>,
    /// Since when the outcome is this.
    pub since: Timestamp,
}

impl Scheduled {
    /// The names of the chosen clusters.
    pub fn chosen(&self) -> impl Iterator<Item = &str> {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.chosen)
            .map(|verdict| verdict.cluster.as_str())
    }

    /// Whether the cluster was chosen.
    #[must_use]
    pub fn has_chosen(&self, cluster: &str) -> bool {
        self.chosen().any(|chosen| chosen == cluster)
    }

    /// What was decided about a cluster.
    #[must_use]
    pub fn verdict(&self, cluster: &str) -> Option<&VerdictReason> {
        let verdict = self.verdicts.iter().find(|verdict| verdict.cluster == cluster)?;
        Some(&verdict.reason)
    }
}

/// One cluster that a placement is on, or is leaving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The latest move.
    pub generation: u64,
    /// The revision that it should hold; `None` when it is being removed.
    pub revision: Option<u32>,
    /// How it should be written.
    pub apply: ApplyStrategy,
    /// How far it is.
    pub phase: TargetPhase,
    /// What says so; `None` before the first report.
    pub evidence: Option<Position>,
    /// What is not as it should be.
    pub failures: Vec<ObjectFailure>,
    /// What else is to be known of it. Mostly empty.
    pub remark: String,
    /// When it last moved or progressed.
    pub since: Timestamp,
}

impl PlacementState {
    pub(super) fn evolve(&mut self, event: &PlacementEvent, time: Timestamp) {
        match event {
            PlacementEvent::PlacementSpecified(specified) => {
                if self.specified.as_ref().is_some_and(|before| before.uid != specified.uid) {
                    self.begin_anew();
                }
                self.specified = Some(Specified {
                    uid: specified.uid.clone(),
                    generation: specified.generation,
                    spec: specified.spec.clone(),
                    policy_index: specified.policy_index,
                });
                self.problem = None;
                self.deleting = None;
            }
            PlacementEvent::PlacementRefused(refused) => {
                self.problem = Some(Problem {
                    uid: refused.uid.clone(),
                    generation: refused.generation,
                    reason: refused.reason,
                    message: refused.message.clone(),
                    since: time,
                });
            }
            PlacementEvent::RevisionRecorded(recorded) => {
                let reference =
                    RevisionRef { index: recorded.index, manifests: recorded.manifests };
                let revision = Revision { reference, objects: recorded.objects };
                self.revisions.insert(recorded.index, revision.clone());
                self.revision = Some(revision);
            }
            PlacementEvent::SelectionNoted(noted) => self.notes.clone_from(&noted.notes),
            PlacementEvent::PlacementScheduled(scheduled) => {
                self.scheduled = Some(Scheduled {
                    generation: scheduled.generation,
                    policy_index: scheduled.policy_index,
                    fulfilled: scheduled.fulfilled,
                    message: scheduled.message.clone(),
                    verdicts: scheduled.verdicts.clone(),
                    since: time,
                });
            }
            PlacementEvent::TargetsMoved(moved) => {
                for step in &moved.moves {
                    self.move_target(step, time);
                }
                self.forget_unused_revisions();
            }
            PlacementEvent::TargetProgressed(progressed) => {
                if progressed.phase == TargetPhase::Removed {
                    self.targets.remove(&progressed.cluster);
                    self.forget_unused_revisions();
                } else if let Some(target) = self.targets.get_mut(&progressed.cluster) {
                    target.phase = progressed.phase;
                    target.evidence = Some(progressed.evidence);
                    target.failures.clone_from(&progressed.failures);
                    target.remark.clone_from(&progressed.remark);
                    target.since = time;
                }
            }
            PlacementEvent::PlacementDeletionRequested(requested) => {
                self.deleting = Some(requested.uid.clone());
                self.held = None;
            }
            PlacementEvent::PlacementDeleted(_) => {
                // Members remember the moves: whoever takes the name next counts on.
                let (moves, moved_again_through) = (self.moves, self.moved_again_through);
                *self = Self { moves, moved_again_through, ..Self::default() };
            }
            PlacementEvent::PlacementHeld(held) => {
                self.held = Some(Hold {
                    uid: held.uid.clone(),
                    reason: held.reason,
                    token: held.token.clone(),
                    message: held.message.clone(),
                    since: time,
                });
            }
            PlacementEvent::MovesRaised(raised) => {
                self.moves = self.moves.max(raised.above);
                self.moved_again_through = self.moved_again_through.max(raised.above);
            }
            PlacementEvent::PlacementHoldEnded(ended) => {
                self.held = None;
                if ended.older_counts
                    && let Some(specified) = &mut self.specified
                {
                    // Generations begin with 1: whatever the object has now is newer.
                    specified.generation = 0;
                    self.problem = None;
                }
            }
        }
    }

    /// Another object has the name, and nothing that was decided for the one before is about it.
    /// Only as long as members hold revisions of that, their numbers have to be told apart.
    fn begin_anew(&mut self) {
        self.scheduled = None;
        self.notes.clear();
        if self.targets.values().all(|target| target.revision.is_none()) {
            self.revision = None;
            self.revisions.clear();
        }
    }

    fn move_target(&mut self, step: &TargetMove, time: Timestamp) {
        self.moves = self.moves.max(step.generation);
        let specified = self.specified.as_ref();
        let target = Target {
            generation: step.generation,
            revision: step.revision,
            apply: specified.map(|specified| specified.spec.apply.clone()).unwrap_or_default(),
            phase: TargetPhase::Moving,
            evidence: None,
            failures: vec![],
            remark: String::new(),
            since: time,
        };
        self.targets.insert(step.cluster.clone(), target);
    }

    /// Keeps the latest revision and those that targets hold.
    fn forget_unused_revisions(&mut self) {
        let latest = self.revision.as_ref().map(|revision| revision.reference.index);
        let targets = &self.targets;
        self.revisions.retain(|index, _| {
            latest == Some(*index) || targets.values().any(|t| t.revision == Some(*index))
        });
    }

    /// The index that the next revision gets.
    #[must_use]
    pub fn next_revision_index(&self) -> u32 {
        self.revision.as_ref().map_or(0, |revision| revision.reference.index + 1)
    }
}
