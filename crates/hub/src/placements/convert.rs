//! From the public API to the domain's own types.

use api::placement::PlacementSpec as ApiSpec;
use api::policy::{
    PlacementPolicy, PlacementType, Toleration as ApiToleration, TolerationOperator,
};
use api::selector::{
    ClusterSelectorTerm, ResourceSelector as ApiSelector, SelectionScope as ApiScope,
};
use api::strategy::{
    ApplyType, DeletePropagation, RolloutStrategy, RolloutType, WhenToApply, WhenToTakeOver,
};
use events::cluster::ApplyStrategy;
use events::placement::{
    LabelOperator, LabelRequirement, LabelSelector, PlacementSpec, Policy, RefusalReason,
    ResourceSelector, SelectionScope, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as ApiLabelSelector;

/// Something that a placement asks for and that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unsupported {
    /// The condition reason to show.
    pub reason: RefusalReason,
    /// What it is, and what to change.
    pub message: String,
}

/// What a placement asks for.
///
/// # Errors
/// When it asks for something that this version does not do: it is shown, never ignored.
pub fn placement_spec(spec: &ApiSpec) -> Result<PlacementSpec, Unsupported> {
    Ok(PlacementSpec {
        selectors: spec
            .resource_selectors
            .iter()
            .map(resource_selector)
            .collect::<Result<_, _>>()?,
        policy: policy(&spec.policy())?,
        apply: apply_strategy(&spec.strategy())?,
    })
}

fn resource_selector(selector: &ApiSelector) -> Result<ResourceSelector, Unsupported> {
    let labels = selector.label_selector.as_ref().map(|labels| {
        label_selector(labels).map_err(|message| Unsupported {
            reason: RefusalReason::InvalidResourceSelectors,
            message,
        })
    });
    Ok(ResourceSelector {
        group: selector.group.clone(),
        version: selector.version.clone(),
        kind: selector.kind.clone(),
        name: selector.name.clone().unwrap_or_default(),
        labels: labels.transpose()?,
        scope: match selector.selection_scope {
            ApiScope::NamespaceOnly => SelectionScope::NamespaceOnly,
            ApiScope::NamespaceWithResources => SelectionScope::NamespaceWithResources,
            ApiScope::NamespaceWithResourceSelectors => {
                SelectionScope::NamespaceWithResourceSelectors
            }
        },
    })
}

fn policy(policy: &PlacementPolicy) -> Result<Policy, Unsupported> {
    match policy.placement_type {
        PlacementType::PickFixed => {
            Ok(Policy::PickFixed { clusters: policy.cluster_names.clone() })
        }
        PlacementType::PickN => Err(not_followed(
            "placementType PickN is not supported by this version; use PickAll or PickFixed",
        )),
        PlacementType::PickAll => {
            let affinity = policy.affinity.as_ref().and_then(|a| a.cluster_affinity.as_ref());
            let required = affinity
                .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
            let terms = required.map(|r| r.cluster_selector_terms.as_slice()).unwrap_or_default();
            Ok(Policy::PickAll {
                terms: terms.iter().map(cluster_term).collect::<Result<_, _>>()?,
                tolerations: policy.tolerations.iter().map(toleration).collect(),
            })
        }
    }
}

fn not_followed(message: &str) -> Unsupported {
    Unsupported { reason: RefusalReason::SchedulingPolicyUnfulfilled, message: message.to_owned() }
}

fn cluster_term(term: &ClusterSelectorTerm) -> Result<LabelSelector, Unsupported> {
    if term.property_selector.is_some() || term.property_sorter.is_some() {
        return Err(not_followed(
            "property selectors are not supported by this version; select clusters by labels",
        ));
    }
    match &term.label_selector {
        None => Ok(LabelSelector::default()),
        Some(labels) => label_selector(labels).map_err(|message| not_followed(&message)),
    }
}

fn toleration(toleration: &ApiToleration) -> Toleration {
    Toleration {
        key: toleration.key.clone(),
        value: match toleration.operator {
            TolerationOperator::Equal => Some(toleration.value.clone()),
            TolerationOperator::Exists => None,
        },
    }
}

