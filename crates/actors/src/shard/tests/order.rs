//! Nothing that is durable is lost or overtaken, and nothing grows without a bound.

use domain::WakeUp;
use domain::cluster::{CheckCredential, ClusterCommand};
use events::{CommandSource, Frame};

use super::*;
use crate::ask::AskError;
use crate::set_aside::is_set_aside;

fn submitted(number: u64) -> Vec<u8> {
    serde_json::to_vec(&observe(number, 1)).unwrap()
}

#[test]
fn regression_an_entity_that_ends_loses_and_reorders_nothing() {
    let mut bench = Bench::owning(Bounds::default());
    bench.core.follow_ups(vec![follow_up(1), follow_up(2)], 0);
    bench.panics();
    bench.core.follow_ups(vec![follow_up(3)], 0);
    bench.panics();
    bench.work();
    assert_eq!(bench.decided(), [1, 2, 3]);
    assert_eq!(bench.refused(), [""; 0]);
}

#[test]
fn regression_follow_ups_for_which_there_is_no_room_are_not_overtaken() {
    let mut bench = Bench::owning(Bounds { follow_ups: 2, ..Bounds::default() });
    let asks = |bench: &mut Bench, numbers: std::ops::RangeInclusive<u64>| {
        // Another partition asks, which is folded before it is told.
        for number in numbers {
            let (reference, command) = follow_up(number);
            let frame = Frame {
                first: reference.frame.sequence,
                decisions: vec![],
                events: vec![],
                follow_ups: vec![command],
                commands_before: None,
                ..Frame::clone(&bench.frames[0])
            };
            bench.inbox.apply(reference.frame.partition, &frame, |_| HERE);
            bench.core.follow_ups(vec![follow_up(number)], 0);
        }
    };
    bench.ask(observe(100, 1));
    bench.work();
    asks(&mut bench, 1..=3);
    let frame = bench.next_record().unwrap();
    bench.lands(&frame);
    assert_eq!(bench.decided(), [1, 2]);
    asks(&mut bench, 4..=5);
    bench.work();
    assert_eq!(bench.decided(), [1, 2], "the others wait in the inbox");
    while bench.core.wants_pending() {
        bench.core.take_pending(&bench.inbox, 0);
        bench.work();
    }
    assert_eq!(bench.decided(), [1, 2, 3, 4, 5]);
}

/// No record decides it, so its command would be given to every next owner, whose entity ends too.
#[test]
fn regression_a_command_over_which_the_entity_ends_again_and_again_is_set_aside() {
    let mut bench = Bench::owning(Bounds::default());
    bench.core.follow_ups(vec![follow_up(1), follow_up(2)], 0);
    (0..3).for_each(|_| bench.panics());
    bench.work();
    assert_eq!(bench.decided(), [1, 2]);
    assert_eq!(bench.refused().len(), 1);
    assert!(is_set_aside(bench.refused()[0]), "{:?}", bench.refused());
    let ticket = bench.ask(observe(3, 1));
    (0..3).for_each(|_| bench.panics());
    assert!(matches!(&bench.answers[&ticket], Err(AskError::Refused(why)) if is_set_aside(why)));
}

#[test]
fn regression_an_entity_with_undecided_asks_is_never_let_go() {
    let mut bench = Bench::owning(Bounds::default());
    bench.ask(observe(1, 1));
    assert_eq!(bench.core.let_go_idle(u64::MAX), [], "it waits");
    let frame = bench.next_record().unwrap();
    assert_eq!(bench.core.let_go_idle(u64::MAX), [], "it is in the log");
    bench.lands(&frame);
    assert_eq!(bench.core.let_go_idle(0), [], "it was needed just now");
    assert_eq!(bench.core.let_go_idle(u64::MAX), [eu()]);
}

#[test]
fn regression_the_command_stream_is_not_read_on_above_its_bound() {
    let mut bench = Bench::owning(Bounds { submitted: 2, ..Bounds::default() });
    assert_eq!(bench.core.start_reading(&bench.inbox), Some(0));
    for offset in 0..2 {
        assert!(bench.core.wants_submitted());
        bench.core.submitted(offset, &submitted(offset + 1), &bench.inbox, 0).unwrap();
    }
    assert!(!bench.core.wants_submitted());
    bench.work();
    assert!(bench.core.wants_submitted());
}

#[test]
fn a_direct_ask_beyond_the_bound_is_told_so() {
    let mut bench = Bench::owning(Bounds { asks_per_aggregate: 1, ..Bounds::default() });
    bench.ask(observe(1, 1));
    let refused = bench.core.ask(observe(2, 1), 0);
    assert_eq!(refused, Err(AskError::Busy { aggregate: eu().to_string() }));
}

/// What is not taken in must not be passed by the cursor: the next owner reads it.
#[test]
fn regression_what_is_submitted_while_it_stops_is_left_to_the_next_owner() {
    let mut bench = Bench::owning(Bounds::default());
    bench.core.start_reading(&bench.inbox);
    bench.core.submitted(0, &submitted(1), &bench.inbox, 0).unwrap();
    let frame = bench.next_record().unwrap();
    bench.core.stop();
    bench.core.submitted(1, &submitted(2), &bench.inbox, 0).unwrap();
    assert!(!bench.core.has_stopped());
    bench.lands(&frame);
    assert!(bench.core.has_stopped());
    assert!(!bench.core.wants_submitted());
    assert!(bench.inbox.is_submitted_decided(HERE, 0));
    assert!(!bench.inbox.is_submitted_decided(HERE, 1));
}

#[test]
fn what_the_clock_asks_is_decided_like_what_anybody_asks() {
    let mut bench = Bench::owning(Bounds::default());
    bench.ask(observe(1, 1));
    bench.work();
    let second = |second| Timestamp::from_second(second).unwrap();
    let command = ClusterCommand::CheckCredential(CheckCredential {}).into();
    bench.core.take_wake_ups([(eu(), WakeUp { at: second(5), command })]);
    assert_eq!(bench.core.next_wake_up(), Some(second(5)));
    bench.core.wake(second(4), 0, || Uuid::from_u128(9));
    assert_eq!(bench.core.first_ready(), None);
    bench.core.wake(second(6), 0, || Uuid::from_u128(9));
    let requests = bench.core.hand_out(&eu(), second(6)).unwrap();
    assert_eq!(requests[0].envelope.kind, "CheckCredential");
    assert_eq!(requests[0].envelope.principal, Principal::System);
}

#[test]
fn submitted_commands_are_recorded_whole() {
    let mut bench = Bench::owning(Bounds::default());
    bench.core.start_reading(&bench.inbox);
    bench.core.submitted(0, &submitted(1), &bench.inbox, 0).unwrap();
    bench.work();
    let recorded = &bench.frames[0].decisions[0].command;
    assert_eq!(*recorded, CommandSource::Submitted { offset: 0, command: observe(1, 1) });
}
