use domain::FleetView;
use domain::cluster::{Cluster, ClusterCommand, ObserveCluster, RemoveCluster};
use events::{AggregateId, Principal, Timestamp};
use uuid::Uuid;

use super::{EntityCore, Immediate, Request, Ticket};
use crate::ask::{AskSource, Origin, envelope};

fn request(ticket: u64, command: ClusterCommand) -> Request {
    let origin = Origin {
        id: Uuid::from_u128(u128::from(ticket)),
        principal: Principal::System,
        time: Timestamp::UNIX_EPOCH,
        traceparent: None,
    };
    let id = AggregateId::Cluster("eu-1".to_owned());
    let envelope = envelope(id, &command.into(), &origin).unwrap();
    Request { ticket: Ticket(ticket), envelope, source: AskSource::Direct }
}

/// Whoever hears that a cluster is gone lets its object go: that must not rest on an event that
/// may never be recorded.
#[test]
fn regression_what_follows_from_a_proposal_is_answered_when_that_counts() {
    let mut core =
        EntityCore::<Cluster>::new(AggregateId::Cluster("eu-1".to_owned()), 0, Default::default());
    let remove = || ClusterCommand::RemoveCluster(RemoveCluster { uid: "uid".to_owned() });
    let observe = ClusterCommand::ObserveCluster(ObserveCluster {
        uid: "uid".to_owned(),
        labels: Default::default(),
        taints: vec![],
        heartbeat_period_seconds: 60,
    });
    core.enqueue(request(1, remove()));
    core.enqueue(request(2, observe));
    core.enqueue(request(3, remove()));
    core.enqueue(request(4, remove()));
    let proposed = core.propose(Timestamp::UNIX_EPOCH, &FleetView::default());
    let fine = |ticket| Immediate { ticket: Ticket(ticket), answer: Ok(()) };
    assert_eq!(proposed.immediate, [fine(1)]);
    assert_eq!(proposed.dependent, [fine(4)]);
    let decided = proposed.proposal.unwrap().decisions;
    assert_eq!(decided.iter().map(|one| one.ticket).collect::<Vec<_>>(), [Ticket(2), Ticket(3)]);
}
