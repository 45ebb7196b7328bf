use serde_json::json;

use super::*;

fn written_as(cpu: &str, memory: &str) -> Written {
    [("cpu", cpu), ("memory", memory), ("pods", "110")]
        .map(|(name, amount)| (name.to_owned(), amount.to_owned()))
        .into()
}

#[test]
fn what_pods_asked_for_is_not_available() {
    let (mut allocatable, mut requested) = (Amounts::new(), Amounts::new());
    for _ in 0..2 {
        add(&mut allocatable, &written_as("3920m", "8Gi"));
    }
    add(&mut requested, &written_as("500m", "1Gi"));
    add(&mut requested, &written_as("340m", "512Mi"));
    assert_eq!(
        written(&minus(allocatable, &requested)),
        BTreeMap::from([("cpu".into(), "7".into()), ("memory".into(), "14848Mi".into())])
    );
}

#[test]
fn of_a_page_of_pods_only_what_they_ask_for_is_read() {
    let page: Page<Pod> = serde_json::from_value(json!({
        "kind": "PodList", "metadata": { "continue": "more", "resourceVersion": "7" },
        "items": [
            { "metadata": { "name": "web" }, "spec": {
                "nodeName": "n1", "containers": [
                    { "name": "a", "resources": { "requests": { "cpu": "1" } } },
                    { "name": "b" },
                ],
            } },
            { "metadata": { "name": "waiting" }, "spec": { "containers": [] } },
        ],
    }))
    .unwrap();
    assert_eq!(page.metadata.next, "more");
    let items = page.items.unwrap();
    let [web, waiting] = &items[..] else { panic!("two pods") };
    assert_eq!((web.spec.node_name.as_str(), waiting.spec.node_name.as_str()), ("n1", ""));
    let [asks, asks_nothing] = &web.spec.containers[..] else { panic!("two containers") };
    assert_eq!(asks.resources.requests["cpu"], "1");
    assert!(asks_nothing.resources.requests.is_empty());
}

#[test]
fn amounts_are_told_by_their_public_names() {
    let mut probe = Probe::default();
    let mut amounts = Amounts::new();
    add(&mut amounts, &written_as("4", "16Gi"));
    tell(&mut probe, "total", &amounts);
    assert_eq!(
        probe.properties,
        BTreeMap::from([
            ("resources.kubernetes-fleet.io/total-cpu".into(), "4".into()),
            ("resources.kubernetes-fleet.io/total-memory".into(), "16Gi".into()),
        ])
    );
}

#[test]
fn the_checks_that_failed_are_named() {
    let answer = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]informer-sync failed: \
                  reason withheld\nreadyz check failed\n";
    assert_eq!(failed_checks(answer), ": etcd, informer-sync");
    assert_eq!(failed_checks("the server is unable to handle the request"), "");
}
