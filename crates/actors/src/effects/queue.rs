//! What is to be done next, without doing it: one effect for each delivery, the latest wins, with
//! backoff after failures and bounds on what runs at once.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Effect, EffectKey};

/// How many effects run on one member at once. A kube-apiserver serves some ten writes at once
/// without queueing; with twice as many orders each only takes longer.
pub const EFFECTS_PER_MEMBER_MAX: usize = 8;

/// How many effects run at once in total. Each holds a few manifests and a connection; twice as
/// many would double that and leave two cores no less busy.
pub const EFFECTS_IN_FLIGHT_MAX: usize = 128;

/// The wait before a failed effect is tried again for the first time; it doubles from there.
pub const RETRY_FIRST_MS: u64 = 500;

/// The longest wait between two tries. Members that come back are tried at once, so this only
/// bounds what nobody tells us about.
pub const RETRY_MAX_MS: u64 = 60_000;

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// There is nothing left to do.
    Done,
    /// It has to be tried again.
    Retry,
}

/// An effect to perform now.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// What.
    pub effect: Effect,
    /// How often it was tried before.
    pub attempt: u32,
}

#[derive(Debug)]
struct Entry {
    effect: Effect,
    attempt: u32,
    due_at_ms: u64,
    running: bool,
    /// A newer effect came while this one was running.
    superseded: bool,
}

/// What goes first when both are due: after a restart, what was changed meanwhile must not wait
/// until everything that is settled was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Change,
    Look,
}

/// All effects that are not done.
#[derive(Debug, Default)]
pub struct EffectQueue {
    entries: BTreeMap<EffectKey, Entry>,
    /// What waits, by how it ranks and when it is due.
    due: BTreeSet<(Rank, u64, EffectKey)>,
    running: BTreeMap<String, usize>,
    running_total: usize,
}

impl EffectQueue {
    /// Takes an effect in; it replaces what there was for the same delivery.
    pub fn offer(&mut self, effect: Effect, now_ms: u64) {
        let key = effect.key().clone();
        if let Effect::Cancel(_) = effect {
            self.cancel(&key);
            return;
        }
        match self.entries.get_mut(&key) {
            Some(entry) if entry.running => {
                entry.superseded |= entry.effect != effect;
                entry.effect = effect;
            }
            Some(entry) => {
                self.due.remove(&entry.place(&key));
                *entry = Entry::new(effect, now_ms);
                self.due.insert(entry.place(&key));
            }
            None => {
                let entry = Entry::new(effect, now_ms);
                self.due.insert(entry.place(&key));
                self.entries.insert(key, entry);
            }
        }
    }

    fn cancel(&mut self, key: &EffectKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.due.remove(&entry.place(key));
            if entry.running {
                self.release(&key.cluster);
            }
        }
    }

    /// Makes everything due that waits to be tried again on a member: it can be reached now.
    pub fn hurry(&mut self, cluster: &str, now_ms: u64) {
        let on_member = |key: &EffectKey| key.cluster == cluster;
        let waiting = self.entries.iter_mut();
        for (key, entry) in waiting.filter(|(key, entry)| on_member(key) && !entry.running) {
            self.due.remove(&entry.place(key));
            (entry.attempt, entry.due_at_ms) = (0, now_ms.min(entry.due_at_ms));
            self.due.insert(entry.place(key));
        }
    }

    /// Forgets everything for which `keep` is false, as when partitions were lost.
    pub fn retain(&mut self, keep: impl Fn(&EffectKey) -> bool) {
        let gone: Vec<EffectKey> = self.entries.keys().filter(|key| !keep(key)).cloned().collect();
        for key in gone {
            self.cancel(&key);
        }
    }

    /// What is due and fits the bounds. It counts as running from now on.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut taken = vec![];
        let mut blocked = BTreeSet::new();
        let ready_of = |rank| {
            let end = (rank, now_ms + 1, EffectKey::lowest());
            self.due.range((rank, 0, EffectKey::lowest())..end).cloned()
        };
        let ready: Vec<(Rank, u64, EffectKey)> =
            ready_of(Rank::Change).chain(ready_of(Rank::Look)).collect();
        for (rank, due_at, key) in ready {
            if self.running_total >= EFFECTS_IN_FLIGHT_MAX {
                break;
            }
            let on_member = self.running.get(&key.cluster).copied().unwrap_or(0);
            if on_member >= EFFECTS_PER_MEMBER_MAX || blocked.contains(&key.cluster) {
                blocked.insert(key.cluster.clone());
                continue;
            }
            self.due.remove(&(rank, due_at, key.clone()));
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.running = true;
            *self.running.entry(key.cluster).or_default() += 1;
            self.running_total += 1;
            taken.push(Due { effect: entry.effect.clone(), attempt: entry.attempt });
        }
        taken
    }

    /// An effect that ran has ended. `jitter` is in 0..=1: retries of many members spread out.
    pub fn finished(&mut self, key: &EffectKey, finished: Finished, jitter: f64, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.running) else { return };
        entry.running = false;
        let wait = match (entry.superseded, finished) {
            (true, _) => {
                entry.attempt = 0;
                Some(0)
            }
            (false, Finished::Done) => None,
            (false, Finished::Retry) => {
                entry.attempt += 1;
                Some(backoff_ms(entry.attempt, jitter))
            }
        };
        entry.superseded = false;
        match wait {
            None => {
                self.entries.remove(key);
            }
            Some(wait) => {
                entry.due_at_ms = now_ms + wait;
                self.due.insert(entry.place(key));
            }
        }
        self.release(&key.cluster);
    }

    fn release(&mut self, cluster: &str) {
        self.running_total -= 1;
        if let Some(count) = self.running.get_mut(cluster) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(cluster);
            }
        }
    }

    /// When something is due next, as far as the bounds allow it.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        if self.running_total >= EFFECTS_IN_FLIGHT_MAX {
            return None;
        }
        let is_free = |key: &EffectKey| {
            self.running.get(&key.cluster).copied().unwrap_or(0) < EFFECTS_PER_MEMBER_MAX
        };
        let next_of = |rank| {
            let mut waiting = self.due.range((rank, 0, EffectKey::lowest())..);
            let next = waiting.find(|(_, _, key)| is_free(key))?;
            Some(next.1)
        };
        next_of(Rank::Change).into_iter().chain(next_of(Rank::Look)).min()
    }

    /// Whether an effect is not done.
    #[must_use]
    pub fn contains(&self, key: &EffectKey) -> bool {
        self.entries.contains_key(key)
    }

    /// How many effects are not done.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn new(effect: Effect, now_ms: u64) -> Self {
        Self { effect, attempt: 0, due_at_ms: now_ms, running: false, superseded: false }
    }

    /// Where it stands among what waits.
    fn place(&self, key: &EffectKey) -> (Rank, u64, EffectKey) {
        let rank = match self.effect {
            Effect::Observe(_) => Rank::Look,
            Effect::Deliver(_) | Effect::Withdraw(_) | Effect::Cancel(_) => Rank::Change,
        };
        (rank, self.due_at_ms, key.clone())
    }
}

/// Doubles with each attempt up to the bound, of which a random half is taken off.
fn backoff_ms(attempt: u32, jitter: f64) -> u64 {
    let doubled = RETRY_FIRST_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let full = doubled.min(RETRY_MAX_MS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "at most a minute in milliseconds, and not negative"
    )]
    let half = (full as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64;
    full - half
}
