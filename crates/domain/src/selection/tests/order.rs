//! The order of objects.

use events::ObjectId;
use proptest::prelude::*;

use crate::selection::install_order;

fn object(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
    ObjectId {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn sorted(mut objects: Vec<ObjectId>) -> Vec<String> {
    objects.sort_by(install_order);
    objects.iter().map(ToString::to_string).collect()
}

#[test]
fn what_others_need_comes_first_and_unknown_kinds_last() {
    let objects = vec![
        object("b.example.com", "Widget", "web", "w"),
        object("a.example.com", "Widget", "web", "w"),
        object("a.example.com", "Gadget", "web", "g"),
        object("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "v"),
        object("apps", "Deployment", "web", "d"),
        object("", "Service", "web", "s"),
        object("rbac.authorization.k8s.io", "RoleBinding", "web", "rb"),
        object("rbac.authorization.k8s.io", "Role", "web", "r"),
        object("apiextensions.k8s.io", "CustomResourceDefinition", "", "crd"),
        object("", "ConfigMap", "web", "b"),
        object("", "ConfigMap", "web", "a"),
        object("", "ConfigMap", "app", "c"),
        object("", "Secret", "web", "z"),
        object("", "Namespace", "", "web"),
        object("scheduling.k8s.io", "PriorityClass", "", "p"),
    ];
    let expected = [
        "PriorityClass p",
        "Namespace web",
        "Secret web/z",
        "ConfigMap app/c",
        "ConfigMap web/a",
        "ConfigMap web/b",
        "CustomResourceDefinition crd",
        "Role web/r",
        "RoleBinding web/rb",
        "Service web/s",
        "Deployment web/d",
        "ValidatingWebhookConfiguration v",
        "Gadget web/g",
        "Widget web/w",
        "Widget web/w",
    ];
    assert_eq!(sorted(objects), expected);
}

#[test]
fn a_custom_kind_with_a_built_in_name_is_an_unknown_kind() {
    let objects = vec![
        object("serving.example.com", "Service", "web", "theirs"),
        object("apps", "Deployment", "web", "d"),
        object("", "Service", "web", "ours"),
    ];
    assert_eq!(sorted(objects), ["Service web/ours", "Deployment web/d", "Service web/theirs"]);
}

#[test]
fn groups_come_before_kinds_among_unknown_kinds() {
    let mut objects =
        [object("b.example.com", "Alpha", "", "x"), object("a.example.com", "Omega", "", "x")];
    objects.sort_by(install_order);
    assert_eq!(objects[0].group, "a.example.com");
}

proptest! {
    /// The order is total, so the list of a revision does not depend on how it was collected.
    #[test]
    fn only_equal_objects_compare_equal(
        names in prop::collection::vec(("[a-c]", "(Service|Widget|Secret)", "[a-b]?", "[a-b]"), 2..8)
    ) {
        let objects: Vec<_> = names.iter().map(|(g, k, ns, n)| object(g, k, ns, n)).collect();
        for (a, b) in objects.iter().zip(objects.iter().skip(1)) {
            prop_assert_eq!(install_order(a, b).is_eq(), a == b);
            prop_assert_eq!(install_order(a, b), install_order(b, a).reverse());
        }
    }
}
