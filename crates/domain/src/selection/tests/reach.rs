//! Which kinds have to be known.

use events::PlacementScope;

use super::catalogue::{all, inside, named, only, picking};
use crate::selection::Reach;

#[test]
fn selectors_reach_what_they_name_and_whole_namespaces_everything_in_them() {
    let cluster = PlacementScope::Cluster;
    let namespace = "Namespace (v1)";
    let cases = [
        (&cluster, vec![named("Namespace", "shop")], vec![namespace], true),
        (&cluster, vec![only(named("Namespace", "shop"))], vec![namespace], false),
        (
            &cluster,
            vec![all("ClusterRole")],
            vec!["ClusterRole (rbac.authorization.k8s.io/v1)"],
            false,
        ),
        (
            &cluster,
            vec![picking(named("Namespace", "shop")), all("ConfigMap")],
            vec!["ConfigMap (v1)", namespace],
            false,
        ),
        (&inside("shop"), vec![all("Endpoints")], vec!["Endpoints (v1)", "Service (v1)"], false),
        (&inside("shop"), vec![named("Namespace", "shop")], vec![namespace], false),
    ];
    for (scope, selectors, kinds, contents) in cases {
        let reach = Reach::of(scope, &selectors);
        let named: Vec<String> = reach.kinds.iter().map(ToString::to_string).collect();
        assert_eq!(
            (named, reach.contents),
            (kinds.iter().map(ToString::to_string).collect(), contents)
        );
    }
}
