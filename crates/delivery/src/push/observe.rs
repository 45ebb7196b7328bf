//! Notices on the member what becomes available and what goes, without asking again and again.
//!
//! There is one watch for each kind, from the first delivery that holds one on. It selects by label,
//! so the member sends only what was delivered, and of most kinds nothing but metadata. Of the
//! objects nothing is kept but whether they are there and available; of changes only the latest, for
//! each delivery once. So neither a large member nor a slow listener makes this grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::ObjectId;
use events::cluster::Progress;
use futures::StreamExt as _;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

use super::PushMember;
use super::applied_work::{Stop, work_error};
use super::discovery::Resource;
use super::requests::{CallError, chain};
use super::seen::{Delivery, Kind, Seen, kind_of};
use super::wait::value_of;
use crate::availability::{availability, changes_availability, needs_whole_objects};
use crate::failure::is_not_found;
use crate::fence::{Claim, claim};
use crate::plan::{FIELD_MANAGER, MANAGED_BY_LABEL, Plan, Step};
use crate::{Availability, DeliverOrder, DeliveryAvailability, Observation};

/// How long an assessment waits until the watches of the kinds in question have listed what there
/// is.
pub const OBSERVED_WAIT: Duration = Duration::from_secs(10);

/// An object of which the member sends the metadata alone.
type Metadata = PartialObjectMeta<DynamicObject>;

/// The watches on one member.
pub(super) struct Observer {
    client: Client,
    shared: Arc<Shared>,
    watched: Mutex<BTreeSet<Kind>>,
    /// Ends with the observer.
    tasks: Mutex<JoinSet<()>>,
}

/// What the watches, the reporter and the orders share.
struct Shared {
    seen: Mutex<Seen>,
    /// Something may have to be told.
    changed: Notify,
    /// Counts completed lists.
    lists: watch::Sender<u64>,
    /// Why kinds cannot be watched at the moment.
    troubles: Mutex<BTreeMap<Kind, String>>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Kind, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer {
    pub(super) fn start(
        cluster: &str,
        client: Client,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            changed: Notify::new(),
            lists: watch::Sender::new(0),
            troubles: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(report(cluster.to_owned(), shared.clone(), observations));
        Self { client, shared, watched: Mutex::default(), tasks: Mutex::new(tasks) }
    }

    /// Follows what an order has applied, and says how it is.
    pub(super) fn follow(
        &self,
        order: &DeliverOrder,
        applied: &[(&ObjectId, &Resource, &Value)],
        finished: &[Step],
    ) -> DeliveryAvailability {
        let mut delivery = delivery_of(order);
        for (id, resource, live) in applied {
            self.watch(resource);
            delivery.objects.push((*id).clone());
            delivery.untracked += untracked(live);
        }
        for step in finished {
            delivery.objects.push(step.id.clone());
            delivery.untracked += untracked(step.body());
        }
        // All at once: what is known of the order before would be told in between.
        let mut seen = self.shared.seen();
        for (id, _, live) in applied {
            seen.note(&kind_of(id), live);
        }
        seen.follow(delivery)
    }

    /// Tells how far an order is.
    pub(super) fn progressed(&self, order: &DeliverOrder, progress: Progress) {
        self.shared.seen().progressed(&delivery_of(order), progress);
        self.shared.changed.notify_one();
    }

    /// Tells when one of the objects comes or goes for which an order waits that did not get on.
    pub(super) fn wait_for(&self, delivery: &Delivery) {
        self.shared.seen().wait_for(delivery);
    }

    /// Whether an object that runs once was seen to go before it was finished.
    pub(super) fn was_cut_short(&self, id: &ObjectId) -> bool {
        self.shared.seen().was_cut_short(id)
    }

    /// Stops following a work.
    pub(super) fn forget(&self, work: &str) {
        self.shared.seen().forget(work);
    }

    /// Makes sure that a kind is watched.
    pub(super) fn watch(&self, resource: &Resource) {
        let kind = kind_of_resource(resource);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.insert(kind.clone()) {
            let (client, api_resource) = (self.client.clone(), resource.api_resource());
            let (resource, shared) = (resource.clone(), self.shared.clone());
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            match needs_whole_objects(&resource.group, &resource.kind) {
                true => {
                    let api = Api::<DynamicObject>::all_with(client, &api_resource);
                    tasks.spawn(watch_kind(resource, api, shared));
                }
                false => {
                    let api = Api::<Metadata>::all_with(client, &api_resource);
                    tasks.spawn(watch_kind(resource, api, shared));
                }
            }
        }
    }

    /// Waits until all objects of these kinds have been listed, or says why they are not.
    async fn until_listed(&self, kinds: &BTreeSet<Kind>) -> Result<(), String> {
        let mut lists = self.shared.lists.subscribe();
        let is_listed = |_: &u64| {
            let seen = self.shared.seen();
            kinds.iter().all(|kind| seen.is_listed(kind))
        };
        if tokio::time::timeout(OBSERVED_WAIT, lists.wait_for(is_listed)).await.is_ok() {
            return Ok(());
        }
        let troubles = self.shared.troubles();
        match kinds.iter().find_map(|kind| Some((kind, troubles.get(kind)?))) {
            Some(((_, kind), trouble)) => {
                Err(format!("{kind} objects cannot be watched: {trouble}"))
            }
            None => Err("it has not listed what it holds yet".to_owned()),
        }
    }
}

impl PushMember {
    /// See [`Link::assess`](crate::Link::assess).
    pub(super) async fn assess(&self, order: &DeliverOrder) -> Result<DeliveryAvailability, Stop> {
        let mut delivery = delivery_of(order);
        for step in Plan::of(order).waves.values().flatten() {
            delivery.objects.push(step.id.clone());
            delivery.untracked += untracked(step.body());
        }
        self.confirm_not_superseded(order).await?;
        self.watch_all(&delivery.objects).await?;
        Ok(self.observer.shared.seen().follow(delivery))
    }

