//! What a consumer is told, whatever the API server answers.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use super::core::{Core, Failure, Question, Told};

fn map(name: &str, version: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.namespace = Some("shop".to_owned());
    map.metadata.name = Some(name.to_owned());
    map.metadata.resource_version = Some(version.to_owned());
    map
}

fn page(core: &mut Core<ConfigMap>, names: &[&str], after: Option<&str>, version: &str) {
    let items = names.iter().map(|name| map(name, "1")).collect();
    core.page(items, after.map(str::to_owned), Some(version.to_owned()));
}

fn refused(code: u16) -> Failure {
    Failure { code: Some(code), reason: format!("no ({code})") }
}

/// What the consumer is told, in words.
fn told(core: &mut Core<ConfigMap>) -> Vec<String> {
    let in_words = |told| match told {
        Told::There(map) => format!("there {}", ConfigMap::name_any(&map)),
        Told::Deleted(map) => format!("deleted {}", map.name_any()),
        Told::Complete(names) => {
            let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
            format!("complete: {}", names.join(" "))
        }
        Told::Failing(reason) => format!("failing: {reason}"),
    };
    std::iter::from_fn(|| core.next_told()).map(in_words).collect()
}

fn list(after: Option<&str>) -> Question {
    Question::List { after: after.map(str::to_owned) }
}

fn watch(since: &str) -> Question {
    Question::Watch { since: since.to_owned() }
}

/// A watch that has listed `a` and `b` at version 10.
fn watching() -> Core<ConfigMap> {
    let mut core = Core::new();
    page(&mut core, &["a", "b"], None, "10");
    core.watching();
    assert_eq!(told(&mut core), ["there a", "there b", "complete: a b"]);
    core
}

#[test]
fn pages_are_one_list_and_changes_follow_it() {
    let mut core = Core::new();
    assert_eq!(core.question(), list(None));
    page(&mut core, &["a"], Some("more"), "10");
    assert_eq!(
        (told(&mut core), core.question()),
        (vec!["there a".to_owned()], list(Some("more")))
    );
    page(&mut core, &["b"], Some(""), "10");
    assert_eq!(told(&mut core), ["there b", "complete: a b"]);
    assert_eq!(core.question(), watch("10"));

    core.watching();
    core.changed(map("c", "11"));
    core.deleted(map("a", "12"));
    core.reached(Some("20".to_owned()));
    assert_eq!(told(&mut core), ["there c", "deleted a"]);
    core.ended(Duration::from_secs(290));
    assert_eq!((core.question(), core.wait()), (watch("20"), Duration::ZERO));
}

#[test]
fn a_list_after_a_gap_names_what_is_there_and_nothing_else() {
    let mut core = watching();
    core.failed(refused(410));
    assert_eq!((told(&mut core), core.question()), (vec![], list(None)));
    assert_eq!((core.is_failing(), core.wait()), (false, Duration::ZERO));
    page(&mut core, &["b"], None, "30");
    assert_eq!(told(&mut core), ["there b", "complete: b"]);
}

#[test]
fn a_list_that_breaks_off_is_not_taken_for_complete() {
    let mut core = Core::new();
    page(&mut core, &["a"], Some("more"), "10");
    core.failed(refused(500));
    assert_eq!(told(&mut core), ["there a", "failing: no (500)"]);
    assert_eq!(core.question(), list(None));
    page(&mut core, &["b"], None, "11");
    assert_eq!(told(&mut core), ["there b", "complete: b"], "the first page counts no more");
}

#[test]
fn a_watch_that_breaks_goes_on_where_it_was_and_waits_longer_each_time() {
    let mut core = watching();
    core.changed(map("a", "11"));
    let mut waits = vec![];
    for _ in 0..8 {
        core.failed(refused(503));
        waits.push(core.wait().as_millis());
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    assert_eq!(core.question(), watch("11"));
    core.watching();
    assert_eq!((core.is_failing(), core.wait()), (false, Duration::ZERO));
}

#[test]
fn pages_that_expire_again_and_again_are_not_asked_for_without_pause() {
    let mut core = Core::<ConfigMap>::new();
    core.failed(refused(410));
    core.failed(refused(410));
    assert_eq!((core.question(), core.wait()), (list(None), Duration::from_millis(500)));
}

#[test]
fn a_watch_that_is_ended_at_once_is_not_opened_without_pause() {
    let mut core = watching();
    core.ended(Duration::from_millis(3));
    assert_eq!(core.wait(), Duration::from_millis(250));
    core.ended(Duration::from_secs(2));
    assert_eq!(core.wait(), Duration::ZERO);
}

#[test]
fn a_list_without_a_version_is_an_error() {
    let mut core = Core::new();
    core.page(vec![map("a", "1")], None, None);
    assert_eq!(told(&mut core), ["there a", "failing: a list of the API server has no version"]);
    assert_eq!(core.question(), list(None));
}
