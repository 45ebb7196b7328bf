//! Carrying out an order to deliver, and one to withdraw.

use std::collections::BTreeSet;
use std::time::Duration;

use events::ObjectId;
use events::cluster::{Note, ObjectFailure, ObjectNote, Progress};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::core::params::{ListParams, PropagationPolicy};
use serde_json::Value;
use tokio::time::Instant;

use super::PushMember;
use super::applied_work::{Claimed, Found, Stop, inventory_entry, is_entry_of, work_error};
use super::discovery::{Resource, served_by};
use super::object::{Expected, Outcome, Written, is_path_missing};
use super::observe::delivery_of;
use super::remove::{Removed, Remover};
use super::requests::CallError;
use super::runs::Runs;
use super::seen::Delivery;
use super::wait::{CRD_ESTABLISHED_WAIT, wait_for};
use crate::availability::availability;
use crate::failure::{MANIFEST_APPLY_FAILED, failure, is_conflict, is_not_found};
use crate::plan::{Plan, Step, by_wave};
use crate::wave::Wave;
use crate::{Availability, DeliverOrder, DeliveryReport, WithdrawOrder, WithdrawReport};

/// How many objects of one wave are written at once. Half of what the member takes, so that one
/// large delivery does not keep all others waiting.
pub const OBJECTS_IN_FLIGHT_PER_WAVE_MAX: usize = 16;

/// How often it is told at most how far an order is: each time is an event of the member and one of
/// the placement.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The pause before a path that is not served yet is asked for again the first time; it doubles up
/// to [`SERVED_PAUSE_MAX`].
const SERVED_PAUSE: Duration = Duration::from_millis(20);
const SERVED_PAUSE_MAX: Duration = Duration::from_millis(500);

impl PushMember {
    /// See [`Link::deliver`](crate::Link::deliver).
    pub(super) async fn deliver(
        &self,
        order: &DeliverOrder,
        claimed: &Claimed<'_>,
    ) -> Result<DeliveryReport, Stop> {
        let Plan { waves, failures, leftovers } = Plan::of(order);
        let steps = waves.values().flatten();
        let mut run = Run::new(self, order, claimed, claimed.runs.of_steps(steps));
        run.report.failures = failures;
        // Kept by name for the kinds that later waves may need.
        let later_kinds: BTreeSet<(String, String)> = waves
            .values()
            .flatten()
            .map(|step| (step.id.group.clone(), step.id.kind.clone()))
            .collect();
        for (wave, steps) in waves {
            run.apply_wave(steps).await?;
            if wave == Wave::Definitions {
                run.establish(&later_kinds).await?;
            }
        }
        let placed: Vec<&ObjectId> = order.manifests.iter().map(|manifest| &manifest.id).collect();
        let remover = Remover {
            member: self,
            work: &order.work,
            fence: order.fence,
            claimed: Some(claimed),
            adopted: order.adopted,
            neighbours: &*order.neighbours,
            placed: &placed,
        };
        let removed = remover.remove(leftovers).await?;
        run.finish(removed).await
    }

    /// See [`Link::withdraw`](crate::Link::withdraw).
    pub(super) async fn withdraw(
        &self,
        order: &WithdrawOrder,
        found: &Found<'_>,
    ) -> Result<WithdrawReport, Stop> {
        let claimed = match found {
            Found::Claimed(claimed) => Some(&**claimed),
            Found::Absent => None,
        };
        self.observer.forget(&order.work);
        let remover = Remover {
            member: self,
            work: &order.work,
            fence: order.fence,
            claimed,
            adopted: order.adopted,
            neighbours: &*order.neighbours,
            placed: &[],
        };
        let Removed { removed, released, remaining, notes } =
            remover.remove(by_wave(&order.inventory)).await?;
        if !remaining.is_empty() {
            self.wait_for_remaining(order, &remaining).await?;
        } else if claimed.is_some() {
            self.delete_work(order).await?;
        }
        Ok(WithdrawReport { remaining, removed, released, notes })
    }

    /// What is going away is watched until it is gone, also by a link that has delivered nothing.
    async fn wait_for_remaining(
        &self,
        order: &WithdrawOrder,
        remaining: &[ObjectFailure],
    ) -> Result<(), Stop> {
        for failure in remaining {
            let id = &failure.object;
            let resource = self.discovery.resource_in_any_version(&self.requests, id).await?;
            if let Some(resource) = resource {
                self.observer.watch(&resource);
            }
        }
        self.observer.wait_for(&Delivery {
            placement: order.placement.clone(),
            work: order.work.clone(),
            generation: order.fence.generation,
            objects: remaining.iter().map(|failure| failure.object.clone()).collect(),
            untracked: 0,
        });
        Ok(())
    }

