use domain::{DeliverEffect, Effect, EffectKey, WithdrawEffect};
use events::cluster::{ApplyStrategy, RevisionRef};
use events::{ContentHash, PlacementKey};

use super::queue::{
    Due, EFFECTS_IN_FLIGHT_MAX, EFFECTS_PER_MEMBER_MAX, EffectQueue, Finished,
    LOOKS_PER_MEMBER_MAX, RETRY_FIRST_MS, RETRY_MAX_MS,
};

fn key(cluster: &str, placement: &str) -> EffectKey {
    EffectKey { cluster: cluster.to_owned(), placement: PlacementKey::cluster(placement) }
}

fn order(key: EffectKey, generation: u64) -> DeliverEffect {
    let revision = RevisionRef { index: 0, manifests: ContentHash::of(b"a list") };
    DeliverEffect {
        key,
        generation,
        revision,
        held: vec![],
        kept: vec![],
        apply: ApplyStrategy::default(),
    }
}

fn deliver(cluster: &str, placement: &str, generation: u64) -> Effect {
    Effect::Deliver(order(key(cluster, placement), generation))
}

/// What is due, as `placement on cluster, attempt`.
fn taken(queue: &mut EffectQueue, now_ms: u64) -> Vec<String> {
    let words = |due: &super::Due| {
        let EffectKey { cluster, placement } = due.effect.key();
        format!("{} on {cluster}, {}", placement.name, due.attempt)
    };
    queue.take_due(now_ms).iter().map(words).collect()
}

#[test]
fn a_newer_order_replaces_one_that_waits() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    queue.offer(deliver("eu", "web", 2), 5);
    let due = queue.take_due(5);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].effect, deliver("eu", "web", 2));
    assert!(queue.take_due(5).is_empty(), "it runs already");
}

#[test]
fn a_newer_order_follows_one_that_runs() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    assert_eq!(queue.take_due(0).len(), 1);
    queue.offer(deliver("eu", "web", 2), 1);
    assert_eq!(taken(&mut queue, 1), [""; 0]);
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 2);
    let due = queue.take_due(2);
    assert_eq!(due[0].effect, deliver("eu", "web", 2));
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 3);
    assert!(queue.is_empty());
}

#[test]
fn what_is_cancelled_while_it_runs_is_forgotten_when_it_has_ended() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    assert_eq!(queue.take_due(0).len(), 1);
    queue.offer(Effect::Cancel(key("eu", "web")), 1);
    assert_eq!(queue.next_due_ms(), None);
    queue.finished(&key("eu", "web"), Finished::Retry, 0.0, 2);
    assert!(queue.is_empty());
}

#[test]
fn what_is_asked_for_after_a_cancel_waits_for_the_end_of_what_was_cancelled() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    assert_eq!(queue.take_due(0).len(), 1);
    queue.offer(Effect::Cancel(key("eu", "web")), 1);
    queue.offer(deliver("eu", "web", 1), 1);
    assert_eq!(taken(&mut queue, 1), [""; 0], "the first still runs");
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 2);
    assert_eq!(taken(&mut queue, 2), ["web on eu, 0"]);
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 3);
    assert!(queue.is_empty());
}

#[test]
fn what_was_lost_and_came_back_does_not_run_beside_itself() {
    let mut queue = EffectQueue::default();
    for index in 0..EFFECTS_PER_MEMBER_MAX {
        queue.offer(deliver("eu", &format!("p{index}"), 1), 0);
    }
    assert_eq!(queue.take_due(0).len(), EFFECTS_PER_MEMBER_MAX);
    queue.retain(|_| false);
    queue.offer(deliver("eu", "p0", 1), 1);
    assert_eq!(taken(&mut queue, 1), [""; 0], "the member has no room, and p0 runs");
    queue.finished(&key("eu", "p1"), Finished::Done, 0.0, 2);
    assert_eq!(taken(&mut queue, 2), [""; 0]);
    queue.finished(&key("eu", "p0"), Finished::Retry, 0.0, 3);
    assert_eq!(taken(&mut queue, 3), ["p0 on eu, 0"]);
}

