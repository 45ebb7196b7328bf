//! The test bed: real Apache Kafka, etcd and kube-apiservers as plain processes on 127.0.0.1.
//!
//! ```no_run
//! let bed = xtask::bed::Bed::builder().members(3).kafka_nodes(1).start()?;
//! let kubeconfig = bed.kubeconfig_path(); // contexts: hub, member-1, member-2, member-3
//! let brokers = bed.kafka().bootstrap();
//! bed.apiserver("member-1").kill()?;
//! bed.apiserver("member-1").start()?;
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! The programs are built once from pinned versions and kept in the user's cache ([`parts`]).
//! Everything is blocking and nothing outlives its owner ([`Bed`], [`Kafka`]), not even when the
//! owner is killed: see `group`. `cargo xtask bed up` keeps a bed in a process of its own, and
//! [`shared`] is how the tests of one run use one bed together.

mod builder;
mod cache;
mod cluster;
mod context;
mod etcd;
mod group;
mod http;
mod jvm;
mod kafka;
mod kwok;
pub mod manifests;
pub mod parts;
mod pki;
mod ports;
mod process;
mod random;
mod share;
mod state;
mod stop;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

pub use self::{
    builder::Builder,
    context::Context,
    kafka::Kafka,
    pki::Credentials,
    share::{BED_DIR, BED_KUBECONFIG, BED_MODE, SKIPPED, Turn, shared, start_shareable, wanted},
    state::{ClusterState, ProcessId, Started, State},
    stop::stop,
};
use self::{cluster::Cluster, etcd::Etcd, group::Group, parts::Kubernetes, process::Process};

/// Builds everything that a bed starts, and fetches what tests place, as far as the cache lacks it.
///
/// # Errors
/// A tool is missing or failed; the error names it and what to install.
pub fn build() -> Result<()> {
    jvm::prepare(&parts::kafka()?)?;
    parts::kubernetes()?;
    parts::kwok()?;
    manifests::fetch_all()
}

/// The directory of the bed that `cargo xtask bed up` starts: `bed` in Cargo's target directory.
pub fn default_dir() -> PathBuf {
    crate::target_dir().join("bed")
}

/// The hub's context.
pub const HUB: &str = "hub";

/// A running test bed. Dropping it ends everything that it started.
#[derive(Debug)]
pub struct Bed {
    dir: PathBuf,
    contexts: Mutex<Vec<Context>>,
    kafka: Option<Kafka>,
    pods_run: bool,
    etcd_port: u16,
    /// What this process runs itself; `None` when it only attached to a bed.
    own: Option<Own>,
}

/// The servers of this process's bed.
#[derive(Debug)]
struct Own {
    clusters: Mutex<Vec<Arc<Cluster>>>,
    /// How many members were started so far: a name is never used twice.
    members: AtomicU32,
    etcd: Etcd,
    group: Arc<Group>,
    programs: Kubernetes,
    /// Where KWOK is, if the members run it.
    kwok: Option<PathBuf>,
    /// Whether the API servers are without controllers.
    api_only: bool,
    _scratch: Option<TempDir>,
}

impl Own {
    fn wait_ready(&self, cluster: &Cluster) -> Result<()> {
        if self.api_only { cluster.wait_serving() } else { cluster.wait_ready() }
    }
}

impl Bed {
    /// A bed to be configured and started: a hub, no members, no Kafka.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Uses the bed that another process runs in `dir`.
    ///
    /// # Errors
    /// There is none, or it is not ready.
    pub fn attach(dir: &Path) -> Result<Self> {
        let state = State::read(dir)?;
        if !state.is_up() {
            bail!("the test bed in {} is not up: see `cargo xtask bed status`", dir.display());
        }
        let mut contexts = Vec::new();
        for cluster in &state.clusters {
            let credentials = pki::load(&dir.join(&cluster.name))?;
            contexts.push(cluster::context(&cluster.name, cluster.port, credentials));
        }
        Ok(Self {
            dir: dir.to_owned(),
            contexts: Mutex::new(contexts),
            kafka: state.kafka_bootstrap.map(Kafka::attach),
            pods_run: state.pods_run,
            etcd_port: state.etcd_port,
            own: None,
        })
    }

    /// The directory with everything that the bed wrote: logs, certificates, `bed.json`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A kubeconfig with a context for each cluster; the hub is current.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The names of all contexts, the hub first.
    pub fn context_names(&self) -> Vec<String> {
        self.contexts().iter().map(|context| context.name.clone()).collect()
    }

    /// A cluster's address and credentials.
    ///
    /// # Panics
    /// The bed has no such cluster: a mistake in the test.
    pub fn context(&self, name: &str) -> Context {
        let found = self.contexts().iter().find(|context| context.name == name).cloned();
        found.unwrap_or_else(|| {
            panic!("the bed has no cluster {name}, only {:?}", self.context_names())
        })
    }

    /// The bed's Kafka.
    ///
    /// # Panics
    /// The bed was started without Kafka: a mistake in the test.
    pub fn kafka(&self) -> &Kafka {
        self.kafka.as_ref().expect("the bed was started with kafka_nodes(1) or (3)")
    }

