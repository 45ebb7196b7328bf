//! From the lines of a journal to the last state of every object, and back to as few lines.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use bytes::Bytes;

use super::JournalError;
use super::line::{Change, HEADER, Line, put};
use crate::REQUEST_BYTES_MAX;
use crate::store::Kept;

/// Longer lines are no objects: a stored object can outgrow the request that wrote it, by
/// defaults and managed fields, but not by this much.
const LINE_BYTES_MAX: u64 = 8 * REQUEST_BYTES_MAX as u64;

/// What a journal holds, by the name of the cluster.
pub(super) type Clusters = BTreeMap<String, Kept>;

/// Reads the journal; one that is not there, or empty, holds nothing. A last line that has no
/// end was not written whole, so nobody was told that it happened: it is dropped.
pub(super) fn fold(path: &Path) -> Result<Clusters, JournalError> {
    let unreadable = |source| JournalError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Clusters::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut file = BufReader::new(file);
    let mut clusters = Clusters::new();
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let length = read.map_err(unreadable)? as u64;
        let is_whole = text.pop_if(|last| *last == b'\n').is_some();
        if number == 1 && length > 0 && text != HEADER.as_bytes() {
            return Err(JournalError::Foreign { path: path.to_owned() });
        }
        if !is_whole && length < LINE_BYTES_MAX {
            break;
        }
        if number > 1 {
            let line = serde_json::from_slice(&text).map_err(|source| JournalError::Damaged {
                path: path.to_owned(),
                line: number,
                source,
            })?;
            fold_line(&mut clusters, &line);
        }
    }
    Ok(clusters)
}

fn fold_line(clusters: &mut Clusters, line: &Line<'_>) {
    if matches!(line.change, Change::Left) {
        clusters.remove(&*line.cluster);
        return;
    }
    let kept = clusters.entry(line.cluster.to_string()).or_default();
    kept.revision = kept.revision.max(line.revision);
    match &line.change {
        Change::Put { key, object } => {
            let body = Bytes::copy_from_slice(object.get().as_bytes());
            kept.objects.insert(key.to_object_key(), body);
        }
        Change::Removed { key } => {
            kept.objects.remove(&key.to_object_key());
        }
        Change::Moved | Change::Left => {}
    }
}

/// Writes a journal with one line for each object. Returns the file, at its end.
pub(super) fn write(path: &Path, clusters: &Clusters) -> io::Result<File> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(HEADER.as_bytes())?;
    file.write_all(b"\n")?;
    let mut text = Vec::new();
    for (cluster, Kept { revision, objects }) in clusters {
        let mut push = |change| {
            text.clear();
            let cluster = Cow::Borrowed(cluster.as_str());
            Line { cluster, revision: *revision, change }.write_to(&mut text);
            file.write_all(&text)
        };
        push(Change::Moved)?;
        for (key, body) in objects {
            push(put(key, body))?;
        }
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}
