//! The way to a log that is set up as it must be: topics that are missing are created, all are
//! examined.

use std::time::{Duration, Instant};

use event_log::LogError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::aside::drop_aside;
use crate::config::{KafkaConfig, QUESTION_TIMEOUT, misconfigured};
use crate::context::Context;
use crate::doctor::{
    Finding, Observed, Tools, check, check_brokers, copies, observe, refuse, settings_of,
};
use crate::error::{no_client, refused};
use crate::topics::{Topic, Topics};

/// How long to wait for topics that are new and for leaders that are being elected: brokers need a
/// second, and ten when one of them died. At twice this, a log of which a part is down only opens
/// later.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// How often to look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Makes the topics ready. Gives what the doctor has found that is not bad enough to be refused.
pub(crate) async fn prepare(
    config: &KafkaConfig,
    topics: &Topics,
) -> Result<Vec<Finding>, LogError> {
    let observed = observe(config, topics).await?;
    let missing: Vec<_> =
        Topic::ALL.into_iter().filter(|topic| !observed.topics.contains_key(topic)).collect();
    if !missing.is_empty() {
        // Before there are topics with too few copies.
        refuse(check_brokers(&observed, config.mode).as_slice())?;
        create(config, topics, &observed, &missing).await?;
    }
    let observed = wait_until_ready(config, topics, observed).await?;
    let findings = check(&observed, config, config.mode);
    refuse(&findings)?;
    Ok(findings)
}

async fn create(
    config: &KafkaConfig,
    topics: &Topics,
    observed: &Observed,
    missing: &[Topic],
) -> Result<(), LogError> {
    let copies = copies(config, observed);
    let settings: Vec<_> = missing.iter().map(|topic| settings_of(*topic, copies)).collect();
    let new: Vec<_> = missing
        .iter()
        .zip(&settings)
        .map(|(topic, settings)| {
            let partitions = i32::from(topics.partitions(*topic));
            let copies = TopicReplication::Fixed(i32::from(copies));
            let new = NewTopic::new(topics.name(*topic), partitions, copies);
            settings.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();

    let admin: AdminClient<Context> =
        config.admin().create_with_context(Context::new("admin")).map_err(no_client)?;
    let options = AdminOptions::new()
        .request_timeout(Some(QUESTION_TIMEOUT))
        .operation_timeout(Some(QUESTION_TIMEOUT));
    let created = admin.create_topics(&new, &options).await;
    drop_aside(admin);

    let created = created.map_err(|error| refused("create the topics", error))?;
    for (topic, result) in missing.iter().zip(created) {
        match result {
            Ok(_) => tracing::info!(topic = topics.name(*topic), "created a topic"),
            // Another node starts at the same time.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, RDKafkaErrorCode::RequestTimedOut)) => {
                return Err(refused(
                    "create the topics",
                    KafkaError::AdminOp(RDKafkaErrorCode::RequestTimedOut),
                ));
            }
            Err((name, code)) => {
                let (tools, partitions) = (Tools::new(config), topics.partitions(*topic));
                return Err(misconfigured(
                    format!("the topic {name} is missing and cannot be created: {code}"),
                    tools.create(&name, partitions, copies, &settings_of(*topic, copies)),
                ));
            }
        }
    }
    Ok(())
}

/// Waits until all topics are there and every partition has a leader that answers. When some still
/// have none after a while the log is opened without them: the rest works.
async fn wait_until_ready(
    config: &KafkaConfig,
    topics: &Topics,
    first: Observed,
) -> Result<Observed, LogError> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut seen = Ok(first);
    loop {
        let ready = seen.as_ref().is_ok_and(|observed| {
            observed.topics.len() == Topic::ALL.len()
                && observed.topics.values().all(|topic| topic.leaderless.is_empty())
        });
        if ready || Instant::now() > deadline {
            return seen;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        // A broker may not know the new topics yet when it is asked for their settings.
        seen = observe(config, topics).await;
    }
}
