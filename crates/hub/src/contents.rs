//! Manifests in the log's content store.
//!
//! Content that is missing there, or is not what was stored, is noticed when it is read, noted where
//! people look, and stored again as soon as the hub's objects give the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use actors::concerns::{Concerns, Gravity};
use bytes::Bytes;
use domain::placement::RevisionInput;
use domain::selection::{HubObject, canonical_json};
use event_log::{Log, LogError};
use events::{ContentHash, ManifestRef};
use futures::{StreamExt, TryStreamExt};
use moka::sync::Cache;
use serde_json::Value;
use tokio::sync::watch;

use crate::seal::{SealError, SealKey};

/// How many bytes of content are kept in memory. The manifests of some thousand placements; twice
/// as many would only help after a restart of everything at once.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many manifests of one placement are stored at once.
const PUTS_AT_ONCE_MAX: usize = 32;

/// Why content could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The log did not do it.
    #[error("the content store does not answer")]
    Log(#[from] LogError),
    /// It should be there and is not.
    #[error("content {hash} is missing in the log")]
    Missing {
        /// Which.
        hash: ContentHash,
    },
    /// It is there, and is not what was stored.
    #[error("content {hash} is not what was stored in the log")]
    Changed {
        /// Which.
        hash: ContentHash,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is not what it should be.
    #[error("content {hash} is damaged")]
    Damaged {
        /// Which.
        hash: ContentHash,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ContentError {
    /// What is wrong with the content itself, in words; `None` when it may be read later.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        match self {
            Self::Log(LogError::Corrupt { what }) => Some(what.clone()),
            Self::Missing { .. } | Self::Changed { .. } | Self::Damaged { .. } => {
                Some(self.to_string())
            }
            Self::Log(_) | Self::Seal(_) => None,
        }
    }
}

/// A revision that may not be stored yet.
pub struct DraftRevision {
    /// What it is called.
    pub revision: RevisionInput,
    /// The manifests, and their list at the end.
    contents: Vec<(ContentHash, Bytes)>,
}

/// The content store, with Secrets sealed on the way in and opened on the way out. Cheap to clone.
#[derive(Clone)]
pub struct Contents {
    log: Arc<dyn Log>,
    key: SealKey,
    cache: Cache<ContentHash, Bytes>,
    /// Content that could not be used when it was read, and why: as much as there is of it.
    damaged: watch::Sender<BTreeMap<ContentHash, String>>,
}

/// The concern about content.
const CHECK: &str = "content";

impl Contents {
    /// The contents of a log.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, key: SealKey) -> Self {
        let weigh = |_: &ContentHash, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(CACHE_BYTES_MAX).weigher(weigh).build();
        Self { log, key, cache, damaged: watch::Sender::new(BTreeMap::new()) }
    }

    /// Tells what content could not be used.
    pub(crate) fn damages(&self) -> watch::Receiver<BTreeMap<ContentHash, String>> {
        self.damaged.subscribe()
    }

    /// Notes what content cannot be used, where people look. For ever.
    pub(crate) async fn note(self, concerns: Concerns) {
        let mut damaged = self.damages();
        let mut noted: BTreeMap<ContentHash, String> = BTreeMap::new();
        loop {
            let now = damaged.borrow_and_update().clone();
            for hash in noted.keys().filter(|hash| !now.contains_key(*hash)) {
                concerns.settle(CHECK, &hash.to_string());
            }
            for (hash, what) in &now {
                let message = format!(
                    "{what}; it is stored again when the hub still has an object with these bytes; \
                     otherwise restore the log, or change the objects that it belongs to"
                );
                concerns.set(CHECK, &hash.to_string(), Gravity::Warning, Some(message));
            }
            noted = now;
            if damaged.changed().await.is_err() {
                return;
            }
        }
    }

    /// Stores again what of a revision was found to be damaged.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn mend(&self, draft: &DraftRevision) -> Result<(), ContentError> {
        for (hash, bytes) in &draft.contents {
            if self.damaged.borrow().contains_key(hash) {
                self.log.mend(bytes.clone()).await?;
                tracing::warn!(%hash, "content of the log that was damaged is stored again");
                self.cache.insert(*hash, bytes.clone());
                self.damaged.send_if_modified(|damaged| damaged.remove(hash).is_some());
            }
        }
        Ok(())
    }

    /// What a placement selects, as it would be stored.
    #[must_use]
    pub fn draft(&self, objects: &[Arc<HubObject>]) -> DraftRevision {
        let mut manifests = Vec::with_capacity(objects.len());
        let mut contents = Vec::with_capacity(objects.len() + 1);
        for object in objects {
            let sealed = object.id.group.is_empty() && object.id.kind == "Secret";
            let bytes = match sealed {
                true => self.key.seal(&object.manifest),
                false => object.manifest.clone(),
            };
            let content = ContentHash::of(&bytes);
            manifests.push(ManifestRef { object: object.id.clone(), content, sealed });
            contents.push((content, Bytes::from(bytes)));
        }
        let list = serde_json::to_value(&manifests).expect("references are plain data");
        let list = Bytes::from(canonical_json(&list));
        let manifests = ContentHash::of(&list);
        contents.push((manifests, list));
        let objects = u32::try_from(objects.len()).expect("selection is bounded");
        DraftRevision { revision: RevisionInput { manifests, objects }, contents }
    }

    /// Stores a revision: every manifest, then their list. Durable when it answers.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn put_revision(&self, draft: DraftRevision) -> Result<RevisionInput, ContentError> {
        let DraftRevision { revision, mut contents } = draft;
        let list = contents.pop();
        let puts = contents.into_iter().map(|(hash, bytes)| self.put(hash, bytes));
        futures::stream::iter(puts).buffer_unordered(PUTS_AT_ONCE_MAX).try_collect::<()>().await?;
        if let Some((hash, bytes)) = list {
            self.put(hash, bytes).await?;
        }
        Ok(revision)
    }

    /// What was stored or read before is in the log for ever: it needs no second write.
    async fn put(&self, hash: ContentHash, bytes: Bytes) -> Result<(), ContentError> {
        if !self.cache.contains_key(&hash) {
            self.log.put(bytes.clone()).await?;
            self.cache.insert(hash, bytes);
        }
        Ok(())
    }

    /// The list of manifests of a revision.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn revision(&self, list: ContentHash) -> Result<Vec<ManifestRef>, ContentError> {
        let bytes = self.get(list).await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ContentError::Damaged { hash: list, source })
    }

    /// One manifest, opened if it is sealed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn manifest(&self, reference: &ManifestRef) -> Result<Value, ContentError> {
        let hash = reference.content;
        let stored = self.get(hash).await?;
        let read = match reference.sealed {
            true => serde_json::from_slice(&self.key.open(&stored)?),
            false => serde_json::from_slice(&stored),
        };
        read.map_err(|source| ContentError::Damaged { hash, source })
    }

    async fn get(&self, hash: ContentHash) -> Result<Bytes, ContentError> {
        if let Some(bytes) = self.cache.get(&hash) {
            return Ok(bytes);
        }
        let read = match self.log.get(hash).await {
            Ok(Some(bytes)) if ContentHash::of(&bytes) == hash => Ok(bytes),
            Ok(Some(_)) => Err(ContentError::Changed { hash }),
            Ok(None) => Err(ContentError::Missing { hash }),
            Err(error) => Err(error.into()),
        };
        match &read {
            Ok(bytes) => self.cache.insert(hash, bytes.clone()),
            Err(error) => {
                if let Some(what) = error.damage() {
                    let note = |all: &mut BTreeMap<_, _>| all.insert(hash, what).is_none();
                    self.damaged.send_if_modified(note);
                }
            }
        }
        read
    }
}
