//! The answers of a small node: its log in memory, its rows in a directory, its hub simulated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actors::concerns::Concerns;
use actors::node::{HubCluster, Node, NodeConfig, Ownership, Router};
use actors::shard::ClaimIdentity;
use actors::supervised::Supervisor;
use api::http::{
    ClusterDetail, ClusterPhase, ClusterSummary, ErrorBody, EventsPage, HubStatus, NotReady,
    PlacementDetail, PlacementPhase, PlacementSummary, Readiness, RecordedEvent, ReplayReport, Why,
};
use async_trait::async_trait;
use domain::cluster::{
    ClusterCommand, DeliveryOutcome, Notes, ObserveCluster, ReportDelivery, ReportLink,
};
use domain::placement::{PlacementCommand, RevisionInput, SubmitPlacement};
use domain::{DomainCommand, Effect};
use event_log::{MemoryLog, partition_of};
use events::cluster::ApplyStrategy;
use events::placement::{LabelSelector, PlacementSpec, Policy};
use events::{AggregateId, ContentHash, Epoch, PlacementKey, Principal};
use projections::Store;
use serde::de::DeserializeOwned;
use simulator::{ClusterOptions, Fleet};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::limits::FOLLOWERS_PER_PEER_MAX;
use super::{Check, Hosts, HttpConfig, HttpServer, document};
use crate::fences::Fences;
use crate::index::{Index, IndexConfig};
use actors::effects::{Again, Performed, Performer};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every order succeeds at once.
struct Obedient;

#[async_trait]
impl Performer for Obedient {
    async fn perform(&self, effect: &Effect, _epoch: Epoch, _attempt: u32) -> Performed {
        let report = match effect {
            Effect::Deliver(deliver) => {
                Some(DomainCommand::from(ClusterCommand::ReportDelivery(ReportDelivery {
                    placement: deliver.key.placement.clone(),
                    generation: deliver.generation,
                    outcome: DeliveryOutcome::Available { untracked: 0 },
                    notes: Notes::default(),
                })))
            }
            Effect::Withdraw(_) | Effect::Observe(_) | Effect::Cancel(_) => None,
        };
        Performed { report, again: Again::No }
    }
}

/// A node that serves, with a fleet of two clusters and one placement on one of them.
struct World {
    node: Node,
    server: HttpServer,
    _rows: tempfile::TempDir,
}

impl World {
    async fn start(checks: Vec<Check>) -> Self {
        let rows = tempfile::tempdir().unwrap();
        let node = node(rows.path()).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let hosts = Hosts::new(listener.local_addr().unwrap(), &["hub".to_owned()]);
        let server = HttpServer::start(
            listener,
            HttpConfig {
                node: "test".to_owned(),
                genesis: node.genesis().clone(),
                router: node.router().clone(),
                index: index().await,
                fences: Fences::default(),
                checks,
                hosts,
            },
        );
        Self { node, server: server.unwrap(), _rows: rows }
    }

    /// With things to look at, all of them in the rows.
    async fn populated() -> Self {
        let world = Self::start(vec![]).await;
        let router = world.node.router();
        join(router, "eu-1", "eu").await;
        join(router, "us-1", "us").await;
        let web = AggregateId::Placement(PlacementKey::cluster("web"));
        ask(router, web, submit(), Principal::User("alice".to_owned())).await;
        world
            .eventually("it is available", |status: HubStatus| status.placements.available == 1)
            .await;
        let type_of =
            |page: &EventsPage, name: &str| page.events.iter().any(|e| e.event.name() == name);
        world
            .eventually_at(
                "/api/v1/history/cluster/eu-1",
                "rows are written",
                |page: EventsPage| type_of(&page, "DeliveryAvailable"),
            )
            .await;
        world
            .eventually_at("/api/v1/history/placement/cluster/web", "rows are written", |page| {
                type_of(&page, "TargetProgressed")
            })
            .await;
        world
    }

