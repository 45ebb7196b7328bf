//! The topics of a log: their names, how they must be set up, and which stream is where.

use events::{ContentHash, Partition};

use crate::config::{KafkaConfig, misconfigured};
use event_log::{LogError, Stream};

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topic {
    Events,
    Commands,
    Membership,
    Content,
}

impl Topic {
    pub(crate) const ALL: [Self; 4] =
        [Self::Events, Self::Commands, Self::Membership, Self::Content];

    fn suffix(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Commands => "commands",
            Self::Membership => "membership",
            Self::Content => "content",
        }
    }

    /// How long records are kept. `None`: for ever.
    pub(crate) fn retention_ms(self) -> Option<u64> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        match self {
            Self::Events | Self::Content => None,
            Self::Commands => Some(7 * DAY_MS),
            Self::Membership => Some(DAY_MS),
        }
    }

    /// Whether brokers note when they stored a record, and not its writer. Where records are kept
    /// for a while only, the clock of a node must not say for how long; and a node learns the
    /// brokers' time from it (see [`event_log::clock`]).
    pub(crate) fn is_stamped_by_brokers(self) -> bool {
        self.retention_ms().is_some()
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Track {
    pub(crate) topic: Topic,
    pub(crate) partition: u16,
}

/// The names and sizes of the topics.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    prefix: String,
    names: [String; Topic::ALL.len()],
    partitions: u16,
    content_partitions: u16,
}

impl Topics {
    pub(crate) fn new(config: &KafkaConfig) -> Self {
        let name = |topic: Topic| format!("{}{}", config.topic_prefix, topic.suffix());
        Self {
            prefix: config.topic_prefix.clone(),
            names: Topic::ALL.map(name),
            partitions: config.partitions,
            content_partitions: config.content_partitions,
        }
    }

    pub(crate) fn name(&self, topic: Topic) -> &str {
        &self.names[topic as usize]
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: Topic) -> u16 {
        match topic {
            Topic::Events | Topic::Commands => self.partitions,
            Topic::Membership => 1,
            Topic::Content => self.content_partitions,
        }
    }

    /// The topic with this name.
    pub(crate) fn find(&self, name: &str) -> Option<Topic> {
        let suffix = name.strip_prefix(self.prefix.as_str())?;
        Topic::ALL.into_iter().find(|topic| topic.suffix() == suffix)
    }

    /// Where a stream is.
    pub(crate) fn track(&self, stream: Stream) -> Result<Track, LogError> {
        let (topic, partition) = match stream {
            Stream::Events(partition) => (Topic::Events, partition),
            Stream::Commands(partition) => (Topic::Commands, partition),
            Stream::Membership => (Topic::Membership, Partition(0)),
        };
        if partition.0 < self.partitions(topic) {
            return Ok(Track { topic, partition: partition.0 });
        }
        let count = self.partitions(topic);
        Err(misconfigured(
            format!("there is no partition {partition} in a log of {count} partitions"),
            "set `partitions` as it is in the log's genesis",
        ))
    }

    /// The partition in which content of this hash is stored.
    pub(crate) fn content_track(&self, hash: ContentHash) -> Track {
        let head = u16::from_be_bytes([hash.0[0], hash.0[1]]);
        Track { topic: Topic::Content, partition: head % self.content_partitions }
    }

    /// A track as people know it: `taffrail.events [7]`.
    pub(crate) fn show(&self, track: Track) -> String {
        format!("{} [{}]", self.name(track.topic), track.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_found_by_its_name() {
        let topics = Topics::new(&KafkaConfig::new("b:1"));
        for topic in Topic::ALL {
            assert_eq!(topics.find(topics.name(topic)), Some(topic));
        }
        assert_eq!(topics.name(Topic::Events), "taffrail.events");
        assert_eq!(topics.find("other.events"), None);
        assert_eq!(topics.find("taffrail.outbound"), None);
    }

    #[test]
    fn a_stream_outside_of_the_log_is_refused() {
        let topics = Topics::new(&KafkaConfig::new("b:1"));
        assert!(topics.track(Stream::Events(Partition(31))).is_ok());
        assert!(topics.track(Stream::Commands(Partition(32))).is_err());
    }
}
