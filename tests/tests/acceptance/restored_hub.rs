//! The hub's etcd is restored from an older copy: members keep what they hold, what is missing is
//! named, and counts only when somebody says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use acceptance::ground::Ground;
use acceptance::scenarios::{self, stands};
use acceptance::wait::{come, eventually};
use acceptance::{hubs, in_a_system};
use actors::node::Ownership;
use async_trait::async_trait;
use bytes::Bytes;
use event_log::{Log, LogClock, LogError, MemoryLog, Reader, Stream};
use events::{ContentHash, PlacementKey};
use hub::Hub;
use hub::held::{ANSWERS, CONFIRM};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use simulator::{ClusterCopy, ClusterHandle, Fault, FaultRule};

const APP: &str = "app-kept";

/// A hub with one member that holds an app, and a copy of the hub's etcd from before that.
struct Scene {
    ground: Ground,
    log: Arc<dyn Log>,
    /// Before anything was there.
    empty: ClusterCopy,
    /// With the app and the member, before the app was placed.
    older: ClusterCopy,
}

/// Plays a scene on it.
fn scene(play: impl AsyncFnOnce(&Scene, Hub)) {
    scene_on(Arc::new(MemoryLog::new()), play);
}

fn scene_on(log: Arc<dyn Log>, play: impl AsyncFnOnce(&Scene, Hub)) {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        let empty = copy(&ground);
        let hub = start(&ground, &log).await;
        let member = &ground.members[0];
        ground.join(member, &[("region", "eu")]).await;
        let joined = ("Joined", "True", "MemberClusterJoined");
        scenarios::member_shows(&ground, &member.name, joined).await;
        scenarios::write_app(&ground, APP, "hello").await;
        let older = copy(&ground);
        scenarios::place(&ground, "kept", APP, &["eu"]).await;
        scenarios::shows(&ground, "kept", &scenarios::available(1)).await;
        let scene = Scene { ground, log, empty, older };
        play(&scene, hub).await;
        scene.ground.stop();
    });
}

/// Starts a hub that reads the log from its start.
async fn start(ground: &Ground, log: &Arc<dyn Log>) -> Hub {
    let data = tempfile::tempdir().expect("a directory can be made").keep();
    hubs::start("hub-a", ground, log.clone(), &data, Ownership::Alone).await
}

fn api_server(ground: &Ground) -> ClusterHandle {
    ground.fleet.as_ref().and_then(|fleet| fleet.cluster("hub")).expect("it is simulated")
}

fn copy(ground: &Ground) -> ClusterCopy {
    api_server(ground).with_cluster(|cluster, _| cluster.copy())
}

impl Scene {
    async fn start(&self) -> Hub {
        start(&self.ground, &self.log).await
    }

    /// The hub's etcd becomes an older copy of itself.
    fn restore(&self, copy: &ClusterCopy) {
        let copy = copy.clone();
        api_server(&self.ground).with_cluster(|cluster, _| cluster.restore_copy(copy));
    }

    async fn confirm(&self, token: &str) {
        confirm(&self.ground, token).await;
    }

    async fn greeting(&self) -> Option<String> {
        scenarios::greeting_on(&self.ground.members[0], APP).await
    }

    async fn greets(&self, wanted: &str) {
        eventually(&format!("the member holds {wanted}"), || async {
            self.greeting().await.as_deref() == Some(wanted)
        })
        .await;
    }
}

/// Says what `taffrail held confirm` and `taffrail log raise` say.
async fn confirm(ground: &Ground, token: &str) {
    let api: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), "fleet-system");
    let mut map = ConfigMap {
        data: Some(BTreeMap::from([(token.to_owned(), CONFIRM.to_owned())])),
        ..ConfigMap::default()
    };
    map.metadata.name = Some(ANSWERS.to_owned());
    api.create(&PostParams::default(), &map).await.expect("it is new");
}

/// Waits until a node warns that something is held; gives the message.
async fn warned(hub: &Hub, about: &str) -> String {
    come(&format!("{about} is held"), || async {
        let concerns = hub.router().concerns().all();
        let found = concerns.into_iter().find(|it| it.check == "held" && it.about == about);
        found.map(|concern| concern.message)
    })
    .await
}

