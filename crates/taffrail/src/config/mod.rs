//! The configuration file of a hub, `taffrail.toml`.
//!
//! [`EXAMPLE`] says everything that it can say.
//!
//! Relative paths are relative to the file.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use delivery::AdoptedRemoval;
use domain::selection::{KindRules, NamespaceRules, SelectionRules};
use event_log_kafka::{KafkaConfig, Mode};
use serde::Deserialize;

use crate::serve::{CLOCK_OFF_MAX, HubAccess, LogChoice, ServeConfig};

pub use error::ConfigError;

/// Everything that the file can say.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Where the hub's HTTP API listens when nobody says: only this machine reaches it.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8321);

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Option<String>,
    data_dir: PathBuf,
    system_namespace: Option<String>,
    threads: Option<usize>,
    clock_off_max_seconds: Option<u32>,
    log: Option<LogSection>,
    #[serde(default)]
    hub: HubSection,
    #[serde(default)]
    http: HttpSection,
    #[serde(default)]
    selection: SelectionSection,
    #[serde(default)]
    removal: RemovalSection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogSection {
    Embedded(EmbeddedSection),
    Kafka(KafkaSection),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbeddedSection {
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaSection {
    bootstrap: String,
    topic_prefix: Option<String>,
    #[serde(default)]
    mode: ModeSection,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    property_files: BTreeMap<String, PathBuf>,
}

/// Values of properties may be passwords.
impl std::fmt::Debug for KafkaSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSection").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeSection {
    #[default]
    Production,
    Development,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HubSection {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    in_cluster: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpSection {
    listen: Option<SocketAddr>,
    hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SelectionSection {
    allowed_apis: Vec<String>,
    skipped_apis: Vec<String>,
    skipped_namespaces: Vec<String>,
    allowed_namespaces: Vec<String>,
    hub_runs_workloads: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RemovalSection {
    adopted: AdoptedSection,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AdoptedSection {
    #[default]
    Release,
    Delete,
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or says something that cannot be followed; the error names the line.
pub fn read(path: &Path) -> Result<ServeConfig, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads the text of a file.
///
/// # Errors
/// See [`read`].
pub fn parse(path: &Path, text: &str) -> Result<ServeConfig, ConfigError> {
    let file: File =
        toml::from_str(text).map_err(|error| ConfigError::invalid(path, text, &error))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let data_dir = beside.join(&file.data_dir);
    if file.hub.in_cluster && (file.hub.kubeconfig.is_some() || file.hub.context.is_some()) {
        return Err(ConfigError::contradiction(
            path,
            "[hub] says in_cluster and names a kubeconfig or context; keep one of them",
        ));
    }
    Ok(ServeConfig {
        node: file.node.unwrap_or_else(host_name),
        log: log_choice(path, file.log, beside, &data_dir)?,
        hub: if file.hub.in_cluster {
            HubAccess::InCluster
        } else {
            let path = file.hub.kubeconfig.map(|path| beside.join(path));
            HubAccess::Kubeconfig { path, context: file.hub.context }
        },
        http: file.http.listen.unwrap_or(DEFAULT_LISTEN),
        hosts: file.http.hosts,
        system_namespace: file
            .system_namespace
            .unwrap_or_else(|| api::names::FLEET_SYSTEM_NAMESPACE.to_owned()),
        rules: rules(path, &file.selection)?,
        adopted: match file.removal.adopted {
            AdoptedSection::Release => AdoptedRemoval::Release,
            AdoptedSection::Delete => AdoptedRemoval::Delete,
        },
        threads: file.threads.unwrap_or_else(cores).max(1),
        clock_off_max: file
            .clock_off_max_seconds
            .map_or(CLOCK_OFF_MAX, |seconds| Duration::from_secs(seconds.max(1).into())),
        data_dir,
    })
}

fn log_choice(
    path: &Path,
    section: Option<LogSection>,
    beside: &Path,
    data_dir: &Path,
) -> Result<LogChoice, ConfigError> {
    Ok(match section {
        None => LogChoice::Embedded { path: data_dir.join("log.redb") },
        Some(LogSection::Embedded(embedded)) => {
            let path = embedded.path.map(|path| beside.join(path));
            LogChoice::Embedded { path: path.unwrap_or_else(|| data_dir.join("log.redb")) }
        }
        Some(LogSection::Kafka(kafka)) => {
            let mut config = KafkaConfig::new(kafka.bootstrap);
            config.topic_prefix = kafka.topic_prefix.unwrap_or(config.topic_prefix);
            config.properties = kafka.properties;
            for (name, file) in kafka.property_files {
                let value = property_from(path, &name, &beside.join(file))?;
                config.properties.insert(name, value);
            }
            config.mode = match kafka.mode {
                ModeSection::Production => Mode::Production,
                ModeSection::Development => Mode::Development,
            };
            LogChoice::Kafka(Box::new(config))
        }
    })
}

/// The value of a property that stands in a file of its own. A line end after it does not count.
fn property_from(path: &Path, name: &str, file: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        ConfigError::contradiction(path, format!("{name} is to be read from {file}: {error}"))
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn rules(path: &Path, section: &SelectionSection) -> Result<SelectionRules, ConfigError> {
    let kinds = KindRules::parse(&section.allowed_apis.join(";"), &section.skipped_apis.join(";"))
        .map_err(|error| ConfigError::contradiction(path, error.to_string()))?;
    let skipped = section.skipped_namespaces.iter().cloned().collect();
    let namespaces = NamespaceRules { skipped, ..NamespaceRules::default() };
    let namespaces = namespaces
        .allowing(section.allowed_namespaces.iter().cloned())
        .map_err(|error| ConfigError::contradiction(path, error.to_string()))?;
    Ok(SelectionRules {
        kinds,
        namespaces,
        hub_runs_workloads: section.hub_runs_workloads,
        ..SelectionRules::default()
    })
}

/// As many as there are cores.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The host's name, by which several hubs on one log are told apart.
fn host_name() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let from_environment = || std::env::var("HOSTNAME").ok();
    let name = from_kernel.or_else(from_environment).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "hub".to_owned() } else { name.to_owned() }
}
