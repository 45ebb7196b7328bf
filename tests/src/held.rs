//! What clusters hold of a namespace, compared whole: everything that people wrote, and nothing
//! that a server or a controller of one cluster adds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::ground::Cluster;

/// The kinds of the objects in an app of the tests: group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services"),
    ("apps", "v1", "Deployment", "deployments"),
];

/// What every cluster makes in every namespace by itself.
const MADE_BY_THE_CLUSTER: [&str; 1] = ["ConfigMap/kube-root-ca.crt"];

/// What a member has to mark what it holds for the hub.
const MARKS: [&str; 1] = ["kubernetes-fleet.io/"];

/// What is written into an object by the cluster that it is in.
const WRITTEN_BY_THE_CLUSTER: [&str; 2] = ["/spec/clusterIP", "/spec/clusterIPs"];

/// A namespace and everything in it, by kind and name.
async fn objects(cluster: &Cluster, namespace: &str) -> BTreeMap<String, DynamicObject> {
    let mut found = BTreeMap::new();
    for (group, version, kind, plural) in KINDS {
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), namespace, &resource);
        for object in api.list(&ListParams::default()).await.expect("a list") {
            let name = format!("{kind}/{}", object.name_any());
            if !MADE_BY_THE_CLUSTER.contains(&name.as_str()) {
                found.insert(name, object);
            }
        }
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    if let Some(object) = namespaces.get_opt(namespace).await.expect("the cluster answers") {
        let mut object: DynamicObject =
            serde_json::from_value(serde_json::to_value(object).expect("it is JSON"))
                .expect("it is an object");
        object.types.get_or_insert_with(TypeMeta::default).kind = "Namespace".to_owned();
        found.insert("Namespace".to_owned(), object);
    }
    found
}

/// An object without what servers and controllers add.
#[must_use]
pub fn as_written(object: &DynamicObject) -> Value {
    let people = |map: &BTreeMap<String, String>| {
        let ours = |key: &&String| !MARKS.iter().any(|mark| key.starts_with(mark));
        let kept = map.iter().filter(|(key, _)| ours(key) && !is_a_controllers(key));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
    };
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    for path in WRITTEN_BY_THE_CLUSTER {
        let (parent, field) = path.rsplit_once('/').expect("a path has a field");
        if let Some(parent) = data.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(field);
        }
    }
    json!({ "labels": people(object.labels()), "annotations": people(object.annotations()), "rest": data })
}

fn is_a_controllers(annotation: &str) -> bool {
    annotation == "deployment.kubernetes.io/revision"
}

/// Whether a member holds a namespace exactly as the hub has it, each object owned by one
/// AppliedWork that is there. Says what differs.
///
/// # Errors
/// What differs, in words.
pub async fn compare(hub: &Cluster, member: &Cluster, namespace: &str) -> Result<(), String> {
    let (wanted, held) = (objects(hub, namespace).await, objects(member, namespace).await);
    let name = &member.name;
    if !wanted.keys().eq(held.keys()) {
        let (wanted, held): (Vec<_>, Vec<_>) = (wanted.keys().collect(), held.keys().collect());
        return Err(format!("{name} holds {held:?} in {namespace}, the hub has {wanted:?}"));
    }
    for (key, object) in &held {
        let (wanted, held) = (as_written(&wanted[key]), as_written(object));
        if wanted != held {
            return Err(format!("{key} in {namespace} is {held:#} on {name}, not {wanted:#}"));
        }
        is_owned(member, object).await.map_err(|why| format!("{key} on {name}: {why}"))?;
    }
    Ok(())
}

async fn is_owned(member: &Cluster, object: &DynamicObject) -> Result<(), String> {
    let owners = object.owner_references();
    let [owner] = owners else { return Err(format!("its owners are {owners:?}")) };
    let works: Api<api::AppliedWork> = Api::all(member.client.clone());
    let work = works.get_opt(&owner.name).await.expect("the member answers");
    let uid = work.and_then(|work| work.uid());
    if (owner.kind.as_str(), Some(&owner.uid)) != ("AppliedWork", uid.as_ref()) {
        return Err(format!("its owner is {owner:?}, the AppliedWork there has the uid {uid:?}"));
    }
    Ok(())
}
