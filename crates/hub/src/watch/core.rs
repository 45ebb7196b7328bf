//! Listing and watching without doing either: what was answered goes in, what to ask next and what
//! the consumer is told come out.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kube::ResourceExt;

/// How long to wait after the first failure. It doubles from there.
const RETRY_FIRST: Duration = Duration::from_millis(250);

/// The longest wait between two attempts. Every kind of the hub is watched: with a hundred of them
/// an API server that does not answer is asked ten times a second at most.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A watch that lasts shorter than this is not opened again at once: an API server, or what stands
/// before it, may end every watch right away.
const WATCH_MIN: Duration = Duration::from_secs(1);

/// The code by which an API server says that it has no longer what is asked for: a page, or the
/// changes since a version. Everything is listed again, and nothing is wrong.
const GONE: u16 = 410;

/// Namespace (empty for none) and name.
pub(crate) type Name = (String, String);

/// The names of all objects that there are.
pub(crate) type Names = BTreeSet<Name>;

/// What a consumer is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told<K> {
    /// An object is there: new, changed, or as it was.
    There(K),
    /// An object was seen to go.
    Deleted(K),
    /// Everything that there is was told of, and is named here.
    Complete(Names),
    /// Nothing can be listed or watched at present; what was told before is the latest that is known.
    Failing(String),
}

/// What to ask the API server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// A page of the list: the first one, or what comes after another.
    List { after: Option<String> },
    /// What changed since a version.
    Watch { since: String },
}

/// Why something could not be listed or watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code of the answer, if there was one.
    pub(super) code: Option<u16>,
    /// In words.
    pub(super) reason: String,
}

/// Where the watch of one kind of object stands.
#[derive(Debug)]
pub(super) struct Core<K> {
    question: Question,
    /// What the list under way has named so far.
    listed: Names,
    /// How many attempts failed in a row.
    failures: u32,
    /// Whether the latest watch was over as soon as it was opened.
    was_brief: bool,
    told: VecDeque<Told<K>>,
}

impl<K: ResourceExt> Core<K> {
    /// Begins with a list.
    pub(super) fn new() -> Self {
        Self {
            question: Question::List { after: None },
            listed: Names::new(),
            failures: 0,
            was_brief: false,
            told: VecDeque::new(),
        }
    }

    /// What to ask next.
    pub(super) fn question(&self) -> Question {
        self.question.clone()
    }

    /// How long to wait before that.
    pub(super) fn wait(&self) -> Duration {
        match self.failures {
            0 if self.was_brief => RETRY_FIRST,
            0 => Duration::ZERO,
            failures => RETRY_MAX.min(RETRY_FIRST.saturating_mul(1 << (failures - 1).min(16))),
        }
    }

    /// Whether the latest attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// What the consumer is to be told next.
    pub(super) fn next_told(&mut self) -> Option<Told<K>> {
        self.told.pop_front()
    }

    /// A page of the list came. `after` leads to the next one; `version` is that of the list.
    pub(super) fn page(&mut self, items: Vec<K>, after: Option<String>, version: Option<String>) {
        for object in items {
            self.listed.insert((object.namespace().unwrap_or_default(), object.name_any()));
            self.told.push_back(Told::There(object));
        }
        match (after.filter(|it| !it.is_empty()), version.filter(|it| !it.is_empty())) {
            (Some(after), _) => {
                self.failures = 0;
                self.question = Question::List { after: Some(after) };
            }
            (None, Some(since)) => {
                self.failures = 0;
                self.told.push_back(Told::Complete(std::mem::take(&mut self.listed)));
                self.question = Question::Watch { since };
            }
            (None, None) => self.failed(Failure {
                code: None,
                reason: "a list of the API server has no version".to_owned(),
            }),
        }
    }

    /// A watch was opened.
    pub(super) fn watching(&mut self) {
        self.failures = 0;
    }

    /// A watch ended, as every one does after some minutes: it goes on where it was.
    pub(super) fn ended(&mut self, lasted: Duration) {
        self.was_brief = lasted < WATCH_MIN;
    }

    /// An object came or changed.
    pub(super) fn changed(&mut self, object: K) {
        self.reached(object.resource_version());
        self.told.push_back(Told::There(object));
    }

    /// An object went.
    pub(super) fn deleted(&mut self, object: K) {
        self.reached(object.resource_version());
        self.told.push_back(Told::Deleted(object));
    }

    /// Everything up to a version was told.
    pub(super) fn reached(&mut self, version: Option<String>) {
        if let (Question::Watch { since }, Some(version)) = (&mut self.question, version) {
            *since = version;
        }
    }

    /// A question was not answered, or a watch broke.
    pub(super) fn failed(&mut self, failure: Failure) {
        if failure.code == Some(GONE) {
            // Listing once more is no reason to wait, unless it leads here again.
            let again = matches!(self.question, Question::List { .. });
            self.failures = if again { self.failures.saturating_add(1) } else { 0 };
            self.start_over();
            return;
        }
        if matches!(self.question, Question::List { .. }) {
            self.start_over();
        }
        self.failures = self.failures.saturating_add(1);
        self.told.push_back(Told::Failing(failure.reason));
    }

    /// Everything is listed again, whatever was known.
    pub(super) fn start_over(&mut self) {
        self.listed.clear();
        self.question = Question::List { after: None };
    }
}
