//! What the brokers say about the topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use event_log::LogError;
use events::{Genesis, Record};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};

use crate::aside::drop_aside;
use crate::config::{ASK_AGAIN_AFTER, Fetch, KafkaConfig, QUESTION_TIMEOUT};
use crate::context::{Context, Trouble};
use crate::error::{no_client, refused};
use crate::topics::{Topic, Topics};

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// The ids of the brokers.
    pub(crate) brokers: Vec<i32>,
    /// The topics that exist.
    pub(crate) topics: BTreeMap<Topic, Seen>,
    /// The log's first record, if it is a genesis.
    pub(crate) genesis: Option<Genesis>,
}

/// A topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The brokers that hold each partition.
    pub(crate) replicas: Vec<Vec<i32>>,
    /// The partitions whose leader does not answer, or that have none.
    pub(crate) leaderless: Vec<i32>,
    /// Its settings, the defaults included.
    pub(crate) settings: BTreeMap<String, String>,
}

/// How long to wait for the reason of a failure, which the driver gives on another way.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

type Questioner = BaseConsumer<Context>;

/// Why nobody answers, in the driver's words.
#[derive(Debug, thiserror::Error)]
#[error("no broker at {bootstrap} answers: {reason}")]
struct Unreachable {
    bootstrap: String,
    reason: String,
}

/// Asks the brokers.
pub(crate) async fn observe(config: &KafkaConfig, topics: &Topics) -> Result<Observed, LogError> {
    let (config, topics) = (Arc::new(config.clone()), Arc::new(topics.clone()));
    let asked = (Arc::clone(&config), Arc::clone(&topics));
    let asking = tokio::task::spawn_blocking(move || ask(&asked.0, &asked.1));
    let mut observed = asking.await.map_err(|gone| refused("connect", gone))??;

    let names: Vec<_> = observed.topics.keys().map(|topic| topics.name(*topic)).collect();
    let mut settings = settings(&config, &names).await?;
    for (topic, seen) in &mut observed.topics {
        seen.settings = settings.remove(topics.name(*topic)).unwrap_or_default();
    }
    Ok(observed)
}

/// The part that blocks.
fn ask(config: &KafkaConfig, topics: &Topics) -> Result<Observed, LogError> {
    let context = Context::new("doctor");
    let trouble = context.trouble();
    let questioner: Questioner =
        config.consumer(Fetch::PICK).create_with_context(context).map_err(no_client)?;
    // About all topics: to ask for one by its name could make some brokers create it.
    let metadata = questioner.fetch_metadata(None, QUESTION_TIMEOUT).map_err(|error| {
        let reason = reason(&questioner, &trouble).unwrap_or_else(|| error.to_string());
        refused("connect", Unreachable { bootstrap: config.bootstrap.clone(), reason })
    })?;
    let seen = metadata.topics().iter().filter(|topic| topic.error().is_none());
    let mut topics_seen: BTreeMap<Topic, Seen> =
        seen.filter_map(|topic| Some((topics.find(topic.name())?, look_at(topic)))).collect();
    let leaderless = leaderless(&questioner, topics, &topics_seen)
        .map_err(|error| refused("ask for the partitions' leaders", error))?;
    for (topic, partition) in leaderless {
        topics_seen.entry(topic).or_default().leaderless.push(partition);
    }
    let brokers = metadata.brokers().iter().map(|broker| broker.id()).collect();
    let genesis = if topics_seen.contains_key(&Topic::Events) {
        genesis(&questioner, topics).unwrap_or_else(|error| {
            tracing::debug!(%error, "the first record cannot be read");
            None
        })
    } else {
        None
    };
    drop_aside(questioner);
    Ok(Observed { brokers, topics: topics_seen, genesis })
}

/// What the driver complained about. It says so to those who poll, and not at once.
fn reason(questioner: &Questioner, trouble: &Trouble) -> Option<String> {
    let deadline = Instant::now() + REASON_TIMEOUT;
    while trouble.last().is_none() && Instant::now() < deadline {
        // Its complaints are for the context; there is no message to come.
        drop(questioner.poll(REASON_TIMEOUT / 10));
    }
    trouble.last()
}

