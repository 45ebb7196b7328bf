//! The generated CRDs are complete and follow the version tables of the contract.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Kind, scope, short name, status subresource, served versions and columns.
const TABLE: &[(&str, &str, &str, bool, &str, &str)] = &[
    (
        "MemberCluster",
        "Cluster",
        "cluster",
        true,
        "v1 v1beta1",
        "Joined Age Member-Agent-Last-Seen Node-Count Available-CPU Available-Memory \
         Allocatable-CPU Allocatable-Memory",
    ),
    ("InternalMemberCluster", "Namespaced", "imc", true, "v1 v1beta1", "Age"),
    ("ClusterResourcePlacement", "Cluster", "crp", true, "v1 v1beta1", PLACEMENT_COLUMNS),
    ("ResourcePlacement", "Namespaced", "rp", true, "v1 v1beta1", PLACEMENT_COLUMNS),
    (
        "ClusterResourcePlacementStatus",
        "Namespaced",
        "crps",
        false,
        "v1 v1beta1",
        "Resource-Index Last-Updated Age",
    ),
    ("ClusterSchedulingPolicySnapshot", "Cluster", "csps", true, "v1 v1beta1", "Gen Age"),
    ("SchedulingPolicySnapshot", "Namespaced", "sps", true, "v1beta1", "Gen Age"),
    ("ClusterResourceSnapshot", "Cluster", "crs", true, "v1 v1beta1", "Gen Age"),
    ("ResourceSnapshot", "Namespaced", "rs", true, "v1beta1", "Gen Age"),
    ("ClusterResourceBinding", "Cluster", "crb", true, "v1 v1beta1", BINDING_COLUMNS),
    ("ResourceBinding", "Namespaced", "rb", true, "v1beta1", BINDING_COLUMNS),
    ("Work", "Namespaced", "", true, "v1 v1beta1", ""),
    ("AppliedWork", "Cluster", "", true, "v1 v1beta1", ""),
    ("ClusterResourceEnvelope", "Cluster", "", false, "v1beta1", ""),
    ("ResourceEnvelope", "Namespaced", "", false, "v1beta1", ""),
    ("ClusterResourceOverride", "Cluster", "", false, "v1 v1beta1 v1alpha1", ""),
    ("ResourceOverride", "Namespaced", "", false, "v1 v1beta1 v1alpha1", ""),
    ("ClusterResourceOverrideSnapshot", "Cluster", "", false, "v1 v1beta1 v1alpha1", ""),
    ("ResourceOverrideSnapshot", "Namespaced", "", false, "v1 v1beta1 v1alpha1", ""),
    ("ClusterStagedUpdateStrategy", "Cluster", "csus", true, "v1 v1beta1 v1alpha1", ""),
    ("StagedUpdateStrategy", "Namespaced", "sus", false, "v1 v1beta1", ""),
    ("ClusterStagedUpdateRun", "Cluster", "csur", true, "v1 v1beta1 v1alpha1", RUN_COLUMNS),
    ("StagedUpdateRun", "Namespaced", "sur", true, "v1 v1beta1", RUN_COLUMNS),
    ("ClusterApprovalRequest", "Cluster", "careq", true, "v1 v1beta1 v1alpha1", APPROVAL_COLUMNS),
    ("ApprovalRequest", "Namespaced", "areq", true, "v1 v1beta1", APPROVAL_COLUMNS),
    (
        "ClusterResourcePlacementEviction",
        "Cluster",
        "crpe",
        true,
        "v1beta1 v1alpha1",
        "Valid Executed",
    ),
    ("ClusterResourcePlacementDisruptionBudget", "Cluster", "crpdb", false, "v1beta1 v1alpha1", ""),
];

const PLACEMENT_COLUMNS: &str = "Gen Type Scheduled Scheduled-Gen Work-Synchronized \
                                 Work-Synchronized-Gen Available Available-Gen Age";