fn label_selector(selector: &ApiLabelSelector) -> Result<LabelSelector, String> {
    let expressions = selector.match_expressions.iter().flatten();
    let requirement =
        |requirement: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement| {
            Ok(LabelRequirement {
                key: requirement.key.clone(),
                operator: match requirement.operator.as_str() {
                    "In" => LabelOperator::In,
                    "NotIn" => LabelOperator::NotIn,
                    "Exists" => LabelOperator::Exists,
                    "DoesNotExist" => LabelOperator::DoesNotExist,
                    other => {
                        return Err(format!(
                            "the label selector operator {other:?} is unknown; use In, NotIn, Exists \
                         or DoesNotExist"
                        ));
                    }
                },
                values: requirement.values.clone().unwrap_or_default(),
            })
        };
    Ok(LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions.map(requirement).collect::<Result<_, String>>()?,
    })
}

/// What the strategy asks for beyond what this version does is said, not ignored: somebody who
/// wants differences reported must not find them overwritten.
fn apply_strategy(strategy: &RolloutStrategy) -> Result<ApplyStrategy, Unsupported> {
    let apply = strategy.apply_strategy();
    let refused = match (strategy.rollout_type, apply.apply_type) {
        (RolloutType::External, _) => Some("strategy type External"),
        (_, ApplyType::ReportDiff) => Some("applyStrategy type ReportDiff"),
        _ if apply.when_to_apply == WhenToApply::IfNotDrifted => Some("whenToApply IfNotDrifted"),
        _ if apply.when_to_take_over != WhenToTakeOver::Always => {
            Some("whenToTakeOver other than Always")
        }
        _ if strategy.propagation_policy() == DeletePropagation::Abandon => {
            Some("deleteStrategy propagationPolicy Abandon")
        }
        (RolloutType::RollingUpdate, ApplyType::ClientSideApply | ApplyType::ServerSideApply) => {
            None
        }
    };
    if let Some(what) = refused {
        return Err(not_followed(&format!(
            "{what} is not supported by this version; leave it out of the strategy"
        )));
    }
    // A client-side apply writes over what others wrote, and so does its stand-in here.
    let force = match apply.apply_type {
        ApplyType::ClientSideApply => true,
        ApplyType::ServerSideApply | ApplyType::ReportDiff => {
            apply.server_side_apply_config.is_some_and(|config| config.force)
        }
    };
    Ok(ApplyStrategy { force, allow_co_ownership: apply.allow_co_ownership })
}

#[cfg(test)]
mod tests {
    use events::cluster::ApplyStrategy;
    use serde_json::{Value, json};

    use super::*;

    /// What becomes of a specification with a policy and a strategy.
    fn convert(policy: Value, strategy: Value) -> Result<PlacementSpec, Unsupported> {
        let selector = json!({ "group": "", "version": "v1", "kind": "Namespace", "name": "shop" });
        let spec = json!({
            "resourceSelectors": [selector], "policy": policy, "strategy": strategy,
        });
        placement_spec(&serde_json::from_value(spec).unwrap())
    }

    fn convert_selector(more: Value) -> Result<ResourceSelector, Unsupported> {
        let mut selector = json!({ "group": "", "version": "v1", "kind": "Namespace" });
        for (key, value) in more.as_object().unwrap() {
            selector[key] = value.clone();
        }
        let spec = json!({ "resourceSelectors": [selector] });
        placement_spec(&serde_json::from_value(spec).unwrap()).map(|mut it| it.selectors.remove(0))
    }

