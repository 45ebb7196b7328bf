//! What a placement selects now, if that can be said: a plain function of what the index knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::selection::{
    GroupVersionKind, HubObject, Reach, SelectionProblem, SelectionRules, resolve,
};
use events::placement::ResourceSelector;
use events::{ManifestRef, PlacementScope};

use crate::index::{Gap, Objects, Unknown};

/// What a placement selects.
#[derive(Debug)]
pub(super) enum Selected {
    /// These objects.
    Objects(Vec<Arc<HubObject>>),
    /// Its selectors cannot be followed.
    Problem(SelectionProblem),
    /// That cannot be said: it is not known what there is. What is not known must not look as if
    /// it were not there.
    Unknown(Vec<Gap>),
}

/// What selectors select at one moment. Only what they can reach has to be known for that.
pub(super) fn select(
    scope: &PlacementScope,
    selectors: &[ResourceSelector],
    objects: &Objects,
    rules: &SelectionRules,
) -> Selected {
    let gaps = objects.gaps_within(&Reach::of(scope, selectors));
    if !gaps.is_empty() {
        return Selected::Unknown(gaps);
    }
    match resolve(scope, selectors, objects, rules) {
        Ok(objects) => Selected::Objects(objects),
        Err(problem) => Selected::Problem(problem),
    }
}

/// What is in the way, for people; `None` while it is only early.
pub(super) fn obstacle(gaps: &[Gap]) -> Option<String> {
    let mut tried = gaps.iter().filter(|gap| gap.error.is_some());
    let first = tried.next()?;
    let others = match tried.count() {
        0 => String::new(),
        others => format!(" (and {others} more like this)"),
    };
    Some(format!(
        "it cannot be said what is selected, so that nothing is changed for now: {first}{others}"
    ))
}

/// Kinds of a recorded revision that the index has never heard of since the hub started. Whether
/// they are gone has to be asked before anything is decided without them.
pub(super) fn forgotten(
    recorded: &[ManifestRef],
    objects: &Objects,
    rules: &SelectionRules,
) -> BTreeSet<GroupVersionKind> {
    let kinds = recorded.iter().map(|manifest| {
        let id = &manifest.object;
        GroupVersionKind::new(&id.group, &id.version, &id.kind)
    });
    let kinds: BTreeSet<GroupVersionKind> = kinds.collect();
    let is_forgotten = |kind: &GroupVersionKind| {
        !objects.knows(&kind.group, &kind.kind) && !rules.kinds.excludes(kind)
    };
    kinds.into_iter().filter(is_forgotten).collect()
}

/// The gap that a forgotten kind is, as long as it may still be there.
pub(super) fn unheard(kind: GroupVersionKind, error: Option<&kube::Error>) -> Gap {
    let error = match error {
        None => "it is served, but not among what the API server lists yet".to_owned(),
        Some(error) => format!("whoever serves it does not answer: {error}"),
    };
    Gap { about: Unknown::Objects(kind), error: Some(error) }
}

#[cfg(test)]
mod tests {
    use events::ContentHash;
    use events::placement::SelectionScope;

    use super::*;
    use crate::index::testing::{discovered, gvk, list, object};

    const GADGETS: &str = "example.com/v1 Gadget/";

    fn selector(api_version: &str, kind: &str, name: &str) -> ResourceSelector {
        let GroupVersionKind { group, version, kind } = gvk(api_version, kind);
        let scope = SelectionScope::NamespaceWithResources;
        ResourceSelector { group, version, kind, name: name.to_owned(), labels: None, scope }
    }

    fn select_in_words(selectors: &[ResourceSelector], objects: &Objects) -> String {
        let scope = PlacementScope::Cluster;
        match select(&scope, selectors, objects, &SelectionRules::default()) {
            Selected::Objects(objects) => {
                let names: Vec<&str> = objects.iter().map(|it| it.id.name.as_str()).collect();
                format!("selects {}", names.join(", "))
            }
            Selected::Problem(problem) => format!("refused: {problem}"),
            Selected::Unknown(gaps) => match obstacle(&gaps) {
                None => "waits".to_owned(),
                Some(obstacle) => format!("waits and says: {obstacle}"),
            },
        }
    }

