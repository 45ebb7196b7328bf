//! What a shard does: appends, hears what counts, has its entities decide, answers.

use actors::effects::after_take_over;
use actors::shard::{Answered, ClaimIdentity, Step, Told, wake_ups};
use domain::Effect;
use event_log::{Accepted, Log, Stream, partition_of};
use events::{AggregateId, Epoch, Partition};

use super::{Life, PendingAppend, VERSION, not_owner};
use crate::simulation::Shared;
use crate::simulation::oracle::Checked;
use crate::simulation::shard::Shard;

impl Life {
    pub(super) fn folded(&mut self, accepted: &Accepted, shared: &mut Shared) {
        let partition = accepted.position.partition;
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        shard.flush_is_due = true;
        match shard.core.accepted(accepted, shared.now_ms) {
            Told::Owned(epoch) => self.owned(partition, epoch, shared),
            Told::Counted(recorded) => {
                for one in recorded {
                    let Some(shard) = self.shards.get_mut(&partition) else { return };
                    let (effects, answers) = shard.counted(one, &self.model);
                    self.offer(effects, shared);
                    self.answer(partition, answers);
                }
            }
            Told::Lost => {
                shared.trace.note(format!("      {} lost {partition}", self.name));
                return self.end_shard(partition, shared);
            }
            Told::Other => {}
        }
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        if shard.core.wants_pending() {
            shard.core.take_pending(&self.model.inbox, shared.now_ms);
        }
        if shard.core.has_stopped() {
            self.end_shard(partition, shared);
        }
    }

    fn owned(&mut self, partition: Partition, epoch: Epoch, shared: &mut Shared) {
        shared.trace.note(format!("      {} owns {partition} in epoch {epoch}", self.name));
        shared.figures.take_overs += 1;
        self.owning.insert(partition, epoch);
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        shard.core.take_pending(&self.model.inbox, shared.now_ms);
        shard.core.take_wake_ups(wake_ups(&self.model, partition, shared.partitions));
        if let Some(from) = shard.core.start_reading(&self.model.inbox) {
            shard.commands = Some((from, None));
        }
        for (_, effect) in after_take_over(&self.model, partition, shared.partitions) {
            self.queue.offer(effect, shared.now_ms);
        }
        self.mark_all(shared);
    }

    /// Ends a shard: nobody is answered any more but with *not the owner*.
    fn end_shard(&mut self, partition: Partition, shared: &mut Shared) {
        let Some(shard) = self.shards.remove(&partition) else { return };
        for asker in shard.forsaken() {
            self.answers.push((asker, Err(not_owner(partition))));
        }
        self.owning.remove(&partition);
        let owning = &self.owning;
        let partitions = shared.partitions;
        self.queue.retain(|key| {
            let cluster = AggregateId::Cluster(key.cluster.clone());
            owning.contains_key(&partition_of(&cluster, partitions))
        });
        self.mark_all(shared);
    }

    /// Ends a shard in order; asked again, at once.
    pub fn stop_shard(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        // Whoever stops it waits for a while only.
        let is_waited_for = !shard.stopping;
        shard.stopping = true;
        shard.core.stop();
        if shard.core.has_stopped() || !is_waited_for {
            self.end_shard(partition, shared);
        }
        self.settle(shared)
    }

    /// Starts a shard.
    pub fn start_shard(&mut self, partition: Partition, shared: &mut Shared) {
        let identity = ClaimIdentity {
            node: self.name.clone(),
            incarnation: self.incarnation,
            version: VERSION.to_owned(),
        };
        shared.numbers += 1;
        let shard =
            Shard::new(shared.numbers, identity, &self.core.acceptor(partition), shared.bounds);
        self.shards.insert(partition, shard);
    }

