//! What is wrong with a configuration file, with file and line.

use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is not what it should be.
    #[error("{}:{line}: {message}", file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// In which line, from 1.
        line: usize,
        /// What is wrong; for a key that is not known, with those that are.
        message: String,
    },
    /// It contradicts itself.
    #[error("{}: {message}", file.display())]
    Contradiction {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub fn how(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "write it, or name another with --config FILE; what it can say: taffrail hub --help"
            }
            Self::Invalid { .. } | Self::Contradiction { .. } => {
                "change it; what it can say: taffrail hub --help"
            }
        }
    }

    pub(super) fn invalid(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(before).filter(|byte| *byte == b'\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        Self::Invalid { file: file.to_owned(), line, message }
    }

    pub(super) fn contradiction(file: &Path, message: impl Into<String>) -> Self {
        Self::Contradiction { file: file.to_owned(), message: message.into() }
    }
}
