//! From a seed to a history of requests about one kind.

use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};
use simulator::Request;

use super::kinds::{Kind, named};

/// Requests of a history beside those that begin and end it.
const REQUESTS: usize = 16;

/// Objects of a history: so few that requests meet the same ones.
const NAMES: &[&str] = &["a", "b", "c"];

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

pub(crate) struct History {
    /// Sent first, to be able to begin.
    pub(crate) prologue: Vec<Request>,
    pub(crate) requests: Vec<Request>,
    /// Tells all that happened in the collection, up to the object with the name.
    pub(crate) watch: Request,
    pub(crate) fence: String,
}

pub(crate) fn history(seed: u64, kinds: &[Kind]) -> History {
    let mut rng = Rng::with_seed(seed);
    let at = usize::try_from(seed % kinds.len() as u64).unwrap_or_default();
    let kind = &kinds[at];
    let mut writer = Writer { seed, kind, rng: &mut rng };
    let requests = (0..REQUESTS).map(|_| writer.request()).collect();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
                           "metadata": {"name": writer.namespace()}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "default"}});
    let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", writer.namespace());
    let list = writer.list_of_own();
    let fence = writer.object_name("fence");
    let mut fence_object = writer.body(&kind.bodies[0], &fence, &kind.api_version);
    fence_object["metadata"]["labels"] = json!({"history": writer.label()});
    let mut requests: Vec<Request> = requests;
    requests.push(list.clone());
    let query = format!(
        "watch=true&resourceVersion={{{{start}}}}&timeoutSeconds=20&labelSelector=history%3D{}",
        writer.label()
    );
    let mut watch = list.clone();
    watch.query = query;
    watch.accept = writer.pick(&["application/json", "application/json", METADATA]).to_owned();
    requests.push(Request::post(&writer.collection(&kind.api_version), &fence_object));
    History {
        prologue: vec![
            Request::post("/api/v1/namespaces", &namespace),
            Request::post(&accounts, &account),
            list,
        ],
        requests,
        watch,
        fence,
    }
}

struct Writer<'a> {
    seed: u64,
    kind: &'a Kind,
    rng: &'a mut Rng,
}