    /// Makes etcd forget what objects were like before the revision, as API servers do by
    /// themselves every five minutes. The clusters share the etcd, so this is for all of them.
    ///
    /// # Errors
    /// etcd does not answer, or has forgotten this much already.
    pub fn compact(&self, revision: u64) -> Result<()> {
        let body = format!("{{\"revision\":\"{revision}\"}}");
        let answer = http::post_plain(self.etcd_port, "/v3/kv/compaction", body.as_bytes())?;
        answer.success().map(drop)
    }

    /// A cluster's API server, to break it and to mend it.
    ///
    /// # Panics
    /// The bed has no such cluster, or is shared with other tests: a mistake in the test.
    pub fn apiserver(&self, name: &str) -> ApiServer {
        let own = self.own.as_ref().expect("the bed is this test's own, not a shared one");
        let clusters = own.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let found = clusters.iter().find(|cluster| cluster.context.name == name);
        let cluster = found.unwrap_or_else(|| panic!("the bed has no cluster {name}"));
        ApiServer { cluster: Arc::clone(cluster) }
    }

    /// Starts one more member, `member-<n>`, and adds it to the kubeconfig. Returns its context
    /// when it is ready.
    ///
    /// # Errors
    /// The bed is shared, or a server did not start.
    pub fn add_member(&self) -> Result<Context> {
        let own = self.own.as_ref().context("a shared bed gets no members: start your own")?;
        let name = format!("member-{}", own.members.fetch_add(1, Ordering::Relaxed) + 1);
        let cluster = Cluster::start(&own.group, &own.programs, &own.etcd.url(), &self.dir, &name)?;
        own.wait_ready(&cluster)?;
        if let Some(part) = &own.kwok {
            cluster.start_kwok(&own.group, part)?;
        }
        let context = cluster.context.clone();
        own.clusters.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(cluster));
        self.contexts().push(context.clone());
        self.record(true)?;
        Ok(context)
    }

    /// Fails with the end of its log if a server of this process's bed has ended by itself.
    ///
    /// # Errors
    /// Names the server.
    pub fn check(&self) -> Result<()> {
        self.processes(|process| if process.pid().is_some() { process.check() } else { Ok(()) })
            .into_iter()
            .collect()
    }

    /// Writes `bed.json` and the kubeconfig.
    fn record(&self, ready: bool) -> Result<()> {
        let contexts = self.contexts().clone();
        let kubeconfig = self.kubeconfig_path();
        fs::write(&kubeconfig, context::kubeconfig(&contexts))
            .with_context(|| format!("write {}", kubeconfig.display()))?;
        let started = self.processes(|process| {
            let process_id = process.pid().and_then(ProcessId::of)?;
            Some(Started { name: process.name.clone(), process: process_id })
        });
        let owner = ProcessId::of(std::process::id()).context("read /proc: beds run on Linux")?;
        let mut processes: Vec<Started> = started.into_iter().flatten().collect();
        let watchdog = self.own.as_ref().and_then(|own| own.group.watchdog());
        if let Some(process) = watchdog.and_then(ProcessId::of) {
            processes.insert(0, Started { name: "watchdog".to_owned(), process });
        }
        let clusters = contexts
            .iter()
            .map(|context| ClusterState { name: context.name.clone(), port: context.port })
            .collect();
        let kafka_bootstrap = self.kafka.as_ref().map(|kafka| kafka.bootstrap().to_owned());
        let (pods_run, etcd_port) = (self.pods_run, self.etcd_port);
        let state =
            State { owner, ready, processes, clusters, kafka_bootstrap, pods_run, etcd_port };
        state.write(&self.dir)
    }

    /// Applies `look` to every process that this bed runs.
    fn processes<T>(&self, look: impl Fn(&Process) -> T) -> Vec<T> {
        let Some(own) = &self.own else { return Vec::new() };
        let clusters = own.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let kafka = self.kafka.iter().flat_map(Kafka::processes);
        let servers = clusters.iter().flat_map(|cluster| cluster.processes());
        [&own.etcd.process].into_iter().chain(servers).chain(kafka).map(look).collect()
    }

    fn contexts(&self) -> MutexGuard<'_, Vec<Context>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bed {
    /// Ends the servers also when somebody still holds a handle of one, and takes the bed's
    /// record back: the directory may stay.
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        let clusters = own.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.iter().for_each(|cluster| cluster.end());
        own.etcd.process.end();
        own.group.end();
        drop(clusters);
        if let Err(error) = self.record(false) {
            eprintln!("bed: {error:#}");
        }
    }
}

/// A cluster's API server, to break it and to mend it. Its controllers keep running and find it
/// again by themselves. When the bed ends the server ends with it, and cannot be started again.
#[derive(Debug, Clone)]
pub struct ApiServer {
    cluster: Arc<Cluster>,
}

impl ApiServer {
    /// Kills it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&self) -> Result<()> {
        self.cluster.apiserver.kill()
    }

    /// Stops it with SIGTERM.
    ///
    /// # Errors
    /// It is not running.
    pub fn stop(&self) -> Result<()> {
        self.cluster.apiserver.stop()
    }

    /// Keeps it from running until [`ApiServer::resume`], as a machine that hangs would: it answers
    /// nothing, and its connections stay open.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<()> {
        self.cluster.apiserver.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<()> {
        self.cluster.apiserver.resume()
    }

    /// Starts it again on its old port, with its old data; returns when it serves.
    ///
    /// # Errors
    /// It runs already, or was not ready in time.
    pub fn start(&self) -> Result<()> {
        self.cluster.apiserver.start()?;
        self.cluster.wait_serving()
    }
}
