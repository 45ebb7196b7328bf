//! Forged logs: each is what somebody could write who can edit a log and make its hashes fit.

use event_log::{Log, MemoryLog, Stream};
use events::{
    AggregateId, ChainHash, CommandEnvelope, CommandId, CommandSource, CorrelationId, EventId,
    Frame, Partition, PlacementKey, Principal, Record, Timestamp,
};
use uuid::Uuid;

use super::{VerifyReport, verify};
use crate::ask::{Origin, envelope};
use crate::node::tests::{PARTITIONS, eventually, join, node, submit};

/// A log with decisions on direct commands, follow-ups and a submitted command.
async fn history() -> MemoryLog {
    let log = MemoryLog::new();
    let node = node(&log).await;
    let router = node.router();
    join(router, "eu-1").await;
    join(router, "us-1").await;
    let web = PlacementKey::cluster("web");
    router.submit(&submitted(&AggregateId::Placement(web.clone()))).await.unwrap();
    eventually(router, "everything is delivered", |model| {
        model.placements.get(&web).is_some_and(|placement| {
            let targets = &placement.state.targets;
            let available = events::placement::TargetPhase::Available;
            targets.len() == 2 && targets.values().all(|target| target.phase == available)
        })
    })
    .await;
    node.shutdown().await;
    log
}

fn submitted(aggregate: &AggregateId) -> CommandEnvelope {
    let origin = Origin {
        id: Uuid::from_u128(7),
        principal: Principal::User("alice".to_owned()),
        time: Timestamp::UNIX_EPOCH,
        traceparent: None,
    };
    envelope(aggregate.clone(), &submit(1, b"one").into(), &origin).unwrap()
}

/// Copies a log, lets somebody edit each frame, and makes the hashes fit. `edit` is told whether
/// the frame is the last one of its partition, and says whether it has edited it.
async fn forge(log: &MemoryLog, mut edit: impl FnMut(&mut Frame, bool) -> bool) -> VerifyReport {
    let (forged, mut edits) = (MemoryLog::new(), 0);
    for partition in (0..PARTITIONS).map(Partition) {
        let (stream, mut chain) = (Stream::Events(partition), ChainHash::default());
        let records = log.dump(stream);
        for (index, record) in records.iter().enumerate() {
            let mut record = Record::from_bytes(&record.bytes).unwrap();
            if let Record::Frame(frame) = &mut record {
                frame.previous = chain;
                edits += usize::from(edit(frame, index + 1 == records.len()));
            }
            let bytes = record.to_bytes().unwrap();
            chain = chain.then(&bytes);
            forged.append(stream, bytes.into()).await.unwrap();
        }
    }
    assert!(edits > 0, "nothing was forged");
    let report = verify(&forged, PARTITIONS).await.unwrap();
    assert_eq!(report.rejected, 0, "the forgery counts for every reader");
    report
}

/// What is found of a forgery.
async fn found(log: &MemoryLog, edit: impl FnMut(&mut Frame, bool) -> bool) -> String {
    let report = forge(log, edit).await;
    report.first_difference.expect("it is found").what
}

/// Edits the first of something that there is.
fn once<T>(mut edit: impl FnMut(&mut T)) -> impl FnMut(Option<&mut T>) -> bool {
    let mut is_done = false;
    move |one| {
        let Some(one) = one.filter(|_| !is_done) else { return false };
        edit(one);
        is_done = true;
        true
    }
}

#[actix::test]
async fn what_was_not_forged_is_clean() {
    let log = history().await;
    let report = forge(&log, |_, _| true).await;
    assert_eq!(report.first_difference, None);
    assert!(report.follow_ups > 3 && report.events > 10, "{report:?}");
}

#[actix::test]
async fn an_event_that_was_edited_is_shown() {
    use events::Event;
    use events::placement::PlacementEvent;
    let log = history().await;
    let report = forge(&log, |frame, _| {
        let mut events = frame.events.iter_mut().map(|envelope| &mut envelope.event);
        events.any(|event| {
            let Event::Placement(PlacementEvent::PlacementScheduled(scheduled)) = event else {
                return false;
            };
            scheduled.message = "as I like it".to_owned();
            true
        })
    })
    .await;
    let difference = report.first_difference.unwrap();
    assert_eq!(difference.what, "events");
    assert_eq!(difference.aggregate, "placement/cluster/web");
    assert!(difference.recorded.contains("as I like it"));
}

