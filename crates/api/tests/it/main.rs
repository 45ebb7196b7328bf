//! The public API: its contract, its schemas, and what a real API server makes of them.

mod common;
mod contract;
mod real_apiserver;
mod round_trip;
mod structural;
