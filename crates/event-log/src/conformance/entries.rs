//! Cases about entries: appending, reading, ends, sizes, restarts.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use events::Partition;
use futures::FutureExt;

use super::owner::next;
use super::{PARTITION, Subject, pipelined};
use crate::{ENTRY_BYTES_MAX, Failure, Log, LogError, Reader, Stream};

const EVENTS: Stream = Stream::Events(PARTITION);
const COMMANDS: Stream = Stream::Commands(PARTITION);

/// More entries than any backend keeps at hand for a reader that lags, so that it has to go and
/// fetch some.
const MANY: usize = 768;

fn entry(number: usize) -> Bytes {
    Bytes::from(format!("entry {number}"))
}

async fn append(log: &Arc<dyn Log>, stream: Stream, bytes: Bytes) -> u64 {
    log.append(stream, bytes).await.expect("an entry is taken")
}

async fn append_all(log: &Arc<dyn Log>, numbers: std::ops::Range<usize>) -> Vec<u64> {
    let appends = numbers.map(|n| log.append(EVENTS, entry(n))).collect();
    let offsets: Result<_, _> = pipelined(appends).await.into_iter().collect();
    offsets.expect("entries are taken")
}

async fn read(log: &Arc<dyn Log>, stream: Stream, from: u64) -> Reader {
    log.read(stream, from).await.expect("a reader")
}

pub(crate) async fn an_appended_entry_is_read_back(subject: Subject) {
    let log = subject.open().await;
    let mut reader = read(&log, EVENTS, 0).await;
    assert!(reader.try_next().is_none(), "a fresh log is empty");

    let offset = append(&log, EVENTS, entry(0)).await;
    let record = next(&mut reader).await;
    assert_eq!((record.offset, record.bytes), (offset, entry(0)));
}

pub(crate) async fn appends_in_flight_keep_their_order(subject: Subject) {
    let log = subject.open().await;
    let offsets = append_all(&log, 0..500).await;
    assert!(offsets.is_sorted_by(|a, b| a < b), "offsets rise in the order of the appends");

    let mut reader = read(&log, EVENTS, 0).await;
    for (n, offset) in offsets.into_iter().enumerate() {
        let record = next(&mut reader).await;
        assert_eq!((record.offset, record.bytes), (offset, entry(n)));
    }
}

pub(crate) async fn reading_starts_at_an_offset_and_goes_on_live(subject: Subject) {
    let log = subject.open().await;
    let offsets = append_all(&log, 0..5).await;

    // From an entry, and from the place after one: the next entry, wherever it stands.
    let mut at = read(&log, EVENTS, offsets[2]).await;
    let mut after = read(&log, EVENTS, offsets[2] + 1).await;
    assert_eq!(next(&mut at).await.bytes, entry(2));
    for n in 3..5 {
        assert_eq!(next(&mut at).await.bytes, entry(n));
        assert_eq!(next(&mut after).await.bytes, entry(n));
    }

    let live = append(&log, EVENTS, entry(5)).await;
    for reader in [&mut at, &mut after] {
        let record = next(reader).await;
        assert_eq!((record.offset, record.bytes), (live, entry(5)));
    }
}

pub(crate) async fn a_reader_that_waits_is_woken(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut reader = read(&other, EVENTS, 0).await;
    for n in 0..20 {
        let (record, offset) = futures::join!(next(&mut reader), append(&log, EVENTS, entry(n)));
        assert_eq!((record.offset, record.bytes), (offset, entry(n)));
    }
}

pub(crate) async fn a_reader_that_is_not_waited_for_loses_nothing(subject: Subject) {
    let log = subject.open().await;
    let mut reader = read(&log, EVENTS, 0).await;
    append_all(&log, 0..MANY).await;
    let mut seen = Vec::new();
    while seen.len() < MANY {
        // The future is dropped wherever it stands.
        if let Some(record) = reader.next().now_or_never() {
            seen.push(record.expect("an open log").expect("a readable log").bytes);
        } else {
            seen.push(next(&mut reader).await.bytes);
        }
    }
    assert!(seen.into_iter().eq((0..MANY).map(entry)));
}

pub(crate) async fn the_end_covers_what_was_there(subject: Subject) {
    let log = subject.open().await;
    let mut last = None;
    for n in 0..3 {
        let end = log.end(EVENTS).await.expect("an end");
        assert!(last.is_none_or(|last| last < end), "what was acknowledged stands before the end");
        let mut reader = read(&log, EVENTS, end).await;

        let offset = append(&log, EVENTS, entry(n)).await;
        assert!(end <= offset, "the end is no later than the next entry");
        assert_eq!(next(&mut reader).await.bytes, entry(n), "and is where reading goes on");
        last = Some(offset);
    }
}

