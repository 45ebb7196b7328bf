//! What happened, as a hash and, for whoever wants to read it, as lines.

use events::ChainHash;

/// The history of one seed.
#[derive(Debug, Default)]
pub struct Trace {
    hash: ChainHash,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty history. Lines are kept only when they are wanted: they are long.
    #[must_use]
    pub fn new(keeps_lines: bool) -> Self {
        Self { hash: ChainHash::default(), lines: keeps_lines.then(Vec::new) }
    }

    /// Adds a line.
    pub fn note(&mut self, line: impl Into<String>) {
        let line = line.into();
        self.hash = self.hash.then(line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Adds bytes that nobody reads.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hash = self.hash.then(bytes);
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> ChainHash {
        self.hash
    }

    /// The lines, when they were kept.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
