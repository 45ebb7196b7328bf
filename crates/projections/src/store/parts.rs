//! Values that may be large, cut into parts.
//!
//! A leaf of sled's tree holds up to 16 rows whatever their size, and is rewritten as a whole every
//! ten changes; from 128 KiB on it leaves the log for a file of its own. So a large value is kept
//! in several rows, whose keys end with the number of the part.

use sled::{Batch, IVec, Tree};

use super::keys::Key;

/// The most bytes of one part: 16 of them and their keys stay below the 128 KiB from which on sled
/// writes a leaf as a file of its own.
pub(crate) const PART_BYTES_MAX: usize = 7 * 1024;

/// The length of the number of the part at the end of a key.
const SUFFIX: usize = 2;

/// Adds the rows of a value to a batch.
pub(crate) fn insert(batch: &mut Batch, key: &Key, value: &[u8]) {
    for (part, bytes) in (0..).zip(value.chunks(PART_BYTES_MAX)) {
        batch.insert(key.clone().u16(part).bytes(), bytes);
    }
}

/// The value of a key, put together.
pub(crate) fn get(tree: &Tree, key: &Key) -> sled::Result<Option<IVec>> {
    let Some(first) = tree.get(key.clone().u16(0).bytes())? else { return Ok(None) };
    if first.len() < PART_BYTES_MAX {
        return Ok(Some(first));
    }
    let mut whole = first.to_vec();
    for part in 1..=u16::MAX {
        let Some(next) = tree.get(key.clone().u16(part).bytes())? else { break };
        whole.extend_from_slice(&next);
        if next.len() < PART_BYTES_MAX {
            break;
        }
    }
    Ok(Some(whole.into()))
}

/// The last value of which the key starts with `prefix` and is at most `key`: its key and itself.
pub(crate) fn at_or_before(
    tree: &Tree,
    prefix: &Key,
    key: &Key,
) -> sled::Result<Option<(IVec, IVec)>> {
    let last_part = key.clone().u16(u16::MAX);
    let found = tree.range(prefix.bytes()..=last_part.bytes()).next_back();
    match found.transpose()? {
        Some((found, value)) => value_at(tree, &found, value).map(Some),
        None => Ok(None),
    }
}

/// The first value of which the key starts with `prefix` and is at least `key`.
pub(crate) fn at_or_after(
    tree: &Tree,
    prefix: &Key,
    key: &Key,
) -> sled::Result<Option<(IVec, IVec)>> {
    match tree.range(key.bytes()..).next().transpose()? {
        Some((found, value)) if found.starts_with(prefix.bytes()) => {
            value_at(tree, &found, value).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// The whole value that a part belongs to, with its key.
fn value_at(tree: &Tree, part_key: &IVec, part: IVec) -> sled::Result<(IVec, IVec)> {
    let (base, number) = part_key.split_at(part_key.len() - SUFFIX);
    let key = part_key.subslice(0, base.len());
    if number == [0; SUFFIX] && part.len() < PART_BYTES_MAX {
        return Ok((key, part));
    }
    let whole = get(tree, &Key::from_bytes(base))?.unwrap_or(part);
    Ok((key, whole))
}

#[cfg(test)]
mod tests {
    use events::{Partition, Position, Sequence};

    use super::*;
    use crate::store::keys::Kind;

    fn key(sequence: u64) -> Key {
        let at = Position { partition: Partition(3), sequence: Sequence(sequence) };
        Key::chunk(Kind::Events, at)
    }

    /// Values whose parts end where a part could be full, one after another.
    #[test]
    fn values_come_back_whole() {
        let db = sled::Config::new().temporary(true).open().expect("a temporary database");
        let lengths = [0, 1, 2, 3].map(|parts| parts * PART_BYTES_MAX);
        let lengths = lengths.iter().flat_map(|full| [full.saturating_sub(1), *full, full + 1]);
        let lengths = lengths.filter(|length| *length > 0);
        let values: Vec<Vec<u8>> = (1..).zip(lengths).map(|(n, length)| vec![n; length]).collect();
        let mut batch = Batch::default();
        for (n, value) in (1..).zip(&values) {
            insert(&mut batch, &key(n * 10), value);
        }
        db.apply_batch(batch).expect("a batch");

        let prefix = Key::chunks(Kind::Events, Partition(3));
        for (n, value) in (1..).zip(&values) {
            let expected = Some((IVec::from(key(n * 10).bytes()), IVec::from(&value[..])));
            assert_eq!(get(&db, &key(n * 10)).unwrap().as_deref(), Some(&value[..]));
            for sequence in [n * 10, n * 10 + 9] {
                assert_eq!(at_or_before(&db, &prefix, &key(sequence)).unwrap(), expected);
            }
            for sequence in [n * 10 - 9, n * 10] {
                assert_eq!(at_or_after(&db, &prefix, &key(sequence)).unwrap(), expected);
            }
        }
        assert_eq!(at_or_before(&db, &prefix, &key(9)).unwrap(), None);
        assert_eq!(at_or_after(&db, &prefix, &key(1_000)).unwrap(), None);
        assert_eq!(get(&db, &key(11)).unwrap(), None);
    }
}
