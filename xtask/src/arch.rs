//! `cargo xtask arch`: the layers of the architecture, checked against `cargo metadata`.
//!
//! Two tables: what each crate of ours may import from us, and which technologies it must not
//! know. Only normal dependencies count: a test may use anything.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::workspace::{self, Package};

/// What one crate may and must not import.
struct Rule {
    package: &'static str,
    /// Crates of this workspace that it may import.
    ours: &'static [&'static str],
    /// Technologies that it must not know: a name also stands for `<name>-…`.
    never: &'static [&'static str],
}

/// The crates in the order in which they build on each other.
const RULES: &[Rule] = &[
    Rule { package: "events", ours: &[], never: PURE },
    Rule { package: "domain", ours: &["events"], never: PURE },
    Rule { package: "api", ours: &[], never: &["actix", "tokio"] },
    Rule { package: "event-log", ours: &["events"], never: &["actix", "kube", "k8s"] },
    Rule {
        package: "event-log-kafka",
        ours: &["events", "event-log"],
        never: &["actix", "kube", "k8s"],
    },
    Rule { package: "projections", ours: &["events", "domain"], never: &["actix", "kube", "k8s"] },
    Rule {
        package: "actors",
        ours: &["domain", "events", "event-log", "projections"],
        never: &["kube", "k8s"],
    },
    Rule { package: "delivery", ours: &["events", "api", "domain"], never: &["actix"] },
    Rule { package: "simulator", ours: &[], never: &[] },
    Rule { package: "hub", ours: FACE, never: &[] },
    Rule { package: "agent", ours: FACE, never: &[] },
    // The tasks: whatever of ours they need is a program that they start.
    Rule { package: "xtask", ours: &[], never: &["kube", "k8s", "actix", "tokio"] },
];

/// No async, no I/O, no storage, no Kubernetes types.
const PURE: &[&str] = &["tokio", "async", "futures", "actix", "kube", "k8s"];

/// What faces Kubernetes and people imports the whole inside. Of the log it knows the port, for
/// content; drivers stay out.
const FACE: &[&str] =
    &["api", "actors", "projections", "delivery", "event-log", "events", "domain"];

/// The binary that wires everything, and the tests of the whole.
const MAY_IMPORT_ALL_OF_OURS: &[&str] = &["taffrail", "acceptance"];

/// Each driver is known to one crate alone, also in the crates that may import all of ours.
const HOMES: &[(&str, &str)] =
    &[("rdkafka", "event-log-kafka"), ("sled", "projections"), ("redb", "event-log")];

/// Checks the workspace.
pub(crate) fn run() -> Result<()> {
    let packages = workspace::metadata(false)?.packages;
    let violations = violations(&packages);
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!(
            "{} import(s) break the architecture: move the code to the crate that may know this, \
             see ARCHITECTURE.md",
            violations.len()
        );
    }
    println!("arch: {} crates import only what they may", packages.len());
    Ok(())
}

fn violations(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    packages.iter().flat_map(|package| violations_of(package, &ours)).collect()
}

fn violations_of(package: &Package, ours: &BTreeSet<&str>) -> Vec<String> {
    let name = package.name.as_str();
    let rule = RULES.iter().find(|rule| rule.package == name);
    if rule.is_none() && !MAY_IMPORT_ALL_OF_OURS.contains(&name) {
        return vec![format!("{name}: not in the table: add its rule to xtask/src/arch.rs")];
    }
    let imports: BTreeSet<&str> = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.is_none())
        .map(|dependency| dependency.name.as_str())
        .collect();
    imports
        .into_iter()
        .filter_map(|import| {
            let reason = reason_forbidden(name, rule, import, ours.contains(import))?;
            Some(format!("{name} -> {import}: {reason}"))
        })
        .collect()
}

fn reason_forbidden(
    package: &str,
    rule: Option<&Rule>,
    import: &str,
    is_ours: bool,
) -> Option<String> {
    if let Some((driver, home)) = HOMES.iter().find(|(driver, _)| belongs_to(import, driver))
        && *home != package
        && !is_ours
    {
        return Some(format!("only {home} may know {driver}"));
    }
    let rule = rule?;
    if is_ours {
        let allowed = rule.ours.contains(&import);
        return (!allowed).then(|| format!("of ours it may import only {:?}", rule.ours));
    }
    let technology = rule.never.iter().find(|technology| belongs_to(import, technology))?;
    Some(format!("it must not know {technology}"))
}

/// `actix-rt` belongs to `actix`, `kubelet-api` does not belong to `kube`.
fn belongs_to(import: &str, technology: &str) -> bool {
    import.strip_prefix(technology).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::{RULES, violations};
    use crate::workspace::{Dependency, Package};

    fn package(name: &str, imports: &[(&str, Option<&str>)]) -> Package {
        let dependencies = imports
            .iter()
            .map(|&(name, kind)| Dependency { name: name.into(), kind: kind.map(Into::into) })
            .collect();
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            license: None,
            source: None,
            manifest_path: Default::default(),
            dependencies,
        }
    }

    /// The violations of one crate beside all others, which import nothing.
    fn check(name: &str, imports: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut packages = vec![package(name, imports)];
        packages.extend(
            RULES.iter().filter(|rule| rule.package != name).map(|rule| package(rule.package, &[])),
        );
        violations(&packages)
    }

    #[test]
    fn what_the_table_allows_is_no_violation() {
        assert!(check("domain", &[("events", None), ("serde", None)]).is_empty());
        assert!(check("actors", &[("event-log", None), ("actix-rt", None)]).is_empty());
        assert!(check("event-log-kafka", &[("rdkafka", None), ("event-log", None)]).is_empty());
        assert!(check("taffrail", &[("event-log-kafka", None), ("hub", None)]).is_empty());
    }

    #[test]
    fn a_layer_above_is_a_violation() {
        let found = check("event-log", &[("domain", None)]);
        assert_eq!(found, [r#"event-log -> domain: of ours it may import only ["events"]"#]);
    }

    #[test]
    fn a_technology_includes_its_relatives() {
        assert_eq!(check("domain", &[("tokio-util", None)]).len(), 1);
        assert_eq!(check("projections", &[("k8s-openapi", None)]).len(), 1);
        assert_eq!(check("events", &[("kubelike", None)]).len(), 0);
    }

    #[test]
    fn a_driver_has_one_home_even_for_the_binary() {
        let found = check("taffrail", &[("sled", None)]);
        assert_eq!(found, ["taffrail -> sled: only projections may know sled"]);
        assert_eq!(check("hub", &[("redb", None)]).len(), 1);
    }

    #[test]
    fn tasks_know_nothing_of_ours() {
        assert!(check("xtask", &[("clap", None), ("rustls", None)]).is_empty());
        assert_eq!(check("xtask", &[("events", None)]).len(), 1);
        assert_eq!(check("xtask", &[("kube-client", None)]).len(), 1);
    }

    #[test]
    fn tests_may_use_anything() {
        assert!(check("domain", &[("tokio", Some("dev")), ("hub", Some("dev"))]).is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert_eq!(check("gadgets", &[]).len(), 1);
    }
}
