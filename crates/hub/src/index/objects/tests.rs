//! What the index knows, what it does not, and what makes it forget.

use std::collections::BTreeSet;

use domain::selection::{Catalogue, Reach};

use crate::index::testing::{discovered, gvk, knowing, list, object};
use crate::index::{Adjustment, Objects};

/// An adjustment in words.
fn told(adjustment: &Adjustment) -> Vec<String> {
    let Adjustment { added, replaced, missing } = adjustment;
    let added = added.iter().map(|kind| format!("+ {}", kind.kind));
    let replaced = replaced.iter().map(|kind| format!("- {kind}"));
    let missing = missing.iter().map(|kind| format!("? {kind}"));
    added.chain(replaced).chain(missing).collect()
}

fn gaps(objects: &Objects) -> Vec<String> {
    objects.gaps().iter().map(ToString::to_string).collect()
}

const GADGETS: &str = "example.com/v1 Gadget/";

#[test]
fn kinds_come_and_move_and_are_asked_for_when_nobody_mentions_them() {
    let known = ["v1 Namespace", GADGETS];
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        ("nothing new", &known, &[], &[]),
        (
            "a new kind",
            &["v1 Namespace", GADGETS, "apps/v1 Deployment/"],
            &[],
            &["+ Deployment (apps/v1)"],
        ),
        ("a kind is not mentioned", &["v1 Namespace"], &[], &["? Gadget (example.com/v1)"]),
        ("whoever serves it is silent", &["v1 Namespace"], &["example.com/v1"], &[]),
        (
            "another version is preferred",
            &["v1 Namespace", "example.com/v2 Gadget/"],
            &[],
            &["+ Gadget (example.com/v2)", "- Gadget (example.com/v1)"],
        ),
        (
            "another version is served as well",
            &["v1 Namespace", GADGETS, "example.com/v2 Gadget/"],
            &[],
            &[],
        ),
        (
            "the known version is silent, another is there",
            &["v1 Namespace", "example.com/v1beta1 Gadget/"],
            &["example.com/v1"],
            &[],
        ),
        (
            "it was made anew with another scope",
            &["v1 Namespace", "example.com/v1 Gadget"],
            &[],
            &["+ Gadget (example.com/v1)"],
        ),
        ("nothing at all", &[], &[], &["? Namespace (v1)", "? Gadget (example.com/v1)"]),
    ];
    for (case, kinds, silent, wanted) in cases {
        let mut objects = knowing(&known);
        let adjustment = objects.adjust(discovered(kinds, silent));
        assert_eq!(told(&adjustment), wanted, "{case}");
    }
}

#[test]
fn regression_a_kind_that_is_not_mentioned_keeps_its_objects() {
    let gadget = gvk("example.com/v1", "Gadget");
    let mut objects = knowing(&["v1 Namespace", GADGETS]);
    list(&mut objects, &gadget, &["shop/lamp"]);
    for (kinds, silent) in [(vec!["v1 Namespace"], vec![]), (vec![], vec!["example.com/v1"])] {
        objects.adjust(discovered(&kinds, &silent));
        assert_eq!(objects.objects(&gadget, Some("shop"), None).len(), 1);
        assert_eq!(objects.namespaced_kinds(), std::slice::from_ref(&gadget));
    }
    let moves = objects.moves();
    objects.remove_kind(&gadget);
    assert!(objects.kind(&gadget).is_none());
    assert_eq!(objects.moves(), moves + 1);
}

#[test]
fn regression_a_kind_that_moves_to_another_version_is_never_taken_for_absent() {
    let mut objects = knowing(&[GADGETS]);
    list(&mut objects, &gvk("example.com/v1", "Gadget"), &["shop/lamp"]);
    assert!(gaps(&objects).is_empty());
    objects.adjust(discovered(&["example.com/v2 Gadget/"], &[]));
    let gadget = gvk("example.com/v2", "Gadget");
    assert_eq!(objects.namespaced_kinds(), std::slice::from_ref(&gadget));
    assert_eq!(
        gaps(&objects),
        ["the objects of Gadget (example.com/v2) on the hub are not listed yet"]
    );
    list(&mut objects, &gadget, &["shop/lamp"]);
    assert!(gaps(&objects).is_empty());
}