pub(crate) async fn streams_do_not_mix(subject: Subject) {
    let log = subject.open().await;
    let streams = [
        Stream::Events(Partition(0)),
        Stream::Events(PARTITION),
        Stream::Commands(Partition(0)),
        Stream::Commands(PARTITION),
        Stream::Membership,
    ];
    for round in 0..2 {
        for (n, stream) in streams.into_iter().enumerate() {
            append(&log, stream, entry(10 * round + n)).await;
        }
    }
    for (n, stream) in streams.into_iter().enumerate() {
        let mut reader = read(&log, stream, 0).await;
        for round in 0..2 {
            assert_eq!(next(&mut reader).await.bytes, entry(10 * round + n), "{stream:?}");
        }
    }
}

pub(crate) async fn several_readers_see_the_same(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut early = read(&other, EVENTS, 0).await;

    // Two writers at once: whatever the order is, it is one order.
    let appends = (0..100).map(|n| if n % 2 == 0 { &log } else { &other }.append(EVENTS, entry(n)));
    for answer in pipelined(appends.collect()).await {
        answer.expect("an entry is taken");
    }
    let mut late = read(&log, EVENTS, 0).await;
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let record = next(&mut early).await;
        assert_eq!(record, next(&mut late).await);
        seen.insert(record.bytes);
    }
    assert_eq!(seen.len(), 100, "nothing is lost or doubled");
}

pub(crate) async fn a_reader_that_does_not_read_holds_nothing_up(subject: Subject) {
    let log = subject.open().await;
    let mut idle = read(&log, EVENTS, 0).await;
    let mut busy = read(&log, EVENTS, 0).await;
    append_all(&log, 0..MANY).await;
    for reader in [&mut busy, &mut idle] {
        for n in 0..MANY {
            assert_eq!(next(reader).await.bytes, entry(n));
        }
    }
}

pub(crate) async fn the_largest_entry_is_taken_and_a_larger_one_refused(subject: Subject) {
    let log = subject.open().await;
    let largest = Bytes::from(vec![b'x'; ENTRY_BYTES_MAX]);
    for _ in 0..3 {
        append(&log, EVENTS, largest.clone()).await;
    }
    let error = log.append(EVENTS, vec![b'x'; ENTRY_BYTES_MAX + 1].into()).await;
    let error = error.expect_err("an entry beyond the bound is refused");
    assert!(matches!(error, LogError::TooLarge { max: ENTRY_BYTES_MAX, .. }), "{error:?}");
    assert_eq!(error.failure(), Failure::Determinate);
    append(&log, EVENTS, entry(1)).await;

    let mut reader = read(&log, EVENTS, 0).await;
    for _ in 0..3 {
        assert!(next(&mut reader).await.bytes == largest, "a large entry comes back as it was");
    }
    assert_eq!(next(&mut reader).await.bytes, entry(1), "nothing was written of the refused one");
}

pub(crate) async fn everything_is_there_after_a_restart(subject: Subject) {
    let log = subject.open().await;
    let offsets = append_all(&log, 0..10).await;
    append(&log, COMMANDS, entry(10)).await;
    append(&log, Stream::Membership, entry(11)).await;

    let log = subject.reopen(log).await;
    let offset = append(&log, EVENTS, entry(12)).await;
    assert!(offset > offsets[9], "offsets go on rising");
    let mut reader = read(&log, EVENTS, 0).await;
    for (n, offset) in offsets.into_iter().enumerate() {
        let record = next(&mut reader).await;
        assert_eq!((record.offset, record.bytes), (offset, entry(n)));
    }
    assert_eq!(next(&mut reader).await.bytes, entry(12));
    assert_eq!(next(&mut read(&log, COMMANDS, 0).await).await.bytes, entry(10));
    assert_eq!(next(&mut read(&log, Stream::Membership, 0).await).await.bytes, entry(11));
}

/// Nothing is deduplicated: that a command is decided once is for its reader to see to.
pub(crate) async fn equal_entries_are_two_entries(subject: Subject) {
    let log = subject.open().await;
    let mut offsets = Vec::new();
    for _ in 0..2 {
        offsets.push(append(&log, COMMANDS, entry(0)).await);
    }
    assert_ne!(offsets[0], offsets[1]);
    let mut reader = read(&log, COMMANDS, 0).await;
    for offset in offsets {
        let record = next(&mut reader).await;
        assert_eq!((record.offset, record.bytes), (offset, entry(0)));
    }
}
