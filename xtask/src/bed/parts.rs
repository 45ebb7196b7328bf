//! The programs of the bed, built from pinned versions with what a developer has: Go and Maven.
//!
//! `go install k8s.io/kubernetes/cmd/…@version` fails by design (its go.mod has replace
//! directives), but `go build` builds a dependency's main package: `bed/kubernetes/go.mod` is a
//! module that requires Kubernetes and etcd and repeats those directives. `bed/kafka/pom.xml`
//! does the same for the broker's jars.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{cache, group::Group};

/// The version of kube-apiserver and kube-controller-manager; `bed/kubernetes/go.mod` has it too.
pub const KUBERNETES_VERSION: &str = "1.36.4";
/// The version of etcd; `bed/kubernetes/go.mod` has it too.
pub const ETCD_VERSION: &str = "3.6.8";
/// The version of KWOK, which plays kubelets.
pub const KWOK_VERSION: &str = "0.8.0";
/// The version of the broker; `bed/kafka/pom.xml` has it too.
pub const KAFKA_VERSION: &str = "4.3.1";

const GO_MOD: &str = include_str!("../../bed/kubernetes/go.mod");
const GO_SUM: &str = include_str!("../../bed/kubernetes/go.sum");
const KAFKA_POM: &str = include_str!("../../bed/kafka/pom.xml");

const KWOK_STAGES: &[&str] = &[
    "node/fast/node-initialize.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

const GO_MISSING: &str = "install Go 1.26 and put it on PATH";

const COPY_JARS: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Where the built Kubernetes programs are.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    pub(crate) etcd: PathBuf,
    pub(crate) apiserver: PathBuf,
    pub(crate) controller_manager: PathBuf,
}

/// The API server, the controller manager and etcd; built when missing (six CPU-minutes).
pub(crate) fn kubernetes() -> Result<Kubernetes> {
    let etcd = cache::ensure(&format!("etcd-{ETCD_VERSION}"), |dir| {
        go_build(dir, "etcd", "go.etcd.io/etcd/server/v3", "-s -w")
    })?;
    let kubernetes = cache::ensure(&format!("kubernetes-{KUBERNETES_VERSION}"), |dir| {
        for program in ["kube-apiserver", "kube-controller-manager"] {
            let package = format!("k8s.io/kubernetes/cmd/{program}");
            go_build(dir, program, &package, &version_flags())?;
        }
        Ok(())
    })?;
    Ok(Kubernetes {
        etcd: etcd.join("etcd"),
        apiserver: kubernetes.join("kube-apiserver"),
        controller_manager: kubernetes.join("kube-controller-manager"),
    })
}

/// The directory with the broker's jars in `libs/`; fetched when missing (54 MB).
pub(crate) fn kafka() -> Result<PathBuf> {
    cache::ensure(&format!("kafka-{KAFKA_VERSION}"), |dir| {
        fs::write(dir.join("pom.xml"), KAFKA_POM)?;
        let libs = dir.join("libs");
        run(
            dir,
            &format!("fetch Apache Kafka {KAFKA_VERSION}"),
            "install Maven 3 and a Java 17 (Debian: apt-get install maven openjdk-17-jdk-headless)",
            Command::new("mvn")
                .args(["-q", "-B", COPY_JARS, "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", libs.display()))
                .current_dir(dir),
        )
    })
}

/// KWOK and what it does with nodes and pods: `stages.yaml`, from the module's own examples, in
/// which pods run at once and pods of Jobs succeed at once.
pub(crate) fn kwok() -> Result<PathBuf> {
    cache::ensure(&format!("kwok-{KWOK_VERSION}"), |dir| {
        go_install(dir, "kwok", &format!("sigs.k8s.io/kwok/cmd/kwok@v{KWOK_VERSION}"))?;
        let module = go_module(&format!("sigs.k8s.io/kwok@v{KWOK_VERSION}"))?;
        let mut stages = String::new();
        for name in KWOK_STAGES {
            let path = module.dir.join("kustomize").join("stage").join(name);
            stages +=
                &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            stages += "\n---\n";
        }
        fs::write(dir.join("stages.yaml"), stages).context("write stages.yaml")
    })
}

