//! The members: simulated clusters, what lands on them, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use delivery::push::CLAIM_TRUST_MAX;
use events::{Epoch, ObjectId, PlacementKey};
use hub::performer::work_name;
use kube::client::Body;
use serde_json::{Value, json};
use simulator::{ClusterOptions, Fault, Fleet, Request, SimulatedBody, TransportError};
use tower::Service;
use uuid::Uuid;

use super::oracle::{Checked, Oracle, violated};
use super::trace::Trace;
use super::wire::Waiting;

const WORKS: &str = "/apis/placement.kubernetes-fleet.io/v1beta1/appliedworks";

/// The fence of an AppliedWork: generation, then epoch.
type Fence = (u64, Epoch);

/// An answer of a member.
pub type Landed = Result<http::Response<SimulatedBody>, TransportError>;

/// What is remembered of one AppliedWork, whether it is there or not.
#[derive(Debug, Default)]
struct Work {
    /// The highest fence that it ever had.
    highest: Fence,
    /// How often the fence changed.
    claims: Vec<(u64, Uuid)>,
    /// When each sender last got it to see, or tried to.
    seen_ms: BTreeMap<Uuid, u64>,
}

/// All members.
pub struct Members {
    /// The clusters.
    pub fleet: Fleet,
    /// Their names.
    pub names: Vec<String>,
    /// Those that do not answer.
    pub away: BTreeSet<String>,
    keys: BTreeMap<String, PlacementKey>,
    works: BTreeMap<(String, String), Work>,
    foreign: BTreeMap<String, Value>,
    /// What every member had before a placement that selects it, and its uid on each: it outlives
    /// that placement, whatever becomes of it.
    lived_in: Option<(PlacementKey, String)>,
    lived_in_uids: BTreeMap<String, Value>,
    /// How many requests landed.
    pub landed: u64,
    /// How many requests were cut off because of what is not promised: see `is_cut`.
    pub cut: u64,
}

