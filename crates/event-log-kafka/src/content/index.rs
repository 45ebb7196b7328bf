//! Where in a partition which content is.

use std::collections::{BTreeMap, HashMap};

use events::ContentHash;
use sha2::{Digest, Sha256};

use super::chunk::ChunkKey;
use crate::feed::Entry;

/// How many pieces of content may be unfinished in one partition: each writer that died half-way
/// leaves one, until somebody stores the same content again. Beyond it the oldest is forgotten,
/// which at worst makes somebody store it once more.
const UNFINISHED_MAX: usize = 256;

/// The index of one partition.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashMap<ContentHash, Box<[u64]>>,
    unfinished: BTreeMap<ContentHash, Unfinished>,
}

/// Content of which some chunks were seen, from the first on without a gap.
#[derive(Debug, Default)]
struct Unfinished {
    offsets: Vec<u64>,
    hasher: Sha256,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is a whole piece of content, which is known from now on.
    Whole(ContentHash),
    /// It is a part of one.
    Part,
    /// It says nothing new.
    Known,
    /// It cannot be used.
    Ignored(&'static str),
}

impl Index {
    /// The offsets of the chunks, in order.
    pub(super) fn offsets(&self, hash: ContentHash) -> Option<&[u64]> {
        self.places.get(&hash).map(AsRef::as_ref)
    }

    /// Forgets where content is.
    pub(super) fn forget(&mut self, hash: ContentHash) {
        self.places.remove(&hash);
        self.unfinished.remove(&hash);
    }

    /// Takes the next record of the partition.
    pub(super) fn take(&mut self, entry: &Entry) -> Taken {
        let Some(key) = ChunkKey::parse(&entry.key) else {
            return Taken::Ignored("its key names no content");
        };
        if self.places.contains_key(&key.hash) {
            return Taken::Known;
        }
        if key.count > 1 {
            return self.take_chunk(key, entry);
        }
        if ContentHash::of(&entry.bytes) != key.hash {
            return Taken::Ignored("its bytes are not what its key says");
        }
        self.places.insert(key.hash, Box::new([entry.offset]));
        Taken::Whole(key.hash)
    }

    /// Writers cut content alike, so the next chunk that is missing may come from any of them.
    fn take_chunk(&mut self, key: ChunkKey, entry: &Entry) -> Taken {
        let seen = self.unfinished.get(&key.hash).map_or(0, |one| one.offsets.len());
        if seen != key.index as usize {
            return Taken::Known;
        }
        let unfinished = self.unfinished.entry(key.hash).or_default();
        unfinished.offsets.push(entry.offset);
        unfinished.hasher.update(&entry.bytes);
        if unfinished.offsets.len() < key.count as usize {
            self.forget_the_oldest();
            return Taken::Part;
        }
        let finished = self.unfinished.remove(&key.hash).unwrap_or_default();
        if ContentHash(finished.hasher.finalize().into()) != key.hash {
            return Taken::Ignored("its chunks are not what their key says");
        }
        self.places.insert(key.hash, finished.offsets.into());
        Taken::Part
    }

    fn forget_the_oldest(&mut self) {
        if self.unfinished.len() <= UNFINISHED_MAX {
            return;
        }
        let oldest = self.unfinished.iter().min_by_key(|(_, one)| one.offsets.last());
        if let Some(hash) = oldest.map(|(hash, _)| *hash) {
            self.unfinished.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_log::ENTRY_BYTES_MAX;

    use super::super::chunk;
    use super::*;

    fn large(fill: u8) -> Bytes {
        vec![fill; 2 * ENTRY_BYTES_MAX + 1].into()
    }

    fn chunks(bytes: &Bytes) -> Vec<(String, Bytes)> {
        let split = chunk::split(ContentHash::of(bytes), bytes);
        split.map(|(key, body)| (key.to_string(), body)).collect()
    }

    fn entries(records: impl IntoIterator<Item = (String, Bytes)>) -> Vec<Entry> {
        let entry = |(offset, (key, bytes)): (u64, (String, Bytes))| Entry {
            offset,
            key: key.into(),
            bytes,
        };
        (0..).zip(records).map(entry).collect()
    }

    fn index(records: impl IntoIterator<Item = (String, Bytes)>) -> Index {
        let mut index = Index::default();
        for entry in entries(records) {
            index.take(&entry);
        }
        index
    }

    #[test]
    fn content_is_found_where_it_stands_first() {
        let small = Bytes::from_static(b"small");
        let index = index([chunks(&small), chunks(&small)].concat());
        assert_eq!(index.offsets(ContentHash::of(&small)), Some(&[0][..]));
    }

    #[test]
    fn chunks_of_two_writers_may_interleave() {
        let (content, [a, b, c]) = (large(1), [0, 1, 2]);
        let cut = chunks(&content);
        let pick = |order: &[usize]| order.iter().map(|n| cut[*n].clone()).collect::<Vec<_>>();
        let hash = ContentHash::of(&content);
        for (order, offsets) in [
            (&[a, a, b, b, c, c][..], [0, 2, 4]),
            (&[a, b, a, b, c][..], [0, 1, 4]),
            (&[b, c, a, c, b, c][..], [2, 4, 5]),
        ] {
            assert_eq!(index(pick(order)).offsets(hash), Some(&offsets[..]), "{order:?}");
        }
        assert_eq!(index(pick(&[a, c])).offsets(hash), None, "the middle is missing");
    }

    #[test]
    fn nobody_can_change_what_a_hash_stands_for() {
        let content = Bytes::from_static(b"content");
        let hash = ContentHash::of(&content);
        let key = chunks(&content)[0].0.clone();
        let forged = (key, Bytes::from_static(b"forged"));
        let mut index = Index::default();
        let records = entries([forged, chunks(&content)[0].clone()]);
        assert!(matches!(index.take(&records[0]), Taken::Ignored(_)));
        assert_eq!(index.take(&records[1]), Taken::Whole(hash));
    }

    #[test]
    fn a_forged_chunk_costs_one_more_put_and_no_more() {
        let content = large(2);
        let mut forged = chunks(&content);
        forged[1].1 = forged[0].1.slice(1..);
        let once = index(forged.clone());
        assert_eq!(once.offsets(ContentHash::of(&content)), None);
        let again = index([forged, chunks(&content)].concat());
        assert_eq!(again.offsets(ContentHash::of(&content)), Some(&[3, 4, 5][..]));
    }

    #[test]
    fn unfinished_content_is_bounded() {
        let mut index = Index::default();
        for n in 0..10 + UNFINISHED_MAX {
            let hash = ContentHash::of(&n.to_be_bytes());
            let key = ChunkKey { hash, index: 0, count: 2 }.to_string().into();
            index.take(&Entry { offset: n as u64, key, bytes: Bytes::new() });
        }
        assert_eq!(index.unfinished.len(), UNFINISHED_MAX);
    }
}
