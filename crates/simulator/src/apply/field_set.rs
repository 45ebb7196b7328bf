//! Sets of field paths, and their `fieldsV1` form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::{ListKind, Schema};

/// A set of paths as a tree. An edge is written as in `fieldsV1`: `f:name` for a field,
/// `k:{"name":"x"}` for an item of a list map, `v:"x"` for an item of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FieldSet {
    /// Whether the path that ends here is in the set.
    pub(crate) member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(crate) fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.member = true,
            Some((first, rest)) => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(crate) fn child(&self, element: &str) -> Option<&Self> {
        self.children.get(element)
    }

    pub(crate) fn child_mut(&mut self, element: &str) -> Option<&mut Self> {
        self.children.get_mut(element)
    }

    pub(crate) fn remove_child(&mut self, element: &str) {
        self.children.remove(element);
    }

    pub(crate) fn retain_children(&mut self, keep: impl Fn(&str) -> bool) {
        self.children.retain(|element, _| keep(element));
    }

    pub(crate) fn without_empty_nodes(mut self) -> Self {
        let children = self.children.into_iter().map(|(it, set)| (it, set.without_empty_nodes()));
        self.children = children.filter(|(_, set)| !set.is_empty()).collect();
        self
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.member |= other.member;
        for (element, theirs) in &other.children {
            let ours = all.children.entry(element.clone()).or_default();
            *ours = ours.union(theirs);
        }
        all
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let children = self.children.iter().map(|(element, ours)| {
            let rest = other.children.get(element).map(|theirs| ours.difference(theirs));
            (element.clone(), rest.unwrap_or_else(|| ours.clone()))
        });
        Self {
            member: self.member && !other.member,
            children: children.filter(|(_, set)| !set.is_empty()).collect(),
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(element, ours)| {
            let both = ours.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        });
        Self { member: self.member && other.member, children: children.collect() }
    }

    /// The set with every declared field on the way to a member: removing the members of a
    /// struct then removes the struct too.
    pub(crate) fn with_named_fields(&self, schema: &Schema) -> Self {
        let children = self.children.iter().map(|(element, set)| {
            let below = match element.strip_prefix("f:") {
                Some(name) => {
                    let mut below = set.with_named_fields(schema.member(name));
                    below.member |= schema.declares(name);
                    below
                }
                None => set.with_named_fields(schema.item()),
            };
            (element.clone(), below)
        });
        Self { member: self.member, children: children.collect() }
    }

    pub(crate) fn to_fields_v1(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, set) in &self.children {
            fields.insert(element.clone(), set.to_fields_v1());
        }
        Value::Object(fields)
    }

    pub(crate) fn from_fields_v1(fields: &Value) -> Self {
        let mut set = Self::node_from(fields);
        set.member = false;
        set
    }

    fn node_from(fields: &Value) -> Self {
        let entries = fields.as_object();
        let children = entries.into_iter().flatten().filter(|(element, _)| *element != ".");
        let children: BTreeMap<_, _> =
            children.map(|(element, it)| (element.clone(), Self::node_from(it))).collect();
        let member = children.is_empty() || fields.get(".").is_some();
        Self { member, children }
    }

    /// The members as people read them: `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    /// The members of a level come before what is below them.
    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.children.iter().filter(|(_, set)| set.member);
        paths.extend(members.map(|(element, _)| format!("{prefix}{}", described(element))));
        for (element, set) in &self.children {
            set.collect_paths(&format!("{prefix}{}", described(element)), paths);
        }
    }
}

fn described(element: &str) -> String {
    let Some((kind, rest)) = element.split_once(':') else { return element.to_owned() };
    match kind {
        "f" => format!(".{rest}"),
        "k" => {
            let key: BTreeMap<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let terms: Vec<String> =
                key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", terms.join(","))
        }
        "v" => format!("[={rest}]"),
        _ => format!("[{rest}]"),
    }
}

/// The edge to a field.
pub(crate) fn field_element(name: &str) -> String {
    format!("f:{name}")
}

/// The edge to an item of a granular list; `None` when the list is atomic.
pub(crate) fn item_element(item: &Value, list: &Schema) -> Option<String> {
    match &list.list {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Map(keys) => {
            let declared = |key: &String| list.item().properties.get(key);
            let key: BTreeMap<&String, Value> = keys
                .iter()
                .filter_map(|key| {
                    let value = item.get(key).cloned();
                    Some((key, value.or_else(|| declared(key)?.default.clone())?))
                })
                .collect();
            Some(format!("k:{}", serde_json::to_string(&key).unwrap_or_default()))
        }
    }
}

/// Where a granular list has two items of one identity; `None` when no list has.
pub(crate) fn repeated_item(value: &Value, schema: &Schema) -> Option<String> {
    repeated_at(value, schema, "")
}

fn repeated_at(value: &Value, schema: &Schema, path: &str) -> Option<String> {
    if let Some(object) = value.as_object().filter(|_| !schema.atomic_map) {
        let mut members = object.iter();
        return members.find_map(|(name, child)| {
            repeated_at(child, schema.member(name), &format!("{path}.{name}"))
        });
    }
    let list = value.as_array().filter(|_| schema.list != ListKind::Atomic)?;
    let elements: Vec<_> = list.iter().filter_map(|it| item_element(it, schema)).collect();
    if let Some(at) = elements.iter().position(|it| it == "k:{}") {
        return Some(format!(
            "{path}: element {at}: associative list with keys has an element that omits all key fields"
        ));
    }
    let twin = (1..elements.len()).find(|at| elements[..*at].contains(&elements[*at]));
    if let Some(twin) = twin {
        return Some(format!("{path}: duplicate entries for key {}", described(&elements[twin])));
    }
    let mut items = list.iter().zip(&elements);
    items.find_map(|(item, element)| {
        repeated_at(item, schema.item(), &format!("{path}{}", described(element)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::from_fields_v1(fields)
    }

    #[test]
    fn fields_v1_round_trips() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}}});
        assert_eq!(set(&fields).to_fields_v1(), fields);
        let paths = set(&fields).paths();
        assert!(paths.contains(&".spec.containers[name=\"web\"].image".to_owned()), "{paths:?}");
    }

    fn any_set() -> impl Strategy<Value = FieldSet> {
        let path = proptest::collection::vec("[abc]", 1..4);
        proptest::collection::vec(path, 0..6).prop_map(|paths| {
            let mut set = FieldSet::default();
            for path in paths {
                let path: Vec<String> = path.iter().map(|it| field_element(it)).collect();
                set.insert(&path);
            }
            set
        })
    }

    proptest! {
        #[test]
        fn a_set_is_its_parts(a in any_set(), b in any_set()) {
            let parts = a.difference(&b).union(&a.intersection(&b));
            prop_assert_eq!(parts, a.clone());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
            prop_assert_eq!(set(&a.to_fields_v1()), a);
        }
    }
}
