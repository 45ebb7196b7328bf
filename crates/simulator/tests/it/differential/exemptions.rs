//! Where the simulator may answer otherwise, each with its reason.

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::Request;

struct Exemption {
    #[expect(dead_code, reason = "for readers")]
    reason: &'static str,
    /// Takes what may differ out of both answers.
    forgive: fn(&Request, &mut Value, &mut Value),
}

const EXEMPTIONS: &[Exemption] = &[
    Exemption {
        reason: "whether an empty list is [] or null depends on where a server read it",
        forgive: |_, real, simulated| {
            for answer in [real, simulated] {
                for list in ["items", "rows"] {
                    if answer["body"].get(list) == Some(&Value::Null) {
                        answer["body"][list] = json!([]);
                    }
                }
            }
        },
    },
    Exemption {
        reason: "columns of tables are for people: the simulator has those that people look at",
        forgive: |_, real, simulated| {
            for answer in [real, simulated] {
                if answer["body"]["kind"] == "Table" {
                    answer["body"]["columnDefinitions"] = Value::Null;
                    for row in answer["body"]["rows"].as_array_mut().into_iter().flatten() {
                        row["cells"] = json!([row["cells"][0]]);
                    }
                }
            }
        },
    },
    Exemption {
        reason: "a real server names a violation once for each place in its code that finds it, \
                 and those of maps in no order",
        forgive: |_, real, simulated| {
            for answer in [real, simulated] {
                let causes = answer.pointer_mut("/body/details/causes");
                if let Some(causes) = causes.and_then(Value::as_array_mut) {
                    causes.sort_by_key(Value::to_string);
                    causes.dedup();
                }
            }
        },
    },
    Exemption {
        reason: "entries of managed fields are in the order of the clock, which stands still in one",
        forgive: |_, real, simulated| {
            sort_managers(real);
            sort_managers(simulated);
        },
    },
    Exemption {
        reason: "the count of templates of a DaemonSet is a field inside a real server: the form \
                 with metadata alone lacks the annotation",
        forgive: |request, real, simulated| {
            if request.path.contains("daemonsets") && request.accept.contains("as=") {
                forget_template_count(real);
                forget_template_count(simulated);
            }
        },
    },
    Exemption {
        reason: "what autoscaling/v1 writes is tracked under the fields of autoscaling/v2",
        forgive: |request, real, simulated| {
            if request.path.contains("horizontalpodautoscalers") {
                forget_managers(real);
                forget_managers(simulated);
            }
        },
    },
    Exemption {
        reason: "an empty continuation is none: lists of custom objects say so, others do not",
        forgive: |_, real, simulated| {
            for answer in [real, simulated] {
                let metadata = answer.pointer_mut("/body/metadata");
                if let Some(metadata) = metadata.and_then(Value::as_object_mut)
                    && metadata.get("continue") == Some(&json!(""))
                {
                    metadata.remove("continue");
                }
            }
        },
    },
    Exemption {
        reason: "warnings about the use of fields are for people: the simulator gives those of \
                 field validation and of deprecated kinds",
        forgive: |_, real, _| {
            if let Some(warnings) = real.get_mut("warnings").and_then(Value::as_array_mut) {
                warnings.retain(|it| it.as_str().is_some_and(is_given));
            }
        },
    },
    Exemption {
        reason: "the simulator does not know all rules of built-in kinds: what it names must be \
                 among what a real server names",
        forgive: |_, real, simulated| {
            let causes = |answer: &Value| -> Option<Vec<Value>> {
                let causes = answer.pointer("/body/details/causes")?.as_array()?.iter();
                Some(causes.map(|it| json!([it["field"], it["reason"]])).collect())
            };
            let named = |all: &[Value], some: &[Value]| some.iter().all(|it| all.contains(it));
            if let (Some(all), Some(some)) = (causes(real), causes(simulated))
                && !some.is_empty()
                && named(&all, &some)
            {
                for answer in [real, simulated] {
                    answer["body"]["details"]["causes"] = Value::Null;
                }
            }
        },
    },
    Exemption {
        reason: "the wording of these refusals quotes types, structs and files of Go: code, \
                 reason, object, fields and their reasons count",
        forgive: |_, real, simulated| {
            const CODES: &[u64] = &[400, 406, 415, 422, 500];
            let code = real["status"].as_u64().unwrap_or(0);
            if real["status"] == simulated["status"] && CODES.contains(&code) {
                for answer in [real, simulated] {
                    answer["body"]["message"] = Value::Null;
                }
            }
        },
    },
];

fn forget_template_count(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(annotations)) = object.get_mut("annotations") {
                annotations.remove("deprecated.daemonset.template.generation");
                if annotations.is_empty() {
                    object.remove("annotations");
                }
            }
            object.values_mut().for_each(forget_template_count);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_template_count),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn sort_managers(value: &mut Value) {
    for_all_managers(value, &|managers| {
        managers.sort_by_key(|it| {
            ["operation", "manager", "apiVersion", "subresource"].map(|key| it[key].to_string())
        });
    });
}

fn forget_managers(value: &mut Value) {
    for_all_managers(value, &|managers| managers.clear());
}

fn for_all_managers(value: &mut Value, change: &impl Fn(&mut Vec<Value>)) {
    match value {
        Value::Object(object) => {
            if let Some(managers) = object.get_mut("managedFields").and_then(Value::as_array_mut) {
                change(managers);
            }
            object.values_mut().for_each(|it| for_all_managers(it, change));
        }
        Value::Array(list) => list.iter_mut().for_each(|it| for_all_managers(it, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether the simulator gives warnings like this.
fn is_given(warning: &str) -> bool {
    ["unknown field", "duplicate field", "v1 "].iter().any(|it| warning.starts_with(it))
}

/// Differences of some kinds that are left, from their data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    #[expect(dead_code, reason = "for readers")]
    reason: String,
    /// Regular expressions, on the place and on whole texts; what is not given matches everything.
    #[serde(default)]
    request: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    real: String,
    #[serde(default)]
    simulated: String,
}

impl Known {
    /// Whether this explains a difference at the place.
    pub(crate) fn matches(&self, request: &str, at: &str, real: &str, simulated: &str) -> bool {
        let fits = |pattern: &str, text: &str| {
            let pattern = Regex::new(pattern).expect("known.yaml has regular expressions");
            pattern.is_match(text)
        };
        fits(&self.request, request)
            && fits(&self.at, at)
            && fits(&self.real, real)
            && fits(&self.simulated, simulated)
    }
}

/// Read when the test runs: to try an entry needs no build.
pub(crate) fn known() -> Vec<Known> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/differential/known.yaml");
    let text = std::fs::read_to_string(path).expect("known.yaml can be read");
    serde_yaml_ng::from_str(&text).expect("known.yaml is well formed")
}

/// The answers without what may differ.
pub(crate) fn without_exempt(request: &Request, real: &Value, simulated: &Value) -> (Value, Value) {
    let (mut real, mut simulated) = (real.clone(), simulated.clone());
    for exemption in EXEMPTIONS {
        if real == simulated {
            break;
        }
        (exemption.forgive)(request, &mut real, &mut simulated);
    }
    (real, simulated)
}
