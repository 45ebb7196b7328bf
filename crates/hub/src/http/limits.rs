//! How much one peer, and all of them, may ask at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Problem;

/// How many requests of all peers are answered at once, until their last byte is read. An answer
/// has half a megabyte at most, so those of peers that do not read hold 128 MiB at the very most.
pub const REQUESTS_MAX: usize = 256;

/// How many requests of one peer are answered at once: a browser opens six connections, a
/// dashboard of many panels twenty.
pub const REQUESTS_PER_PEER_MAX: usize = 32;

/// How many listeners follow the events at once. Each costs a query for each change.
pub const FOLLOWERS_MAX: usize = 64;

/// How many of them one peer may have. They count as requests too, and leave room for others.
pub const FOLLOWERS_PER_PEER_MAX: usize = 16;

/// How many connections are open at once, whatever they do.
pub const CONNECTIONS_MAX: usize = 1_024;

/// A number of places, of which each peer gets some at most.
#[derive(Clone)]
pub(super) struct Limit {
    what: &'static str,
    max: usize,
    per_peer_max: usize,
    taken: Arc<Mutex<BTreeMap<Option<IpAddr>, usize>>>,
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    limit: Limit,
    peer: Option<IpAddr>,
}

impl Limit {
    pub(super) fn requests() -> Self {
        Self::new("requests", REQUESTS_MAX, REQUESTS_PER_PEER_MAX)
    }

    pub(super) fn followers() -> Self {
        Self::new("followers of events", FOLLOWERS_MAX, FOLLOWERS_PER_PEER_MAX)
    }

    fn new(what: &'static str, max: usize, per_peer_max: usize) -> Self {
        Self { what, max, per_peer_max, taken: Arc::default() }
    }

    /// Takes a place for a peer. Peers whose address is not known share theirs.
    pub(super) fn take(&self, peer: Option<IpAddr>) -> Result<Place, Problem> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.entry(peer).or_default();
        let (what, max) = (self.what, self.max);
        if *own >= self.per_peer_max {
            let per_peer = self.per_peer_max;
            return Err(Problem::too_many(format!("one peer gets {per_peer} {what} at once")));
        }
        if all >= max {
            if *own == 0 {
                taken.remove(&peer);
            }
            return Err(Problem::too_many(format!("this hub takes {max} {what} at once")));
        }
        *own += 1;
        Ok(Place { limit: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.limit.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_its_share_and_gives_it_back() {
        let limit = Limit::new("things", 3, 2);
        let peer = |last: u8| Some(IpAddr::from([127, 0, 0, last]));
        let held = [limit.take(peer(1)).ok().unwrap(), limit.take(peer(1)).ok().unwrap()];
        let refused = limit.take(peer(1)).err().unwrap().to_string();
        assert_eq!(refused, "one peer gets 2 things at once");
        let other = limit.take(peer(2)).ok().unwrap();
        let refused = limit.take(peer(3)).err().unwrap().to_string();
        assert_eq!(refused, "this hub takes 3 things at once");
        drop(other);
        assert!(limit.take(peer(3)).is_ok());
        drop(held);
        assert!(limit.taken.lock().unwrap().is_empty(), "nothing is kept of peers that are gone");
    }
}
