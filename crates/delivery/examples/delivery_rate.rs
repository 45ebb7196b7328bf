//! How much a delivery costs over writing the same objects with a bare client.
//!
//! Takes the kubeconfig of a cluster that may be written to (its current context), and prints the
//! ratio of both times:
//!
//! ```text
//! cargo run --release -p delivery --example delivery_rate -- KUBECONFIG [PLACEMENTS]
//! ```

#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::time::{Duration, Instant};

use delivery::{DeliverOrder, Fence, Link as _, Manifest, PushLink, WithdrawOrder};
use events::cluster::ApplyStrategy;
use events::{Epoch, ObjectId, PlacementKey};
use futures::{StreamExt as _, stream};
use kube::Client;
use kube::core::Request;
use kube::core::params::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How many placements are under way at once, on both sides.
const AT_ONCE: usize = 8;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let kubeconfig = std::fs::read_to_string(arguments.next().ok_or("name a kubeconfig")?)?;
    let placements: usize = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let mut config = kube::Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::from_yaml(&kubeconfig)?,
        &kube::config::KubeConfigOptions::default(),
    )
    .await?;
    config.proxy_url = None;
    let client = Client::try_from(config)?;
    let link = PushLink::connect("rate", &kubeconfig, "rate", mpsc::channel(16).0).await?;
    // Brings the kind AppliedWork along and opens the connections.
    link.deliver(&order(&name("w", 0), Vec::new())).await?;

    let bare = time(placements, |number| bare(&client, manifests(&name("b", number)))).await;
    let first = time(placements, |number| delivered(&link, number)).await;
    let again = time(placements, |number| delivered(&link, number)).await;
    println!("{placements} placements of a Namespace and a ConfigMap, {AT_ONCE} at once");
    println!("bare client         {bare:>8.2?}");
    let ratio = |time: Duration| time.as_secs_f64() / bare.as_secs_f64();
    println!("delivered           {first:>8.2?}  {:.2} × bare", ratio(first));
    println!("delivered unchanged {again:>8.2?}  {:.2} × bare", ratio(again));
    clean_up(&client, &link, placements).await;
    Ok(())
}

async fn time<F: Future<Output = ()>>(placements: usize, one: impl Fn(usize) -> F) -> Duration {
    let start = Instant::now();
    stream::iter(0..placements).for_each_concurrent(AT_ONCE, one).await;
    start.elapsed()
}

/// Writes one object after the other, as waves do.
async fn bare(client: &Client, manifests: Vec<Manifest>) {
    for Manifest { id, body } in manifests {
        let path = match id.namespace.as_str() {
            "" => "/api/v1/namespaces".to_owned(),
            namespace => format!("/api/v1/namespaces/{namespace}/configmaps"),
        };
        let request =
            Request::new(path).patch(&id.name, &PatchParams::apply("rate"), &Patch::Apply(&body));
        let request = request.expect("a valid request");
        client.request::<Value>(request).await.expect("the cluster takes it");
    }
}

async fn delivered(link: &PushLink, number: usize) {
    let name = name("l", number);
    let report = link.deliver(&order(&name, manifests(&name))).await.expect("the link works");
    assert!(report.is_applied(), "{:?}", report.failures);
}

async fn clean_up(client: &Client, link: &PushLink, placements: usize) {
    let all = stream::iter(0..placements).for_each_concurrent(AT_ONCE, |number| async move {
        let name = name("l", number);
        let order = order(&name, manifests(&name));
        link.withdraw(&WithdrawOrder {
            cluster: order.cluster,
            placement: order.placement,
            work: order.work,
            fence: Fence { generation: 2, epoch: Epoch(1) },
            inventory: order.manifests.into_iter().map(|manifest| manifest.id).collect(),
            adopted: Default::default(),
            neighbours: std::sync::Arc::new(delivery::Alone),
        })
        .await
        .expect("the link works");
        let request = Request::new("/api/v1/namespaces")
            .delete(&self::name("b", number), &DeleteParams::background())
            .expect("a valid request");
        client.request::<Value>(request).await.expect("the cluster takes it");
    });
    all.await;
}

/// Names of this run: what an earlier one made may still be going away.
fn name(what: &str, number: usize) -> String {
    format!("rate-{}-{what}{number}", std::process::id())
}

fn order(name: &str, manifests: Vec<Manifest>) -> DeliverOrder {
    DeliverOrder {
        cluster: "rate".to_owned(),
        placement: PlacementKey::cluster(name),
        work: format!("{name}-work"),
        fence: Fence { generation: 1, epoch: Epoch(1) },
        manifests,
        is_first: true,
        leftovers: Vec::new(),
        apply: ApplyStrategy::default(),
        adopted: Default::default(),
        neighbours: std::sync::Arc::new(delivery::Alone),
    }
}

fn manifests(name: &str) -> Vec<Manifest> {
    let id = |kind: &str, namespace: &str, name: &str| ObjectId {
        group: String::new(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": name }, "data": { "key": "value" },
    });
    vec![
        Manifest { id: id("Namespace", "", name), body: namespace },
        Manifest { id: id("ConfigMap", name, "settings"), body: settings },
    ]
}