    /// Those that have something to decide.
    #[must_use]
    pub fn to_decide(&self) -> Vec<(Partition, AggregateId)> {
        let of = |(partition, shard): (&Partition, &Shard)| {
            let partition = *partition;
            shard.core.ready().map(move |id| (partition, id.clone())).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// Lets an entity decide.
    pub fn decide(
        &mut self,
        partition: Partition,
        id: &AggregateId,
        shared: &mut Shared,
    ) -> Checked {
        let now = self.now(shared);
        if let Some(shard) = self.shards.get_mut(&partition) {
            let answers = shard.decide(id, now, &self.model);
            self.answer(partition, answers);
        }
        self.settle(shared)
    }

    /// An entity panics instead of deciding.
    pub fn panic(
        &mut self,
        partition: Partition,
        id: &AggregateId,
        shared: &mut Shared,
    ) -> Checked {
        let now = self.now(shared);
        if let Some(shard) = self.shards.get_mut(&partition) {
            let (effects, answers) = shard.panic(id, now, &self.model);
            self.offer(effects, shared);
            self.answer(partition, answers);
        }
        self.settle(shared)
    }

    /// The entities at work.
    #[must_use]
    pub fn entities(&self) -> Vec<(Partition, AggregateId)> {
        let of = |(partition, shard): (&Partition, &Shard)| {
            let partition = *partition;
            shard.entities().map(move |id| (partition, id.clone())).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// An entity ends between two commands.
    pub fn end_entity(&mut self, partition: Partition, id: &AggregateId) {
        if let Some(shard) = self.shards.get_mut(&partition) {
            shard.end_entity(id);
        }
    }

    /// Time has passed: entities that nobody needs end.
    pub fn let_go_idle(&mut self, now_ms: u64) {
        self.shards.values_mut().for_each(|shard| shard.let_go_idle(now_ms));
    }

    fn answer(&mut self, partition: Partition, answers: Vec<Answered>) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        for (ticket, answer) in answers {
            if let Some(asker) = shard.asker(ticket) {
                self.answers.push((asker, answer));
            }
        }
    }

    fn offer(&mut self, effects: Vec<Effect>, shared: &Shared) {
        for effect in effects {
            self.queue.offer(effect, shared.now_ms);
        }
    }

    /// The shards whose cores have to be asked for their next step.
    #[must_use]
    pub fn to_flush(&self, shared: &Shared) -> Vec<Partition> {
        let (now, now_ms) = (self.now(shared), shared.now_ms);
        let due = self.shards.iter().filter(|(_, shard)| shard.is_due(now, now_ms));
        due.map(|(at, _)| *at).collect()
    }

    /// Asks a shard for its next step.
    pub fn flush(&mut self, partition: Partition, shared: &mut Shared) -> Checked {
        let now = self.now(shared);
        let Some(shard) = self.shards.get_mut(&partition) else { return Ok(()) };
        shard.flush_is_due = false;
        let random = &mut shared.random;
        let id = || uuid::Builder::from_random_bytes(random.u128(..).to_le_bytes()).into_uuid();
        shard.core.wake(now, shared.now_ms, id);
        match shard.core.next_step(now, shared.now_ms) {
            Step::Wait => {}
            Step::Answer(answers) => {
                shard.flush_is_due = true;
                self.answer(partition, answers);
            }
            Step::Append(bytes) => {
                self.appends.push(PendingAppend { partition, shard: shard.number, bytes });
            }
        }
        self.settle(shared)
    }

    /// Carries an append out.
    pub async fn append(&mut self, index: usize, shared: &mut Shared) -> Checked {
        let append = self.appends.remove(index);
        let stream = Stream::Events(append.partition);
        let result = shared.log.append(stream, append.bytes.clone()).await;
        let shard = self.shards.get_mut(&append.partition);
        // Of a shard that ended meanwhile, nobody hears the answer.
        let shard = shard.filter(|shard| shard.number == append.shard);
        if let (Err(error), Some(shard)) = (result, shard) {
            shared.trace.note(format!("      the append fails: {:?}", error.failure()));
            shard.core.append_failed(&append.bytes, error.failure(), shared.now_ms);
        }
        Ok(())
    }
}
