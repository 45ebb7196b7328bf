//! What a real API server makes of the CRDs: it serves them, fills in the defaults, and admits
//! and refuses what it should.
//!
//! Needs the test bed (`cargo xtask bed up`, or `cargo xtask test`). Everything that these tests
//! create starts with `api-` and is deleted again; most of it is dry runs.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};
use xtask::bed::Turn;

use crate::common::{fixtures, lost, name_of, through_its_type};

/// How long the API server may take to serve a new kind.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked whether it does.
const SERVED_POLL: Duration = Duration::from_millis(50);

/// One row of `rules.yaml`.
#[derive(Deserialize)]
struct Case {
    rule: String,
    on: Value,
    good: Option<Value>,
    bad: Value,
    says: String,
    #[serde(default)]
    update: bool,
}

fn cases() -> Vec<Case> {
    serde_yaml_ng::from_str(include_str!("rules.yaml")).expect("rules.yaml has the right shape")
}

/// The clusters of the test bed.
struct Bed(Kubeconfig);

impl Bed {
    /// The shared bed. Without one, says that the calling test is skipped.
    fn find() -> Option<Self> {
        static TURN: OnceLock<Turn> = OnceLock::new();
        let bed = xtask::bed::shared()?;
        TURN.get_or_init(|| Turn::beside_others(bed));
        let kubeconfig = Kubeconfig::read_from(bed.kubeconfig_path());
        Some(Self(kubeconfig.expect("the kubeconfig is readable")))
    }

    /// A client for the hub, with the CRDs of a hub in place.
    async fn hub(&self) -> Client {
        self.cluster("hub", api::crds::hub_crds()).await
    }

    /// A client for a member, with the CRD of members in place.
    async fn member(&self) -> Client {
        self.cluster("member-1", api::crds::member_crds()).await
    }

    async fn cluster(&self, context: &str, crds: Vec<CustomResourceDefinition>) -> Client {
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
        let config = Config::from_custom_kubeconfig(self.0.clone(), &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let installing = crds.into_iter().map(|crd| install(client.clone(), crd));
        tokio::time::timeout(ESTABLISH_TIMEOUT, try_join_all(installing)).await.unwrap().unwrap();
        client
    }
}

/// Applies a CRD and waits until the API server serves all its versions.
async fn install(client: Client, crd: CustomResourceDefinition) -> kube::Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.metadata.name.clone().unwrap();
    crds.patch(&name, &PatchParams::apply("api-tests").force(), &Patch::Apply(&crd)).await?;
    await_condition(crds, &name, conditions::is_crd_established()).await.expect("a watch");
    for version in &crd.spec.versions {
        let gvk = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &crd.spec.names.plural);
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // Established comes a moment before the first request is answered.
        while let Err(kube::Error::Api(status)) =
            objects.list(&ListParams::default().limit(1)).await
        {
            assert_eq!(status.code, 404, "{name}: {status:?}");
            tokio::time::sleep(SERVED_POLL).await;
        }
    }
    Ok(())
}

/// The API for the kind and version of an object, in the default namespace if it has one.
fn api_for(client: &Client, object: &Value) -> Api<DynamicObject> {
    let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
    let kind = object["kind"].as_str().unwrap();
    let crd = api::crds::crds().into_iter().find(|it| it.spec.names.kind == kind).expect(kind);
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &crd.spec.names.plural);
    if crd.spec.scope == "Namespaced" {
        Api::namespaced_with(client.clone(), "default", &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..Default::default() }
}

async fn create(client: &Client, object: &Value, how: &PostParams) -> kube::Result<Value> {
    let typed = serde_json::from_value(object.clone()).unwrap();
    let created = api_for(client, object).create(how, &typed).await?;
    Ok(serde_json::to_value(created).unwrap())
}

async fn delete(client: &Client, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let gone = api_for(client, object).delete(name, &DeleteParams::default()).await;
    gone.unwrap_or_else(|error| panic!("{}: {error}", name_of(object)));
}

/// Merges a patch into a value, as RFC 7396 says.
fn merged(mut value: Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    if !value.is_object() {
        value = json!({});
    }
    for (name, change) in patch {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = merged(value[name].take(), change);
        }
    }
    value
}

/// What the API server says against a request; nothing if it has no objection.
fn objection<T>(outcome: kube::Result<T>) -> Option<String> {
    match outcome {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 422 => Some(status.message),
        Err(error) => panic!("neither admitted nor refused: {error:?}"),
    }
}

