//! What is to be done next, without doing it: one effect for each delivery, the latest wins, with
//! backoff after failures and bounds on what runs at once.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Effect, EffectKey};

/// How many effects run on one member at once. A kube-apiserver serves some ten writes at once
/// without queueing; with twice as many orders each only takes longer.
pub const EFFECTS_PER_MEMBER_MAX: usize = 8;

/// How many of them may be looks. Each may wait for a member that lists slowly, and after a restart
/// there is one for all that was ever delivered: what is changed meanwhile must find room.
pub const LOOKS_PER_MEMBER_MAX: usize = 2;

/// How many effects run at once in total. Each holds a few manifests and a connection; twice as
/// many would double that and leave two cores no less busy.
pub const EFFECTS_IN_FLIGHT_MAX: usize = 128;

/// The wait before a failed effect is tried again for the first time; it doubles from there.
pub const RETRY_FIRST_MS: u64 = 500;

/// The longest wait between two tries. Members that come back are tried at once, so this only
/// bounds what nobody tells us about.
pub const RETRY_MAX_MS: u64 = 60_000;

/// How long an effect that waits for its neighbours rests after one of them has changed something.
const NEIGHBOURS_REST_MS: u64 = 500;

/// How many effects that wait for their neighbours are tried again after one change on their
/// member. More than that fail for one cause; the others follow by their own backoff, or with the
/// next change.
const DEPENDENTS_MOVED_MAX: usize = 32;

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// There is nothing left to do.
    Done,
    /// It has to be tried again.
    Retry,
    /// It has to be tried again, at the latest when another effect of the same member has changed
    /// something: what it lacks may come from there.
    RetryWithNeighbours,
    /// It has to be tried again after so many milliseconds, as if it had not been tried.
    RetryAfter(u64),
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
    stage: Stage,
    /// Whether what it lacks may come from another effect of the same member.
    is_dependent: bool,
    /// Whether what runs is a look.
    is_looking: bool,
}

/// How far an effect is. One that runs keeps its place until it has ended, whatever is asked for
/// meanwhile: nothing else is done for its delivery at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    /// An older effect runs; this one follows.
    Next,
    /// It runs; nobody wants what comes of it.
    Cancelled,
}

/// What goes first when both are due: after a restart, what was changed meanwhile must not wait
/// until everything that is settled was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Change,
    Look,
}

/// Where an effect stands among those that wait: how it ranks, when it is due, which it is.
type Place = (Rank, u64, EffectKey);

/// What waits and runs on one member.
#[derive(Debug, Default)]
struct Member {
    waiting: BTreeSet<Place>,
    running: usize,
    /// How many of those that run are looks.
    looking: usize,
}

impl Member {
    /// The first of each rank for which the member has room. What stands behind them can only be
    /// due later.
    fn heads(&self) -> impl Iterator<Item = Place> + use<> {
        let has_room = self.running < EFFECTS_PER_MEMBER_MAX;
        let may_look = has_room && self.looking < LOOKS_PER_MEMBER_MAX;
        let first = |rank: Rank| {
            let mut places = self.waiting.range((rank, 0, EffectKey::lowest())..);
            places.next().filter(|(of, _, _)| *of == rank)
        };
        let heads = [(has_room, Rank::Change), (may_look, Rank::Look)];
        let heads = heads.map(|(may, rank)| may.then(|| first(rank).cloned()).flatten());
        heads.into_iter().flatten()
    }
}

/// All effects that are not done.
///
/// Everything that happens for each effect takes logarithmic time, also when a hundred thousand
/// effects wait for members that have no room.
#[derive(Debug, Default)]
pub struct EffectQueue {
    entries: BTreeMap<EffectKey, Entry>,
    members: BTreeMap<String, Member>,
    /// What could go next: the heads of all members.
    heads: BTreeSet<Place>,
    running_total: usize,
}

