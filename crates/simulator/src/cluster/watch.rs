//! Watches: cursors into the history of a kind. Nothing is queued for a watcher; it reads on
//! from where it is when it is polled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::background::Timer;
use super::format::Format;
use super::list::{expired_watch, selects};
use super::{Call, Cluster};
use crate::error::ApiError;
use crate::object::Meta;
use crate::registry::Resource;
use crate::request::WatchId;
use crate::selector::Selector;
use crate::store::{Change, ObjectName, Stored};
use crate::time::after;

/// How long a watch lasts when the client does not say.
const WATCH_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// How often a watch that allows bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// How long before its end a watch that allows bookmarks gets the last one.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// An open watch.
#[derive(Debug)]
pub(super) struct Watch {
    resource: Arc<Resource>,
    namespace: String,
    selector: Selector,
    format: Format,
    /// Changes up to this revision were given out.
    cursor: u64,
    /// Lines that come before the history: the initial state, bookmarks, errors.
    pending: VecDeque<Bytes>,
    sent_headers: bool,
    wants_bookmarks: bool,
    ended: bool,
}

/// What a watch has to say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOutput {
    /// Newline-delimited events; empty when there is nothing new.
    pub lines: Bytes,
    /// No more will come: close the connection.
    pub ended: bool,
}

impl Cluster {
    pub(super) fn open_watch(&mut self, call: &Call<'_>) -> Result<WatchId, ApiError> {
        let selector = call.selector()?;
        let asked = call.query.text("resourceVersion");
        let from = call.query.number("resourceVersion")?.unwrap_or(0);
        let format = call.format();
        let mut watch = Watch {
            resource: call.resource.clone(),
            namespace: call.target.namespace.clone(),
            selector,
            format,
            cursor: if from == 0 { self.store.revision() } else { from },
            pending: VecDeque::new(),
            sent_headers: false,
            wants_bookmarks: call.query.flag("allowWatchBookmarks"),
            ended: false,
        };
        let initial = call.query.flag("sendInitialEvents");
        if initial || asked.is_empty() || asked == "0" {
            self.queue_initial_state(call, &mut watch);
        }
        if initial && watch.wants_bookmarks {
            watch.queue_bookmark(true);
        }
        self.watches_opened += 1;
        let id = WatchId(self.watches_opened);
        let timeout = call.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let timeout = timeout.map_or(WATCH_TIMEOUT, Duration::from_secs);
        self.timers.insert((after(call.now, timeout), Timer::EndWatch(id)));
        if watch.wants_bookmarks {
            self.timers.insert((after(call.now, BOOKMARK_INTERVAL), Timer::Bookmark(id)));
            if let Some(last) = timeout.checked_sub(LAST_BOOKMARK).filter(|it| !it.is_zero()) {
                self.timers.insert((after(call.now, last), Timer::Bookmark(id)));
            }
        }
        self.watches.insert(id, watch);
        Ok(id)
    }

    fn queue_initial_state(&self, call: &Call<'_>, watch: &mut Watch) {
        let collection = self.store.collection(&call.resource.collection());
        for (name, stored) in &collection.objects {
            if watch.selects(name, stored) {
                let line = watch.line("ADDED", stored, call.now);
                watch.pending.push_back(line);
            }
        }
        watch.cursor = self.store.revision();
    }

    /// The events since the last poll. A watch that is unknown or closed has ended.
    pub fn poll_watch(&mut self, now: Timestamp, id: WatchId) -> WatchOutput {
        let Some(watch) = self.watches.get_mut(&id) else {
            return WatchOutput { lines: Bytes::new(), ended: true };
        };
        let mut lines: Vec<u8> = watch.pending.drain(..).flatten().collect();
        if !watch.ended {
            let collection = self.store.collection(&watch.resource.collection());
            match collection.since(watch.cursor) {
                Ok(changes) => {
                    for change in changes {
                        lines.extend_from_slice(&watch.event(change, now).unwrap_or_default());
                    }
                    watch.cursor = watch.cursor.max(self.store.revision());
                }
                Err(forgotten) => {
                    let error = expired_watch(watch.cursor, &forgotten);
                    lines.extend_from_slice(&event_line(
                        "ERROR",
                        error.status().to_string().as_bytes(),
                    ));
                    watch.ended = true;
                }
            }
        }
        let ended = watch.ended;
        if ended {
            self.close_watch(id);
        }
        WatchOutput { lines: Bytes::from(lines), ended }
    }

    /// Ends the watch: its client went away.
    pub fn close_watch(&mut self, id: WatchId) {
        self.watches.remove(&id);
    }

    /// Ends all watches, as when connections break.
    pub fn drop_watches(&mut self) {
        self.watches.clear();
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> usize {
        self.watches.len()
    }

    pub(super) fn end_watch(&mut self, id: WatchId) {
        if let Some(watch) = self.watches.get_mut(&id) {
            watch.ended = true;
        }
    }

    pub(super) fn end_watches_of(&mut self, plural: &str, group: &str) {
        for watch in self.watches.values_mut().filter(|it| it.resource.is(group, plural)) {
            watch.ended = true;
        }
    }

    pub(super) fn send_bookmark(&mut self, now: Timestamp, id: WatchId) {
        let Some(watch) = self.watches.get_mut(&id) else { return };
        // Only what was read may be claimed: the client reads the changes before it first.
        watch.queue_bookmark(false);
        self.timers.insert((after(now, BOOKMARK_INTERVAL), Timer::Bookmark(id)));
    }
}

impl Watch {
    fn queue_bookmark(&mut self, ends_initial_events: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if ends_initial_events {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.format {
            Format::Metadata => json!({"kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1", "metadata": metadata}),
            Format::Object | Format::Table(_) => json!({"kind": self.resource.kind,
                "apiVersion": self.resource.api_version(), "metadata": metadata}),
        };
        self.pending.push_back(event_line("BOOKMARK", object.to_string().as_bytes()));
    }

    /// The line for a change, seen through the selector: an object that begins to match is
    /// added, one that stops to match is deleted.
    fn event(&mut self, change: &Change, now: Timestamp) -> Option<Bytes> {
        let matched =
            change.before.as_ref().is_some_and(|before| self.selects(&change.name, before));
        let matches = !change.deleted && self.selects(&change.name, &change.after);
        match (matched, matches) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &change.after, now)),
            (true, true) => Some(self.line("MODIFIED", &change.after, now)),
            (true, false) if change.deleted => Some(self.line("DELETED", &change.after, now)),
            (true, false) => Some(self.line("DELETED", &last_match(change)?, now)),
        }
    }

    fn selects(&self, name: &ObjectName, stored: &Stored) -> bool {
        selects(&self.namespace, &self.selector, name, stored)
    }

    fn line(&mut self, kind: &str, stored: &Stored, now: Timestamp) -> Bytes {
        let with_headers = !std::mem::replace(&mut self.sent_headers, true);
        let object = self.format.one(&self.resource, stored, now, with_headers);
        event_line(kind, &object)
    }
}

/// The last state that matched, with the resource version of the change that ended it.
fn last_match(change: &Change) -> Option<Stored> {
    let before = change.before.as_ref()?;
    let mut object = before.value();
    object.set_meta("resourceVersion", change.revision.to_string());
    let (uid, labels) = (before.uid, before.labels.clone());
    Some(Stored { uid, labels, body: Bytes::from(object.to_string()) })
}

fn event_line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}

/// The events of a chunk of watch output, for callers without a Kubernetes client.
pub fn watch_events(lines: &[u8]) -> Vec<Value> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