#[test]
fn one_member_takes_no_more_than_its_share() {
    let mut queue = EffectQueue::default();
    for index in 0..EFFECTS_PER_MEMBER_MAX + 3 {
        queue.offer(deliver("slow", &format!("p{index:02}"), 1), 0);
    }
    queue.offer(deliver("quick", "web", 1), 1);
    let due = taken(&mut queue, 1);
    assert_eq!(due.len(), EFFECTS_PER_MEMBER_MAX + 1);
    assert_eq!(due.last().unwrap(), "web on quick, 0");
    assert_eq!(queue.next_due_ms(), None, "the rest waits for the slow member");
    queue.finished(&key("slow", "p00"), Finished::Done, 0.0, 2);
    assert_eq!(taken(&mut queue, 2), ["p08 on slow, 0"]);
}

#[test]
fn there_is_a_bound_in_total() {
    let mut queue = EffectQueue::default();
    for index in 0..EFFECTS_IN_FLIGHT_MAX + 1 {
        queue.offer(deliver(&format!("c{index}"), "web", 1), 0);
    }
    assert_eq!(queue.take_due(0).len(), EFFECTS_IN_FLIGHT_MAX);
    assert_eq!(queue.next_due_ms(), None);
}

#[test]
fn failures_are_tried_again_ever_more_slowly_up_to_a_bound() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    let mut now = 0;
    let mut waits = vec![];
    for attempt in 0..10 {
        assert_eq!(taken(&mut queue, now), [format!("web on eu, {attempt}")]);
        queue.finished(&key("eu", "web"), Finished::Retry, 0.0, now);
        let due = queue.next_due_ms().unwrap();
        waits.push(due - now);
        now = due;
    }
    assert_eq!(waits[..3], [RETRY_FIRST_MS, 2 * RETRY_FIRST_MS, 4 * RETRY_FIRST_MS]);
    assert_eq!(waits[9], RETRY_MAX_MS);
}

#[test]
fn a_member_that_can_be_reached_again_is_tried_at_once() {
    let mut queue = EffectQueue::default();
    for cluster in ["eu", "us"] {
        queue.offer(deliver(cluster, "web", 1), 0);
        assert_eq!(queue.take_due(0).len(), 1);
        queue.finished(&key(cluster, "web"), Finished::Retry, 0.0, 0);
    }
    assert_eq!(taken(&mut queue, 10), [""; 0]);
    queue.hurry("eu", 10);
    assert_eq!(taken(&mut queue, 10), ["web on eu, 0"]);
}

#[test]
fn changes_go_before_looking_after_what_is_settled() {
    let mut queue = EffectQueue::default();
    queue.offer(Effect::Observe(order(key("eu", "old"), 1)), 0);
    let key = key("eu", "gone");
    queue.offer(
        Effect::Withdraw(WithdrawEffect { key, generation: 2, held: vec![], kept: vec![] }),
        3,
    );
    queue.offer(deliver("eu", "web", 1), 4);
    assert_eq!(taken(&mut queue, 4), ["gone on eu, 0", "web on eu, 0", "old on eu, 0"]);
}

#[test]
fn looks_leave_room_for_changes() {
    let mut queue = EffectQueue::default();
    for index in 0..EFFECTS_PER_MEMBER_MAX {
        queue.offer(Effect::Observe(order(key("eu", &format!("old{index}")), 1)), 0);
    }
    assert_eq!(queue.take_due(0).len(), LOOKS_PER_MEMBER_MAX);
    assert_eq!(queue.next_due_ms(), None, "the other looks wait for these");
    queue.offer(deliver("eu", "web", 1), 1);
    assert_eq!(taken(&mut queue, 1), ["web on eu, 0"]);
    // A change that replaces a look while that runs follows it.
    queue.offer(deliver("eu", "old0", 2), 2);
    queue.finished(&key("eu", "old0"), Finished::Done, 0.0, 3);
    let due = queue.take_due(3);
    assert!(
        matches!(
            &due[..],
            [Due { effect: Effect::Deliver(_), .. }, Due { effect: Effect::Observe(_), .. }]
        ),
        "{due:?}"
    );
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 4);
    assert_eq!(taken(&mut queue, 4), [""; 0], "two looks run");
    for now in 5..5 + EFFECTS_PER_MEMBER_MAX as u64 {
        for index in 0..EFFECTS_PER_MEMBER_MAX {
            queue.finished(&key("eu", &format!("old{index}")), Finished::Done, 0.0, now);
        }
        assert!(queue.take_due(now).len() <= LOOKS_PER_MEMBER_MAX);
    }
    assert!(queue.is_empty());
}

