//! A member's credentials expire while it is in use.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use acceptance::ground::Ground;
use acceptance::wait::eventually;
use acceptance::{hubs, in_a_system, scenarios};
use actors::node::Ownership;
use event_log::MemoryLog;
use xtask::bed::Bed;

/// How long the credentials are good for: enough to be used before they expire.
const VALIDITY: Duration = Duration::from_secs(6);

async fn holds(ground: &Ground, member: usize, wanted: &str) {
    let what = format!("{} holds {wanted}", ground.members[member].name);
    eventually(&what, || async {
        let greeting = scenarios::greeting_on(&ground.members[member], "app-expired").await;
        greeting.as_deref() == Some(wanted)
    })
    .await;
}

#[test]
fn credentials_that_expire_cost_only_their_member_until_they_are_renewed() {
    in_a_system(async {
        let (Some(ground), Some(bed)) = (Ground::real().await, Bed::shared()) else { return };
        ground.tidy().await;
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::new()));
        let hub = hubs::start("hub-a", &ground, log, dir.path(), Ownership::Alone).await;
        for member in &ground.members[..2] {
            ground.join(member, &[("region", "eu")]).await;
        }
        scenarios::write_app(&ground, "app-expired", "hello").await;
        scenarios::place(&ground, "expired", "app-expired", &["eu"]).await;
        scenarios::shows(&ground, "expired", &scenarios::available(1)).await;

        let first = &ground.members[0];
        let end = SystemTime::now() + VALIDITY;
        let expiring = bed.context(&first.name).kubeconfig_until(end).unwrap();
        ground.link(&first.name, &expiring).await;
        let unwell = ("Healthy", "False", "InternalMemberClusterUnhealthy");
        let said = scenarios::member_shows(&ground, &first.name, unwell).await;
        assert!(said.contains("renew the kubeconfig in the Secret"), "{said}");
        assert!(SystemTime::now() >= end, "they were good before");

        scenarios::write_app(&ground, "app-expired", "hello again").await;
        holds(&ground, 1, "hello again").await;
        holds(&ground, 0, "hello").await;

        ground.link(&first.name, &first.kubeconfig).await;
        let well = ("Healthy", "True", "InternalMemberClusterHealthy");
        scenarios::member_shows(&ground, &first.name, well).await;
        holds(&ground, 0, "hello again").await;
        hub.shutdown().await;
        ground.tidy().await;
    });
}
