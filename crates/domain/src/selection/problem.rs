//! Why a placement selects nothing, and what to change.

use events::ObjectId;
use events::placement::RefusalReason;

use super::GroupVersionKind;

/// What is wrong with the selectors of a placement. Selectors are counted from 1, as people do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionProblem {
    /// More terms than the API takes.
    #[error("there are {count} resource selectors, at most {max} are possible: use fewer")]
    TooManySelectors {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A term picks by name and by labels at once.
    #[error(
        "resource selector {selector} has both a name and a label selector: remove one of the two"
    )]
    NameAndLabels {
        /// Which term.
        selector: usize,
    },
    /// A requirement that no Kubernetes API would take.
    #[error(
        "resource selector {selector}: operator {operator} on label {key:?} {demand}: correct its \
         values"
    )]
    InvalidLabelSelector {
        /// Which term.
        selector: usize,
        /// The label.
        key: String,
        /// The operator.
        operator: &'static str,
        /// What the operator asks of the values.
        demand: &'static str,
    },
    /// The hub's API server does not have the kind.
    #[error(
        "resource selector {selector}: the hub serves no kind {kind}: correct group, version and \
         kind, or install its CustomResourceDefinition on the hub"
    )]
    UnknownKind {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
    },
    /// Objects of the kind are never placed.
    #[error(
        "resource selector {selector}: objects of kind {kind} are never placed: remove the \
         selector"
    )]
    ExcludedKind {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
    },
    /// A ClusterResourcePlacement selects something in a namespace.
    #[error(
        "resource selector {selector}: objects of kind {kind} live in namespaces, and a \
         ClusterResourcePlacement selects cluster-scoped objects only: select the Namespace that \
         they are in, or use a ResourcePlacement in that namespace"
    )]
    NamespacedKind {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
    },
    /// A ResourcePlacement selects something outside of namespaces.
    #[error(
        "resource selector {selector}: objects of kind {kind} live outside of namespaces, and a \
         ResourcePlacement selects objects of its own namespace only: use a \
         ClusterResourcePlacement"
    )]
    ClusterScopedKind {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
    },
    /// The namespace belongs to Kubernetes or the fleet, or the configuration excludes it.
    #[error(
        "namespace {namespace} and what is in it are never placed: move the objects to another \
         namespace"
    )]
    ExcludedNamespace {
        /// The namespace.
        namespace: String,
    },
    /// A term with scope NamespaceWithResourceSelectors does not say which namespace.
    #[error(
        "resource selector {selector}: the scope NamespaceWithResourceSelectors needs the name of \
         the Namespace: select it by name"
    )]
    NamespaceWithoutName {
        /// Which term.
        selector: usize,
    },
    /// Besides a term with scope NamespaceWithResourceSelectors there is another one for
    /// namespaces.
    #[error(
        "resource selector {selector}: a placement with the scope NamespaceWithResourceSelectors \
         has one selector of kind Namespace only: use one placement for each namespace"
    )]
    SecondNamespace {
        /// Which term.
        selector: usize,
    },
    /// Two terms select one object.
    #[error(
        "{object} is selected twice, by resource selectors {first} and {second}: narrow one of \
         them"
    )]
    SelectedTwice {
        /// The object.
        object: Box<ObjectId>,
        /// The first term that selects it.
        first: usize,
        /// The second.
        second: usize,
    },
    /// More than one placement can show.
    #[error(
        "the resource selectors select more than {max} objects: divide them among several \
         placements"
    )]
    TooManyObjects {
        /// How many there may be.
        max: usize,
    },
    /// An object that no member could store.
    #[error(
        "{object} has {bytes} bytes without what the hub added, a placed object at most {max}: \
         divide it"
    )]
    ObjectTooLarge {
        /// The object.
        object: Box<ObjectId>,
        /// Its size.
        bytes: usize,
        /// The largest that is placed.
        max: usize,
    },
}

impl SelectionProblem {
    /// How the public API calls it.
    #[must_use]
    pub fn refusal_reason(&self) -> RefusalReason {
        RefusalReason::InvalidResourceSelectors
    }
}
