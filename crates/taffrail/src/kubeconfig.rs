//! Kubeconfig files, and what is said about those that cannot be used.

use std::path::Path;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::usage::Usage;

/// Reads a file that somebody named. `how` says how another one is named.
pub(crate) fn read(file: &Path, how: &str) -> Result<Kubeconfig, Usage> {
    Kubeconfig::read_from(file).map_err(|error| unusable(&named(file), &error, how))
}

/// What a kubeconfig leads to; `file` is where it was read.
pub(crate) async fn config(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    file: &Path,
    how: &str,
) -> Result<Config, Usage> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &options(context)).await;
    config.map_err(|error| unusable(&named(file), &error, how))
}

/// What kubectl would use; in a pod without a kubeconfig, the service account.
pub(crate) async fn config_of_the_environment(
    context: Option<&str>,
    how: &str,
) -> Result<Config, Usage> {
    let error = match Config::from_kubeconfig(&options(context)).await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let is_absent = matches!(error, KubeconfigError::FindPath | KubeconfigError::ReadConfig(..));
    match Config::incluster() {
        Ok(config) if is_absent && context.is_none() => Ok(config),
        Ok(_) | Err(_) => Err(unusable("the kubeconfig of the environment", &error, how)),
    }
}

fn options(context: Option<&str>) -> KubeConfigOptions {
    KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() }
}

fn named(file: &Path) -> String {
    format!("the kubeconfig {}", file.display())
}

/// What is wrong. What stands in the file is not repeated: it holds credentials.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name a field, not what is in it")]
fn unusable(which: &str, error: &KubeconfigError, how: &str) -> Usage {
    let what = match error {
        KubeconfigError::ReadConfig(source, file) => {
            format!("{} cannot be read: {source}", named(file))
        }
        KubeconfigError::Parse(_) => format!("{which} is not one, or is not YAML"),
        other => format!("{which} cannot be used: {other}"),
    };
    Usage::new(what, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_what_stands_in_a_kubeconfig_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.kubeconfig");
        std::fs::write(&file, "users:\n- name: admin\n  user: {token: [s3cret}\n").unwrap();
        let usage = read(&file, "name another").unwrap_err();
        assert_eq!(usage.what, format!("{} is not one, or is not YAML", named(&file)));
        assert_eq!(usage.how, "name another");
    }
}
