//! Where the demo keeps its log and its clusters: in a directory of the user's, or until it ends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use simulator::Journal;
use tempfile::TempDir;

use super::DemoOptions;
use super::fleet::HUB;
use crate::usage::Usage;

/// How many members a fleet has when nobody says.
const MEMBERS_DEFAULT: u16 = 12;

/// The demo's directory.
pub(super) struct Data {
    pub(super) dir: PathBuf,
    /// What keeps the clusters; `None` where they are thrown away.
    pub(super) journal: Option<Journal>,
    /// How many members the fleet is to have.
    pub(super) members: u16,
    /// Whether there is a log from an earlier run.
    pub(super) has_log: bool,
    _thrown_away: Option<TempDir>,
}

impl Data {
    pub(super) fn open(options: &DemoOptions) -> Result<Self> {
        match &options.data {
            Some(dir) => Self::kept(dir, options.clusters),
            None => Self::thrown_away(options.clusters),
        }
    }

    fn thrown_away(clusters: Option<u16>) -> Result<Self> {
        let dir = tempfile::tempdir().context("no temporary directory can be made")?;
        Ok(Self {
            dir: dir.path().to_owned(),
            journal: None,
            members: clusters.unwrap_or(MEMBERS_DEFAULT),
            has_log: false,
            _thrown_away: Some(dir),
        })
    }

    fn kept(dir: &Path, clusters: Option<u16>) -> Result<Self> {
        let dir = std::path::absolute(dir).context("the current directory is gone")?;
        let shown = dir.display();
        crate::private::make_folder(&dir)
            .with_context(|| format!("the directory {shown} cannot be made"))?;
        let (log, clusters_file) = (dir.join("log.redb"), dir.join("clusters.jsonl"));
        let has_log = log.exists();
        if has_log && !clusters_file.exists() {
            let what = format!("{shown} holds a log, but not the clusters that it is about");
            return Err(Usage::new(what, "name another directory with --data").into());
        }
        let journal = Journal::open(clusters_file)?;
        let members = members(&shown.to_string(), &journal, clusters)?;
        Ok(Self { dir, journal: Some(journal), members, has_log, _thrown_away: None })
    }
}

/// As many members as were asked for, or as there were. None is forgotten for want of a number.
fn members(dir: &str, journal: &Journal, clusters: Option<u16>) -> Result<u16> {
    let kept = journal.cluster_names().iter().filter(|name| *name != HUB).count();
    let kept = u16::try_from(kept).context("there are too many clusters in the journal")?;
    match clusters {
        Some(clusters) if clusters < kept => {
            let what = format!("{dir} holds a fleet of {kept} members, more than {clusters}");
            let how = "leave --clusters away; a member leaves with: taffrail leave NAME";
            Err(Usage::new(what, how).into())
        }
        Some(clusters) => Ok(clusters),
        None if kept > 0 => Ok(kept),
        None => Ok(MEMBERS_DEFAULT),
    }
}
