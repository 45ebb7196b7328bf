//! Strategic merge patches: merge patches that know the merge keys of lists, with the
//! directives `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…`.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::schema::{PatchRules, Schema};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Merges the patch into the target by the merge rules of the type.
pub(crate) fn strategic_merge(
    target: &Value,
    patch: &Value,
    schema: &Schema,
) -> Result<Value, ApiError> {
    let (Some(target), Some(patch)) = (target.as_object(), patch.as_object()) else {
        return Err(ApiError::bad_request("a strategic merge patch must be an object"));
    };
    Ok(Value::Object(merge_objects(target, patch, schema)?))
}

type Object = Map<String, Value>;

fn merge_objects(target: &Object, patch: &Object, schema: &Schema) -> Result<Object, ApiError> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!("unknown patch type found: {other}")));
        }
    }
    let mut merged = target.clone();
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        merged.retain(|key, _| kept.iter().any(|it| it.as_str() == Some(key)));
    }
    for (key, change) in patch {
        if key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) {
            continue;
        }
        if let Some(list) = key.strip_prefix(DELETE_PRIMITIVES) {
            delete_primitives(&mut merged, list, change);
            continue;
        }
        merge_member(&mut merged, key, change, schema)?;
    }
    for (key, order) in patch {
        let explicit = key.strip_prefix(ELEMENT_ORDER);
        let list = explicit.unwrap_or(key);
        let implied = patch.contains_key(&format!("{ELEMENT_ORDER}{list}"));
        let rules = &schema.member(list).patch;
        if let (Some(order), Some(before)) = (order.as_array(), target.get(list))
            && rules.merge
            && (explicit.is_some() || !implied)
        {
            reorder(&mut merged, list, order, before, rules);
        }
    }
    Ok(merged)
}

fn merge_member(
    merged: &mut Object,
    key: &str,
    change: &Value,
    schema: &Schema,
) -> Result<(), ApiError> {
    if change.is_null() {
        merged.remove(key);
        return Ok(());
    }
    let member = schema.member(key);
    let new = match (merged.get(key), change) {
        (Some(Value::Object(ours)), Value::Object(theirs)) => {
            Some(Value::Object(merge_objects(ours, theirs, member)?))
        }
        (Some(Value::Array(ours)), Value::Array(theirs)) if member.patch.merge => {
            Some(Value::Array(merge_lists(ours, theirs, member)?))
        }
        // A list that is replaced as a whole knows no directives.
        (Some(_), Value::Array(theirs)) if !member.patch.merge => {
            let plain = |it: &Value| match it.as_object() {
                Some(object) => Value::Object(without_directives(object)),
                None => it.clone(),
            };
            Some(Value::Array(theirs.iter().map(plain).collect()))
        }
        // There is nothing to direct: parts with a directive come to nothing.
        _ => undirected(change),
    };
    match new {
        Some(new) => merged.insert(key.to_owned(), new),
        None => merged.remove(key),
    };
    Ok(())
}

/// A patch value taken as it is: without nulls, and without what carries a directive.
fn undirected(value: &Value) -> Option<Value> {
    if let Some(object) = value.as_object() {
        if object.contains_key(DIRECTIVE) {
            return None;
        }
        let kept = object.iter().filter(|(key, value)| !value.is_null() && !key.starts_with('$'));
        let kept = kept.filter_map(|(key, value)| Some((key.clone(), undirected(value)?)));
        return Some(Value::Object(kept.collect()));
    }
    match value.as_array() {
        Some(list) => Some(Value::Array(list.iter().filter_map(undirected).collect())),
        None => Some(value.clone()),
    }
}

