//! Every task of a hub is killed, and it goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use acceptance::ground::Ground;
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use event_log::MemoryLog;
use hub::Hub;

/// Has all tasks panic that can be started again, and waits until each is named.
async fn break_all(hub: &Hub) {
    let supervisor = hub.router().supervisor();
    let tasks = supervisor.tasks();
    // Without the index nothing more is selected: that hub has to be restarted, and says so.
    let tasks: BTreeSet<String> = tasks.into_iter().filter(|task| task != "index").collect();
    assert!(tasks.len() > 15, "{tasks:?}");
    for task in &tasks {
        supervisor.break_task(task);
    }
    eventually("each is named", || async {
        let concerns = hub.router().concerns().all().into_iter();
        let named = concerns.filter(|concern| concern.check == "task");
        named.map(|concern| concern.about).collect::<BTreeSet<_>>() == tasks
    })
    .await;
}

#[test]
fn regression_a_hub_goes_on_after_its_tasks_have_panicked() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
        let hub = hubs::start("hub-a", &ground, log.clone(), dir.path(), Ownership::Alone).await;
        break_all(&hub).await;
        scenarios::journey(&ground).await;
        break_all(&hub).await;
        scenarios::write_app(&ground, "app-later", "still here").await;
        scenarios::place(&ground, "later", "app-later", &["eu", "ap"]).await;
        scenarios::shows(&ground, "later", &scenarios::available(1)).await;
        hub.shutdown().await;
        let report = actors::replay::verify(&*log, event_log::PARTITIONS).await.unwrap();
        assert_eq!(report.first_difference, None);
        ground.stop();
    });
}
