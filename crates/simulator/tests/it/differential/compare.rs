//! Where two documents differ.

use serde_json::Value;

/// One place where the answers differ.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// A JSON pointer.
    pub(crate) at: String,
    /// `Null` when the server does not say this.
    pub(crate) real: Value,
    pub(crate) simulated: Value,
}

/// All places where the documents differ, outermost first.
pub(crate) fn differences(real: &Value, simulated: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(real, simulated, "", &mut found);
    found
}

fn walk(real: &Value, simulated: &Value, at: &str, found: &mut Vec<Difference>) {
    if real == simulated {
        return;
    }
    if let (Some(ours), Some(theirs)) = (real.as_object(), simulated.as_object()) {
        let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (ours, theirs) = (ours.get(name), theirs.get(name));
            let at = format!("{at}/{}", name.replace('/', "~1"));
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => walk(ours, theirs, &at, found),
                (ours, theirs) => {
                    found.push(Difference { at, real: shown(ours), simulated: shown(theirs) })
                }
            }
        }
        return;
    }
    if let (Some(ours), Some(theirs)) = (real.as_array(), simulated.as_array())
        && ours.len() == theirs.len()
    {
        for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            walk(ours, theirs, &format!("{at}/{index}"), found);
        }
        return;
    }
    let (real, simulated) = (real.clone(), simulated.clone());
    found.push(Difference { at: at.to_owned(), real, simulated });
}

/// What is missing reads differently from a null.
fn shown(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or_else(|| Value::String("<missing>".to_owned()))
}
