//! Wrong use, and how it is answered: one line what, one line how.

/// Something in the command line or the configuration is wrong, rather than something that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Usage {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub how: String,
}

impl Usage {
    /// Wrong use: what is wrong, and what to write instead.
    pub fn new(what: impl Into<String>, how: impl Into<String>) -> Self {
        Self { what: what.into(), how: how.into() }
    }
}