async fn settled(hub: &Hub, check: &str) {
    eventually(&format!("there are no concerns: {check}"), || async {
        hub.router().concerns().all().iter().all(|concern| concern.check != check)
    })
    .await;
}

fn token_of(hub: &Hub, name: &str) -> String {
    let model = hub.router().fold().model();
    let held = model.placements[&PlacementKey::cluster(name)].state.held.clone();
    held.expect("it is held").token
}

#[test]
fn a_placement_that_a_restored_etcd_does_not_have_is_held_until_it_is_back() {
    scene(async |scene, hub| {
        hub.shutdown().await;
        scene.restore(&scene.older);
        let hub = scene.start().await;
        let said = warned(&hub, "placement/cluster/kept").await;
        assert!(said.contains("taffrail held confirm placement/cluster/kept"), "{said}");
        scenarios::write_app(&scene.ground, APP, "changed").await;
        let member = &scene.ground.members[0].name;
        let joined = ("Joined", "True", "MemberClusterJoined");
        scenarios::member_shows(&scene.ground, member, joined).await;
        assert_eq!(scene.greeting().await.as_deref(), Some("hello"), "nothing moves");

        scenarios::place(&scene.ground, "kept", APP, &["eu"]).await;
        scene.greets("changed").await;
        settled(&hub, "held").await;
        hub.shutdown().await;
    });
}

#[test]
fn a_loss_that_is_confirmed_counts_as_a_deletion() {
    scene(async |scene, hub| {
        hub.shutdown().await;
        scene.restore(&scene.older);
        let hub = scene.start().await;
        warned(&hub, "placement/cluster/kept").await;
        scene.confirm(&token_of(&hub, "kept")).await;
        eventually("the member lets go", || async { scene.greeting().await.is_none() }).await;
        settled(&hub, "held").await;
        hub.shutdown().await;
    });
}

#[test]
fn an_etcd_that_is_emptied_empties_no_member() {
    scene(async |scene, hub| {
        hub.shutdown().await;
        let whole = copy(&scene.ground);
        scene.restore(&scene.empty);
        let hub = scene.start().await;
        let member = &scene.ground.members[0].name;
        let said = warned(&hub, &format!("cluster/{member}")).await;
        assert!(said.contains(&format!("taffrail held confirm cluster/{member}")), "{said}");
        warned(&hub, "placement/cluster/kept").await;
        let is_joined = {
            let model = hub.router().fold().model();
            model.clusters[member].state.is_joined()
        };
        assert!(is_joined && scene.greeting().await.as_deref() == Some("hello"));

        // The copy that was meant comes back, and everything goes on.
        hub.shutdown().await;
        scene.restore(&whole);
        let hub = scene.start().await;
        settled(&hub, "held").await;
        scenarios::write_app(&scene.ground, APP, "changed").await;
        scene.greets("changed").await;
        hub.shutdown().await;
    });
}

async fn relabel(scene: &Scene, region: &str) {
    let api: Api<api::MemberCluster> = Api::all(scene.ground.hub.client.clone());
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "region": region } } }));
    let name = &scene.ground.members[0].name;
    api.patch_metadata(name, &PatchParams::default(), &patch).await.expect("it is there");
}

#[test]
fn labels_of_a_member_that_went_back_move_nothing_until_they_are_confirmed() {
    scene(async |scene, hub| {
        let before = copy(&scene.ground);
        scenarios::place(&scene.ground, "kept", APP, &["eu", "us"]).await;
        relabel(scene, "us").await;
        scenarios::place(&scene.ground, "kept", APP, &["us"]).await;
        scenarios::shows(&scene.ground, "kept", &scenarios::available(3)).await;
        scene.restore(&before);
        // The placement is as it was on record; the label is not.
        for regions in [&["eu", "us"][..], &["af"], &["us"]] {
            scenarios::place(&scene.ground, "kept", APP, regions).await;
        }
        let member = &scene.ground.members[0].name;
        let said = warned(&hub, &format!("cluster/{member}")).await;
        assert!(said.contains("labels or taints"), "{said}");
        scenarios::shows(&scene.ground, "kept", &scenarios::available(4)).await;
        assert_eq!(scene.greeting().await.as_deref(), Some("hello"), "nothing moves");
        relabel(scene, "us").await;
        eventually("the member is not held", || async {
            let model = hub.router().fold().model();
            let state = model.clusters[member].state.clone();
            state.member().is_some_and(|member| member.held.is_none())
        })
        .await;
        hub.shutdown().await;
    });
}

