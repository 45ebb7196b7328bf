//! Cases about Jobs: to make one again is to run it again.

use delivery::{DeliverOrder, DeliveryReport, Link as _, Observed};
use events::cluster::Note;
use serde_json::{Value, json};

use super::world::{DEADLINE, World};

/// A Job that does not finish by itself while a case looks at it: no member here starts its pods.
fn job(world: &World, image: &str, uid_on_hub: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "migrate", "namespace": world.tag, "uid": uid_on_hub },
        "spec": {
            "suspend": true,
            "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }],
            } },
        },
    })
}

fn path(world: &World) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs/migrate", world.tag)
}

fn order(world: &World, generation: u64, setting: &str, job: Value) -> DeliverOrder {
    let bodies = vec![world.namespace(), world.config_map("settings", setting), job];
    world.order("web", generation, bodies)
}

/// The Job does what it is there for, as its controller would say.
async fn finish(world: &World) {
    let at = "2026-01-01T00:00:00Z";
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "CompletionsReached",
            "lastProbeTime": at, "lastTransitionTime": at,
        })
    };
    let patch = json!({
        "spec": { "suspend": false },
    });
    world.merge(&path(world), &patch, "kubectl").await;
    let status = json!({ "status": {
        "startTime": at, "completionTime": at, "succeeded": 1, "ready": 0, "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    } });
    world.merge(&format!("{}/status", path(world)), &status, "job-controller").await;
}

/// Removes an object as the TTL controller would.
async fn remove(world: &World, path: &str) {
    world.delete(&format!("{path}?propagationPolicy=Background")).await;
}

/// The names of what was not made again.
fn finished(report: &DeliveryReport) -> Vec<&str> {
    let noted = report.notes.iter().filter(|one| one.note == Note::Finished);
    noted.map(|one| one.object.name.as_str()).collect()
}

/// The names of what is missing, as it is told next.
async fn missing(world: &mut World) -> Vec<String> {
    loop {
        let observed = tokio::time::timeout(DEADLINE, world.observed.recv()).await;
        let observation = observed.expect("it is told in time").expect("the link lives");
        if let Observed::Availability(availability) = observation.what
            && !availability.missing.is_empty()
        {
            return availability.missing.into_iter().map(|id| id.name).collect();
        }
    }
}

pub async fn regression_a_finished_job_is_not_made_again(mut world: World) {
    let first = order(&world, 1, "a", job(&world, "migrate:1", "uid-1"));
    world.deliver(&first).await;
    finish(&world).await;
    remove(&world, &path(&world)).await;
    let settings = format!("/api/v1/namespaces/{}/configmaps/settings", world.tag);
    remove(&world, &settings).await;
    assert_eq!(missing(&mut world).await, ["settings"], "the Job is not missed");

    let report = world.deliver(&order(&world, 2, "b", job(&world, "migrate:1", "uid-1"))).await;
    assert_eq!((finished(&report), report.written), (vec!["migrate"], 1));
    assert!(report.availability.is_available() && report.availability.untracked == 1);
    assert_eq!(world.get(&path(&world)).await, None);

    let again = world.deliver(&order(&world, 3, "b", job(&world, "migrate:1", "uid-2"))).await;
    assert_eq!((finished(&again), again.written), (vec![], 1), "it was made again on the hub");
    assert!(world.get(&path(&world)).await.is_some());
    remove(&world, &path(&world)).await;
    let changed = world.deliver(&order(&world, 4, "b", job(&world, "migrate:2", "uid-2"))).await;
    assert_eq!(changed.written, 1, "its manifest is another");
    world.clean_up().await;
}

pub async fn a_job_that_may_have_finished_unseen_is_not_made_again(mut world: World) {
    let order = order(&world, 1, "a", job(&world, "migrate:1", "uid-1"));
    world.deliver(&order).await;
    // A hub that was restarted knows nothing.
    world = World::new(world.client.clone(), world.tag.clone());
    remove(&world, &path(&world)).await;
    let availability = world.link.assess(&order).await.expect("the link works");
    assert!(availability.is_available(), "{availability:?}");
    assert_eq!(finished(&world.deliver(&order).await), ["migrate"]);
    assert_eq!(world.get(&path(&world)).await, None);
    world.clean_up().await;
}

pub async fn a_job_that_was_removed_before_it_finished_comes_back(mut world: World) {
    let order = order(&world, 1, "a", job(&world, "migrate:1", "uid-1"));
    world.deliver(&order).await;
    world.link.assess(&order).await.expect("it is watched");
    remove(&world, &path(&world)).await;
    assert_eq!(missing(&mut world).await, ["migrate"]);
    let report = world.deliver(&order).await;
    assert_eq!((finished(&report), report.written), (vec![], 1));
    assert!(world.get(&path(&world)).await.is_some());
    world.clean_up().await;
}
