//! What was chosen happens.

use std::time::Duration;

use actors::ask::{Origin, envelope};
use bytes::Bytes;
use domain::placement::{PlacementCommand, Reschedule};
use event_log::{Log, Stream, partition_of};
use events::{AggregateId, Partition, Principal};
use simulator::TransportError;

use super::{Fate, Step, World};
use crate::simulation::Shared;
use crate::simulation::node::Mark;
use crate::simulation::oracle::Checked;
use crate::simulation::user::Changed;

/// How often tasks that are ready are run after each step. Each round runs up to 61 of them; a
/// history is the same whether or not something is left for the next step.
const ROUNDS_PER_STEP: usize = 3;

impl World {
    pub(super) async fn take(&mut self, step: Step) -> Checked {
        self.shared.figures.steps += 1;
        self.note(&step);
        self.do_step(step).await?;
        self.shared.oracle.read(&mut self.shared.trace).await?;
        for mark in std::mem::take(&mut self.shared.news) {
            self.tell_all(&mark);
        }
        for _ in 0..ROUNDS_PER_STEP {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn note(&mut self, step: &Step) {
        let at = self.shared.now_ms;
        let words = if let Step::Land { index, fate } = step {
            self.shared.wire.look(|waiting| {
                let request = &waiting[*index];
                let (method, uri) = (request.request.method(), request.request.uri());
                let (node, member) = (&request.node, &request.member);
                format!("{fate:?}: {node} to {member}: {method} {uri}")
            })
        } else if let Step::Return { index } = step {
            let (back, _) = &self.returns[*index];
            format!("an answer of {} reaches {}", back.member, back.node)
        } else {
            format!("{step:?}")
        };
        self.shared.trace.note(format!("{at:>6} {words}"));
    }

    pub(super) fn tell_all(&mut self, mark: &Mark) {
        let now_ms = self.shared.now_ms;
        for node in &mut self.nodes {
            if let Some(life) = &mut node.life {
                life.mark(mark.clone(), now_ms);
            }
        }
    }

    async fn do_step(&mut self, step: Step) -> Checked {
        match step {
            Step::Fold { node } => self.fold(node).await,
            Step::ReadCommand { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.read_command(partition, &mut self.shared).await
            }
            Step::Look { node, mark } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.look(mark, &mut self.shared).await
            }
            Step::Decide { node, partition, id } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                self.panicked.remove(&id);
                life.decide(partition, &id, &mut self.shared)
            }
            Step::Panic { node, partition, id } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                self.shared.figures.faults += 1;
                self.panicked.insert(id.clone());
                life.panic(partition, &id, &mut self.shared)
            }
            Step::EndEntity { node, partition, id } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                self.shared.figures.faults += 1;
                life.end_entity(partition, &id);
                Ok(())
            }
            Step::Flush { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.flush(partition, &mut self.shared)
            }
            Step::Append { node, index } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.append(index, &mut self.shared).await
            }
            Step::Perform { node } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.perform(&mut self.shared)
            }
            Step::Report { node, number } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.report(number, &mut self.shared).await
            }
            Step::Observe { node } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.observe(&mut self.shared)
            }
            Step::StartShard { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.start_shard(partition, &mut self.shared);
                Ok(())
            }
            Step::StopShard { node, partition } => {
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                life.stop_shard(partition, &mut self.shared)
            }
            Step::Land { index, fate } => self.land(index, fate).await,
            Step::Return { index } => {
                let (back, answer) = self.returns.remove(index);
                back.carry(answer);
                Ok(())
            }
            Step::Submit { index } => self.submit(index).await,
            Step::Time { ms } => self.pass(ms).await,
            Step::User => {
                let Shared { user, random, members, .. } = &mut self.shared;
                let acted = user.act(random, &members.names, &self.keys);
                self.tell(acted)
            }
            Step::ComeOrGo => {
                let Shared { user, random, members, .. } = &mut self.shared;
                let acted = user.come_or_go(random, &members.names, &self.keys);
                self.tell(acted)
            }
            Step::SubmitLook => self.submit_look(),
            Step::Store { node } => self.store(node).await,
            Step::Crash { node } => {
                self.shared.figures.crashes += 1;
                self.nodes[node].crash(&mut self.shared);
                Ok(())
            }
            Step::Start { node, keeps_disk } => {
                self.nodes[node].start(&mut self.shared, keeps_disk);
                Ok(())
            }
            Step::Want { node, partition } => {
                self.nodes[node].wanted.insert(partition);
                Ok(())
            }
            Step::Unwant { node, partition } => {
                self.nodes[node].wanted.remove(&partition);
                Ok(())
            }
            Step::Away { member } => {
                self.shared.figures.faults += 1;
                self.shared.members.away.insert(member.clone());
                self.tell_all(&Mark::Check(member));
                Ok(())
            }
            Step::Back { member } => {
                self.shared.members.away.remove(&member);
                self.tell_all(&Mark::Check(member));
                Ok(())
            }
            Step::Stray { index } => {
                let (stream, bytes) = self.shared.strays.remove(index);
                let landed = self.shared.memory.append(stream, bytes).await;
                landed.expect("memory does not fail");
                Ok(())
            }
        }
    }

    /// Reads up to six records at once: what is told of the first finds a model that knows of the
    /// last.
    async fn fold(&mut self, node: usize) -> Checked {
        let readable = self.readable(node);
        let random = &mut self.shared.random;
        let count = random.usize(1..=6);
        let partitions: Vec<Partition> =
            (0..count).filter_map(|_| random.choice(&readable).copied()).collect();
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        life.fold(&partitions, &mut self.shared).await
    }

    async fn land(&mut self, index: usize, fate: Fate) -> Checked {
        let waiting = self.shared.wire.take(index);
        if fate != Fate::Answered {
            self.shared.figures.faults += 1;
        }
        let cluster = waiting.member.clone();
        if fate == Fate::Lost {
            let (_, back) = waiting.split();
            back.carry(Err(TransportError::Refused { cluster }));
            return Ok(());
        }
        let Shared { members, oracle, trace, now_ms, .. } = &mut self.shared;
        if fate == Fate::Forbidden {
            let (back, answer) = members.forbid(waiting).await;
            back.carry(answer);
            return Ok(());
        }
        let (back, answer) = members.land(waiting, *now_ms, oracle, trace).await?;
        match fate {
            Fate::Answered | Fate::Forbidden => back.carry(answer),
            Fate::AnsweredLater => self.returns.push((back, answer)),
            Fate::AnswerLost | Fate::Lost => back.carry(Err(TransportError::Reset { cluster })),
        }
        Ok(())
    }

    async fn pass(&mut self, ms: u64) -> Checked {
        let by = Duration::from_millis(ms);
        self.shared.now_ms += ms;
        self.shared.wire.set_now(self.shared.now_ms);
        self.shared.members.fleet.advance(by);
        for life in self.nodes.iter_mut().filter_map(|node| node.life.as_mut()) {
            life.let_go_idle(self.shared.now_ms);
        }
        tokio::time::advance(by).await;
        Ok(())
    }

    /// Has the nodes see what somebody did.
    fn tell(&mut self, acted: Option<(Changed, String)>) -> Checked {
        let Some((changed, what)) = acted else { return Ok(()) };
        self.shared.trace.note(format!("      somebody {what}"));
        match changed {
            Changed::Placement(key) => self.tell_all(&Mark::Placement(key)),
            Changed::Cluster(name) => {
                self.tell_all(&Mark::Cluster(name.clone()));
                self.tell_all(&Mark::Check(name));
            }
        }
        Ok(())
    }

    /// Somebody asks a placement to look again, through the log.
    fn submit_look(&mut self) -> Checked {
        let shared = &mut self.shared;
        let Some(key) = shared.random.choice(&self.keys) else { return Ok(()) };
        let id = uuid::Builder::from_random_bytes(shared.random.u128(..).to_le_bytes());
        let origin = Origin {
            id: id.into_uuid(),
            principal: Principal::System,
            time: shared.start + Duration::from_millis(shared.now_ms),
            traceparent: None,
        };
        let id = AggregateId::Placement(key.clone());
        let command = PlacementCommand::Reschedule(Reschedule {});
        let command = envelope(id.clone(), &command.into(), &origin).expect("it is plain data");
        let bytes = serde_json::to_vec(&command).expect("it is plain data");
        let partition = partition_of(&id, shared.partitions);
        self.submissions.push((partition, Bytes::from(bytes), command.id));
        Ok(())
    }

    /// Whoever submits does so until the log has answered: one command may stand there often.
    async fn submit(&mut self, index: usize) -> Checked {
        let (partition, bytes, id) = self.submissions[index].clone();
        let stored = self.shared.log.append(Stream::Commands(partition), bytes).await;
        if stored.is_ok() {
            self.acknowledged.insert(id);
            self.submissions.remove(index);
        }
        Ok(())
    }

    async fn store(&mut self, node: usize) -> Checked {
        if let Some(life) = &self.nodes[node].life {
            self.shared.oracle.check_model(&life.model).await?;
        }
        self.nodes[node].store();
        Ok(())
    }
}
