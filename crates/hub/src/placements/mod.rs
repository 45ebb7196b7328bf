//! Placement objects: what people write becomes commands, what was decided becomes status.

mod absent;
mod controller;
mod convert;
mod listen;
mod selected;
mod show;
mod status;
mod submit;
mod unobserved;
mod vanished;
mod writer;

pub use controller::{Controller, ControllerConfig};
pub use convert::{Unsupported, placement_spec};
pub use status::{ShownStatus, StatusInputs, placement_status, removal_waits, verdict_text};
pub(crate) use status::{time, with_notes};
pub(crate) use writer::patch_params;
