//! A member whose answers are changed on their way: what real ones say at moments that are hard to
//! meet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use delivery::{Link as _, PushLink};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::{SETTINGS, Troubled};
use crate::suite::world::work_path;

/// A request as the member gets it.
#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    path: String,
    /// Whether it is one of a watch.
    is_watch: bool,
    body: Value,
}

/// What becomes of an answer: its status and body.
type Change = dyn Fn(&Asked, StatusCode, Value) -> (StatusCode, Value) + Send + Sync;

/// A link whose answers are changed, and everything that was asked through it.
fn lied_to(
    troubled: &Troubled,
    change: impl Fn(&Asked, StatusCode, Value) -> (StatusCode, Value) + Send + Sync + 'static,
) -> (PushLink, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, service) = (asked.clone(), troubled.fleet.service("member"));
    let change: Arc<Change> = Arc::new(change);
    let lying = tower::service_fn(move |request: Request<Body>| {
        let (noted, service, change) = (noted.clone(), service.clone(), change.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let asked = Asked {
                method: parts.method.clone(),
                path: parts.uri.path().to_owned(),
                is_watch: parts.uri.query().is_some_and(|query| query.contains("labelSelector")),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            };
            noted.lock().expect("no test panics with it").push(asked.clone());
            let request = Request::from_parts(parts, Body::from(bytes));
            let response = service.oneshot(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (status, body) = change(&asked, status, body);
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = status;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response)
        }
    });
    let client = kube::Client::new(lying, "default");
    (PushLink::from_client("member", client, mpsc::channel(1).0), asked)
}

/// Takes what was asked since the last time, as a list to read. Watches are no questions, and come
/// when they like.
fn asked_for(asked: &Mutex<Vec<Asked>>) -> Vec<String> {
    let asked = std::mem::take(&mut *asked.lock().expect("no test panics with it"));
    asked
        .iter()
        .filter(|asked| !asked.is_watch)
        .map(|asked| {
            let path = asked.path.replace("/apis/placement.kubernetes-fleet.io/v1beta1", "");
            format!("{} {}", asked.method, path.replace("/api/v1", ""))
        })
        .collect()
}

#[tokio::test]
async fn a_member_is_asked_no_more_than_needed() {
    let troubled = Troubled::new();
    let (link, asked) = lied_to(&troubled, |_, status, body| (status, body));
    let warm_up = vec![crate::suite::world::namespace("warm-up")];
    let warm_up = troubled.world.order("warm-up", 1, warm_up);
    link.deliver(&warm_up).await.expect("the link works");
    asked_for(&asked);

    link.deliver(&troubled.order(1, "one")).await.expect("the link works");
    assert_eq!(
        asked_for(&asked),
        [
            "POST /appliedworks",
            "GET /namespaces/t",
            "PATCH /namespaces/t",
            "PATCH /namespaces/t/configmaps/settings",
            "PATCH /appliedworks/t-web-work/status",
        ]
    );
    link.deliver(&troubled.order(1, "one")).await.expect("the link works");
    assert_eq!(
        asked_for(&asked),
        [
            "GET /appliedworks/t-web-work",
            "GET /namespaces/t",
            "GET /namespaces/t/configmaps/settings",
        ]
    );
    link.deliver(&troubled.order(2, "two")).await.expect("the link works");
    assert_eq!(
        asked_for(&asked),
        [
            "GET /appliedworks/t-web-work",
            "PATCH /appliedworks/t-web-work",
            "GET /namespaces/t",
            "GET /namespaces/t/configmaps/settings",
            "PATCH /namespaces/t/configmaps/settings",
        ]
    );
    let withdrawal = troubled.world.withdrawal("web", 3, &troubled.order(2, "two"));
    link.withdraw(&withdrawal).await.expect("the link works");
    let asked = asked_for(&asked);
    assert!(asked.contains(&"DELETE /appliedworks/t-web-work".to_owned()), "{asked:?}");
}

/// The garbage collector prunes such references too, when it comes to it. Until then, a reference
/// to a work that is gone must not keep the object from us, and must not stay.
#[tokio::test]
async fn a_reference_to_a_work_that_is_gone_is_pruned() {
    let troubled = Troubled::new();
    troubled.world.deliver(&troubled.order(1, "one")).await;
    let gone = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1", "kind": "AppliedWork",
        "name": "t-gone-work", "uid": "11111111-1111-1111-1111-111111111111",
    });
    let (link, asked) = lied_to(&troubled, move |asked, status, mut body| {
        if asked.method == Method::GET && asked.path == SETTINGS {
            let references = body["metadata"]["ownerReferences"].as_array_mut();
            references.expect("it is owned").push(gone.clone());
        }
        (status, body)
    });
    let report = link.deliver(&troubled.order(1, "one")).await.expect("the link works");
    assert!(report.is_applied(), "{:?}", report.failures);
    let asked = asked.lock().expect("no test panics with it");
    let pruned = asked
        .iter()
        .filter(|asked| asked.method == Method::PATCH && asked.path == SETTINGS)
        .find_map(|asked| match asked.body.get("kind") {
            None => asked.body["metadata"]["ownerReferences"].as_array(),
            Some(_) => None,
        })
        .expect("the references were replaced");
    let names: Vec<&Value> = pruned.iter().map(|reference| &reference["name"]).collect();
    assert_eq!(names, ["t-web-work"]);
    assert!(asked.iter().any(|asked| asked.path == work_path("t-gone-work")), "it looked first");
}

fn definition_and_object(troubled: &Troubled) -> Vec<Value> {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {
                "plural": "widgets", "singular": "widget", "kind": "Widget",
                "listKind": "WidgetList",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    });
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "w", "namespace": "t" },
    });
    vec![troubled.world.namespace(), definition, widget]
}

fn not_served() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!("404 page not found"))
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_served_a_moment_after_it_is_established_is_waited_for() {
    let troubled = Troubled::new();
    let early = AtomicUsize::new(0);
    let (link, _asked) = lied_to(&troubled, move |asked, status, body| {
        let is_about_it = asked.path.starts_with("/apis/example.com/");
        if is_about_it && early.fetch_add(1, Ordering::SeqCst) < 5 {
            return not_served();
        }
        (status, body)
    });
    let order = troubled.world.order("web", 1, definition_and_object(&troubled));
    let report = link.deliver(&order).await.expect("the link works");
    assert_eq!((report.failures, report.written), (vec![], 3));
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_discovery_lags_behind_is_known_from_its_definition() {
    let troubled = Troubled::new();
    let (link, _asked) = lied_to(&troubled, |asked, status, body| {
        if asked.path == "/apis/example.com/v1" { not_served() } else { (status, body) }
    });
    let order = troubled.world.order("web", 1, definition_and_object(&troubled));
    let report = link.deliver(&order).await.expect("the link works");
    assert_eq!((report.failures, report.written), (vec![], 3));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_never_served_fails_its_objects_only() {
    let troubled = Troubled::new();
    let (link, _asked) = lied_to(&troubled, |asked, status, body| {
        if asked.path.starts_with("/apis/example.com/") { not_served() } else { (status, body) }
    });
    let order = troubled.world.order("web", 1, definition_and_object(&troubled));
    let report = link.deliver(&order).await.expect("the link works");
    let names: Vec<&str> = report.failures.iter().map(|it| it.object.name.as_str()).collect();
    assert_eq!((names, report.written), (vec!["w"], 2));
}
