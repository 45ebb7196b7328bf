//! What the driver tells a client: log lines and errors.
//!
//! The driver mends nearly everything by itself and says so loudly. An operator hears of it at the
//! level of what there is to do: nothing about a connection that is tried again, something about
//! settings that are refused.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Is told once or more often that a client is dead.
pub(crate) type OnFatal = Box<dyn Fn() + Send + Sync>;

/// The context of our clients.
pub(crate) struct Context {
    client: &'static str,
    trouble: Trouble,
    on_fatal: Option<OnFatal>,
}

/// The last thing that the driver complained about. A timeout says nothing; this says why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub(crate) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl Context {
    pub(crate) fn new(client: &'static str) -> Self {
        Self { client, trouble: Trouble::default(), on_fatal: None }
    }

    /// Calls `on_fatal` when the client can do nothing any more.
    pub(crate) fn watched(client: &'static str, on_fatal: OnFatal) -> Self {
        Self { on_fatal: Some(on_fatal), ..Self::new(client) }
    }

    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.client;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            // What the driver fails at it tries again.
            if !matches!(facility, "FAIL" | "ERROR") =>
            {
                tracing::warn!(client, facility, "Kafka driver: {message}");
            }
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning
            | RDKafkaLogLevel::Notice
            | RDKafkaLogLevel::Info
            | RDKafkaLogLevel::Debug => {
                tracing::debug!(client, facility, "Kafka driver: {message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let client = self.client;
        self.trouble.note(reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => {
                tracing::error!(client, "Kafka client is dead and is replaced: {reason}");
                if let Some(on_fatal) = &self.on_fatal {
                    on_fatal();
                }
            }
            // Information: the driver goes on connecting, and calls time out meanwhile.
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve,
            ) => tracing::info!(client, "Kafka is not reachable, trying again: {reason}"),
            Some(_) | None => tracing::warn!(client, %error, "Kafka client: {reason}"),
        }
    }
}

impl ConsumerContext for Context {}
