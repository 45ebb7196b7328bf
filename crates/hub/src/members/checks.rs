//! When each member is asked how it is.
//!
//! A member that does not answer takes up its check for seconds. So those of which something is
//! known to be wrong are asked apart from the others: a hundred dead ones must not keep a new one
//! from joining, nor all others from their first orders after a restart.

use std::time::Duration;

use super::heartbeat::Heartbeats;
use super::objects::{Objects, confirmed_cluster};
use super::statuses::Statuses;
use crate::work_queue::{Next, WorkQueue};

/// How many members are asked at once that should be well: a restart must not open thousands of
/// connections in one moment. Twice as many would only wait for the same two cores.
const PROBES_AT_ONCE_MAX: usize = 64;

/// How many members are asked at once that are known to be unwell. They mostly wait: with ten
/// seconds each, a thousand dead ones are asked every three minutes, and twice as many sockets
/// would make that one and a half.
const UNWELL_PROBES_AT_ONCE_MAX: usize = 64;

/// The period of checks when the object says what no object may say.
const PERIOD_DEFAULT: Duration = Duration::from_secs(60);

/// The checks of all members. Cheap to clone.
#[derive(Clone)]
pub(super) struct Checks {
    objects: Objects,
    heartbeats: Heartbeats,
    statuses: Statuses,
    well: WorkQueue<String>,
    unwell: WorkQueue<String>,
}

/// Whose turn it is in which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Well,
    Unwell,
}

impl Checks {
    pub(super) fn new(objects: Objects, heartbeats: Heartbeats, statuses: Statuses) -> Self {
        let (well, unwell) = (WorkQueue::new(), WorkQueue::new());
        Self { objects, heartbeats, statuses, well, unwell }
    }

    /// Has a member checked now.
    pub(super) fn mark(&self, cluster: &str) {
        self.queue(self.kind(cluster)).mark(cluster.to_owned(), Duration::ZERO);
    }

    fn kind(&self, cluster: &str) -> Kind {
        if self.heartbeats.is_unwell(cluster) { Kind::Unwell } else { Kind::Well }
    }

    fn queue(&self, kind: Kind) -> &WorkQueue<String> {
        match kind {
            Kind::Well => &self.well,
            Kind::Unwell => &self.unwell,
        }
    }

    /// Checks for ever.
    pub(super) async fn run(self) {
        let bounds = [(Kind::Well, PROBES_AT_ONCE_MAX), (Kind::Unwell, UNWELL_PROBES_AT_ONCE_MAX)];
        let [well, unwell] = bounds.map(|(kind, at_once_max)| {
            let checks = self.clone();
            self.queue(kind).clone().run(at_once_max, move |cluster: String| {
                let checks = checks.clone();
                async move { checks.check(kind, &cluster).await }
            })
        });
        tokio::join!(well, unwell);
    }

    async fn check(&self, kind: Kind, cluster: &str) -> Next {
        let Some(object) = self.objects.get(cluster) else { return Next::Wait };
        if self.kind(cluster) != kind {
            // It fell ill or recovered while it waited for its turn.
            self.mark(cluster);
            return Next::Wait;
        }
        let seconds = u64::try_from(object.spec.heartbeat_period_seconds);
        let period = seconds.map_or(PERIOD_DEFAULT, Duration::from_secs);
        let next = self.heartbeats.check(cluster, period, confirmed_cluster(&object)).await;
        self.statuses.mark(cluster);
        next
    }
}