#[test]
fn what_went_during_a_gap_is_seen_to_be_gone() {
    scene(async |scene, hub| {
        let api_server = api_server(&scene.ground);
        let is_watch = |request: &simulator::Request| {
            request.query.contains("watch=true").then_some(Fault::Unavailable)
        };
        api_server.set_fault(FaultRule::new(is_watch));
        api_server.drop_watches();
        let warning = come("the watch is named", || async {
            let concerns = hub.router().concerns().all();
            concerns
                .into_iter()
                .find(|it| it.check == "watch" && it.about.starts_with("clusterresourceplacements"))
        })
        .await;
        assert!(warning.message.contains("kubectl get clusterresourceplacements"), "{warning:?}");
        scene.restore(&scene.older);
        api_server.clear_fault();
        warned(&hub, "placement/cluster/kept").await;
        assert_eq!(scene.greeting().await.as_deref(), Some("hello"), "the member keeps it");
        settled(&hub, "watch").await;
        hub.shutdown().await;
    });
}

#[test]
fn an_object_with_a_lower_generation_moves_nothing() {
    scene(async |scene, hub| {
        let first = copy(&scene.ground);
        // Two changes that the copy does not have.
        scenarios::place(&scene.ground, "kept", APP, &["eu", "us"]).await;
        scenarios::place(&scene.ground, "kept", APP, &["eu", "us", "af"]).await;
        scenarios::shows(&scene.ground, "kept", &scenarios::available(3)).await;
        hub.shutdown().await;
        scene.restore(&first);
        // One change after it: not as many as are on record.
        scenarios::place(&scene.ground, "kept", APP, &["nowhere"]).await;
        let hub = scene.start().await;
        let said = warned(&hub, "placement/cluster/kept").await;
        assert!(said.contains("generation 2, and 3 is on record"), "{said}");
        eventually("the placement says so", || async {
            let pending = ("Scheduled", "Unknown", "SchedulePending");
            said == stands(&scene.ground, "kept", pending.0, pending.1, pending.2).await
        })
        .await;
        assert_eq!(scene.greeting().await.as_deref(), Some("hello"), "nothing moves");

        scene.confirm(&token_of(&hub, "kept")).await;
        eventually("the older object counts", || async { scene.greeting().await.is_none() }).await;
        settled(&hub, "held").await;
        hub.shutdown().await;
    });
}

async fn write_map(scene: &Scene, name: &str) {
    let api: Api<ConfigMap> = Api::namespaced(scene.ground.hub.client.clone(), APP);
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    api.create(&PostParams::default(), &map).await.expect("it is new");
}

async fn holds_map(scene: &Scene, name: &str) -> bool {
    let api: Api<ConfigMap> = Api::namespaced(scene.ground.members[0].client.clone(), APP);
    api.get_opt(name).await.expect("the member answers").is_some()
}

#[test]
fn many_objects_that_went_unseen_stay_until_somebody_says_so() {
    scene(async |scene, hub| {
        let names: Vec<String> = (0..9).map(|number| format!("map-{number}")).collect();
        for name in &names {
            write_map(scene, name).await;
        }
        eventually("all are placed", || holds_map(scene, "map-8")).await;
        let api: Api<ConfigMap> = Api::namespaced(scene.ground.hub.client.clone(), APP);

        // A few that went while nobody watched were deleted.
        hub.shutdown().await;
        api.delete("map-8", &Default::default()).await.expect("it is there");
        let hub = scene.start().await;
        eventually("it leaves the member", || async { !holds_map(scene, "map-8").await }).await;

        // Those that are seen to be deleted are, however many.
        for name in &names[..2] {
            api.delete(name, &Default::default()).await.expect("it is there");
        }
        eventually("they leave the member", || async { !holds_map(scene, "map-1").await }).await;

        hub.shutdown().await;
        for name in &names[2..8] {
            api.delete(name, &Default::default()).await.expect("it is there");
        }
        let hub = scene.start().await;
        let said = warned(&hub, "placement/cluster/kept").await;
        assert!(said.contains("6 of the "), "{said}");
        assert!(holds_map(scene, "map-7").await, "the member keeps them");
        scene.confirm(&token_of(&hub, "kept")).await;
        eventually("they leave the member", || async { !holds_map(scene, "map-7").await }).await;
        settled(&hub, "held").await;
        hub.shutdown().await;
    });
}