impl EffectQueue {
    /// Takes an effect in; it replaces what there was for the same delivery. One that is the same
    /// as what runs follows it all the same: what runs may run for an epoch that is over.
    ///
    /// A look never replaces a change: whoever asked for it may not know of the change yet, and
    /// making the change is a look as well.
    pub fn offer(&mut self, effect: Effect, now_ms: u64) {
        let key = effect.key().clone();
        if let Effect::Cancel(_) = effect {
            self.cancel(&key);
            return;
        }
        match self.entries.get_mut(&key) {
            Some(entry) if entry.is_kept_from(&effect) => {
                if entry.stage == Stage::Running {
                    entry.stage = Stage::Next;
                }
            }
            Some(entry) if entry.stage != Stage::Waiting => {
                entry.stage = Stage::Next;
                entry.effect = effect;
            }
            Some(entry) => {
                let before = entry.place(&key);
                *entry = Entry::new(effect, now_ms);
                let after = entry.place(&key);
                self.on_member(&key.cluster, |member| {
                    member.waiting.remove(&before);
                    member.waiting.insert(after);
                });
            }
            None => {
                let entry = Entry::new(effect, now_ms);
                let place = entry.place(&key);
                self.on_member(&key.cluster, |member| member.waiting.insert(place));
                self.entries.insert(key, entry);
            }
        }
    }

    fn cancel(&mut self, key: &EffectKey) {
        match self.entries.get_mut(key) {
            None => {}
            Some(entry) if entry.stage == Stage::Waiting => {
                let place = entry.place(key);
                self.entries.remove(key);
                self.on_member(&key.cluster, |member| member.waiting.remove(&place));
            }
            Some(entry) => entry.stage = Stage::Cancelled,
        }
    }

    /// Makes everything due that waits to be tried again on a member: it can be reached now.
    pub fn hurry(&mut self, cluster: &str, now_ms: u64) {
        let waiting = self.on_member(cluster, |member| std::mem::take(&mut member.waiting));
        let mut hurried = BTreeSet::new();
        for (_, _, key) in waiting {
            let entry = self.entries.get_mut(&key).expect("what waits has an entry");
            (entry.attempt, entry.due_at_ms) = (0, now_ms.min(entry.due_at_ms));
            hurried.insert(entry.place(&key));
        }
        self.on_member(cluster, |member| member.waiting = hurried);
    }

    /// Something has changed on a member: what waits there for its neighbours is due soon. Not at
    /// once, so that many changes in a row cost it one more try.
    fn neighbours_moved(&mut self, cluster: &str, now_ms: u64) {
        let soon = now_ms + NEIGHBOURS_REST_MS;
        let Some(member) = self.members.get(cluster) else { return };
        let later = member.waiting.iter().filter(|(_, due_at_ms, key)| {
            *due_at_ms > soon && self.entries.get(key).is_some_and(|entry| entry.is_dependent)
        });
        let moved: Vec<Place> = later.take(DEPENDENTS_MOVED_MAX).cloned().collect();
        for place in moved {
            let entry = self.entries.get_mut(&place.2).expect("what waits has an entry");
            entry.due_at_ms = soon;
            let after = entry.place(&place.2);
            self.on_member(cluster, |member| {
                member.waiting.remove(&place);
                member.waiting.insert(after);
            });
        }
    }

    /// Makes one effect due that waits to be tried again: what it waited for may be over. It keeps its
    /// number of attempts: if it was not over, the next wait is as long as it would have been.
    pub fn hurry_one(&mut self, key: &EffectKey, now_ms: u64) {
        let is_waiting = |entry: &&mut Entry| entry.stage == Stage::Waiting;
        let Some(entry) = self.entries.get_mut(key).filter(is_waiting) else { return };
        let before = entry.place(key);
        entry.due_at_ms = now_ms.min(entry.due_at_ms);
        let after = entry.place(key);
        self.on_member(&key.cluster, |member| {
            member.waiting.remove(&before);
            member.waiting.insert(after);
        });
    }

    /// Forgets everything for which `keep` is false, as when partitions were lost; what runs of it
    /// when it has ended.
    pub fn retain(&mut self, keep: impl Fn(&EffectKey) -> bool) {
        let gone: Vec<EffectKey> = self.entries.keys().filter(|key| !keep(key)).cloned().collect();
        for key in gone {
            self.cancel(&key);
        }
    }

