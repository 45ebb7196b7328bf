//! The decisions: deciders for every aggregate, selection and scheduling as plain functions. No async, no clock, no I/O.
