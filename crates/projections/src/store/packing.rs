//! Smaller values: LZ4, when it helps.
//!
//! sled writes everything about twice and keeps whole leaves in its cache, so what is a quarter of
//! the size is written and found four times as fast.

use super::values::Malformed;

/// Below this many bytes there is nothing to gain.
const PACKED_BYTES_MIN: usize = 512;

/// The most bytes that a packed value may claim to have: 256 MiB, a hundred times a cluster with
/// 10,000 deliveries. Without it, a damaged length asks for all memory.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Adds bytes to a value, packed if that makes them smaller.
pub(crate) fn pack(value: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() >= PACKED_BYTES_MIN {
        let packed = lz4_flex::compress_prepend_size(bytes);
        if packed.len() < bytes.len() {
            value.push(LZ4);
            value.extend_from_slice(&packed);
            return;
        }
    }
    value.push(PLAIN);
    value.extend_from_slice(bytes);
}

/// The bytes that [`pack`] was given.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Malformed> {
    match packed.split_first() {
        Some((&PLAIN, bytes)) => Ok(bytes.to_vec()),
        Some((&LZ4, packed)) => {
            let (length, _) =
                lz4_flex::block::uncompressed_size(packed).map_err(|_| Malformed::Short)?;
            if length > UNPACKED_BYTES_MAX {
                return Err(Malformed::Long);
            }
            Ok(lz4_flex::decompress_size_prepended(packed)?)
        }
        Some(_) | None => Err(Malformed::Short),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_back(bytes in vec(any::<u8>(), 0..2_000), times in 1..20_usize) {
            let bytes = bytes.repeat(times);
            let mut value = vec![7];
            pack(&mut value, &bytes);
            prop_assert!(value.len() <= bytes.len() + 2);
            prop_assert_eq!(unpack(&value[1..]).unwrap(), bytes);
        }

        #[test]
        fn anything_else_is_refused_or_bounded(packed in vec(any::<u8>(), 0..200)) {
            // It must not panic or take all memory; what it answers does not matter.
            if let Ok(bytes) = unpack(&packed) {
                prop_assert!(bytes.len() <= UNPACKED_BYTES_MAX);
            }
        }
    }
}
