//! The hash chain of a partition: each accepted record is hashed together with the hash before it,
//! so nobody can change, drop or reorder records unnoticed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ids::InvalidId;

/// The hash over all records of a partition up to some place. The default is that of an empty
/// partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The hash after `record`: SHA-256(this hash ‖ the record's bytes as they stand in the log).
    #[must_use]
    pub fn then(self, record: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(record);
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sha256(f, &self.0)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

impl FromStr for ChainHash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_sha256(text, "a chain hash").map(Self)
    }
}

crate::ids::text_serde!(ChainHash);

/// Writes 64 hex digits.
pub(crate) fn write_sha256(f: &mut fmt::Formatter<'_>, bytes: &[u8; 32]) -> fmt::Result {
    let mut digits = [0; 64];
    hex::encode_to_slice(bytes, &mut digits).map_err(|_| fmt::Error)?;
    f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

/// Reads 64 hex digits.
pub(crate) fn parse_sha256(text: &str, expected: &'static str) -> Result<[u8; 32], InvalidId> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| InvalidId { text: text.to_owned(), expected })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every history that was ever written hangs on this. The expected values come from
    /// `sha256sum`: 32 zero bytes and "first", then that hash and "second".
    #[test]
    fn a_chain_is_hashed_as_it_always_was() {
        let first = ChainHash::default().then(b"first");
        assert_eq!(
            first.to_string(),
            "3db4b4eb1df29e1585bc017b9194e30e583d7dbe9e2a7513a58442c6d4ac96bc"
        );
        assert_eq!(
            first.then(b"second").to_string(),
            "de1e86981ce97f7ca334a50ce77d42ace7c020d4c3d4dd9aa6185f4fd8bf40a0"
        );
    }
}
