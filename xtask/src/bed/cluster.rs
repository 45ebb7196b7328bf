//! One cluster: a kube-apiserver with certificates of its own and a kube-controller-manager.
//! There are no nodes; see `kwok` for pods that run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    context::Context,
    group::Group,
    http::Client,
    kwok::Kwok,
    parts::Kubernetes,
    pki::{self, Credentials},
    ports::{self, Port},
    process::Process,
};

/// Four API servers at once take seven seconds on two idle cores.
const READY_DEADLINE: Duration = Duration::from_secs(180);

/// What runs in the controller manager: everything that acts on objects which tests deliver, and
/// nothing that waits for nodes or a cloud.
const CONTROLLERS: &[&str] = &[
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];

/// A cluster that this process started.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) context: Context,
    pub(crate) apiserver: Process,
    pub(crate) controller_manager: Process,
    client: Client,
    kwok: OnceLock<Kwok>,
    dir: PathBuf,
    _port: Port,
}

impl Cluster {
    /// Starts the API server; [`Cluster::wait_ready`] starts the rest.
    pub(crate) fn start(
        group: &Arc<Group>,
        programs: &Kubernetes,
        etcd_url: &str,
        bed: &Path,
        name: &str,
    ) -> Result<Self> {
        let dir = bed.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let credentials = pki::create(&dir, name)?;
        let port = ports::reserve()?;
        let client = Client::new(port.number, &credentials)?;
        let context = context(name, port.number, credentials);
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, context.kubeconfig())
            .with_context(|| format!("write {}", kubeconfig.display()))?;

        let apiserver = Process::new(
            group,
            format!("{name}/kube-apiserver"),
            dir.join("kube-apiserver.log"),
            &programs.apiserver,
            apiserver_args(&dir, name, etcd_url, port.number),
        );
        let controller_manager = Process::new(
            group,
            format!("{name}/kube-controller-manager"),
            dir.join("kube-controller-manager.log"),
            &programs.controller_manager,
            controller_manager_args(&dir, &kubeconfig),
        );
        apiserver.start()?;
        Ok(Self {
            context,
            apiserver,
            controller_manager,
            client,
            kwok: OnceLock::new(),
            dir,
            _port: port,
        })
    }

    /// Waits until the API server serves.
    pub(crate) fn wait_serving(&self) -> Result<()> {
        self.apiserver
            .wait_until(READY_DEADLINE, || self.client.get("/readyz")?.success().map(|_| true))
    }

    /// Waits until the API server serves and the controllers work: they have made the default
    /// service account, without which no pod is admitted.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        self.wait_serving()?;
        self.controller_manager.start()?;
        self.controller_manager.wait_until(READY_DEADLINE, || {
            let path = "/api/v1/namespaces/default/serviceaccounts/default";
            self.client.get(path)?.success().map(|_| true)
        })
    }

    /// Makes pods run: fake nodes, kubelets and a scheduler.
    pub(crate) fn start_kwok(&self, group: &Arc<Group>, part: &Path) -> Result<()> {
        let kwok = Kwok::start(group, part, &self.dir, &self.context.name, &self.client)?;
        self.kwok.set(kwok).map_err(|_| anyhow!("{} runs KWOK already", self.context.name))
    }

    /// What runs for this cluster.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        let kwok = self.kwok.get().map(|kwok| &kwok.process);
        [&self.apiserver, &self.controller_manager].into_iter().chain(kwok)
    }

    /// Kills everything.
    pub(crate) fn end(&self) {
        if let Some(kwok) = self.kwok.get() {
            kwok.end();
        }
        self.controller_manager.end();
        self.apiserver.end();
    }
}

/// The context of a cluster at 127.0.0.1:`port`.
pub(crate) fn context(name: &str, port: u16, credentials: Credentials) -> Context {
    let server = format!("https://127.0.0.1:{port}");
    Context { name: name.to_owned(), server, port, credentials }
}

fn apiserver_args(dir: &Path, name: &str, etcd_url: &str, port: u16) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    vec![
        format!("--etcd-servers={etcd_url}"),
        format!("--etcd-prefix=/{name}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // Without an address it looks for a default route, and it refuses loopback endpoints.
        "--advertise-address=10.250.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        "--profiling=false".to_owned(),
    ]
}

fn controller_manager_args(dir: &Path, kubeconfig: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        // With one identity for all, its garbage collector may not read custom resources and
        // foreground deletion hangs for ever.
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        format!("--root-ca-file={}", file("ca.crt")),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--controllers={}", CONTROLLERS.join(",")),
        "--profiling=false".to_owned(),
    ]
}
