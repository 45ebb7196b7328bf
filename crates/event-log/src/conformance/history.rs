//! Cases about the history of a partition: which records count, and that every reader comes to the
//! same history, now and ever after.

use bytes::Bytes;
use events::{ChainHash, Epoch, Partition, Sequence};
use uuid::Uuid;

use super::owner::{Owner, is_corrupt, next, observe};
use super::ownership::story;
use super::{Chain, PARTITION, Subject, chain};
use crate::{Acceptor, Rejection, Stream};

const EVENTS: Stream = Stream::Events(PARTITION);

/// Appends `bytes` to a partition of a fresh log in which two frames stand, and checks why they do
/// not count, and that the owner goes on as if they were not there.
async fn is_rejected(subject: Subject, bytes: impl FnOnce(Chain) -> Bytes, expected: Rejection) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    assert!(a.commit("one", 1).await && a.commit("two", 1).await);

    let offset = a.append(bytes(a.chain)).await.expect("the log takes anything");
    a.read_to(offset).await;
    assert_eq!(a.rejected, [(offset, expected)]);
    assert!(a.commit("three", 1).await);
    assert_eq!(story(&a.accepted), ["claim 1 by a", "one", "two", "three"]);
}

pub(crate) async fn a_gap_is_rejected(subject: Subject) {
    let skip_one = |chain: Chain| Chain { next: chain.next.plus(1), ..chain }.frame("gap", 1);
    let why = Rejection::NotNext { found: Sequence(5), next: Sequence(4) };
    is_rejected(subject, skip_one, why).await;
}

pub(crate) async fn another_history_is_rejected(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let found = ChainHash::default().then(b"another history");
    let bytes = Chain { hash: found, ..a.chain }.frame("on another history", 1);
    let offset = a.append(bytes).await.expect("the log takes anything");
    a.read_to(offset).await;
    let why = Rejection::OtherHistory { found, current: a.acceptor.hash };
    assert_eq!(a.rejected, [(offset, why)]);
    assert!(a.commit("one", 1).await);
}

pub(crate) async fn an_old_epoch_is_rejected(subject: Subject) {
    let old = |chain: Chain| Chain { epoch: Epoch(0), ..chain }.frame("old", 1);
    let why = Rejection::OtherEpoch { found: Epoch(0), current: Epoch(1) };
    is_rejected(subject, old, why).await;
}

pub(crate) async fn nothing_counts_before_the_first_claim(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::new(&log, PARTITION, "a").await;
    let offset = a.write("nobody asked", 1).await;
    a.read_to(offset).await;
    assert_eq!(a.rejected, [(offset, Rejection::Unclaimed)]);
    assert!(a.claim().await && a.commit("one", 1).await);
    assert_eq!(story(&a.accepted), ["claim 1 by a", "one"]);
}

pub(crate) async fn a_frame_that_is_stored_twice_counts_once(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let frame = a.chain.frame("once", 2);
    a.append(frame.clone()).await.expect("a frame is taken");
    let again = a.append(frame).await.expect("the log takes anything");
    a.read_to(again).await;
    assert_eq!(story(&a.accepted), ["claim 1 by a", "once"]);
    assert!(matches!(a.rejected[..], [(offset, Rejection::NotNext { .. })] if offset == again));
}

pub(crate) async fn what_is_no_record_is_skipped(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let mut next = a.chain;
    let mut not_text = next.frame("not text", 1).to_vec();
    let place = not_text.windows(8).position(|some| some == b"not text").expect("what it says");
    not_text[place] = 0xff;
    let junk = [
        &b"junk"[..],
        b"{}",
        b"{\"frame\":",
        b"{\"frame\":1}",
        b"{\"frame\":{\"epoch\":1}}",
        b"{\"claim\":{}}",
        b"{\"genesis\":1}",
        &[0xff, 0x00],
        &not_text,
    ];
    for junk in junk {
        let offset = a.append(Bytes::copy_from_slice(junk)).await.expect("the log takes anything");
        a.read_to(offset).await;
        let (_, why) = a.rejected.last().expect("it does not count");
        assert!(matches!(why, Rejection::NoRecord { .. }) && !why.stops_the_reader(), "{why}");
    }
    assert!(a.commit("one", 1).await);
}

