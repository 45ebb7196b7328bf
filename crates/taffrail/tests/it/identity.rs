//! Whose a cluster is: hubs that must not start, members that are not taken, and how both are
//! handed over.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use acceptance::ground::Ground;
use acceptance::wait::{come, eventually};
use acceptance::{in_a_system, scenarios};
use api::MemberCluster;
use delivery::mark::{MARK_NAMESPACE, MEMBER_MARK};
use hub::identity::HUB_MARK;
use hub::links::{KUBECONFIG_ENTRY, Links};
use hub::members::Renewals;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::DeleteParams;
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::common::{Running, answer, done, taffrail};

/// A deployment: its configuration, and where it keeps its log.
struct Deployment {
    config: String,
    data: PathBuf,
}

impl Deployment {
    fn new(dir: &Path, name: &str, hub_kubeconfig: &Path, listen: &str) -> Self {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "node = \"{name}\"\ndata_dir = \"data\"\n[hub]\nkubeconfig = \"{}\"\n\
             [http]\nlisten = \"{listen}\"\n",
            hub_kubeconfig.display()
        );
        let file = folder.join("taffrail.toml");
        std::fs::write(&file, config).unwrap();
        Self { config: file.display().to_string(), data: folder.join("data") }
    }

    /// A hub of it, and where it answers.
    fn start(&self) -> (Running, String) {
        let program = Running::start(taffrail(["hub", "--config", &self.config]));
        let server = program.said("http: ");
        program.said("started");
        (program, server)
    }

    /// What a hub of it says that must not start.
    fn refused(&self) -> String {
        let output = answer(&format!("hub --config {}", self.config));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    fn doctor(&self) -> String {
        let output = answer(&format!("doctor --config {}", self.config));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// That nobody but the owner may look at what a hub has made, whatever the umask of this test is.
fn assert_private(path: &Path) {
    let metadata = std::fs::metadata(path).unwrap();
    let mode = metadata.permissions().mode();
    assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            assert_private(&entry.unwrap().path());
        }
    }
}

async fn mark(client: &Client, name: &str) -> Option<ConfigMap> {
    let marks: Api<ConfigMap> = Api::namespaced(client.clone(), MARK_NAMESPACE);
    marks.get_opt(name).await.unwrap()
}

fn deployment_of(mark: Option<ConfigMap>) -> Option<String> {
    mark?.data?.remove("deployment")
}

/// Waits until the condition `Joined` of a member has this status and says this. Gives its message.
async fn joined(ground: &Ground, name: &str, wanted: &str, says: &str) -> String {
    let members: Api<MemberCluster> = Api::all(ground.hub.client.clone());
    come(&format!("{name} is joined: {wanted}, {says}"), || async {
        let status = members.get(name).await.unwrap().status.unwrap_or_default();
        let joined = status.conditions.into_iter().find(|c| c.type_ == "Joined")?;
        (joined.status == wanted && joined.message.contains(says)).then_some(joined.message)
    })
    .await
}