impl Writer<'_> {
    fn namespace(&self) -> String {
        format!("h{}", self.seed)
    }

    fn label(&self) -> String {
        self.namespace()
    }

    fn object_name(&self, name: &str) -> String {
        format!("h{}-{name}", self.seed)
    }

    fn collection(&self, version: &str) -> String {
        self.kind.path(version, &self.namespace())
    }

    fn list_of_own(&self) -> Request {
        let collection = self.collection(&self.kind.api_version);
        Request::get(&format!("{collection}?labelSelector=history%3D{}", self.label()))
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.rng.usize(..times) == 0
    }

    fn pick<'b, T: ?Sized>(&mut self, choices: &[&'b T]) -> &'b T {
        choices[self.rng.usize(..choices.len())]
    }

    fn pick_value(&mut self, values: &[Value]) -> Option<Value> {
        (!values.is_empty()).then(|| values[self.rng.usize(..values.len())].clone())
    }

    fn version(&mut self) -> String {
        let versions = self.kind.versions();
        self.pick(&versions).to_owned()
    }

    fn name(&mut self) -> String {
        let name = self.pick(NAMES);
        self.object_name(name)
    }

    fn request(&mut self) -> Request {
        let version = self.version();
        let name = self.name();
        let mut request = match self.rng.usize(..24) {
            0..=5 => self.create(&version, &name),
            6..=9 => self.apply(&version, &name),
            10..=13 => self.patch(&version, &name),
            14..=15 => self.replace(&version, &name),
            16 => self.write_status(&version, &name),
            17 => self.scale(&version, &name),
            18..=19 => self.delete(&version, &name),
            20 => self.read(&version, &name),
            21..=22 => self.list(&version),
            _ => self.odd(&version, &name),
        };
        request.user_agent = self.pick(&["history/1.0", "kubectl/v1.36.4 (linux)"]).to_owned();
        if request.body.is_empty() {
            request.content_type.clear();
        }
        if self.one_in(12) {
            let is_list = request.query.contains("labelSelector");
            let metadata = if is_list { METADATA_LIST } else { METADATA };
            request.accept = self.pick(&[TABLE, metadata]).to_owned();
        }
        request
    }

    /// The body as an object with a name.
    fn body(&self, body: &Value, name: &str, version: &str) -> Value {
        let mut object = named(body, name);
        object["apiVersion"] = json!(version);
        object["kind"] = json!(self.kind.kind);
        object["metadata"] = json!({"name": name, "labels": {"history": self.label()}});
        object
    }

    /// An object, mostly a right one.
    fn object(&mut self, version: &str, name: &str) -> Value {
        let broken = match self.one_in(4) {
            true => self.pick_value(&self.kind.broken),
            false => None,
        };
        let body = broken.or_else(|| self.pick_value(&self.kind.bodies)).unwrap_or_default();
        let mut object = self.body(&body, name, version);
        if self.one_in(3) {
            self.change_metadata(&mut object);
        }
        if self.one_in(8) {
            self.disturb(&mut object);
        }
        object
    }

    fn change_metadata(&mut self, object: &mut Value) {
        let metadata = &mut object["metadata"];
        match self.rng.usize(..12) {
            0 => metadata["labels"]["tier"] = json!("front"),
            1 => metadata["labels"]["bad key!"] = json!("x"),
            2 => metadata["labels"]["tier"] = json!("-bad-"),
            3 => metadata["annotations"] = json!({"note": "some text", "example.com/x": ""}),
            4 => metadata["finalizers"] = json!(["example.com/hold"]),
            5 => metadata["finalizers"] = json!(["unqualified"]),
            6 => {
                metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
                "name": "owner", "uid": "00000000-0000-4000-8000-000000000000"}])
            }
            7 => metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap"}]),
            8 => metadata["generation"] = json!(7),
            9 => metadata["creationTimestamp"] = json!("2020-01-01T00:00:00Z"),
            10 => metadata["labels"]["number"] = json!(1),
            _ => metadata["annotations"] = json!({"Bad Key": "x"}),
        }
    }

    /// Something that no right client does.
    fn disturb(&mut self, object: &mut Value) {
        match self.rng.usize(..10) {
            0 => object["unheard"] = json!({"of": 1}),
            1 => object["metadata"]["unheard"] = json!(1),
            2 => object["spec"]["unheard"] = json!([1]),
            3 => object["kind"] = json!("Other"),
            4 => object["apiVersion"] = json!("other.example.com/v1"),
            5 => object["metadata"]["namespace"] = json!("elsewhere"),
            6 => object["metadata"]["name"] = json!("Not_A_Name"),
            7 => {
                drop(object["metadata"].as_object_mut().and_then(|it| it.remove("name")));
            }
            8 => object["metadata"]["resourceVersion"] = json!("1"),
            _ => object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000"),
        }
    }

    /// Parameters that any write may have.
    fn parameters(&mut self) -> Vec<String> {
        let mut parameters = Vec::new();
        if self.one_in(8) {
            parameters.push(self.pick(&["dryRun=All", "dryRun=All", "dryRun=Some"]).to_owned());
        }
        if self.one_in(5) {
            let mode = self.pick(&["Strict", "Strict", "Warn", "Ignore", "Other"]);
            parameters.push(format!("fieldValidation={mode}"));
        }
        if self.one_in(3) {
            parameters.push(format!("fieldManager={}", self.pick(&["m1", "m2"])));
        }
        parameters
    }

    fn create(&mut self, version: &str, name: &str) -> Request {
        let mut object = self.object(version, name);
        if self.one_in(16) && self.kind.plural() != "namespaces" {
            object["metadata"]["name"] = Value::Null;
            object["metadata"]["generateName"] = json!(format!("generated-h{}-", self.seed));
        }
        let parameters = self.parameters().join("&");
        Request::post(&format!("{}?{parameters}", self.collection(version)), &object)
    }

    fn apply(&mut self, version: &str, name: &str) -> Request {
        let mut object = self.object(version, name);
        if self.one_in(2) {
            self.thin_out(&mut object);
        }
        let mut parameters = self.parameters();
        parameters.retain(|it| !it.starts_with("fieldManager"));
        if !self.one_in(12) {
            parameters.push(format!("fieldManager={}", self.pick(&["m1", "m2", "m3"])));
        }
        if self.one_in(3) {
            parameters.push("force=true".to_owned());
        }
        let target = format!("{}/{name}?{}", self.collection(version), parameters.join("&"));
        Request::patch(&target, APPLY, &object)
    }

    /// Leaves some fields to others.
    fn thin_out(&mut self, object: &mut Value) {
        let spec = object.get_mut("spec").and_then(Value::as_object_mut);
        let Some(spec) = spec else { return };
        let fields: Vec<String> = spec.keys().cloned().collect();
        for field in fields {
            if self.rng.bool() {
                spec.remove(&field);
            }
        }
    }

    fn patch(&mut self, version: &str, name: &str) -> Request {
        let (content_type, patch) = match self.rng.usize(..6) {
            0..=2 => (MERGE, self.merge_patch(name)),
            3 => (JSON_PATCH, self.json_patch(name)),
            _ => (STRATEGIC, self.strategic_patch(name)),
        };
        let parameters = self.parameters().join("&");
        let target = format!("{}/{name}?{parameters}", self.collection(version));
        Request::patch(&target, content_type, &patch)
    }

    fn merge_patch(&mut self, name: &str) -> Value {
        if !self.one_in(3)
            && let Some(patch) = self.pick_value(&self.kind.patches)
        {
            return named(&patch, name);
        }
        match self.rng.usize(..9) {
            0 => json!({"metadata": {"labels": {"tier": "back"}}}),
            1 => json!({"metadata": {"labels": {"tier": null}}}),
            2 => json!({"metadata": {"finalizers": ["example.com/hold"]}}),
            3 => json!({"metadata": {"finalizers": null}}),
            4 => json!({"metadata": {"name": "renamed"}}),
            5 => json!({"metadata": {"resourceVersion": "1"}}),
            6 => json!({"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}}),
            7 => json!({"metadata": {"annotations": {"note": "patched"}}, "unheard": 1}),
            _ => json!({}),
        }
    }

    fn json_patch(&mut self, name: &str) -> Value {
        match self.rng.usize(..7) {
            0 => json!([{"op": "add", "path": "/metadata/labels/tier", "value": "json"}]),
            1 => json!([{"op": "test", "path": "/metadata/name", "value": name},
                        {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]),
            2 => json!([{"op": "test", "path": "/metadata/name", "value": "other"}]),
            3 => json!([{"op": "remove", "path": "/metadata/labels/none"}]),
            4 => json!([{"op": "replace", "path": "/metadata/labels/history", "value": 5}]),
            5 => json!([{"op": "invent", "path": "/metadata"}]),
            _ => json!({"not": "a list"}),
        }
    }

    fn strategic_patch(&mut self, name: &str) -> Value {
        match self.pick_value(&self.kind.strategic) {
            Some(patch) if !self.one_in(4) => named(&patch, name),
            _ => match self.rng.usize(..4) {
                0 => json!({"metadata": {"finalizers": ["example.com/hold"]}}),
                1 => json!({"metadata": {"$deleteFromPrimitiveList/finalizers":
                                         ["example.com/hold"]}}),
                2 => json!({"metadata": {"labels": {"$patch": "replace", "only": "this",
                                                    "history": self.label()}}}),
                _ => json!({"metadata": {"labels": {"tier": "strategic"}}}),
            },
        }
    }

    fn replace(&mut self, version: &str, name: &str) -> Request {
        let mut object = self.object(version, name);
        let path = format!("{}/{name}", self.collection(version));
        match self.rng.usize(..6) {
            0..=3 => {
                let known = self.collection(&self.kind.api_version);
                object["metadata"]["resourceVersion"] = json!(format!("{{{{rv {known}/{name}}}}}"));
            }
            4 => object["metadata"]["resourceVersion"] = json!("1"),
            _ => {}
        }
        Request::put(&format!("{path}?{}", self.parameters().join("&")), &object)
    }

    fn write_status(&mut self, version: &str, name: &str) -> Request {
        let path = format!("{}/{name}/status", self.collection(version));
        let status = json!({"status": {"replicas": 3, "phase": "Odd", "observedGeneration": 1,
            "conditions": [{"type": "Tested", "status": "True", "reason": "Done",
                            "message": "it was", "lastUpdateTime": "2026-01-01T00:00:00Z",
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            "metadata": {"labels": {"status": "label"}}});
        match self.rng.usize(..3) {
            0 => Request::get(&path),
            1 => Request::patch(&path, MERGE, &status),
            _ => {
                let mut object = self.object(version, name);
                object["status"] = status["status"].clone();
                let target = format!("{path}?fieldManager=keeper&force=true");
                Request::patch(&target, APPLY, &object)
            }
        }
    }

    fn scale(&mut self, version: &str, name: &str) -> Request {
        let path = format!("{}/{name}/scale", self.collection(version));
        let scale = |replicas: Value| {
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name},
                   "spec": {"replicas": replicas}})
        };
        match self.rng.usize(..5) {
            0 => Request::get(&path),
            1 => Request::put(&path, &scale(json!(4))),
            2 => Request::put(&path, &scale(json!(-4))),
            3 => Request::patch(&path, MERGE, &json!({"spec": {"replicas": 6}})),
            _ => Request::patch(
                &format!("{path}?fieldManager=m1&force=true"),
                APPLY,
                &scale(json!(8)),
            ),
        }
    }

    fn delete(&mut self, version: &str, name: &str) -> Request {
        let collection = self.collection(version);
        if self.one_in(5) && self.kind.plural() != "namespaces" {
            let mut request = self.list_of_own();
            request.method = Method::DELETE;
            return request;
        }
        let known = self.collection(&self.kind.api_version);
        let options = match self.rng.usize(..9) {
            0 => json!({"preconditions": {"uid": format!("{{{{uid {known}/{name}}}}}")}}),
            1 => json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}),
            2 => json!({"preconditions": {"resourceVersion": "1"}}),
            3 => json!({"propagationPolicy": "Foreground"}),
            4 => json!({"propagationPolicy": "Orphan"}),
            5 => json!({"propagationPolicy": "Sideways"}),
            6 => json!({"orphanDependents": true, "propagationPolicy": "Background"}),
            7 => json!({"dryRun": ["All"]}),
            _ => Value::Null,
        };
        let query = self.pick(&["", "", "?propagationPolicy=Background", "?gracePeriodSeconds=0"]);
        let mut request = Request::delete(&format!("{collection}/{name}{query}"));
        if !options.is_null() {
            request.body = options.to_string().into();
        }
        request
    }

    fn read(&mut self, version: &str, name: &str) -> Request {
        let collection = self.collection(version);
        let mut request = match self.rng.usize(..4) {
            0..=2 => Request::get(&format!("{collection}/{name}")),
            _ => Request::get(&format!("{collection}/{name}?resourceVersion=0")),
        };
        request.accept = self.pick(&["application/json", "*/*", TABLE, METADATA]).to_owned();
        request
    }

    fn list(&mut self, version: &str) -> Request {
        let collection = self.collection(version);
        let own = format!("labelSelector=history%3D{}", self.label());
        let name = self.name();
        let query = match self.rng.usize(..14) {
            0 => own,
            1 => format!("{own}&limit=1"),
            2 => format!("{own}&limit=1&continue={{{{continue}}}}"),
            3 => format!("{own}%2Ctier"),
            4 => format!("{own}%2Ctier+notin+%28front%2Cback%29"),
            5 => format!("{own}&fieldSelector=metadata.name%3D{name}"),
            6 => format!("{own}&fieldSelector=metadata.name%21%3D{name}"),
            7 => "fieldSelector=spec.nothing%3Dx".to_owned(),
            8 => "labelSelector=a+b+c".to_owned(),
            9 => "labelSelector=a+in+%28".to_owned(),
            10 => "limit=-1&continue=nonsense".to_owned(),
            11 => format!("{own}&resourceVersion=0&resourceVersionMatch=NotOlderThan"),
            12 => format!("{own}&resourceVersionMatch=Exact"),
            _ => format!("{own}&resourceVersion={{{{start}}}}&resourceVersionMatch=Exact"),
        };
        let mut request = Request::get(&format!("{collection}?{query}"));
        request.accept = self.pick(&["application/json", TABLE, METADATA_LIST]).to_owned();
        request
    }

    /// Requests that are wrong before anybody looks at an object.
    fn odd(&mut self, version: &str, name: &str) -> Request {
        let collection = self.collection(version);
        let object = self.body(&self.kind.bodies[0], name, version);
        match self.rng.usize(..11) {
            0 => {
                let mut request = Request::post(&collection, &object);
                request.body = "{\"apiVersion\": ".into();
                request
            }
            1 => {
                let mut request = Request::post(&collection, &object);
                request.content_type = "text/plain".to_owned();
                request
            }
            2 => {
                let mut request = Request::post(&collection, &object);
                request.content_type = "application/yaml".to_owned();
                request
            }
            3 => Request::patch(&format!("{collection}/{name}"), "application/json", &object),
            4 => Request::patch(&format!("{collection}/{name}"), MERGE, &json!([1])),
            5 => Request::put(&collection, &object),
            6 => Request::post(&format!("{collection}/{name}"), &object),
            7 => Request::get(&format!("{collection}/{name}/nothing")),
            8 => Request::get(&collection.replace(self.kind.plural(), "nothings")),
            9 => {
                let mut request = Request::get(&format!("{collection}/{name}"));
                request.accept = "text/html".to_owned();
                request
            }
            _ => Request::post(&collection, &json!([])),
        }
    }
}