impl Case {
    /// Plays the case and tells what went otherwise than it says.
    async fn play(&self, client: &Client, index: usize) -> Vec<String> {
        let name = json!({ "metadata": { "name": format!("api-rule-{index}") } });
        let object = merged(name, &self.on);
        let (good, bad) = if self.update {
            let created = create(client, &object, &PostParams::default()).await;
            if let Some(objection) = objection(created) {
                return vec![format!("did not admit the object: {objection}")];
            }
            let mut good = None;
            if let Some(patch) = &self.good {
                good = self.patch(client, &object, patch).await;
            }
            let bad = self.patch(client, &object, &self.bad).await;
            delete(client, &object).await;
            (good, bad)
        } else {
            let mut good = objection(create(client, &object, &dry_run()).await);
            if let Some(patch) = &self.good {
                let other = merged(object.clone(), patch);
                good = good.or(objection(create(client, &other, &dry_run()).await));
            }
            let bad = create(client, &merged(object, &self.bad), &dry_run()).await;
            (good, objection(bad))
        };
        let mut problems = Vec::new();
        if let Some(objection) = good {
            problems.push(format!("did not admit what is good: {objection}"));
        }
        match bad {
            None => problems.push("admitted what is bad".to_owned()),
            Some(objection) if objection.contains(&self.says) => {}
            Some(objection) => problems.push(format!("says something else: {objection}")),
        }
        problems
    }

    async fn patch(&self, client: &Client, object: &Value, patch: &Value) -> Option<String> {
        let how = PatchParams { dry_run: true, ..Default::default() };
        let name = object["metadata"]["name"].as_str().unwrap();
        objection(api_for(client, object).patch(name, &how, &Patch::Merge(patch)).await)
    }
}

