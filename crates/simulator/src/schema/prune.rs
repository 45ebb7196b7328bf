//! Dropping what the type does not declare.

use serde_json::{Map, Value};

use super::{Base, Schema};

/// Removes unknown members and returns their paths, in the words of strict field validation.
pub(crate) fn prune(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut dropped = Vec::new();
    prune_at(value, schema, "", &mut dropped);
    dropped
}

fn prune_at(value: &mut Value, schema: &Schema, path: &str, dropped: &mut Vec<String>) {
    if let Some(object) = value.as_object_mut() {
        if schema.base == Base::Any && schema.properties.is_empty() && schema.preserve_unknown {
            return;
        }
        object.retain(|name, child| {
            let child_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let implied = schema.embedded_resource && (name == "apiVersion" || name == "kind");
            match schema.known_member(name) {
                Some(member) => prune_at(child, member, &child_path, dropped),
                None if implied => {}
                None => {
                    dropped.push(child_path);
                    return false;
                }
            }
            true
        });
    } else if let Some(list) = value.as_array_mut() {
        for (index, item) in list.iter_mut().enumerate() {
            prune_at(item, schema.item(), &format!("{path}[{index}]"), dropped);
        }
    }
}

/// Removes empty lists and maps of built-in types: Go leaves them out when it writes. Structs
/// that are there stay, even when they are empty.
pub(crate) fn drop_empty_collections(value: &mut Value, schema: &Schema) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, child| {
            let member = schema.member(name);
            drop_empty_collections(child, member);
            let is_map = member.properties.is_empty() && member.additional.is_some();
            let is_empty_map = is_map && child.as_object().is_some_and(Map::is_empty);
            let is_empty_list =
                member.base == Base::Array && child.as_array().is_some_and(Vec::is_empty);
            let property = schema.properties.get(name);
            let is_null = property.is_some_and(|it| it.default == Some(Value::Null));
            if is_empty_list && (is_null || schema.rules.required.contains(name)) {
                *child = Value::Null;
                return true;
            }
            !is_empty_map && !is_empty_list
        });
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(|item| drop_empty_collections(item, schema.item()));
    }
}

/// Quantities of built-in types are written back in canonical form.
pub(crate) fn canonicalise_quantities(value: &mut Value, schema: &Schema) {
    if let Some(object) = value.as_object_mut() {
        for (name, child) in object.iter_mut() {
            canonicalise_quantities(child, schema.member(name));
        }
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(|item| canonicalise_quantities(item, schema.item()));
    } else if schema.is_quantity
        && let Some(canonical) = canonical_quantity(value)
    {
        *value = Value::String(canonical);
    }
}

/// The canonical form for the quantities that people write: `1` → `"1"`, `"0.5"` → `"500m"`,
/// `"1000m"` → `"1"`, `"1024Mi"` → `"1Gi"`.
fn canonical_quantity(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let digits = text.find(|it: char| !(it.is_ascii_digit() || it == '.' || it == '-'));
    let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
    if suffix.ends_with('i') {
        return binary_amount(number, suffix);
    }
    let scale = SI.iter().position(|it| *it == suffix)?;
    let mut amount = match scale.checked_sub(1) {
        None => number.parse().ok()?,
        Some(thousands) => {
            milli_of(number)?.checked_mul(1000_i128.pow(u32::try_from(thousands).ok()?))?
        }
    };
    let mut scale = 0;
    while scale + 1 < SI.len() && amount % 1000 == 0 && (amount != 0 || scale == 0) {
        amount /= 1000;
        scale += 1;
    }
    Some(format!("{amount}{}", SI[scale]))
}

/// Decimal suffixes, each a thousand of the one before.
const SI: &[&str] = &["m", "", "k", "M", "G", "T", "P"];
const BINARY: &[&str] = &["Ki", "Mi", "Gi", "Ti", "Pi"];

/// The number in thousandths; `None` for finer or malformed ones, which then stay as written.
fn milli_of(number: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 {
        return None;
    }
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole * 1000 + sign * fraction)
}

/// A fraction is written in the next smaller unit, as often as it takes: `1.5Gi` → `1536Mi`.
fn binary_amount(number: &str, suffix: &str) -> Option<String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let tenths = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let mut amount: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut scale = BINARY.iter().position(|it| *it == suffix)?;
    while amount % tenths != 0 && scale > 0 {
        amount = amount.checked_mul(1024)?;
        scale -= 1;
    }
    (amount % tenths == 0).then(|| binary(amount / tenths, BINARY[scale]))
}

fn binary(mut amount: i128, suffix: &str) -> String {
    let Some(mut scale) = BINARY.iter().position(|it| *it == suffix) else {
        return format!("{amount}{suffix}");
    };
    while scale + 1 < BINARY.len() && amount != 0 && amount % 1024 == 0 {
        amount /= 1024;
        scale += 1;
    }
    format!("{amount}{}", BINARY[scale])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_become_canonical() {
        let cases = [
            (json!(1), "1"),
            (json!("0.5"), "500m"),
            (json!("1000m"), "1"),
            (json!("1500m"), "1500m"),
            (json!("1024Mi"), "1Gi"),
            (json!("128Mi"), "128Mi"),
            (json!("1.5Gi"), "1536Mi"),
            (json!("1000"), "1k"),
            (json!("0"), "0"),
        ];
        for (written, canonical) in cases {
            assert_eq!(canonical_quantity(&written).as_deref(), Some(canonical), "{written}");
        }
        assert_eq!(canonical_quantity(&json!("lots")), None);
    }
}
