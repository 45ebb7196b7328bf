//! One conformance suite, on the simulator and on a real kube-apiserver.

mod conformance_real;
mod conformance_sim;
