//! Reading the log: every node folds every partition.

mod core;
mod folder;
mod writer;

pub use core::{Fold, FoldCore, FoldError, apply, follow_ups};
pub use folder::{Change, FoldHandle, FoldStatus, Folder, FolderConfig};
