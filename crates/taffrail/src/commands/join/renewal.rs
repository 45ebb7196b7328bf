//! The command that renews a credential, to be copied: no labels, no taints, whatever directory.

use std::path::Path;

use api::names::FLEET_SYSTEM_NAMESPACE;

use super::{Args, TOKEN_DAYS};

/// How to join again as this time.
pub(super) fn command(args: &Args) -> String {
    let namespace = Some(&args.system_namespace).filter(|name| *name != FLEET_SYSTEM_NAMESPACE);
    let days = Some(args.token_days).filter(|days| *days != TOKEN_DAYS);
    let flags = [
        ("--member-kubeconfig", Some(absolute(&args.member_kubeconfig))),
        ("--member-context", args.member_context.clone()),
        ("--member-server", args.member_server.clone()),
        ("--system-namespace", namespace.cloned()),
        ("--token-days", days.map(|days| days.to_string())),
        ("--hub-kubeconfig", args.hub.hub_kubeconfig.as_deref().map(absolute)),
        ("--hub-context", args.hub.hub_context.clone()),
    ];
    let mut command = format!("taffrail join {}", quoted(&args.name));
    for (flag, value) in flags {
        if let Some(value) = value {
            command = format!("{command} {flag} {}", quoted(&value));
        }
    }
    command
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Join {
        #[command(flatten)]
        args: Args,
    }

    fn renewal(line: &str) -> String {
        let words = std::iter::once("join").chain(line.split(' '));
        command(&Join::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn it_says_where_the_clusters_are_and_nothing_about_labels() {
        let line = "eu-1 --member-kubeconfig /k --label region=eu --taint gpu:NoSchedule";
        assert_eq!(renewal(line), "taffrail join eu-1 --member-kubeconfig /k");
        let line = "eu-1 --member-kubeconfig /k --member-context c --member-server https://m:1 \
                    --system-namespace s --hub-kubeconfig /h --hub-context hub";
        assert_eq!(renewal(line), format!("taffrail join {line}"));
    }

    #[test]
    fn it_works_from_any_directory() {
        let here = std::env::current_dir().unwrap();
        let expected = format!("taffrail join eu-1 --member-kubeconfig {}/k", here.display());
        assert_eq!(renewal("eu-1 --member-kubeconfig k"), expected);
    }

    #[test]
    fn shells_read_what_was_meant() {
        assert_eq!(quoted("/my files/it's"), "'/my files/it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
