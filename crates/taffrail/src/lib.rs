//! The binary: configuration, wiring, command line. The only place that names drivers.
//!
//! | module | what |
//! |---|---|
//! | [`cli`], `commands` | the command line: one file for each command |
//! | [`config`] | `taffrail.toml` |
//! | [`demo`] | a hub, simulated members and a small application |
//! | [`serve`] | a hub in this process: log, projections, hub, HTTP |
//! | [`client`] | the hub's HTTP API, asked |
//! | [`names`] | how people name things: `crp/web`, `cluster/eu-1`, `10m` |
//! | [`output`] | tables for people, JSON and YAML for programs |
//! | [`telemetry`] | logs on standard error, traces to OpenTelemetry |
//! | [`usage`] | wrong use: one line what, one line how |
//!
//! **Invariants.** Standard output carries answers only, standard error everything else. Secrets
//! are never printed.

pub mod cli;
pub mod client;
mod commands;
pub mod config;
pub mod demo;
mod kubeconfig;
mod kubernetes;
pub mod names;
pub mod output;
mod private;
pub mod serve;
mod signals;
pub mod telemetry;
pub mod usage;
