//! Starting a bed: what it consists of, and the order in which its servers come up.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicU32},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    Bed, HUB, Own, cluster::Cluster, etcd::Etcd, group::Group, kafka::Kafka, parts,
    parts::Kubernetes, state,
};

/// What a bed consists of.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    members: u32,
    kafka_nodes: u32,
    kwok: bool,
    api_only: bool,
    dir: Option<PathBuf>,
}

impl Builder {
    /// How many member clusters there are beside the hub: `member-1`, `member-2`, …
    #[must_use]
    pub fn members(mut self, members: u32) -> Self {
        self.members = members;
        self
    }

    /// How many Kafka nodes there are: 0, 1 or 3.
    #[must_use]
    pub fn kafka_nodes(mut self, nodes: u32) -> Self {
        self.kafka_nodes = nodes;
        self
    }

    /// Whether pods run on the members: each gets fake nodes, KWOK and a small scheduler. Without
    /// it pods stay pending. The hub has no nodes: what it holds is to run elsewhere.
    #[must_use]
    pub fn kwok(mut self, kwok: bool) -> Self {
        self.kwok = kwok;
        self
    }

    /// API servers alone, without controllers: whatever changes was asked for by a client.
    #[must_use]
    pub fn api_only(mut self, api_only: bool) -> Self {
        self.api_only = api_only;
        self
    }

    /// Where the bed keeps its files. An earlier bed's files there are removed first; the files
    /// stay when the bed ends. Without this they are in a temporary directory that does not.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Builds what is missing and starts everything; returns when every part was seen to work.
    ///
    /// # Errors
    /// A part could not be built or did not become ready; the error shows the end of its log.
    pub fn start(self) -> Result<Bed> {
        let begin = Instant::now();
        let programs = parts::kubernetes()?;
        let kwok = self.kwok.then(parts::kwok).transpose()?;
        let (dir, scratch) = match &self.dir {
            Some(dir) => (fresh_dir(dir)?, None),
            None => {
                let scratch = tempfile::Builder::new().prefix("taffrail-bed-").tempdir()?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        let group = Arc::new(Group::start(scratch.as_ref().map(|dir| dir.path()))?);
        let etcd = Etcd::start(&group, &programs.etcd, &dir)?;
        let etcd_port = etcd.port();
        let own = Own {
            clusters: Mutex::default(),
            members: AtomicU32::new(self.members),
            etcd,
            group: Arc::clone(&group),
            programs,
            kwok,
            api_only: self.api_only,
            _scratch: scratch,
        };
        let mut bed = Bed {
            dir,
            contexts: Mutex::default(),
            kafka: None,
            pods_run: self.kwok,
            etcd_port,
            own: Some(own),
        };
        bed.record(false)?;

        let dir = bed.dir.clone();
        thread::scope(|scope| {
            let kafka = (self.kafka_nodes > 0)
                .then(|| scope.spawn(|| start_kafka(&group, &dir, self.kafka_nodes, begin)));
            let clusters = start_clusters(&bed, self.members, begin);
            if let Some(kafka) = kafka {
                let kafka = kafka.join().map_err(|_| anyhow!("starting Kafka panicked"))?;
                bed.kafka = Some(kafka?);
            }
            clusters
        })?;
        bed.record(true)?;
        eprintln!("bed: up after {:.1} s", begin.elapsed().as_secs_f64());
        Ok(bed)
    }
}

fn start_kafka(group: &Arc<Group>, dir: &Path, nodes: u32, begin: Instant) -> Result<Kafka> {
    let kafka = Kafka::start_in(group, dir, nodes, &[])?;
    eprintln!("bed: Kafka, {nodes} node(s), ready after {:.1} s", begin.elapsed().as_secs_f64());
    Ok(kafka)
}

/// The hub and the members, all at once.
fn start_clusters(bed: &Bed, members: u32, begin: Instant) -> Result<()> {
    let own = bed.own.as_ref().context("a bed that is started is this process's own")?;
    own.etcd.wait_ready()?;
    eprintln!("bed: etcd ready after {:.1} s", begin.elapsed().as_secs_f64());
    let names = [HUB.to_owned()].into_iter().chain((1..=members).map(|n| format!("member-{n}")));
    let mut clusters = Vec::new();
    for name in names {
        let cluster = start_cluster(own, &bed.dir, &name)?;
        bed.contexts().push(cluster.context.clone());
        clusters.push(cluster);
    }
    *own.clusters.lock().map_err(|_| anyhow!("a thread panicked"))? = clusters.clone();
    bed.record(false)?;
    thread::scope(|scope| {
        let waits: Vec<_> = clusters
            .iter()
            .map(|cluster| {
                scope.spawn(move || {
                    own.wait_ready(cluster)?;
                    if let Some(part) = &own.kwok
                        && cluster.context.name != HUB
                    {
                        cluster.start_kwok(&own.group, part)?;
                    }
                    let (name, time) = (&cluster.context.name, begin.elapsed().as_secs_f64());
                    eprintln!("bed: {name} ready after {time:.1} s");
                    anyhow::Ok(())
                })
            })
            .collect();
        for wait in waits {
            wait.join().map_err(|_| anyhow!("waiting for a cluster panicked"))??;
        }
        Ok(())
    })
}

fn start_cluster(own: &Own, dir: &Path, name: &str) -> Result<Arc<Cluster>> {
    let programs: &Kubernetes = &own.programs;
    Ok(Arc::new(Cluster::start(&own.group, programs, &own.etcd.url(), dir, name)?))
}

/// An empty directory for the bed. Only what carries an earlier bed's record is removed.
fn fresh_dir(dir: &Path) -> Result<PathBuf> {
    if dir.exists() && fs::read_dir(dir)?.next().is_some() {
        let Ok(earlier) = state::State::read(dir) else {
            bail!("{} holds something else than a test bed: give another --dir", dir.display());
        };
        // Once this process has ended its own bed there, the record says that nothing is ready.
        let another = earlier.owner.pid != std::process::id();
        if earlier.owner.is_alive() && (another || earlier.ready) {
            bail!("a test bed runs in {}: `cargo xtask bed down` ends it", dir.display());
        }
        fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("find {}", dir.display()))
}
