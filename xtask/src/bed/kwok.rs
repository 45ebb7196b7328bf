//! Pods that run, without machines: fake nodes, KWOK in the place of their kubelets, and a
//! scheduler that gives every pod the next node, and a DaemonSet's pod the one that it is for. It
//! looks at no resources, taints or other affinity: a bed tests what is above the scheduler.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{group::Group, http::Client, process::Process};

/// Fake nodes of each cluster: two, so that a DaemonSet has more than one pod.
const NODES: usize = 2;

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The pause before a broken watch is opened again; the API server may be down for a while.
const RETRY: Duration = Duration::from_millis(200);

/// The kubelets and the scheduler of one cluster.
#[derive(Debug)]
pub(crate) struct Kwok {
    pub(crate) process: Process,
    ended: Arc<AtomicBool>,
    scheduler: Option<JoinHandle<()>>,
}

impl Kwok {
    /// Makes the nodes and returns when they are ready. `part` is where KWOK was built to, `dir`
    /// is the cluster's directory.
    pub(crate) fn start(
        group: &Arc<Group>,
        part: &Path,
        dir: &Path,
        cluster: &str,
        client: &Client,
    ) -> Result<Self> {
        let process = Process::new(
            group,
            format!("{cluster}/kwok"),
            dir.join("kwok.log"),
            part.join("kwok"),
            [
                format!("--kubeconfig={}", dir.join("kubeconfig").display()),
                format!("--config={}", part.join("stages.yaml").display()),
                "--manage-all-nodes=true".to_owned(),
            ],
        );
        process.start()?;
        for number in 1..=NODES {
            create_node(client, &node_name(number))?;
        }
        process.wait_until(READY_DEADLINE, || {
            let nodes = client.get("/api/v1/nodes")?.success()?;
            let nodes: List<Node> = serde_json::from_slice(&nodes)?;
            Ok(nodes.items.iter().filter(|node| node.is_ready()).count() == NODES)
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let scheduler = {
            let (client, ended) = (client.clone(), Arc::clone(&ended));
            thread::spawn(move || schedule(&client, &ended))
        };
        Ok(Self { process, ended, scheduler: Some(scheduler) })
    }

    /// Ends KWOK and, once the API server has gone too, the scheduler.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.process.end();
    }
}

impl Drop for Kwok {
    /// The API server is gone by now, and with it the watch on which the scheduler waits.
    fn drop(&mut self) {
        self.end();
        if let Some(scheduler) = self.scheduler.take()
            && scheduler.join().is_err()
        {
            eprintln!("bed: the scheduler of {} panicked", self.process.name);
        }
    }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// A node that says what it has and is not tainted: the API server taints every new node as not
/// ready, and the controller that would lift it is not running.
fn create_node(client: &Client, name: &str) -> Result<()> {
    let resources = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "type": "kwok"}},
        "status": {"allocatable": resources, "capacity": resources},
    });
    let body = serde_json::to_vec(&node)?;
    client.send("POST", "/api/v1/nodes", "application/json", &body)?.success()?;
    let patch = br#"{"spec":{"taints":null}}"#;
    let path = format!("/api/v1/nodes/{name}");
    client.send("PATCH", &path, "application/merge-patch+json", patch)?.success()?;
    Ok(())
}

/// Binds pods until the bed ends. A watch ends when the server says so, or dies; the next one
/// starts with all pods that have no node.
fn schedule(client: &Client, ended: &AtomicBool) {
    let mut turn = 0;
    let mut told = String::new();
    while !ended.load(Ordering::Relaxed) {
        if let Err(error) = bind_from_watch(client, &mut turn, ended) {
            let error = format!("{error:#}");
            if error != told && !ended.load(Ordering::Relaxed) {
                eprintln!("bed: the scheduler watches again: {error}");
                told = error;
            }
        }
        thread::sleep(RETRY);
    }
}

fn bind_from_watch(client: &Client, turn: &mut usize, ended: &AtomicBool) -> Result<()> {
    let path = "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D&timeoutSeconds=300";
    for line in BufReader::new(client.watch(path)?).lines() {
        let event: Event = serde_json::from_str(&line?).context("read a watch event")?;
        if ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        match event.r#type.as_str() {
            "ADDED" => {
                let next = || node_name(*turn % NODES + 1);
                let node = wanted_node(&event.object.spec).map_or_else(next, str::to_owned);
                bind(client, &event.object.metadata, &node)?;
            }
            "ERROR" => bail!("the watch broke"),
            _ => continue,
        }
        *turn += 1;
    }
    Ok(())
}

/// The node that a DaemonSet's pod is for: its controller says so by the name, in the affinity.
fn wanted_node(spec: &Value) -> Option<&str> {
    let terms = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
                 /nodeSelectorTerms/0/matchFields";
    let mut fields = spec.pointer(terms)?.as_array()?.iter();
    fields.find(|field| field["key"] == "metadata.name")?["values"][0].as_str()
}

/// A pod that is gone or bound already is none of our business.
fn bind(client: &Client, pod: &Metadata, node: &str) -> Result<()> {
    let Metadata { name, namespace } = pod;
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
    let body = serde_json::to_vec(&binding)?;
    let answer = client.send("POST", &path, "application/json", &body)?;
    if !matches!(answer.status, 404 | 409) {
        answer.success().with_context(|| format!("bind pod {namespace}/{name}"))?;
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    object: Pod,
}

#[derive(Debug, Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        let conditions = self.status.conditions.iter();
        conditions.into_iter().any(|it| it.r#type == "Ready" && it.status == "True")
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use serde_json::{Value, json};

    use super::{READY_DEADLINE, RETRY, wanted_node};
    use crate::bed::{Bed, http::Client, wanted};

    #[test]
    fn a_pod_of_a_daemon_set_gets_its_node() {
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["node-2"]});
        let term = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
        let rule = json!({"requiredDuringSchedulingIgnoredDuringExecution": term});
        let pod = json!({"affinity": {"nodeAffinity": rule}});
        assert_eq!(wanted_node(&pod), Some("node-2"));
        assert_eq!(wanted_node(&json!({"containers": []})), None);
    }

    #[test]
    fn a_job_succeeds_on_a_fake_node() {
        if !wanted() {
            return;
        }
        let bed = Bed::builder().members(1).kwok(true).start().expect("a bed starts");
        let member = bed.context("member-1");
        let client = Client::new(member.port, &member.credentials).expect("its credentials work");
        let container = json!({"name": "main", "image": "registry.invalid/nothing"});
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "once"},
            "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
        });
        let jobs = "/apis/batch/v1/namespaces/default/jobs";
        let created = client.send("POST", jobs, "application/json", job.to_string().as_bytes());
        created.expect("the API server answers").success().expect("the job is valid");

        let begin = Instant::now();
        loop {
            let answer = client.get(&format!("{jobs}/once")).expect("the API server answers");
            let job: Value = serde_json::from_slice(&answer.body).expect("a job is JSON");
            if job["status"]["succeeded"] == 1 {
                break;
            }
            assert!(begin.elapsed() < READY_DEADLINE, "the job does not succeed: {job:#}");
            thread::sleep(RETRY);
        }
    }
}