#[test]
fn what_is_not_known_is_told_with_what_to_do() {
    let mut objects = Objects::default();
    assert_eq!(gaps(&objects), ["the kinds of the hub are not known yet"]);
    assert!(objects.not_discovered("no".to_owned()), "it is news");
    assert!(!objects.not_discovered("no".to_owned()), "it is no news");
    let [only] = &gaps(&objects)[..] else { panic!("one gap") };
    assert!(only.contains("serves: no; see what is wrong with: kubectl api-resources"), "{only}");

    objects.adjust(discovered(&[GADGETS], &["far.example.com/v1", "example.com/v1"]));
    assert!(!objects.not_discovered("no".to_owned()), "what was known counts");
    let gadget = gvk("example.com/v1", "Gadget");
    assert!(objects.not_listed(&gadget, "forbidden (403)".to_owned()));
    assert!(!objects.not_listed(&gadget, "forbidden (403)".to_owned()));
    // Of example.com somebody has told before what there is.
    let [silent, unlisted] = &gaps(&objects)[..] else { panic!("two gaps") };
    assert!(silent.contains("kubectl describe apiservice v1.far.example.com"), "{silent}");
    assert!(unlisted.contains("Gadget (example.com/v1)"), "{unlisted}");
    assert!(
        unlisted.contains("forbidden (403)") && unlisted.contains("skipped_apis"),
        "{unlisted}"
    );

    list(&mut objects, &gadget, &[]);
    assert!(!objects.not_listed(&gadget, "broken".to_owned()), "what was seen last counts");
    assert_eq!(gaps(&objects), std::slice::from_ref(silent));
}

#[test]
fn only_gaps_within_reach_matter() {
    let mut objects = Objects::default();
    let kinds = ["v1 Namespace", "v1 ConfigMap/", GADGETS, "example.com/v1 Lamp"];
    objects.adjust(discovered(&kinds, &["far.example.com/v1"]));
    list(&mut objects, &gvk("v1", "Namespace"), &[]);
    list(&mut objects, &gvk("v1", "ConfigMap"), &[]);
    let (far, gadget, lamp) =
        ("far.example.com/v1", "Gadget (example.com/v1)", "Lamp (example.com/v1)");
    let cases = [
        (vec![gvk("v1", "Namespace")], false, vec![]),
        (vec![gvk("v1", "Namespace")], true, vec![far, gadget]),
        (vec![gvk("example.com/v1", "Lamp")], false, vec![lamp]),
        (vec![gvk("far.example.com/v1", "Thing")], false, vec![far]),
        (vec![gvk("far.example.com/v2", "Thing")], false, vec![]),
    ];
    for (kinds, contents, wanted) in cases {
        let reach = Reach { kinds: BTreeSet::from_iter(kinds), contents };
        let gaps: Vec<String> =
            objects.gaps_within(&reach, &BTreeSet::new()).iter().map(ToString::to_string).collect();
        assert_eq!(gaps.len(), wanted.len(), "{reach:?}: {gaps:?}");
        for (gap, wanted) in gaps.iter().zip(wanted) {
            assert!(gap.contains(wanted), "{reach:?}: {gap}");
        }
    }
}

#[test]
fn changes_tell_what_was_and_what_is() {
    let gadget = gvk("example.com/v1", "Gadget");
    let mut objects = knowing(&[GADGETS]);
    let came = objects.apply(&gadget, object(&gadget, "shop/lamp")).unwrap();
    assert_eq!((came.before.is_some(), came.after.is_some()), (false, true));
    assert_eq!(objects.apply(&gadget, object(&gadget, "shop/lamp")), None, "nothing is different");
    objects.apply(&gadget, object(&gadget, "shop/bulb"));

    // A complete list says what is gone.
    let seen = BTreeSet::from([("shop".to_owned(), "lamp".to_owned())]);
    let gone = objects.listed(&gadget, &seen);
    let gone: Vec<_> = gone.iter().map(|it| (it.name.as_str(), it.after.is_some())).collect();
    assert_eq!(gone, [("bulb", false)]);
    let gone = objects.delete(&gadget, "shop", "lamp").unwrap();
    assert_eq!((gone.before.is_some(), gone.after.is_some()), (true, false));
    assert_eq!(objects.delete(&gadget, "shop", "lamp"), None);
    assert!(objects.is_empty());
}

