//! What the servers choose freely gets the same names on both sides: the n-th uid, the n-th
//! resource version of an object, the n-th address. And back: requests name what a server said
//! before by references, `{{rv PATH}}`, `{{uid PATH}}`, `{{continue}}` and `{{start}}`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use serde_json::Value;
use simulator::Request;

use super::servers::Answer;

/// Stands for what the server never told.
const UNKNOWN: &str = "424242";

struct Patterns {
    uid: Regex,
    time: Regex,
    address: Regex,
    node_port: Regex,
    revision_in_message: Regex,
    generated: Regex,
    reference: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let regex = |text: &str| Regex::new(text).unwrap();
    Patterns {
        uid: regex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        time: regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
        address: regex(r"\b10\.96\.\d+\.\d+\b"),
        node_port: regex(r"\b3[0-2]\d{3}\b"),
        revision_in_message: regex(
            r"(ResourceVersion in (?:precondition|record)|resource version: \d+, current:) \(?\d+\)?",
        ),
        generated: regex(r"\b(generated-h\d+-)([a-z0-9]{5})\b"),
        reference: regex(r"\{\{([^}]*)\}\}"),
    }
});

/// What one server said during one history.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The last uid and resource version by path of the object.
    objects: BTreeMap<String, (String, String)>,
    continuation: String,
    start: String,
    names: BTreeMap<String, String>,
    /// Resource versions by object, in the order in which they were seen.
    revisions: BTreeMap<String, Vec<String>>,
}

impl Memory {
    /// The request with what this server said in place of references.
    pub(crate) fn resolve(&self, request: &Request) -> Request {
        let body = std::str::from_utf8(&request.body).expect("requests are text");
        let mut resolved = request.clone();
        resolved.path = self.resolve_text(&request.path);
        resolved.query = self.resolve_text(&request.query);
        resolved.body = self.resolve_text(body).into();
        resolved
    }

    fn resolve_text(&self, text: &str) -> String {
        let known = |found: &Captures<'_>| {
            let (what, path) = found[1].split_once(' ').unwrap_or((&found[1], ""));
            let object = self.objects.get(path);
            let value = match what {
                "uid" => object.map(|it| it.0.clone()),
                "rv" => object.map(|it| it.1.clone()),
                "continue" => Some(self.continuation.clone()),
                "start" => Some(self.start.clone()),
                other => panic!("no reference is called {other}"),
            };
            value.unwrap_or_else(|| UNKNOWN.to_owned())
        };
        PATTERNS.reference.replace_all(text, known).into_owned()
    }

    /// Takes note of what later requests refer to.
    pub(crate) fn note(&mut self, request: &Request, answer: &Answer) {
        let metadata = &answer.body["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        if let Some(token) = metadata["continue"].as_str() {
            self.continuation = token.to_owned();
        }
        if self.start.is_empty() && answer.body["items"].is_array() {
            self.start = text("resourceVersion");
        }
        let uid = text("uid");
        if !uid.is_empty() {
            let parent = match request.method {
                http::Method::POST => format!("{}/{}", request.path, text("name")),
                _ => request.path.clone(),
            };
            let path = parent.trim_end_matches("/status").trim_end_matches("/scale");
            self.objects.insert(path.to_owned(), (uid, text("resourceVersion")));
        }
    }

    /// The document with free choices replaced by names.
    pub(crate) fn rename(&mut self, mut document: Value) -> Value {
        self.rename_revisions(&mut document);
        self.rename_values(&mut document, "");
        document
    }

    fn rename_revisions(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
                    && let Some(revision) = metadata.get("resourceVersion").and_then(Value::as_str)
                {
                    let name = match metadata.get("uid").and_then(Value::as_str) {
                        Some(uid) => self.revision_name(uid.to_owned(), revision.to_owned()),
                        None => "<revision>".to_owned(),
                    };
                    metadata.insert("resourceVersion".to_owned(), name.into());
                }
                object.values_mut().for_each(|it| self.rename_revisions(it));
            }
            Value::Array(list) => list.iter_mut().for_each(|it| self.rename_revisions(it)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn revision_name(&mut self, uid: String, revision: String) -> String {
        let known = self.revisions.entry(uid).or_default();
        let at = known.iter().position(|it| *it == revision).unwrap_or_else(|| {
            known.push(revision);
            known.len() - 1
        });
        format!("<revision {at}>")
    }

    fn rename_values(&mut self, value: &mut Value, field: &str) {
        match value {
            Value::Object(object) => {
                for (name, child) in object.iter_mut() {
                    self.rename_values(child, name);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|it| self.rename_values(it, field)),
            Value::String(text) if field == "continue" && !text.is_empty() => {
                *text = "<continue>".to_owned();
            }
            Value::String(text) => *text = self.rename_text(text),
            Value::Number(number) if field == "nodePort" || field == "healthCheckNodePort" => {
                *value = Value::String(self.rename_text(&number.to_string()));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn rename_text(&mut self, text: &str) -> String {
        let patterns = &*PATTERNS;
        let mut renamed = patterns.time.replace_all(text, "<time>").into_owned();
        renamed = patterns.revision_in_message.replace_all(&renamed, "$1 <revision>").into_owned();
        for (kind, pattern) in [
            ("uid", &patterns.uid),
            ("address", &patterns.address),
            ("port", &patterns.node_port),
            ("generated", &patterns.generated),
        ] {
            let name = |found: &Captures<'_>| self.name(kind, &found[0]);
            renamed = pattern.replace_all(&renamed, name).into_owned();
        }
        renamed
    }

    fn name(&mut self, kind: &str, value: &str) -> String {
        let prefix = format!("<{kind} ");
        let next = self.names.values().filter(|it| it.starts_with(&prefix)).count();
        let name = self.names.entry(value.to_owned());
        name.or_insert_with(|| format!("{prefix}{next}>")).clone()
    }
}
