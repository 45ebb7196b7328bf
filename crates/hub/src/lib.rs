//! The Kubernetes face: watchers, selection index, status writers, HTTP API.
