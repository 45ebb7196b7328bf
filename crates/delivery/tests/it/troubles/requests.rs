//! Requests that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use delivery::push::{
    OBJECTS_IN_FLIGHT_PER_WAVE_MAX, PODS_COUNTED_EVERY, REQUESTS_IN_FLIGHT_PER_MEMBER_MAX,
};
use delivery::{Certainty, Link as _, LinkError, PushLink};
use events::cluster::LinkProblem;
use http::Method;
use serde_json::json;
use simulator::{Fault, FaultRule};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::{SETTINGS, Troubled};

/// Whatever request of a delivery gets lost, on its way or on the way back: the order says that it
/// failed, says nothing was written only if so, and is whole when it is repeated.
#[tokio::test]
async fn every_lost_request_is_mended_by_repeating_the_order() {
    for fault in [Fault::Unreachable, Fault::LostReply] {
        for number in 0.. {
            let troubled = Troubled::new();
            let count = troubled.trouble_request(number, fault.clone());
            let first = troubled.world.link.deliver(&troubled.order(1, "one")).await;
            troubled.member.clear_fault();
            if count.load(Ordering::SeqCst) <= number {
                assert!(number > 6, "the order took {number} requests only");
                assert!(first.expect("nothing was lost").is_applied());
                break;
            }
            let error = first.expect_err("a request was lost");
            let namespace = troubled.world.get("/api/v1/namespaces/t").await;
            if error.certainty() == Certainty::Determinate {
                assert_eq!(namespace, None, "request {number}, {fault:?}: {error}");
            }
            let report = troubled.world.deliver(&troubled.order(1, "one")).await;
            assert!(report.is_applied());
            assert_eq!(troubled.value().await, Some(json!("one")));
            let work = troubled.world.applied_work("web").await.expect("it is there");
            let recorded = work["status"]["appliedResources"].as_array().map(Vec::len);
            assert_eq!(recorded, Some(2), "request {number}, {fault:?}");
        }
    }
}

/// A member is slow because it has much to do: it must not be asked even more.
#[tokio::test(start_paused = true)]
async fn a_small_first_order_on_a_slow_member_never_asks_for_its_work() {
    let troubled = Troubled::new();
    // Brings the kind AppliedWork along.
    troubled.world.deliver(&troubled.world.order("other", 1, Vec::new())).await;
    let (all, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, counted_asked) = (all.clone(), asked.clone());
    troubled.member.set_fault(FaultRule::new(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let is_question = request.method == Method::GET && request.path.contains("/appliedworks/");
        counted_asked.fetch_add(usize::from(is_question), Ordering::SeqCst);
        Some(Fault::Slow(Duration::from_millis(60)))
    }));
    let mut order = troubled.order(7, "one");
    order.is_first = true;
    let since = Instant::now();
    troubled.world.deliver(&order).await;
    assert!(since.elapsed() > Duration::from_millis(200), "longer than the shortest trust");
    assert!(all.load(Ordering::SeqCst) >= 5, "its writes were counted");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_watched_is_assessed_with_one_question() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    // As a restarted hub does.
    let link = troubled.world.other_link();
    assert!(link.assess(&troubled.order(1, "one")).await.expect("it is listed").is_available());
    let count = troubled.trouble_request(usize::MAX, Fault::Unreachable);
    assert!(link.assess(&troubled.order(1, "one")).await.expect("it answers").is_available());
    assert_eq!(count.load(Ordering::SeqCst), 1, "whether a newer order holds the work");
}

#[tokio::test]
async fn every_lost_request_of_a_withdrawal_is_mended_by_repeating_it() {
    for fault in [Fault::Unreachable, Fault::LostReply] {
        for number in 0.. {
            let troubled = Troubled::new();
            let order = troubled.order(1, "one");
            troubled.world.deliver(&order).await;
            let withdrawal = troubled.world.withdrawal("web", 2, &order);
            let count = troubled.trouble_request(number, fault.clone());
            let _first = troubled.world.link.withdraw(&withdrawal).await;
            troubled.member.clear_fault();
            let report = troubled.world.withdraw(&withdrawal).await;
            assert_eq!(report.remaining, []);
            assert_eq!(troubled.world.get("/api/v1/namespaces/t").await, None);
            troubled.world.until_work_is_gone("web").await;
            if count.load(Ordering::SeqCst) <= number {
                assert!(number > 6, "the order took {number} requests only");
                break;
            }
        }
    }
}

async fn error_under(fault: Fault) -> LinkError {
    let troubled = Troubled::new();
    troubled.member.set_fault(fault);
    let error = troubled.world.link.deliver(&troubled.order(1, "one")).await;
    error.expect_err("the member is troubled")
}

