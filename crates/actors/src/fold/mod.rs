//! Reading the log: every node folds every partition.

mod core;
mod fit;
mod folder;
mod follow;
mod handle;
mod rebuild;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use core::{Fold, FoldCore, FoldError, apply, follow_ups};
pub(crate) use fit::check as check_fit;
pub use folder::{Folder, FolderConfig};
pub use handle::{Change, FoldHandle};
pub use status::{CatchUp, FoldStatus};
