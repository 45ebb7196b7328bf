//! What a cluster serves, told in all forms that clients ask for.

use serde_json::{Value, json};

use super::Cluster;
use super::route::Route;
use crate::error::ApiError;
use crate::registry::{Resource, group_version};
use crate::request::{Reply, Request};

/// The Kubernetes version that the simulator claims to be.
const GIT_VERSION: &str = "v1.36.4";

/// The content type of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Cluster {
    pub(super) fn answer_discovery(
        &self,
        route: &Route,
        request: &Request,
    ) -> Result<Reply, ApiError> {
        if request.method != http::Method::GET {
            return Err(ApiError::method_not_allowed());
        }
        let aggregated = wants_aggregated(&request.accept);
        let make = || self.document(route, aggregated);
        Ok(self.registry.documents().reply(route, aggregated, make))
    }

    fn document(&self, route: &Route, aggregated: bool) -> Reply {
        let document = match route {
            Route::Version => Some(version()),
            Route::Healthy => return Reply::text(200, "text/plain; charset=utf-8", "ok"),
            Route::CoreVersions if aggregated => {
                return aggregated_reply(&self.aggregated_groups(true));
            }
            Route::Groups if aggregated => {
                return aggregated_reply(&self.aggregated_groups(false));
            }
            Route::CoreVersions => Some(json!({"kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": []})),
            Route::Groups => {
                let groups: Vec<Value> =
                    self.registry.groups().iter().map(|it| group_document(it, false)).collect();
                Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            Route::Group(name) => {
                let groups = self.registry.groups();
                groups.iter().find(|(it, _)| it == name).map(|it| group_document(it, true))
            }
            Route::Resources { group, version } => self.resource_list(group, version),
            Route::OpenApiV2 => Some(self.openapi_v2()),
            Route::OpenApiIndex => Some(self.openapi_index()),
            Route::OpenApi { group, version } => self.openapi_v3(group, version),
            Route::Resource(_) | Route::Unknown => None,
        };
        document.map_or_else(Reply::no_such_path, |it| Reply::json(200, &it))
    }

    fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let mut entries = Vec::new();
        for resource in self.registry.in_version(group, version) {
            let mut entry = json!({
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": resource.verbs,
            });
            if !resource.short_names.is_empty() {
                entry["shortNames"] = json!(resource.short_names);
            }
            if !resource.categories.is_empty() {
                entry["categories"] = json!(resource.categories);
            }
            entries.push(entry);
            for sub in subresources(resource) {
                let mut entry = json!({
                    "name": format!("{}/{}", resource.plural, sub.name),
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "kind": sub.kind,
                    "verbs": sub.verbs,
                });
                if sub.name == "scale" {
                    entry["group"] = json!("autoscaling");
                    entry["version"] = json!("v1");
                }
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            return None;
        }
        Some(json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": group_version(group, version), "resources": entries}))
    }

    fn aggregated_groups(&self, core: bool) -> Value {
        let groups = match core {
            true => vec![(String::new(), vec!["v1".to_owned()])],
            false => self.registry.groups(),
        };
        let items: Vec<Value> = groups
            .iter()
            .map(|(group, versions)| {
                let versions: Vec<Value> =
                    versions.iter().map(|it| self.aggregated_version(group, it)).collect();
                let metadata = match core {
                    true => json!({"creationTimestamp": null}),
                    false => json!({"name": group, "creationTimestamp": null}),
                };
                json!({"metadata": metadata, "versions": versions})
            })
            .collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
               "metadata": {}, "items": items})
    }

    fn aggregated_version(&self, group: &str, version: &str) -> Value {
        let resources: Vec<Value> =
            self.registry.in_version(group, version).map(|it| aggregated_resource(it)).collect();
        json!({"version": version, "freshness": "Current", "resources": resources})
    }
}

struct Subresource {
    name: &'static str,
    kind: String,
    verbs: &'static [&'static str],
}

fn subresources(resource: &Resource) -> Vec<Subresource> {
    const READ_WRITE: &[&str] = &["get", "patch", "update"];
    let own = |name| Subresource { name, kind: resource.kind.clone(), verbs: READ_WRITE };
    let mut all = Vec::new();
    if resource.has_finalize {
        let kind = resource.kind.clone();
        all.push(Subresource { name: "finalize", kind, verbs: &["update"] });
    }
    if resource.scale.is_some() {
        all.push(Subresource { name: "scale", kind: "Scale".to_owned(), verbs: READ_WRITE });
    }
    if resource.has_status {
        all.push(own("status"));
    }
    all
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind =
        |kind: &str| json!({"group": resource.group, "version": resource.version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|sub| {
            let response_kind = match sub.name {
                "scale" => json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
                _ => kind(&sub.kind),
            };
            json!({"subresource": sub.name, "responseKind": response_kind, "verbs": sub.verbs})
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = json!(subresources);
    }
    entry
}

fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').any(|form| {
        let has = |parameter: &str| form.split(';').any(|it| it.trim() == parameter);
        has("as=APIGroupDiscoveryList") && has("v=v2") && has("g=apidiscovery.k8s.io")
    })
}

fn aggregated_reply(document: &Value) -> Reply {
    Reply::text(200, AGGREGATED, document.to_string())
}

fn version() -> Value {
    json!({"major": "1", "minor": "36", "gitVersion": GIT_VERSION, "gitCommit": "",
           "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
           "compiler": "", "platform": "linux/amd64"})
}

fn group_document((group, versions): &(String, Vec<String>), alone: bool) -> Value {
    let version = |it: &String| json!({"groupVersion": group_version(group, it), "version": it});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    let mut document =
        json!({"name": group, "versions": versions, "preferredVersion": versions.first()});
    if alone {
        document["kind"] = json!("APIGroup");
        document["apiVersion"] = json!("v1");
    }
    document
}