fn problem_of(error: &LinkError) -> Option<LinkProblem> {
    assert_eq!(error.certainty(), Certainty::Determinate, "{error}");
    match error {
        LinkError::Unusable { problem, .. } => Some(problem.clone()),
        LinkError::Busy { .. } => None,
        LinkError::Superseded { .. } => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_used_is_a_problem_of_the_link() {
    for (fault, problem) in [
        (Fault::Unauthorized, Some(LinkProblem::Unauthorized)),
        (Fault::Forbidden, Some(LinkProblem::Forbidden)),
        (Fault::Unreachable, Some(LinkProblem::Unreachable)),
        (Fault::Hang, Some(LinkProblem::Unreachable)),
        (Fault::Throttled, None),
        (Fault::Unavailable, None),
    ] {
        assert_eq!(problem_of(&error_under(fault.clone()).await), problem, "{fault:?}");
    }
}

#[tokio::test]
async fn regression_one_lack_of_rights_is_one_problem_whatever_the_order() {
    for path in ["/apis/placement.kubernetes-fleet.io/", "/api"] {
        let troubled = Troubled::new();
        troubled.member.set_fault(FaultRule::new(move |request| {
            let is_it = request.path.starts_with(path);
            is_it.then_some(Fault::Forbidden)
        }));
        let namespace = troubled.world.namespace();
        let config_map = troubled.world.config_map("settings", "a");
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "t" },
        });
        let mut told = vec![];
        for (placement, object) in [("one", namespace), ("two", config_map), ("three", role)] {
            for generation in [1, 2] {
                let order = troubled.world.order(placement, generation, vec![object.clone()]);
                let error = troubled.world.link.deliver(&order).await;
                told.push(error.expect_err("it is forbidden").to_string());
            }
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_busy_for_a_moment_is_asked_again() {
    let troubled = Troubled::new();
    let count = troubled.trouble_request(0, Fault::Throttled);
    troubled.world.deliver(&troubled.order(1, "one")).await;
    assert!(count.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn a_kind_that_is_forbidden_does_not_stop_the_others() {
    let troubled = Troubled::new();
    troubled.member.set_fault(FaultRule::new(|request| {
        (request.path == SETTINGS).then_some(Fault::Forbidden)
    }));
    let failure = troubled.world.deliver_with_failure(&troubled.order(1, "one")).await;
    assert_eq!(failure.object.name, "settings");
    assert_eq!(failure.reason, "ManifestApplyFailed");
    assert!(failure.message.contains("does not allow it"), "{}", failure.message);
    assert!(troubled.world.get("/api/v1/namespaces/t").await.is_some());
}

/// A client that counts how many requests are under way, and lets each of them wait for others.
fn counting_client(troubled: &Troubled) -> (kube::Client, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (service, seen) = (troubled.fleet.service("member"), most.clone());
    let counting = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (service, now, most) = (service.clone(), now.clone(), most.clone());
        async move {
            // Watches are no requests that come to an end.
            if request.uri().query().is_some_and(|query| query.contains("labelSelector")) {
                return service.oneshot(request).await;
            }
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let response = service.oneshot(request).await;
            now.fetch_sub(1, Ordering::SeqCst);
            response
        }
    });
    (kube::Client::new(counting, "default"), seen)
}

#[tokio::test(start_paused = true)]
async fn requests_to_one_member_are_bounded() {
    let troubled = Troubled::new();
    troubled.world.make_namespace().await;
    let (client, most) = counting_client(&troubled);
    let link = PushLink::from_client("member", client, mpsc::channel(1).0);
    let order = |placement: &str| {
        let maps = (0..100)
            .map(|number| troubled.world.config_map(&format!("{placement}-{number}"), "a"))
            .collect();
        troubled.world.order(placement, 1, maps)
    };
    link.deliver(&order("alone")).await.expect("the link works");
    let alone = most.swap(0, Ordering::SeqCst);
    assert_eq!(alone, OBJECTS_IN_FLIGHT_PER_WAVE_MAX, "one delivery leaves room for others");
    let orders = ["one", "two", "three", "four"].map(order);
    let all = futures::future::join_all(orders.iter().map(|order| link.deliver(order))).await;
    assert!(all.iter().all(|report| report.as_ref().is_ok_and(|report| report.written == 100)));
    assert_eq!(most.load(Ordering::SeqCst), REQUESTS_IN_FLIGHT_PER_MEMBER_MAX);
}

#[tokio::test]
async fn a_probe_adds_up_the_nodes() {
    let troubled = Troubled::new();
    let probe = troubled.world.link.probe().await.expect("the link works");
    let property =
        |name: &str| probe.properties[&format!("resources.kubernetes-fleet.io/{name}")].clone();
    assert_eq!((property("total-cpu"), property("total-memory")), ("8".into(), "32Gi".into()));
    let usage = probe.usage.as_ref().expect("nodes can be read");
    assert_eq!(usage.capacity["cpu"], "8");
    assert_eq!(usage.available["cpu"], property("available-cpu"));
}

#[tokio::test(start_paused = true)]
async fn regression_pods_are_counted_less_often_than_the_member_is_asked() {
    let troubled = Troubled::new();
    let (lists, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, asked) = (lists.clone(), seen.clone());
    troubled.member.set_fault(FaultRule::new(move |request| {
        counted.fetch_add(usize::from(request.path == "/api/v1/pods"), Ordering::SeqCst);
        asked.fetch_add(usize::from(request.path == "/api/v1/nodes"), Ordering::SeqCst);
        None
    }));
    let mut ages = vec![];
    for _ in 0..4 {
        let probe = troubled.world.link.probe().await.expect("the link works");
        let usage = probe.usage.expect("nodes can be read");
        assert_eq!(usage.available["cpu"], "8");
        ages.push(usage.age.as_secs());
        tokio::time::sleep(PODS_COUNTED_EVERY / 2).await;
    }
    assert_eq!(ages, [0, 55, 0, 55]);
    assert_eq!((lists.load(Ordering::SeqCst), seen.load(Ordering::SeqCst)), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_what_it_could_not_see() {
    let troubled = Troubled::new();
    troubled.member.set_fault(FaultRule::new(|request| match request.path.as_str() {
        "/readyz" => Some(Fault::Unavailable),
        "/api/v1/nodes" => Some(Fault::Forbidden),
        _ => None,
    }));
    let probe = troubled.world.link.probe().await.expect("the member answers");
    assert!(!probe.ready);
    assert_eq!(probe.message, "/readyz: it answers with 503");
    assert_eq!(probe.incomplete, ["nodes: it answers with 403"]);
    assert!(!probe.identity.is_empty());

    troubled.member.set_fault(FaultRule::new(|request| {
        (request.path == "/api/v1/pods").then_some(Fault::Hang)
    }));
    let probe = troubled.world.link.probe().await.expect("the member answers");
    assert_eq!(probe.incomplete, ["the rest did not come within 10 s"]);
    assert_eq!(probe.properties["kubernetes-fleet.io/node-count"], "2");
    assert!(probe.usage.expect("nodes were read").available.is_empty());

    troubled.member.set_fault(Fault::Hang);
    let error = troubled.world.link.probe().await.expect_err("the member does not answer");
    assert_eq!(problem_of(&error), Some(LinkProblem::Unreachable));
}

#[tokio::test]
async fn a_kubeconfig_with_a_path_leads_to_the_member() {
    let troubled = Troubled::new();
    let address = "127.0.0.1:0".parse().expect("an address");
    let server = simulator::serve(&troubled.fleet, address).expect("it can be served");
    let kubeconfig = server.kubeconfig(&[("m", "member")]);
    let observations = mpsc::channel(1).0;
    let link = PushLink::connect("member", &kubeconfig, "taffrail/test", observations)
        .await
        .expect("the kubeconfig is complete");
    let probe = link.probe().await.expect("the link works");
    assert!(probe.ready);
    let report = link.deliver(&troubled.order(1, "one")).await.expect("the link works");
    assert!(report.is_applied());
    assert_eq!(troubled.value().await, Some(json!("one")));
    drop(link);
    server.stop();
}

/// An admission webhook that does not answer is about one object.
#[tokio::test(start_paused = true)]
async fn regression_an_object_that_is_not_answered_about_fails_alone() {
    let troubled = Troubled::new();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "late", "namespace": "t" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r" },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "inner", "namespace": "t" },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let bodies =
        vec![troubled.world.namespace(), troubled.world.config_map("settings", "a"), role, service];
    let order = troubled.world.order("web", 1, bodies);
    troubled.member.set_fault(FaultRule::new(|request| {
        let is_it = request.method == Method::PATCH && request.path == SETTINGS;
        is_it.then_some(Fault::Hang)
    }));
    let report = troubled.world.link.deliver(&order).await.expect("the member answers");
    let [failure] = &report.failures[..] else { panic!("{:?}", report.failures) };
    assert_eq!(failure.object.name, "settings");
    assert!(failure.message.contains("no answer within 15 s"), "{}", failure.message);
    assert_eq!(report.written, 3, "also of later waves");

    troubled.member.set_fault(FaultRule::from(Fault::Hang));
    let error = troubled.world.link.deliver(&order).await.expect_err("nothing answers");
    assert!(matches!(error, LinkError::Unusable { .. }), "{error:?}");
}
