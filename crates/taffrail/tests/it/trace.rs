//! One trace shows a change all the way, from the object on the hub to its status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::json;
use simulator::{ClusterOptions, Fleet};
use taffrail::serve::{HubAccess, LogChoice, ServeConfig, start};
use tracing_subscriber::layer::SubscriberExt as _;

const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps what would be sent: names of spans by trace.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut traces = self.0.lock().unwrap();
        for span in batch {
            let trace = span.span_context.trace_id().to_string();
            traces.entry(trace).or_default().insert(span.name.into_owned());
        }
        Ok(())
    }
}

async fn apply<K>(api: Api<K>, name: &str, object: serde_json::Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = PatchParams::apply("alice").force();
    api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
}

async fn place_something(hub: &Client, member_kubeconfig: &str) {
    for namespace in ["fleet-system", "app"] {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace } });
        apply::<Namespace>(Api::all(hub.clone()), namespace, object).await;
    }
    let link = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "link-eu",
            "labels": { domain::selection::LINK_SECRET_LABEL: "eu" } },
        "stringData": { "kubeconfig": member_kubeconfig } });
    apply::<Secret>(Api::namespaced(hub.clone(), "fleet-system"), "link-eu", link).await;
    let member = json!({ "apiVersion": "cluster.kubernetes-fleet.io/v1beta1",
        "kind": "MemberCluster", "metadata": { "name": "eu" },
        "spec": { "identity": {
            "kind": "ServiceAccount", "name": "hub", "namespace": "fleet-system" } } });
    apply::<api::MemberCluster>(Api::all(hub.clone()), "eu", member).await;
    let members: Api<api::MemberCluster> = Api::all(hub.clone());
    loop {
        let status = members.get("eu").await.unwrap().status.unwrap_or_default();
        if status.conditions.iter().any(|c| c.type_ == "Joined" && c.status == "True") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let placement = json!({ "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
        "kind": "ClusterResourcePlacement", "metadata": { "name": "app" },
        "spec": { "resourceSelectors": [
            { "group": "", "version": "v1", "kind": "Namespace", "name": "app" } ] } });
    apply::<api::ClusterResourcePlacement>(Api::all(hub.clone()), "app", placement).await;
}

#[actix::test]
async fn a_change_is_one_trace() {
    let collected = Collected::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(collected.clone()).build();
    let subscriber = tracing_subscriber::registry().with(taffrail::telemetry::traces(&provider));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fleet = Fleet::new();
    fleet.add_cluster("hub", ClusterOptions::default()).unwrap();
    fleet.add_cluster("eu", ClusterOptions { seed: 1, ..ClusterOptions::default() }).unwrap();
    let server = simulator::serve(&fleet, "127.0.0.1:0".parse().unwrap()).unwrap();
    let hub = Client::new(fleet.service("hub"), "default");
    let params = PatchParams::apply("alice").force();
    let definitions: Api<CustomResourceDefinition> = Api::all(hub.clone());
    for crd in api::crds::hub_crds() {
        let name = crd.metadata.name.clone().unwrap();
        definitions.patch(&name, &params, &Patch::Apply(crd)).await.unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    let config = ServeConfig {
        node: "hub-0".to_owned(),
        data_dir: data.path().to_owned(),
        log: LogChoice::Embedded { path: data.path().join("log.redb") },
        hub: HubAccess::Client(hub.clone()),
        http: "127.0.0.1:0".parse().unwrap(),
        hosts: vec![],
        system_namespace: "fleet-system".to_owned(),
        rules: Default::default(),
        adopted: Default::default(),
        threads: 1,
        clock_off_max: taffrail::serve::CLOCK_OFF_MAX,
    };
    let running = start(config, |_| ()).await.unwrap();
    place_something(&hub, &server.kubeconfig(&[("eu", "eu")])).await;

    let whole = ["submit", "decide", "append", "apply", "deliver", "status"];
    let whole: BTreeSet<String> = whole.map(str::to_owned).into();
    let wait = async {
        while !collected.0.lock().unwrap().values().any(|names| names.is_superset(&whole)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, wait).await;
    assert!(seen.is_ok(), "no trace shows all of it: {:?}", collected.0.lock().unwrap());
    running.shutdown().await.unwrap();
    server.stop();
}
