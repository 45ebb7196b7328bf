//! Whether the topics of the log are still set up so that nothing is lost: settings may change while
//! hubs run, and what they delete is gone before anybody starts a hub again.

use std::future::Future;
use std::time::Duration;

use actors::concerns::{Concerns, Gravity};
use event_log_kafka::{Finding, KafkaConfig, doctor};
use hub::Hub;
use tokio::task::JoinHandle;

/// The check under which findings are named.
const CHECK: &str = "topics";

/// How often the brokers are asked. Retention deletes every five minutes by default; ten times as
/// often costs the brokers nothing that they would notice.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Asks for ever.
pub(super) fn watch(hub: &Hub, config: KafkaConfig) -> JoinHandle<()> {
    let router = hub.router();
    let shared = (router.concerns().clone(), config);
    router.supervisor().keep("topics", Gravity::Warning, shared, |(concerns, config)| async move {
        ask_again(&concerns, || doctor(&config, config.mode)).await;
    })
}

async fn ask_again<F: Future<Output = Vec<Finding>>>(concerns: &Concerns, ask: impl Fn() -> F) {
    let mut known = None;
    loop {
        let told = told(&ask().await);
        if let Some(news) = told.as_ref().filter(|_| told != known) {
            tracing::warn!("{news}");
        }
        known.clone_from(&told);
        concerns.set(CHECK, "", Gravity::Warning, told);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The worst one speaks for all.
fn told(findings: &[Finding]) -> Option<String> {
    findings.first().map(|worst| {
        let others = match findings.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more: taffrail doctor --config FILE)"),
        };
        format!("{}; mend it with: {}{others}", worst.problem, worst.remedy)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use event_log_kafka::Severity;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn findings_are_told_as_long_as_there_are_any() {
        let finding = |problem: &str| Finding {
            severity: Severity::Refuse,
            problem: problem.to_owned(),
            remedy: "kafka-configs.sh --alter".to_owned(),
        };
        let concerns = Concerns::default();
        let asked = AtomicUsize::new(0);
        let answers =
            [vec![finding("retention"), finding("compaction")], vec![finding("one")], vec![]];
        let asking = ask_again(&concerns, || {
            let answer = answers[asked.fetch_add(1, Ordering::SeqCst).min(2)].clone();
            std::future::ready(answer)
        });
        let told = || concerns.all().pop().map(|concern| concern.message);
        let looking = async {
            let mut seen = vec![];
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                seen.push(told());
                tokio::time::sleep(ASK_EVERY).await;
            }
            seen
        };
        let seen = tokio::select! {
            () = asking => unreachable!("it asks for ever"),
            seen = looking => seen,
        };
        let first = "retention; mend it with: kafka-configs.sh --alter (and 1 more: taffrail doctor \
                     --config FILE)";
        let second = "one; mend it with: kafka-configs.sh --alter";
        assert_eq!(seen, [Some(first.to_owned()), Some(second.to_owned()), None]);
    }
}
