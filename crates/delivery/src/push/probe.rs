//! Asks a member which cluster it is, how it is and what it has.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use api::names::property;
use domain::quantity::Quantity;
use kube::core::params::ListParams;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::PushMember;
use super::discovery::Resource;
use super::requests::CallError;
use crate::{Probe, ResourceUsage};

/// How long a probe may take. What was collected until then is reported.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// How many nodes or pods are asked for at once.
pub const PROBE_PAGE_OBJECTS: u32 = 500;

/// How many pages of nodes, and of pods, one probe reads: 10,000 objects each. A member with more
/// reports what it offers, but not what is still free of it.
pub const PROBE_PAGES_MAX: usize = 20;

/// How long the sums over pods are taken to be what they were. Pods are by far the most of what a
/// probe reads, and nobody schedules by what is free to the second: with the default period, every
/// second probe counts them.
pub const PODS_COUNTED_EVERY: Duration = Duration::from_secs(110);

const SUMMED_RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Amounts by resource name.
type Amounts = BTreeMap<&'static str, Quantity>;

impl PushMember {
    /// See [`Link::probe`](crate::Link::probe).
    pub(super) async fn probe(&self) -> Result<Probe, CallError> {
        let mut probe = Probe::default();
        match tokio::time::timeout(PROBE_DEADLINE, self.ask(&mut probe)).await {
            Ok(Ok(())) => Ok(probe),
            Ok(Err(error)) => Err(error),
            Err(_) if probe.identity.is_empty() => {
                let seconds = PROBE_DEADLINE.as_secs();
                Err(self.requests.unreachable(&format!("no answer within {seconds} s")))
            }
            Err(_) => {
                let seconds = PROBE_DEADLINE.as_secs();
                probe.incomplete.push(format!("the rest did not come within {seconds} s"));
                Ok(probe)
            }
        }
    }

    /// Fills in a probe, the most important first.
    async fn ask(&self, probe: &mut Probe) -> Result<(), CallError> {
        match self.requests.get_text("/readyz").await {
            Ok(_) => probe.ready = true,
            Err(CallError::Refused(status)) => {
                let failed = failed_checks(&status.message);
                probe.message = format!("/readyz answers with {}{failed}", status.code);
            }
            Err(CallError::Busy(message) | CallError::TimedOut(message)) => {
                probe.message = format!("/readyz: {message}")
            }
            Err(error @ CallError::Unusable { .. }) => return Err(error),
        }
        let namespaces = Resource::core("Namespace", "namespaces");
        let system = self.requests.get(&namespaces, "", "kube-system").await?;
        probe.identity = system["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        probe.mark = self.read_mark(&probe.identity).await?;
        let version = self.requests.get_path("/version").await?;
        probe.kubernetes_version = version["gitVersion"].as_str().unwrap_or_default().to_owned();
        probe
            .properties
            .insert(property::KUBERNETES_VERSION.to_owned(), probe.kubernetes_version.clone());
        self.ask_for_resources(probe).await
    }

    /// Nodes and pods. Not being allowed to see them is no failure.
    async fn ask_for_resources(&self, probe: &mut Probe) -> Result<(), CallError> {
        let (mut count, mut capacity, mut allocatable) = (0_usize, Amounts::new(), Amounts::new());
        let nodes = Resource::core("Node", "nodes");
        let listed = self.for_each(&nodes, None, |node: Node| {
            count += 1;
            add(&mut capacity, &node.status.capacity);
            add(&mut allocatable, &node.status.allocatable);
        });
        if let Some(reason) = listed.await?.reason_incomplete() {
            probe.incomplete.push(format!("nodes: {reason}"));
            return Ok(());
        }
        probe.properties.insert(property::NODE_COUNT.to_owned(), count.to_string());
        tell(probe, "total", &capacity);
        tell(probe, "allocatable", &allocatable);
        probe.usage = Some(ResourceUsage {
            age: Duration::ZERO,
            capacity: written(&capacity),
            allocatable: written(&allocatable),
            available: BTreeMap::new(),
        });
        let PodCount { at, requested } = self.requested_by_pods().await?;
        match requested {
            Err(reason) => probe.incomplete.push(format!("pods: {reason}")),
            Ok(requested) => {
                let available = minus(allocatable, &requested);
                tell(probe, "available", &available);
                if let Some(usage) = &mut probe.usage {
                    usage.available = written(&available);
                    usage.age = at.elapsed();
                }
            }
        }
        Ok(())
    }

    /// What the pods on nodes ask for, as it was counted last, or now if that is long ago.
    async fn requested_by_pods(&self) -> Result<PodCount, CallError> {
        let last = self.pods().clone();
        if let Some(count) = last.filter(|count| count.at.elapsed() < PODS_COUNTED_EVERY) {
            return Ok(count);
        }
        // Noted before: what does not come to an end within one probe is not begun by the next.
        let at = Instant::now();
        *self.pods() = Some(PodCount { at, requested: Err("not counted in time".to_owned()) });
        let mut requested = Amounts::new();
        let pods = Resource::core("Pod", "pods");
        let unfinished = Some("status.phase!=Succeeded,status.phase!=Failed");
        let listed = self.for_each(&pods, unfinished, |pod: Pod| {
            if !pod.spec.node_name.is_empty() {
                for container in pod.spec.containers {
                    add(&mut requested, &container.resources.requests);
                }
            }
        });
        let listed = listed.await;
        if !matches!(listed, Ok(Listed::All | Listed::TooMany)) {
            *self.pods() = None;
        }
        let count =
            PodCount { at, requested: listed?.reason_incomplete().map_or(Ok(requested), Err) };
        if let Some(noted) = self.pods().as_mut() {
            noted.requested.clone_from(&count.requested);
        }
        Ok(count)
    }

    fn pods(&self) -> MutexGuard<'_, Option<PodCount>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes through all objects of a kind. None is kept, and of a page only what is asked of it.
    async fn for_each<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        field_selector: Option<&str>,
        mut take: impl FnMut(T),
    ) -> Result<Listed, CallError> {
        let mut params = ListParams::default().limit(PROBE_PAGE_OBJECTS);
        params.field_selector = field_selector.map(str::to_owned);
        for _ in 0..PROBE_PAGES_MAX {
            let page: Page<T> = match self.requests.list(resource, &params).await {
                Ok(page) => page,
                Err(CallError::Refused(status)) => {
                    return Ok(Listed::Refused(format!("it answers with {}", status.code)));
                }
                Err(CallError::Busy(message) | CallError::TimedOut(message)) => {
                    return Ok(Listed::Refused(message));
                }
                Err(error @ CallError::Unusable { .. }) => return Err(error),
            };
            page.items.into_iter().flatten().for_each(&mut take);
            if page.metadata.next.is_empty() {
                return Ok(Listed::All);
            }
            params.continue_token = Some(page.metadata.next);
        }
        Ok(Listed::TooMany)
    }
}

