//! How people name things on the command line.

use events::{AggregateId, PlacementKey};
use jiff::{SignedDuration, Timestamp};

use crate::usage::Usage;

/// How placements can be named.
const PLACEMENT_FORMS: &str = "NAME for a ClusterResourcePlacement, NAMESPACE/NAME for a \
                               ResourcePlacement (crp/NAME and rp/NAMESPACE/NAME work too)";

/// How everything with a history can be named.
const AGGREGATE_FORMS: &str =
    "cluster/NAME, placement/NAME, placement/NAMESPACE/NAME, crp/NAME, rp/NAMESPACE/NAME or fleet";

/// A placement: `web`, `crp/web`, `team-a/web`, `rp/team-a/web`, `cluster/web`, `ns.team-a/web`.
///
/// # Errors
/// What was expected.
pub fn placement(text: &str) -> Result<PlacementKey, Usage> {
    let parts: Vec<&str> = text.split('/').collect();
    let is_whole = parts.iter().all(|part| !part.is_empty());
    let unknown = || {
        Err(Usage::new(format!("{text:?} names no placement"), format!("write {PLACEMENT_FORMS}")))
    };
    match parts[..] {
        _ if !is_whole => unknown(),
        ["placement", ref rest @ ..] if !rest.is_empty() => placement(&rest.join("/")),
        [name] | ["crp" | "clusterresourceplacement" | "cluster", name] => {
            Ok(PlacementKey::cluster(name))
        }
        ["rp" | "resourceplacement", _] => unknown(),
        ["rp" | "resourceplacement", namespace, name] | [namespace, name] => {
            let namespace = namespace.strip_prefix("ns.").unwrap_or(namespace);
            Ok(PlacementKey::namespaced(namespace, name))
        }
        _ => unknown(),
    }
}

/// A placement as people write it: `web`, or `team-a/web`. What is no placement stays as it is.
#[must_use]
pub fn short(placement: &str) -> &str {
    let named = placement.strip_prefix("cluster/").or_else(|| placement.strip_prefix("ns."));
    named.unwrap_or(placement)
}

/// Anything with a history: `cluster/eu-1`, `placement/web`, `crp/web`, `rp/team-a/web`, `fleet`.
///
/// # Errors
/// What was expected.
pub fn aggregate(text: &str) -> Result<AggregateId, Usage> {
    let unknown = || {
        let what = format!("{text:?} names nothing with a history");
        Usage::new(what, format!("write {AGGREGATE_FORMS}"))
    };
    match text.split_once('/') {
        None if text == "fleet" => Ok(AggregateId::Fleet),
        Some(("cluster" | "mc" | "membercluster", name))
            if !name.is_empty() && !name.contains('/') =>
        {
            Ok(AggregateId::Cluster(name.to_owned()))
        }
        Some((
            "placement" | "crp" | "clusterresourceplacement" | "rp" | "resourceplacement",
            _,
        )) => placement(text).map(AggregateId::Placement).map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

/// A time: `10m` (ago), or `2026-01-31T14:03:00Z`.
///
/// # Errors
/// What was expected.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, Usage> {
    let ago = || {
        let ago: SignedDuration = text.parse().ok()?;
        now.checked_sub(ago).ok()
    };
    text.parse().ok().or_else(ago).ok_or_else(|| {
        Usage::new(format!("{text:?} is no time"), "write 10m (ago) or 2026-01-31T14:03:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_have_short_and_long_names() {
        let table = [
            ("web", Some("cluster/web")),
            ("crp/web", Some("cluster/web")),
            ("cluster/web", Some("cluster/web")),
            ("placement/web", Some("cluster/web")),
            ("team-a/web", Some("ns.team-a/web")),
            ("ns.team-a/web", Some("ns.team-a/web")),
            ("rp/team-a/web", Some("ns.team-a/web")),
            ("placement/team-a/web", Some("ns.team-a/web")),
            ("placement/cluster/web", Some("cluster/web")),
            ("", None),
            ("rp/web", None),
            ("web/", None),
            ("a/b/c/d", None),
        ];
        for (text, expected) in table {
            let key = placement(text).ok().map(|key| key.to_string());
            assert_eq!(key.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn short_names_lead_back() {
        for text in ["web", "team-a/web"] {
            let key = placement(text).unwrap().to_string();
            assert_eq!(short(&key), text);
        }
    }

    #[test]
    fn histories_are_named_by_kind() {
        let table = [
            ("cluster/eu-1", Some("cluster/eu-1")),
            ("mc/eu-1", Some("cluster/eu-1")),
            ("crp/web", Some("placement/cluster/web")),
            ("rp/team-a/web", Some("placement/ns.team-a/web")),
            ("placement/ns.team-a/web", Some("placement/ns.team-a/web")),
            ("fleet", Some("fleet")),
            ("web", None),
            ("pod/web", None),
            ("cluster/", None),
        ];
        for (text, expected) in table {
            let id = aggregate(text).ok().map(|id| id.to_string());
            assert_eq!(id.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn times_are_moments_or_ages() {
        let now: Timestamp = "2026-01-31T14:03:00Z".parse().unwrap();
        let shown = |text| since(text, now).map(|time| time.to_string());
        assert_eq!(shown("10m").unwrap(), "2026-01-31T13:53:00Z");
        assert_eq!(shown("2026-01-01T00:00:00Z").unwrap(), "2026-01-01T00:00:00Z");
        assert!(shown("soon").is_err());
    }
}
