//! Others that write at the same time.

use delivery::push::CLAIM_TRUST_MAX;
use delivery::{Fence, Link as _, LinkError, PushLink};
use events::Epoch;
use http::Method;
use serde_json::json;
use simulator::{Fault, Fleet, Request};
use std::time::Duration;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::{SETTINGS, Troubled, merge};
use crate::suite::world::owners_of;

/// The path of the AppliedWork that cases here deliver.
const WORK: &str = "/apis/placement.kubernetes-fleet.io/v1beta1/appliedworks/t-web-work";

#[tokio::test]
async fn a_writer_in_between_is_noticed() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    let edit = |fleet: &Fleet| {
        merge(fleet, SETTINGS, "somebody", &json!({ "data": { "key": "edited" } }));
    };
    troubled.on_first(Method::PATCH, SETTINGS, edit, None);
    // Without the precondition on the version, this write would conflict all the same. But one that
    // is forced would go through unseen: it has to read again first, and then still wins.
    let failure = troubled.world.deliver_with_failure(&troubled.order(2, "two")).await;
    assert!(failure.message.contains("somebody"), "{}", failure.message);
    assert_eq!(troubled.value().await, Some(json!("edited")));
}

#[tokio::test]
async fn an_object_that_changes_hands_in_between_is_not_overwritten() {
    let troubled = Troubled::new();
    let mut order = troubled.order(1, "one");
    order.apply.force = true;
    troubled.world.deliver(&order).await;
    troubled.world.deliver(&troubled.world.order("other", 1, Vec::new())).await;
    let other = troubled.world.applied_work("other").await.expect("it was created");
    let uid = other["metadata"]["uid"].clone();
    let hand_over = move |fleet: &Fleet| {
        let owner = json!({
            "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "AppliedWork",
            "name": "t-other-work", "uid": uid,
        });
        let patch = json!({
            "metadata": { "ownerReferences": [owner] }, "data": { "key": "theirs" },
        });
        merge(fleet, SETTINGS, "work-api-agent", &patch);
    };
    troubled.on_first(Method::PATCH, SETTINGS, hand_over, None);
    let mut order = troubled.order(2, "two");
    order.apply.force = true;
    let failure = troubled.world.deliver_with_failure(&order).await;
    assert_eq!(failure.reason, "FailedToTakeOver");
    assert_eq!(troubled.value().await, Some(json!("theirs")));
}

/// A newer order of another process: what it writes, not how.
fn newer_order(fleet: &Fleet) {
    newer_claim(fleet);
    merge(fleet, SETTINGS, "taffrail", &json!({ "data": { "key": "newer" } }));
}

fn newer_claim(fleet: &Fleet) {
    let annotations = json!({
        "taffrail.dev/delivery-generation": "9", "taffrail.dev/owner-epoch": "9",
    });
    let claim = json!({ "metadata": { "annotations": annotations } });
    merge(fleet, WORK, "taffrail", &claim);
}

fn overtaken() -> LinkError {
    LinkError::Superseded { holder: Fence { generation: 9, epoch: Epoch(9) } }
}

#[tokio::test]
async fn an_order_that_is_overtaken_while_it_writes_stops() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    troubled.on_first(Method::PATCH, SETTINGS, newer_order, None);
    let mut order = troubled.order(2, "two");
    order.apply.force = true;
    assert_eq!(troubled.world.link.deliver(&order).await, Err(overtaken()));
    assert_eq!(troubled.value().await, Some(json!("newer")));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_slept_confirms_before_it_writes() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    // The newer order comes before the object is read, so its version does not give it away.
    let sleep = Fault::Slow(Duration::from_millis(200));
    troubled.on_first(Method::GET, SETTINGS, newer_order, Some(sleep));
    let mut order = troubled.order(2, "two");
    order.apply.force = true;
    assert_eq!(troubled.world.link.deliver(&order).await, Err(overtaken()));
    assert_eq!(troubled.value().await, Some(json!("newer")));
}

#[tokio::test]
async fn an_object_that_appears_in_a_new_namespace_is_taken_over() {
    let troubled = Troubled::new();
    let appear = |fleet: &Fleet| {
        let theirs = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
            "data": { "key": "theirs" },
        });
        let maps = "/api/v1/namespaces/t/configmaps?fieldManager=somebody";
        let reply = fleet.request("member", &simulator::Request::post(maps, &theirs));
        assert_eq!(reply.map(|reply| reply.status), Some(201));
    };
    troubled.on_first(Method::PATCH, SETTINGS, appear, None);
    troubled.world.deliver(&troubled.order(1, "one")).await;
    assert_eq!(troubled.value().await, Some(json!("one")));
    let live = troubled.world.live_config_map("settings").await.expect("it is there");
    assert_eq!(owners_of(&live), ["t-web-work"]);
}

#[tokio::test]
async fn of_two_that_claim_at_once_the_newer_one_wins() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    troubled.on_first(Method::PATCH, WORK, newer_order, None);
    assert_eq!(troubled.world.link.deliver(&troubled.order(2, "two")).await, Err(overtaken()));
    let work = troubled.world.applied_work("web").await.expect("it is there");
    assert_eq!(work["metadata"]["annotations"]["taffrail.dev/delivery-generation"], "9");
    assert_eq!(troubled.value().await, Some(json!("newer")));
}

