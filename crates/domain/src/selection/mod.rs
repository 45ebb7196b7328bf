//! Selection: which objects of the hub a placement takes along, and in what form.
//!
//! ```text
//!   object on the hub ──read──► HubObject ─────────────┐
//!   (sanitise, canonical bytes: once for each change)  │
//!                                                      ▼
//!   selectors of a placement ──────────────────────► resolve ──► objects, sorted, notes | problem
//!                                                      ▲
//!   rules: kinds, namespaces, limits ──────────────────┘
//! ```
//!
//! Everything here follows the reference, §2.3, in five steps that stand alone: kinds that are
//! never placed ([`KindRules`]), namespaces that are never placed ([`NamespaceRules`]), objects
//! that the hub made for itself ([`SkipReason`]), what of an object is left behind
//! ([`sanitise()`]), and how the rest is written ([`canonical_json`]) and sorted ([`install_order`]).
//!
//! **Invariants.** The same objects, selectors and rules give the same bytes in the same order.
//! What must not be placed although somebody asked for it by name is a problem with a message that
//! says what to change; what is merely part of a bigger choice is left out, and where people may
//! have meant it a note says so ([`SelectionNote`]).

mod canonical;
mod kinds;
mod namespaces;
mod note;
mod objects;
mod order;
mod problem;
mod reach;
mod resolve;
mod sanitise;
#[cfg(test)]
mod tests;

pub use canonical::canonical_json;
pub use kinds::{GroupVersionKind, InvalidKindList, KindRules};
pub use namespaces::{FleetNamespaceAllowed, NamespaceRules};
pub use note::{NOTES_MAX, SelectionNote, note_texts};
pub use objects::{
    Controller, HubObject, LINK_SECRET_LABEL, LINK_SECRET_TYPE, NamelessObject, SkipReason,
    reason_skipped,
};
pub use order::install_order;
pub use problem::SelectionProblem;
pub use reach::Reach;
pub use resolve::{
    Catalogue, KindInfo, Limits, OBJECT_BYTES_MAX, OBJECTS_PER_PLACEMENT_MAX, Resolved,
    SELECTORS_PER_PLACEMENT_MAX, SelectionRules, resolve,
};
pub use sanitise::sanitise;