/// The whole story of two deployments and one hub cluster.
async fn belongs_to_one_deployment(ground: &Ground) {
    let dir = tempfile::tempdir().unwrap();
    let (hub, member) = (&ground.hub, &ground.members[0]);
    let hub_file = file(dir.path(), "hub", &hub.kubeconfig);
    let member_file = file(dir.path(), "member", &member.kubeconfig);
    let first = Deployment::new(dir.path(), "first", &hub_file, "127.0.0.1:0");
    let second = Deployment::new(dir.path(), "second", &hub_file, "127.0.0.1:0");
    let join = format!(
        "join eu-1 --member-kubeconfig {} --hub-kubeconfig {}",
        member_file.display(),
        hub_file.display()
    );

    let (mut running, server) = first.start();
    done(&join);
    joined(ground, "eu-1", "True", "has joined").await;
    let ours = deployment_of(mark(&hub.client, HUB_MARK).await).expect("the hub cluster is marked");
    assert_eq!(deployment_of(mark(&member.client, MEMBER_MARK).await).as_ref(), Some(&ours));

    // Somebody else on the same cluster: refused, with the command, before anything is founded.
    let said = second.refused();
    assert!(said.contains(&format!("belongs to deployment {ours}")), "{said}");
    assert!(said.contains("taffrail handover --config FILE"), "{said}");
    let said = second.doctor();
    assert!(said.contains("deployment") && said.contains("FAILED"), "{said}");
    assert!(said.contains("is empty; the first hub founds it"), "nothing was founded: {said}");

    // Whoever cannot have its address has done nothing at all.
    let taken = server.strip_prefix("http://").unwrap();
    let third = Deployment::new(dir.path(), "third", &hub_file, taken);
    let said = third.refused();
    assert!(said.contains(&format!("cannot listen on {taken}")), "{said}");
    assert!(!third.data.exists());
    assert!(running.end().success());
    assert_private(&first.data);

    // The same log, and the hub of another cluster.
    let elsewhere = Deployment::new(dir.path(), "first", &member_file, "127.0.0.1:0");
    let said = elsewhere.refused();
    assert!(said.contains(&format!("the log of deployment {ours} belongs to the hub")), "{said}");
    assert_eq!(mark(&member.client, HUB_MARK).await, None, "nothing was made there");

    // The second takes the hub cluster over, and the first finds that.
    let said = done(&format!("handover --config {}", second.config));
    assert!(said.contains(&format!("it belonged to deployment {ours}")), "{said}");
    let (mut running, server) = second.start();
    let theirs = deployment_of(mark(&hub.client, HUB_MARK).await).expect("it is marked");
    assert_ne!(theirs, ours);
    let first = Deployment::new(dir.path(), "first", &hub_file, "127.0.0.1:0");
    assert!(first.refused().contains(&format!("belongs to deployment {theirs}")));
    eventually("the handover is on record", || async {
        let output = answer(&format!("history fleet --server {server}"));
        String::from_utf8_lossy(&output.stdout).contains("FleetHandedOver")
    })
    .await;

    // Its member is still the first one's, and is not taken.
    let belongs = format!("belongs to deployment {ours}");
    let said = joined(ground, "eu-1", "Unknown", &belongs).await;
    assert!(said.contains("taffrail join eu-1 --replace"), "{said}");
    let output = answer(&join);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--replace"), "{said}");
    assert!(done(&format!("status --server {server}")).contains(&ours), "status says whose it is");

    let said = done(&format!("{join} --replace"));
    assert!(said.contains(&format!("it was taken over from deployment {ours}")), "{said}");
    joined(ground, "eu-1", "True", "has joined").await;
    assert_eq!(deployment_of(mark(&member.client, MEMBER_MARK).await), Some(theirs));
    let said = done(&format!("events --aggregate cluster/eu-1 -o json --server {server}"));
    assert!(said.contains(&ours), "whom it was taken over from is on record: {said}");

    // What leaves is nobody's.
    done(&format!("leave eu-1 --hub-kubeconfig {}", hub_file.display()));
    assert_eq!(mark(&member.client, MEMBER_MARK).await, None);
    assert!(running.end().success());
}

#[test]
fn a_cluster_belongs_to_one_deployment() {
    in_a_system(async {
        let ground = Ground::simulated(1).await;
        belongs_to_one_deployment(&ground).await;
        ground.stop();
    });
}

#[test]
fn a_real_cluster_belongs_to_one_deployment() {
    in_a_system(async {
        let Some(ground) = Ground::real().await else { return };
        ground.tidy().await;
        belongs_to_one_deployment(&ground).await;
        with_rights_within_namespaces(&ground).await;
        ground.tidy().await;
    });
}

