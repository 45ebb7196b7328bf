//! Label and field selectors of list, watch and deletecollection.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ApiError;
use crate::object::at;

/// Which objects a request is about. Empty selects all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Debug, Clone)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Debug, Clone)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Parses the two query parameters; `known` says which fields the resource can select by.
    pub(crate) fn parse(
        labels: &str,
        fields: &str,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, ApiError> {
        let labels = split_outside_parentheses(labels)
            .map(|term| label_term(term).ok_or_else(|| unparsable(labels, term)))
            .collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .filter(|term| !term.trim().is_empty())
            .map(|term| field_term(term, &known))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The name that `metadata.name=x` pins, if it does.
    pub(crate) fn pinned_name(&self) -> Option<&str> {
        let pins = |term: &&FieldTerm| term.equal && term.path == "metadata.name";
        self.fields.iter().find(pins).map(|term| term.value.as_str())
    }

    /// Labels are cheap to test; the body is parsed only when a field is selected on.
    pub(crate) fn matches(
        &self,
        labels: &BTreeMap<String, String>,
        body: impl FnOnce() -> Value,
    ) -> bool {
        self.labels.iter().all(|term| term.matches(labels))
            && (self.fields.is_empty() || {
                let body = body();
                self.fields.iter().all(|term| term.matches(&body))
            })
    }
}

impl LabelTerm {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|it| values.contains(it)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|it| !values.contains(it)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

impl FieldTerm {
    fn matches(&self, body: &Value) -> bool {
        let found = match at(body, &self.path) {
            None | Some(Value::Null) => String::new(),
            Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        (found == self.value) == self.equal
    }
}

fn unparsable(selector: &str, term: &str) -> ApiError {
    ApiError::bad_request(format!(
        "unable to parse requirement: found '{term}' in label selector \"{selector}\""
    ))
}

fn split_outside_parentheses(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    selector
        .split(move |character| {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            character == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|term| !term.is_empty())
}

fn label_term(term: &str) -> Option<LabelTerm> {
    if let Some((key, values)) = set_term(term, " notin ") {
        return Some(LabelTerm::NotIn(key, values?));
    }
    if let Some((key, values)) = set_term(term, " in ") {
        return Some(LabelTerm::In(key, values?));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Some(LabelTerm::NotIn(label_key(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(LabelTerm::In(label_key(key)?, vec![value.trim().to_owned()]));
    }
    match term.strip_prefix('!') {
        Some(key) => Some(LabelTerm::Absent(label_key(key)?)),
        None => Some(LabelTerm::Exists(label_key(term)?)),
    }
}

fn set_term(term: &str, operator: &str) -> Option<(String, Option<Vec<String>>)> {
    let spaced = term.replacen("in(", "in (", 1);
    let (key, values) = spaced.split_once(operator)?;
    let values = values.trim().strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let values = values.map(|it| it.split(',').map(|one| one.trim().to_owned()).collect());
    Some((key.trim().to_owned(), values))
}

fn label_key(key: &str) -> Option<String> {
    let key = key.trim();
    let allowed = |it: char| it.is_ascii_alphanumeric() || "-_./".contains(it);
    (!key.is_empty() && key.chars().all(allowed)).then(|| key.to_owned())
}

fn field_term(term: &str, known: &impl Fn(&str) -> bool) -> Result<FieldTerm, ApiError> {
    let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, value, true)
    } else {
        return Err(ApiError::bad_request(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )));
    };
    let path = path.trim();
    if !known(path) {
        return Err(ApiError::bad_request(format!("field label not supported: {path}")));
    }
    Ok(FieldTerm { path: path.to_owned(), value: value.trim().to_owned(), equal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let parsed = Selector::parse(selector, "", |_| true).unwrap();
        parsed.matches(&labels, || json!({}))
    }

    #[test]
    fn label_terms() {
        let labels = [("app", "web"), ("tier", "front")];
        for yes in ["", "app=web", "app==web,tier", "app in (web, api)", "!gone", "gone!=x"] {
            assert!(selects(yes, &labels), "{yes}");
        }
        for no in ["app=api", "app notin (web)", "app in(api)", "!app", "gone", "app!=web"] {
            assert!(!selects(no, &labels), "{no}");
        }
        assert!(Selector::parse("a b c", "", |_| true).is_err());
    }

    #[test]
    fn field_terms() {
        let fields = |path: &str| path == "metadata.name" || path == "status.phase";
        let parsed = Selector::parse("", "metadata.name=a,status.phase!=Failed", fields).unwrap();
        assert_eq!(parsed.pinned_name(), Some("a"));
        let object = json!({"metadata": {"name": "a"}});
        assert!(parsed.matches(&BTreeMap::new(), || object));
        assert!(Selector::parse("", "spec.x=1", fields).is_err());
    }
}
