//! What may be written, and what is said about the rest.

use super::*;

fn wrong(line: &str) -> String {
    let arguments = std::iter::once("taffrail").chain(line.split_whitespace());
    match parse(arguments) {
        Err(Parsed::Wrong(message)) => message,
        Err(Parsed::Shown(text)) => panic!("{line}: shows {text}"),
        Ok(cli) => panic!("{line}: is {cli:?}"),
    }
}

#[test]
fn commands_are_understood() {
    let lines = [
        "hub --config taffrail.toml",
        "hub --config taffrail.toml --log-format json",
        "demo --clusters 3 --script",
        "crds install --hub-kubeconfig k --hub-context c",
        "crds print -o json",
        "join eu-1 --member-kubeconfig k --label region=eu --label tier=1 --taint gpu:NoSchedule",
        "leave eu-1",
        "status -o yaml",
        "events --follow --type ClusterJoined --since 10m --server http://hub:8321",
        "history placement/web",
        "why web --cluster eu-1",
        "replay --verify",
        "doctor --config taffrail.toml",
        "version",
    ];
    for line in lines {
        let arguments = std::iter::once("taffrail").chain(line.split_whitespace());
        assert!(parse(arguments).is_ok(), "{line}");
    }
}

#[test]
fn wrong_use_gets_one_line_what_and_one_line_how() {
    let lines = [
        "",
        "crds",
        "hub",
        "hub --config taffrail.toml -o json",
        "demo --server http://hub:8321",
        "why",
        "join eu-1",
        "join eu-1 --member-kubeconfig k --label region",
        "join eu-1 --member-kubeconfig k --taint gpu:NoExecute",
        "stats",
        "status --outptu json",
        "status -o xml",
        "crds delete",
        "events --limit many",
        "replay",
        "--log-format json events --limit many",
        "--log-format xml",
    ];
    let answers: Vec<String> =
        lines.iter().map(|line| format!("$ {line}\n{}", wrong(line))).collect();
    for answer in &answers {
        assert_eq!(answer.lines().count(), 3, "{answer}");
    }
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn what_turns_out_to_be_wrong_later_is_told_in_the_same_way() {
    let lines = [
        "why a/b/c/d",
        "history pod/web",
        "events --since soon",
        "status --server hub:1:2",
        "doctor --server hub",
        "hub --config nowhere/taffrail.toml",
        "doctor --config nowhere/taffrail.toml",
        "crds install --hub-kubeconfig nowhere/hub.kubeconfig",
        "join eu-1 --member-kubeconfig nowhere/eu-1.kubeconfig",
    ];
    let answer = |line: &&str| {
        let arguments = std::iter::once("taffrail").chain(line.split_whitespace());
        let error = run(parse(arguments).unwrap()).unwrap_err();
        assert!(usage(&error).is_some(), "{line}");
        let told = told(&error);
        assert_eq!(told.lines().count(), 2, "{told}");
        format!("$ {line}\n{told}")
    };
    insta::assert_snapshot!(lines.iter().map(answer).collect::<Vec<_>>().join("\n"));
}

#[test]
fn help_is_no_mistake() {
    let Err(Parsed::Shown(help)) = parse(["taffrail", "--help"]) else { panic!("it is help") };
    assert!(help.contains("Exit codes: 0 done, 1 it failed, 2 "), "{help}");
}

#[test]
fn causes_are_told_once() {
    let error = anyhow::anyhow!("no such host").context("no such host").context("it failed");
    assert_eq!(chain(&error), "it failed: no such host");
}
