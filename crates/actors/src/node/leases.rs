//! Driving the leases: reads the membership stream, renews, and says what this node should own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event_log::lease::{LeaseActions, LeaseConfig, LeaseCore, LeaseRecord};
use event_log::{Log, LogError, Reader, Stream};
use events::Partition;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::concerns::Gravity;
use crate::shard::ClaimIdentity;
use crate::supervised::Supervisor;

/// How long to wait before the membership stream is read again after an error.
const READ_RETRY: Duration = Duration::from_millis(200);

/// How long a goodbye may take. Without it, others take over when the lease has run out.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

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
    task: JoinHandle<()>,
}

/// Who asks to leave.
type Leaving = mpsc::Receiver<oneshot::Sender<()>>;

impl Leases {
    /// Starts to renew.
    pub(super) fn start(
        log: Arc<dyn Log>,
        identity: &ClaimIdentity,
        partitions: u16,
        config: LeaseConfig,
        superseded: watch::Sender<Option<String>>,
        supervisor: &Supervisor,
    ) -> Self {
        let node = identity.node.clone();
        let (wanted, wanted_seen) = watch::channel(Wanted::default());
        let (leave, leaving) = mpsc::channel(1);
        let leaving = Arc::new(Mutex::new(leaving));
        let task = supervisor.keep("leases", Gravity::Warning, leaving, move |leaving| {
            // A node that takes part again is another run: what the former one had appended may come
            // late.
            let (wanted, superseded) = (wanted.clone(), superseded.clone());
            let core = LeaseCore::new(node.clone(), Uuid::new_v4(), partitions, config);
            let (log, node, started) = (log.clone(), node.clone(), Instant::now());
            let task = Task { log, node, core, wanted, superseded, started };
            task.run(leaving)
        });
        Self { wanted: wanted_seen, leave, task }
    }

    /// Says goodbye, so that others take over at once.
    pub(super) async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let leave = async {
            if self.leave.send(done).await.is_ok() && left.await.is_err() {
                tracing::debug!("the leases ended already");
            }
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, leave).await.is_err() {
            tracing::warn!("no goodbye was said; others take over when the lease has run out");
        }
    }
}

/// Without a goodbye, others take over when the lease has run out.
impl Drop for Leases {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    log: Arc<dyn Log>,
    node: String,
    core: LeaseCore,
    wanted: watch::Sender<Wanted>,
    superseded: watch::Sender<Option<String>>,
    started: Instant,
}

/// Whoever does not renew may be taken for gone, so it must not claim either.
impl Drop for Task {
    fn drop(&mut self) {
        self.wanted.send_modify(|wanted| wanted.may_claim = false);
    }
}

/// How a stretch of reading ended.
enum Ended {
    /// To be read on from here.
    At(u64),
    /// What was read is not there any more: to be read as at the start.
    Lost,
    /// This node takes no part any more.
    Left,
}