fn merge_lists(ours: &[Value], theirs: &[Value], list: &Schema) -> Result<Vec<Value>, ApiError> {
    let Some(key) = &list.patch.merge_key else {
        let mut merged = ours.to_vec();
        merged.extend(theirs.iter().filter(|it| !ours.contains(it)).cloned());
        return Ok(merged);
    };
    let replaces = |it: &Value| it[DIRECTIVE] == "replace" && it.get(key).is_none();
    let mut merged = if theirs.iter().any(replaces) { Vec::new() } else { ours.to_vec() };
    for item in theirs.iter().filter(|it| !replaces(it)) {
        let Some(change) = item.as_object() else {
            return Err(ApiError::bad_request("a list with a merge key holds objects"));
        };
        let Some(identity) = change.get(key) else {
            let message = format!("map: {item} does not contain declared merge key: {key}");
            return Err(ApiError::bad_request(message));
        };
        let place = merged.iter().position(|it| it.get(key) == Some(identity));
        let deletes = change.get(DIRECTIVE).and_then(Value::as_str) == Some("delete");
        match place {
            Some(_) if deletes => merged.retain(|it| it.get(key) != Some(identity)),
            None if deletes => {}
            Some(at) => {
                let empty = Map::new();
                let live = merged[at].as_object().unwrap_or(&empty);
                merged[at] = Value::Object(merge_objects(live, change, list.item())?);
            }
            None => {
                merged.extend(undirected(item));
            }
        }
    }
    Ok(merged)
}

fn without_directives(patch: &Object) -> Object {
    let plain = patch.iter().filter(|(key, _)| !key.starts_with('$'));
    plain.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn delete_primitives(merged: &mut Object, list: &str, gone: &Value) {
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(items) = merged.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
}

/// Puts the named items in the given order. Items that the order does not name go before the
/// first named one that they preceded in the live list.
fn reorder(merged: &mut Object, list: &str, order: &[Value], before: &Value, rules: &PatchRules) {
    let identity = |item: &Value| match &rules.merge_key {
        Some(key) => item.get(key).cloned().unwrap_or(Value::Null),
        None => item.clone(),
    };
    let Some(items) = merged.get_mut(list).and_then(Value::as_array_mut) else { return };
    let wanted: Vec<Value> = order.iter().map(identity).collect();
    let live: Vec<Value> = before.as_array().into_iter().flatten().map(identity).collect();
    let place = |item: &Value| live.iter().position(|it| *it == identity(item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(items).into_iter().partition(|it| wanted.contains(&identity(it)));
    named.sort_by_key(|item| wanted.iter().position(|it| *it == identity(item)));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(next), Some(other)) = (named.peek(), others.peek()) {
        let precedes = matches!((place(other), place(next)), (Some(it), Some(next)) if it < next);
        items.extend(if precedes { others.next() } else { named.next() });
    }
    items.extend(named);
    items.extend(others);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::type_named;
    use serde_json::json;

    fn merged(target: Value, patch: Value) -> Value {
        let schema = type_named("io.k8s.api.core.v1.PodSpec");
        strategic_merge(&target, &patch, schema).unwrap()
    }

    #[test]
    fn lists_merge_by_their_key() {
        let target = json!({"containers": [{"name": "a", "image": "x:1", "env": [
            {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]});
        let patch = json!({"containers": [
            {"name": "a", "image": "x:2", "env": [{"name": "B", "$patch": "delete"}]},
            {"name": "b", "image": "y:1"}]});
        let expected = json!({"containers": [
            {"name": "a", "image": "x:2", "env": [{"name": "A", "value": "1"}]},
            {"name": "b", "image": "y:1"}]});
        assert_eq!(merged(target, patch), expected);
    }

    #[test]
    fn directives() {
        let target = json!({"nodeSelector": {"a": "1", "b": "2"}, "volumes": [
            {"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]});
        let replaced =
            merged(target.clone(), json!({"nodeSelector": {"$patch": "replace", "c": "3"}}));
        assert_eq!(replaced["nodeSelector"], json!({"c": "3"}));
        let order = json!({"$setElementOrder/volumes": [{"name": "w"}, {"name": "v"}]});
        assert_eq!(merged(target.clone(), order)["volumes"][0]["name"], "w");
        let retained = json!({"volumes": [
            {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]});
        let volumes = &merged(target, retained)["volumes"];
        assert_eq!(volumes[0], json!({"name": "v", "hostPath": {"path": "/"}}));
    }

    #[test]
    fn primitive_lists() {
        let schema = type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        let target = json!({"finalizers": ["a", "b"]});
        let patch = json!({"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]});
        let new = strategic_merge(&target, &patch, schema).unwrap();
        // As a kube-apiserver does: what the patch names goes before what it does not.
        assert_eq!(new["finalizers"], json!(["c", "b"]));
    }
}
