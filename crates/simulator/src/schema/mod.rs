//! The shape of objects: one structure for built-in types and for CRD schemas. Validation,
//! defaulting, pruning, patches and field ownership all walk it.

mod default;
mod parse;
mod prune;
mod validate;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::builtin;

pub(crate) use default::{apply_defaults, fill_zero_fields, zero_value};
pub(crate) use parse::{parse_builtin, parse_crd};
pub(crate) use prune::{canonicalise_quantities, drop_empty_collections, prune};
pub(crate) use validate::{builtin_type_errors, validate};

/// One type. A list or map whose `Schema` says nothing more is atomic or granular as noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) base: Base,
    pub(crate) properties: BTreeMap<String, Property>,
    pub(crate) additional: Option<Link>,
    pub(crate) items: Option<Link>,
    pub(crate) list: ListKind,
    /// The map is owned and replaced as a whole.
    pub(crate) atomic_map: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded_resource: bool,
    pub(crate) int_or_string: bool,
    /// A `resource.Quantity`.
    pub(crate) is_quantity: bool,
    pub(crate) nullable: bool,
    pub(crate) rules: Rules,
    pub(crate) patch: PatchRules,
}

/// The JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Base {
    /// Not said: anything goes, and structure is deduced from the value.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// Who owns the items of a list: one owner for all, or one for each item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ListKind {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A declared field.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) link: Link,
    pub(crate) default: Option<Value>,
}

/// A type inside a type: in place, or a built-in type by name (they are recursive).
#[derive(Debug, Clone)]
pub(crate) enum Link {
    Inline(Box<Schema>),
    Named(String),
}

/// What CRD validation checks. Empty for built-in types. CEL rules are not evaluated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<String>,
}

/// A compiled `pattern`.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) regex_lite::Regex);

/// How a strategic merge patch treats the field.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatchRules {
    pub(crate) merge: bool,
    pub(crate) merge_key: Option<String>,
}

static DEDUCED: LazyLock<Schema> =
    LazyLock::new(|| Schema { preserve_unknown: true, ..Schema::default() });

impl Schema {
    /// The type of what has no schema: maps are granular, lists are atomic.
    pub(crate) fn deduced() -> &'static Self {
        &DEDUCED
    }

    /// The type of a member of an object: the declared field, else the value type of the map.
    pub(crate) fn member(&self, name: &str) -> &Self {
        self.known_member(name).unwrap_or(&DEDUCED)
    }

    /// Like `member`, but `None` for a member that the type does not allow.
    pub(crate) fn known_member(&self, name: &str) -> Option<&Self> {
        if let Some(property) = self.properties.get(name) {
            return Some(property.link.get());
        }
        match &self.additional {
            Some(link) => Some(link.get()),
            None => self.preserve_unknown.then_some(&*DEDUCED),
        }
    }

    pub(crate) fn item(&self) -> &Self {
        self.items.as_ref().map_or(&DEDUCED, Link::get)
    }

    /// Whether the field is declared, as opposed to a key of a map.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }
}

impl Link {
    pub(crate) fn get(&self) -> &Schema {
        match self {
            Self::Inline(schema) => schema,
            Self::Named(name) => builtin::type_named(name),
        }
    }
}