#[tokio::test]
async fn each_rule_admits_the_good_and_refuses_the_bad() {
    let Some(bed) = Bed::find() else { return };
    let client = bed.hub().await;
    let mut problems = Vec::new();
    for (index, case) in cases().iter().enumerate() {
        for problem in case.play(&client, index).await {
            problems.push(format!("{} ({:?}): {problem}", case.rule, case.says));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Keeps the table complete; needs no bed.
#[test]
fn each_rule_of_each_schema_has_a_case() {
    let cases = cases();
    let mut uncovered = BTreeSet::new();
    for crd in api::crds::crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            for message in messages(&serde_json::to_value(schema).unwrap()) {
                if !cases.iter().any(|case| message.contains(&case.says)) {
                    uncovered.insert(message);
                }
            }
        }
    }
    assert!(uncovered.is_empty(), "{uncovered:#?}");
    let numbers: BTreeSet<_> = cases.iter().map(|case| case.rule.as_str()).collect();
    for number in 1..=27 {
        assert!(numbers.contains(format!("V{number}").as_str()), "no case for V{number}");
    }
}

fn messages(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(node) => {
            let rules = node.get("x-kubernetes-validations").and_then(Value::as_array);
            let here = rules.into_iter().flatten().filter_map(|it| it["message"].as_str());
            here.map(str::to_owned).chain(node.values().flat_map(messages)).collect()
        }
        Value::Array(items) => items.iter().flat_map(messages).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn every_kind_is_established_and_structural() {
    let Some(bed) = Bed::find() else { return };
    let (hub, member) = (bed.hub().await, bed.member().await);
    for (client, crds) in [(hub, api::crds::hub_crds()), (member, api::crds::member_crds())] {
        let installed: Api<CustomResourceDefinition> = Api::all(client);
        for crd in crds {
            let name = crd.metadata.name.unwrap();
            let status = installed.get(&name).await.unwrap().status.unwrap();
            let mut held = BTreeSet::new();
            for condition in status.conditions.unwrap_or_default() {
                held.insert(format!("{}={}", condition.type_, condition.status));
            }
            let expected = ["Established=True", "NamesAccepted=True"].map(str::to_owned);
            assert_eq!(held, expected.into(), "{name}");
            assert_eq!(status.accepted_names.unwrap().plural, crd.spec.names.plural);
        }
    }
}

/// What a user writes arrives, and reads the same with and without the defaults of the server.
#[tokio::test]
async fn the_fixtures_are_admitted_and_read_the_same() {
    let Some(bed) = Bed::find() else { return };
    let (hub, member) = (bed.hub().await, bed.member().await);
    for (_, object) in fixtures() {
        let client = if object["kind"] == "AppliedWork" { &member } else { &hub };
        let name = name_of(&object);
        let has_status = object.get("status").is_some();
        let how = if has_status { PostParams::default() } else { dry_run() };
        let stored =
            create(client, &object, &how).await.unwrap_or_else(|it| panic!("{name}: {it}"));
        let mut stored = stored;
        if has_status {
            stored = write_status(client, &object, stored).await;
            delete(client, &object).await;
        }
        assert_eq!(lost(&object, &stored), Vec::<String>::new(), "{name}");
        let mut ours = through_its_type(&object).unwrap();
        let mut theirs = through_its_type(&stored).unwrap();
        ours["metadata"] = json!(null);
        theirs["metadata"] = json!(null);
        assert_eq!(ours, theirs, "{name}");
    }
}

async fn write_status(client: &Client, object: &Value, mut stored: Value) -> Value {
    stored["status"] = object["status"].clone();
    let name = object["metadata"]["name"].as_str().unwrap();
    let body: DynamicObject = serde_json::from_value(stored).unwrap();
    let written = api_for(client, object).replace_status(name, &PostParams::default(), &body).await;
    serde_json::to_value(written.unwrap_or_else(|it| panic!("{}: {it}", name_of(object)))).unwrap()
}

#[tokio::test]
async fn other_versions_prune_what_they_do_not_know() {
    let Some(bed) = Bed::find() else { return };
    let client = bed.hub().await;
    let placement = json!({
        "apiVersion": "placement.kubernetes-fleet.io/v1beta1",
        "kind": "ClusterResourcePlacement",
        "metadata": { "name": "api-versions" },
        "spec": {
            "resourceSelectors": [{ "group": "", "version": "v1", "kind": "Namespace", "name": "a" }],
            "strategy": { "deleteStrategy": { "propagationPolicy": "Abandon" } },
        },
    });
    let policy = |object: &Value| object["spec"]["strategy"]["deleteStrategy"].clone();
    let newest = create(&client, &placement, &dry_run()).await.unwrap();
    assert_eq!(policy(&newest), json!({ "propagationPolicy": "Abandon" }));

    let older = merged(placement, &json!({ "apiVersion": "placement.kubernetes-fleet.io/v1" }));
    assert_eq!(policy(&create(&client, &older, &dry_run()).await.unwrap()), Value::Null);
}

/// Asks for objects the way `kubectl get` does.
async fn columns(client: &Client, object: &Value) -> Vec<(String, Value)> {
    let name = object["metadata"]["name"].as_str().unwrap();
    let url = format!("{}/{name}", api_for(client, object).resource_url());
    let request = http::Request::get(url)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let names = table["columnDefinitions"].as_array().unwrap().iter();
    let cells = table["rows"][0]["cells"].as_array().unwrap().iter();
    names
        .zip(cells)
        .map(|(it, cell)| (it["name"].as_str().unwrap().to_owned(), cell.clone()))
        .collect()
}

#[tokio::test]
async fn kubectl_get_shows_what_users_look_for() {
    let Some(bed) = Bed::find() else { return };
    let client = bed.hub().await;
    let expected = [
        (
            "MemberCluster",
            json!({
                "Joined": "True", "Node-Count": "3", "Available-CPU": "7300m",
                "Available-Memory": "21Gi", "Allocatable-CPU": "11500m",
                "Allocatable-Memory": "45Gi",
            }),
        ),
        (
            "ClusterResourcePlacement",
            json!({ "Gen": "1", "Type": "PickN", "Scheduled": "True", "Scheduled-Gen": "2" }),
        ),
        (
            "ClusterStagedUpdateRun",
            json!({
                "Placement": "api-test-best-two", "Resource-Snapshot-Index": "4",
                "Policy-Snapshot-Index": "0", "Initialized": "True",
                "Strategy": "api-test-careful",
            }),
        ),
        ("ClusterResourceBinding", json!({ "ResourcesApplied": "True" })),
        (
            "ClusterApprovalRequest",
            json!({ "Update-Run": "api-test-run", "Stage": "canary", "Approved": "True" }),
        ),
        ("ClusterResourcePlacementEviction", json!({ "Valid": "True" })),
        ("ClusterResourcePlacementStatus", json!({ "Resource-Index": "0" })),
    ];
    for (kind, expected) in expected {
        let (_, mut object) = fixtures()
            .into_iter()
            .filter(|(_, it)| it["kind"] == kind)
            .max_by_key(|(_, it)| it.to_string().len())
            .unwrap();
        object["metadata"]["name"] = json!("api-columns");
        let stored = create(&client, &object, &PostParams::default()).await.unwrap();
        if object.get("status").is_some() {
            write_status(&client, &object, stored).await;
        }
        let shown = columns(&client, &object).await;
        delete(&client, &object).await;
        for (column, value) in expected.as_object().unwrap() {
            let cell = shown.iter().find(|(name, _)| name == column).map(|(_, cell)| cell);
            assert_eq!(cell, Some(value), "{kind} {column}; all: {shown:?}");
        }
    }
}
