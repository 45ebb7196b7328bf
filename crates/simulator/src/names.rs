//! Rules for names and labels.

use crate::registry::Resource;

const NAME_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

/// Why the object may not have this name.
pub(crate) fn reason_bad_name(resource: &Resource, name: &str) -> Option<String> {
    if resource.group == "rbac.authorization.k8s.io" {
        return reason_bad_path_segment(name);
    }
    if resource.is("", "namespaces") || resource.is("", "services") {
        return reason_bad_dns_label(name);
    }
    reason_bad_subdomain(name)
}

/// Why the text is no RFC 1123 label.
pub(crate) fn reason_bad_dns_label(text: &str) -> Option<String> {
    const RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
        characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  \
        or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    reason_bad(text, LABEL_LENGTH_MAX, is_dns_label(text), RULE)
}

/// Why the text is no RFC 1123 subdomain.
pub(crate) fn reason_bad_subdomain(text: &str) -> Option<String> {
    const RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
        characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
        'example.com', regex used for validation is \
        '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    reason_bad(text, NAME_LENGTH_MAX, text.split('.').all(is_dns_label), RULE)
}

fn reason_bad(text: &str, limit: usize, valid: bool, rule: &str) -> Option<String> {
    if text.len() > limit {
        return Some(format!("must be no more than {limit} bytes"));
    }
    (!valid).then(|| rule.to_owned())
}

fn reason_bad_path_segment(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("may not be '{name}'"));
    }
    let bad = ["/", "%"].into_iter().find(|it| name.contains(it))?;
    Some(format!("may not contain '{bad}'"))
}

fn is_dns_label(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A name of letters, digits, `-`, `_` and `.` that begins and ends with a letter or digit.
fn is_qualified(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    let ends = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_LENGTH_MAX
        && bytes.iter().copied().all(inner)
        && ends(bytes.first())
        && ends(bytes.last())
}

/// Why the text cannot be a label key.
pub(crate) fn reason_bad_label_key(key: &str) -> Option<&'static str> {
    let (prefix, name) = key.split_once('/').unwrap_or(("x", key));
    let good_prefix = prefix.len() <= NAME_LENGTH_MAX && prefix.split('.').all(is_dns_label);
    (!good_prefix || !is_qualified(name)).then_some(
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    )
}

/// Why the text cannot be a label value.
pub(crate) fn reason_bad_label_value(value: &str) -> Option<&'static str> {
    if value.len() > LABEL_LENGTH_MAX {
        return Some("must be no more than 63 bytes");
    }
    (!value.is_empty() && !is_qualified(value)).then_some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

/// Percent-decoding of one path segment.
pub(crate) fn decode_path_segment(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    // A form decoder also turns plus signs into blanks: protect them.
    let guarded = segment.replace('+', "%2B");
    let decoded = url::form_urlencoded::parse(guarded.as_bytes()).next();
    decoded.map(|(key, _)| key.into_owned()).unwrap_or_default()
}
