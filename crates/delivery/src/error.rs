//! Why an order could not be carried out, and whether it may have been in part.

use events::cluster::LinkProblem;

use crate::Fence;

/// Whether an order that failed left traces on the member, apart from its AppliedWork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// No object was written.
    Determinate,
    /// Something was written, or may have been. Repeating the order settles it.
    Indeterminate,
}

/// Why an order could not be carried out. Trouble with single objects is not an error of the link:
/// see [`DeliveryReport`](crate::DeliveryReport).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A newer order is being, or was, carried out on this member. This one is of no use any more.
    #[error("a newer order holds the member ({holder})")]
    Superseded {
        /// The newer order.
        holder: Fence,
    },
    /// The member cannot be reached or does not let us in.
    #[error("the member cannot be used: {message}")]
    Unusable {
        /// The kind of trouble, as it is recorded.
        problem: LinkProblem,
        /// In words, with what to do about it.
        message: String,
        /// Whether something was written before.
        certainty: Certainty,
    },
    /// The member asks to come back later, or something on it has to finish first.
    #[error("the member is busy: {message}")]
    Busy {
        /// With what.
        message: String,
        /// Whether something was written before.
        certainty: Certainty,
    },
}

impl LinkError {
    /// Whether the order left traces on the member. A superseded order may have, but a newer one
    /// settles them.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Superseded { .. } => Certainty::Indeterminate,
            Self::Unusable { certainty, .. } | Self::Busy { certainty, .. } => *certainty,
        }
    }
}
