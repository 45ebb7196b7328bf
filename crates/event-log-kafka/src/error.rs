//! What the driver's errors mean for the caller: did it happen, may it have happened, or not?

use event_log::{Failure, LogError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::misconfigured;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// It did not happen.
pub(crate) fn refused(stage: &'static str, source: impl Into<Source>) -> LogError {
    LogError::Unavailable { stage, failure: Failure::Determinate, source: source.into() }
}

/// Nobody knows.
pub(crate) fn unsettled(stage: &'static str, source: impl Into<Source>) -> LogError {
    LogError::Unavailable { stage, failure: Failure::Indeterminate, source: source.into() }
}

/// The driver did not take an entry into its queue: it was never sent.
pub(crate) fn not_queued(error: KafkaError, bytes: usize) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => too_large(bytes),
        Some(_) | None => refused("append: the driver does not take it", error),
    }
}

/// The driver gave up on an entry that it had taken. Whatever the last answer was, an attempt before
/// it may have been stored without its answer coming through: brokers look at permissions, sizes
/// and policies before they look whether they have the entry already, and these may have changed in
/// between. The driver knows how often it tried, and does not tell.
pub(crate) fn not_delivered(error: KafkaError) -> LogError {
    unsettled("append", error)
}

fn too_large(bytes: usize) -> LogError {
    LogError::TooLarge { bytes, max: event_log::ENTRY_BYTES_MAX }
}

/// A client could not be made: its settings contradict each other, or mean nothing.
pub(crate) fn no_client(error: KafkaError) -> LogError {
    if let KafkaError::ClientConfig(_, what, name, _) = &error {
        return misconfigured(
            format!("the Kafka driver does not take the property {name}: {what}"),
            format!("correct {name} in the properties"),
        );
    }
    misconfigured(
        format!("the Kafka driver cannot work with these settings: {error}"),
        "correct the properties",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was never queued did not happen; what was queued may have, whatever the broker said last.
    #[test]
    fn a_failure_says_whether_it_happened() {
        use RDKafkaErrorCode as Code;
        for code in [Code::QueueFull, Code::MessageSizeTooLarge, Code::Fatal] {
            let error = not_queued(KafkaError::MessageProduction(code), 10);
            assert_eq!(error.failure(), Failure::Determinate, "{code:?}");
        }
        for code in [
            Code::MessageTimedOut,
            Code::Fatal,
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::NotEnoughReplicasAfterAppend,
            Code::OutOfOrderSequenceNumber,
            Code::UnknownTopicOrPartition,
            Code::BrokerTransportFailure,
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
            Code::TopicAuthorizationFailed,
            Code::PolicyViolation,
            Code::InvalidRecord,
        ] {
            let error = not_delivered(KafkaError::MessageProduction(code));
            assert_eq!(error.failure(), Failure::Indeterminate, "{code:?}");
        }
    }
}
