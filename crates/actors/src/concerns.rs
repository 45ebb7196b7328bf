//! What is wrong with this node just now, for whoever asks it: `/readyz`, `status`, the doctor.
//!
//! Whoever notices something raises a concern about it, and settles it once it is over. A concern
//! is kept under the name of a check and of what it is about, so raising it again changes its words
//! and nothing else. Nothing here decides anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many concerns are kept. One for each member, placement and task of a large hub would fit
/// several times; what is raised beyond that is counted and not kept.
pub const CONCERNS_MAX: usize = 10_000;

/// How much is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// This node cannot serve or decide.
    Blocking,
    /// This node can serve and decide; something else suffers.
    Warning,
}

/// Something that is wrong, in words that name the next command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Which part has it, such as `clock`. Lower case, stable, for alerts.
    pub check: &'static str,
    /// What of that part: a task, a placement, a topic. May be empty.
    pub about: String,
    /// How much is in the way.
    pub gravity: Gravity,
    /// What is wrong and what to do.
    pub message: String,
}

/// The concerns of one node. Cheap to clone; the clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Concerns {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_name: BTreeMap<(&'static str, String), (Gravity, String)>,
    dropped: u64,
}

impl Concerns {
    /// Something is wrong, or is wrong in another way than before.
    pub fn raise(&self, concern: Concern) {
        let Concern { check, about, gravity, message } = concern;
        let mut kept = self.kept();
        let is_full = kept.by_name.len() >= CONCERNS_MAX;
        let key = (check, about);
        if is_full && !kept.by_name.contains_key(&key) {
            kept.dropped += 1;
        } else {
            kept.by_name.insert(key, (gravity, message));
        }
    }

    /// It is over, if there was anything.
    pub fn settle(&self, check: &'static str, about: &str) {
        self.kept().by_name.remove(&(check, about.to_owned()));
    }

    /// Raises it with a message, settles it without one.
    pub fn set(&self, check: &'static str, about: &str, gravity: Gravity, message: Option<String>) {
        match message {
            None => self.settle(check, about),
            Some(message) => {
                self.raise(Concern { check, about: about.to_owned(), gravity, message });
            }
        }
    }

    /// All of them, the blocking ones first.
    #[must_use]
    pub fn all(&self) -> Vec<Concern> {
        let kept = self.kept();
        let entries = kept.by_name.iter();
        let mut all: Vec<Concern> = entries
            .map(|((check, about), (gravity, message))| Concern {
                check,
                about: about.clone(),
                gravity: *gravity,
                message: message.clone(),
            })
            .collect();
        all.sort_by_key(|concern| concern.gravity);
        all
    }

    /// How many could not be kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.kept().dropped
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_are_raised_once_reworded_and_settled() {
        let concerns = Concerns::default();
        concerns.set("task", "effects", Gravity::Warning, Some("it ended".to_owned()));
        concerns.set("clock", "", Gravity::Blocking, Some("6 s off".to_owned()));
        concerns.set("task", "effects", Gravity::Warning, Some("it ended twice".to_owned()));
        let told: Vec<(&str, String)> =
            concerns.all().into_iter().map(|concern| (concern.check, concern.message)).collect();
        assert_eq!(told, [("clock", "6 s off".to_owned()), ("task", "it ended twice".to_owned())]);

        concerns.clone().settle("clock", "");
        concerns.set("task", "effects", Gravity::Warning, None);
        assert_eq!(concerns.all(), []);
    }

    #[test]
    fn concerns_beyond_the_bound_are_counted() {
        let concerns = Concerns::default();
        for number in 0..=CONCERNS_MAX {
            concerns.set("many", &number.to_string(), Gravity::Warning, Some(String::new()));
        }
        assert_eq!((concerns.all().len(), concerns.dropped()), (CONCERNS_MAX, 1));
    }
}
