//! One conformance suite, on the simulator and on a real kube-apiserver, and the two compared.

mod conformance_real;
mod conformance_sim;
mod differential;
