//! Custom resources.

use serde_json::{Value, json};

use super::name_cases;
use super::server::{Server, names, text};

name_cases![
    a_crd_is_established_and_served,
    defaulting_and_pruning,
    validation,
    status_and_generation,
    strategic_merge_is_refused,
    replacing_needs_a_resource_version,
    apply_by_the_schema,
    printer_columns,
    scale_of_a_custom_resource,
    versions_share_their_objects,
    deleting_the_crd_deletes_its_objects,
];

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A CRD of its own for each case, named after the namespace of the case.
pub(super) struct Widgets {
    group: String,
    crd: String,
}

impl Widgets {
    pub(super) fn path(&self, server: &Server) -> String {
        server.grouped(&format!("{}/v1", self.group), "widgets")
    }

    pub(super) fn widget(&self, name: &str, spec: Value) -> Value {
        json!({"apiVersion": format!("{}/v1", self.group), "kind": "Widget",
               "metadata": {"name": name}, "spec": spec})
    }

    pub(super) async fn remove(&self, server: &Server) {
        server.delete(&format!("{CRDS}/{}", self.crd)).await.ok();
    }
}

fn version(name: &str, storage: bool) -> Value {
    json!({"name": name, "served": true, "storage": storage,
    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector"}},
    "additionalPrinterColumns": [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Joined", "type": "string",
         "jsonPath": ".status.conditions[?(@.type==\"Joined\")].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
    "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 100},
            "mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
            "port": {"x-kubernetes-int-or-string": true},
            "tags": {"type": "array", "maxItems": 3, "items": {"type": "string"},
                     "x-kubernetes-list-type": "set"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                         "x-kubernetes-preserve-unknown-fields": true},
            "parts": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "count": {"type": "integer", "default": 1}}}},
        }},
        "status": {"type": "object", "properties": {
            "size": {"type": "integer"}, "selector": {"type": "string"},
            "conditions": {"type": "array", "items": {"type": "object", "properties": {
                "type": {"type": "string"}, "status": {"type": "string"}}}}}},
    }}}})
}

pub(super) async fn widgets(server: &Server) -> Widgets {
    let group = format!("{}.example.com", server.namespace);
    let crd = format!("widgets.{group}");
    let body = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": crd}, "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1", true), version("v1beta1", false)]}});
    server.post(CRDS, &body).await.ok();
    let established = |it: &Value| {
        let mut conditions = it["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|it| it["type"] == "Established" && it["status"] == "True")
    };
    server.until(CRDS, &crd, established).await;
    let widgets = Widgets { group, crd };
    // A real server installs the handler a moment after it says that it is established.
    server.until_answers(&widgets.path(server), 200).await;
    widgets
}

async fn a_crd_is_established_and_served(server: Server) {
    let widgets = widgets(&server).await;
    let crd = server.get(&format!("{CRDS}/{}", widgets.crd)).await.ok();
    assert_eq!(crd["status"]["acceptedNames"]["listKind"], "WidgetList");
    assert_eq!(crd["status"]["acceptedNames"]["singular"], "widget");
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    let list = server.get(&widgets.path(&server)).await.ok();
    assert_eq!((&list["kind"], &list["items"]), (&json!("WidgetList"), &json!([])));
    let wrong = json!({"apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition", "metadata": {"name": "wrong.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
                 "names": {"plural": "rights", "kind": "Right"}, "versions": [version("v1", true)]}});
    server.post(CRDS, &wrong).await.fails(422, "Invalid");
    widgets.remove(&server).await;
}

async fn defaulting_and_pruning(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    let spec = json!({"size": 1, "typo": true, "free": {"any": {"thing": 1}},
        "port": "http", "parts": [{"name": "a"}, {"name": "b", "count": 2}],
        "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
                     "data": {"k": "v"}}});
    let answer = server.post(&path, &widgets.widget("w", spec)).await;
    assert!(answer.warnings.iter().any(|it| it.contains("spec.typo")), "{answer:?}");
    let made = answer.ok();
    let expected = json!({"size": 1, "mode": "fast", "free": {"any": {"thing": 1}},
        "port": "http", "parts": [{"name": "a", "count": 1}, {"name": "b", "count": 2}],
        "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
                     "data": {"k": "v"}}});
    assert_eq!(made["spec"], expected);
    let strict = format!("{path}?fieldValidation=Strict");
    let typo = widgets.widget("v", json!({"size": 1, "typo": true}));
    let status = server.post(&strict, &typo).await.fails(400, "BadRequest");
    let message = text(&status, "/message");
    assert!(message.ends_with("strict decoding error: unknown field \"spec.typo\""), "{message}");
    widgets.remove(&server).await;
}

