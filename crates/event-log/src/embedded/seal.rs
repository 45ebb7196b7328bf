//! An entry as it stands in a table: checksum, time of writing, bytes.
//!
//! redb checks its pages only when it repairs a file, so a bit that fell over later would be read
//! as it is. The hash chain would notice it in events, but could not tell where. The checksum tells
//! entry and place. The time is what retention goes by.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const HEADER_BYTES: usize = 16;

/// Where an entry stands: its partition and offset.
pub(super) type Place = (u16, u64);

/// Seals an entry. The checksum is XXH3-64 over time and bytes, seeded with the place, so that an
/// entry in the wrong place is noticed too.
pub(super) fn close(place: Place, time_ms: u64, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEADER_BYTES + bytes.len());
    sealed.extend_from_slice(&[0; 8]);
    sealed.extend_from_slice(&time_ms.to_le_bytes());
    sealed.extend_from_slice(bytes);
    let checksum = xxh3_64_with_seed(&sealed[8..], seed(place));
    sealed[..8].copy_from_slice(&checksum.to_le_bytes());
    sealed
}

/// The time and the bytes of a sealed entry; `None` when they are not what was sealed.
pub(super) fn open(place: Place, sealed: &[u8]) -> Option<(u64, &[u8])> {
    let (checksum, rest) = sealed.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*checksum) != xxh3_64_with_seed(rest, seed(place)) {
        return None;
    }
    let (time_ms, bytes) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*time_ms), bytes))
}

/// Different for every place: no stream gets anywhere near 2^48 entries.
fn seed((partition, offset): Place) -> u64 {
    u64::from(partition) << 48 ^ offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back() {
        for bytes in [&b""[..], b"x", &[7; 1000]] {
            assert_eq!(open((1, 3), &close((1, 3), 42, bytes)), Some((42, bytes)));
        }
    }

    #[test]
    fn any_flipped_bit_and_the_wrong_place_are_noticed() {
        let sealed = close((1, 3), 42, b"an entry");
        assert_eq!(open((1, 4), &sealed), None);
        assert_eq!(open((2, 3), &sealed), None);
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open((1, 3), &flipped), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(open((1, 3), &sealed[..len]), None, "{len} bytes");
        }
    }
}
