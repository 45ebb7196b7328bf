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
        objects: names.iter().map(|name| id(name)).collect(),
        untracked: 0,
    }
}

/// What is told next of availability: the generation, and the objects that are waited for or, with
/// a minus, missing.
fn told(seen: &mut Seen) -> Option<(u64, Vec<String>)> {
    let observation = seen.next_observation("m")?;
    assert_eq!((observation.cluster.as_str(), observation.work.as_str()), ("m", "p-work"));
    let Observed::Availability(availability) = observation.what else {
        panic!("{observation:?}");
    };
    let waiting = availability.waiting.into_iter().map(|failure| failure.object.name);
    let missing = availability.missing.into_iter().map(|id| format!("-{}", id.name));
    Some((observation.generation, waiting.chain(missing).collect()))
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
    assert_eq!(told(&mut seen), Some((1, vec!["-web".to_owned()])));
    seen.note(&kind(), &deployment("db", 3, false));
    let availability = seen.follow(delivery(1, &["web", "db"]));
    assert_eq!(waiting(&availability), ["db"]);
    assert_eq!(availability.missing, [id("web")]);
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
    assert_eq!(told(&mut seen), Some((1, vec!["-db".to_owned()])));
}

#[test]
fn an_older_generation_does_not_replace_a_newer_one() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("new", 1, false));
    seen.follow(delivery(2, &["new"]));
    assert_eq!(seen.follow(delivery(1, &["old"])).missing, [id("old")]);
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
    let observed = seen.next_observation("m").unwrap().what;
    let Observed::Availability(second) = observed else { panic!("{observed:?}") };
    let third = seen.follow(delivery(1, &["web"]));
    assert!(first.ordinal < second.ordinal && second.ordinal < third.ordinal);
}

fn jobs() -> Kind {
    ("batch".to_owned(), "Job".to_owned())
}

fn job(name: &str, version: u64, is_finished: bool) -> Value {
    let conditions = match is_finished {
        true => json!([{ "type": "Complete", "status": "True" }]),
        false => json!([]),
    };
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": "ns", "resourceVersion": version.to_string() },
        "status": { "conditions": conditions },
    })
}

fn job_id(name: &str) -> ObjectId {
    ObjectId { group: "batch".to_owned(), kind: "Job".to_owned(), ..id(name) }
}

#[test]
fn a_job_is_missed_only_if_it_went_before_it_was_finished() {
    let mut seen = Seen::default();
    for name in ["done", "cut", "unseen"] {
        seen.note(&jobs(), &job(name, 1, false));
    }
    let all = ["done", "cut", "unseen", "never-seen"];
    let objects = all.map(job_id).to_vec();
    assert!(seen.follow(Delivery { objects, ..delivery(1, &[]) }).is_available());
    seen.note_gone(&jobs(), &job("done", 2, true));
    assert_eq!(told(&mut seen), None, "it has done what it was there for");
    seen.note_gone(&jobs(), &job("cut", 3, false));
    assert_eq!(told(&mut seen), Some((1, vec!["-cut".to_owned()])));
    seen.list_begins(&jobs());
    seen.list_ends(&jobs());
    assert_eq!(told(&mut seen), None, "it may have finished while nobody watched");
    assert!(seen.was_cut_short(&job_id("cut")) && !seen.was_cut_short(&job_id("done")));
    seen.note(&jobs(), &job("cut", 4, false));
    assert!(!seen.was_cut_short(&job_id("cut")), "it is there again");
}

/// What is told next: whether it is that an order may get on.
fn may_get_on(seen: &mut Seen) -> bool {
    let observation = seen.next_observation("m");
    observation.is_some_and(|observation| observation.what == Observed::MayGetOn)
}

#[test]
fn an_order_that_did_not_get_on_hears_of_what_it_waits_for() {
    let mut seen = Seen::default();
    seen.note(&kind(), &deployment("held", 1, true));
    seen.wait_for(&delivery(1, &["held"]));
    assert!(!may_get_on(&mut seen));
    seen.note(&kind(), &deployment("other", 2, true));
    seen.note(&kind(), &deployment("held", 3, false));
    assert!(!may_get_on(&mut seen), "it is still there");
    seen.note_gone(&kind(), &deployment("held", 4, false));
    assert!(may_get_on(&mut seen) && !may_get_on(&mut seen));

    let namespaces = (String::new(), "Namespace".to_owned());
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "ns", "resourceVersion": "5" },
    });
    seen.note(&namespaces, &namespace);
    assert!(may_get_on(&mut seen), "what is waited for may go into it");
    seen.forget("p-work");
    seen.note_gone(&namespaces, &namespace);
    assert!(!may_get_on(&mut seen));
}

#[test]
fn an_order_that_waits_for_a_kind_hears_when_it_is_served() {
    let mut seen = Seen::default();
    let widget = ObjectId { group: "example.com".to_owned(), kind: "Widget".to_owned(), ..id("w") };
    seen.wait_for(&Delivery { objects: vec![widget], ..delivery(1, &[]) });
    let crds = ("apiextensions.k8s.io".to_owned(), "CustomResourceDefinition".to_owned());
    let crd = |version: u64, is_established: bool| {
        let status = if is_established { "True" } else { "False" };
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.example.com", "resourceVersion": version.to_string() },
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": { "kind": "Widget", "plural": "widgets" },
                "versions": [{ "name": "v1", "served": true }],
            },
            "status": { "conditions": [
                { "type": "NamesAccepted", "status": status },
                { "type": "Established", "status": status },
            ] },
        })
    };
    seen.note(&crds, &crd(1, false));
    assert!(!may_get_on(&mut seen));
    seen.note(&crds, &crd(2, true));
    assert!(may_get_on(&mut seen));
}

#[test]
fn what_went_before_anybody_watched_is_noticed_by_the_first_list() {
    let mut seen = Seen::default();
    seen.wait_for(&delivery(1, &["held"]));
    seen.list_begins(&kind());
    seen.list_ends(&kind());
    assert!(may_get_on(&mut seen));
}
