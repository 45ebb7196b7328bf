//! A cluster that goes on after its process ended. Only its objects were kept; what its
//! controllers had in mind is found again in them.

use fastrand::Rng;
use jiff::Timestamp;

use super::background::{CRDS, Timer};
use super::{Cluster, ClusterOptions, workload};
use crate::crd;
use crate::object::Meta as _;
use crate::store::{Commit, Kept};
use crate::time::after;

/// Spreads revisions over seeds (2^64 divided by the golden ratio, odd).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Cluster {
    /// A cluster whose commits are kept by the caller: as it was before, or a fresh one.
    pub(crate) fn kept(now: Timestamp, options: ClusterOptions, before: Option<Kept>) -> Self {
        let mut cluster = Self::without_objects(options);
        cluster.store.keep_commits();
        match before {
            Some(kept) => cluster.restore(now, kept),
            None => cluster.found(now),
        }
        cluster
    }

    /// What was committed since the last call, with revisions.
    pub(crate) fn take_commits(&mut self) -> Vec<(u64, Commit)> {
        self.store.take_commits()
    }

    fn restore(&mut self, now: Timestamp, kept: Kept) {
        let objects = self.store.restore(kept);
        // The revision is one that the cluster never had, so these are draws that it never made:
        // uids do not come again.
        let first_life = self.rng.u64(..);
        self.rng = Rng::with_seed(first_life ^ self.store.revision().wrapping_mul(SPREAD));
        for (key, object) in objects {
            if *key.collection.0 == *CRDS {
                // Also one that is going: its last objects are to be seen and released.
                self.registry.serve(&key.name.name, crd::compile(&object));
            }
            self.wake(now, &key, &object);
            if workload::is_half_way(&key, &object) {
                let ready = Timer::FinishWorkload(key, object.generation());
                self.timers.insert((after(now, self.options.ready_delay), ready));
            }
        }
        self.tick(now);
    }
}
