//! What a placement selects now, if that can be said: a plain function of what the index knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::selection::{
    Catalogue, GroupVersionKind, HubObject, KindInfo, Reach, Resolved, SelectionProblem,
    SelectionRules, resolve,
};
use events::placement::{LabelSelector, ResourceSelector};
use events::{ManifestRef, ObjectId, PlacementScope};

use crate::index::{Gap, Objects, Unknown};

/// What a placement selects.
#[derive(Debug)]
pub(super) enum Selected {
    /// These objects.
    Objects(Resolved),
    /// Its selectors cannot be followed.
    Problem(SelectionProblem),
    /// That cannot be said: it is not known what there is. What is not known must not look as if
    /// it were not there.
    Unknown(Vec<Gap>),
}

/// What selectors select at one moment. Only what they can reach has to be known for that. What is
/// in namespaces is taken in the versions that are to be kept.
pub(super) fn select(
    scope: &PlacementScope,
    selectors: &[ResourceSelector],
    kept: &BTreeSet<GroupVersionKind>,
    objects: &Objects,
    rules: &SelectionRules,
) -> Selected {
    let gaps = objects.gaps_within(&Reach::of(scope, selectors), kept);
    if !gaps.is_empty() {
        return Selected::Unknown(gaps);
    }
    match resolve(scope, selectors, &Keeping { objects, kept }, rules) {
        Ok(objects) => Selected::Objects(objects),
        Err(problem) => Selected::Problem(problem),
    }
}

/// The index, with what is in namespaces in the versions that are to be kept: a new version on the
/// hub, which members may not serve, changes nothing for what is placed.
struct Keeping<'a> {
    objects: &'a Objects,
    kept: &'a BTreeSet<GroupVersionKind>,
}

impl Catalogue for Keeping<'_> {
    fn kind(&self, kind: &GroupVersionKind) -> Option<KindInfo> {
        self.objects.kind(kind)
    }

    fn versions(&self, group: &str, kind: &str) -> Vec<String> {
        self.objects.versions(group, kind)
    }

    fn namespaced_kinds(&self) -> Vec<GroupVersionKind> {
        self.objects.contents(self.kept)
    }

    fn object(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<HubObject>> {
        self.objects.object(kind, namespace, name)
    }

    fn objects(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        labels: Option<&LabelSelector>,
    ) -> Vec<Arc<HubObject>> {
        self.objects.objects(kind, namespace, labels)
    }
}

/// Whether the namespace that selectors select in was there when the placement selected last. That
/// it went is a deletion like others, and no mistake in the selectors: what was in it goes too.
pub(super) fn is_gone_since(problem: &SelectionProblem, recorded: &[ManifestRef]) -> bool {
    let SelectionProblem::NamespaceNotThere { namespace, .. } = problem else { return false };
    let is_it =
        |id: &ObjectId| id.group.is_empty() && id.kind == "Namespace" && id.name == *namespace;
    recorded.iter().any(|manifest| is_it(&manifest.object))
}

/// The kinds of a recorded revision, in the versions in which they are recorded.
pub(super) fn kinds_of(recorded: &[ManifestRef]) -> BTreeSet<GroupVersionKind> {
    let kind = |manifest: &ManifestRef| {
        let id = &manifest.object;
        GroupVersionKind::new(&id.group, &id.version, &id.kind)
    };
    recorded.iter().map(kind).collect()
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
    let is_forgotten = |kind: &GroupVersionKind| {
        !objects.knows(&kind.group, &kind.kind) && !rules.kinds.excludes(kind)
    };
    kinds_of(recorded).into_iter().filter(is_forgotten).collect()
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
        let kept = BTreeSet::new();
        match select(&scope, selectors, &kept, objects, &SelectionRules::default()) {
            Selected::Objects(resolved) => {
                let names: Vec<&str> =
                    resolved.objects.iter().map(|it| it.id.name.as_str()).collect();
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
    fn a_namespace_that_went_is_a_deletion_and_one_that_never_was_a_mistake() {
        let of = |kind: &str, path: &str| {
            let object = object(&gvk("v1", kind), path).id;
            ManifestRef { object, content: ContentHash::of(b""), sealed: false }
        };
        let namespace = "shop".to_owned();
        let problem = SelectionProblem::NamespaceNotThere { selector: 1, namespace };
        assert!(is_gone_since(&problem, &[of("Namespace", "shop"), of("ConfigMap", "shop/a")]));
        assert!(!is_gone_since(&problem, &[of("Namespace", "bank")]));
        assert!(!is_gone_since(&problem, &[]));
        let other = SelectionProblem::NameAndLabels { selector: 1 };
        assert!(!is_gone_since(&other, &[of("Namespace", "shop")]));
    }

    #[test]
    fn regression_contents_stay_in_the_version_in_which_they_are_recorded() {
        let v2 = "example.com/v2 Gadget/";
        let mut objects = Objects::default();
        objects.adjust(discovered(&["v1 Namespace", v2, GADGETS], &[]));
        objects.want(&BTreeSet::from([gvk("example.com/v1", "Gadget")]));
        objects.adjust(discovered(&["v1 Namespace", v2, GADGETS], &[]));
        list(&mut objects, &gvk("v1", "Namespace"), &["shop"]);
        for version in ["v1", "v2"] {
            list(&mut objects, &gvk(&format!("example.com/{version}"), "Gadget"), &["shop/lamp"]);
        }
        let whole = [selector("v1", "Namespace", "shop")];
        let versions = |kept: &[GroupVersionKind]| {
            let kept = kept.iter().cloned().collect();
            let scope = PlacementScope::Cluster;
            match select(&scope, &whole, &kept, &objects, &SelectionRules::default()) {
                Selected::Objects(it) => {
                    it.objects.iter().map(|it| it.id.api_version()).collect::<Vec<_>>()
                }
                other @ (Selected::Problem(_) | Selected::Unknown(_)) => panic!("{other:?}"),
            }
        };
        assert_eq!(versions(&[]), ["v1", "example.com/v2"]);
        assert_eq!(versions(&[gvk("example.com/v1", "Gadget")]), ["v1", "example.com/v1"]);
        assert_eq!(versions(&[gvk("example.com/v0", "Gadget")]), ["v1", "example.com/v2"]);
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
