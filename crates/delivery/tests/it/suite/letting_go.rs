//! Cases about what stays on a member: what others made, hold or wait for.

use std::sync::Arc;

use async_trait::async_trait;
use delivery::{AdoptedRemoval, DeliverOrder, Link as _, Neighbour, Neighbours};
use events::cluster::Note;
use events::{ObjectId, PlacementKey};
use serde_json::{Value, json};

use super::applying::{widget, widget_definition};
use super::world::{SPEC_HASH, World, owners_of};

const ADOPTED: &str = "taffrail.dev/adopted-by";
const HANDED_OVER: &str = "taffrail.dev/handed-over-to";

/// What a case says is on record of the other deliveries.
#[derive(Debug, Default)]
struct Known {
    works: Vec<String>,
    heir: Option<(ObjectId, Neighbour)>,
    tenant: Option<(String, Neighbour)>,
}

#[async_trait]
impl Neighbours for Known {
    fn has_work(&self, work: &str) -> bool {
        self.works.iter().any(|known| known == work)
    }

    async fn heir_of(&self, object: &ObjectId) -> Option<Neighbour> {
        let heir = self.heir.as_ref().filter(|(of, _)| of.is_same_object(object));
        heir.map(|(_, heir)| heir.clone())
    }

    async fn tenant_of(&self, namespace: &str) -> Option<Neighbour> {
        let tenant = self.tenant.as_ref().filter(|(of, _)| of == namespace);
        tenant.map(|(_, tenant)| tenant.clone())
    }
}

fn neighbour(world: &World, placement: &str) -> Neighbour {
    Neighbour { placement: PlacementKey::cluster(placement), work: world.work(placement) }
}

/// The notes of a report, as `kind: note`.
fn words(notes: &[events::cluster::ObjectNote]) -> Vec<String> {
    notes.iter().map(|one| format!("{}: {}", one.object.kind, one.note)).collect()
}

/// A ConfigMap of somebody else's in the namespace of the world.
async fn theirs(world: &World, name: &str) {
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.tag);
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
        "data": { "other": "theirs" },
    });
    world.post(&maps, &theirs, "somebody").await;
}

pub async fn what_was_there_before_outlives_the_placement(world: World) {
    world.make_namespace().await;
    theirs(&world, "settings").await;
    let bodies = |value| vec![world.config_map("settings", value), world.config_map("new", value)];
    let order = world.order("web", 1, bodies("one"));
    let report = world.deliver(&order).await;
    assert_eq!(words(&report.notes), ["ConfigMap: adopted: it was on the member before"]);
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!(live["metadata"]["annotations"][ADOPTED], world.work("web").as_str());

    // It stays adopted, whatever is written later.
    let order = world.order("web", 2, bodies("two"));
    let report = world.deliver(&order).await;
    assert_eq!(report.written, 2);
    assert_eq!(report.notes.iter().map(|one| &one.note).collect::<Vec<_>>(), [&Note::Adopted]);

    let report = world.withdraw(&world.withdrawal("web", 3, &order)).await;
    assert_eq!((report.removed, report.released), (1, 1));
    assert_eq!(words(&report.notes), ["ConfigMap: let go: it was on the member before"]);
    assert_eq!(world.live_config_map("new").await, None);
    world.until_work_is_gone("web").await;
    let live = world.live_config_map("settings").await.expect("it stays");
    assert_eq!(live["data"], json!({ "key": "two", "other": "theirs" }));
    assert_eq!(owners_of(&live), [""; 0]);
    for mark in [SPEC_HASH, ADOPTED] {
        assert_eq!(live["metadata"]["annotations"].get(mark), None, "{mark}");
    }
    world.clean_up().await;
}

pub async fn what_was_there_before_is_deleted_where_that_is_wanted(world: World) {
    world.make_namespace().await;
    theirs(&world, "settings").await;
    let order = world.order("web", 1, vec![world.config_map("settings", "ours")]);
    world.deliver(&order).await;
    let mut withdrawal = world.withdrawal("web", 2, &order);
    withdrawal.adopted = AdoptedRemoval::Delete;
    assert_eq!(world.withdraw(&withdrawal).await.removed, 1);
    assert_eq!(world.live_config_map("settings").await, None);
    world.clean_up().await;
}

async fn definition(world: &World) -> Option<Value> {
    let path = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{}.example.com",
        world.tag
    );
    world.get(&path).await
}

