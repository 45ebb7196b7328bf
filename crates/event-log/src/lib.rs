//! The log: its port, the acceptance rule, membership leases, the memory and embedded backends and the conformance suite.