/// A member whose hub may write within namespaces only gets what is placed in them, and its token
/// is renewed with those rights.
async fn with_rights_within_namespaces(ground: &Ground) {
    ground.tidy().await;
    let dir = tempfile::tempdir().unwrap();
    let (hub, member) = (&ground.hub, &ground.members[1]);
    let hub_file = file(dir.path(), "hub", &hub.kubeconfig);
    let member_file = file(dir.path(), "member", &member.kubeconfig);
    let deployment = Deployment::new(dir.path(), "only", &hub_file, "127.0.0.1:0");
    let (mut running, _) = deployment.start();
    let said = done(&format!(
        "join eu-2 --profile namespaced --label region=eu --member-kubeconfig {} --hub-kubeconfig {}",
        member_file.display(),
        hub_file.display()
    ));
    assert!(said.contains("the hub's rights on it: namespaced"), "{said}");
    joined(ground, "eu-2", "True", "has joined").await;
    scenarios::write_app(ground, "app-namespaced", "hello").await;
    scenarios::place(ground, "namespaced", "app-namespaced", &["eu"]).await;
    scenarios::shows(ground, "namespaced", &scenarios::available(1)).await;
    assert!(mark(&member.client, MEMBER_MARK).await.is_some(), "it may mark the member");

    let secrets: Api<Secret> = Api::namespaced(hub.client.clone(), "fleet-system");
    let link = || async { secrets.get("link-eu-2").await.unwrap() };
    let links = Links::new(mpsc::channel(1).0);
    let before = link().await;
    links.apply(&before).await;
    let token = links.renewable("eu-2").expect("it is the token of a service account");
    let life = token.expires_at.duration_since(token.issued_at);
    assert_eq!(life.as_hours(), 30 * 24);
    let renewals = Renewals::new(hub.client.clone(), "fleet-system".to_owned());
    renewals.renew(&*links.get("eu-2").unwrap(), &token).await.expect("it may renew its token");
    let after = link().await;
    let kubeconfig = |secret: &Secret| secret.data.as_ref().unwrap()[KUBECONFIG_ENTRY].clone();
    assert!(kubeconfig(&before) != kubeconfig(&after), "the Secret has another token");
    links.apply(&after).await;
    assert!(links.renewable("eu-2").unwrap().issued_at >= token.issued_at);
    let probe = links.get("eu-2").unwrap().probe().await.expect("the new token is good");
    assert!(probe.ready);

    // What was read before is not overwritten.
    let changed = renewals.renew(&*links.get("eu-2").unwrap(), &token).await.unwrap_err();
    assert!(changed.to_string().contains("was changed meanwhile"), "{changed}");
    assert!(running.end().success());
}

#[test]
fn a_hub_whose_address_is_taken_has_made_nothing() {
    in_a_system(async {
        let ground = Ground::simulated(0).await;
        let dir = tempfile::tempdir().unwrap();
        let hub_file = file(dir.path(), "hub", &ground.hub.kubeconfig);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let deployment = Deployment::new(dir.path(), "late", &hub_file, &address);
        let said = deployment.refused();
        assert!(said.contains("cannot listen on"), "{said}");
        assert!(!deployment.data.exists());
        assert_eq!(mark(&ground.hub.client, HUB_MARK).await, None);
        ground.stop();
    });
}

/// When its mark is taken away, a hub that runs makes it again; when it is another's, it lets go.
#[test]
fn a_hub_notices_that_its_cluster_was_handed_over() {
    in_a_system(async {
        let ground = Ground::simulated(0).await;
        let dir = tempfile::tempdir().unwrap();
        let hub_file = file(dir.path(), "hub", &ground.hub.kubeconfig);
        let first = Deployment::new(dir.path(), "first", &hub_file, "127.0.0.1:0");
        let (mut running, server) = first.start();
        let marks: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), MARK_NAMESPACE);
        marks.delete(HUB_MARK, &DeleteParams::default()).await.unwrap();
        eventually("it is marked again", || async {
            mark(&ground.hub.client, HUB_MARK).await.is_some()
        })
        .await;
        let second = Deployment::new(dir.path(), "second", &hub_file, "127.0.0.1:0");
        done(&format!("handover --config {}", second.config));
        let (mut other, _) = second.start();
        eventually("the first lets go", || async {
            let output = answer(&format!("status --server {server}"));
            String::from_utf8_lossy(&output.stdout).contains("0 of 32 partitions owned here")
        })
        .await;
        let said = done(&format!("status --server {server}"));
        assert!(said.contains("membership: the hub cluster"), "{said}");
        let output = answer(&format!("doctor --config {} --server {server}", second.config));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("the hub that answers (first) works for deployment"), "{said}");
        assert!(other.end().success() && running.end().success());
        ground.stop();
    });
}
