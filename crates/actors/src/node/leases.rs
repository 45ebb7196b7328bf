//! Driving the leases: reads the membership stream, renews, and says what this node should own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::lease::{LeaseConfig, LeaseCore, LeaseRecord};
use event_log::{Log, Reader, Stream};
use events::Partition;
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot, watch};

use crate::shard::ClaimIdentity;

/// How long to wait before the membership stream is read again after an error.
const READ_RETRY: Duration = Duration::from_millis(200);

/// What this node should own, and whether it may act on that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) partitions: BTreeSet<Partition>,
    pub(super) may_claim: bool,
}

/// The leases at work.
pub(super) struct Leases {
    pub(super) wanted: watch::Receiver<Wanted>,
    leave: mpsc::Sender<oneshot::Sender<()>>,
}

impl Leases {
    /// Starts to renew.
    pub(super) fn start(
        log: Arc<dyn Log>,
        identity: &ClaimIdentity,
        partitions: u16,
        config: LeaseConfig,
    ) -> Self {
        let core = LeaseCore::new(identity.node.clone(), identity.incarnation, partitions, config);
        let (wanted, wanted_seen) = watch::channel(Wanted::default());
        let (leave, leaving) = mpsc::channel(1);
        let task = Task { log, core, wanted, started: Instant::now() };
        tokio::spawn(task.run(leaving));
        Self { wanted: wanted_seen, leave }
    }

    /// Says goodbye, so that others take over at once.
    pub(super) async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.leave.send(done).await.is_ok() && left.await.is_err() {
            tracing::debug!("the leases ended already");
        }
    }
}

struct Task {
    log: Arc<dyn Log>,
    core: LeaseCore,
    wanted: watch::Sender<Wanted>,
    started: Instant,
}

impl Task {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn run(mut self, mut leaving: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut from = match self.log.end(Stream::Membership).await {
            Ok(end) => LeaseCore::read_from(end),
            Err(error) => {
                tracing::warn!(%error, "the end of the membership stream is not known");
                0
            }
        };
        loop {
            let mut reader = match self.log.read(Stream::Membership, from).await {
                Ok(reader) => reader,
                Err(error) => {
                    tracing::warn!(%error, "the membership stream is read again");
                    tokio::time::sleep(READ_RETRY).await;
                    continue;
                }
            };
            if self.follow(&mut reader, &mut from, &mut leaving).await {
                return;
            }
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Reads and renews until the stream ends (false) or this node leaves (true).
    async fn follow(
        &mut self,
        reader: &mut Reader,
        from: &mut u64,
        leaving: &mut mpsc::Receiver<oneshot::Sender<()>>,
    ) -> bool {
        loop {
            let next_tick_ms = self.tick();
            let patience = Duration::from_millis(next_tick_ms.saturating_sub(self.now_ms()));
            tokio::select! {
                record = reader.next() => match record {
                    Some(Ok(record)) => {
                        *from = record.offset + 1;
                        if let Ok(lease) = LeaseRecord::from_bytes(&record.bytes) {
                            let now_ms = self.now_ms();
                            self.core.on_record(&lease, now_ms);
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the membership stream is read again");
                        return false;
                    }
                    None => return false,
                },
                () = tokio::time::sleep(patience) => {}
                Some(done) = leaving.recv() => {
                    let goodbye = self.core.leave();
                    let appended = self.log.append(Stream::Membership, goodbye.to_bytes()).await;
                    if let Err(error) = appended {
                        tracing::warn!(%error, "others take over when the lease has run out");
                    }
                    done.send(()).unwrap_or_else(|()| tracing::debug!("nobody waits any more"));
                    return true;
                }
            }
        }
    }

    /// Renews if it is time, and publishes what this node should own.
    fn tick(&mut self) -> u64 {
        let actions = self.core.on_tick(self.now_ms());
        if let Some(renewal) = actions.append {
            let log = self.log.clone();
            // Whether it was written is seen when it comes back.
            tokio::spawn(async move {
                if let Err(error) = log.append(Stream::Membership, renewal.to_bytes()).await {
                    tracing::warn!(%error, "a lease could not be renewed");
                }
            });
        }
        if actions.is_superseded {
            tracing::error!("another process runs under this node's name; this one lets go");
        }
        let wanted = Wanted { partitions: actions.desired, may_claim: actions.may_claim };
        self.wanted.send_if_modified(|known| {
            let moved = *known != wanted;
            *known = wanted;
            moved
        });
        actions.next_tick_ms
    }
}
