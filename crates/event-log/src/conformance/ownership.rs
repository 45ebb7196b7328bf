//! Cases about ownership: claims, zombies, frames in flight.
//!
//! A *zombie* is an owner that does not know that its time is over. It may write whatever it likes
//! whenever it likes; these cases check that nobody acts on it, the zombie included.

use bytes::Bytes;
use events::{Epoch, Record, Sequence};
use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::owner::{Owner, observe};
use super::{PARTITION, Subject, chain};
use crate::{Accepted, Rejection, Stream};

/// What the events of the accepted frames say, in order, and `claim N` for claims.
pub(crate) fn story(accepted: &[Accepted]) -> Vec<String> {
    let line = |accepted: &Accepted| match &accepted.record {
        Record::Genesis(_) => "genesis".to_owned(),
        Record::Claim(claim) => format!("claim {} by {}", claim.epoch, claim.node),
        Record::Frame(frame) => match frame.events.first().map(|envelope| &envelope.event) {
            Some(events::Event::Cluster(events::cluster::ClusterEvent::ClusterHealthLost(
                lost,
            ))) => lost.message.clone(),
            Some(_) | None => "something else".to_owned(),
        },
    };
    accepted.iter().map(line).collect()
}

pub(crate) async fn a_claim_starts_an_ownership(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::new(&log, PARTITION, "a").await;
    assert!(a.claim().await);
    assert_eq!((a.acceptor.epoch, a.acceptor.last), (Epoch(1), Sequence(1)));
    assert!(a.commit("first", 3).await);
    assert!(a.commit("second", 0).await, "a frame without events takes one sequence");
    assert_eq!(a.acceptor.last, Sequence(5));
    assert_eq!(story(&a.accepted), ["claim 1 by a", "first", "something else"]);
}

pub(crate) async fn of_two_claims_on_one_epoch_the_first_wins(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut a = Owner::new(&log, PARTITION, "a").await;
    let mut b = Owner::new(&other, PARTITION, "b").await;

    // Both claim epoch 1 before either has read anything.
    let (a_won, b_won) = futures::join!(a.claim(), b.claim());
    assert!(a_won != b_won, "exactly one of them wins");
    let (mut winner, mut loser) = if a_won { (a, b) } else { (b, a) };
    let lost = Rejection::LostClaim { found: Epoch(1), next: Epoch(2) };
    assert_eq!(loser.rejected.iter().map(|(_, why)| why).collect::<Vec<_>>(), [&lost]);

    // The loser knows it, and what it writes all the same does not count.
    let bytes = loser.chain.frame("by the loser", 1);
    loser.append(bytes).await.expect("the log takes anything");
    assert!(winner.commit("by the winner", 1).await);
}

pub(crate) async fn a_zombie_may_write_before_a_claim(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let mut b = Owner::new(&other, PARTITION, "b").await;

    // a's frame stands before b's claim: it counts, for b too, which builds on it.
    let offset = a.write("just in time", 2).await;
    b.read_to(offset).await;
    assert!(b.claim().await);
    assert!(b.commit("by b", 1).await);
    a.read_to(b.acceptor.resume_from()).await;
    assert_eq!(story(&b.accepted), ["claim 1 by a", "just in time", "claim 2 by b", "by b"]);
    assert_eq!(a.acceptor, b.acceptor);
}

pub(crate) async fn nobody_acts_on_what_a_zombie_writes_after_a_claim(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let mut b = a.successor(&other, "b").await;

    // a has not read b's claim. It writes on, and learns from the log that it is over.
    assert!(!a.commit("too late", 1).await);
    assert!(matches!(
        a.rejected[..],
        [(_, Rejection::OtherEpoch { found: Epoch(1), current: Epoch(2) })]
    ));
    assert!(b.commit("by b", 1).await);
    let end = b.accepted.last().expect("b's frame").offset;
    let (observer, accepted) = observe(&*log, PARTITION, end).await;
    assert_eq!(story(&accepted), ["claim 1 by a", "claim 2 by b", "by b"]);
    assert_eq!(observer, b.acceptor);
}