impl Members {
    /// So many clusters, each with something on it that is nobody's business.
    #[must_use]
    pub fn new(
        count: usize,
        seed: u64,
        start: simulator::Timestamp,
        keys: &[PlacementKey],
    ) -> Self {
        let fleet = Fleet::manual(start);
        let mut members = Self {
            fleet,
            names: (1..=count).map(|n| format!("m{n}")).collect(),
            away: BTreeSet::new(),
            keys: keys.iter().map(|key| (work_name(key), key.clone())).collect(),
            works: BTreeMap::new(),
            foreign: BTreeMap::new(),
            lived_in: keys.first().map(|key| (key.clone(), super::user::NAMES[0].to_owned())),
            lived_in_uids: BTreeMap::new(),
            landed: 0,
            cut: 0,
        };
        for (number, name) in (1..).zip(members.names.clone()) {
            let options = ClusterOptions { seed: seed ^ number, ..ClusterOptions::default() };
            members.fleet.add_cluster(&name, options).expect("the names differ");
            let own = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "own", "namespace": "default" },
                "data": { "whose": "not the hub's" },
            });
            let path = "/api/v1/namespaces/default/configmaps";
            members.fleet.request(&name, &Request::post(path, &own)).expect("it is no watch");
            let made = members.get(&name, &format!("{path}/own"));
            members.foreign.insert(name.clone(), made.expect("it was just made"));
            members.settle_in(&name);
        }
        members
    }

    /// Makes what a placement will find on a member.
    fn settle_in(&mut self, member: &str) {
        let Some((key, name)) = &self.lived_in else { return };
        let namespace = super::user::namespace_of(key);
        let home = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
        });
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("{}-{name}", key.name), "namespace": namespace },
            "data": { "other": "was there before" },
        });
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        for (path, object) in [("/api/v1/namespaces", &home), (maps.as_str(), &map)] {
            self.fleet.request(member, &Request::post(path, object)).expect("it is no watch");
        }
        let uid = self.lived_in_uid(member).expect("it was just made");
        self.lived_in_uids.insert(member.to_owned(), uid);
    }

    fn lived_in_uid(&self, member: &str) -> Option<Value> {
        let (key, name) = self.lived_in.as_ref()?;
        let namespace = super::user::namespace_of(key);
        let name = format!("{}-{name}", key.name);
        let live = self.get(member, &format!("/api/v1/namespaces/{namespace}/configmaps/{name}"));
        live.map(|live| live["metadata"]["uid"].clone())
    }

    /// Whether members had an object before the placement that selects it.
    #[must_use]
    pub fn is_lived_in(&self, key: &PlacementKey, name: &str) -> bool {
        self.lived_in.as_ref().is_some_and(|(of, lived_in)| of == key && lived_in == name)
    }

    /// What stands at a path of a member.
    #[must_use]
    pub fn get(&self, member: &str, path: &str) -> Option<Value> {
        let reply = self.fleet.request(member, &Request::get(path))?;
        (reply.status == 200).then(|| reply.value())
    }

    fn fence(&self, member: &str, work: &str) -> Option<Fence> {
        let live = self.get(member, &format!("{WORKS}/{work}"))?;
        fence_of(&live)
    }

    /// Whether a request is one of those after which a member may stay other than it should, by
    /// what the crate `delivery` says it does not promise. Such requests do not get through:
    ///
    /// - a write that names no version, of an order that another process has overtaken since its
    ///   claim was last confirmed ("two processes within `CLAIM_TRUST_MAX`"), or that was on its
    ///   way meanwhile;
    /// - a new AppliedWork of an order older than a withdrawal that was completed ("memory of
    ///   withdrawals").
    ///
    /// An overtaken order that goes on for longer than that is a violation.
    fn is_cut(&self, sent: &Sent, waiting: &Waiting, oracle: &Oracle) -> Checked<bool> {
        let member = &waiting.member;
        match &sent.what {
            What::Apply { work, is_conditional: false } => {
                let Some(known) = self.works.get(&(member.clone(), work.clone())) else {
                    return Ok(false);
                };
                let Some((claimed_ms, claimer)) = known.claims.last() else { return Ok(false) };
                if *claimer == waiting.sender {
                    return Ok(*claimed_ms > waiting.sent_ms);
                }
                let seen_ms = known.seen_ms.get(&waiting.sender).copied().unwrap_or_default();
                let trusted_ms = u64::try_from(CLAIM_TRUST_MAX.as_millis()).unwrap_or(u64::MAX);
                if waiting.sent_ms > seen_ms + trusted_ms {
                    return violated!(
                        "{} writes {} on {member} for {work} at {} ms, of which it last saw at \
                         {seen_ms} ms that it holds it",
                        waiting.node,
                        sent.path,
                        waiting.sent_ms
                    );
                }
                Ok(true)
            }
            What::CreateWork { work, fence } => {
                let known = self.works.get(&(member.clone(), work.clone()));
                let is_old = known.is_some_and(|known| *fence < known.highest);
                Ok(is_old && !oracle.is_owner(member, waiting.sender))
            }
            What::Apply { .. } | What::Work { .. } | What::Delete { .. } | What::Other => Ok(false),
        }
    }

    /// Carries a request to its member. Checks what it does there.
    pub async fn land(
        &mut self,
        waiting: Waiting,
        now_ms: u64,
        oracle: &Oracle,
        trace: &mut Trace,
    ) -> Checked<(super::wire::Return, Landed)> {
        let sent = Sent::read(&waiting);
        let member = waiting.member.clone();
        if self.is_cut(&sent, &waiting, oracle)? {
            trace.note(format!("      {} is cut off", sent.path));
            self.cut += 1;
            let (_, back) = waiting.split();
            return Ok((back, Err(TransportError::Refused { cluster: member })));
        }
        let work = sent.work().map(str::to_owned);
        let before = work.as_deref().and_then(|work| self.fence(&member, work));
        if let What::Delete { object } = &sent.what {
            self.check_deletion(&member, &sent.path, object, &waiting, oracle)?;
        }
        let sender = waiting.sender;
        let (request, back) = waiting.split();
        let mut service = self.fleet.service(&member);
        let answer = service.call(request.map(Body::from)).await;
        self.landed += 1;
        if let Ok(answer) = &answer {
            trace.note(format!("      {}", answer.status()));
        }
        if let Some(work) = work
            && !matches!(sent.what, What::Apply { .. })
        {
            let after = self.fence(&member, &work);
            if let (Some(before), Some(after)) = (before, after)
                && after < before
            {
                return violated!("{work} on {member} moved back from {before:?} to {after:?}");
            }
            let known = self.works.entry((member.clone(), work.clone())).or_default();
            known.seen_ms.insert(sender, now_ms);
            if let Some(after) = after
                && Some(after) != before
            {
                if after < known.highest {
                    let highest = known.highest;
                    return violated!("{work} on {member} is made at {after:?} after {highest:?}");
                }
                known.highest = after;
                known.claims.push((now_ms, sender));
                trace.note(format!("      {work} on {member} is held by {after:?}"));
            }
        }
        self.check_foreign(&member)?;
        Ok((back, answer))
    }

    /// Has a member refuse a request.
    pub async fn forbid(&self, waiting: Waiting) -> (super::wire::Return, Landed) {
        let member = self.fleet.cluster(&waiting.member).expect("members stay in the fleet");
        let mut service = self.fleet.service(&waiting.member);
        let (request, back) = waiting.split();
        member.set_fault(Fault::Forbidden);
        let answer = service.call(request.map(Body::from)).await;
        member.clear_fault();
        (back, answer)
    }

    fn check_deletion(
        &self,
        member: &str,
        path: &str,
        object: &ObjectId,
        waiting: &Waiting,
        oracle: &Oracle,
    ) -> Checked {
        let Some(live) = self.get(member, path) else { return Ok(()) };
        let owners = live["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let works: Vec<&str> = owners
            .filter(|owner| owner["kind"] == "AppliedWork")
            .filter_map(|owner| owner["name"].as_str())
            .collect();
        let Some(work) = works.first() else {
            return violated!("{path} on {member} is deleted, and is nobody's of the hub");
        };
        let Some(key) = self.keys.get(*work) else {
            return violated!("{path} on {member} belongs to a work {work} that nobody made");
        };
        oracle.check_deletion(member, key, object)?;
        // Whoever holds the work deletes what its own order names, and nothing that others named.
        let known = self.works.get(&(member.to_owned(), (*work).to_owned()));
        let claimer = known.and_then(|known| known.claims.last()).map(|(_, claimer)| *claimer);
        if let Some((generation, _)) = self.fence(member, work)
            && claimer == Some(waiting.sender)
            && waiting.sent_ms >= known.and_then(|k| k.claims.last()).map_or(0, |(at, _)| *at)
            && !oracle.is_named_by(member, key, generation, object)
        {
            return violated!("{path} on {member} is deleted, but not named by {generation}");
        }
        Ok(())
    }

    fn check_foreign(&self, member: &str) -> Checked {
        let live = self.get(member, "/api/v1/namespaces/default/configmaps/own");
        if live.as_ref() != self.foreign.get(member) {
            return violated!("what is not the hub's was touched on {member}");
        }
        match self.lived_in_uid(member).as_ref() == self.lived_in_uids.get(member) {
            true => Ok(()),
            false => violated!("what {member} had before was deleted there"),
        }
    }

    /// The ConfigMaps of a placement on a member, by name, with their values.
    #[must_use]
    pub fn holds(&self, member: &str, key: &PlacementKey) -> BTreeMap<String, String> {
        let namespace = super::user::namespace_of(key);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let list = self.get(member, &path).unwrap_or_default();
        let prefix = format!("{}-", key.name);
        let items = list["items"].as_array().into_iter().flatten();
        let named = items.filter_map(|item| {
            let name = item["metadata"]["name"].as_str()?.strip_prefix(&prefix)?;
            Some((name.to_owned(), item["data"]["value"].as_str()?.to_owned()))
        });
        named.collect()
    }
}