/// An operator upgrade adds a version, which is preferred from then on.
#[test]
fn regression_a_version_that_placements_ask_for_is_kept_as_long_as_it_is_served() {
    let (v1, v2) = (gvk("example.com/v1", "Gadget"), gvk("example.com/v2", "Gadget"));
    let both = ["example.com/v2 Gadget/", GADGETS];
    let mut objects = knowing(&[GADGETS]);
    list(&mut objects, &v1, &["shop/lamp"]);
    assert!(!objects.want(&BTreeSet::from([v1.clone()])), "it is watched");

    let adjustment = objects.adjust(discovered(&both, &[]));
    assert_eq!(told(&adjustment), ["+ Gadget (example.com/v2)"]);
    assert_eq!(objects.objects(&v1, Some("shop"), None).len(), 1);
    let reach = Reach { kinds: BTreeSet::new(), contents: true };
    let kept = BTreeSet::from([v1.clone()]);
    assert_eq!(objects.contents(&kept), std::slice::from_ref(&v1));
    assert!(objects.gaps_within(&reach, &kept).is_empty(), "nobody waits for the other version");
    assert_eq!(objects.namespaced_kinds(), std::slice::from_ref(&v2));
    assert_eq!(objects.gaps_within(&reach, &BTreeSet::new()).len(), 1);

    // The version goes, and what it was called does not matter any more.
    let adjustment = objects.adjust(discovered(&["example.com/v2 Gadget/"], &[]));
    assert_eq!(told(&adjustment), ["- Gadget (example.com/v1)"]);
    assert_eq!(objects.contents(&kept), [v2]);
    assert_eq!(objects.versions("example.com", "Gadget"), ["example.com/v2"]);
    assert!(objects.kind(&v1).is_none());
}

#[test]
fn contents_are_not_gone_because_one_of_two_versions_is() {
    let (v1, v2) = (gvk("example.com/v1", "Gadget"), gvk("example.com/v2", "Gadget"));
    let both = ["example.com/v2 Gadget/", GADGETS];
    let mut objects = knowing(&both);
    objects.want(&BTreeSet::from([v1.clone()]));
    objects.adjust(discovered(&both, &[]));
    // Neither is mentioned, and only about one of them there is an answer.
    objects.adjust(discovered(&[], &[]));
    objects.remove_kind(&v2);
    assert_eq!(objects.namespaced_kinds(), [v1]);
}

#[test]
fn a_version_is_watched_once_somebody_asks_for_it() {
    let v1 = gvk("example.com/v1", "Gadget");
    let wanted = BTreeSet::from([v1.clone(), gvk("example.com/v7", "Gadget")]);
    let both = ["example.com/v2 Gadget/", GADGETS];
    let mut objects = knowing(&both);
    list(&mut objects, &gvk("example.com/v2", "Gadget"), &["shop/lamp"]);
    assert_eq!(objects.versions("example.com", "Gadget"), ["example.com/v1", "example.com/v2"]);
    assert!(objects.kind(&v1).is_none());
    // That nothing is known of it is a gap: it must not look as if there were nothing.
    let reach = Reach { kinds: wanted.clone(), contents: false };
    assert_eq!(objects.gaps_within(&reach, &BTreeSet::new()).len(), 1);

    assert!(!objects.wants(&wanted));
    assert!(objects.want(&wanted));
    let moves = objects.moves();
    assert_eq!(told(&objects.adjust(discovered(&both, &[]))), ["+ Gadget (example.com/v1)"]);
    assert_eq!(objects.moves(), moves, "nobody else is concerned");
    assert!(objects.wants(&wanted), "what is not served cannot be asked for");
    assert_eq!(objects.gaps_within(&reach, &BTreeSet::new()).len(), 1, "it is not listed yet");
    list(&mut objects, &v1, &["shop/lamp"]);
    assert!(objects.gaps_within(&reach, &BTreeSet::new()).is_empty());
    assert_eq!(objects.objects(&v1, Some("shop"), None)[0].id.version, "v1");
    assert_eq!(objects.namespaced_kinds().len(), 1);
    assert_eq!(told(&objects.adjust(discovered(&both, &[]))), [""; 0]);
}
