//! `cargo xtask deny`: licences and sources of all dependencies, as `cargo metadata` tells them,
//! against `deny.toml`.
//!
//! Advisories are not checked, here or in CI: their database is a git repository that no package
//! registry carries. Where it can be reached, `cargo deny check advisories` does it, with the list
//! in `deny.toml`.

mod spdx;

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::{self, Package};

#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licences,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    #[serde(default)]
    allow_registry: Vec<String>,
    #[serde(default)]
    allow_git: Vec<String>,
}

/// Checks the workspace.
pub(crate) fn run() -> Result<()> {
    let policy = read_policy()?;
    let packages = workspace::metadata(true)?.packages;
    let problems: Vec<String> =
        packages.iter().flat_map(|package| problems_of(package, &policy)).collect();
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} dependencies break deny.toml: replace them or amend it", problems.len());
    }
    println!(
        "deny: licences and sources of {} packages agree with deny.toml (advisories are not \
         checked: `cargo deny check advisories` does that where it is installed)",
        packages.len()
    );
    Ok(())
}

fn read_policy() -> Result<Policy> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("read {}", path.display()))
}

fn problems_of(package: &Package, policy: &Policy) -> Vec<String> {
    let reasons = [reason_licence_refused(package, policy), reason_source_refused(package, policy)];
    let name = format!("{} {}", package.name, package.version);
    reasons.into_iter().flatten().map(|reason| format!("{name}: {reason}")).collect()
}

fn reason_licence_refused(package: &Package, policy: &Policy) -> Option<String> {
    let Some(licence) = &package.license else { return Some("names no licence".to_owned()) };
    match spdx::satisfied(licence, &policy.licenses.allow) {
        Ok(true) => None,
        Ok(false) => Some(format!("its licence, {licence}, is not allowed")),
        Err(error) => Some(format!("its licence, {licence}, cannot be read: {error}")),
    }
}

fn reason_source_refused(package: &Package, policy: &Policy) -> Option<String> {
    let source = package.source.as_deref()?;
    let (kind, place) = source.split_once('+').unwrap_or(("", source));
    let allowed = match kind {
        // However Cargo reaches it, crates.io has this name in `Cargo.lock`.
        "registry" | "sparse" => {
            place.ends_with("crates.io-index")
                || policy.sources.allow_registry.iter().any(|allowed| allowed == place)
        }
        "git" => policy.sources.allow_git.iter().any(|allowed| place.starts_with(allowed.as_str())),
        _ => false,
    };
    (!allowed).then(|| format!("its source, {source}, is not allowed"))
}

#[cfg(test)]
mod tests {
    use super::{problems_of, read_policy};
    use crate::workspace::Package;

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: "gadget".into(),
            version: "1.0.0".into(),
            license: license.map(Into::into),
            source: source.map(Into::into),
            manifest_path: Default::default(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_permissive_package_of_the_registry_is_fine() {
        let policy = read_policy().expect("deny.toml can be read");
        let source = Some("registry+https://registry.invalid/crates.io-index");
        assert!(problems_of(&package(Some("MIT OR GPL-3.0"), source), &policy).is_empty());
    }

    #[test]
    fn each_broken_rule_is_a_problem() {
        let policy = read_policy().expect("deny.toml can be read");
        let git = Some("git+https://git.invalid/gadget?rev=1");
        assert_eq!(problems_of(&package(Some("AGPL-3.0"), git), &policy).len(), 2);
        assert_eq!(problems_of(&package(None, None), &policy).len(), 1);
    }
}
