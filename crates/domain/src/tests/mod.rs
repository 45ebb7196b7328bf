//! Tests of several aggregates together.

mod commands;
mod properties;
mod scenarios;
mod view;
