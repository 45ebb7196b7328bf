//! The part of kubectl's JSONPath that printer columns use: fields, quoted fields, indexes,
//! `[*]`, and filters such as `[?(@.type=="Ready")]`.

use serde_json::Value;

/// All values at the path.
pub(crate) fn find<'a>(root: &'a Value, path: &str) -> Vec<&'a Value> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut found = vec![root];
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        let (step, after) = next_step(rest);
        found = found.into_iter().flat_map(|value| follow(value, &step)).collect();
        rest = after;
    }
    found
}

enum Step {
    Field(String),
    Index(i64),
    All,
    Filter {
        path: String,
        equal: bool,
        literal: Value,
    },
    /// Not understood: selects nothing.
    Nothing,
}

fn next_step(path: &str) -> (Step, &str) {
    if let Some(inside) = path.strip_prefix('[') {
        let end = closing_bracket(inside);
        let after = inside.get(end + 1..).unwrap_or_default();
        return (bracket(&inside[..end]), after);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let mut end = path.len();
    let mut escaped = false;
    for (at, character) in path.char_indices() {
        if !escaped && (character == '.' || character == '[') {
            end = at;
            break;
        }
        escaped = character == '\\';
    }
    let field = path[..end].replace('\\', "");
    let step = match field.as_str() {
        "" if end == 0 && !path.is_empty() => Step::All,
        "" | "*" => Step::All,
        _ => Step::Field(field),
    };
    (step, &path[end..])
}

/// The bracket that closes the step, outside of quotes and nested brackets.
fn closing_bracket(inside: &str) -> usize {
    let mut depth = 0;
    let mut quote = None;
    for (at, character) in inside.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return at,
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    inside.len()
}

fn bracket(inside: &str) -> Step {
    let inside = inside.trim();
    if inside == "*" {
        return Step::All;
    }
    if let Ok(index) = inside.parse() {
        return Step::Index(index);
    }
    if let Some(name) = unquoted(inside) {
        return Step::Field(name);
    }
    inside
        .strip_prefix("?(")
        .and_then(|it| it.strip_suffix(')'))
        .and_then(filter)
        .unwrap_or(Step::Nothing)
}

fn filter(expression: &str) -> Option<Step> {
    let (left, literal, equal) = match expression.split_once("==") {
        Some((left, right)) => (left, right, true),
        None => {
            let (left, right) = expression.split_once("!=")?;
            (left, right, false)
        }
    };
    let path = left.trim().strip_prefix('@')?.to_owned();
    let literal = literal.trim();
    let literal = match unquoted(literal) {
        Some(text) => Value::String(text),
        None => serde_json::from_str(literal).ok()?,
    };
    Some(Step::Filter { path, equal, literal })
}

fn unquoted(text: &str) -> Option<String> {
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned);
    within('"').or_else(|| within('\''))
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let Some(list) = value.as_array() else { return Vec::new() };
            let from_end = || list.len().checked_sub(usize::try_from(-index).ok()?);
            let at = usize::try_from(*index).ok().or_else(from_end);
            at.and_then(|at| list.get(at)).into_iter().collect()
        }
        Step::All => {
            let items = value.as_array().into_iter().flatten();
            items.chain(value.as_object().into_iter().flat_map(|it| it.values())).collect()
        }
        Step::Filter { path, equal, literal } => {
            let matches = |item: &&Value| {
                find(item, path).first().is_some_and(|it| (*it == literal) == *equal)
            };
            value.as_array().into_iter().flatten().filter(matches).collect()
        }
        Step::Nothing => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn printer_column_paths() {
        let object = json!({"metadata": {"labels": {"a.b/c": "x"}}, "spec": {"n": 3}, "status": {
            "conditions": [{"type": "Ready", "status": "False"},
                           {"type": "Joined", "status": "True", "observedGeneration": 2}],
            "ports": [80, 443]}});
        let cases = [
            (".spec.n", json!([3])),
            (".status.conditions[?(@.type==\"Joined\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Joined')].observedGeneration", json!([2])),
            (".status.conditions[?(@.type!=\"Joined\")].status", json!(["False"])),
            (".status.ports[*]", json!([80, 443])),
            (".status.ports[-1]", json!([443])),
            (".metadata.labels['a.b/c']", json!(["x"])),
            (".metadata.labels.a\\.b/c", json!(["x"])),
            (".spec.missing.deep", json!([])),
            ("{.spec.n}", json!([3])),
        ];
        for (path, expected) in cases {
            assert_eq!(json!(find(&object, path)), expected, "{path}");
        }
    }
}