    fn term(requirement: Value) -> Value {
        json!({ "affinity": { "clusterAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "clusterSelectorTerms": [{ "labelSelector": { "matchExpressions": [requirement] } }]
        } } } })
    }

    #[test]
    fn selectors_are_read_whole() {
        let whole = convert_selector(json!({ "name": "shop" })).unwrap();
        assert_eq!((whole.name.as_str(), whole.labels), ("shop", None));
        assert_eq!(whole.scope, SelectionScope::NamespaceWithResources);
        let scopes = [
            ("NamespaceOnly", SelectionScope::NamespaceOnly),
            ("NamespaceWithResources", SelectionScope::NamespaceWithResources),
            ("NamespaceWithResourceSelectors", SelectionScope::NamespaceWithResourceSelectors),
        ];
        for (text, scope) in scopes {
            assert_eq!(convert_selector(json!({ "selectionScope": text })).unwrap().scope, scope);
        }
        let labels = json!({ "labelSelector": { "matchLabels": { "app": "shop" },
            "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["web"] }] } });
        let labels = convert_selector(labels).unwrap().labels.unwrap();
        assert_eq!(labels.match_labels["app"], "shop");
        let [requirement] = &labels.match_expressions[..] else { panic!("one requirement") };
        assert_eq!((requirement.key.as_str(), requirement.operator), ("tier", LabelOperator::In));
        assert_eq!(requirement.values, ["web"]);

        let near = json!({ "matchExpressions": [{ "key": "tier", "operator": "Near" }] });
        let unsupported = convert_selector(json!({ "labelSelector": near })).unwrap_err();
        assert_eq!(unsupported.reason, RefusalReason::InvalidResourceSelectors);
        assert!(unsupported.message.contains("\"Near\" is unknown; use In"), "{unsupported}");
    }

    #[test]
    fn policies_are_read_and_none_means_everywhere() {
        let everywhere = Policy::PickAll { terms: vec![], tolerations: vec![] };
        let fixed = json!({ "placementType": "PickFixed", "clusterNames": ["eu-1"] });
        let tolerations = json!({ "placementType": "PickAll", "tolerations": [
            { "key": "gpu", "operator": "Equal", "value": "big" }, { "operator": "Exists" },
        ] });
        let toleration = |key: &str, value: Option<&str>| Toleration {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let cases = [
            (Value::Null, everywhere.clone()),
            (json!({ "placementType": "PickAll" }), everywhere),
            (fixed, Policy::PickFixed { clusters: vec!["eu-1".to_owned()] }),
            (
                tolerations,
                Policy::PickAll {
                    terms: vec![],
                    tolerations: vec![toleration("gpu", Some("big")), toleration("", None)],
                },
            ),
        ];
        for (policy, wanted) in cases {
            assert_eq!(convert(policy.clone(), Value::Null).unwrap().policy, wanted, "{policy}");
        }
        for operator in ["In", "NotIn", "Exists", "DoesNotExist"] {
            let policy = term(json!({ "key": "region", "operator": operator }));
            let Policy::PickAll { terms, .. } = convert(policy, Value::Null).unwrap().policy else {
                panic!("PickAll")
            };
            assert_eq!(format!("{:?}", terms[0].match_expressions[0].operator), operator);
        }
    }

    #[test]
    fn strategies_say_how_to_apply() {
        let apply = |value: Value| json!({ "applyStrategy": value });
        let server_side = |force: bool| {
            apply(json!({ "type": "ServerSideApply", "serverSideApplyConfig": { "force": force } }))
        };
        let cases = [
            (Value::Null, true, false),
            (apply(json!({ "type": "ClientSideApply", "allowCoOwnership": true })), true, true),
            (apply(json!({ "type": "ServerSideApply" })), false, false),
            (server_side(true), true, false),
            (server_side(false), false, false),
        ];
        for (strategy, force, allow_co_ownership) in cases {
            let wanted = ApplyStrategy { force, allow_co_ownership };
            assert_eq!(convert(Value::Null, strategy.clone()).unwrap().apply, wanted, "{strategy}");
        }
    }

    #[test]
    fn what_this_version_does_not_do_is_refused_and_never_ignored() {
        let apply = |value: Value| (Value::Null, json!({ "applyStrategy": value }));
        let policy = |value: Value| (value, Value::Null);
        let property = json!({ "affinity": { "clusterAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "clusterSelectorTerms": [
                { "propertySelector": { "matchExpressions": [] } }
            ] } } } });
        let cases = [
            (policy(json!({ "placementType": "PickN", "numberOfClusters": 1 })), "PickN"),
            (policy(property), "property selectors"),
            (policy(term(json!({ "key": "region", "operator": "Near" }))), "\"Near\" is unknown"),
            ((Value::Null, json!({ "type": "External" })), "strategy type External"),
            (apply(json!({ "type": "ReportDiff" })), "ReportDiff"),
            (apply(json!({ "whenToApply": "IfNotDrifted" })), "IfNotDrifted"),
            (apply(json!({ "whenToTakeOver": "Never" })), "whenToTakeOver other than Always"),
            (
                (Value::Null, json!({ "deleteStrategy": { "propagationPolicy": "Abandon" } })),
                "propagationPolicy Abandon",
            ),
        ];
        for ((policy, strategy), what) in cases {
            let unsupported = convert(policy, strategy).unwrap_err();
            assert_eq!(unsupported.reason, RefusalReason::SchedulingPolicyUnfulfilled, "{what}");
            assert!(unsupported.message.contains(what), "{unsupported}");
        }
    }
}