    /// Deletes the AppliedWork, and nothing with it: whatever names it as an owner and is not in
    /// the inventory loses that owner and stays.
    async fn delete_work(&self, order: &WithdrawOrder) -> Result<(), Stop> {
        // Read again: it is deleted only in the version that this order still holds.
        let Found::Claimed(claimed) = self.claim_existing(&order.work, order.fence).await? else {
            return Ok(());
        };
        let deleted = self
            .requests
            .delete(&Resource::applied_work(), &claimed.live, PropagationPolicy::Orphan)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if is_not_found(&status) => Ok(()),
            Err(CallError::Refused(status)) if is_conflict(&status) => {
                Err(Stop::Busy(format!("others write its AppliedWork {}", order.work)))
            }
            Err(error) => Err(work_error(error).into()),
        }
    }
}

/// A delivery under way.
struct Run<'a> {
    member: &'a PushMember,
    order: &'a DeliverOrder,
    claimed: &'a Claimed<'a>,
    report: DeliveryReport,
    applied: Vec<(Step, Resource, Value)>,
    /// Namespaces of this order that are not there, or are going away.
    unusable_namespaces: BTreeSet<String>,
    /// Namespaces that this order has created: whatever goes into them is not there yet.
    new_namespaces: BTreeSet<String>,
    /// Objects that run once and are not made again.
    finished: Vec<Step>,
    runs: Runs,
    pace: Pace,
}

/// How far an order is, and when that was last told.
#[derive(Clone, Copy)]
struct Pace {
    progress: Progress,
    told_at: Instant,
}

impl Pace {
    /// Takes in what became of one object, and tells how far the order is if it was not told lately.
    fn take(&mut self, outcome: &Outcome, run: &Run<'_>) {
        self.progress.applied += match outcome {
            Outcome::Applied { .. } | Outcome::Finished => 1,
            Outcome::Failed { .. } => 0,
        };
        if self.told_at.elapsed() >= PROGRESS_EVERY {
            self.told_at = Instant::now();
            run.member.observer.progressed(run.order, self.progress);
        }
    }
}

impl<'a> Run<'a> {
    fn new(
        member: &'a PushMember,
        order: &'a DeliverOrder,
        claimed: &'a Claimed<'a>,
        runs: Runs,
    ) -> Self {
        let of = u32::try_from(order.manifests.len()).unwrap_or(u32::MAX);
        let progress = Progress { applied: 0, of };
        Self {
            member,
            order,
            claimed,
            report: DeliveryReport::default(),
            applied: Vec::new(),
            unusable_namespaces: BTreeSet::new(),
            new_namespaces: BTreeSet::new(),
            finished: Vec::new(),
            runs,
            pace: Pace { progress, told_at: Instant::now() },
        }
    }

    async fn apply_wave(&mut self, steps: Vec<Step>) -> Result<(), Stop> {
        let (hopeless, steps): (Vec<_>, Vec<_>) = steps
            .into_iter()
            .partition(|step| self.unusable_namespaces.contains(&step.id.namespace));
        self.report.failures.extend(hopeless.iter().map(|step| {
            let message = format!("namespace {} could not be applied", step.id.namespace);
            failure(&step.id, MANIFEST_APPLY_FAILED, message)
        }));
        let outcomes = self.apply_all(steps).await?;
        let runs = self.runs.clone();
        for (step, outcome) in outcomes {
            self.take(step, outcome);
        }
        if self.runs != runs {
            self.claimed.record_runs(&self.runs).await?;
        }
        Ok(())
    }

    /// Applies objects that do not depend on each other, many at once.
    async fn apply_all(&mut self, steps: Vec<Step>) -> Result<Vec<(Step, Outcome)>, Stop> {
        let mut pace = self.pace;
        let mut outcomes = Vec::with_capacity(steps.len());
        {
            let run = &*self;
            let apply = async |step: Step| {
                let expected = match run.new_namespaces.contains(&step.id.namespace) {
                    true => Expected::Absent,
                    false => Expected::Unknown,
                };
                let (claimed, order) = (run.claimed, run.order);
                let outcome = run.member.apply(claimed, &step, order, expected).await?;
                Ok::<_, Stop>((step, outcome))
            };
            let steps = stream::iter(steps).map(apply);
            let mut applying =
                std::pin::pin!(steps.buffer_unordered(OBJECTS_IN_FLIGHT_PER_WAVE_MAX));
            while let Some((step, outcome)) = applying.try_next().await? {
                pace.take(&outcome, run);
                outcomes.push((step, outcome));
            }
        }
        self.pace = pace;
        Ok(outcomes)
    }

