//! Conflicts of server-side apply: with whom, about what, and whether they count.

use kube::core::Status;

use crate::plan::FIELD_MANAGER;

/// Managers that are no reason to hold back: they stand for how an object was made before anybody
/// applied it server-side, for the tool that Taffrail replaces, and for Taffrail itself.
///
/// Managers of later edits (`kubectl-edit`, `helm`, controllers) are not among them: somebody who
/// manages a field on purpose is only overridden by `force`.
const MANAGERS_THAT_YIELD: [&str; 5] = [
    FIELD_MANAGER,
    "before-first-apply",
    "kubectl-client-side-apply",
    "kubectl-create",
    "work-api-agent",
];

/// One field that somebody else manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// Who.
    pub manager: String,
    /// Which field.
    pub field: String,
}

/// The conflicts in an API server's answer; none if it is about something else.
#[must_use]
pub fn field_conflicts(status: &Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| FieldConflict {
            manager: cause.message.split('"').nth(1).unwrap_or("another manager").to_owned(),
            field: cause.field.clone(),
        })
        .collect()
}

/// Whether all of these may be overridden without being asked to.
#[must_use]
pub fn all_yield(conflicts: &[FieldConflict]) -> bool {
    !conflicts.is_empty()
        && conflicts.iter().all(|conflict| MANAGERS_THAT_YIELD.contains(&conflict.manager.as_str()))
}

/// The conflicts in words. Names fields, never values.
#[must_use]
pub fn describe(conflicts: &[FieldConflict]) -> String {
    let fields: Vec<String> = conflicts
        .iter()
        .map(|conflict| format!("{} (managed by {})", conflict.field, conflict.manager))
        .collect();
    format!(
        "others manage fields of it on the member: {}; set serverSideApplyConfig.force to take \
         them over",
        fields.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conflict_with(managers: &[&str]) -> Status {
        let causes: Vec<_> = managers
            .iter()
            .map(|manager| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with \"{manager}\" using apps/v1"),
                    "field": ".spec.replicas",
                })
            })
            .collect();
        serde_json::from_value(json!({ "code": 409, "details": { "causes": causes } })).unwrap()
    }

    #[test]
    fn what_stands_for_the_time_before_yields() {
        let all = |managers: &[&str]| all_yield(&field_conflicts(&conflict_with(managers)));
        assert!(all(&["before-first-apply", "kubectl-client-side-apply", "kubectl-create"]));
        assert!(!all(&["before-first-apply", "kubectl-edit"]));
        assert!(!all(&[]));
    }

    #[test]
    fn managers_and_fields_are_named() {
        let conflicts = field_conflicts(&conflict_with(&["hpa-controller"]));
        assert_eq!(
            conflicts,
            [FieldConflict { manager: "hpa-controller".into(), field: ".spec.replicas".into() }]
        );
        assert!(describe(&conflicts).contains(".spec.replicas (managed by hpa-controller)"));
    }

    #[test]
    fn other_conflicts_are_not_about_fields() {
        let status = Status::failure("the object has been modified", "Conflict").with_code(409);
        assert_eq!(field_conflicts(&status), []);
    }
}