pub(crate) async fn nobody_acts_on_what_a_zombie_writes_long_after_a_claim(subject: Subject) {
    let log = subject.open().await;
    let other = subject.another_handle(&log).await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let stale: Vec<Bytes> = (0..5).map(|n| a.chain.frame(&format!("stale {n}"), 1)).collect();
    let mut b = a.successor(&other, "b").await;
    for n in 0..20 {
        assert!(b.commit(&format!("by b {n}"), 1).await);
    }

    let last = a.append_in_flight(stale).await.pop().expect("five answers").expect("it is taken");
    a.read_to(last).await;
    assert_eq!(a.rejected.len(), 5, "a itself does not act on them");
    assert!(b.commit("b goes on", 1).await, "and b never notices");
    assert_eq!(a.accepted[..], b.accepted[..b.accepted.len() - 1]);
}

pub(crate) async fn a_rejected_frame_rejects_those_after_it(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    let frames: Vec<Bytes> = (0..5).map(|n| a.chain.frame(&format!("frame {n}"), 2)).collect();
    let mut sent = frames.clone();
    sent.remove(2);

    let last = a.append_in_flight(sent).await.pop().expect("four answers").expect("it is taken");
    a.read_to(last).await;
    assert_eq!(story(&a.accepted), ["claim 1 by a", "frame 0", "frame 1"]);
    assert!(a.rejected.iter().all(|(_, why)| matches!(why, Rejection::NotNext { .. })));
    assert_eq!(a.rejected.len(), 2, "frames 3 and 4 fall with frame 2");

    // Sent again in order, they count: nothing was taken of them before.
    let last = a.append_in_flight(frames[2..].to_vec()).await.pop().expect("three answers");
    a.read_to(last.expect("it is taken")).await;
    assert_eq!(story(&a.accepted)[3..], ["frame 2", "frame 3", "frame 4"]);
}

/// An append whose caller stopped waiting may have happened or not. A claim settles it: the frame
/// stands before the claim, or it never counts.
pub(crate) async fn a_claim_settles_an_append_that_was_given_up(subject: Subject) {
    let log = subject.open().await;
    let mut a = Owner::claimed(&log, PARTITION, "a").await;
    for round in 0..20 {
        let text = format!("given up {round}");
        let frame = a.chain.frame(&text, 1);
        let mut append: BoxFuture<'_, _> = log.append(Stream::Events(PARTITION), frame.clone());
        let answered = (&mut append).now_or_never().is_some();
        drop(append);

        assert!(a.claim().await);
        let claimed_at = a.accepted.last().expect("the claim").offset;
        let counted = story(&a.accepted).contains(&text);
        assert!(counted || !answered, "an acknowledged append before a claim counts");

        // The same bytes, stored late after all: as a retry inside a driver would.
        a.append(frame).await.expect("the log takes anything");
        assert!(a.commit(&format!("round {round}"), 1).await);
        let times = story(&a.accepted).iter().filter(|line| **line == text).count();
        assert_eq!(times, usize::from(counted));
        assert!(a.accepted.iter().all(|one| one.offset <= claimed_at || !is_frame(one, &text)));
    }
    let end = a.accepted.last().expect("the last frame").offset;
    let (observer, accepted) = observe(&*log, PARTITION, end).await;
    assert_eq!(observer, a.acceptor);
    assert_eq!(accepted, a.accepted);
}

fn is_frame(accepted: &Accepted, text: &str) -> bool {
    story(std::slice::from_ref(accepted)) == [text]
}

pub(crate) async fn an_owner_goes_on_after_a_restart(subject: Subject) {
    let log = subject.open().await;
    let mut before = Owner::claimed(&log, PARTITION, "a").await;
    assert!(before.commit("before", 4).await);
    let (node, acceptor) = ("a", before.acceptor);
    drop(before);

    let log = subject.reopen(log).await;
    let mut after = Owner::claimed(&log, PARTITION, node).await;
    assert_eq!(after.acceptor.epoch, acceptor.epoch.next());
    assert_eq!(after.acceptor.last, acceptor.last.plus(1), "the claim takes the next sequence");
    assert!(after.commit("after", 1).await);

    // A claim of the former life comes to light once more: it is none of its business.
    let old = chain::claim(acceptor.epoch.next(), node, Uuid::new_v4());
    let offset = after.append(old).await.expect("the log takes anything");
    after.read_to(offset).await;
    assert!(after.commit("and on", 1).await);
    assert_eq!(
        story(&after.accepted),
        ["claim 1 by a", "before", "claim 2 by a", "after", "and on"]
    );
}
