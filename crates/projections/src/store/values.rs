//! The values of rows: a codec byte, the version of all rows, and the bytes.
//!
//! States and what we make up ourselves are bincode; what stands in the log is kept as JSON, since
//! payloads of commands are opaque and bincode cannot carry them. Nothing that bincode cannot
//! carry (skipped fields, untagged enums, `serde_json::Value`) may enter a state: a test
//! round-trips every type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packing;

/// The version of all rows: their keys and codecs. Rows of another version are built anew from the
/// log, so raise it with every change of any of these. Changes of states and of the way in which
/// events change them are noticed by themselves (see [`super::version`]).
pub(crate) const ROWS_VERSION: u8 = 1;

/// The most bytes that a bincode value may claim to have: 256 MiB, a hundred times a cluster with
/// 10,000 deliveries. Without it, a damaged length asks for all memory.
const VALUE_BYTES_MAX: usize = 256 << 20;

const BINCODE: u8 = 1;
const JSON: u8 = 2;
const CHUNK: u8 = 3;
const PACKED: u8 = 4;

/// A value that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// Written with another codec or by another version.
    #[error("it starts with {found:?}, not with {expected:?}")]
    Header { found: Vec<u8>, expected: [u8; 2] },
    #[error("it is no bincode of its type")]
    Bincode(#[from] bincode::error::DecodeError),
    #[error("it is no JSON of its type")]
    Json(#[from] serde_json::Error),
    /// It is shorter than it says.
    #[error("it is cut short")]
    Short,
    #[error("it cannot be unpacked")]
    Packing(#[from] lz4_flex::block::DecompressError),
    /// There are bytes after its end.
    #[error("it is longer than its type")]
    Long,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<VALUE_BYTES_MAX>()
}

/// Writes a value as bincode.
pub(crate) fn to_bincode(value: &impl Serialize) -> Vec<u8> {
    start(BINCODE, value)
}

/// Reads a value that [`to_bincode`] wrote.
pub(crate) fn from_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let body = body(BINCODE, bytes)?;
    let (value, length) = bincode::serde::decode_from_slice(body, config())?;
    if length == body.len() { Ok(value) } else { Err(Malformed::Long) }
}

/// Writes a value as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![JSON, ROWS_VERSION];
    write_json(&mut bytes, value);
    bytes
}

/// Reads a value that [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    Ok(serde_json::from_slice(body(JSON, bytes)?)?)
}

/// Adds a value to some bytes, as JSON.
pub(crate) fn write_json(bytes: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(bytes, value)
        .expect("it came from JSON, and writing to memory does not fail");
}

/// Packs a value that [`to_bincode`] wrote.
pub(crate) fn pack(plain: &[u8]) -> Vec<u8> {
    let mut bytes = vec![PACKED, ROWS_VERSION];
    packing::pack(&mut bytes, plain);
    bytes
}

/// The value that [`pack`] was given.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    packing::unpack(body(PACKED, bytes)?)
}

/// Starts a chunk with its table. Its entries follow.
pub(crate) fn chunk_start(table: &impl Serialize) -> Vec<u8> {
    start(CHUNK, table)
}

/// Reads the table of a chunk, and says where its entries start.
pub(crate) fn chunk_table<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), Malformed> {
    let body = body(CHUNK, bytes)?;
    let (table, length) = bincode::serde::decode_from_slice(body, config())?;
    Ok((table, bytes.len() - body.len() + length))
}

fn start(codec: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![codec, ROWS_VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .expect("states and tables are plain data below the bound");
    bytes
}

fn body(codec: u8, bytes: &[u8]) -> Result<&[u8], Malformed> {
    let expected = [codec, ROWS_VERSION];
    bytes.strip_prefix(&expected).ok_or_else(|| {
        let found = bytes[..bytes.len().min(2)].to_vec();
        Malformed::Header { found, expected }
    })
}
