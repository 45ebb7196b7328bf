//! A log that is not there says so, soon.

use std::error::Error;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use event_log::{Failure, LogError};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode, QUESTION_TIMEOUT, Severity, doctor};

/// The driver asks for as long as a question may take; the rest is for a machine that is busy.
const BOUND: Duration = QUESTION_TIMEOUT.saturating_mul(3);

/// An error with all its causes, as the binary prints it.
fn chain(error: &LogError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

async fn refused(bootstrap: &str) -> String {
    let begin = Instant::now();
    let error = KafkaLog::connect(KafkaConfig::new(bootstrap)).await.expect_err("nobody is there");
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.failure(), Failure::Determinate);
    chain(&error)
}

#[tokio::test]
async fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("127.0.0.1:{port}")).await;
    assert!(
        error.starts_with("the log does not answer (connect): no broker at 127.0.0.1"),
        "{error}"
    );
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn somebody_listens_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = refused(&silent.local_addr().unwrap().to_string()).await;
    assert!(error.contains("no broker at 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn the_doctor_says_what_to_try() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let findings = doctor(&KafkaConfig::new(address.to_string()), Mode::Development).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].severity, Severity::Refuse);
    let remedy = format!("kafka-broker-api-versions.sh --bootstrap-server {address}");
    assert_eq!(findings[0].remedy, remedy);
}

#[tokio::test]
async fn a_property_that_the_driver_does_not_know_is_named() {
    let mut config = KafkaConfig::new("127.0.0.1:1");
    config.properties.insert("sasl.pasword".to_owned(), "hunter2".to_owned());
    let error = chain(&KafkaLog::connect(config).await.expect_err("it is misspelt"));
    assert!(error.contains("sasl.pasword") && !error.contains("hunter2"), "{error}");
}
