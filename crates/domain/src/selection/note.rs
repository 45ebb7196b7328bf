//! What a selection leaves out although its user may have meant it: nothing is wrong with the
//! selectors, and still somebody would like to know.

use std::fmt;

use events::ObjectId;

use super::{GroupVersionKind, SkipReason};

/// How many notes are kept of one selection. They are shown in one message of a condition; with
/// twice as many nobody would read it. What is more is counted in the last one.
pub const NOTES_MAX: usize = 10;

/// Something that a selection leaves out. Selectors are counted from 1, as people do.
///
/// Notes are recorded, so that a note names no number and no object that changes by the minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionNote {
    /// A term names something that is not there.
    NotThere {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
        /// The namespace, empty for none.
        namespace: String,
        /// The name.
        name: String,
    },
    /// A term by labels or by kind alone selects nothing.
    MatchesNothing {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
        /// Whether it asks for labels.
        by_labels: bool,
    },
    /// A term names an object that is not placed.
    NamedAndSkipped {
        /// Which term.
        selector: usize,
        /// The object.
        object: Box<ObjectId>,
        /// Why.
        reason: SkipReason,
    },
    /// Objects of a kind that belong to what is selected and are not placed.
    Skipped {
        /// The first of them.
        first: Box<ObjectId>,
        /// Why.
        reason: SkipReason,
    },
    /// A term by labels or by kind matches a namespace that is never placed.
    NamespaceSkipped {
        /// Which term.
        selector: usize,
        /// The first of them.
        namespace: String,
    },
    /// A RoleBinding in a namespace that is never placed is about a service account that is.
    BindingElsewhere {
        /// The binding.
        binding: Box<ObjectId>,
        /// The namespace of the service account.
        namespace: String,
    },
}

impl SelectionNote {
    /// Whether it says already that objects of this kind are left out for that reason.
    pub(super) fn tells_of(&self, object: &ObjectId, reason: SkipReason) -> bool {
        match self {
            Self::Skipped { first, reason: told } => {
                (&first.group, &first.kind) == (&object.group, &object.kind) && *told == reason
            }
            Self::NotThere { .. }
            | Self::MatchesNothing { .. }
            | Self::NamedAndSkipped { .. }
            | Self::NamespaceSkipped { .. }
            | Self::BindingElsewhere { .. } => false,
        }
    }
}

impl fmt::Display for SelectionNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere { selector, kind, namespace, name } => {
                write!(f, "resource selector {selector} selects nothing: the hub has no ")?;
                match namespace.as_str() {
                    "" => write!(f, "{} {name}", kind.kind),
                    namespace => write!(f, "{} {name} in namespace {namespace}", kind.kind),
                }
            }
            Self::MatchesNothing { selector, kind, by_labels } => {
                let with = if *by_labels { " with these labels" } else { "" };
                write!(f, "resource selector {selector} selects nothing: the hub has no {kind}")?;
                write!(f, "{with} that is placed")
            }
            Self::NamedAndSkipped { selector, object, reason } => {
                write!(
                    f,
                    "resource selector {selector} names {object}, which is left out: {reason}"
                )
            }
            Self::Skipped { first, reason: SkipReason::Envelope } => {
                write!(f, "{first} is left out: {}", SkipReason::Envelope)
            }
            Self::Skipped { first, reason } => {
                write!(f, "{first}, and any like it, are left out: {reason}")
            }
            Self::NamespaceSkipped { selector, namespace } => write!(
                f,
                "resource selector {selector} leaves out namespace {namespace}, which is never \
                 placed"
            ),
            Self::BindingElsewhere { binding, namespace } => write!(
                f,
                "{binding} gives rights to a service account of namespace {namespace} and is left \
                 out: it needs a ResourcePlacement in {} and allowed_namespaces in [selection] of \
                 the hub's configuration",
                binding.namespace
            ),
        }
    }
}

/// The texts of notes, no more than [`NOTES_MAX`].
#[must_use]
pub fn note_texts(notes: &[SelectionNote]) -> Vec<String> {
    let mut texts: Vec<String> = notes.iter().take(NOTES_MAX).map(ToString::to_string).collect();
    if notes.len() > NOTES_MAX
        && let Some(last) = texts.last_mut()
    {
        last.push_str(" (there is more like this)");
    }
    texts
}