/// True when everything that a bed starts is built.
pub fn built() -> Result<bool> {
    for name in [
        format!("etcd-{ETCD_VERSION}"),
        format!("kubernetes-{KUBERNETES_VERSION}"),
        format!("kafka-{KAFKA_VERSION}"),
        format!("kwok-{KWOK_VERSION}"),
    ] {
        if !cache::entry(&name)?.is_dir() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Kubernetes reports the version that its linker was told.
fn version_flags() -> String {
    let mut flags = "-s -w".to_owned();
    let minor = KUBERNETES_VERSION.split('.').nth(1).unwrap_or_default();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        flags += &format!(
            " -X {package}.gitVersion=v{KUBERNETES_VERSION} \
             -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"
        );
    }
    flags
}

/// Builds one main package of the wrapper module to `dir/name`. The module is written next to
/// the result: it tells later what this was built from.
fn go_build(dir: &Path, name: &str, package: &str, ldflags: &str) -> Result<()> {
    fs::write(dir.join("go.mod"), GO_MOD)?;
    fs::write(dir.join("go.sum"), GO_SUM)?;
    run(
        dir,
        &format!("build {name}"),
        GO_MISSING,
        go().args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", ldflags])
            .args(["-o", name, package])
            .current_dir(dir),
    )
}

/// Builds a program of a module that needs no wrapper to `dir`.
pub(super) fn go_install(dir: &Path, name: &str, package: &str) -> Result<()> {
    run(
        dir,
        &format!("build {name}"),
        GO_MISSING,
        go().args(["install", "-ldflags", "-s -w", package]).env("GOBIN", dir),
    )
}

/// A Go module, as Go has it in its own cache.
#[derive(Debug)]
pub(super) struct GoModule {
    pub(super) dir: PathBuf,
    /// Its checksum, as in `go.sum`.
    pub(super) sum: String,
}

/// Fetches a module when it is missing: `path@version`.
pub(super) fn go_module(module: &str) -> Result<GoModule> {
    let found = go()
        .args(["mod", "download", "-json", module])
        .output()
        .with_context(|| format!("run go: {GO_MISSING}"))?;
    let found: serde_json::Value = serde_json::from_slice(&found.stdout)
        .context("read what `go mod download -json` prints")?;
    if let Some(error) = found["Error"].as_str() {
        bail!("fetch the module {module}: {error}");
    }
    let text = |field: &str| {
        found[field].as_str().with_context(|| format!("go knows no {field} of the module {module}"))
    };
    Ok(GoModule { dir: PathBuf::from(text("Dir")?), sum: text("Sum")?.to_owned() })
}

/// The Go that is installed, and no other: it fetches no toolchain and needs no C compiler.
fn go() -> Command {
    let mut command = Command::new("go");
    command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command
}

/// How often a build step that goes on says so.
const PROGRESS: Duration = Duration::from_secs(20);

/// Says, until it is dropped, that something goes on.
struct Progress {
    _ends: mpsc::Sender<()>,
}

impl Progress {
    fn of(what: &str) -> Self {
        let (what, begin) = (what.to_owned(), Instant::now());
        let (sender, receiver) = mpsc::channel::<()>();
        thread::spawn(move || {
            while receiver.recv_timeout(PROGRESS) == Err(RecvTimeoutError::Timeout) {
                eprintln!("bed: {what}: {:.0} s so far", begin.elapsed().as_secs_f64());
            }
        });
        Self { _ends: sender }
    }
}

/// Runs a build step, telling what it does and how long it took. Its result goes to `scratch`.
pub(super) fn run(scratch: &Path, what: &str, missing: &str, command: &mut Command) -> Result<()> {
    let begin = Instant::now();
    eprintln!("bed: {what} (once; the result is kept in the cache)");
    let program = command.get_program().to_string_lossy().into_owned();
    // In a group of its own: when this process is killed, the compilers end as well, and half a
    // result does not stay behind.
    let group = Group::start(Some(scratch))?;
    let _progress = Progress::of(what);
    let output = group
        .spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
        .and_then(Child::wait_with_output)
        .with_context(|| format!("{what}: cannot run `{program}`: {missing}"))?;
    if !output.status.success() {
        bail!(
            "{what}: `{program}` failed ({}); if a tool is too old: {missing}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    eprintln!("bed: {what}: {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ETCD_VERSION, GO_MOD, KAFKA_POM, KAFKA_VERSION, KUBERNETES_VERSION};

    #[test]
    fn the_versions_are_those_of_the_committed_manifests() {
        assert!(GO_MOD.contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}")));
        assert!(GO_MOD.contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}")));
        assert!(KAFKA_POM.contains(&format!("<kafka.version>{KAFKA_VERSION}</kafka.version>")));
    }
}