    async fn confirm_not_superseded(&self, order: &DeliverOrder) -> Result<(), Stop> {
        match self.requests.get(&Resource::applied_work(), "", &order.work).await {
            Ok(live) => match claim(&live, order.fence) {
                Claim::Superseded(holder) => Err(Stop::Superseded(holder)),
                Claim::Held | Claim::Open => Ok(()),
            },
            Err(CallError::Refused(status)) if is_not_found(&status) => Ok(()),
            Err(error) => Err(work_error(error).into()),
        }
    }

    /// Watches the kinds of these objects, and waits until all that there is of them was listed.
    async fn watch_all(&self, objects: &[ObjectId]) -> Result<(), Stop> {
        let mut kinds = BTreeSet::new();
        for id in objects {
            if let Some(resource) = self.discovery.resource_of(&self.requests, id).await? {
                self.observer.watch(&resource);
                kinds.insert(kind_of(id));
            }
        }
        self.observer.until_listed(&kinds).await.map_err(Stop::Busy)
    }
}

fn kind_of_resource(resource: &Resource) -> Kind {
    (resource.group.clone(), resource.kind.clone())
}

/// An order as what is followed, still without objects.
pub(super) fn delivery_of(order: &DeliverOrder) -> Delivery {
    Delivery {
        placement: order.placement.clone(),
        work: order.work.clone(),
        generation: order.fence.generation,
        objects: Vec::new(),
        untracked: 0,
    }
}

/// One if nobody can tell how available an object is that does not change its availability.
fn untracked(object: &Value) -> u32 {
    let is_untracked =
        !changes_availability(object) && availability(object) == Availability::NotTrackable;
    u32::from(is_untracked)
}

/// Watches one kind for ever. The watcher resumes, backs off and lists again by itself.
async fn watch_kind<K>(resource: Resource, api: Api<K>, shared: Arc<Shared>)
where
    K: kube::Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let kind = kind_of_resource(&resource);
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}"));
    let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(&resource, &kind, event, &shared),
            // The watcher tries again. Whether the member is well is for the probe to say.
            Err(error) => {
                debug!(kind = kind.1, %error, "a watch on a member was interrupted");
                shared.troubles().insert(kind.clone(), chain(&error));
            }
        }
    }
}

fn take<K: Serialize>(resource: &Resource, kind: &Kind, event: Event<K>, shared: &Shared) {
    let value_of = |object: K| value_of(&object, resource);
    let mut seen = shared.seen();
    match event {
        Event::Init => seen.list_begins(kind),
        Event::InitApply(object) => seen.listed(kind, &value_of(object)),
        Event::Apply(object) => seen.note(kind, &value_of(object)),
        Event::Delete(object) => seen.note_gone(kind, &value_of(object)),
        Event::InitDone => {
            seen.list_ends(kind);
            drop(seen);
            shared.troubles().remove(kind);
            shared.lists.send_modify(|lists| *lists += 1);
        }
    }
    shared.changed.notify_one();
}

/// Tells what changed, whenever the listener can take it.
async fn report(cluster: String, shared: Arc<Shared>, observations: mpsc::Sender<Observation>) {
    loop {
        shared.changed.notified().await;
        loop {
            // First the room, then the observation: it is the latest when it is sent.
            let Ok(room) = observations.reserve().await else { return };
            let next = shared.seen().next_observation(&cluster);
            match next {
                Some(observation) => room.send(observation),
                None => break,
            }
        }
    }
}