async fn validation(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    let broken: &[(Value, &str, &str)] = &[
        (json!({}), "spec.size", "FieldValueRequired"),
        (json!({"size": "1"}), "spec.size", "FieldValueTypeInvalid"),
        (json!({"size": 0}), "spec.size", "FieldValueInvalid"),
        (json!({"size": 101}), "spec.size", "FieldValueInvalid"),
        (json!({"size": 1, "mode": "odd"}), "spec.mode", "FieldValueNotSupported"),
        (json!({"size": 1, "code": "A1"}), "spec.code", "FieldValueInvalid"),
        (json!({"size": 1, "code": "abcdefghi"}), "spec.code", "FieldValueTooLong"),
        (json!({"size": 1, "port": true}), "spec.port", "FieldValueTypeInvalid"),
        (json!({"size": 1, "tags": ["a", "b", "c", "d"]}), "spec.tags", "FieldValueTooMany"),
        (json!({"size": 1, "tags": ["a", "a"]}), "spec.tags[1]", "FieldValueDuplicate"),
        (json!({"size": 1, "parts": [{"count": 1}]}), "spec.parts[0].name", "FieldValueRequired"),
    ];
    for (spec, field, reason) in broken {
        let status = server.post(&path, &widgets.widget("w", spec.clone())).await;
        let status = status.fails(422, "Invalid");
        let causes = status["details"]["causes"].as_array().expect("causes");
        let found: Vec<(String, String)> =
            causes.iter().map(|it| (text(it, "/field"), text(it, "/reason"))).collect();
        let expected = ((*field).to_owned(), (*reason).to_owned());
        assert!(found.contains(&expected), "{spec}: {found:?}");
        assert_eq!(status["details"]["kind"], "Widget");
        assert_eq!(status["details"]["group"], widgets.group.as_str());
    }
    let mut bare = widgets.widget("w", json!({}));
    bare.as_object_mut().expect("an object").remove("spec");
    let status = server.post(&path, &bare).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "spec");
    widgets.remove(&server).await;
}

async fn status_and_generation(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    let mut widget = widgets.widget("w", json!({"size": 1}));
    widget["status"] = json!({"size": 9});
    let made = server.post(&path, &widget).await.ok();
    assert!(made.get("status").is_none());
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{path}/w");
    let both = json!({"spec": {"size": 2}, "status": {"size": 5}});
    let patched = server.merge(&format!("{path}/status"), &both).await.ok();
    assert_eq!((&patched["spec"]["size"], &patched["status"]["size"]), (&json!(1), &json!(5)));
    assert_eq!(patched["metadata"]["generation"], 1);
    let patched = server.merge(&path, &both).await.ok();
    assert_eq!((&patched["spec"]["size"], &patched["status"]["size"]), (&json!(2), &json!(5)));
    assert_eq!(patched["metadata"]["generation"], 2);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let labelled = server.merge(&path, &labels).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 2);
    widgets.remove(&server).await;
}

async fn strategic_merge_is_refused(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 1}))).await.ok();
    let kind = "application/strategic-merge-patch+json";
    let refused = server.patch(&format!("{path}/w"), kind, &json!({"spec": {"size": 2}})).await;
    refused.fails(415, "UnsupportedMediaType");
    widgets.remove(&server).await;
}

async fn replacing_needs_a_resource_version(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 1}))).await.ok();
    let blind = widgets.widget("w", json!({"size": 2}));
    let status = server.put(&format!("{path}/w"), &blind).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.resourceVersion");
    widgets.remove(&server).await;
}

