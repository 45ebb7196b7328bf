//! Install manifests of published components, as their projects ship them: what a fleet is there
//! to place. Each comes with the component's Go module, at a pinned version, and is built once.
//!
//! Nothing of them is part of this repository, and their licences stay theirs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{cache, parts};

/// The version of kustomize, by which most of the components put their manifests together.
const KUSTOMIZE_VERSION: &str = "5.7.1";

/// A version of a component.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    version: &'static str,
    module: &'static str,
    /// What `go.sum` has of this version: somebody else's manifests are never taken for these.
    sum: &'static str,
    source: Source,
}

/// Where the manifests are in a module.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A directory for kustomize.
    Kustomization(&'static str),
    /// A file with all of them.
    Bundle(&'static str),
}

/// Definitions of ten kinds, and a policy that lets nobody go back to an older version of them.
pub const GATEWAY_API: Component = Component {
    name: "gateway-api",
    version: "1.6.3",
    module: "sigs.k8s.io/gateway-api",
    sum: "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
    source: Source::Kustomization("config/crd"),
};

/// The version before, from which people upgrade.
pub const GATEWAY_API_BEFORE: Component = Component {
    version: "1.5.1",
    sum: "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=",
    ..GATEWAY_API
};

/// A batch scheduler: definitions whose versions a webhook converts, webhooks that intercept work
/// of every kind, two aggregated API versions, half a hundred roles, and a controller.
pub const KUEUE: Component = Component {
    name: "kueue",
    version: "0.17.0",
    module: "sigs.k8s.io/kueue",
    sum: "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I=",
    source: Source::Kustomization("config/default"),
};

/// Definitions of twenty kinds, some of the largest that are published.
pub const EXTERNAL_SECRETS: Component = Component {
    name: "external-secrets",
    version: "0.16.2",
    module: "github.com/external-secrets/external-secrets",
    sum: "h1:iNY+gIgSyL5higXTfnz+hdPCaiB/43UiHLqE7HBpj68=",
    source: Source::Bundle("deploy/crds/bundle.yaml"),
};

/// An aggregated API whose server lives in kube-system.
pub const METRICS_SERVER: Component = Component {
    name: "metrics-server",
    version: "0.8.0",
    module: "sigs.k8s.io/metrics-server",
    sum: "h1:Zlsi3sBWEtFKCD3+xSysThvXyLQ363rUAlqpnsY5JwI=",
    source: Source::Kustomization("manifests/overlays/release"),
};

const ALL: [Component; 5] =
    [GATEWAY_API, GATEWAY_API_BEFORE, KUEUE, EXTERNAL_SECRETS, METRICS_SERVER];

impl Component {
    /// Its manifests: one text of YAML documents. Fetched when missing (20 MB for the largest).
    ///
    /// # Errors
    /// Go is missing, or the module is not what it was.
    pub fn manifests(&self) -> Result<String> {
        let path = self.fetch()?.join("install.yaml");
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    fn fetch(&self) -> Result<PathBuf> {
        cache::ensure(&format!("{}-{}", self.name, self.version), |dir| {
            let module = parts::go_module(&format!("{}@v{}", self.module, self.version))?;
            if module.sum != self.sum {
                bail!(
                    "{} {} has the sum {}, not {}",
                    self.name,
                    self.version,
                    module.sum,
                    self.sum
                );
            }
            let install = dir.join("install.yaml");
            match self.source {
                Source::Bundle(path) => fs::copy(module.dir.join(path), &install)
                    .map(drop)
                    .with_context(|| format!("copy {path} of {}", self.name)),
                Source::Kustomization(path) => self.build(&module.dir.join(path), &install),
            }
        })
    }

    fn build(&self, kustomization: &Path, install: &Path) -> Result<()> {
        let kustomize = cache::ensure(&format!("kustomize-{KUSTOMIZE_VERSION}"), |dir| {
            let package = format!("sigs.k8s.io/kustomize/kustomize/v5@v{KUSTOMIZE_VERSION}");
            parts::go_install(dir, "kustomize", &package)
        })?;
        let program = kustomize.join("kustomize");
        let what = format!("put together what {} {} installs", self.name, self.version);
        let mut command = std::process::Command::new(program);
        let scratch = install.parent().context("the manifests are in a directory")?;
        let options = ["build", "--output"];
        parts::run(
            scratch,
            &what,
            "run `cargo xtask bed build`",
            command.args(options).args([install, kustomization]),
        )
    }
}

/// Fetches the manifests of all components, as far as the cache lacks them.
pub(super) fn fetch_all() -> Result<()> {
    ALL.iter().try_for_each(|component| component.fetch().map(drop))
}
