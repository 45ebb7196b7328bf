//! How content stands in the topic: as one record for every 900,000 bytes, with a key that says
//! what it is, such as `9f86d081…0a08 0/3` for the first of three.

use std::fmt;
use std::str::{self, FromStr};

use bytes::Bytes;
use event_log::{CONTENT_BYTES_MAX, ENTRY_BYTES_MAX};
use events::ContentHash;

/// The bytes of a full chunk. It never changes: where content is cut is part of how it is stored,
/// so the chunks of two writers fit each other.
const CHUNK_BYTES: usize = ENTRY_BYTES_MAX;

/// The most chunks that a piece of content may have.
pub(super) const CHUNKS_MAX: u32 = {
    let count = CONTENT_BYTES_MAX.div_ceil(CHUNK_BYTES);
    assert!(count < 1_000);
    #[expect(clippy::cast_possible_truncation, reason = "checked in the line before")]
    {
        count as u32
    }
};

/// The key of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkKey {
    /// The name of the whole.
    pub(super) hash: ContentHash,
    /// Which chunk it is, from 0.
    pub(super) index: u32,
    /// How many there are.
    pub(super) count: u32,
}

impl fmt::Display for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.hash, self.index, self.count)
    }
}

impl ChunkKey {
    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        let (hash, place) = str::from_utf8(key).ok()?.split_once(' ')?;
        let (index, count) = place.split_once('/')?;
        let (hash, index, count) =
            (ContentHash::from_str(hash).ok()?, index.parse().ok()?, count.parse().ok()?);
        (index < count && count <= CHUNKS_MAX).then_some(Self { hash, index, count })
    }
}

/// Cuts content into chunks. Empty content is one empty chunk.
pub(super) fn split(
    hash: ContentHash,
    bytes: &Bytes,
) -> impl Iterator<Item = (ChunkKey, Bytes)> + use<> {
    let count = bytes.len().div_ceil(CHUNK_BYTES).max(1);
    let (bytes, count) = (bytes.clone(), u32::try_from(count).expect("content is bounded"));
    (0..count).zip((0..).step_by(CHUNK_BYTES)).map(move |(index, start): (_, usize)| {
        let end = bytes.len().min(start + CHUNK_BYTES);
        (ChunkKey { hash, index, count }, bytes.slice(start..end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_make_up_the_whole() {
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, CONTENT_BYTES_MAX] {
            let bytes = Bytes::from(vec![7; size]);
            let chunks: Vec<_> = split(ContentHash::of(&bytes), &bytes).collect();
            assert!(chunks.iter().all(|(_, body)| body.len() <= CHUNK_BYTES));
            assert_eq!(chunks.len(), chunks[0].0.count as usize);
            let whole: Vec<u8> = chunks.iter().flat_map(|(_, body)| body.to_vec()).collect();
            assert!(whole == bytes, "{size}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = ChunkKey { hash: ContentHash::of(b"x"), index: 2, count: 3 };
        assert_eq!(ChunkKey::parse(key.to_string().as_bytes()), Some(key));
    }

    #[test]
    fn other_keys_are_no_chunks() {
        let hash = ContentHash::of(b"x");
        let most = CHUNKS_MAX + 1;
        for key in
            [String::new(), hash.to_string(), format!("{hash} 3/3"), format!("{hash} 0/{most}")]
        {
            assert_eq!(ChunkKey::parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(ChunkKey::parse(&[0xff]), None);
    }
}
