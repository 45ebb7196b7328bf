//! The Kubernetes face of a hub.
//!
//! | module | what |
//! |---|---|
//! | [`index`] | the objects of the hub that placements may select, kept current by watches |
//! | [`placements`] | placement objects → commands; their state → status |
//! | [`members`] | MemberClusters and links → commands; health checks; their state → status |
//! | [`contents`], [`seal`] | manifests in the log's content store; Secrets only sealed |
//! | [`performer`] | effects → orders to members, and what came of them → commands |
//! | [`outcomes`] | how available deliveries are, as it was last seen |
//! | [`held`] | what the hub's Kubernetes API lost, and what people say to that |
//! | [`watch`] | the one way in which all of them watch the hub's API server |
//! | [`fences`] | members that hold newer orders than the record has |
//! | [`links`] | one link for each member, from its Secret |
//! | [`identity`] | which deployment a hub cluster belongs to |
//! | [`namespaces`] | those that the hub needs for itself |
//! | [`http`] | `/healthz`, `/readyz`, `/metrics`, and the reads of the command line |
//!
//! **Invariants.** Kubernetes objects are inputs and outputs, never the truth. Inputs are
//! level-triggered: seeing one twice is harmless, missing one is mended by the next list. Nothing
//! here deletes anything on a member because something of ours is *absent*; only a deletion that was
//! seen does, or one that a person confirmed.

mod api_server;
mod client;
pub mod contents;
pub mod fences;
mod fights;
pub mod held;
pub mod http;
pub mod identity;
pub mod index;
pub mod links;
pub mod members;
pub mod namespaces;
pub mod outcomes;
pub mod performer;
pub mod placements;
pub mod seal;
mod start;
pub mod watch;
mod work_queue;

pub use client::client;
pub use start::{Hub, HubConfig, HubError};
