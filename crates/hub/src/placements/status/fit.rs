//! A status has to fit into its object: what is shortened so that it does, and in which order.
//!
//! What goes first is what people miss least: failures beyond the first ones of each cluster; then
//! what clusters say about steps that went well, then all that they say; then the list of selected
//! objects; last the clusters themselves, those without trouble before the others.

use std::io;

use api::conditions::Status;
use api::placement::{PerClusterPlacementStatus, PlacementStatus};
use serde::Serialize;

/// How many bytes of JSON a status may have. A Kubernetes object is stored only if it has less than
/// 1.5 MB, and specification, metadata and managed fields take their part; a status of twice this
/// size can never be written.
pub(super) const STATUS_BYTES_MAX: usize = 1_000_000;

/// How many characters of one failure are shown.
pub(super) const FAILURE_CHARS_MAX: usize = 1_000;

/// Room for the sentence that says what was shortened.
const NOTE_BYTES_MAX: usize = 400;

/// How many failures of each cluster are tried to be shown, one after the other.
const FAILURES_SHOWN: [usize; 4] = [20, 5, 1, 0];

/// How much of the room clusters may take from the selected objects, in quarters.
const CLUSTERS_QUARTERS: usize = 3;

/// Shortens a status that does not fit into `max` bytes, and says so in its first condition.
pub(super) fn fit(status: &mut PlacementStatus, max: usize) {
    if bytes_of(status) <= max {
        return;
    }
    let max = max.saturating_sub(NOTE_BYTES_MAX);
    let mut notes = vec![];
    shorten_failures(status, max, &mut notes);
    leave_out_messages(status, max, &mut notes);
    shorten_lists(status, max, &mut notes);
    if let Some(first) = status.conditions.first_mut() {
        let notes = notes.join(", ");
        first.message.push_str(&format!("; shortened to fit into the object: {notes}"));
    }
}

fn shorten_failures(status: &mut PlacementStatus, max: usize, notes: &mut Vec<String>) {
    let count = |status: &PlacementStatus| -> usize {
        status.placement_statuses.iter().map(|cluster| cluster.failed_placements.len()).sum()
    };
    let all = count(status);
    for shown in FAILURES_SHOWN {
        if bytes_of(status) <= max {
            break;
        }
        for cluster in &mut status.placement_statuses {
            cluster.failed_placements.truncate(shown);
        }
    }
    let shown = count(status);
    if shown < all {
        notes.push(format!("{shown} of {all} failed placements are shown"));
    }
}

fn leave_out_messages(status: &mut PlacementStatus, max: usize, notes: &mut Vec<String>) {
    let holds = Status::True.as_str();
    for (only_of, note) in [
        (Some(holds), "clusters tell only what is not as it should be"),
        (None, "clusters tell no details"),
    ] {
        if bytes_of(status) <= max {
            return;
        }
        let clusters = status.placement_statuses.iter_mut();
        for condition in clusters.flat_map(|cluster| &mut cluster.conditions) {
            if only_of.is_none_or(|only| condition.status == only) {
                condition.message.clear();
            }
        }
        if only_of.is_none() {
            notes.pop();
        }
        notes.push(note.to_owned());
    }
}

/// Divides the room between the clusters and the selected objects.
fn shorten_lists(status: &mut PlacementStatus, max: usize, notes: &mut Vec<String>) {
    if bytes_of(status) <= max {
        return;
    }
    let clusters = std::mem::take(&mut status.placement_statuses);
    let selected = std::mem::take(&mut status.selected_resources);
    let room = max.saturating_sub(bytes_of(status));
    let wanted: usize = selected.iter().map(entry_bytes).sum();
    let for_clusters = room.saturating_sub(wanted).max(room / 4 * CLUSTERS_QUARTERS);
    let (all_clusters, all_selected) = (clusters.len(), selected.len());

    status.placement_statuses = those_that_fit(clusters, for_clusters);
    let taken: usize = status.placement_statuses.iter().map(entry_bytes).sum();
    status.selected_resources = selected;
    keep(&mut status.selected_resources, room.saturating_sub(taken));

    let shown = status.selected_resources.len();
    if shown < all_selected {
        notes.push(format!("{shown} of {all_selected} selected resources are shown"));
    }
    let shown = status.placement_statuses.len();
    if shown < all_clusters {
        notes.push(format!("{shown} of {all_clusters} clusters are shown"));
    }
}

/// The clusters that fit, in their order; those that are well are left out first.
fn those_that_fit(
    clusters: Vec<PerClusterPlacementStatus>,
    bytes: usize,
) -> Vec<PerClusterPlacementStatus> {
    let mut numbered: Vec<_> = clusters.into_iter().enumerate().collect();
    numbered.sort_by_key(|(number, cluster)| (is_well(cluster), *number));
    let mut left = bytes;
    numbered.retain(|(_, cluster)| fits(cluster, &mut left));
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, cluster)| cluster).collect()
}

fn is_well(cluster: &PerClusterPlacementStatus) -> bool {
    cluster.conditions.iter().all(|condition| condition.status == Status::True.as_str())
}

fn keep<T: Serialize>(list: &mut Vec<T>, bytes: usize) {
    let mut left = bytes;
    list.retain(|entry| fits(entry, &mut left));
}

/// Whether an entry fits into what is left. The first one that does not ends the list.
fn fits(entry: &impl Serialize, left: &mut usize) -> bool {
    match left.checked_sub(entry_bytes(entry)) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => {
            *left = 0;
            false
        }
    }
}

/// What an entry of a list takes, its comma included.
fn entry_bytes(entry: &impl Serialize) -> usize {
    bytes_of(entry) + 1
}

/// How many bytes of JSON a value has.
pub(super) fn bytes_of(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("a status is plain data");
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The beginning of a text, marked when something is left out.
pub(super) fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
