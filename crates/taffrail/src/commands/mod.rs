//! The commands, one file each.

pub(crate) mod crds;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod handover;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod hub;
pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod log;
pub(crate) mod replay;
pub(crate) mod status;
pub(crate) mod version;
pub(crate) mod why;
