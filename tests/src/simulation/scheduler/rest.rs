//! When faults have stopped: everything comes to rest, and does so again after each change.

use event_log::Odds;
use events::Partition;

use super::{STEPS_TO_REST_MAX, Step, World};
use crate::simulation::node::{Mark, Node};
use crate::simulation::oracle::{Checked, violated};
use crate::simulation::wire::Waiting;

impl World {
    /// No more faults: everything that was away comes back, and each partition is wanted by one
    /// node.
    pub(super) async fn calm_down(&mut self) -> Checked {
        self.shared.trace.note("       faults have stopped");
        self.has_faults = false;
        self.shared.log.set_odds(Odds::default());
        let landed = self.shared.log.land().await;
        landed.expect("memory does not fail");
        self.shared.strays.clear();
        self.shared.members.away.clear();
        for partition in (0..self.shared.partitions).map(Partition) {
            let wanting: Vec<usize> = (0..self.nodes.len())
                .filter(|node| self.nodes[*node].wanted.contains(&partition))
                .collect();
            let random = &mut self.shared.random;
            let keeps = random.choice(wanting).unwrap_or_default();
            for (number, node) in self.nodes.iter_mut().enumerate() {
                match number == keeps {
                    true => node.wanted.insert(partition),
                    false => node.wanted.remove(&partition),
                };
            }
        }
        for node in &mut self.nodes {
            if node.life.is_none() {
                node.start(&mut self.shared, true);
            }
        }
        for member in self.shared.members.names.clone() {
            self.tell_all(&Mark::Check(member));
        }
        self.shared.oracle.read(&mut self.shared.trace).await
    }

    /// Goes on until everything has come to rest, and checks that it is as it should be.
    pub(super) async fn rest(&mut self) -> Checked {
        for _ in 0..STEPS_TO_REST_MAX {
            let steps = self.steps();
            if !steps.is_empty() {
                let step = self.choose(steps);
                self.take(step).await?;
            } else if self.is_at_rest() {
                return self.check_end().await;
            } else {
                self.take(Step::Time { ms: 50 }).await?;
            }
        }
        violated!("it does not come to rest: {}", self.what_is_left())
    }

    /// People want a few things in short order. Meanwhile time passes and a partition may lag, so
    /// that what is looked at a moment later is looked at while other things are on their way.
    pub(super) async fn go_on_calmly(&mut self) -> Checked {
        let lagging = Partition(self.shared.random.u16(..=self.shared.partitions));
        // There is one number more than there are partitions: then none lags.
        self.lagging = (lagging.0 < self.shared.partitions).then_some(lagging);
        for _ in 0..self.shared.random.u32(2..=4) {
            let step = self.shared.random.choice([Step::User, Step::ComeOrGo]);
            self.take(step.expect("there are two")).await?;
            for _ in 0..self.shared.random.u32(..60) {
                let mut steps = self.steps();
                let ms = self.shared.random.u64(1..20);
                steps.push((20, Step::Time { ms }));
                let step = self.choose(steps);
                self.take(step).await?;
            }
        }
        self.lagging = None;
        Ok(())
    }

    /// Whether nothing is left to do but to let time pass.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_idle = |node: &Node| {
            node.life.as_ref().is_some_and(|life| {
                let runs = life.shards.keys().eq(&node.wanted);
                runs && life.is_idle() && !life.has_marks()
            })
        };
        let waits = |waiting: &[Waiting]| waiting.iter().any(|one| !one.is_watch());
        self.nodes.iter().all(is_idle)
            && self.returns.is_empty()
            && !self.shared.wire.look(waits)
            && self.shared.user.clusters.keys().all(|name| self.is_well(name))
            && self.shared.user.placements.values().all(|object| !object.deleting)
            && self.shared.user.clusters.values().all(|object| !object.deleting)
    }

    /// Whether a cluster joined and is not known to be unwell; if it is, the next check says more.
    fn is_well(&self, name: &str) -> bool {
        let known = self.shared.oracle.model.clusters.get(name);
        let member = known.and_then(|known| known.state.member());
        member.is_some_and(|m| {
            m.identity.is_some() && m.unhealthy.is_none() && m.link_failure.is_none()
        })
    }

    pub(super) fn what_is_left(&self) -> String {
        let lives = self.nodes.iter().filter_map(|node| Some((node, node.life.as_ref()?)));
        let nodes: Vec<String> =
            lives.map(|(node, life)| format!("{}: {}", node.name, life.what_is_left())).collect();
        let (user, wire) = (&self.shared.user, &self.shared.wire);
        let deleting = user.placements.iter().filter(|(_, object)| object.deleting);
        let deleting: Vec<String> = deleting.map(|(key, _)| key.to_string()).collect();
        format!(
            "{}; {} requests; being deleted: {}",
            nodes.join("; "),
            wire.look(<[_]>::len),
            deleting.join(", ")
        )
    }

    async fn check_end(&mut self) -> Checked {
        let models = self.nodes.iter().filter_map(|node| node.life.as_ref());
        let models: Vec<_> = models.map(|life| &life.model).collect();
        crate::simulation::end::check(&self.shared, &models, &self.keys, &self.acknowledged).await
    }
}
