//! Names what was last applied, so that an unchanged object is not written again.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the hash covers besides the manifest: the shape in which we write it. Raise it when the
/// shape changes, and every object is written once more after the upgrade.
const APPLIED_FORM: &str = "taffrail/2";

/// The SHA-256 of a manifest in the form in which it is applied, as 64 hex digits. Equal manifests
/// have equal hashes, in whatever order their keys are written.
#[must_use]
pub fn applied_hash(manifest: &Value) -> String {
    let mut text = String::from(APPLIED_FORM);
    write_canonical(manifest, &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Writes JSON with sorted keys and without white space. Keys are sorted here, because the order in
/// which a JSON map iterates depends on features that any dependency can turn on.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_scalar(&Value::from(key.as_str()), text);
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write_scalar(value, text);
        }
    }
}

fn write_scalar(value: &Value, text: &mut String) {
    write!(text, "{value}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":{"d":"x","c":[1,2]},"a":1}"#).unwrap();
        assert_eq!(applied_hash(&one), applied_hash(&two));
    }

    #[test]
    fn every_value_matters() {
        let base = applied_hash(&json!({"a": [1, 2]}));
        for other in [json!({"a": [2, 1]}), json!({"a": ["1", 2]}), json!({"b": [1, 2]})] {
            assert_ne!(base, applied_hash(&other));
        }
        assert_eq!(base.len(), 64);
    }
}