/// What pods ask for.
#[derive(Debug, Clone)]
pub(super) struct PodCount {
    /// When counting began.
    at: Instant,
    /// The sums, or why there are none.
    requested: Result<Amounts, String>,
}

/// How far a list was read.
enum Listed {
    All,
    TooMany,
    Refused(String),
}

impl Listed {
    fn reason_incomplete(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::TooMany => {
                Some(format!("more than {}", PROBE_PAGES_MAX * PROBE_PAGE_OBJECTS as usize))
            }
            Self::Refused(reason) => Some(reason),
        }
    }
}

// Of nodes and pods only what is added up: whole ones take fifty times the memory.

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    /// Go writes an empty list as null.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// Resources by name, as they are written.
type Written = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    capacity: Written,
    #[serde(default)]
    allocatable: Written,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    resources: Requests,
}

#[derive(Default, Deserialize)]
struct Requests {
    #[serde(default)]
    requests: Written,
}

/// The checks that failed, of the list that an API server answers with when it is not ready.
fn failed_checks(answer: &str) -> String {
    let failed: Vec<&str> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .map(|line| line.split_once(' ').map_or(line, |(check, _)| check))
        .collect();
    if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) }
}

fn add(amounts: &mut Amounts, resources: &Written) {
    for name in SUMMED_RESOURCES {
        if let Some(amount) = resources.get(name).and_then(|amount| Quantity::parse(amount)) {
            let sum = amounts.entry(name).or_default();
            *sum = sum.plus(amount);
        }
    }
}

/// What is left of what nodes offer after what pods have asked for.
fn minus(allocatable: Amounts, requested: &Amounts) -> Amounts {
    let left = |(name, amount): (&'static str, Quantity)| {
        (name, amount.minus(requested.get(name).copied().unwrap_or_default()))
    };
    allocatable.into_iter().map(left).collect()
}

fn written(amounts: &Amounts) -> BTreeMap<String, String> {
    amounts.iter().map(|(name, amount)| ((*name).to_owned(), text(name, *amount))).collect()
}

/// Adds the properties `resources.kubernetes-fleet.io/<what>-<resource>`.
fn tell(probe: &mut Probe, what: &str, amounts: &Amounts) {
    for (name, amount) in amounts {
        let property = format!("{}{what}-{name}", property::RESOURCE_PREFIX);
        probe.properties.insert(property, text(name, *amount));
    }
}

fn text(name: &str, amount: Quantity) -> String {
    if name == "cpu" { amount.to_cpu() } else { amount.to_memory() }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
