//! Asks a member which cluster it is, how it is and what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use api::names::property;
use events::cluster::LinkProblem;
use kube::core::params::ListParams;
use serde_json::Value;

use super::PushMember;
use super::discovery::Resource;
use super::requests::CallError;
use crate::quantity::Quantity;
use crate::{Probe, ResourceUsage};

/// How long a probe may take. What was collected until then is reported.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// How many nodes or pods are asked for at once.
pub const PROBE_PAGE_OBJECTS: u32 = 500;

/// How many pages of nodes, and of pods, one probe reads: 10,000 objects each. A member with more
/// reports what it offers, but not what is still free of it.
pub const PROBE_PAGES_MAX: usize = 20;

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
            Err(_) if probe.identity.is_empty() => Err(CallError::Unusable {
                problem: LinkProblem::Unreachable,
                message: format!("no answer within {} s", PROBE_DEADLINE.as_secs()),
            }),
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
            Err(CallError::Busy(message)) => probe.message = format!("/readyz: {message}"),
            Err(error @ CallError::Unusable { .. }) => return Err(error),
        }
        let namespaces = Resource::core("Namespace", "namespaces");
        let system = self.requests.get(&namespaces, "", "kube-system").await?;
        probe.identity = system["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let version = self.requests.get_path("/version").await?;
        probe.kubernetes_version = version["gitVersion"].as_str().unwrap_or_default().to_owned();
        probe
            .properties
            .insert(property::KUBERNETES_VERSION.to_owned(), probe.kubernetes_version.clone());
        self.ask_for_resources(probe).await
    }

    /// Nodes and pods. Not being allowed to see them is no failure.
    async fn ask_for_resources(&self, probe: &mut Probe) -> Result<(), CallError> {
        let Some(nodes) = self.list_all(&Resource::core("Node", "nodes"), None, probe).await?
        else {
            return Ok(());
        };
        let (mut count, mut capacity, mut allocatable) = (0_usize, Amounts::new(), Amounts::new());
        for node in &nodes {
            count += 1;
            add(&mut capacity, &node["status"]["capacity"]);
            add(&mut allocatable, &node["status"]["allocatable"]);
        }
        probe.properties.insert(property::NODE_COUNT.to_owned(), count.to_string());
        tell(probe, "total", &capacity);
        tell(probe, "allocatable", &allocatable);
        probe.usage = Some(ResourceUsage {
            capacity: written(&capacity),
            allocatable: written(&allocatable),
            available: BTreeMap::new(),
        });
        let unfinished = "status.phase!=Succeeded,status.phase!=Failed";
        let pods = Resource::core("Pod", "pods");
        let Some(pods) = self.list_all(&pods, Some(unfinished), probe).await? else {
            return Ok(());
        };
        let available = minus_requests(allocatable, &pods);
        tell(probe, "available", &available);
        if let Some(usage) = &mut probe.usage {
            usage.available = written(&available);
        }
        Ok(())
    }

    /// All objects of a kind, or `None` when they cannot all be read; the probe says why.
    async fn list_all(
        &self,
        resource: &Resource,
        field_selector: Option<&str>,
        probe: &mut Probe,
    ) -> Result<Option<Vec<Value>>, CallError> {
        let mut params = ListParams::default().limit(PROBE_PAGE_OBJECTS);
        params.field_selector = field_selector.map(str::to_owned);
        let mut objects = Vec::new();
        for _ in 0..PROBE_PAGES_MAX {
            let mut page = match self.requests.list(resource, &params).await {
                Ok(page) => page,
                Err(CallError::Refused(status)) => {
                    let plural = &resource.plural;
                    probe.incomplete.push(format!("{plural}: it answers with {}", status.code));
                    return Ok(None);
                }
                Err(CallError::Busy(message)) => {
                    probe.incomplete.push(format!("{}: {message}", resource.plural));
                    return Ok(None);
                }
                Err(error @ CallError::Unusable { .. }) => return Err(error),
            };
            if let Some(items) = page["items"].as_array_mut() {
                objects.append(items);
            }
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => {
                    params.continue_token = Some(token.to_owned());
                }
                Some(_) | None => return Ok(Some(objects)),
            }
        }
        let most = PROBE_PAGES_MAX * PROBE_PAGE_OBJECTS as usize;
        probe.incomplete.push(format!("{}: more than {most}", resource.plural));
        Ok(None)
    }
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

fn add(amounts: &mut Amounts, resources: &Value) {
    for name in SUMMED_RESOURCES {
        if let Some(amount) = resources[name].as_str().and_then(Quantity::parse) {
            let sum = amounts.entry(name).or_default();
            *sum = sum.plus(amount);
        }
    }
}

/// What is left after what the pods on nodes have asked for.
fn minus_requests(allocatable: Amounts, pods: &[Value]) -> Amounts {
    let mut requested = Amounts::new();
    let on_nodes =
        pods.iter().filter(|pod| pod["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty()));
    for pod in on_nodes {
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            add(&mut requested, &container["resources"]["requests"]);
        }
    }
    allocatable
        .into_iter()
        .map(|(name, amount)| {
            (name, amount.minus(requested.get(name).copied().unwrap_or_default()))
        })
        .collect()
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
