//! Making one member match what was assigned to it.
//!
//! An order names a member, a placement, every manifest that the member should hold and every
//! object that may have to go. A [`Link`] carries it out; [`PushLink`] does so through the member's
//! kube-apiserver. What to do is decided by plain functions, what is done lies in `push`:
//!
//! | plain functions | used by `push` to |
//! |---|---|
//! | [`plan`], [`wave`] | know what to write, in which order and form |
//! | [`fence`] | claim the AppliedWork, or find that a newer order holds it |
//! | [`ownership`] | update, take over, leave alone, let go or delete an object |
//! | [`conflict`] | tell managers that yield from those that have to be asked |
//! | [`hash`] | leave an unchanged object alone |
//! | [`mod@availability`] | say how available an object is |
//! | [`failure`] | say what went wrong, without values of Secrets |
//!
//! # One delivery
//!
//! 1. The AppliedWork of the order is created, or claimed by compare-and-set if an older order
//!    holds it. If a newer one does, nothing is written. A member that does not know the kind
//!    AppliedWork is given it: nothing has to be installed there.
//! 2. Wave by wave, each object is read, and applied server-side unless it carries the hash of this
//!    very manifest. The write names the version that was read: a writer in between is noticed. An
//!    object that nobody owns is taken over, fields included; later writes of it respect other
//!    managers unless the apply strategy says force.
//! 3. Leftovers that are still ours are removed, last wave first.
//! 4. The AppliedWork records what is applied.
//!
//! # What removal does
//!
//! An object that is to go is deleted if it is ours alone, and nothing of others goes with it:
//!
//! | the object | what becomes of it |
//! |---|---|
//! | was on the member before (*adopted*) | let go: it stays, without our marks |
//! | another placement of this member waits for it | handed over: the same object, of another owner |
//! | a CustomResourceDefinition of a kind that the order itself still places | kept until it does not |
//! | a CustomResourceDefinition with objects left | let go |
//! | a Namespace in which the order itself still places objects | kept until it does not |
//! | a Namespace with adopted objects, or objects of other placements | let go |
//! | is owned by others too | our share is given up |
//! | is not ours any more | left alone |
//!
//! Each of these is in the report as a note, and so on record.
//!
//! Everything that is delivered carries a label, [`plan::MANAGED_BY_LABEL`], and is watched from its
//! first delivery on: what becomes available, what goes, and what an order that did not get on waits
//! for. See [`Observation`].
//!
//! New objects come before old ones go, so a renamed workload has no gap. Where both cannot be
//! there at once (a node port), the new one fails first and succeeds when the order is repeated.
//!
//! # What is not promised
//!
//! - *Drift.* An object with the right hash is not compared with its manifest.
//! - *Two processes within [`push::CLAIM_TRUST_MAX`].* Within one process an overtaken order stops
//!   before its next write. Between processes it learns of it when it loses a race for an object, or
//!   when its claim is older than that time. Until then it may write objects of the older order,
//!   also over what the newer one has just written. Repeating the newer order puts that right,
//!   leftovers included; nothing else does.
//! - *A new namespace.* What goes into a namespace that the same order has just created is written
//!   without reading first. Whoever else puts the same object there in these milliseconds shares it
//!   until the next order.
//! - *Objects of a kind that appear while its definition is being deleted.* The kind is listed
//!   before that; whoever makes an object of it within these milliseconds loses it.
//! - *Memory of withdrawals.* When nothing is left, the AppliedWork goes too, and the fence with it.
//!   An older order that starts after that is not recognised as old.
//!
//! **Invariants.** Nothing here knows the log, actors or projections. Nothing is deleted that an
//! order does not name. No body of an object is logged.

pub mod availability;
pub mod conflict;
pub mod error;
pub mod failure;
pub mod fence;
pub mod hash;
pub mod link;
pub mod mark;
pub mod neighbours;
pub mod order;
pub mod ownership;
pub mod plan;
pub mod push;
pub mod report;
pub mod wave;

pub use availability::{Availability, availability};
pub use error::{Certainty, LinkError};
pub use link::Link;
pub use mark::{MarkSeen, Marked, MemberMark};
pub use neighbours::{Alone, Neighbour, Neighbours};
pub use order::{AdoptedRemoval, DeliverOrder, Fence, Manifest, WithdrawOrder};
pub use push::PushLink;
pub use report::{
    DeliveryAvailability, DeliveryReport, Observation, Observed, Probe, ResourceUsage,
    WithdrawReport,
};
