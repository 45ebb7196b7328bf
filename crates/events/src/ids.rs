//! Identifiers: who, what and where in the log.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::Timestamp;

/// Serialises a type as the text of its `Display`, reads it with its `FromStr`.
macro_rules! text_serde {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::ids::Text(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use text_serde;

/// Parses text where it stands: most of what a log is read for are identifiers.
pub(crate) struct Text<T>(pub(crate) PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Text that does not name what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// What was expected, with its article.
    pub expected: &'static str,
}

/// One of the ordered parts of the log. Each has a single owner at a time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event within its partition: 1 for the first, without holes. 0 is "before all".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence `count` places further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an ownership of a partition: each claim raises it by one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch that the next claim takes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log: partition and sequence, written `7:1042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The place within it.
    pub sequence: Sequence,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.sequence)
    }
}

impl FromStr for Position {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let (partition, sequence) = text.split_once(':')?;
            Some(Self {
                partition: Partition(partition.parse().ok()?),
                sequence: Sequence(sequence.parse().ok()?),
            })
        };
        parse().ok_or_else(|| InvalidId {
            text: text.to_owned(),
            expected: "a position (partition:sequence, such as 7:1042)",
        })
    }
}

text_serde!(Position);

/// One position per partition: what somebody had seen of the whole log. Partitions of which
/// nothing was seen are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub BTreeMap<Partition, Sequence>);

impl Watermark {
    /// What was seen of one partition; 0 if nothing.
    #[must_use]
    pub fn of(&self, partition: Partition) -> Sequence {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Moves one partition forward. A watermark never falls.
    pub fn advance(&mut self, position: Position) {
        let seen = self.0.entry(position.partition).or_default();
        *seen = (*seen).max(position.sequence);
    }

    /// Whether everything up to and including `position` was seen.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        self.of(position.partition) >= position.sequence
    }
}

/// The kinds of things that decide. The name is the first part of an [`AggregateId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateKind {
    /// One member cluster and its deliveries.
    Cluster,
    /// One placement, its revisions and its targets.
    Placement,
    /// The fleet as a whole.
    Fleet,
}

impl AggregateKind {
    /// The word for it in identifiers, CLI and queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Placement => "placement",
            Self::Fleet => "fleet",
        }
    }
}

/// Names one aggregate: `cluster/eu-1`, `placement/cluster/web`, `placement/ns.team-a/web`,
/// `fleet`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateId {
    /// A member cluster, by the name of its MemberCluster object.
    Cluster(String),
    /// A placement.
    Placement(PlacementKey),
    /// The fleet.
    Fleet,
}

impl AggregateId {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> AggregateKind {
        match self {
            Self::Cluster(_) => AggregateKind::Cluster,
            Self::Placement(_) => AggregateKind::Placement,
            Self::Fleet => AggregateKind::Fleet,
        }
    }
}

impl fmt::Display for AggregateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster/{name}"),
            Self::Placement(key) => write!(f, "placement/{key}"),
            Self::Fleet => f.write_str("fleet"),
        }
    }
}

impl FromStr for AggregateId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            None if text == "fleet" => Ok(Self::Fleet),
            Some(("cluster", name)) if !name.is_empty() => Ok(Self::Cluster(name.to_owned())),
            Some(("placement", key)) => key.parse().map(Self::Placement),
            _ => Err(InvalidId { text: text.to_owned(), expected: "an aggregate id" }),
        }
    }
}

text_serde!(AggregateId);

/// Where a placement lives: the cluster scope, or one namespace of the hub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PlacementScope {
    /// A ClusterResourcePlacement.
    Cluster,
    /// A ResourcePlacement in this namespace.
    Namespace(String),
}

/// Names one placement: `cluster/web` for a ClusterResourcePlacement, `ns.team-a/web` for a
/// ResourcePlacement in namespace `team-a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementKey {
    /// Cluster scope or a namespace.
    pub scope: PlacementScope,
    /// The object's name.
    pub name: String,
}

impl PlacementKey {
    /// The key of a ClusterResourcePlacement.
    #[must_use]
    pub fn cluster(name: impl Into<String>) -> Self {
        Self { scope: PlacementScope::Cluster, name: name.into() }
    }

    /// The key of a ResourcePlacement.
    #[must_use]
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { scope: PlacementScope::Namespace(namespace.into()), name: name.into() }
    }
}

impl fmt::Display for PlacementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            PlacementScope::Cluster => write!(f, "cluster/{}", self.name),
            PlacementScope::Namespace(namespace) => write!(f, "ns.{namespace}/{}", self.name),
        }
    }
}

impl FromStr for PlacementKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let (scope, name) = text.split_once('/')?;
            let key = match scope.strip_prefix("ns.") {
                Some(namespace) if !namespace.is_empty() => Self::namespaced(namespace, name),
                None if scope == "cluster" => Self::cluster(name),
                _ => return None,
            };
            (!name.is_empty()).then_some(key)
        };
        parse().ok_or_else(|| InvalidId {
            text: text.to_owned(),
            expected: "a placement (cluster/NAME or ns.NAMESPACE/NAME)",
        })
    }
}

text_serde!(PlacementKey);

/// Names one command. The same id is decided at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl CommandId {
    /// The id of a follow-up command: UUIDv5 of the causing event and the ordinal of the follow-up
    /// in its decision, so that a decision made again after a crash asks for the same thing.
    #[must_use]
    pub fn follow_up(cause: EventId, ordinal: usize) -> Self {
        Self(Uuid::new_v5(&cause.0, ordinal.to_string().as_bytes()))
    }

    /// The id of a command that some input implies, named by text that identifies the input.
    #[must_use]
    pub fn of_input(name: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()))
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one event: a UUIDv7 whose random part is derived from the command, so that deciding the
/// same command at the same time again yields the same ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl EventId {
    /// The id of event `index` of the decision on `command` at `time`.
    #[must_use]
    pub fn derive(time: Timestamp, command: CommandId, index: usize) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(command.0.as_bytes());
        hasher.update(index.to_be_bytes());
        let digest = hasher.finalize();
        let mut random = [0; 10];
        random.copy_from_slice(&digest[..10]);
        let millis = u64::try_from(time.as_millisecond()).unwrap_or_default();
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ties together everything that one input set in motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationId(pub Uuid);

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who caused something, written `user:alice`, `claimed:kubectl`, `member:eu-1`, `system`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Taffrail itself.
    System,
    /// A Kubernetes user on the hub, as its API server knows them.
    User(String),
    /// Somebody on the hub of whom only the field manager is known: whoever writes an object says
    /// of themselves what stands there, and nobody has checked it.
    Claimed(String),
    /// A member cluster, as observed through its link.
    Member(String),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Claimed(manager) => write!(f, "claimed:{manager}"),
            Self::Member(name) => write!(f, "member:{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            Some(("user", name)) => Ok(Self::User(name.to_owned())),
            Some(("claimed", manager)) => Ok(Self::Claimed(manager.to_owned())),
            Some(("member", name)) => Ok(Self::Member(name.to_owned())),
            _ => Err(InvalidId { text: text.to_owned(), expected: "a principal" }),
        }
    }
}

text_serde!(Principal);
