//! What the index does not know, and what to do about it.

use std::fmt;

use domain::selection::GroupVersionKind;

use super::discovery::GroupVersion;

/// How to have a placement not wait for something.
const LEAVE_OUT: &str = "or leave it out of what is placed (skipped_apis in the configuration)";

/// Something on the hub of which it is not known what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What it is about.
    pub about: Unknown,
    /// Why, once it was tried in vain.
    pub error: Option<String>,
}

/// What may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// Which kinds there are.
    Kinds,
    /// Which kinds there are in a version of a group.
    Group(GroupVersion),
    /// Which objects there are of a kind.
    Objects(GroupVersionKind),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.about, &self.error) {
            (Unknown::Kinds, None) => f.write_str("the kinds of the hub are not known yet"),
            (Unknown::Kinds, Some(error)) => write!(
                f,
                "the hub's API server does not tell which kinds it serves: {error}; see what is \
                 wrong with: kubectl api-resources"
            ),
            (Unknown::Group(at), _) => write!(
                f,
                "whoever serves {at} on the hub does not answer; see why with: kubectl describe \
                 apiservice {}.{}; mend or delete it, {LEAVE_OUT}",
                at.version, at.group
            ),
            (Unknown::Objects(kind), None) => {
                write!(f, "the objects of {kind} on the hub are not listed yet")
            }
            (Unknown::Objects(kind), Some(error)) => write!(
                f,
                "the objects of {kind} cannot be listed on the hub: {error}; mend that, {LEAVE_OUT}"
            ),
        }
    }
}
