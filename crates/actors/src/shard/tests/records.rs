//! What fits a record, and what it means when one is read back.

use event_log::Failure;
use events::frame::RECORD_BYTES_MAX;

use super::*;
use crate::ask::AskError;
use crate::set_aside::is_set_aside;

#[test]
fn regression_decisions_that_do_not_fit_one_record_go_into_several() {
    let mut bench = Bench::owning(Bounds::default());
    let tickets: Vec<Ticket> =
        (1..=5).map(|n| bench.ask(observe(n, RECORD_BYTES_MAX / 4))).collect();
    bench.work();
    assert!(bench.frames.len() > 1);
    let sequences = bench.frames.iter().flat_map(|frame| &frame.events);
    let sequences: Vec<u64> = sequences.map(|event| event.aggregate_sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    for ticket in tickets {
        assert_eq!(bench.answers[&ticket].as_ref().map(Vec::len), Ok(1));
    }
}

#[test]
fn regression_a_durable_command_that_leads_to_too_much_is_refused_on_record() {
    let mut bench = Bench::owning(Bounds::default());
    let (first, mut large) = follow_up(1);
    large.data = observe(1, RECORD_BYTES_MAX).data;
    bench.core.follow_ups(vec![(first, large), follow_up(2)], 0);
    let before = bench.ask(observe(3, 1));
    bench.work();
    assert_eq!(bench.decided(), [1, 2]);
    assert_eq!(bench.refused().len(), 1);
    assert!(is_set_aside(bench.refused()[0]) && bench.refused()[0].contains("bytes"));
    assert!(bench.answers[&before].is_ok());
    assert!(bench.core.is_idle());
}

/// Its record names the command whole, which is too large itself.
#[test]
fn a_submitted_command_that_fits_no_record_is_refused_without_its_payload() {
    let mut bench = Bench::owning(Bounds::default());
    bench.core.start_reading(&bench.inbox);
    let large = serde_json::to_vec(&observe(1, RECORD_BYTES_MAX)).unwrap();
    bench.core.submitted(0, &large, &bench.inbox, 0).unwrap();
    bench.work();
    let CommandSource::Submitted { offset: 0, command } = &bench.frames[0].decisions[0].command
    else {
        panic!("{:?}", bench.frames[0].decisions);
    };
    assert_eq!((command.id, command.data.get()), (observe(1, 1).id, "null"));
    assert!(bench.inbox.is_submitted_decided(HERE, 0));
    assert!(bench.core.is_idle());
}

#[test]
fn a_direct_command_that_leads_to_too_much_costs_only_itself() {
    let mut bench = Bench::owning(Bounds::default());
    let tickets = [1, RECORD_BYTES_MAX, 1];
    let tickets = tickets.map(|bytes| bench.ask(observe(bytes as u64, bytes)));
    bench.ask(observe(2, 1));
    bench.work();
    assert!(bench.answers[&tickets[0]].is_ok());
    assert!(matches!(bench.answers[&tickets[1]], Err(AskError::TooLarge { .. })));
    assert!(bench.answers[&tickets[2]].is_ok());
    assert_eq!(bench.refused(), [""; 0]);
}

/// Whoever said that the append did not happen was wrong. The proposals of a later, larger frame
/// must not be taken for what counts.
#[test]
fn regression_a_frame_that_was_given_up_and_counts_ends_the_shard() {
    let mut bench = Bench::owning(Bounds::default());
    bench.ask(observe(1, 1));
    let first = bench.next_record().unwrap();
    bench.core.append_failed(&first, Failure::Determinate, 0);
    let later = AggregateId::Cluster("us".to_owned());
    let mut other = observe(2, 1);
    other.aggregate = later.clone();
    let ticket = bench.ask(other);
    let requests = bench.core.hand_out(&later, Timestamp::UNIX_EPOCH).unwrap();
    let mut us = EntityCore::<Cluster>::new(later.clone(), 0, Default::default());
    let proposed = us.propose(&requests, Timestamp::UNIX_EPOCH, &FleetView::default());
    assert_eq!(bench.core.proposed(&later, proposed), []);
    let second = bench.next_record().unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.lands(&first), Some(Told::Lost));
    assert!(!bench.answers.contains_key(&ticket));
}

#[test]
fn a_frame_that_counts_after_all_before_the_claim_is_recognised() {
    let mut bench = Bench::owning(Bounds::default());
    let ticket = bench.ask(observe(1, 1));
    let frame = bench.next_record().unwrap();
    bench.core.append_failed(&frame, Failure::Indeterminate, 0);
    let claim = bench.next_record().unwrap();
    bench.lands(&frame);
    assert!(bench.answers[&ticket].is_ok());
    bench.lands(&claim);
    assert!(bench.core.is_idle());
}

/// The log doubles a record, and says of the first append that it failed when the next is under way.
#[test]
fn regression_a_failure_that_comes_late_does_not_touch_the_next_frame() {
    let mut bench = Bench::owning(Bounds::default());
    bench.ask(observe(1, 1));
    let first = bench.next_record().unwrap();
    bench.lands(&first);
    let ticket = bench.ask(observe(2, 1));
    let second = bench.next_record().unwrap();
    bench.core.append_failed(&first, Failure::Determinate, 0);
    assert_eq!(bench.next_record(), None, "the second is in the log");
    bench.lands(&second);
    assert!(bench.answers[&ticket].is_ok());
}

#[test]
fn a_failed_append_is_not_tried_again_at_once() {
    let mut bench = Bench::owning(Bounds::default());
    bench.ask(observe(1, 1));
    let frame = bench.next_record().unwrap();
    bench.core.append_failed(&frame, Failure::Determinate, 1_000);
    let retry_at = bench.core.retry_at_ms().unwrap();
    assert!(retry_at > 1_000);
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(bench.core.next_step(now, retry_at - 1), Step::Wait);
    assert_eq!(bench.core.next_step(now, retry_at), Step::Append(frame));
}