fn look_at(topic: &MetadataTopic) -> Seen {
    let mut partitions: Vec<_> = topic.partitions().iter().collect();
    partitions.sort_by_key(|partition| partition.id());
    Seen {
        replicas: partitions.iter().map(|partition| partition.replicas().to_vec()).collect(),
        leaderless: Vec::new(),
        settings: BTreeMap::new(),
    }
}

/// The partitions that cannot be written to now. What the brokers tell of leaders says who should
/// lead; a leader that is not ready yet refuses what is sent to it, also when it is asked for its
/// partition's end.
fn leaderless(
    questioner: &Questioner,
    topics: &Topics,
    seen: &BTreeMap<Topic, Seen>,
) -> Result<Vec<(Topic, i32)>, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for (topic, seen) in seen {
        for (partition, _) in (0..).zip(&seen.replicas) {
            asked.add_partition_offset(topics.name(*topic), partition, Offset::End)?;
        }
    }
    if asked.count() == 0 {
        return Ok(Vec::new());
    }
    let answers = ask_patiently(|left| questioner.offsets_for_times(asked.clone(), left))?;
    let refused = answers.elements().into_iter().filter(|answer| answer.error().is_err());
    Ok(refused
        .filter_map(|answer| Some((topics.find(answer.topic())?, answer.partition())))
        .collect())
}

/// While a leadership moves, or a topic is new, the driver gives up on a question about all
/// partitions at the first no; who asks again is answered.
fn ask_patiently<T>(ask: impl Fn(Duration) -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let deadline = Instant::now() + QUESTION_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask(left) {
            Err(_) if left > ASK_AGAIN_AFTER => thread::sleep(ASK_AGAIN_AFTER),
            answer => return answer,
        }
    }
}

/// Reads the first record of partition 0.
fn genesis(questioner: &Questioner, topics: &Topics) -> Result<Option<Genesis>, KafkaError> {
    let name = topics.name(Topic::Events);
    let (begin, end) = questioner.fetch_watermarks(name, 0, QUESTION_TIMEOUT)?;
    if begin == end {
        return Ok(None);
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(name, 0, Offset::Offset(begin))?;
    questioner.assign(&list)?;
    let deadline = Instant::now() + QUESTION_TIMEOUT;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if let Some(message) = questioner.poll(left) {
            let record = Record::from_bytes(message?.payload().unwrap_or_default());
            return Ok(match record {
                Ok(Record::Genesis(genesis)) => Some(genesis),
                Ok(Record::Claim(_) | Record::Frame(_)) | Err(_) => None,
            });
        }
    }
    Ok(None)
}

/// The settings of topics, by topic and name.
async fn settings(
    config: &KafkaConfig,
    names: &[&str],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, LogError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin: AdminClient<Context> =
        config.admin().create_with_context(Context::new("admin")).map_err(no_client)?;
    let wanted: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(QUESTION_TIMEOUT));
    let described = admin.describe_configs(&wanted, &options).await;
    drop_aside(admin);

    let described = described.map_err(|error| refused("ask for the topics' settings", error))?;
    let mut settings = BTreeMap::new();
    for (name, resource) in names.iter().zip(described) {
        let resource = resource
            .map_err(|code| refused("ask for the topics' settings", KafkaError::AdminOp(code)))?;
        let entries = resource.entries.into_iter();
        let known = entries.filter_map(|entry| Some((entry.name, entry.value?)));
        settings.insert((*name).to_owned(), known.collect());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    /// A topic that was made a moment ago is no reason to refuse a log.
    #[test]
    fn regression_a_leader_that_is_not_ready_is_asked_again() {
        let asked = Cell::new(0);
        let answer = ask_patiently(|_| {
            asked.set(asked.get() + 1);
            match asked.get() {
                3 => Ok("the offsets"),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::NotLeaderForPartition)),
            }
        });
        assert_eq!((answer, asked.get()), (Ok("the offsets"), 3));
    }
}