pub async fn a_kind_with_objects_of_others_is_let_go(world: World) {
    let order = world.order("kind", 1, vec![widget_definition(&world)]);
    world.deliver(&order).await;
    world.make_namespace().await;
    let widgets = format!("/apis/{0}.example.com/v1/namespaces/{0}/widgets", world.tag);
    let other = world.order("other", 1, vec![widget(&world, 1)]);
    world.deliver(&other).await;

    let report = world.withdraw(&world.withdrawal("kind", 2, &order)).await;
    let said = format!(
        "CustomResourceDefinition: let go: there are Widget objects on the member, such as {}/w",
        world.tag
    );
    assert_eq!(words(&report.notes), [said]);
    let live = definition(&world).await.expect("it stays");
    assert_eq!(owners_of(&live), [""; 0]);
    assert!(world.get(&format!("{widgets}/w")).await.is_some());

    // Brought again, it was there before. Without objects of others it would go.
    let again = world.order("kind", 3, vec![widget_definition(&world)]);
    assert_eq!(world.deliver(&again).await.notes.len(), 1);
    world.withdraw(&world.withdrawal("other", 2, &other)).await;
    let mut withdrawal = world.withdrawal("kind", 4, &again);
    withdrawal.adopted = AdoptedRemoval::Delete;
    world.withdraw(&withdrawal).await;
    assert_eq!(definition(&world).await, None);
    world.clean_up().await;
}

pub async fn a_kind_is_kept_while_its_objects_are_placed(world: World) {
    let whole = vec![widget_definition(&world), world.namespace(), widget(&world, 1)];
    let first = world.order("web", 1, whole);
    world.deliver(&first).await;
    let uid = definition(&world).await.expect("it is there")["metadata"]["uid"].clone();

    let mut without_kind = world.order("web", 2, vec![world.namespace(), widget(&world, 1)]);
    without_kind.leftovers = vec![first.manifests[0].id.clone()];
    let report = world.deliver(&without_kind).await;
    assert!(report.is_applied());
    let said = format!("CustomResourceDefinition: kept: Widget {}/w is placed", world.tag);
    assert_eq!(words(&report.notes), [said]);
    let live = definition(&world).await.expect("it is kept");
    assert_eq!((&live["metadata"]["uid"], owners_of(&live)), (&uid, vec![world.work("web")]));

    let mut without_both = world.order("web", 3, vec![world.namespace()]);
    without_both.leftovers = vec![first.manifests[0].id.clone(), first.manifests[2].id.clone()];
    let report = world.deliver(&without_both).await;
    assert_eq!((report.removed, report.notes.len(), report.is_applied()), (2, 0, true));
    assert_eq!(definition(&world).await, None);
    world.withdraw(&world.withdrawal("web", 4, &without_both)).await;
}