#[actix::test]
async fn regression_every_attribute_of_an_event_is_compared() {
    type Edit = fn(&mut events::Envelope);
    let edits: [(&str, Edit); 9] = [
        ("id", |e| e.id = EventId(Uuid::from_u128(1))),
        ("aggregate", |e| e.aggregate = AggregateId::Cluster("nobody".to_owned())),
        ("number", |e| e.aggregate_sequence += 1),
        ("time", |e| e.time = Timestamp::UNIX_EPOCH),
        ("principal", |e| e.principal = Principal::User("mallory".to_owned())),
        ("command", |e| e.command = CommandId(Uuid::from_u128(2))),
        ("index", |e| e.index += 1),
        ("correlation", |e| e.correlation = CorrelationId(Uuid::from_u128(3))),
        ("cause", |e| e.causation = Some(EventId(Uuid::from_u128(4)))),
    ];
    let log = history().await;
    for (what, edit) in edits {
        let mut once = once(edit);
        assert_eq!(
            found(&log, |frame, _| once(frame.events.first_mut())).await,
            "events",
            "{what}"
        );
    }
}

#[actix::test]
async fn regression_every_attribute_of_a_follow_up_is_compared() {
    type Edit = fn(&mut CommandEnvelope);
    let edits: [(&str, Edit); 6] = [
        ("id", |c| c.id = CommandId(Uuid::from_u128(1))),
        ("time", |c| c.time = Timestamp::UNIX_EPOCH),
        ("principal", |c| c.principal = Principal::User("mallory".to_owned())),
        ("cause", |c| c.causation = None),
        ("origin", |c| c.origin = None),
        ("correlation", |c| c.correlation = CorrelationId(Uuid::from_u128(3))),
    ];
    let log = history().await;
    for (what, edit) in edits {
        let mut once = once(edit);
        let found = found(&log, |frame, _| once(frame.follow_ups.first_mut())).await;
        assert_eq!(found, "follow-ups", "{what}");
    }
}

/// The live fold takes every event and follow-up of a frame.
#[actix::test]
async fn regression_what_nobody_decided_is_found() {
    let log = history().await;
    let left_over = found(&log, |frame, is_last| {
        let Some(last) = frame.events.last().filter(|_| is_last) else { return false };
        let mut more = last.clone();
        more.sequence = more.sequence.plus(1);
        more.aggregate_sequence += 1;
        frame.events.push(more);
        true
    });
    assert_eq!(left_over.await, "events");

    let mut again = once(|frame: &mut Frame| {
        let more = frame.follow_ups[0].clone();
        frame.follow_ups.push(more);
    });
    let left_over =
        found(&log, |frame, _| again(Some(frame).filter(|frame| !frame.follow_ups.is_empty())));
    assert_eq!(left_over.await, "follow-ups");
}

/// Nothing comes of the second one: what is wrong is that it stands there.
#[actix::test]
async fn regression_a_command_that_was_decided_twice_is_found() {
    let log = history().await;
    type Is = fn(&CommandSource) -> bool;
    let kinds: [(Is, &str); 2] = [
        (|command| matches!(command, CommandSource::FollowUp(_)), "follow-up"),
        (|command| matches!(command, CommandSource::Submitted { .. }), "submitted command"),
    ];
    for (is_of_kind, kind) in kinds {
        let mut twice = once(|frame: &mut Frame| {
            let first = frame.decisions.iter().find(|one| is_of_kind(&one.command)).unwrap();
            let mut again = first.clone();
            (again.events, again.refusal) = (0, None);
            if let CommandSource::Submitted { offset, .. } = &mut again.command {
                *offset += 1;
            }
            frame.decisions.push(again);
        });
        let found = found(&log, |frame, _| {
            let has_one = frame.decisions.iter().any(|one| is_of_kind(&one.command));
            twice(Some(frame).filter(|_| has_one))
        });
        assert_eq!(found.await, "commands", "{kind}");
    }
}

/// In a later frame: the first one has consumed it.
#[actix::test]
async fn a_follow_up_that_was_decided_before_is_found() {
    let log = history().await;
    let mut first = None;
    let found = found(&log, |frame, is_last| {
        let follow_up =
            |one: &&events::DecisionRecord| matches!(one.command, CommandSource::FollowUp(_));
        match (&first, frame.decisions.iter().find(follow_up)) {
            (None, Some(one)) if !is_last => first = Some(one.clone()),
            (Some(one), _) if is_last => {
                let mut again = one.clone();
                (again.events, again.refusal) = (0, None);
                frame.decisions.push(again);
                return true;
            }
            (None | Some(_), _) => {}
        }
        false
    });
    assert_eq!(found.await, "causes");
}