/// A node of a newer version that does not know that its time is over stops nobody.
pub(crate) async fn what_does_not_count_need_not_be_readable(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    assert!(a.commit("one", 1).await);
    let stale = a.chain.frame("stale", 1);
    let mut b = a.successor(&log, "b").await;
    assert!(b.commit("two", 1).await);

    let gap = Chain { next: b.chain.next.plus(1), ..b.chain }.frame("gap", 1);
    let again = chain::claim(b.chain.epoch, "c", Uuid::nil());
    for bytes in [of_a_newer_version(&stale), of_a_newer_version(&gap), without_a_node(&again)] {
        let offset = b.append(bytes).await.expect("the log takes anything");
        b.read_to(offset).await;
    }
    let why: Vec<_> = b.rejected.into_iter().map(|(_, why)| why).collect();
    let epochs = (Epoch(1), Epoch(2));
    let expected = [
        Rejection::OtherEpoch { found: epochs.0, current: epochs.1 },
        Rejection::NotNext { found: b.acceptor.last.plus(2), next: b.acceptor.last.plus(1) },
        Rejection::LostClaim { found: epochs.1, next: epochs.1.next() },
    ];
    assert_eq!(why, expected);
}

/// What counts must not be skipped: a reader of the version that wrote it has accepted it.
pub(crate) async fn what_counts_and_cannot_be_read_stops_the_reader(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    assert!(a.commit("one", 1).await);
    let before = a.acceptor;
    let frame = of_a_newer_version(&a.chain.frame("two", 1));
    let claim = without_a_node(&chain::claim(before.epoch.next(), "b", Uuid::nil()));
    for bytes in [frame, claim] {
        let offset = a.append(bytes).await.expect("the log takes anything");
        a.read_to(offset).await;
        let (_, why) = a.rejected.last().expect("it cannot be read");
        assert!(matches!(why, Rejection::Undecodable { .. }) && why.stops_the_reader(), "{why}");
        assert_eq!(a.acceptor, before);
    }
}

/// The frame as a newer version would write it: its events are of a type that is not known here.
fn of_a_newer_version(frame: &Bytes) -> Bytes {
    replaced(frame, "ClusterHealthLost", "ClusterHealthPondered")
}

/// The claim of a version that names the claiming node otherwise.
fn without_a_node(claim: &Bytes) -> Bytes {
    replaced(claim, "\"node\"", "\"member\"")
}

fn replaced(record: &Bytes, from: &str, to: &str) -> Bytes {
    let text = std::str::from_utf8(record).expect("a record is text");
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into()
}

pub(crate) async fn a_genesis_counts_as_the_first_record_only(subject: Subject) {
    let log = subject.open().await;
    let first = Stream::Events(Partition(0));
    for deployment in [1, 2] {
        let genesis = chain::genesis(Uuid::from_u128(deployment), 32);
        log.append(first, genesis).await.expect("a record is taken");
    }
    let mut a = Owner::claimed(&log, Partition(0), "a").await;
    assert!(a.commit("one", 1).await);
    assert_eq!(story(&a.accepted), ["genesis", "claim 1 by a", "one"]);
    assert!(matches!(a.rejected[..], [(_, Rejection::SecondGenesis)]));
}

/// A partition with claims, zombies, duplicates and junk; gives its last offset and what the last
/// owner made of it.
async fn eventful(subject: &Subject) -> (std::sync::Arc<dyn crate::Log>, u64, Owner) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    assert!(a.commit("a", 3).await);
    let stale = a.chain.frame("stale", 1);
    let mut b = a.successor(&log, "b").await;
    assert!(b.commit("b", 2).await);
    for bytes in [stale.clone(), Bytes::from_static(b"junk"), stale] {
        a.append(bytes).await.expect("the log takes anything");
    }
    assert!(b.commit("b again", 1).await);
    let mut c = Owner::claimed(&log, PARTITION, "c").await;
    for n in 0..10 {
        assert!(c.commit(&format!("c {n}"), n).await);
    }
    let end = c.accepted.last().expect("c's last frame").offset;
    (log, end, c)
}

