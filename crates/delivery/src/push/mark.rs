//! The mark on a member: read, made unless it is there, and removed if it is ours.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PushMember;
use super::discovery::Resource;
use super::requests::CallError;
use crate::failure::{is_conflict, is_forbidden, is_not_found};
use crate::mark::{MARK_NAMESPACE, MEMBER_MARK, MarkSeen, Marked, MemberMark};

impl PushMember {
    /// Whose this cluster is.
    pub(super) async fn read_mark(&self, cluster: &str) -> Result<MarkSeen, CallError> {
        match self.requests.get(&config_maps(), MARK_NAMESPACE, MEMBER_MARK).await {
            Ok(live) => Ok(MemberMark::of_data(&data(&live), cluster)),
            Err(CallError::Refused(status)) if is_not_found(&status) => Ok(MarkSeen::Absent),
            Err(CallError::Refused(status)) if is_forbidden(&status) => Ok(MarkSeen::Forbidden),
            Err(error) => Err(error),
        }
    }

    /// See [`Link::mark`](crate::Link::mark).
    pub(super) async fn mark(&self, cluster: &str, mark: &MemberMark) -> Result<Marked, CallError> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": MEMBER_MARK },
            "data": mark.to_data(cluster),
        });
        let created = match self.requests.create(&config_maps(), MARK_NAMESPACE, &body).await {
            // Also when its namespace is not there.
            Err(CallError::Refused(status)) if is_not_found(&status) => {
                let namespace = json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": { "name": MARK_NAMESPACE },
                });
                let namespaces = Resource::core("Namespace", "namespaces");
                match self.requests.create(&namespaces, "", &namespace).await {
                    Ok(_) => {}
                    Err(CallError::Refused(status)) if status.is_already_exists() => {}
                    Err(error) => return forbidden(error),
                }
                self.requests.create(&config_maps(), MARK_NAMESPACE, &body).await
            }
            created => created,
        };
        match created {
            Ok(_) => Ok(Marked::Done),
            Err(CallError::Refused(status)) if status.is_already_exists() => {
                self.replace_copy(cluster, &body).await
            }
            Err(error) => forbidden(error),
        }
    }

    /// Puts the mark in the place of one that was made for another cluster.
    async fn replace_copy(&self, cluster: &str, body: &Value) -> Result<Marked, CallError> {
        let live = match self.requests.get(&config_maps(), MARK_NAMESPACE, MEMBER_MARK).await {
            Ok(live) => live,
            Err(CallError::Refused(status)) if is_not_found(&status) => return Ok(Marked::Raced),
            Err(error) => return Err(error),
        };
        if MemberMark::of_data(&data(&live), cluster) != MarkSeen::Absent {
            return Ok(Marked::Raced);
        }
        let gone = data(&live).into_keys().map(|key| (key, Value::Null));
        let mut patch: serde_json::Map<String, Value> = gone.collect();
        patch.extend(body["data"].as_object().cloned().unwrap_or_default());
        let patch = json!({
            "metadata": { "resourceVersion": live["metadata"]["resourceVersion"] },
            "data": patch,
        });
        let merged =
            self.requests.merge(&config_maps(), MARK_NAMESPACE, MEMBER_MARK, None, &patch).await;
        match merged {
            Ok(_) => Ok(Marked::Done),
            Err(CallError::Refused(status)) if is_conflict(&status) || is_not_found(&status) => {
                Ok(Marked::Raced)
            }
            Err(error) => forbidden(error),
        }
    }

    /// See [`Link::unmark`](crate::Link::unmark).
    pub(super) async fn unmark(&self, deployment: &str, name: &str) -> Result<(), CallError> {
        let resource = config_maps();
        let live = match self.requests.get(&resource, MARK_NAMESPACE, MEMBER_MARK).await {
            Ok(live) => live,
            Err(CallError::Refused(status)) if is_not_found(&status) => return Ok(()),
            Err(error) => return Err(error),
        };
        let entry = |key: &str| live["data"][key].as_str();
        if entry("deployment") != Some(deployment) || entry("name") != Some(name) {
            return Ok(());
        }
        let deleted = self.requests.delete(
            &resource,
            &live,
            kube::core::params::PropagationPolicy::Background,
        );
        match deleted.await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if is_not_found(&status) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn config_maps() -> Resource {
    Resource { is_namespaced: true, ..Resource::core("ConfigMap", "configmaps") }
}

fn data(live: &Value) -> BTreeMap<String, String> {
    let entries = live["data"].as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    entries.filter_map(text).collect()
}

fn forbidden(error: CallError) -> Result<Marked, CallError> {
    match error {
        CallError::Refused(status) if is_forbidden(&status) => Ok(Marked::Forbidden),
        error @ (CallError::Refused(_)
        | CallError::Unusable { .. }
        | CallError::Busy(_)
        | CallError::TimedOut(_)) => Err(error),
    }
}