    async fn connect(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn text(&self, path: &str) -> (StatusCode, String) {
        let mut answer = String::new();
        let mut stream = self.connect(path).await;
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.text(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    async fn refused(&self, path: &str) -> (u16, ErrorBody) {
        let (status, body) = self.text(path).await;
        let body = serde_json::from_str(&body);
        (status.as_u16(), body.unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    async fn eventually(&self, what: &str, holds: impl Fn(HubStatus) -> bool) {
        self.eventually_at("/api/v1/status", what, holds).await;
    }

    async fn eventually_at<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
        holds: impl Fn(T) -> bool,
    ) {
        let wait = async {
            loop {
                let (_, body) = self.text(path).await;
                if serde_json::from_str(&body).is_ok_and(&holds) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    async fn end(self) {
        let Self { node, server, _rows } = self;
        tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
        node.shutdown().await;
    }
}

async fn node(rows: &Path) -> Node {
    let opened = Store::open(rows, partition_of).unwrap();
    let config = NodeConfig {
        identity: ClaimIdentity {
            node: "test".to_owned(),
            incarnation: Uuid::new_v4(),
            version: "0".to_owned(),
        },
        log: Arc::new(MemoryLog::new()),
        partitions: 4,
        hub: HubCluster::of("hub"),
        model: opened.model,
        store: Some(opened.store),
        performer: Arc::new(Obedient),
        ownership: Ownership::Alone,
        threads: 1,
    };
    let node = Node::start(config).await.unwrap();
    let mut owning = node.router().owning();
    owning.wait_for(|owning| owning.len() == 4).await.unwrap();
    node
}

async fn index() -> Index {
    let fleet = Fleet::new();
    fleet.add_cluster("hub", ClusterOptions::default()).unwrap();
    let client = kube::Client::new(fleet.service("hub"), "default");
    let supervisor = Supervisor::new(Concerns::default());
    let (rules, watcher) = Default::default();
    let (index, _task) = Index::start(IndexConfig { client, rules, watcher }, &supervisor);
    index
}

async fn ask(router: &Router, id: AggregateId, command: impl Into<DomainCommand>, by: Principal) {
    router.ask(id, command.into(), by).await.unwrap();
}

async fn join(router: &Router, name: &str, region: &str) {
    let observe = ObserveCluster {
        uid: format!("uid-{name}"),
        labels: BTreeMap::from([("region".to_owned(), region.to_owned())]),
        taints: vec![],
        heartbeat_period_seconds: 60,
    };
    let link = ReportLink {
        cluster: name.to_owned(),
        identity: format!("identity-{name}"),
        hub_identity: "hub".to_owned(),
        kubernetes_version: "v1.36.4".to_owned(),
        confirmed: None,
        taken_from: None,
    };
    let id = AggregateId::Cluster(name.to_owned());
    ask(router, id.clone(), ClusterCommand::ObserveCluster(observe), Principal::System).await;
    let by = Principal::Member(name.to_owned());
    ask(router, id, ClusterCommand::ReportLink(link), by).await;
}

/// Everything in one region.
fn submit() -> PlacementCommand {
    let region = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
    let term = LabelSelector { match_labels: region, match_expressions: vec![] };
    PlacementCommand::SubmitPlacement(SubmitPlacement {
        uid: "uid-web".to_owned(),
        generation: 1,
        spec: PlacementSpec {
            selectors: vec![],
            policy: Policy::PickAll { terms: vec![term], tolerations: vec![] },
            apply: ApplyStrategy::default(),
        },
        revision: RevisionInput { manifests: ContentHash::of(b"one"), objects: 1 },
        notes: vec![],
    })
}

#[actix::test]
async fn the_present_is_shown() {
    let world = World::populated().await;
    let status: HubStatus = world.get("/api/v1/status").await;
    assert_eq!((status.node.as_str(), status.partitions, status.owned.len()), ("test", 4, 4));
    assert_eq!((status.clusters.members, status.clusters.joined), (2, 2));
    assert_eq!((status.placements.placements, status.placements.targets), (1, 1));

    let placements: Vec<PlacementSummary> = world.get("/api/v1/placements").await;
    assert_eq!(placements.len(), 1);
    assert_eq!(placements[0].phase, PlacementPhase::Available);
    let web: PlacementDetail = world.get("/api/v1/placements/cluster/web").await;
    assert_eq!(web.summary, placements[0]);
    assert_eq!(
        (web.targets[0].cluster.as_str(), web.targets[0].phase.as_str()),
        ("eu-1", "Available")
    );

    let clusters: Vec<ClusterSummary> = world.get("/api/v1/clusters").await;
    assert_eq!(clusters.len(), 2);
    assert!(clusters.iter().all(|cluster| cluster.phase == ClusterPhase::Healthy));
    let eu: ClusterDetail = world.get("/api/v1/clusters/eu-1").await;
    assert_eq!(eu.deliveries.len(), 1);
    assert_eq!(eu.deliveries[0].placement, "cluster/web");
    world.end().await;
}

#[actix::test]
async fn the_record_is_shown() {
    let world = World::populated().await;
    let all: EventsPage = world.get("/api/v1/events").await;
    assert_eq!(all.next, None);
    let joined: EventsPage = world.get("/api/v1/events?type=ClusterJoined").await;
    let subjects: Vec<&str> = joined.events.iter().map(|e| e.event.subject.as_str()).collect();
    assert_eq!(subjects, ["cluster/eu-1", "cluster/us-1"]);

    let mut paged = vec![];
    let mut after = String::new();
    loop {
        let page: EventsPage = world.get(&format!("/api/v1/events?limit=2{after}")).await;
        paged.extend(page.events);
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all.events);

    let by_alice: EventsPage = world.get("/api/v1/events?principal=user:alice").await;
    assert!(by_alice.events.iter().any(|e| e.event.name() == "PlacementScheduled"));
    let correlation = &by_alice.events[0].event.correlationid;
    let caused: EventsPage = world.get(&format!("/api/v1/events?correlation={correlation}")).await;
    assert!(caused.events.iter().any(|e| e.event.name() == "DeliveryAssigned"));
    let none: EventsPage = world.get("/api/v1/events?until=2020-01-01T00:00:00Z").await;
    assert_eq!(none.events, []);

    let history: EventsPage = world.get("/api/v1/history/placement/cluster/web").await;
    let numbers: Vec<u64> = history.events.iter().map(|e| e.event.aggregatesequence).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    world.end().await;
}

#[actix::test]
async fn decisions_are_explained() {
    let world = World::populated().await;
    let why: Why = world.get("/api/v1/why/cluster/web?cluster=eu-1").await;
    let decision = why.decision.unwrap();
    assert_eq!(decision.message, "1 of 2 clusters match the policy");
    assert_eq!(decision.command.kind.as_deref(), Some("SubmitPlacement"));
    assert_eq!(decision.command.principal, "user:alice");
    assert!(why.clusters[0].chosen);
    assert_eq!(why.clusters[0].text, "eu-1 matches the policy");
    assert_eq!(why.clusters[0].target.as_ref().unwrap().phase, "Available");

    let why: Why = world.get("/api/v1/why/cluster/web?cluster=us-1").await;
    let [us] = why.clusters.as_slice() else { panic!("{:?}", why.clusters) };
    assert_eq!((us.chosen, us.reason.as_str()), (false, "LabelsDoNotMatch"));
    let why: Why = world.get("/api/v1/why/cluster/web?cluster=ap-1").await;
    assert_eq!(why.clusters[0].text, "there is no member cluster ap-1");
    let why: Why = world.get("/api/v1/why/cluster/web").await;
    assert_eq!(why.clusters.len(), 2);

    let report: ReplayReport = world.get("/api/v1/replay").await;
    assert!(report.clean && report.decisions > 4, "{report:?}");
    world.end().await;
}

#[actix::test]
async fn what_comes_is_streamed_after_what_was() {
    let world = World::populated().await;
    let path = "/api/v1/events?follow=true&type=ClusterJoined&since=2020-01-01T00:00:00Z";
    let mut lines = BufReader::new(world.connect(path).await).lines();
    let mut joined = async || {
        loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap();
            // Between the lines of the answer stand the head and the sizes of chunks.
            let line = line.unwrap().expect("the stream goes on");
            if let Ok(recorded) = serde_json::from_str::<RecordedEvent>(&line) {
                return recorded.event.subject;
            }
        }
    };
    assert_eq!(joined().await, "cluster/eu-1");
    assert_eq!(joined().await, "cluster/us-1");
    join(world.node.router(), "ap-1", "ap").await;
    assert_eq!(joined().await, "cluster/ap-1");
    world.end().await;
}

/// What is answered to a request with these lines in its head.
async fn answered(world: &World, head: &str) -> String {
    let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
    let request = format!("GET /readyz HTTP/1.1\r\n{head}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[actix::test]
async fn regression_a_page_elsewhere_reaches_nothing() {
    let world = World::start(vec![]).await;
    let rebound = answered(&world, "host: evil.example:8321\r\n").await;
    assert!(rebound.starts_with("HTTP/1.1 421 "), "{rebound}");
    assert!(rebound.contains("hosts under [http]"), "{rebound}");
    let foreign = answered(&world, "host: localhost\r\norigin: https://evil.example\r\n").await;
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    let own = answered(&world, "host: localhost\r\n").await;
    assert!(own.starts_with("HTTP/1.1 200 ") || own.starts_with("HTTP/1.1 503 "), "{own}");
    world.end().await;
}

#[actix::test]
async fn regression_followers_that_do_not_read_are_bounded_and_give_their_places_back() {
    let world = World::populated().await;
    let path = "/api/v1/events?follow=true";
    let mut followers = vec![];
    for _ in 0..FOLLOWERS_PER_PEER_MAX {
        let mut stream = world.connect(path).await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        followers.push(stream);
    }
    let (status, body) = world.refused(path).await;
    assert_eq!(status, 429, "{}", body.error);
    assert!(body.error.contains("16 followers of events"), "{}", body.error);
    let (status, _) = world.text("/api/v1/status").await;
    assert_eq!(status, StatusCode::OK, "other questions are answered");

    drop(followers);
    // What comes finds the listeners gone.
    join(world.node.router(), "ap-1", "ap").await;
    let wait = async {
        loop {
            let mut stream = world.connect(path).await;
            let mut head = [0; 15];
            stream.read_exact(&mut head).await.unwrap();
            if &head == b"HTTP/1.1 200 OK" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("there is room again");
    world.end().await;
}

#[actix::test]
async fn questions_without_an_answer_are_told_why() {
    let world = World::start(vec![]).await;
    let table = [
        ("/api/v1/placements/cluster/web", 404, "there is no placement cluster/web"),
        ("/api/v1/placements/team-a/web", 400, "\"team-a/web\" names no placement"),
        ("/api/v1/clusters/eu-1", 404, "there is no cluster eu-1"),
        ("/api/v1/why/cluster/web", 404, "there is no placement cluster/web"),
        ("/api/v1/history/cluster/eu-1", 404, "nothing is on record about cluster/eu-1"),
        ("/api/v1/history/pods", 400, "\"pods\" is not an aggregate id"),
        ("/api/v1/events?principal=bob", 400, "\"bob\" is not a principal"),
        ("/api/v1/events?correlation=x", 400, "\"x\" is not a correlation id"),
        ("/api/v1/events?kind=x", 400, "Query deserialize error: unknown field `kind`"),
        ("/api/v2", 404, "nothing is served at this path"),
    ];
    for (path, status, error) in table {
        let (answered, body) = world.refused(path).await;
        assert_eq!(answered, status, "{path}");
        assert!(body.error.starts_with(error), "{path}: {}", body.error);
        assert!(body.hint.is_some(), "{path}");
    }
    world.end().await;
}

#[actix::test]
async fn what_is_in_the_way_is_told() {
    let full = || {
        let message = "the log's disk is full".to_owned();
        Some(NotReady { check: "log".to_owned(), message })
    };
    let world = World::start(vec![Arc::new(full)]).await;
    world
        .eventually_at("/readyz", "the index is synchronised", |readiness: Readiness| {
            readiness.not_ready.len() == 1
        })
        .await;
    let (status, body) = world.text("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let readiness: Readiness = serde_json::from_str(&body).unwrap();
    assert_eq!(readiness.not_ready, [full().unwrap()]);
    assert_eq!(world.text("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    world.end().await;
}

#[actix::test]
async fn metrics_can_be_scraped() {
    let world = World::populated().await;
    let (status, text) = world.text("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "taffrail_partitions_owned 4",
        "taffrail_clusters{state=\"healthy\"} 2",
        "taffrail_targets{state=\"available\"} 1",
        "taffrail_log_records_rejected_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is missing in {text}");
    }
    assert!(text.contains("taffrail_process_resident_memory_bytes "), "{text}");
    world.end().await;
}

/// What the document says is served, and nothing else is.
#[actix::test]
async fn every_route_is_described() {
    let world = World::start(vec![]).await;
    let document = serde_json::to_value(document()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let mut registered = routes_in_source();
    registered.sort();
    assert_eq!(paths, registered.iter().collect::<Vec<_>>());
    for path in paths {
        let filled = path
            .replace("{scope}", "cluster")
            .replace("{aggregate}", "fleet")
            .replace("{name}", "x");
        let (_, body) = world.text(&filled).await;
        assert!(!body.contains("nothing is served at this path"), "{path}");
    }
    world.end().await;
}

/// The paths that handlers declare.
fn routes_in_source() -> Vec<String> {
    let sources = [
        include_str!("health.rs"),
        include_str!("metrics.rs"),
        include_str!("openapi.rs"),
        include_str!("status.rs"),
        include_str!("placements.rs"),
        include_str!("clusters.rs"),
        include_str!("held.rs"),
        include_str!("fences.rs"),
        include_str!("events.rs"),
        include_str!("why.rs"),
        include_str!("replay.rs"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    let paths = lines.filter_map(|line| line.strip_prefix("#[get(\"")?.strip_suffix("\")]"));
    paths.map(|path| path.replace(":.*}", "}")).collect()
}
