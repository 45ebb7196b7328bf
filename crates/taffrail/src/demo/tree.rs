//! The demo's picture: a placement, its clusters, and how far each is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use actors::node::Router;
use domain::placement::{PlacementState, Target};
use events::PlacementKey;
use events::placement::TargetPhase;

/// How many clusters are drawn: what fits on a small terminal, together with what stands above.
const CLUSTERS_DRAWN_MAX: usize = 16;

/// Draws one placement from the model.
pub(super) struct Tree {
    router: Router,
    placement: PlacementKey,
    /// How many members the fleet has on the hub's API server.
    members: usize,
}

impl Tree {
    pub(super) fn new(router: Router, placement: PlacementKey, members: usize) -> Self {
        Self { router, placement, members }
    }

    fn state(&self) -> PlacementState {
        let model = self.router.fold().model();
        model.placements.get(&self.placement).map(|known| known.state.clone()).unwrap_or_default()
    }

    /// Whether every member of the fleet has joined, and every chosen one has everything.
    pub(super) fn is_available(&self) -> bool {
        let all_joined = self.joined() >= self.members;
        let state = self.state();
        let latest = state.revision.as_ref().map(|revision| revision.reference.index);
        let has_all = |target: &Target| target.revision == latest && is_available(target);
        all_joined && !state.targets.is_empty() && state.targets.values().all(has_all)
    }

    /// The clusters that the placement is on.
    pub(super) fn clusters(&self) -> Vec<String> {
        self.state().targets.keys().cloned().collect()
    }

    fn joined(&self) -> usize {
        let model = self.router.fold().model();
        model.clusters.values().filter(|cluster| cluster.state.is_joined()).count()
    }

    /// One line that says how far it is.
    pub(super) fn summary(&self) -> String {
        let (joined, members) = (self.joined(), self.members);
        let state = self.state();
        let available = state.targets.values().filter(|target| is_available(target)).count();
        let targets = state.targets.len();
        format!("{joined} of {members} members joined, available on {available} of {targets}")
    }

    /// The tree. Of many clusters, those that are not there yet come first.
    pub(super) fn draw(&self) -> String {
        let state = self.state();
        let mut drawn = format!("\n{}\n", self.placement);
        if let Some(scheduled) = &state.scheduled {
            writeln!(drawn, "│  {}", scheduled.message).expect("a string takes everything");
        }
        drawn + &branches(&state.targets)
    }
}

fn branches(targets: &BTreeMap<String, Target>) -> String {
    let mut all: Vec<_> = targets.iter().collect();
    if all.len() > CLUSTERS_DRAWN_MAX {
        all.sort_by_key(|(_, target)| is_available(target));
    }
    let (drawn, more) = all.split_at(all.len().min(CLUSTERS_DRAWN_MAX));
    let mut lines: Vec<String> = drawn
        .iter()
        .map(|(cluster, target)| {
            let revision = target.revision.map_or("-".to_owned(), |revision| revision.to_string());
            format!("{cluster:<16} revision {revision:<4} {}", words(target))
        })
        .collect();
    if !more.is_empty() {
        let available = more.iter().filter(|(_, target)| is_available(target)).count();
        lines.push(format!("and {} more, {available} of them available", more.len()));
    }
    let last = lines.len().saturating_sub(1);
    let branch = |(index, line)| {
        let branch = if index == last { "└─" } else { "├─" };
        format!("{branch} {line}\n")
    };
    lines.iter().enumerate().map(branch).collect()
}

fn is_available(target: &Target) -> bool {
    matches!(target.phase, TargetPhase::Available | TargetPhase::AvailableUntracked)
}

fn words(target: &Target) -> String {
    let state = match target.phase {
        TargetPhase::Moving => "on its way",
        TargetPhase::Assigned => "being applied",
        TargetPhase::ApplyFailed => "not applied",
        TargetPhase::Applied => "applied, waiting to be available",
        TargetPhase::Available | TargetPhase::AvailableUntracked => "available",
        TargetPhase::Removing => "being removed",
        TargetPhase::Removed => "removed",
    };
    match target.failures.first() {
        Some(failure) => format!("{state}: {}: {}", failure.object, failure.message),
        None => state.to_owned(),
    }
}
