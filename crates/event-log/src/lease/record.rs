//! What stands in the membership stream.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::Partition;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One entry of the membership stream. UTF-8 JSON on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseRecord {
    /// A node is there, for a while.
    NodeSeen(NodeSeen),
    /// A node goes, and says so.
    NodeLeaving(NodeLeaving),
    /// A node wants to know the log's time, which it learns when this is stored. It says nothing
    /// about leases.
    TimeAsked(TimeAsked),
}

/// A node asks for the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeAsked {
    /// Its name.
    pub node: String,
}

/// A node is there. It says so again before the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeen {
    /// Its name, the same after a restart.
    pub node: String,
    /// Which run of it this is: more than every run that this one has read of. With 0 a run that
    /// starts only marks a place in the stream, to find out what comes before it.
    pub generation: u64,
    /// Names this run.
    pub incarnation: Uuid,
    /// Counts what this run has appended, from 1.
    pub renewal: u64,
    /// For how long it counts as being there after this was read.
    pub ttl_ms: u64,
}

/// A node goes. Others may take what it had at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLeaving {
    /// Its name.
    pub node: String,
    /// Which run of it ends.
    pub generation: u64,
    /// Its name.
    pub incarnation: Uuid,
    /// What it owned until now and will not write to any more.
    pub partitions: BTreeSet<Partition>,
}

impl LeaseRecord {
    /// The record as it stands in the stream.
    ///
    /// # Panics
    /// Never: every lease can be written as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("text and numbers can be written as JSON").into()
    }

    /// Reads a record. What cannot be read is to be skipped: leases are about liveness alone.
    ///
    /// # Errors
    /// When the bytes are no lease record of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of different versions read each other's leases.
    #[test]
    fn leases_are_written_as_they_always_were() {
        let seen = LeaseRecord::NodeSeen(NodeSeen {
            node: "hub-1".to_owned(),
            generation: 3,
            incarnation: Uuid::from_u128(7),
            renewal: 42,
            ttl_ms: 3000,
        });
        let leaving = LeaseRecord::NodeLeaving(NodeLeaving {
            node: "hub-1".to_owned(),
            generation: 3,
            incarnation: Uuid::from_u128(7),
            partitions: BTreeSet::from([Partition(1), Partition(30)]),
        });
        let text = |record: &LeaseRecord| String::from_utf8(record.to_bytes().into()).unwrap();
        assert_eq!(
            text(&seen),
            r#"{"node_seen":{"node":"hub-1","generation":3,"incarnation":"00000000-0000-0000-0000-000000000007","renewal":42,"ttl_ms":3000}}"#
        );
        let asked = LeaseRecord::TimeAsked(TimeAsked { node: "hub-1".to_owned() });
        assert_eq!(text(&asked), r#"{"time_asked":{"node":"hub-1"}}"#);
        assert_eq!(
            text(&leaving),
            r#"{"node_leaving":{"node":"hub-1","generation":3,"incarnation":"00000000-0000-0000-0000-000000000007","partitions":[1,30]}}"#
        );
        for record in [seen, leaving, asked] {
            assert_eq!(LeaseRecord::from_bytes(&record.to_bytes()).unwrap(), record);
        }
    }
}
