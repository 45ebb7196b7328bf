//! The one etcd of a bed. Every API server keeps its objects under a prefix of its own, which
//! saves 70 MB and two seconds for each further cluster.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};

use super::{
    group::Group,
    http,
    ports::{self, Port},
    process::Process,
};

/// Ready takes two seconds on a machine with two busy cores.
const READY_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Etcd {
    pub(crate) process: Process,
    client: Port,
    _peer: Port,
}

impl Etcd {
    pub(crate) fn start(group: &Arc<Group>, program: &Path, bed: &Path) -> Result<Self> {
        let dir = bed.join("etcd");
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let (client, peer) = (ports::reserve()?, ports::reserve()?);
        let client_url = format!("http://127.0.0.1:{}", client.number);
        let peer_url = format!("http://127.0.0.1:{}", peer.number);
        let args = [
            "--name=bed".to_owned(),
            format!("--data-dir={}", dir.join("data").display()),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=bed={peer_url}"),
            // A bed's data need not survive the machine.
            "--unsafe-no-fsync".to_owned(),
            "--max-request-bytes=10485760".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let process = Process::new(group, "etcd", dir.join("log"), program, args);
        process.start()?;
        Ok(Self { process, client, _peer: peer })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client.number)
    }

    pub(crate) fn port(&self) -> u16 {
        self.client.number
    }

    pub(crate) fn wait_ready(&self) -> Result<()> {
        self.process.wait_until(READY_DEADLINE, || {
            http::get_plain(self.client.number, "/health")?.success().map(|_| true)
        })
    }
}
