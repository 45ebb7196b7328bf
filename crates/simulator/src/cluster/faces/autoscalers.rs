//! HorizontalPodAutoscalers are kept as autoscaling/v2. In v1 the use of CPU is a field, and other
//! metrics are an annotation.

use serde_json::{Value, json};

use crate::object::{Meta, as_object_mut, child_object};
use crate::registry::Resource;

/// Where v1 keeps metrics that it has no field for.
const OTHER_METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// The field of v1.
const CPU: &str = "targetCPUUtilizationPercentage";

/// A path to the same number in v2, below a metric.
const UTILIZATION: &str = "/resource/target/averageUtilization";

pub(super) fn is_second_face(resource: &Resource) -> bool {
    resource.is("autoscaling", "horizontalpodautoscalers") && resource.version == "v1"
}

pub(super) fn to_second_face(mut object: Value) -> Value {
    let spec = child_object(&mut object, "spec");
    let metrics = match spec.remove("metrics") {
        Some(Value::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    let is_cpu = |it: &Value| it["resource"]["name"] == "cpu" && it.pointer(UTILIZATION).is_some();
    let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu);
    if let Some(target) = cpu.first().and_then(|it| it.pointer(UTILIZATION)) {
        spec.insert(CPU.to_owned(), target.clone());
    }
    if !others.is_empty() {
        let annotations = object.meta_mut().entry("annotations").or_insert(json!({}));
        let text = Value::Array(others).to_string();
        as_object_mut(annotations).insert(OTHER_METRICS.to_owned(), json!(text));
    }
    object
}

pub(super) fn to_stored(mut object: Value) -> Value {
    let annotations = object.meta_mut().get_mut("annotations").and_then(Value::as_object_mut);
    let others = annotations.and_then(|it| it.remove(OTHER_METRICS));
    let others = others.and_then(|it| serde_json::from_str(it.as_str()?).ok());
    let mut metrics: Vec<Value> = others.unwrap_or_default();
    let spec = child_object(&mut object, "spec");
    if let Some(target) = spec.remove(CPU) {
        metrics.push(json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": target}}}));
    }
    if !metrics.is_empty() {
        spec.insert("metrics".to_owned(), Value::Array(metrics));
    }
    object
}