pub(crate) async fn reading_again_gives_the_same_history(subject: Subject) {
    let (log, end, owner) = eventful(&subject).await;
    for _ in 0..3 {
        let (observer, accepted) = observe(&*log, PARTITION, end).await;
        assert_eq!(observer, owner.acceptor);
        assert_eq!(accepted, owner.accepted);
    }
    let (live, accepted) = (owner.acceptor, owner.accepted.clone());
    drop(owner);

    let log = subject.reopen(log).await;
    assert_eq!(observe(&*log, PARTITION, end).await, (live, accepted), "also after a restart");
}

pub(crate) async fn reading_goes_on_from_what_was_accepted(subject: Subject) {
    let (log, end, owner) = eventful(&subject).await;
    let full = owner.accepted.clone();
    for stop in 0..full.len() {
        // A reader that stopped here stored its acceptor, and goes on with it later.
        let (stored, mut accepted) = observe(&*log, PARTITION, full[stop].offset).await;
        let mut resumed = stored;
        let mut reader = log.read(EVENTS, stored.resume_from()).await.expect("a reader");
        let first = next(&mut reader).await;
        assert!(resumed.recognises(first.offset, &first.bytes), "it is still the same log");
        while accepted.last().is_none_or(|last| last.offset < end) {
            let record = next(&mut reader).await;
            accepted.extend(resumed.offer(record.offset, &record.bytes));
        }
        assert_eq!((resumed, &accepted), (owner.acceptor, &full), "stopped after {stop}");
    }
}

/// The log was lost and somebody began another one, or restored an old copy and wrote on: whoever
/// knows the former history must not take the new one for its continuation.
pub(crate) async fn another_log_is_noticed(subject: Subject) {
    let (_, _, owner) = eventful(&subject).await;
    let known: Acceptor = owner.acceptor;

    let other = subject.open_other().await;
    let mut stranger = Owner::claimed(&other, PARTITION, "stranger").await;
    while stranger.accepted.last().is_none_or(|last| last.offset <= known.resume_from()) {
        assert!(stranger.commit("on another log", 1).await);
    }
    let mut reader = other.read(EVENTS, known.resume_from()).await.expect("a reader");
    let first = next(&mut reader).await;
    assert!(!known.recognises(first.offset, &first.bytes));
}

/// As above, but what there is now is shorter than what was known: nobody waits until it is as long.
pub(crate) async fn a_log_that_went_backwards_is_noticed(subject: Subject) {
    let (_, _, owner) = eventful(&subject).await;
    let known: Acceptor = owner.acceptor;

    let other = subject.open_other().await;
    let mut stranger = Owner::claimed(&other, PARTITION, "stranger").await;
    let end = other.end(EVENTS).await.expect("an end");
    assert!(end < known.resume_from(), "it is shorter");
    let mut reader = other.read(EVENTS, known.resume_from()).await.expect("a reader");
    let what = is_corrupt(&mut reader).await;
    let (from, end) = (format!("offset {}", known.resume_from()), format!("offset {end}"));
    assert!(what.contains("went backwards"), "{what}");
    assert!(what.contains(&from) && what.contains(&end), "{what}");
    assert!(reader.try_next().is_none(), "an error is the end of a reader");

    // It is told once, and is no harm to who reads on from where the log is.
    let mut reader = other.read(EVENTS, end_of(&stranger)).await.expect("a reader");
    assert!(stranger.commit("on the shorter log", 1).await);
    assert_eq!(next(&mut reader).await.offset, stranger.acceptor.resume_from());
}

/// The place after everything that an owner has read.
fn end_of(owner: &Owner) -> u64 {
    owner.acceptor.resume_from() + 1
}
