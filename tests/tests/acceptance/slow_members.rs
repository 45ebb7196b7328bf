//! Members that hang cost only themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acceptance::ground::Cluster;
use acceptance::hubs::scene;
use acceptance::scenarios;
use acceptance::wait::eventually;
use actors::effects::{EFFECTS_IN_FLIGHT_MAX, EFFECTS_PER_MEMBER_MAX};
use futures::future::join_all;
use simulator::{Fault, FaultRule};

/// As many members as it takes to hold every place that orders have.
const HANGING: usize = EFFECTS_IN_FLIGHT_MAX / EFFECTS_PER_MEMBER_MAX;

/// Enough orders for each of them.
const PLACEMENTS: usize = EFFECTS_PER_MEMBER_MAX;

#[test]
fn regression_members_that_hang_do_not_keep_others_from_delivering() {
    scene(HANGING + 1, async |ground| {
        let (hanging, well) = ground.members.split_at(HANGING);
        for member in hanging {
            ground.join(member, &[("region", "eu")]).await;
        }
        ground.join(&well[0], &[("region", "us")]).await;
        let names: Vec<String> = (0..PLACEMENTS).map(|number| format!("hang-{number}")).collect();
        let app = |name: &str| format!("app-{name}");
        let write = async |greeting: &str| {
            let each = names.iter().map(async |name| {
                scenarios::write_app(ground, &app(name), greeting).await;
            });
            join_all(each).await;
        };
        let holds = async |member: &Cluster, greeting: &str| {
            for name in &names {
                eventually("the member holds it", || async {
                    let held = scenarios::greeting_on(member, &app(name)).await;
                    held.as_deref() == Some(greeting)
                })
                .await;
            }
        };
        write("before").await;
        for name in &names {
            scenarios::place(ground, name, &app(name), &["eu", "us"]).await;
        }
        for member in &ground.members {
            holds(member, "before").await;
        }
        for name in &names {
            scenarios::shows(ground, name, &scenarios::available(1)).await;
        }

        let orders = Arc::new(AtomicUsize::new(0));
        let fleet = ground.fleet.as_ref().expect("it is simulated");
        let simulated = |member: &Cluster| fleet.cluster(&member.name).expect("it is there");
        for member in hanging {
            let counted = orders.clone();
            simulated(member).set_fault(FaultRule::new(move |request| {
                let is_order = request.path.contains("/appliedworks/");
                counted.fetch_add(usize::from(is_order), Ordering::SeqCst);
                Some(Fault::Hang)
            }));
        }
        for member in hanging {
            let unwell = ("Healthy", "False", "InternalMemberClusterUnhealthy");
            scenarios::member_shows(ground, &member.name, unwell).await;
        }
        write("after").await;
        holds(&well[0], "after").await;
        scenarios::write_app(ground, "app-new", "hello").await;
        scenarios::place(ground, "new", "app-new", &["us"]).await;
        scenarios::shows(ground, "new", &scenarios::available(1)).await;
        assert_eq!(orders.load(Ordering::SeqCst), 0, "each would hold a place for seconds");

        for member in hanging {
            simulated(member).clear_fault();
        }
        for member in hanging {
            holds(member, "after").await;
        }
    });
}
