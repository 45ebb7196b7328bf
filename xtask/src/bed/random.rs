//! Random numbers from the system: ports and cluster ids of a test bed need no more.

use std::{fs::File, io::Read};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("read /dev/urandom")?;
    Ok(bytes)
}

pub(super) fn u16() -> Result<u16> {
    Ok(u16::from_ne_bytes(bytes()?))
}

/// An id as Kafka writes them: 16 bytes in URL-safe base64. It never starts with `-`, which
/// Kafka's tools would take for an option.
pub(super) fn kafka_uuid() -> Result<String> {
    let mut id: [u8; 16] = bytes()?;
    id[0] &= 0x7f;
    Ok(URL_SAFE_NO_PAD.encode(id))
}