const BINDING_COLUMNS: &str = "WorkSynchronized ResourcesApplied ResourceAvailable Age";
const RUN_COLUMNS: &str = "Placement Resource-Snapshot-Index Policy-Snapshot-Index Initialized \
                           Progressing Succeeded Age Strategy";
const APPROVAL_COLUMNS: &str = "Update-Run Stage Approved Age";

fn crd(kind: &str) -> CustomResourceDefinition {
    crds().into_iter().find(|crd| crd.spec.names.kind == kind).expect(kind)
}

fn schema(kind: &str, version: &str) -> Value {
    let crd = crd(kind);
    let version = crd.spec.versions.iter().find(|it| it.name == version).expect(version);
    let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    serde_json::to_value(schema).unwrap()
}

/// The schema at a path such as `spec.stages[].name`, if there is one.
fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = path.split('.').map(|step| match step.strip_suffix("[]") {
        Some(name) => format!("/properties/{name}/items"),
        None => format!("/properties/{step}"),
    });
    schema.pointer(&pointer.collect::<String>())
}

/// The messages of the rules at a node.
fn messages(node: &Value) -> Vec<&str> {
    let rules = node[crate::schema::VALIDATIONS].as_array();
    rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str()).collect()
}

#[test]
fn every_kind_is_served_as_users_know_it() {
    let kinds: BTreeSet<_> = crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, TABLE.iter().map(|row| row.0.to_owned()).collect());

    for (kind, scope, short_name, status, versions, columns) in TABLE {
        let crd = crd(kind);
        assert_eq!(crd.spec.scope, *scope, "{kind}");
        let short_names = crd.spec.names.short_names.unwrap_or_default().join(" ");
        assert_eq!(short_names, *short_name, "{kind}");
        let names: Vec<_> = crd.spec.versions.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names.join(" "), *versions, "{kind}");
        for version in &crd.spec.versions {
            assert!(version.served, "{kind}");
            assert_eq!(version.storage, version.name == "v1beta1", "{kind} {}", version.name);
            let subresource = version.subresources.as_ref().and_then(|it| it.status.as_ref());
            assert_eq!(subresource.is_some(), *status, "{kind}");
            let printed = version.additional_printer_columns.iter().flatten();
            let names: Vec<_> = printed.map(|column| column.name.as_str()).collect();
            assert_eq!(names.join(" "), *columns, "{kind}");
        }
    }
}

#[test]
fn the_plural_is_that_of_the_resource_url() {
    for crd in crds() {
        let plural = &crd.spec.names.plural;
        let singular = crd.spec.names.singular.as_deref().unwrap();
        let stem = singular.strip_suffix('y').map(|stem| format!("{stem}ies"));
        let regular = stem.unwrap_or_else(|| format!("{singular}s"));
        let ending_in_s = singular.ends_with('s').then(|| format!("{singular}es"));
        assert_eq!(*plural, ending_in_s.unwrap_or(regular));
    }
}

#[test]
fn members_hold_applied_works_and_nothing_else() {
    let member: Vec<_> = member_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(member, ["AppliedWork"]);
    assert_eq!(hub_crds().len() + member.len(), crds().len());
}

#[test]
fn other_versions_lack_the_fields_of_the_version_table() {
    let table = [
        ("MemberCluster", "v1", "spec.deleteOptions"),
        ("MemberCluster", "v1", "status.namespaces"),
        ("InternalMemberCluster", "v1", "status.namespaces"),
        ("ClusterResourcePlacement", "v1", "spec.strategy.deleteStrategy"),
        ("ClusterResourcePlacement", "v1", "spec.strategy.reportBackStrategy"),
        ("ResourcePlacement", "v1", "spec.strategy.deleteStrategy"),
        ("ResourcePlacement", "v1", "spec.strategy.reportBackStrategy"),
        ("Work", "v1", "spec.reportBackStrategy"),
        ("Work", "v1", "status.manifestConditions[].backReportedStatus"),
        ("ClusterStagedUpdateStrategy", "v1alpha1", "spec.stages[].beforeStageTasks"),
        ("ClusterStagedUpdateStrategy", "v1alpha1", "spec.stages[].maxConcurrency"),
        ("ClusterStagedUpdateRun", "v1alpha1", "spec.state"),
        ("ClusterStagedUpdateRun", "v1alpha1", "status.resourceSnapshotIndexUsed"),
        ("ClusterStagedUpdateRun", "v1alpha1", "status.stagesStatus[].beforeStageTaskStatus"),
        ("ClusterStagedUpdateRun", "v1alpha1", "status.deletionStageStatus.beforeStageTaskStatus"),
    ];
    for (kind, version, path) in table {
        assert!(at(&schema(kind, "v1beta1"), path).is_some(), "{kind} has no {path}");
        assert!(at(&schema(kind, version), path).is_none(), "{kind} {version} has {path}");
    }
}

