//! Selecting clusters by labels and properties, and objects by kind, name and labels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// One way for a cluster to match; its parts must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSelectorTerm {
    /// The labels that the cluster must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// The properties that the cluster must publish, with the values that they must have. Not
    /// for preferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_selector: Option<PropertySelector>,
    /// Ranks clusters by a property. Only for preferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_sorter: Option<PropertySorter>,
}

/// Picks the clusters that match one of the terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSelector {
    /// The terms, any of which is enough. An empty list matches every cluster.
    #[schemars(length(max = 10))]
    pub cluster_selector_terms: Vec<ClusterSelectorTerm>,
}

/// Requirements on the properties of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropertySelector {
    /// The requirements, all of which must hold.
    pub match_expressions: Vec<PropertyRequirement>,
}

/// Compares one property of a cluster with a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropertyRequirement {
    /// The name of the property, for example `kubernetes-fleet.io/node-count`. A cluster that
    /// does not publish it does not match.
    pub name: String,
    /// How to compare: `Gt`, `Ge`, `Lt`, `Le`, `Eq` or `Ne`.
    pub operator: String,
    /// The single quantity to compare with.
    #[schemars(length(max = 1))]
    pub values: Vec<String>,
}

/// How the value of a property is compared. The schema leaves the operator open, as KubeFleet
/// does, so parsing it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PropertyOperator {
    /// Greater than the given value.
    Gt,
    /// At least the given value.
    Ge,
    /// Less than the given value.
    Lt,
    /// At most the given value.
    Le,
    /// Equal to the given value.
    Eq,
    /// Different from the given value.
    Ne,
}

/// A property requirement names an operator that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown property operator {operator:?}; use Gt, Ge, Lt, Le, Eq or Ne")]
pub struct UnknownOperator {
    /// What was written instead.
    pub operator: String,
}

impl PropertyRequirement {
    /// The operator as one of those that exist.
    ///
    /// # Errors
    ///
    /// When the operator is none of the six.
    pub fn operator(&self) -> Result<PropertyOperator, UnknownOperator> {
        Ok(match self.operator.as_str() {
            "Gt" => PropertyOperator::Gt,
            "Ge" => PropertyOperator::Ge,
            "Lt" => PropertyOperator::Lt,
            "Le" => PropertyOperator::Le,
            "Eq" => PropertyOperator::Eq,
            "Ne" => PropertyOperator::Ne,
            other => return Err(UnknownOperator { operator: other.to_owned() }),
        })
    }
}

/// Ranks clusters by the value of a property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PropertySorter {
    /// The name of the property.
    pub name: String,
    /// Which end of the range scores highest.
    pub sort_order: SortOrder,
}

/// Which end of a range of values is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SortOrder {
    /// Prefers small values.
    Ascending,
    /// Prefers large values.
    Descending,
}

/// Selects the objects to place: all of one kind, one by name, or those with certain labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSelector {
    /// The API group of the objects; empty for the core group.
    pub group: String,
    /// The API version of the objects.
    pub version: String,
    /// The kind of the objects.
    pub kind: String,
    /// The name of one object. Leave it out to select by labels, or everything of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The labels of the objects to select.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// What a selected namespace brings along. Ignored for other kinds.
    #[serde(default)]
    pub selection_scope: SelectionScope,
}

/// What a selected namespace brings along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectionScope {
    /// The namespace object without its contents.
    NamespaceOnly,
    /// The namespace with everything inside.
    #[default]
    NamespaceWithResources,
    /// The namespace with those of its objects that the other selectors name.
    NamespaceWithResourceSelectors,
}

/// Selects one namespaced object by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedResourceSelector {
    /// The API group of the object; empty for the core group.
    pub group: String,
    /// The API version of the object.
    pub version: String,
    /// The kind of the object.
    pub kind: String,
    /// The name of the object.
    pub name: String,
}
