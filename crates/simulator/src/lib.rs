//! A stand-in for kube-apiservers with simulated workloads: one process, thousands of members.
