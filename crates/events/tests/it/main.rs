//! What is written stays readable: identifiers, events and records against their golden files.

mod golden;
mod ids;
mod records;
