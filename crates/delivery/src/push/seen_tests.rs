//! The watches on a member, played by hand: what is told of each delivery.

use serde_json::json;

use super::*;

fn kind() -> Kind {
    ("apps".to_owned(), "Deployment".to_owned())
}

fn id(name: &str) -> ObjectId {
    ObjectId {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "ns".to_owned(),
        name: name.to_owned(),
    }
}

/// A deployment of one replica at this resource version.
fn deployment(name: &str, version: u64, is_available: bool) -> Value {
    let available = u64::from(is_available);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": "ns", "generation": 1,
            "resourceVersion": version.to_string(),
        },
        "spec": { "replicas": 1 },
        "status": {
            "observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": available,
        },
    })
}

fn delivery(generation: u64, names: &[&str]) -> Delivery {
    Delivery {
        placement: PlacementKey::cluster("p"),
        work: "p-work".to_owned(),
        generation,
        watched: names.iter().map(|name| id(name)).collect(),
        untracked: 0,
    }
}

/// What is told next: the generation and the objects that are waited for.
fn told(seen: &mut Seen) -> Option<(u64, Vec<String>)> {
    let observation = seen.next_observation("m")?;
    assert_eq!((observation.cluster.as_str(), observation.work.as_str()), ("m", "p-work"));
    let waiting = observation.availability.waiting;
    Some((observation.generation, waiting.into_iter().map(|failure| failure.object.name).collect()))
}

fn waiting(availability: &DeliveryAvailability) -> Vec<&str> {
    availability.waiting.iter().map(|failure| failure.object.name.as_str()).collect()
}

#[test]
fn a_change_is_told_once() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 1, false));
    assert_eq!(waiting(&seen.follow(delivery(1, &["web"]))), ["web"]);
    assert_eq!(told(&mut seen), None, "the delivery itself has said so");
    seen.note(&kind(), &deployment("web", 2, true));
    assert_eq!(told(&mut seen), Some((1, vec![])));
    assert_eq!(told(&mut seen), None);
    seen.note(&kind(), &deployment("web", 3, true));
    assert_eq!(told(&mut seen), None, "nothing that matters has changed");
}

#[test]
fn of_several_changes_only_the_outcome_is_told() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 1, false));
    seen.note(&kind(), &deployment("db", 1, false));
    seen.follow(delivery(1, &["web", "db"]));
    seen.note(&kind(), &deployment("web", 2, true));
    seen.note(&kind(), &deployment("db", 3, true));
    assert_eq!(told(&mut seen), Some((1, vec![])));
    assert_eq!(told(&mut seen), None);
    seen.note(&kind(), &deployment("web", 4, false));
    seen.note(&kind(), &deployment("web", 5, true));
    assert_eq!(told(&mut seen), None, "it went and came back before anybody listened");
}

#[test]
fn a_watch_that_lags_behind_the_write_changes_nothing() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 7, false));
    seen.follow(delivery(1, &["web"]));
    seen.note(&kind(), &deployment("web", 6, true));
    seen.note_gone(&kind(), &deployment("web", 5, true));
    assert_eq!(told(&mut seen), None);
}

#[test]
fn what_goes_away_is_not_available() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 1, true));
    assert!(seen.follow(delivery(1, &["web"])).is_available());
    seen.note_gone(&kind(), &deployment("web", 2, true));
    assert_eq!(told(&mut seen), Some((1, vec!["web".to_owned()])));
    seen.note(&kind(), &deployment("db", 3, false));
    let availability = seen.follow(delivery(1, &["web", "db"]));
    assert_eq!((availability.waiting.len(), availability.missing), (2, 1));
}

#[test]
fn what_went_away_while_nobody_watched_is_noticed_by_the_next_list() {
    let mut seen = Seen::default();
    for name in ["web", "db", "new"] {
        seen.note(&kind(), &deployment(name, 1, true));
    }
    seen.follow(delivery(1, &["web", "db", "new"]));
    seen.list_begins(&kind());
    assert!(!seen.is_listed(&kind()));
    seen.listed(&kind(), &deployment("web", 1, true));
    // Written after the list was made, and before it was read to its end.
    seen.note(&kind(), &deployment("new", 9, true));
    seen.list_ends(&kind());
    assert!(seen.is_listed(&kind()));
    assert_eq!(told(&mut seen), Some((1, vec!["db".to_owned()])));
}

#[test]
fn an_older_generation_does_not_replace_a_newer_one() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("new", 1, false));
    seen.follow(delivery(2, &["new"]));
    assert_eq!(waiting(&seen.follow(delivery(1, &["old"]))), ["old"]);
    seen.note(&kind(), &deployment("old", 2, true));
    assert_eq!(told(&mut seen), None);
    seen.note(&kind(), &deployment("new", 3, true));
    assert_eq!(told(&mut seen), Some((2, vec![])));
}

#[test]
fn what_is_not_followed_any_more_is_not_told() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 1, false));
    seen.follow(delivery(1, &["web"]));
    seen.note(&kind(), &deployment("web", 2, true));
    seen.forget("p-work");
    assert_eq!(told(&mut seen), None);
    seen.note(&kind(), &deployment("web", 3, false));
    assert_eq!(told(&mut seen), None);
}

#[test]
fn statements_are_numbered() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("web", 1, false));
    let first = seen.follow(delivery(1, &["web"]));
    seen.note(&kind(), &deployment("web", 2, true));
    let second = seen.next_observation("m").unwrap().availability;
    let third = seen.follow(delivery(1, &["web"]));
    assert!(first.ordinal < second.ordinal && second.ordinal < third.ordinal);
}
