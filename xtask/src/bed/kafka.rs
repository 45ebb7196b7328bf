//! Apache Kafka on 127.0.0.1: one node, or three that replicate each other. Every node is broker
//! and controller (KRaft).
//!
//! A test that breaks the broker starts a [`Kafka`] of its own, with its own directory and
//! ports; the bed's is shared by all tests of a run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{
    group::Group,
    jvm::{self, Jvm},
    parts,
    ports::{self, Port},
    process::Process,
    random,
};

/// A node is ready after two seconds on an idle machine.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// What a node writes to its log when it serves and the controllers know it.
const STARTED: &str = "Kafka Server started";

/// A Kafka cluster. Dropping it kills every node and removes the data.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    /// Empty when this is somebody else's cluster.
    nodes: Vec<Node>,
    _scratch: Option<TempDir>,
}

#[derive(Debug)]
struct Node {
    id: u32,
    process: Process,
    log: PathBuf,
    _client: Port,
    _controller: Port,
}

impl Kafka {
    /// Starts a cluster of its own with broker defaults; returns when every node serves.
    ///
    /// # Errors
    /// A part could not be built, a node ended, or was not ready in time: the error shows the end
    /// of the node's log.
    pub fn start(nodes: u32) -> Result<Self> {
        Self::start_with(nodes, &[])
    }

    /// Like [`Kafka::start`], with more lines for every node's `server.properties`, such as
    /// `broker.session.timeout.ms=3000`.
    ///
    /// # Errors
    /// As for [`Kafka::start`].
    pub fn start_with(nodes: u32, settings: &[&str]) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("taffrail-kafka-").tempdir()?;
        let group = Arc::new(Group::start(Some(scratch.path()))?);
        let kafka = Self::start_in(&group, scratch.path(), nodes, settings)?;
        Ok(Self { _scratch: Some(scratch), ..kafka })
    }

    /// Starts the nodes in a directory of the bed.
    pub(crate) fn start_in(
        group: &Arc<Group>,
        dir: &Path,
        nodes: u32,
        settings: &[&str],
    ) -> Result<Self> {
        if nodes != 1 && nodes != 3 {
            bail!("Kafka runs with 1 or 3 nodes here, not {nodes}");
        }
        let jvm = jvm::prepare(&parts::kafka()?)?;
        let kafka = Self::lay_out(group, &jvm, dir, nodes, settings)?;
        kafka.start_nodes(&kafka.node_ids())?;
        Ok(kafka)
    }

    /// A cluster that another process runs.
    pub(crate) fn attach(bootstrap: String) -> Self {
        Self { bootstrap, nodes: Vec::new(), _scratch: None }
    }

    /// The directories and command lines of all nodes; nothing runs yet.
    pub(super) fn lay_out(
        group: &Arc<Group>,
        jvm: &Jvm,
        dir: &Path,
        nodes: u32,
        settings: &[&str],
    ) -> Result<Self> {
        let cluster_id = random::kafka_uuid()?;
        let mut ports = Vec::new();
        for id in 1..=nodes {
            ports.push((id, ports::reserve()?, ports::reserve()?));
        }
        let voters: Vec<String> = ports
            .iter()
            .map(|(id, _, controller)| format!("{id}@127.0.0.1:{}", controller.number))
            .collect();
        let voters = voters.join(",");
        let bootstrap: Vec<String> =
            ports.iter().map(|(_, client, _)| format!("127.0.0.1:{}", client.number)).collect();

        let mut all = Vec::new();
        for (id, client, controller) in ports {
            let dir = dir.join(format!("kafka-{id}"));
            let config = properties(&dir, id, nodes, &client, &controller, &voters, settings);
            let properties = dir.join("server.properties");
            fs::create_dir_all(dir.join("data"))
                .and_then(|()| fs::write(&properties, config))
                .with_context(|| format!("write {}", properties.display()))?;
            jvm.format(&dir.join("data"), &properties, id, &cluster_id)?;
            let log = dir.join("log");
            let process = Process::new(
                group,
                format!("kafka-{id}"),
                log.clone(),
                &jvm.program,
                jvm.server_args(&properties),
            );
            all.push(Node { id, process, log, _client: client, _controller: controller });
        }
        Ok(Self { bootstrap: bootstrap.join(","), nodes: all, _scratch: None })
    }

    /// `bootstrap.servers`: every node's address, separated by commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The nodes' ids, from 1.
    pub fn node_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Kills a node with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// There is no such node in a cluster of this process, or it is not running.
    pub fn kill(&self, node: u32) -> Result<()> {
        self.node(node)?.process.kill()
    }

    /// Stops a node with SIGTERM: it hands its leaderships over first.
    ///
    /// # Errors
    /// As for [`Kafka::kill`].
    pub fn stop(&self, node: u32) -> Result<()> {
        self.node(node)?.process.stop()
    }

    /// Stops every node, and waits for as long as it takes to write an archive of classes.
    pub(super) fn stop_all_within(&self, deadline: Duration) -> Result<()> {
        self.processes().try_for_each(|process| process.stop_within(deadline))
    }

    /// Starts a node again, on its old port and data; returns when it serves. Without a majority
    /// of the nodes none of them serves: start several with [`Kafka::start_nodes`].
    ///
    /// # Errors
    /// There is no such node, it runs already, or is not ready in time.
    pub fn start_node(&self, node: u32) -> Result<()> {
        self.start_nodes(&[node])
    }

    /// Starts several nodes at once; returns when all of them serve.
    ///
    /// # Errors
    /// As for [`Kafka::start_node`].
    pub fn start_nodes(&self, nodes: &[u32]) -> Result<()> {
        let mut started = Vec::new();
        for id in nodes {
            let node = self.node(*id)?;
            started.push((node, node.process.start()?));
        }
        for (node, begin) in started {
            node.process.wait_until(READY_DEADLINE, || {
                let log = fs::read(&node.log)?;
                let fresh = log.get(usize::try_from(begin)?..).unwrap_or_default();
                Ok(String::from_utf8_lossy(fresh).contains(STARTED))
            })?;
        }
        Ok(())
    }

    /// Every node's process, for the bed's record of what it started.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().map(|node| &node.process)
    }

    fn node(&self, id: u32) -> Result<&Node> {
        self.nodes.iter().find(|node| node.id == id).with_context(|| {
            if self.nodes.is_empty() {
                "this Kafka is shared with other tests: start one with Kafka::start".to_owned()
            } else {
                format!("there is no Kafka node {id}: the nodes are {:?}", self.node_ids())
            }
        })
    }
}

/// `server.properties`. Internal topics get as many replicas as there are nodes and few
/// partitions; the log cleaner's buffer is small, or the heap would not hold it.
fn properties(
    dir: &Path,
    id: u32,
    nodes: u32,
    client: &Port,
    controller: &Port,
    voters: &str,
    settings: &[&str],
) -> String {
    let (client, controller) = (client.number, controller.number);
    let min_isr = if nodes == 1 { 1 } else { 2 };
    let data = dir.join("data");
    let mut lines = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{client}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor={nodes}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={nodes}
transaction.state.log.min.isr={min_isr}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={nodes}
share.coordinator.state.topic.min.isr={min_isr}
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
",
        data = data.display()
    );
    for setting in settings {
        lines.push_str(setting);
        lines.push('\n');
    }
    lines
}