#[test]
fn the_first_stable_version_knows_no_config_map_envelopes() {
    let places = [
        ("ClusterResourcePlacement", "status.selectedResources[].envelope.type"),
        ("ResourcePlacement", "status.placementStatuses[].driftedPlacements[].envelope.type"),
        ("ClusterResourcePlacementStatus", "sourceStatus.selectedResources[].envelope.type"),
        ("ClusterResourceBinding", "status.failedPlacements[].envelope.type"),
    ];
    for (kind, path) in places {
        let (old, new) = (schema(kind, "v1beta1"), schema(kind, "v1"));
        let (old, new) = (at(&old, path).unwrap(), at(&new, path).unwrap());
        assert_eq!(old["default"], "ConfigMap", "{kind}");
        assert!(new.get("default").is_none(), "{kind}");
        let values = json!(["ClusterResourceEnvelope", "ResourceEnvelope"]);
        assert_eq!(new["enum"], values, "{kind}");
    }
}

#[test]
fn the_first_version_of_runs_and_overrides_has_other_rules() {
    let run = schema("ClusterStagedUpdateRun", "v1alpha1");
    assert_eq!(messages(&run), [crate::rules::V1A.message]);
    assert_eq!(messages(at(&run, "spec").unwrap()), [crate::rules::IMM_SPEC.message]);

    for (kind, path) in [
        ("ClusterResourceOverride", "spec"),
        ("ResourceOverride", "spec"),
        ("ClusterResourceOverrideSnapshot", "spec.overrideSpec"),
        ("ResourceOverrideSnapshot", "spec.overrideSpec"),
    ] {
        let immutable = [crate::rules::V25.message];
        assert_eq!(messages(at(&schema(kind, "v1"), path).unwrap()), immutable, "{kind}");
        assert!(messages(at(&schema(kind, "v1alpha1"), path).unwrap()).is_empty(), "{kind}");
    }
}

#[test]
fn only_cluster_scoped_placements_check_the_reporting_scope() {
    let (crp, rp) = (schema("ClusterResourcePlacement", "v1"), schema("ResourcePlacement", "v1"));
    let crp: BTreeSet<_> = messages(at(&crp, "spec").unwrap()).into_iter().collect();
    let rp: BTreeSet<_> = messages(at(&rp, "spec").unwrap()).into_iter().collect();
    let only: BTreeSet<_> = crp.difference(&rp).copied().collect();
    assert_eq!(only, [crate::rules::V3.message, crate::rules::V4.message].into());
    assert!(rp.is_subset(&crp));
}

#[test]
fn conditions_merge_by_type_except_on_works() {
    let placement = schema("ClusterResourcePlacement", "v1beta1");
    let conditions = at(&placement, "status.conditions").unwrap();
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));

    let work = schema("Work", "v1beta1");
    for path in ["status.conditions", "status.manifestConditions[].conditions"] {
        assert!(at(&work, path).unwrap().get("x-kubernetes-list-type").is_none());
    }
}

#[test]
fn the_files_in_deploy_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    let stale: Vec<_> =
        differences(&folder).unwrap().into_iter().map(|it| it.file().to_owned()).collect();
    assert!(stale.is_empty(), "run `cargo xtask crds`; not current: {stale:?}");
}
