//! Waiting with a deadline.

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a scenario fails. Far longer than it takes, for a busy
/// machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

/// Waits for a value.
///
/// # Panics
/// When it does not come within [`PATIENCE`].
pub async fn come<T, F: Future<Output = Option<T>>>(what: &str, get: impl Fn() -> F) -> T {
    let wait = async {
        loop {
            if let Some(value) = get().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => panic!("never: {what}"),
    }
}