    /// A hub with a namespace `shop` and what is in it, with a kind that cannot be listed and a
    /// silent group.
    fn hub(silent: &[&str]) -> Objects {
        let mut objects = Objects::default();
        objects.adjust(discovered(&["v1 Namespace", "v1 ConfigMap/", GADGETS], silent));
        list(&mut objects, &gvk("v1", "Namespace"), &["shop"]);
        list(&mut objects, &gvk("v1", "ConfigMap"), &["shop/settings"]);
        objects
    }

    #[test]
    fn regression_only_what_selectors_reach_has_to_be_known() {
        let whole = selector("v1", "Namespace", "shop");
        let alone = ResourceSelector { scope: SelectionScope::NamespaceOnly, ..whole.clone() };
        let thing = selector("far.example.com/v1", "Thing", "");
        let starting = Objects::default();
        assert_eq!(select_in_words(std::slice::from_ref(&alone), &starting), "waits");

        let mut objects = hub(&[]);
        let gadget = gvk("example.com/v1", "Gadget");
        assert_eq!(select_in_words(std::slice::from_ref(&alone), &objects), "selects shop");
        assert_eq!(select_in_words(std::slice::from_ref(&whole), &objects), "waits");
        let refused = select_in_words(std::slice::from_ref(&thing), &objects);
        assert!(
            refused.starts_with("refused: ") && refused.contains("serves no kind"),
            "{refused}"
        );

        objects.not_listed(&gadget, "gadgets is forbidden (403)".to_owned());
        assert_eq!(select_in_words(std::slice::from_ref(&alone), &objects), "selects shop");
        let says = select_in_words(std::slice::from_ref(&whole), &objects);
        for part in ["Gadget (example.com/v1)", "gadgets is forbidden (403)", "skipped_apis"] {
            assert!(says.starts_with("waits and says: ") && says.contains(part), "{says}");
        }
        list(&mut objects, &gadget, &["shop/lamp"]);
        assert_eq!(
            select_in_words(std::slice::from_ref(&whole), &objects),
            "selects shop, settings, lamp"
        );
    }

    #[test]
    fn regression_a_silent_group_is_not_an_empty_one() {
        let mut objects = hub(&["far.example.com/v1"]);
        list(&mut objects, &gvk("example.com/v1", "Gadget"), &[]);
        let alone = ResourceSelector {
            scope: SelectionScope::NamespaceOnly,
            ..selector("v1", "Namespace", "shop")
        };
        assert_eq!(select_in_words(&[alone], &objects), "selects shop");
        for waiting in
            [selector("v1", "Namespace", "shop"), selector("far.example.com/v1", "Thing", "")]
        {
            let says = select_in_words(&[waiting], &objects);
            assert!(says.contains("far.example.com/v1 on the hub does not answer"), "{says}");
        }
    }

    #[test]
    fn kinds_of_a_recorded_revision_are_not_forgotten() {
        let recorded = |api_version: &str, kind: &str| {
            let object = object(&gvk(api_version, kind), "shop/it").id;
            ManifestRef { object, content: ContentHash::of(b""), sealed: false }
        };
        let revision = [
            recorded("v1", "ConfigMap"),
            recorded("example.com/v0", "Gadget"),
            recorded("far.example.com/v1", "Thing"),
            recorded("v1", "Pod"),
        ];
        // A kind that is known in another version is known, one that is never placed not missed.
        let forgotten = forgotten(&revision, &hub(&[]), &SelectionRules::default());
        assert_eq!(forgotten, BTreeSet::from([gvk("far.example.com/v1", "Thing")]));
        let gap = unheard(gvk("far.example.com/v1", "Thing"), None);
        let says = obstacle(&[gap]).unwrap();
        assert!(says.contains("Thing (far.example.com/v1)"), "{says}");
    }
}
