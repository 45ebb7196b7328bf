use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn links() -> Links {
    Links::new(mpsc::channel(1).0)
}

/// A Secret that leads somewhere, made so many seconds after the first ones. Nobody goes there.
fn secret(name: &str, cluster: Option<&str>, leads_to: &str, made_at: i64) -> Secret {
    let mut secret = Secret::default();
    secret.metadata.name = Some(name.to_owned());
    let made_at = k8s_openapi::jiff::Timestamp::from_second(made_at).unwrap();
    secret.metadata.creation_timestamp = Some(Time(made_at));
    secret.metadata.labels =
        cluster.map(|it| BTreeMap::from([(LINK_SECRET_LABEL.to_owned(), it.to_owned())]));
    let kubeconfig = simulator::kubeconfig(([127, 0, 0, 1], 1).into(), &[("member", leads_to)]);
    let bytes = ByteString(kubeconfig.into_bytes());
    secret.data = Some(BTreeMap::from([(KUBECONFIG_ENTRY.to_owned(), bytes)]));
    secret
}

fn problem(links: &Links, cluster: &str) -> Option<LinkProblem> {
    links.get(cluster).err().map(|no_link| no_link.problem)
}

fn told(moved: &mut broadcast::Receiver<String>) -> Vec<String> {
    std::iter::from_fn(|| moved.try_recv().ok()).collect()
}

/// A member with a link that was found to lead there.
async fn at_home(links: &Links) -> Arc<dyn Link> {
    links.apply(&secret("a", Some("eu"), "one", 0)).await;
    let link = links.get("eu").unwrap();
    assert_eq!(links.identified("eu", &link), Answered::First);
    link
}

#[tokio::test]
async fn orders_wait_until_the_member_was_asked_which_cluster_it_is() {
    let links = links();
    let mut moved = links.moved();
    links.apply(&secret("a", Some("eu"), "one", 0)).await;
    assert!(links.for_orders("eu").is_none());
    let link = links.get("eu").unwrap();
    assert_eq!(links.identified("eu", &link), Answered::First);
    assert_eq!(links.identified("eu", &link), Answered::AsBefore);
    assert!(links.for_orders("eu").is_some());
    assert_eq!(told(&mut moved), ["eu"]);
    links.apply(&secret("a", Some("eu"), "one", 0)).await;
    assert_eq!(told(&mut moved), [""; 0], "the same again");
    assert!(links.for_orders("eu").is_some());
}

#[tokio::test]
async fn regression_a_member_that_does_not_answer_gets_no_orders() {
    let links = links();
    let link = at_home(&links).await;
    links.lost("eu", &link);
    assert!(links.for_orders("eu").is_none());
    assert_eq!(links.identified("eu", &link), Answered::Again);
    assert!(links.for_orders("eu").is_some());
}

#[tokio::test]
async fn after_an_order_without_an_answer_the_member_is_asked_once() {
    let links = links();
    let link = at_home(&links).await;
    let mut moved = links.moved();
    links.doubted("eu", &link);
    links.doubted("eu", &link);
    assert_eq!(told(&mut moved), ["eu"]);
    assert!(links.is_doubted("eu") && links.for_orders("eu").is_none());
    assert_eq!(links.identified("eu", &link), Answered::AsBefore, "nothing is hurried");
    assert!(!links.is_doubted("eu") && links.for_orders("eu").is_some());
}

#[tokio::test]
async fn a_link_that_leads_to_another_cluster_is_like_a_new_one() {
    let links = links();
    let link = at_home(&links).await;
    links.astray("eu", &link);
    assert!(links.for_orders("eu").is_none());
    assert_eq!(links.identified("eu", &link), Answered::First);
}

#[tokio::test]
async fn a_renewed_credential_is_another_link() {
    let links = links();
    let before = at_home(&links).await;
    links.apply(&secret("a", Some("eu"), "two", 0)).await;
    assert!(links.for_orders("eu").is_none());
    assert!(!links.is_used("eu", &before));
    assert_eq!(links.identified("eu", &before), Answered::AsBefore, "it is not in use");
    let now = links.get("eu").unwrap();
    assert_eq!(links.identified("eu", &now), Answered::First);
}

#[tokio::test]
async fn regression_a_secret_that_becomes_the_link_of_another_leaves_the_first_without() {
    let links = links();
    let mut moved = links.moved();
    links.apply(&secret("a", Some("eu"), "one", 0)).await;
    links.apply(&secret("a", Some("us"), "one", 0)).await;
    assert_eq!(problem(&links, "eu"), Some(LinkProblem::Missing));
    assert_eq!(problem(&links, "us"), None);
    assert_eq!(told(&mut moved), ["eu", "eu", "us"]);
    links.apply(&secret("a", None, "one", 0)).await;
    assert_eq!(problem(&links, "us"), Some(LinkProblem::Missing));
}

#[tokio::test]
async fn regression_of_two_secrets_the_newer_is_used_and_then_the_other() {
    let links = links();
    let (old, new) = (secret("b", Some("eu"), "one", 0), secret("a", Some("eu"), "two", 1));
    links.apply(&new).await;
    let used = links.get("eu").unwrap();
    links.apply(&old).await;
    assert!(links.is_used("eu", &used), "in whatever order they come");
    links.delete(&new);
    assert!(!links.is_used("eu", &used));
    assert_eq!(problem(&links, "eu"), None);
    links.delete(&old);
    assert_eq!(problem(&links, "eu"), Some(LinkProblem::Missing));
}

#[tokio::test]
async fn a_secret_that_a_list_does_not_name_is_gone() {
    let links = links();
    links.apply(&secret("a", Some("eu"), "one", 0)).await;
    links.apply(&secret("b", Some("us"), "two", 0)).await;
    let given = links.get("us").unwrap();
    links.insert("here", given);
    links.keep(&BTreeSet::from(["b".to_owned()]));
    assert_eq!(problem(&links, "eu"), Some(LinkProblem::Missing));
    assert_eq!(problem(&links, "us"), None);
    assert!(links.for_orders("here").is_some(), "it is from no Secret");
}

#[tokio::test]
async fn a_secret_without_a_usable_kubeconfig_says_which_it_is() {
    let links = links();
    let mut empty = secret("a", Some("eu"), "one", 0);
    empty.data = None;
    links.apply(&empty).await;
    let no_link = links.get("eu").err().unwrap();
    assert_eq!(no_link.problem, LinkProblem::InvalidKubeconfig);
    assert_eq!(no_link.message, "the Secret a has no entry kubeconfig");
}
