//! What the file may say, and what is said about what it may not.

use std::path::Path;

use event_log_kafka::Mode;

use super::parse;
use crate::serve::{HubAccess, LogChoice};

fn error(text: &str) -> String {
    parse(Path::new("etc/taffrail.toml"), text).expect_err("it is wrong").to_string()
}

#[test]
fn errors_name_file_line_and_what_is_known() {
    let table = [
        (
            "data_dir = \"d\"\nlisten = 1",
            "etc/taffrail.toml:2: unknown field `listen`, expected one of `node`, `data_dir`, `system_namespace`, `threads`, `clock_off_max_seconds`, `log`, `hub`, `http`, `selection`, `removal`",
        ),
        ("", "etc/taffrail.toml:1: missing field `data_dir`"),
        ("data_dir = 7", "etc/taffrail.toml:1: invalid type: integer `7`, expected path string"),
        (
            "data_dir = \"d\"\n\n[hub]\nkubeconf = \"k\"",
            "etc/taffrail.toml:4: unknown field `kubeconf`, expected one of `kubeconfig`, `context`, `in_cluster`",
        ),
        (
            "data_dir = \"d\"\n[log.redis]",
            "etc/taffrail.toml:2: unknown variant `redis`, expected `embedded` or `kafka`",
        ),
        (
            "data_dir = \"d\"\n[log.kafka]\nbootstrap = \"b:1\"\nmode = \"fast\"",
            "etc/taffrail.toml:4: unknown variant `fast`, expected `production` or `development`",
        ),
        (
            "data_dir = \"d\"\n[http]\nlisten = \"here\"",
            "etc/taffrail.toml:3: invalid socket address syntax",
        ),
        (
            "data_dir = \"d\"\n[selection]\nskipped_apis = [\"a/b/c/d\"]",
            "etc/taffrail.toml: \"a/b/c/d\" in the list of kinds is none of GROUP, GROUP/VERSION and GROUP/VERSION/KIND,KIND (the core group is written v1 or v1/KIND)",
        ),
        (
            "data_dir = \"d\"\n[selection]\nallowed_namespaces = [\"fleet-system\"]",
            "etc/taffrail.toml: allowed_namespaces names fleet-system, and nothing in a namespace of the fleet is ever placed: remove it from the list",
        ),
        (
            "data_dir = \"d\"\n[hub]\nin_cluster = true\ncontext = \"c\"",
            "etc/taffrail.toml: [hub] says in_cluster and names a kubeconfig or context; keep one of them",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn a_small_file_is_enough() {
    let config = parse(Path::new("etc/taffrail.toml"), "data_dir = \"d\"").unwrap();
    assert_eq!(config.http, super::DEFAULT_LISTEN);
    assert_eq!(config.system_namespace, "fleet-system");
    assert_eq!(config.data_dir, Path::new("etc/d"));
    assert!(
        matches!(&config.log, LogChoice::Embedded { path } if path == Path::new("etc/d/log.redb"))
    );
    assert!(matches!(config.hub, HubAccess::Kubeconfig { path: None, context: None }));
}

#[test]
fn the_example_can_be_read() {
    let config = parse(Path::new("/etc/taffrail.toml"), super::EXAMPLE).unwrap();
    assert_eq!((config.node.as_str(), config.threads), ("hub-0", 2));
}

#[test]
fn the_example_has_everything_that_is_known() {
    for section in
        ["", "[log.embedded]", "[log.kafka]", "[hub]", "[http]", "[selection]", "[removal]"]
    {
        let error = error(&format!("data_dir = \"d\"\n{section}\nnonsense = 1"));
        let (_, known) = error.split_once("expected").unwrap();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(!known.is_empty(), "{error}");
        for key in known {
            assert!(super::EXAMPLE.contains(key), "{section} {key}");
        }
    }
}

#[test]
fn everything_that_the_documentation_shows_can_be_said() {
    let text = r#"
        node = "hub-0"
        data_dir = "/var/lib/taffrail"
        threads = 3
        [log.kafka]
        bootstrap = "kafka-0:9092"
        topic_prefix = "fleet."
        mode = "development"
        [log.kafka.properties]
        "sasl.password" = "hunter2"
        [hub]
        kubeconfig = "hub.kubeconfig"
        context = "hub"
        [http]
        listen = "0.0.0.0:80"
        [selection]
        skipped_namespaces = ["monitoring"]
        allowed_namespaces = ["kube-system"]
    "#;
    let config = parse(Path::new("/etc/taffrail.toml"), text).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let LogChoice::Kafka(kafka) = config.log else { panic!("it is Kafka") };
    assert_eq!((kafka.mode, kafka.topic_prefix.as_str()), (Mode::Development, "fleet."));
    let HubAccess::Kubeconfig { path, context } = config.hub else { panic!("it is a kubeconfig") };
    assert_eq!(path.as_deref(), Some(Path::new("/etc/hub.kubeconfig")));
    assert_eq!(context.as_deref(), Some("hub"));
    assert!(config.rules.namespaces.excludes("monitoring"));
    assert!(config.rules.namespaces.allows_named("kube-system"));
}

#[test]
fn passwords_are_read_from_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "s3cret\n").unwrap();
    let text = "data_dir = \"d\"\n[log.kafka]\nbootstrap = \"b:1\"\n\
                property_files = { \"sasl.password\" = \"password\" }";
    let config = parse(&dir.path().join("taffrail.toml"), text).unwrap();
    let LogChoice::Kafka(kafka) = &config.log else { panic!("it is Kafka") };
    assert_eq!(kafka.properties["sasl.password"], "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"), "it is not shown");

    let missing = text.replace("\"password\"", "\"gone\"");
    let said = parse(Path::new("etc/taffrail.toml"), &missing).unwrap_err().to_string();
    assert!(said.contains("sasl.password is to be read from etc/gone"), "{said}");
}
