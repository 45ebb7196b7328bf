//! Reading the protobuf encoding that typed clients (`kubectl create deployment`) send. Answers
//! are always JSON, which those clients accept too.
//!
//! The encoding does not tell a zero that was written from one that was left out: zeros are taken
//! as left out, except in the fields of [`ZERO_MEANS_ZERO`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::builtin;
use crate::time::seconds;

/// The content type.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// Optional fields whose zero differs from their default.
const ZERO_MEANS_ZERO: &[&str] = &[
    "replicas",
    "completions",
    "parallelism",
    "backoffLimit",
    "minReplicas",
    "terminationGracePeriodSeconds",
    "gracePeriodSeconds",
    "automountServiceAccountToken",
    "allowPrivilegeEscalation",
    "orphanDependents",
];

/// Fields by number, `name:type`, for each message.
type Messages = BTreeMap<String, BTreeMap<u64, String>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/protobuf.json"))
        .expect("data/protobuf.json is part of the crate and is JSON")
});

/// Decodes a body; `None` when it is not one of a known kind.
pub(crate) fn decode(body: &[u8]) -> Option<Value> {
    let mut envelope = Reader(body.strip_prefix(MAGIC)?);
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, field)) = envelope.field() {
        match (number, field) {
            (1, Field::Bytes(bytes)) => {
                let mut meta = Reader(bytes);
                while let Some((number, field)) = meta.field() {
                    let text = field.text()?;
                    if number == 1 { api_version = text } else { kind = text }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = builtin::type_of_kind(&api_version, &kind)?;
    let mut object = message(name, raw)?;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    Some(object)
}

/// One field as it is on the wire.
enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

impl Field<'_> {
    fn text(&self) -> Option<String> {
        let Field::Bytes(bytes) = self else { return None };
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field with its number; `None` at the end, and at what cannot be read.
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        Some((key >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A message as JSON. Messages that Go embeds have no name in JSON: their fields are the
/// parent's.
fn message(name: &str, bytes: &[u8]) -> Option<Value> {
    let short = name.rsplit('.').next().unwrap_or(name);
    match short {
        "Time" | "MicroTime" => return Some(time(bytes)),
        "Quantity" => return Reader(bytes).field()?.1.text().map(Value::String),
        "IntOrString" => return int_or_string(bytes),
        "RawExtension" | "FieldsV1" => return raw_json(bytes),
        _ => {}
    }
    let fields = MESSAGES.get(name)?;
    let schema = builtin::type_named(name);
    let mut object = Map::new();
    let mut reader = Reader(bytes);
    while let Some((number, field)) = reader.field() {
        let Some((field_name, kind)) = fields.get(&number).and_then(|it| it.split_once(':')) else {
            continue;
        };
        if let Some(item) = kind.strip_prefix('*') {
            let list = object.entry(field_name).or_insert_with(|| json!([]));
            list.as_array_mut()?.push(value(item, &field)?);
        } else if let Some(item) = kind.strip_prefix('%') {
            let map = object.entry(field_name).or_insert_with(|| json!({}));
            let (key, value) = map_entry(item, &field)?;
            map.as_object_mut()?.insert(key, value);
        } else {
            let value = value(kind, &field)?;
            let embedded = !schema.properties.is_empty() && !schema.declares(field_name);
            if let Some(inner) = value.as_object().filter(|_| embedded) {
                object.extend(inner.clone());
            } else if !is_left_out(field_name, &value) {
                object.insert(field_name.to_owned(), value);
            }
        }
    }
    Some(Value::Object(object))
}

fn is_left_out(name: &str, value: &Value) -> bool {
    let is_zero = [json!(""), json!(0), json!(false)].contains(value);
    value.is_null() || (is_zero && !ZERO_MEANS_ZERO.contains(&name))
}

fn value(kind: &str, field: &Field<'_>) -> Option<Value> {
    match (kind, field) {
        ("string", field) => field.text().map(Value::String),
        ("bytes", Field::Bytes(bytes)) => Some(json!(BASE64.encode(bytes))),
        ("bool", Field::Varint(number)) => Some(json!(*number != 0)),
        ("double", Field::Fixed64(bytes)) => Some(json!(f64::from_le_bytes(*bytes))),
        (_, Field::Varint(number)) => Some(json!(number.cast_signed())),
        (name, Field::Bytes(bytes)) => message(name, bytes),
        (_, Field::Fixed64(_)) => None,
    }
}

fn map_entry(kind: &str, field: &Field<'_>) -> Option<(String, Value)> {
    let Field::Bytes(bytes) = field else { return None };
    let mut entry = Reader(bytes);
    let (mut key, mut found) = (String::new(), Value::Null);
    while let Some((number, field)) = entry.field() {
        match number {
            1 => key = field.text()?,
            _ => found = value(kind, &field)?,
        }
    }
    Some((key, found))
}

/// Null for the zero time.
fn time(bytes: &[u8]) -> Value {
    let mut reader = Reader(bytes);
    let mut since_epoch = 0;
    while let Some((number, field)) = reader.field() {
        if let (1, Field::Varint(value)) = (number, field) {
            since_epoch = value.cast_signed();
        }
    }
    match Timestamp::from_second(since_epoch) {
        Ok(time) if since_epoch != 0 => json!(seconds(time)),
        _ => Value::Null,
    }
}

fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    while let Some((at, field)) = reader.field() {
        match (at, field) {
            (1, Field::Varint(kind)) => is_text = kind == 1,
            (2, Field::Varint(value)) => number = value.cast_signed(),
            (3, field) => text = field.text()?,
            _ => {}
        }
    }
    Some(if is_text { json!(text) } else { json!(number) })
}

fn raw_json(bytes: &[u8]) -> Option<Value> {
    let (_, Field::Bytes(raw)) = Reader(bytes).field()? else { return None };
    serde_json::from_slice(raw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u16, bytes: &[u8]) -> Vec<u8> {
        let [low, high] = (number << 3 | 2).to_le_bytes();
        let key = if number < 16 { vec![low] } else { vec![low | 0x80, high << 1 | low >> 7] };
        let length = u8::try_from(bytes.len()).unwrap();
        [&key, &[length][..], bytes].concat()
    }

    #[test]
    fn a_typed_object_reads_like_its_json() {
        let labels = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let meta = [field(1, b"x"), field(3, b"ns"), field(5, b""), labels].concat();
        let reference = field(1, &field(1, b"other"));
        let volume = [field(1, b"v"), field(2, &field(19, &reference))].concat();
        let pod = [field(1, &meta), field(2, &field(1, &volume))].concat();
        let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
        let body = [MAGIC.to_vec(), field(1, &kind), field(2, &pod)].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "x", "namespace": "ns", "labels": {"a": "b"}},
            "spec": {"volumes": [{"name": "v", "configMap": {"name": "other"}}]}});
        assert_eq!(decode(&body), Some(expected));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(decode(b"k8s\0\xff\xff\xff"), None);
        assert_eq!(decode(b"{}"), None);
    }
}
