//! Whether the hub's etcd went back.
//!
//! Resource versions of one etcd only rise. When they fell, it was restored from an older copy, or
//! emptied. A watch would not notice: it waits in silence until the old version is reached again,
//! and whatever happened before that is never told. So one cheap list is asked for again and again,
//! and when its version fell all watches list everything anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an answer may take: the next question comes anyway.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a fall counts that is not on record. Whoever decides for the fleet records it after the
/// next look; others must not act as if nothing had happened before that.
const FALL_COUNTS: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Seen {
    latest: u64,
    /// From where it fell, and when.
    fall: Option<(u64, Instant)>,
}

/// The resource version of the hub's etcd. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Revision {
    seen: Arc<Mutex<Seen>>,
    falls: watch::Sender<u64>,
    /// One question at a time: an answer that is overtaken by a later one would look like a fall.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Revision {
    fn default() -> Self {
        let (seen, asking) = Default::default();
        Self { seen, falls: watch::Sender::new(0), asking }
    }
}

impl Revision {
    /// An object of the same etcd had a version.
    pub(super) fn reached(&self, version: u64) {
        let mut seen = self.seen();
        seen.latest = seen.latest.max(version);
    }

    /// A list that was asked for when `from` had been seen had a version.
    fn saw(&self, from: u64, version: u64) {
        let mut seen = self.seen();
        if version >= from {
            seen.latest = seen.latest.max(version);
            return;
        }
        seen.latest = version;
        let from = seen.fall.map_or(from, |(before, _)| before.max(from));
        seen.fall = Some((from, Instant::now()));
        drop(seen);
        tracing::error!(
            from,
            to = version,
            "the resource versions of the hub went back, as after a restore of its etcd; everything \
             is listed anew"
        );
        self.falls.send_modify(|falls| *falls += 1);
    }

    /// Whether it has just fallen, or is below what is on record.
    pub(crate) fn went_back(&self, recorded: u64) -> bool {
        let seen = self.seen();
        seen.fall.is_some_and(|(_, at)| at.elapsed() < FALL_COUNTS)
            || (seen.latest != 0 && seen.latest < recorded)
    }

    /// From which version it fell, if that is not on record.
    pub(crate) fn fell_from(&self) -> Option<u64> {
        self.seen().fall.map(|(from, _)| from)
    }

    /// The fall is on record: from now on that says whether it counts.
    pub(crate) fn recorded(&self) {
        self.seen().fall = None;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when it falls.
    pub(super) fn falls(&self) -> watch::Receiver<u64> {
        self.falls.subscribe()
    }

    /// Asks once. `None` when the API server does not say.
    pub(crate) async fn look(&self, client: &Client) -> Option<u64> {
        let api: Api<Namespace> = Api::all(client.clone());
        let params = ListParams::default().limit(1);
        let _one_at_a_time = self.asking.lock().await;
        let from = self.seen().latest;
        let listed = tokio::time::timeout(TIMEOUT, api.list_metadata(&params)).await.ok()?.ok()?;
        let version: u64 = listed.metadata.resource_version?.parse().ok()?;
        self.saw(from, version);
        Some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_fell_is_told_and_remembered() {
        let revision = Revision::default();
        let mut falls = revision.falls();
        for (from, version) in [(0, 10), (10, 10), (10, 11)] {
            revision.saw(from, version);
        }
        revision.reached(12);
        revision.saw(11, 11);
        assert!(!falls.has_changed().unwrap() && !revision.went_back(12));
        assert!(revision.went_back(13), "a higher one is on record");
        revision.saw(12, 7);
        assert!(falls.has_changed().unwrap() && revision.went_back(0));
        falls.mark_unchanged();
        revision.saw(7, 8);
        assert!(!falls.has_changed().unwrap() && revision.went_back(0));
        assert_eq!(revision.fell_from(), Some(12));
        revision.recorded();
        assert!(!revision.went_back(8) && revision.fell_from().is_none());
    }
}
