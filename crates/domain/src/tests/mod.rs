//! Tests of several aggregates together.
