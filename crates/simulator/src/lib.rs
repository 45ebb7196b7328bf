//! A stand-in for kube-apiservers with simulated workloads: one process, thousands of members.

mod apply;
mod builtin;
mod cluster;
mod crd;
mod error;
mod jsonpath;
mod names;
mod object;
mod patch;
mod registry;
mod request;
mod schema;
mod selector;
mod store;
mod time;

pub use cluster::{
    Cluster, ClusterOptions, HISTORY_EVENTS_PER_KIND, NodeOptions, REQUEST_BYTES_MAX, WatchOutput,
    watch_events,
};
pub use error::ApiError;
pub use request::{Reply, Request, Response, WatchId};
pub use time::Timestamp;