/// A request, as far as the checks care.
struct Sent {
    path: String,
    what: What,
}

enum What {
    /// An object is applied for a work.
    Apply { work: String, is_conditional: bool },
    /// An AppliedWork is created.
    CreateWork { work: String, fence: Fence },
    /// Something else about an AppliedWork.
    Work { work: String },
    /// An object is deleted.
    Delete { object: ObjectId },
    /// Nothing that matters here.
    Other,
}

impl Sent {
    fn read(waiting: &Waiting) -> Self {
        let path = waiting.request.uri().path().to_owned();
        Self { what: what_of(waiting, &path), path }
    }

    fn work(&self) -> Option<&str> {
        match &self.what {
            What::CreateWork { work, .. } | What::Work { work } => Some(work),
            What::Apply { .. } | What::Delete { .. } | What::Other => None,
        }
    }
}

fn what_of(waiting: &Waiting, path: &str) -> What {
    let body: Value = serde_json::from_slice(waiting.request.body()).unwrap_or_default();
    if let Some(rest) = path.strip_prefix(WORKS) {
        let work = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        if !work.is_empty() {
            return What::Work { work: work.to_owned() };
        }
        let name = body["metadata"]["name"].as_str();
        return match (name, fence_of(&body)) {
            (Some(work), Some(fence)) => What::CreateWork { work: work.to_owned(), fence },
            _ => What::Other,
        };
    }
    match waiting.request.method().as_str() {
        "DELETE" => What::Delete { object: object_at(path) },
        "PATCH" => {
            let owners = body["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            let mut works = owners.filter(|owner| owner["kind"] == "AppliedWork");
            match works.next().and_then(|owner| owner["name"].as_str()) {
                None => What::Other,
                Some(work) => What::Apply {
                    work: work.to_owned(),
                    is_conditional: body["metadata"]["resourceVersion"].is_string(),
                },
            }
        }
        _ => What::Other,
    }
}

/// Which object a path names; of the kinds that placements here select.
fn object_at(path: &str) -> ObjectId {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let (namespace, kind, name) = match parts[..] {
        ["namespaces", namespace, "configmaps", name] => (namespace, "ConfigMap", name),
        ["namespaces", name] => ("", "Namespace", name),
        _ => ("", "", path),
    };
    ObjectId {
        group: String::new(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn fence_of(work: &Value) -> Option<Fence> {
    let number =
        |key: &str| -> Option<u64> { work["metadata"]["annotations"][key].as_str()?.parse().ok() };
    let generation = number(delivery::fence::GENERATION_ANNOTATION)?;
    Some((generation, Epoch(number(delivery::fence::EPOCH_ANNOTATION)?)))
}