    fn take(&mut self, step: Step, outcome: Outcome) {
        match outcome {
            Outcome::Finished => {
                let note = ObjectNote { object: step.id.clone(), note: Note::Finished };
                self.report.notes.push(note);
                self.report.unchanged += 1;
                self.finished.push(step);
            }
            Outcome::Applied { resource, live, written, is_adopted } => {
                self.runs.add(&step);
                if is_adopted {
                    let note = ObjectNote { object: step.id.clone(), note: Note::Adopted };
                    self.report.notes.push(note);
                }
                let is_unchanged = written == Written::Nothing;
                self.report.written += usize::from(!is_unchanged);
                self.report.unchanged += usize::from(is_unchanged);
                if written == Written::Created && is_namespace(&step.id) {
                    self.new_namespaces.insert(step.id.name.clone());
                }
                self.applied.push((step, resource, live));
            }
            Outcome::Failed { failure, is_absent } => {
                if is_absent && is_namespace(&step.id) {
                    self.unusable_namespaces.insert(step.id.name.clone());
                }
                self.report.failures.push(failure);
            }
        }
    }

    /// Waits until the kinds that this order brings along are served, as far as it needs them. One
    /// that is not served in time makes its objects fail, not the order.
    async fn establish(&mut self, needed: &BTreeSet<(String, String)>) -> Result<(), Stop> {
        let crd = Resource::crd();
        for (step, _, live) in &mut self.applied {
            let kinds: Vec<Resource> = served_by(step.body()).collect();
            let is_needed =
                |kind: &Resource| needed.contains(&(kind.group.clone(), kind.kind.clone()));
            if step.id.kind != crd.kind || !kinds.iter().any(is_needed) {
                continue;
            }
            let is_served = |live: Option<&Value>| {
                live.is_some_and(|live| availability(live) == Availability::Available)
            };
            let until = Instant::now() + CRD_ESTABLISHED_WAIT;
            if !is_served(Some(live)) {
                let name = &step.id.name;
                let now =
                    wait_for(self.member, &crd, "", name, CRD_ESTABLISHED_WAIT, is_served).await;
                let Some(Some(established)) = now else { continue };
                *live = established;
            }
            for kind in kinds.iter().filter(|kind| is_needed(kind)) {
                self.member.until_served(kind, until).await?;
            }
            self.member.discovery.learn(live).await;
        }
        Ok(())
    }

    /// Writes the inventory down and adds everything up. Only what is applied as a whole is
    /// followed: whoever hears how available it is takes it that nothing of earlier orders is left.
    async fn finish(mut self, removed: Removed) -> Result<DeliveryReport, Stop> {
        self.claimed.record(&self.inventory(&removed)).await?;
        self.report.removed = removed.removed;
        self.report.released = removed.released;
        self.report.remaining = removed.remaining;
        self.report.notes.extend(removed.notes);
        self.report.notes.sort_by(|one, other| one.object.cmp(&other.object));
        if self.report.is_applied() {
            let objects: Vec<(&ObjectId, &Resource, &Value)> = self
                .applied
                .iter()
                .map(|(step, resource, live)| (&step.id, resource, live))
                .collect();
            let observer = &self.member.observer;
            self.report.availability = observer.follow(self.order, &objects, &self.finished);
        } else {
            self.member.observer.progressed(self.order, self.pace.progress);
            let unsettled = self.report.failures.iter().chain(&self.report.remaining);
            self.member.observer.wait_for(&Delivery {
                objects: unsettled.map(|failure| failure.object.clone()).collect(),
                ..delivery_of(self.order)
            });
        }
        // What fails because its namespace did comes after the cause.
        let failures = &mut self.report.failures;
        failures.sort_by_cached_key(|one| (!is_namespace(&one.object), one.object.clone()));
        Ok(self.report)
    }

    /// What is applied now, and what was recorded before and is still there or may be.
    fn inventory(&self, removed: &Removed) -> Vec<Value> {
        let mut entries: Vec<Value> = self
            .applied
            .iter()
            .map(|(step, resource, live)| {
                let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
                inventory_entry(&step.id, resource, step.ordinal, uid)
            })
            .collect();
        let unsettled = self.report.failures.iter().chain(&removed.remaining);
        let unsettled = unsettled.map(|failure| &failure.object);
        for id in unsettled.chain(removed.kept()) {
            let recorded = self.claimed.recorded.iter().find(|entry| is_entry_of(entry, id));
            entries.extend(recorded.cloned());
        }
        entries.sort_by_key(|entry| entry["ordinal"].as_u64());
        entries
    }
}

fn is_namespace(id: &ObjectId) -> bool {
    id.group.is_empty() && id.kind == "Namespace"
}

impl PushMember {
    /// Waits until the path of a kind answers: establishing a CRD and serving it are not the same
    /// moment. There is nothing to watch before the path exists, so it is asked for repeatedly.
    pub(super) async fn until_served(&self, kind: &Resource, until: Instant) -> Result<(), Stop> {
        let mut pause = SERVED_PAUSE;
        let one = ListParams::default().limit(1);
        while Instant::now() < until {
            match self.requests.list::<Value>(kind, &one).await {
                Err(CallError::Refused(status)) if is_path_missing(&status) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(SERVED_PAUSE_MAX);
                }
                Ok(_) | Err(CallError::Refused(_)) => break,
                Err(
                    error @ (CallError::Unusable { .. }
                    | CallError::Busy(_)
                    | CallError::TimedOut(_)),
                ) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
