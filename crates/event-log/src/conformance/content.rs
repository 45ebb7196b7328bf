//! Cases about the content store.

use bytes::Bytes;
use events::ContentHash;
use futures::FutureExt;

use super::{Subject, pipelined};
use crate::{CONTENT_BYTES_MAX, Failure, LogError};

/// Bytes that do not compress and differ from seed to seed.
fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise.into()
}

pub(crate) async fn bytes_are_found_by_their_hash(subject: Subject) {
    let log = subject.open().await;
    let unknown = ContentHash::of(b"never stored");
    assert_eq!(log.get(unknown).await.expect("an answer"), None);

    for bytes in [Bytes::new(), Bytes::from_static(b"kind: ConfigMap"), noise(1, 70_000)] {
        let hash = log.put(bytes.clone()).await.expect("content is taken");
        assert_eq!(hash, ContentHash::of(&bytes));
        assert_eq!(log.get(hash).await.expect("an answer"), Some(bytes));
    }
    assert_eq!(log.get(unknown).await.expect("an answer"), None);
}

pub(crate) async fn putting_again_changes_nothing(subject: Subject) {
    let log = subject.open().await;
    let bytes = noise(2, 10_000);
    let puts = (0..10).map(|_| log.put(bytes.clone()).boxed()).collect();
    for answer in pipelined(puts).await {
        assert_eq!(answer.expect("content is taken"), ContentHash::of(&bytes));
    }
    let again = log.put(bytes.clone()).await.expect("content is taken");
    assert_eq!(log.get(again).await.expect("an answer"), Some(bytes));
}

pub(crate) async fn large_content_is_taken_and_larger_refused(subject: Subject) {
    let log = subject.open().await;
    for (seed, size) in [(3, 899_999), (4, 1_000_001), (5, 5_000_000), (6, CONTENT_BYTES_MAX)] {
        let bytes = noise(seed, size);
        let hash = log.put(bytes.clone()).await.expect("content is taken");
        let found = log.get(hash).await.expect("an answer");
        assert!(found.as_ref() == Some(&bytes), "{size} bytes come back as they were");
    }

    let too_large = noise(7, CONTENT_BYTES_MAX + 1);
    let error = log.put(too_large.clone()).await.expect_err("more than the bound is refused");
    assert!(matches!(error, LogError::TooLarge { max: CONTENT_BYTES_MAX, .. }), "{error:?}");
    assert_eq!(error.failure(), Failure::Determinate);
    assert_eq!(log.get(ContentHash::of(&too_large)).await.expect("an answer"), None);
}

pub(crate) async fn content_is_there_after_a_restart(subject: Subject) {
    let log = subject.open().await;
    let small = noise(8, 100);
    let large = noise(9, 5_000_000);
    for bytes in [&small, &large] {
        log.put(bytes.clone()).await.expect("content is taken");
    }
    let log = subject.reopen(log).await;
    for bytes in [small, large] {
        let found = log.get(ContentHash::of(&bytes)).await.expect("an answer");
        assert!(found == Some(bytes), "content is there after a restart");
    }
}
