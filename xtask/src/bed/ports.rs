//! Free TCP ports on 127.0.0.1, held for as long as a bed lives.
//!
//! "Bind port 0, close, use the number" lets go of the port before the server has it, and a
//! client's outgoing connection, which takes its port from the same range, may come in between;
//! worse, a server that was killed and is started again must get *its* port back. So ports come
//! from below the ephemeral range of Linux (32768 and up) and a lock file in the cache directory
//! keeps other beds of this user off them; the kernel drops the lock when the process ends.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context, Result, bail};

use super::{cache, random};

const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// How many numbers are tried before giving up. A bed of 4 clusters and 3 brokers takes 12 of
/// 12,000, so hundreds of refusals in a row mean that something else is wrong.
const TRIES_MAX: u32 = 500;

/// A port that no other bed uses while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

/// Takes a free port.
pub(crate) fn reserve() -> Result<Port> {
    let dir = cache::root()?.join("ports");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    for _ in 0..TRIES_MAX {
        let number = FIRST + random::u16()? % (LAST - FIRST);
        let path = dir.join(number.to_string());
        let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        if free && lock.try_lock().is_ok() {
            return Ok(Port { number, _lock: lock });
        }
    }
    bail!("no free port between {FIRST} and {LAST} on 127.0.0.1 after {TRIES_MAX} tries")
}
