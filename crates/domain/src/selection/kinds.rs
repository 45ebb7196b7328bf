//! Which kinds may be placed.

use std::fmt;

/// Names a kind in one version of its API. `group` is empty for the core group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl GroupVersionKind {
    /// The kind with these names.
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        kind: impl Into<String>,
    ) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// `v1` or `apps/v1`, as in a manifest.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Whether it is that kind, in whatever version.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.api_version())
    }
}

/// The groups of the fleet's own API: what is in them steers the hub and means nothing elsewhere.
const FLEET_GROUPS: [&str; 4] = [
    "cluster.kubernetes-fleet.io",
    "placement.kubernetes-fleet.io",
    "placement.kubefleet.dev",
    "taffrail.dev",
];

/// The exceptions in those groups: wrappers around objects for members.
const ENVELOPES: [(&str, &str); 2] = [
    ("placement.kubernetes-fleet.io", "ClusterResourceEnvelope"),
    ("placement.kubernetes-fleet.io", "ResourceEnvelope"),
];

/// Groups whose objects describe the cluster that they are in. Beyond the reference, the two other
/// groups of metrics: there is nothing in them that could be listed, and what serves them is often
/// down.
const EXCLUDED_GROUPS: [&str; 5] = [
    "events.k8s.io",
    "coordination.k8s.io",
    "metrics.k8s.io",
    "custom.metrics.k8s.io",
    "external.metrics.k8s.io",
];

/// Kinds whose objects describe the cluster that they are in, or are made from others that are
/// placed.
const EXCLUDED_KINDS: [(&str, &str); 6] = [
    ("", "Event"),
    ("", "Node"),
    ("", "Pod"),
    ("networking.fleet.azure.com", "ServiceImport"),
    ("networking.fleet.azure.com", "TrafficManagerBackend"),
    ("networking.fleet.azure.com", "TrafficManagerProfile"),
];

/// Which kinds may be placed. By default all, except those that are about the fleet itself or
/// about the cluster that they are in (reference §2.3).
///
/// The fleet's own kinds are never placed, whatever the lists say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindRules {
    allowed: Vec<KindPattern>,
    skipped: Vec<KindPattern>,
}

/// One entry of a list: a group, a version of it, or some of its kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KindPattern {
    group: String,
    version: Option<String>,
    /// Lower case; empty for every kind.
    kinds: Vec<String>,
}

/// A list of kinds that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} in the list of kinds is none of GROUP, GROUP/VERSION and \
     GROUP/VERSION/KIND,KIND (the core group is written v1 or v1/KIND)"
)]
pub struct InvalidKindList {
    /// What cannot be read.
    pub entry: String,
}

impl KindRules {
    /// Reads the two lists of the configuration: entries separated by semicolons, each a group
    /// (`networking.k8s.io`), a version (`networking.k8s.io/v1beta1`) or some kinds
    /// (`networking.k8s.io/v1/Ingress,IngressClass`); `v1` stands for the core group. Kinds are
    /// compared without regard to case.
    ///
    /// With an allow list, the kinds in it are the only ones that are placed, and the default
    /// exclusions outside of the fleet's own API no longer hold. The skip list adds to the
    /// exclusions.
    ///
    /// # Errors
    /// When an entry has another form.
    pub fn parse(allowed: &str, skipped: &str) -> Result<Self, InvalidKindList> {
        Ok(Self { allowed: parse_list(allowed)?, skipped: parse_list(skipped)? })
    }

    /// Whether objects of the kind are never placed.
    #[must_use]
    pub fn excludes(&self, kind: &GroupVersionKind) -> bool {
        if is_of_fleet(kind) || self.skipped.iter().any(|pattern| pattern.matches(kind)) {
            return true;
        }
        if self.allowed.is_empty() {
            EXCLUDED_GROUPS.contains(&kind.group.as_str()) || is_one_of(kind, &EXCLUDED_KINDS)
        } else {
            !self.allowed.iter().any(|pattern| pattern.matches(kind))
        }
    }

    /// Whether nothing in this version of a group is ever placed, whatever its kinds are.
    #[must_use]
    pub fn excludes_version(&self, group: &str, version: &str) -> bool {
        let is_of = |pattern: &KindPattern| pattern.is_of(group, version);
        if self.skipped.iter().any(|pattern| is_of(pattern) && pattern.kinds.is_empty()) {
            return true;
        }
        match self.allowed.is_empty() {
            true => EXCLUDED_GROUPS.contains(&group),
            false => !self.allowed.iter().any(is_of),
        }
    }
}

fn is_of_fleet(kind: &GroupVersionKind) -> bool {
    is_fleet_group(&kind.group) && !is_envelope(&kind.group, &kind.kind)
}

/// Whether a group is part of the fleet's own API.
pub(super) fn is_fleet_group(group: &str) -> bool {
    FLEET_GROUPS.contains(&group)
}

/// Whether objects of the kind are wrappers around objects for members.
pub(super) fn is_envelope(group: &str, kind: &str) -> bool {
    ENVELOPES.contains(&(group, kind))
}

fn is_one_of(kind: &GroupVersionKind, list: &[(&str, &str)]) -> bool {
    list.iter().any(|(group, name)| kind.is(group, name))
}

fn parse_list(text: &str) -> Result<Vec<KindPattern>, InvalidKindList> {
    let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(parse_entry).collect()
}

fn parse_entry(entry: &str) -> Result<KindPattern, InvalidKindList> {
    let parts: Vec<&str> = entry.split('/').map(str::trim).collect();
    let (group, version, kinds) = match parts[..] {
        [version] if is_core_version(version) => ("", Some(version), ""),
        [version, kinds] if is_core_version(version) => ("", Some(version), kinds),
        [group] => (group, None, ""),
        [group, version] => (group, Some(version), ""),
        [group, version, kinds] => (group, Some(version), kinds),
        _ => return Err(InvalidKindList { entry: entry.to_owned() }),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(InvalidKindList { entry: entry.to_owned() });
    }
    let kinds = kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty());
    Ok(KindPattern {
        group: group.to_owned(),
        version: version.map(str::to_owned),
        kinds: kinds.map(str::to_lowercase).collect(),
    })
}

/// `v1`: only the core group is written without a group, and it has no other version.
fn is_core_version(part: &str) -> bool {
    part == "v1"
}

impl KindPattern {
    fn matches(&self, kind: &GroupVersionKind) -> bool {
        self.is_of(&kind.group, &kind.version)
            && (self.kinds.is_empty() || self.kinds.contains(&kind.kind.to_lowercase()))
    }

    fn is_of(&self, group: &str, version: &str) -> bool {
        self.group == group && self.version.as_ref().is_none_or(|own| own == version)
    }
}