async fn apply_by_the_schema(server: Server) {
    let widgets = widgets(&server).await;
    let path = format!("{}/w", widgets.path(&server));
    let part = |name: &str| {
        widgets.widget("w", json!({"size": 1, "tags": [name], "parts": [{"name": name}]}))
    };
    server.apply(&format!("{path}?fieldManager=one"), &part("a")).await.ok();
    let both = server.apply(&format!("{path}?fieldManager=two"), &part("b")).await.ok();
    assert_eq!(both["spec"]["tags"], json!(["a", "b"]));
    let parts = json!([{"name": "a", "count": 1}, {"name": "b", "count": 1}]);
    assert_eq!(both["spec"]["parts"], parts);
    let bare = widgets.widget("w", json!({"size": 1}));
    let left = server.apply(&format!("{path}?fieldManager=one"), &bare).await.ok();
    assert_eq!(left["spec"]["tags"], json!(["b"]));
    let mut change = widgets.widget("w", json!({"size": 2}));
    let status = server.apply(&format!("{path}?fieldManager=three"), &change).await;
    let status = status.fails(409, "Conflict");
    assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(2));
    change["spec"]["typo"] = json!(1);
    let typo = server.apply(&format!("{path}?fieldManager=three&force=true"), &change).await;
    assert!(text(&typo.body, "/message").contains("field not declared in schema"), "{typo:?}");
    widgets.remove(&server).await;
}

async fn printer_columns(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 3}))).await.ok();
    let conditions = json!([{"type": "Other", "status": "False"},
                            {"type": "Joined", "status": "True"}]);
    let status = json!({"status": {"conditions": conditions}});
    server.merge(&format!("{path}/w/status"), &status).await.ok();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = server.get_as(&path, accept).await.ok();
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let headers: Vec<String> = columns.iter().map(|it| text(it, "/name")).collect();
    assert_eq!(headers, ["Name", "Size", "Joined", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().expect("cells");
    assert_eq!(cells[..3], [json!("w"), json!(3), json!("True")]);
    assert!(cells[3].as_str().is_some_and(|it| it.ends_with('s')), "{cells:?}");
    widgets.remove(&server).await;
}

async fn scale_of_a_custom_resource(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 3}))).await.ok();
    let status = json!({"status": {"size": 2, "selector": "a=b"}});
    server.merge(&format!("{path}/w/status"), &status).await.ok();
    let scale = server.get(&format!("{path}/w/scale")).await.ok();
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "a=b"}));
    let wanted = json!({"spec": {"replicas": 5}});
    server.merge(&format!("{path}/w/scale"), &wanted).await.ok();
    assert_eq!(server.get(&format!("{path}/w")).await.ok()["spec"]["size"], 5);
    widgets.remove(&server).await;
}

async fn versions_share_their_objects(server: Server) {
    let widgets = widgets(&server).await;
    let beta = server.grouped(&format!("{}/v1beta1", widgets.group), "widgets");
    server.post(&widgets.path(&server), &widgets.widget("w", json!({"size": 1}))).await.ok();
    let seen = server.get(&format!("{beta}/w")).await.ok();
    assert_eq!(seen["apiVersion"], format!("{}/v1beta1", widgets.group));
    let patched = server.merge(&format!("{beta}/w"), &json!({"spec": {"size": 2}})).await.ok();
    assert_eq!(patched["apiVersion"], format!("{}/v1beta1", widgets.group));
    let stable = server.get(&format!("{}/w", widgets.path(&server))).await.ok();
    assert_eq!(stable["spec"]["size"], 2);
    assert_eq!(names(&server.get(&beta).await.ok()), ["w"]);
    widgets.remove(&server).await;
}

async fn deleting_the_crd_deletes_its_objects(server: Server) {
    let widgets = widgets(&server).await;
    let path = widgets.path(&server);
    server.post(&path, &widgets.widget("w", json!({"size": 1}))).await.ok();
    widgets.remove(&server).await;
    server.until_gone(CRDS, &widgets.crd).await;
    // It stops to serve a moment after the CRD is gone.
    server.until_answers(&path, 404).await;
}
