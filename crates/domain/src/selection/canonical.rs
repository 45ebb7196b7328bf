//! Canonical JSON: equal values have equal bytes, so that a hash can name them (RFC 8785, JCS).

use serde_json::{Number, Value};

/// The largest integer up to which every integer is a double: beyond, RFC 8785 does not apply.
const DOUBLE_INTEGER_MAX: u64 = 1 << 53;

/// Writes a value as canonical JSON: without white space, keys in the order of their UTF-16 code
/// units, text with the fewest escapes, numbers as ECMAScript writes them.
///
/// One case lies outside of the RFC, which knows no numbers but doubles: integers beyond 2^53 are
/// written with all their digits. Kubernetes has 64-bit integers, and rounding one would change
/// what is applied.
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_value(value, &mut text);
    text.into_bytes()
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(number, text),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_value(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write_value(value, text);
            }
            text.push('}');
        }
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => {
                text.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

fn write_number(number: &Number, text: &mut String) {
    if let Some(integer) = number.as_i64().filter(|i| i.unsigned_abs() <= DOUBLE_INTEGER_MAX) {
        text.push_str(&integer.to_string());
    } else if number.is_i64() || number.is_u64() {
        text.push_str(&number.to_string());
    } else {
        // Without the arbitrary precision of serde_json, what is no integer is a finite double.
        text.push_str(&ecmascript_number(number.as_f64().unwrap_or_default()));
    }
}

/// `Number::toString` of ECMA-262 for a finite double: the fewest digits that read back as the
/// same double, with an exponent only below 1e-6 and from 1e21 on.
fn ecmascript_number(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned(); // minus zero too
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let (digits, exponent) = shortest_digits(number.abs());
    let count = i32::try_from(digits.len()).expect("a double has at most 17 digits");
    // The value is 0.DIGITS * 10^point.
    let point = exponent + 1;
    let magnitude = if count <= point && point <= 21 {
        digits + &zeros(point - count)
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{exponent:+}")
    };
    format!("{sign}{magnitude}")
}

/// The shortest digits that read back as the same double, and the exponent of the first. Where
/// two are equally short and equally close, ECMAScript takes the even one, as rounding to that many
/// digits does; the shortest form of Rust does not.
fn shortest_digits(number: f64) -> (String, i32) {
    let shortest = format!("{number:e}");
    let count = shortest.chars().take_while(|c| *c != 'e').filter(char::is_ascii_digit).count();
    let rounded = format!("{number:.*e}", count - 1);
    let written = if rounded.parse() == Ok(number) { rounded } else { shortest };
    let (digits, exponent) = written.split_once('e').expect("`{:e}` writes an exponent");
    (digits.replace('.', ""), exponent.parse().expect("`{:e}` writes a whole exponent"))
}

fn zeros(count: i32) -> String {
    "0".repeat(usize::try_from(count).unwrap_or_default())
}