    /// What is due and fits the bounds. It counts as running from now on.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut taken = vec![];
        while self.running_total < EFFECTS_IN_FLIGHT_MAX {
            let is_due = |place: &&Place| place.1 <= now_ms;
            let next = self.first_head(Rank::Change).filter(is_due);
            let next = next.or_else(|| self.first_head(Rank::Look).filter(is_due));
            let Some(place) = next.cloned() else { break };
            let key = &place.2;
            let is_looking = place.0 == Rank::Look;
            self.on_member(&key.cluster, |member| {
                member.waiting.remove(&place);
                member.running += 1;
                member.looking += usize::from(is_looking);
            });
            self.running_total += 1;
            let entry = self.entries.get_mut(key).expect("what waits has an entry");
            (entry.stage, entry.is_looking) = (Stage::Running, is_looking);
            taken.push(Due { effect: entry.effect.clone(), attempt: entry.attempt });
        }
        taken
    }

    /// The head of a rank that is due first.
    fn first_head(&self, rank: Rank) -> Option<&Place> {
        let mut heads = self.heads.range((rank, 0, EffectKey::lowest())..);
        heads.next().filter(|(of, _, _)| *of == rank)
    }

    /// Changes what waits and runs on a member, and with it what could go next.
    fn on_member<T>(&mut self, cluster: &str, change: impl FnOnce(&mut Member) -> T) -> T {
        if !self.members.contains_key(cluster) {
            self.members.insert(cluster.to_owned(), Member::default());
        }
        let member = self.members.get_mut(cluster).expect("just inserted if it was absent");
        for head in member.heads() {
            self.heads.remove(&head);
        }
        let changed = change(member);
        self.heads.extend(member.heads());
        if member.waiting.is_empty() && member.running == 0 {
            self.members.remove(cluster);
        }
        changed
    }

    /// An effect that ran has ended. `jitter` is in 0..=1: retries of many members spread out.
    pub fn finished(&mut self, key: &EffectKey, finished: Finished, jitter: f64, now_ms: u64) {
        let is_running = |entry: &&mut Entry| entry.stage != Stage::Waiting;
        let Some(entry) = self.entries.get_mut(key).filter(is_running) else { return };
        let was_looking = std::mem::take(&mut entry.is_looking);
        let wait = match (entry.stage, finished) {
            (Stage::Next, _) => {
                entry.attempt = 0;
                Some(0)
            }
            (Stage::Cancelled, _) | (_, Finished::Done) => None,
            (_, Finished::Retry | Finished::RetryWithNeighbours) => {
                entry.attempt += 1;
                entry.is_dependent = finished == Finished::RetryWithNeighbours;
                Some(backoff_ms(entry.attempt, jitter))
            }
            (_, Finished::RetryAfter(wait)) => Some(wait),
        };
        match wait {
            None => {
                self.entries.remove(key);
            }
            Some(wait) => {
                entry.stage = Stage::Waiting;
                entry.due_at_ms = now_ms + wait;
                let place = entry.place(key);
                self.on_member(&key.cluster, |member| member.waiting.insert(place));
            }
        }
        self.running_total -= 1;
        self.on_member(&key.cluster, |member| {
            member.running -= 1;
            member.looking -= usize::from(was_looking);
        });
        if finished == Finished::Done {
            self.neighbours_moved(&key.cluster, now_ms);
        }
    }

    /// Whoever ran effects is no more: what ran has to be tried again.
    pub fn nothing_runs(&mut self, now_ms: u64) {
        let running = self.entries.iter().filter(|(_, entry)| entry.stage != Stage::Waiting);
        let running: Vec<EffectKey> = running.map(|(key, _)| key.clone()).collect();
        for key in running {
            self.finished(&key, Finished::Retry, 1.0, now_ms);
        }
    }

    /// When something is due next, as far as the bounds allow it.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        if self.running_total >= EFFECTS_IN_FLIGHT_MAX {
            return None;
        }
        let first = |rank| self.first_head(rank).map(|(_, due_at_ms, _)| *due_at_ms);
        first(Rank::Change).into_iter().chain(first(Rank::Look)).min()
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
        Self {
            effect,
            attempt: 0,
            due_at_ms: now_ms,
            stage: Stage::Waiting,
            is_dependent: false,
            is_looking: false,
        }
    }

    /// Where it stands among what waits.
    fn place(&self, key: &EffectKey) -> Place {
        (rank(&self.effect), self.due_at_ms, key.clone())
    }

    /// Whether it is a change that somebody wants, and the other only a look.
    fn is_kept_from(&self, other: &Effect) -> bool {
        self.stage != Stage::Cancelled && rank(&self.effect) < rank(other)
    }
}

fn rank(effect: &Effect) -> Rank {
    match effect {
        Effect::Observe(_) => Rank::Look,
        Effect::Deliver(_) | Effect::Withdraw(_) | Effect::Cancel(_) => Rank::Change,
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