#[test]
fn regression_a_look_never_replaces_a_change() {
    let look = || Effect::Observe(order(key("eu", "web"), 1));
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 2), 0);
    queue.offer(look(), 0);
    let due = queue.take_due(0);
    assert!(matches!(&due[..], [Due { effect: Effect::Deliver(_), .. }]), "{due:?}");
    // While it runs, it is repeated: nobody knows for which epoch it runs.
    queue.offer(look(), 0);
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 0);
    let due = queue.take_due(0);
    assert!(matches!(&due[..], [Due { effect: Effect::Deliver(_), .. }]), "{due:?}");
    queue.finished(&key("eu", "web"), Finished::Done, 0.0, 0);
    queue.offer(look(), 0);
    let due = queue.take_due(0);
    assert!(matches!(&due[..], [Due { effect: Effect::Observe(_), .. }]), "{due:?}");
}

#[test]
fn what_belongs_to_others_now_is_dropped() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    queue.offer(deliver("us", "web", 1), 0);
    queue.retain(|key| key.cluster == "us");
    assert_eq!(taken(&mut queue, 0), ["web on us, 0"]);
}

#[test]
fn what_is_due_does_not_wait_for_a_change_that_is_not() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    assert_eq!(queue.take_due(0).len(), 1);
    queue.finished(&key("eu", "web"), Finished::Retry, 0.0, 0);
    queue.offer(Effect::Observe(order(key("eu", "old"), 1)), 1);
    queue.offer(deliver("us", "web", 1), 2);
    assert_eq!(queue.next_due_ms(), Some(1));
    assert_eq!(taken(&mut queue, 2), ["web on us, 0", "old on eu, 0"]);
    assert_eq!(queue.next_due_ms(), Some(RETRY_FIRST_MS));
}

#[test]
fn what_lacks_something_is_tried_again_when_its_neighbours_have_moved() {
    let mut queue = EffectQueue::default();
    for placement in ["lacks", "fails", "other"] {
        queue.offer(deliver("eu", placement, 1), 0);
    }
    queue.offer(deliver("us", "lacks", 1), 0);
    assert_eq!(queue.take_due(0).len(), 4);
    // So often that they wait for half a minute at least.
    for attempt in 1..12 {
        let now_ms = attempt * 2 * RETRY_MAX_MS;
        queue.finished(&key("eu", "lacks"), Finished::RetryWithNeighbours, 1.0, now_ms);
        queue.finished(&key("eu", "fails"), Finished::Retry, 1.0, now_ms);
        queue.finished(&key("us", "lacks"), Finished::RetryWithNeighbours, 1.0, now_ms);
        if attempt < 11 {
            queue.take_due(now_ms + RETRY_MAX_MS);
        }
    }
    let now_ms = 22 * RETRY_MAX_MS;
    queue.finished(&key("eu", "other"), Finished::Done, 1.0, now_ms);
    assert_eq!(taken(&mut queue, now_ms), [""; 0], "many moves cost one more try");
    assert_eq!(taken(&mut queue, now_ms + 1_000), ["lacks on eu, 11"]);
}

#[test]
fn what_may_get_on_is_tried_at_once_and_waits_longer_if_it_does_not() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    for attempt in 0..4 {
        assert_eq!(queue.take_due(attempt * 100_000).len(), 1);
        queue.finished(&key("eu", "web"), Finished::Retry, 0.0, attempt * 100_000);
    }
    let now = 300_000;
    assert_eq!(queue.next_due_ms(), Some(now + 4_000));
    queue.hurry_one(&key("eu", "web"), now + 1);
    assert_eq!(taken(&mut queue, now + 1), ["web on eu, 4"]);
    queue.hurry_one(&key("eu", "web"), now + 1);
    queue.finished(&key("eu", "web"), Finished::Retry, 0.0, now + 1);
    assert_eq!(queue.next_due_ms(), Some(now + 1 + 8_000), "while it runs, nothing is hurried");
    queue.hurry_one(&key("eu", "gone"), now + 2);
}

#[test]
fn what_was_not_tried_is_tried_when_it_says() {
    let mut queue = EffectQueue::default();
    queue.offer(deliver("eu", "web", 1), 0);
    assert_eq!(taken(&mut queue, 0), ["web on eu, 0"]);
    queue.finished(&key("eu", "web"), Finished::RetryAfter(7_000), 0.0, 0);
    assert_eq!(taken(&mut queue, 6_999), [""; 0]);
    assert_eq!(taken(&mut queue, 7_000), ["web on eu, 0"], "it counts as not tried");
}