#[tokio::test(start_paused = true)]
async fn of_two_placements_that_make_one_object_at_once_one_has_it() {
    let troubled = Troubled::new();
    troubled.world.make_namespace().await;
    let pause = Fault::Slow(Duration::from_millis(50));
    troubled.on_first(Method::PATCH, SETTINGS, |_| (), Some(pause));
    let order = |name: &str| {
        troubled.world.order(name, 1, vec![troubled.world.config_map("settings", name)])
    };
    let (one, two) = (order("one"), order("two"));
    let link = &troubled.world.link;
    let (one, two) = futures::join!(link.deliver(&one), link.deliver(&two));
    let reports = [one, two].map(|report| report.expect("the link works"));
    let written: usize = reports.iter().map(|report| report.written).sum();
    let failures: Vec<&str> =
        reports.iter().flat_map(|report| &report.failures).map(|it| it.reason.as_str()).collect();
    assert_eq!((written, failures), (1, vec!["FailedToTakeOver"]));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_overtaken_in_the_same_process_stops_at_once() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    // Too short for the claim to be confirmed by asking the member.
    let pause = Fault::Slow(Duration::from_millis(50));
    troubled.on_first(Method::GET, SETTINGS, |_| (), Some(pause));
    let (older, newer) = (troubled.order(2, "two"), troubled.order(3, "three"));
    let link = &troubled.world.link;
    let (older, newer) = futures::join!(link.deliver(&older), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        link.deliver(&newer).await
    });
    let holder = Fence { generation: 3, epoch: Epoch(1) };
    assert_eq!(older, Err(LinkError::Superseded { holder }));
    assert!(newer.expect("it is the newest").is_applied());
    assert_eq!(troubled.value().await, Some(json!("three")));
}

#[tokio::test]
async fn a_removal_that_is_overtaken_stops() {
    let troubled = Troubled::new();
    let order = troubled.order(1, "one");
    troubled.world.deliver(&order).await;
    troubled.on_first(Method::DELETE, SETTINGS, newer_order, None);
    let withdrawal = troubled.world.withdrawal("web", 2, &order);
    assert_eq!(troubled.world.link.withdraw(&withdrawal).await, Err(overtaken()));
    assert_eq!(troubled.value().await, Some(json!("newer")));
}

#[tokio::test]
async fn a_leftover_that_changes_hands_in_between_is_left_alone() {
    let troubled = Troubled::new();
    let order = troubled.order(1, "one");
    troubled.world.deliver(&order).await;
    let disown = |fleet: &Fleet| {
        merge(fleet, SETTINGS, "somebody", &json!({ "metadata": { "ownerReferences": null } }));
    };
    troubled.on_first(Method::DELETE, SETTINGS, disown, None);
    let mut withdrawal = troubled.world.withdrawal("web", 2, &order);
    withdrawal.inventory.retain(|id| id.kind == "ConfigMap");
    let report = troubled.world.withdraw(&withdrawal).await;
    assert_eq!((report.removed, report.released), (0, 1));
    assert_eq!(troubled.value().await, Some(json!("one")));
}

/// Its AppliedWork is gone, and a newer order of another process makes it again while this one looks
/// at what to remove.
#[tokio::test]
async fn a_withdrawal_without_a_work_leaves_alone_what_a_newer_order_brings() {
    let troubled = Troubled::new();
    let order = troubled.order(1, "one");
    troubled.world.deliver(&order).await;
    let mut withdrawal = troubled.world.withdrawal("web", 2, &order);
    withdrawal.inventory.retain(|id| id.kind == "ConfigMap");
    for path in ["/api/v1/namespaces/t", SETTINGS] {
        let disowned = json!({ "metadata": { "ownerReferences": null } });
        merge(&troubled.fleet, path, "somebody", &disowned);
    }
    troubled.fleet.request("member", &Request::delete(WORK)).expect("it is no watch");
    let newer = |fleet: &Fleet| {
        let (collection, name) = WORK.rsplit_once('/').expect("a path");
        let work = json!({
            "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "AppliedWork",
            "metadata": { "name": name, "annotations": {
                "taffrail.dev/delivery-generation": "9", "taffrail.dev/owner-epoch": "9",
            } },
            "spec": { "workName": name, "workNamespace": "fleet-member-member" },
        });
        let reply = fleet.request("member", &Request::post(collection, &work)).expect("no watch");
        let owner = json!({
            "apiVersion": work["apiVersion"], "kind": "AppliedWork",
            "name": name, "uid": reply.value()["metadata"]["uid"],
        });
        let owned = json!({ "metadata": { "ownerReferences": [owner] } });
        merge(fleet, SETTINGS, "taffrail", &owned);
    };
    troubled.on_first(Method::GET, SETTINGS, newer, None);
    assert_eq!(troubled.world.link.withdraw(&withdrawal).await, Err(overtaken()));
    assert_eq!(troubled.value().await, Some(json!("one")));
}

/// The answer to a claim that is carried out at once takes its time, and another owner claims
/// meanwhile: what the answer says is over when it comes.
#[tokio::test(start_paused = true)]
async fn regression_a_claim_is_as_old_as_its_request() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    let (fleet, service) = (troubled.fleet.clone(), troubled.fleet.service("member"));
    let late = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (fleet, service) = (fleet.clone(), service.clone());
        async move {
            let is_claim = request.method() == Method::PATCH && request.uri().path() == WORK;
            let answer = service.oneshot(request).await;
            if is_claim {
                newer_claim(&fleet);
                tokio::time::sleep(CLAIM_TRUST_MAX * 2).await;
            }
            answer
        }
    });
    let client = kube::Client::new(late, "default");
    let link = PushLink::from_client("member", client, mpsc::channel(1).0);
    assert_eq!(link.deliver(&troubled.order(2, "two")).await, Err(overtaken()));
    assert_eq!(troubled.value().await, Some(json!("one")));
}
