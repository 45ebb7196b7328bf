//! The fleet view at any watermark: every version of what the scheduler looks at, by position.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{ClusterView, FleetView, ViewChange};
use events::{AggregateId, Envelope, Partition, Position, Sequence, Watermark};

/// What a cluster looked like from each sequence on; `None` where it was no member.
type Versions = Vec<(Sequence, Option<ClusterView>)>;

/// All versions of the fleet view. Clusters move seldom, so this stays small.
#[derive(Default)]
pub(super) struct ViewHistory {
    now: FleetView,
    /// For each cluster: its partition, and what it looked like from each sequence on.
    clusters: BTreeMap<String, (Partition, Versions)>,
}

impl ViewHistory {
    pub(super) fn advance(&mut self, position: Position) {
        self.now.watermark.advance(position);
    }

    pub(super) fn apply(&mut self, position: Position, envelope: &Envelope) {
        let change = self.now.apply(position, envelope);
        if let (true, AggregateId::Cluster(name)) =
            (change != ViewChange::Nothing, &envelope.aggregate)
        {
            let view = self.now.clusters.get(name).cloned();
            let (_, versions) =
                self.clusters.entry(name.clone()).or_insert_with(|| (position.partition, vec![]));
            versions.push((position.sequence, view));
        }
    }

    /// Whether everything that the watermark covers was folded; of the reader's own partition it
    /// was by definition.
    pub(super) fn has_reached(&self, watermark: &Watermark, own: Partition) -> bool {
        watermark.0.iter().all(|(partition, last)| {
            *partition == own || self.now.watermark.of(*partition) >= *last
        })
    }

    /// The view at a watermark; an empty one for a decision that used none.
    pub(super) fn at(&self, watermark: Option<&Watermark>) -> Cow<'_, FleetView> {
        let Some(watermark) = watermark else { return Cow::Owned(FleetView::default()) };
        if *watermark == self.now.watermark {
            return Cow::Borrowed(&self.now);
        }
        let at = |(name, (partition, versions)): (&String, &(Partition, Versions))| {
            let last: Sequence = watermark.of(*partition);
            let count = versions
                .partition_point(|(since, _): &(Sequence, Option<ClusterView>)| *since <= last);
            let (_, view) = versions.get(count.checked_sub(1)?)?;
            Some((name.clone(), view.clone()?))
        };
        let clusters = self.clusters.iter().filter_map(at).collect();
        Cow::Owned(FleetView { clusters, watermark: watermark.clone() })
    }
}
