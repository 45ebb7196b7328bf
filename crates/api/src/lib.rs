//! The public Kubernetes API: CRD types, their schemas and rules, conversions. The only crate that knows public JSON.
