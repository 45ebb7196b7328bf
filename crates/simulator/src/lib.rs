//! A stand-in for kube-apiservers with simulated workloads: one process, thousands of members.
//!
//! It stands in for Kubernetes and knows nothing of Taffrail. [`Cluster`] is one API server with
//! its controllers as a synchronous state machine: requests, time and a seed come in, answers go
//! out. [`Fleet`] holds many of them by name and gives them transports and time.
//!
//! # In process
//!
//! ```
//! use simulator::{ClusterOptions, Fleet, Request};
//!
//! let fleet = Fleet::manual("2026-01-01T00:00:00Z".parse()?);
//! let member = fleet.add_cluster("member-1", ClusterOptions::default().with_nodes(3, 4, 16))?;
//! let nodes = member.request(&Request::get("/api/v1/nodes")).ok_or("a watch")?;
//! assert_eq!(nodes.value()["items"].as_array().map(Vec::len), Some(3));
//! // For kube-rs: kube::Client::new(fleet.service("member-1"), "default")
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Over HTTP
//!
//! [`serve`] opens one listener for all clusters; `http://ADDRESS/clusters/NAME` is the server
//! URL of each, and [`ServerHandle::kubeconfig`] writes them into a file for kubectl. The
//! example `serve` does that: `cargo run -p simulator --example serve -- 12`.
//!
//! # Time
//!
//! | fleet | time moves | what falls due is run by |
//! |---|---|---|
//! | [`Fleet::new`] | with tokio's clock (so `tokio::time::pause` works) | [`Fleet::spawn_ticker`]; [`serve`] brings its own |
//! | [`Fleet::manual`] | by [`Fleet::advance`] | `advance`, in order of time and name |
//!
//! # Between runs
//!
//! Clusters live in memory and end with their process, unless [`Fleet::with_journal`] keeps
//! them in a file.
//!
//! # Trouble
//!
//! [`ClusterHandle::set_fault`] makes requests fail, all or those that a [`FaultRule`] picks;
//! [`ClusterHandle::drop_watches`] breaks watch connections;
//! [`ClusterHandle::forget_watch_history`] makes resumed watches and lists fail with 410.
//!
//! # What it does not do
//!
//! * CEL rules (`x-kubernetes-validations`), admission webhooks and policies, authentication,
//!   authorization, quotas and TLS: everybody may do everything. Reviews say yes.
//! * Pods: Deployments and the like become ready without ReplicaSets and Pods under them. A Pod
//!   that is created is Running after the delay. No scheduler, no logs, no exec.
//! * Conversion webhooks: versions of a CRD differ in `apiVersion` only.
//! * Aggregated ClusterRoles: the controller that fills them is not there.
//! * Answers in the protobuf encoding (requests in it are read), HTTP/2, aggregated API servers.
//! * All of the validation of built-in kinds: see `builtin/validate.rs` for what is checked.

mod apply;
mod builtin;
mod cluster;
#[cfg(feature = "conformance")]
pub mod conformance;
mod crd;
mod documents;
mod error;
mod fleet;
mod journal;
mod jsonpath;
mod names;
mod object;
mod patch;
mod protobuf;
mod registry;
mod request;
mod schema;
mod selector;
mod store;
mod time;

pub use cluster::{
    Cluster, ClusterCopy, ClusterOptions, HISTORY_EVENTS_PER_KIND, NodeOptions, REQUEST_BYTES_MAX,
    WatchOutput, watch_events,
};
pub use error::ApiError;
pub use fleet::{
    ClusterExists, ClusterHandle, Fault, FaultRule, Fleet, ServerHandle, SimulatedBody,
    SimulatedService, Ticker, TransportError, kubeconfig, serve,
};
pub use journal::{Journal, JournalError};
pub use request::{Reply, Request, Response, WatchId};
pub use time::Timestamp;
