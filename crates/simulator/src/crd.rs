//! CustomResourceDefinitions: from the object to the resources that it adds to a cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};

use crate::builtin::{Column, column_from_crd, name_and_age};
use crate::error::Cause;
use crate::object::{Meta, at};
use crate::registry::{Origin, Resource, ScalePaths, SchemaOf};
use crate::schema::parse_crd;

/// The finalizer that keeps a CRD until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The served versions of one CRD.
pub(crate) type Versions = Arc<[Arc<Resource>]>;

/// Compiled CRDs by the text of their spec: clusters with the same CRD share its resources.
static COMPILED: Mutex<BTreeMap<String, Weak<[Arc<Resource>]>>> = Mutex::new(BTreeMap::new());

/// The served versions of a CRD, most preferred first.
pub(crate) fn compile(crd: &Value) -> Versions {
    let key = crd["spec"].to_string();
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = compiled.get(&key).and_then(Weak::upgrade) {
        return known;
    }
    compiled.retain(|_, it| it.strong_count() > 0);
    let versions: Versions = served_versions(crd).into();
    compiled.insert(key, Arc::downgrade(&versions));
    versions
}

fn served_versions(crd: &Value) -> Vec<Arc<Resource>> {
    let versions = crd["spec"]["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let storage = versions.iter().find(|it| it["storage"] == true);
    let storage = storage.and_then(|it| it["name"].as_str()).unwrap_or_default();
    let served = versions.iter().filter(|it| it["served"] == true);
    let mut served: Vec<_> = served.map(|it| Arc::new(resource(crd, it, storage))).collect();
    served.sort_by_key(|it| std::cmp::Reverse(crate::registry::version_rank(&it.version)));
    served
}

fn resource(crd: &Value, version: &Value, storage: &str) -> Resource {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let document = version["schema"]["openAPIV3Schema"].clone();
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    Resource {
        group: text(spec, "group"),
        version: text(version, "name"),
        storage_version: storage.to_owned(),
        plural: text(names, "plural"),
        singular: text(names, "singular"),
        kind: text(names, "kind"),
        list_kind: text(names, "listKind"),
        short_names: texts(names, "shortNames"),
        categories: texts(names, "categories"),
        namespaced: spec["scope"] == "Namespaced",
        verbs: verbs.map(str::to_owned).to_vec(),
        has_status: version["subresources"]["status"].is_object(),
        scale: scale_paths(&version["subresources"]["scale"]),
        has_finalize: false,
        schema: SchemaOf::Custom(Arc::new(parse_crd(&document)), Arc::new(document)),
        columns: columns(version),
        selectable_fields: selectable_fields(version),
        origin: Origin::Custom,
    }
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    let path = |key: &str| Some(scale[key].as_str()?.trim_start_matches('.').to_owned());
    Some(ScalePaths {
        spec: path("specReplicasPath")?,
        status: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

fn columns(version: &Value) -> Vec<Column> {
    match version["additionalPrinterColumns"].as_array() {
        Some(declared) if !declared.is_empty() => {
            let (name, _) = name_and_age();
            std::iter::once(name).chain(declared.iter().map(column_from_crd)).collect()
        }
        _ => {
            let (name, age) = name_and_age();
            vec![name, age]
        }
    }
}

fn selectable_fields(version: &Value) -> Vec<String> {
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    let paths = fields.filter_map(|it| it["jsonPath"].as_str());
    paths.map(|path| path.trim_start_matches('.').to_owned()).collect()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value[key].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Violations of a CRD itself.
pub(crate) fn check(crd: &Value, causes: &mut Vec<Cause>) {
    for path in ["spec.group", "spec.names.plural", "spec.names.kind", "spec.scope"] {
        if at(crd, path).and_then(Value::as_str).unwrap_or_default().is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    let spec = &crd["spec"];
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    if crd.name() != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(crd.name()), why));
    }
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    if versions.iter().filter(|it| it["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!([]), why));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(&field, "schemas are required"));
        }
    }
}

/// The versions that objects are stored in: the one that says so.
pub(crate) fn storage_versions(crd: &Value) -> Vec<Value> {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|it| it["storage"] == true).map(|it| it["name"].clone()).collect()
}

/// The status of a CRD whose names are accepted and whose resources are served.
pub(crate) fn established_status(crd: &Value, now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason,
               "message": message})
    };
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": storage_versions(crd),
    })
}