impl Task {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn run(mut self, leaving: Arc<Mutex<Leaving>>) {
        let mut leaving = leaving.lock().await;
        let mut from = None;
        loop {
            match self.read(from, &mut leaving).await {
                Ok(Ended::Left) => std::future::pending().await,
                Ok(Ended::At(next)) => from = Some(next),
                Ok(Ended::Lost) | Err(LogError::Corrupt { .. }) => from = None,
                Err(error) => tracing::warn!(%error, "the membership stream is read again"),
            }
            // What cannot be read back is not held for long.
            self.tick();
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Reads the membership stream from where it was read to, or as at the start.
    async fn read(&mut self, from: Option<u64>, leaving: &mut Leaving) -> Result<Ended, LogError> {
        let from = match from {
            Some(from) => from,
            None => LeaseCore::read_from(self.log.end(Stream::Membership).await?),
        };
        let mut reader = self.log.read(Stream::Membership, from).await?;
        Ok(self.follow(&mut reader, from, leaving).await)
    }

    /// Reads and renews until the stream ends or this node takes no part any more.
    async fn follow(&mut self, reader: &mut Reader, from: u64, leaving: &mut Leaving) -> Ended {
        let mut from = from;
        loop {
            let actions = self.tick();
            if actions.is_superseded {
                self.end_superseded();
                return Ended::Left;
            }
            let patience =
                Duration::from_millis(actions.next_tick_ms.saturating_sub(self.now_ms()));
            tokio::select! {
                record = reader.next() => match record {
                    Some(Ok(record)) => {
                        from = record.offset.saturating_add(1);
                        if let Ok(lease) = LeaseRecord::from_bytes(&record.bytes) {
                            let now_ms = self.now_ms();
                            self.core.on_record(&lease, now_ms);
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the membership stream is read again");
                        let is_lost = matches!(error, LogError::Corrupt { .. });
                        return if is_lost { Ended::Lost } else { Ended::At(from) };
                    }
                    None => return Ended::At(from),
                },
                () = tokio::time::sleep(patience) => {}
                Some(done) = leaving.recv() => {
                    let goodbye = self.core.leave();
                    let appended = self.log.append(Stream::Membership, goodbye.to_bytes()).await;
                    if let Err(error) = appended {
                        tracing::warn!(%error, "others take over when the lease has run out");
                    }
                    done.send(()).unwrap_or_else(|()| tracing::debug!("nobody waits any more"));
                    return Ended::Left;
                }
            }
        }
    }

    /// Another process has taken this node's name. To come back under it would only take it away
    /// again, to and fro for ever: this one stays away until somebody has looked at it.
    fn end_superseded(&self) {
        let reason = format!(
            "another process runs under the node name {0} and came later, so this hub lets go of \
             its partitions; give each hub a node name of its own (`node` in its configuration) and \
             restart this one, or end it",
            self.node
        );
        tracing::error!("{reason}");
        self.wanted.send_replace(Wanted::default());
        self.superseded.send_replace(Some(reason));
    }

    /// Renews if it is time, and publishes what this node should own.
    fn tick(&mut self) -> LeaseActions {
        let mut actions = self.core.on_tick(self.now_ms());
        if let Some(renewal) = actions.append.take() {
            let log = self.log.clone();
            // Whether it was written is seen when it comes back.
            tokio::spawn(async move {
                if let Err(error) = log.append(Stream::Membership, renewal.to_bytes()).await {
                    tracing::warn!(%error, "a lease could not be renewed");
                }
            });
        }
        let (desired, may_claim) = (&actions.desired, actions.may_claim);
        self.wanted.send_if_modified(|known| {
            // A run that begins knows nothing of others: what the node has it keeps until then.
            let knows_nothing = desired.is_empty() && !may_claim;
            let partitions = if knows_nothing { &known.partitions } else { desired };
            let wanted = Wanted { partitions: partitions.clone(), may_claim };
            let moved = *known != wanted;
            *known = wanted;
            moved
        });
        actions
    }
}

#[cfg(test)]
mod tests {
    use event_log::MemoryLog;

    use super::*;
    use crate::concerns::Concerns;
    use crate::fold::testing::Replaceable;

    /// The stream is kept for a day, and may be made anew at any time.
    #[tokio::test(start_paused = true)]
    async fn regression_leases_come_back_when_their_stream_is_made_anew() {
        let former = MemoryLog::new();
        for _ in 0..5_000 {
            former.append(Stream::Membership, "a lease of a former day".into()).await.unwrap();
        }
        let log = Replaceable::new(former);
        let identity = ClaimIdentity {
            node: "test".to_owned(),
            incarnation: Uuid::from_u128(1),
            version: "0".to_owned(),
        };
        let config = LeaseConfig { ttl_ms: 300, renew_every_ms: 100, ..Default::default() };
        let superseded = watch::Sender::new(None);
        let supervisor = Supervisor::new(Concerns::default());
        let log_of_leases = Arc::new(log.clone());
        let mut leases =
            Leases::start(log_of_leases, &identity, 4, config, superseded, &supervisor);
        leases.wanted.wait_for(|wanted| wanted.may_claim).await.unwrap();

        log.replace(MemoryLog::new());
        leases.wanted.wait_for(|wanted| !wanted.may_claim).await.unwrap();
        // Time is paused. Without a stop, the new stream would be as long as the old one some day.
        let back = leases.wanted.wait_for(|wanted| wanted.may_claim);
        let back = tokio::time::timeout(Duration::from_secs(10), back).await;
        assert!(back.is_ok(), "no lease comes back");
        drop(back);
        assert_eq!(leases.wanted.borrow().partitions.len(), 4);
        leases.leave().await;
    }

    /// Others count a node as gone that does not renew, whatever it knows itself.
    #[tokio::test(start_paused = true)]
    async fn regression_a_node_behind_a_dead_lease_task_claims_nothing() {
        let identity = ClaimIdentity {
            node: "test".to_owned(),
            incarnation: Uuid::from_u128(1),
            version: "0".to_owned(),
        };
        let config = LeaseConfig { ttl_ms: 300, renew_every_ms: 100, ..Default::default() };
        let (log, superseded) = (Arc::new(MemoryLog::new()), watch::Sender::new(None));
        let concerns = Concerns::default();
        let supervisor = Supervisor::new(concerns.clone());
        let mut leases = Leases::start(log, &identity, 4, config, superseded, &supervisor);
        leases.wanted.wait_for(|wanted| wanted.may_claim).await.unwrap();

        supervisor.break_task("leases");
        let stopped = leases.wanted.wait_for(|wanted| !wanted.may_claim).await.unwrap().clone();
        assert_eq!(stopped.partitions.len(), 4, "what it has it goes on with");
        let told = concerns.all();
        assert_eq!((told[0].check, told[0].about.as_str()), ("task", "leases"));
        leases.wanted.wait_for(|wanted| wanted.may_claim).await.unwrap();
        assert_eq!(leases.wanted.borrow().partitions.len(), 4);
        leases.leave().await;
    }
}