pub async fn an_object_that_another_placement_waits_for_changes_owner(world: World) {
    let order = world.order("first", 1, vec![widget_definition(&world)]);
    world.deliver(&order).await;
    let second = world.order("second", 1, vec![widget_definition(&world)]);
    assert_eq!(world.deliver_with_failure(&second).await.reason, "FailedToTakeOver");
    world.make_namespace().await;
    let widgets = format!("/apis/{0}.example.com/v1/namespaces/{0}/widgets", world.tag);
    world.post(&widgets, &widget(&world, 1), "somebody").await;
    let before = definition(&world).await.expect("it is there");

    let mut withdrawal = world.withdrawal("first", 2, &order);
    let heir = Some((order.manifests[0].id.clone(), neighbour(&world, "second")));
    withdrawal.neighbours = Arc::new(Known { heir, ..Known::default() });
    let report = world.withdraw(&withdrawal).await;
    let said = ["CustomResourceDefinition: handed over to cluster/second"];
    assert_eq!(words(&report.notes), said);
    world.until_work_is_gone("first").await;

    // It is the second one's from here on, and was nobody else's before.
    let report = world.deliver(&second).await;
    assert_eq!(words(&report.notes), [""; 0]);
    let live = definition(&world).await.expect("it is there");
    assert_eq!(live["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(owners_of(&live), [world.work("second")]);
    for mark in [ADOPTED, HANDED_OVER] {
        assert_eq!(live["metadata"]["annotations"].get(mark), None, "{mark}");
    }
    assert!(world.get(&format!("{widgets}/w")).await.is_some(), "its objects are still there");

    world.clean_up().await;
    world.delete(&format!("{widgets}/w")).await;
    world.withdraw(&world.withdrawal("second", 2, &second)).await;
    assert_eq!(definition(&world).await, None);
}

pub async fn an_heir_that_never_comes_still_removes_what_it_was_left(world: World) {
    world.make_namespace().await;
    let order = world.order("first", 1, vec![world.config_map("settings", "first")]);
    world.deliver(&order).await;
    let second = world.order("second", 1, vec![world.config_map("settings", "second")]);
    world.deliver_with_failure(&second).await;
    let mut withdrawal = world.withdrawal("first", 2, &order);
    let heir = Some((order.manifests[0].id.clone(), neighbour(&world, "second")));
    withdrawal.neighbours = Arc::new(Known { heir, ..Known::default() });
    world.withdraw(&withdrawal).await;
    assert!(world.live_config_map("settings").await.is_some());
    let report = world.withdraw(&world.withdrawal("second", 2, &second)).await;
    assert_eq!((report.removed, world.live_config_map("settings").await), (1, None));
    world.clean_up().await;
}

pub async fn a_namespace_goes_with_what_people_put_into_it(world: World) {
    let order = world.order("web", 1, vec![world.namespace(), world.config_map("settings", "a")]);
    world.deliver(&order).await;
    theirs(&world, "put-there-later").await;
    world.withdraw(&world.withdrawal("web", 2, &order)).await;
    assert_eq!(world.get(&format!("/api/v1/namespaces/{}", world.tag)).await, None);
}

pub async fn a_namespace_with_adopted_objects_is_let_go(world: World) {
    let order = world.order("web", 1, vec![world.namespace()]);
    world.deliver(&order).await;
    theirs(&world, "settings").await;
    let bodies = ["settings", "new"].map(|name| world.config_map(name, "ours"));
    let whole = std::iter::once(world.namespace()).chain(bodies).collect();
    let order = world.order("web", 2, whole);
    world.deliver(&order).await;
    let report = world.withdraw(&world.withdrawal("web", 3, &order)).await;
    assert_eq!((report.removed, report.released), (1, 2));
    let said = "Namespace: let go: objects that are not the placement's are in it";
    assert!(words(&report.notes).contains(&said.to_owned()), "{:?}", report.notes);
    assert!(world.live_config_map("settings").await.is_some());
    assert_eq!(world.live_config_map("new").await, None);
    world.clean_up().await;
}

pub async fn a_namespace_with_objects_of_another_placement_is_let_go(world: World) {
    let order = world.order("web", 1, vec![world.namespace(), world.config_map("settings", "a")]);
    world.deliver(&order).await;
    let other = world.order("other", 1, vec![world.config_map("theirs", "b")]);
    world.deliver(&other).await;
    let mut withdrawal = world.withdrawal("web", 2, &order);
    let tenant = Some((world.tag.clone(), neighbour(&world, "other")));
    withdrawal.neighbours = Arc::new(Known { tenant, ..Known::default() });
    let report = world.withdraw(&withdrawal).await;
    let said = ["Namespace: let go: objects of the placement cluster/other are in it"];
    assert_eq!(words(&report.notes), said);
    assert_eq!(world.live_config_map("settings").await, None);
    assert!(world.live_config_map("theirs").await.is_some());
    world.clean_up().await;
}

pub async fn what_a_former_life_left_is_reclaimed(world: World) {
    world.make_namespace().await;
    let former = world.order("former", 1, vec![world.config_map("settings", "old")]);
    world.deliver(&former).await;
    let knows = |works: Vec<String>| Arc::new(Known { works, ..Known::default() });
    let order = |generation, works| DeliverOrder {
        neighbours: knows(works),
        ..world.order("web", generation, vec![world.config_map("settings", "new")])
    };
    // As long as the other placement is on record, the object is that one's.
    let refused = world.deliver_with_failure(&order(1, vec![world.work("former")])).await;
    assert_eq!(refused.reason, "FailedToTakeOver");

    let report = world.link.deliver(&order(2, vec![])).await.expect("the link works");
    assert_eq!((report.is_applied(), words(&report.notes)), (true, vec![]));
    let live = world.live_config_map("settings").await.expect("it is there");
    assert_eq!((owners_of(&live), &live["data"]["key"]), (vec![world.work("web")], &json!("new")));
    let report = world.withdraw(&world.withdrawal("web", 3, &order(2, vec![]))).await;
    assert_eq!((report.removed, world.live_config_map("settings").await), (1, None));
    world.clean_up().await;
}

pub async fn a_work_of_another_tool_is_not_reclaimed(world: World) {
    world.make_namespace().await;
    let theirs = world.order("theirs", 1, vec![world.config_map("settings", "old")]);
    world.deliver(&theirs).await;
    let fence = ["delivery-generation", "owner-epoch"].map(|mark| format!("taffrail.dev/{mark}"));
    let [generation, epoch] = &fence;
    let patch = json!({ "metadata": { "annotations": { generation: null, epoch: null } } });
    let path = super::world::work_path(&world.work("theirs"));
    world.merge(&path, &patch, "member-agent").await;
    let mut order = world.order("web", 1, vec![world.config_map("settings", "new")]);
    order.neighbours = Arc::new(Known::default());
    let refused = world.deliver_with_failure(&order).await;
    assert_eq!(refused.reason, "FailedToTakeOver");
    world.clean_up().await;
}
