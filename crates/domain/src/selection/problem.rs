//! Why a placement selects nothing, and what to change.

use events::ObjectId;
use events::placement::RefusalReason;

use super::{GroupVersionKind, SkipReason};

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
    /// The hub's API server has the kind, in other versions.
    #[error(
        "resource selector {selector}: the hub does not serve {kind}, it serves the kind as \
         {}: use one of these versions", served.join(", ")
    )]
    OtherVersions {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
        /// Group and version of those that are served.
        served: Vec<String>,
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
    /// Envelopes are not opened.
    #[error(
        "resource selector {selector}: {kind} is an envelope, which this version does not open, so \
         that nothing in it would reach a member: select the objects themselves instead"
    )]
    Envelope {
        /// Which term.
        selector: usize,
        /// The kind.
        kind: GroupVersionKind,
    },
    /// A term names an object that must not be placed.
    #[error(
        "resource selector {selector} names {object}, which is never placed: {reason}; remove the \
         selector"
    )]
    NeverPlaced {
        /// Which term.
        selector: usize,
        /// The object.
        object: Box<ObjectId>,
        /// Why.
        reason: SkipReason,
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
        "namespace {namespace} and what is in it are not placed: to place single objects of it, \
         add it to allowed_namespaces in [selection] of the hub's configuration, and select them \
         by name with a ResourcePlacement in it"
    )]
    ExcludedNamespace {
        /// The namespace.
        namespace: String,
    },
    /// The namespace belongs to the fleet.
    #[error(
        "namespace {namespace} belongs to the fleet, and nothing in it is ever placed: move the \
         objects to another namespace"
    )]
    FleetNamespace {
        /// The namespace.
        namespace: String,
    },
    /// In a namespace of which single objects may be placed, a term does not name one.
    #[error(
        "resource selector {selector}: of namespace {namespace} only single objects are placed: \
         select them by name"
    )]
    NotByName {
        /// Which term.
        selector: usize,
        /// The namespace.
        namespace: String,
    },
    /// The namespace of a term with scope NamespaceWithResourceSelectors is not there.
    #[error(
        "resource selector {selector}: the hub has no Namespace {namespace}, in which the other \
         selectors are to select: correct its name or create it"
    )]
    NamespaceNotThere {
        /// Which term.
        selector: usize,
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
