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

/// The driver gave up on an entry that it had taken. Only where the broker itself answered that
/// it does not want the entry is it certain that it is not there: a retry of an entry that is
/// there is recognised by its number and answered with success.
pub(crate) fn not_delivered(error: KafkaError, bytes: usize) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => {
            too_large(bytes)
        }
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidRecord,
        ) => refused("append: the broker does not take it", error),
        Some(_) | None => unsettled("append", error),
    }
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

    fn failure(code: RDKafkaErrorCode, map: fn(KafkaError, usize) -> LogError) -> Failure {
        map(KafkaError::MessageProduction(code), 10).failure()
    }

    /// What was never queued did not happen; what was queued may have, unless the broker said no.
    #[test]
    fn a_failure_says_whether_it_happened() {
        use RDKafkaErrorCode as Code;
        for code in [Code::QueueFull, Code::MessageSizeTooLarge, Code::Fatal] {
            assert_eq!(failure(code, not_queued), Failure::Determinate, "{code:?}");
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
        ] {
            assert_eq!(failure(code, not_delivered), Failure::Indeterminate, "{code:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed] {
            assert_eq!(failure(code, not_delivered), Failure::Determinate, "{code:?}");
        }
    }
}