/// A log some of whose content is not what was stored.
struct Rotten {
    log: MemoryLog,
    rotten: Mutex<BTreeSet<ContentHash>>,
}

impl Rotten {
    fn new() -> Arc<Self> {
        Arc::new(Self { log: MemoryLog::new(), rotten: Mutex::default() })
    }

    fn rots(&self, hash: ContentHash) {
        self.rotten.lock().unwrap().insert(hash);
    }

    fn is_rotten(&self) -> bool {
        !self.rotten.lock().unwrap().is_empty()
    }
}

#[async_trait]
impl Log for Rotten {
    fn clock(&self) -> LogClock {
        self.log.clock()
    }

    async fn append(&self, stream: Stream, bytes: Bytes) -> Result<u64, LogError> {
        self.log.append(stream, bytes).await
    }

    async fn read(&self, stream: Stream, from: u64) -> Result<Reader, LogError> {
        self.log.read(stream, from).await
    }

    async fn end(&self, stream: Stream) -> Result<u64, LogError> {
        self.log.end(stream).await
    }

    async fn put(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.log.put(bytes).await
    }

    async fn mend(&self, bytes: Bytes) -> Result<ContentHash, LogError> {
        self.rotten.lock().unwrap().remove(&ContentHash::of(&bytes));
        self.log.mend(bytes).await
    }

    async fn get(&self, hash: ContentHash) -> Result<Option<Bytes>, LogError> {
        let is_rotten = self.rotten.lock().unwrap().contains(&hash);
        let rot = Bytes::from_static(b"rot");
        if is_rotten { Ok(Some(rot)) } else { self.log.get(hash).await }
    }
}

/// The list of what is placed.
fn list_of(hub: &Hub) -> ContentHash {
    let model = hub.router().fold().model();
    let revision = model.placements[&PlacementKey::cluster("kept")].state.revision.clone();
    revision.expect("it has one").reference.manifests
}

#[test]
fn content_that_is_damaged_is_stored_again_from_the_objects_of_the_hub() {
    let log = Rotten::new();
    scene_on(log.clone(), async |scene, hub| {
        log.rots(list_of(&hub));
        hub.shutdown().await;
        let hub = scene.start().await;
        eventually("it is noticed and mended", || async { !log.is_rotten() }).await;
        settled(&hub, "content").await;
        scenarios::write_app(&scene.ground, APP, "changed").await;
        scene.greets("changed").await;
        scenarios::shows(&scene.ground, "kept", &scenarios::available(1)).await;
        hub.shutdown().await;
    });
}

#[test]
fn content_that_cannot_be_mended_is_named_and_moves_nothing() {
    let log = Rotten::new();
    scene_on(log.clone(), async |scene, hub| {
        let list = list_of(&hub);
        log.rots(list);
        hub.shutdown().await;
        scenarios::write_app(&scene.ground, APP, "changed").await;
        let hub = scene.start().await;
        let said = stands(&scene.ground, "kept", "Scheduled", "Unknown", "SchedulePending").await;
        assert!(said.contains(&format!("content {list} is not what was stored")), "{said}");
        let concern = come("it is noted", || async {
            let concerns = hub.router().concerns().all();
            concerns.into_iter().find(|concern| concern.check == "content")
        })
        .await;
        assert_eq!(concern.about, list.to_string());
        assert_eq!(scene.greeting().await.as_deref(), Some("hello"), "nothing moves");

        // The objects as they were give the same bytes.
        scenarios::write_app(&scene.ground, APP, "hello").await;
        settled(&hub, "content").await;
        scenarios::shows(&scene.ground, "kept", &scenarios::available(1)).await;
        hub.shutdown().await;
    });
}
