//! Everything that can happen next, with how likely it is.

use event_log::{Log, Stream};
use events::Partition;

use super::{Fate, Step, World};

impl World {
    /// Everything that can happen next, with how likely it is.
    pub(super) fn steps(&mut self) -> Vec<(u32, Step)> {
        let mut steps = vec![];
        for node in 0..self.nodes.len() {
            self.steps_of_node(node, &mut steps);
        }
        self.steps_of_wire(&mut steps);
        for index in 0..self.submissions.len() {
            steps.push((10, Step::Submit { index }));
        }
        if self.has_faults {
            self.steps_of_world(&mut steps);
        }
        steps
    }

    fn steps_of_node(&self, node: usize, steps: &mut Vec<(u32, Step)>) {
        let Some(life) = &self.nodes[node].life else { return };
        let shared = &self.shared;
        let now_ms = shared.now_ms;
        if !self.readable(node).is_empty() {
            steps.push((40, Step::Fold { node }));
        }
        for partition in (0..shared.partitions).map(Partition) {
            let end = self.end_of(Stream::Commands(partition));
            if life.has_commands(partition, end) {
                steps.push((10, Step::ReadCommand { node, partition }));
            }
        }
        for mark in life.due_marks(now_ms) {
            steps.push((5, Step::Look { node, mark }));
        }
        for (partition, id) in life.to_decide() {
            if self.has_faults && !self.panicked.contains(&id) {
                steps.push((1, Step::Panic { node, partition, id: id.clone() }));
            }
            steps.push((15, Step::Decide { node, partition, id }));
        }
        for partition in life.to_flush(shared) {
            steps.push((20, Step::Flush { node, partition }));
        }
        for index in 0..life.appends.len() {
            steps.push((25, Step::Append { node, index }));
        }
        if life.has_due_effects(now_ms) {
            steps.push((20, Step::Perform { node }));
        }
        for number in life.ended_effects() {
            steps.push((20, Step::Report { node, number }));
        }
        if life.has_observations() {
            steps.push((10, Step::Observe { node }));
        }
        let wanted = &self.nodes[node].wanted;
        for partition in wanted.iter().filter(|at| !life.shards.contains_key(at)) {
            steps.push((4, Step::StartShard { node, partition: *partition }));
        }
        for (partition, shard) in life.shards.iter().filter(|(at, _)| !wanted.contains(at)) {
            let weight = if shard.stopping { 1 } else { 4 };
            steps.push((weight, Step::StopShard { node, partition: *partition }));
        }
    }

    fn steps_of_wire(&self, steps: &mut Vec<(u32, Step)>) {
        let away = &self.shared.members.away;
        self.shared.wire.look(|waiting| {
            for (index, request) in waiting.iter().enumerate() {
                let is_away = away.contains(&request.member);
                let fates: &[(u32, Fate)] = match (is_away, request.is_watch()) {
                    (true, true) => &[],
                    (true, false) => &[(5, Fate::Lost)],
                    (false, true) => &[(20, Fate::Answered)],
                    (false, false) if !self.has_faults => &[(20, Fate::Answered)],
                    (false, false) => &[
                        (40, Fate::Answered),
                        (4, Fate::AnsweredLater),
                        (3, Fate::AnswerLost),
                        (4, Fate::Forbidden),
                        (3, Fate::Lost),
                    ],
                };
                let land =
                    |(weight, fate): &(u32, Fate)| (*weight, Step::Land { index, fate: *fate });
                steps.extend(fates.iter().map(land));
            }
        });
        for index in 0..self.returns.len() {
            steps.push((8, Step::Return { index }));
        }
    }

    /// What only happens while there are faults.
    fn steps_of_world(&mut self, steps: &mut Vec<(u32, Step)>) {
        let shared = &mut self.shared;
        let ms = match shared.random.u8(..40) {
            0 => 16_000,
            1..=6 => shared.random.u64(100..700),
            _ => shared.random.u64(1..20),
        };
        steps.push((6, Step::Time { ms }));
        steps.push((2, Step::User));
        if shared.random.u8(..3) == 0 {
            steps.push((1, Step::SubmitLook));
        }
        for node in 0..self.nodes.len() {
            match &self.nodes[node].life {
                Some(life) => {
                    if let Some((partition, id)) = shared.random.choice(life.entities()) {
                        steps.push((1, Step::EndEntity { node, partition, id }));
                    }
                    steps.push((1, Step::Store { node }));
                    if shared.random.u8(..3) == 0 {
                        steps.push((1, Step::Crash { node }));
                    }
                }
                None => {
                    steps.push((4, Step::Start { node, keeps_disk: true }));
                    steps.push((1, Step::Start { node, keeps_disk: false }));
                }
            }
        }
        let partition = Partition(shared.random.u16(..shared.partitions));
        let wanting: Vec<usize> =
            (0..self.nodes.len()).filter(|n| self.nodes[*n].wanted.contains(&partition)).collect();
        let node = shared.random.usize(..self.nodes.len());
        if wanting.len() > 1 {
            steps.push((6, Step::Unwant { node: wanting[node % wanting.len()], partition }));
        } else if !wanting.contains(&node) {
            steps.push((2, Step::Want { node, partition }));
        }
        let away = shared.random.usize(..shared.members.names.len());
        let member = shared.members.names[away].clone();
        match shared.members.away.contains(&member) {
            true => steps.push((3, Step::Back { member })),
            false if shared.random.u8(..3) == 0 => steps.push((1, Step::Away { member })),
            false => {}
        }
        for index in 0..shared.strays.len() {
            steps.push((2, Step::Stray { index }));
        }
    }

    fn end_of(&self, stream: Stream) -> u64 {
        let end = futures::FutureExt::now_or_never(self.shared.memory.end(stream));
        end.and_then(Result::ok).expect("memory answers at once")
    }

    /// The partitions of which a node has not read everything, and can read more now.
    pub(super) fn readable(&self, node: usize) -> Vec<Partition> {
        let Some(life) = &self.nodes[node].life else { return vec![] };
        let partitions = (0..self.shared.partitions).map(Partition);
        partitions
            .filter(|partition| self.lagging != Some(*partition))
            .filter(|partition| life.has_more(*partition, self.end_of(Stream::Events(*partition))))
            .collect()
    }
}
