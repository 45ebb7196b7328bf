//! Tests of selection, a file for each of its rules.

mod canonical;
mod catalogue;
mod kinds;
mod notes;
mod objects;
mod order;
mod problems;
mod reach;
mod resolve;
mod sanitise;
