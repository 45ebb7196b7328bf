//! The simulator against a real kube-apiserver, request by request: the same histories are sent to
//! both, and whole answers are compared, up to what servers choose freely.
//!
//! Neither server has controllers here: what changes was asked for by a request. One seed is one
//! history about one kind. To play one again:
//!
//! ```text
//! cargo xtask test --seed 17 -- -p simulator --test it differential
//! ```

mod bootstrap;
mod compare;
mod exemptions;
mod history;
mod kinds;
mod renaming;
mod servers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::{Value, json};
use simulator::Request;
use xtask::bed::Bed;
use xtask::trial;

use compare::{Difference, differences};
use exemptions::Known;
use history::{History, history};
use kinds::Kind;
use renaming::Memory;
use servers::Server;

/// The histories of a run: each kind has four. Seeds beyond find more that the simulator does not
/// do, in about one history of seven.
const HISTORIES: u64 = 148;

/// Histories under way at once: the real server writes to a disk, and waits for it.
const AT_ONCE: usize = 4;

/// Histories that a failure shows; more do not help to understand the first ones.
const SHOWN: usize = 40;

/// How long the real server takes to serve a new CRD, at most.
const PATIENCE: Duration = Duration::from_secs(60);

struct Pair {
    real: Server,
    simulated: Server,
}

/// A request that was answered differently.
struct Finding {
    seed: u64,
    request: Request,
    difference: Difference,
}

#[tokio::test]
async fn answers_as_a_real_server_does() {
    if !xtask::bed::wanted() {
        return;
    }
    let bed = Bed::builder().api_only(true).start().expect("an API server starts");
    let pair = Pair {
        real: servers::real(&bed.context("hub").kubeconfig()).await,
        simulated: servers::simulated(),
    };
    let different = bootstrap::differences(&pair).await;
    assert!(different.is_empty(), "objects that servers make for themselves: {different:#?}");
    serve_crds(&pair).await;
    let (kinds, known) = (kinds::kinds(), exemptions::known());
    let begin = Instant::now();
    let seeds = seeds();
    let count = seeds.len();
    let played = futures::stream::iter(seeds).map(|seed| play(&pair, &kinds, &known, seed));
    let played: Vec<(usize, Vec<Finding>)> = played.buffered(AT_ONCE).collect().await;
    let requests: usize = played.iter().map(|(requests, _)| requests).sum();
    eprintln!("{count} histories, {requests} requests, {:.1} s", begin.elapsed().as_secs_f64());
    let findings: Vec<Finding> = played.into_iter().flat_map(|(_, found)| found).collect();
    assert!(findings.is_empty(), "{}", report(&findings));
}

fn seeds() -> Vec<u64> {
    match trial::given_seed() {
        Some(seed) => vec![seed],
        None => (0..HISTORIES).collect(),
    }
}

async fn serve_crds(pair: &Pair) {
    for crd in kinds::crds() {
        let request =
            Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd);
        for server in [&pair.real, &pair.simulated] {
            let answer = server.send(&request).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
    }
    pair.simulated.settle();
    let begin = Instant::now();
    for path in ["widgets", "gadgets"] {
        let list = Request::get(&format!("/apis/example.com/v1/{path}"));
        while pair.real.send(&list).await.status != 200 {
            assert!(begin.elapsed() < PATIENCE, "{path} are not served after {PATIENCE:?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Plays a history on both servers: how many requests that were, and what differed.
async fn play(pair: &Pair, kinds: &[Kind], known: &[Known], seed: u64) -> (usize, Vec<Finding>) {
    let History { prologue, requests, watch, fence } = history(seed, kinds);
    let mut memories = [Memory::default(), Memory::default()];
    let mut findings = Vec::new();
    let mut count = 1;
    for request in prologue.into_iter().chain(requests) {
        count += 1;
        let mut documents = [Value::Null, Value::Null];
        for (at, server) in [&pair.real, &pair.simulated].into_iter().enumerate() {
            let answer = server.send(&memories[at].resolve(&request)).await;
            memories[at].note(&request, &answer);
            documents[at] = memories[at].rename(answer.document());
        }
        findings.extend(find(seed, &request, &documents, known));
        if !findings.is_empty() || documents[0]["status"] != documents[1]["status"] {
            // The servers hold different objects from here on.
            return (count, findings);
        }
    }
    let mut documents = [Value::Null, Value::Null];
    for (at, server) in [&pair.real, &pair.simulated].into_iter().enumerate() {
        let events = server.watch(&memories[at].resolve(&watch), &fence).await;
        documents[at] = memories[at].rename(json!({"status": 200, "body": events}));
    }
    findings.extend(find(seed, &watch, &documents, known));
    (count, findings)
}

fn find(
    seed: u64,
    request: &Request,
    [real, simulated]: &[Value; 2],
    known: &[Known],
) -> Vec<Finding> {
    let (real, simulated) = exemptions::without_exempt(request, real, simulated);
    let told = told(request);
    let (real_text, simulated_text) = (real.to_string(), simulated.to_string());
    let is_known = |it: &Difference| {
        known.iter().any(|known| known.matches(&told, &it.at, &real_text, &simulated_text))
    };
    let found = differences(&real, &simulated).into_iter().filter(|it| !is_known(it));
    found.map(|difference| Finding { seed, request: request.clone(), difference }).collect()
}

/// The request on a line.
fn told(request: &Request) -> String {
    let Request { method, path, query, content_type, accept, body, .. } = request;
    let body = String::from_utf8_lossy(body);
    format!("{method} {path}?{query} [{content_type}] [{accept}] {body}")
}

/// Where histories first differ, each with what plays it again.
fn report(findings: &[Finding]) -> String {
    let mut histories: BTreeMap<u64, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        histories.entry(finding.seed).or_default().push(finding);
    }
    let mut text = format!("{} histories differ\n", histories.len());
    for (seed, found) in histories.iter().take(SHOWN) {
        let request = told(&found[0].request);
        let again = trial::told(*seed, "-p simulator --test it differential");
        writeln!(text, "\n{again}\n  {request}").expect("writing to a string does not fail");
        for Finding { difference, .. } in found {
            writeln!(
                text,
                "  {}\n    real      {}\n    simulated {}",
                difference.at, difference.real, difference.simulated
            )
            .expect("writing to a string does not fail");
        }
    }
    text
}
