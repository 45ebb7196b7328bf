use domain::cluster::{Cluster, ClusterCommand, ObserveCluster, RemoveCluster};
use domain::{Decider, DomainCommand, Effect, FleetView, Inputs, Reaction, WakeUp};
use events::{AggregateId, Event, Principal, Timestamp};
use uuid::Uuid;

use super::{EntityCore, Immediate, Request, Ticket};
use crate::ask::{AskError, AskSource, Origin, envelope};
use crate::set_aside::is_set_aside;

fn request(ticket: u64, command: ClusterCommand) -> Request {
    let origin = Origin {
        id: Uuid::from_u128(u128::from(ticket)),
        principal: Principal::System,
        time: Timestamp::UNIX_EPOCH,
        traceparent: None,
    };
    let id = AggregateId::Cluster("eu-1".to_owned());
    let envelope = envelope(id, &command.into(), &origin).unwrap();
    Request { ticket: Ticket(ticket), envelope: envelope.into(), source: AskSource::Direct }
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
    let requests =
        [request(1, remove()), request(2, observe), request(3, remove()), request(4, remove())];
    let proposed = core.propose(&requests, Timestamp::UNIX_EPOCH, &FleetView::default());
    let fine = |ticket| Immediate { ticket: Ticket(ticket), answer: Ok(()) };
    assert_eq!(proposed.immediate, [fine(1)]);
    assert_eq!(proposed.dependent, [fine(4)]);
    let decided = proposed.proposal.unwrap().decisions;
    assert_eq!(decided.iter().map(|one| one.ticket).collect::<Vec<_>>(), [Ticket(2), Ticket(3)]);
}

/// A decision that is too large for the log is refused after it was made.
#[test]
fn what_was_proposed_and_does_not_count_is_not_decided_on() {
    let mut core =
        EntityCore::<Cluster>::new(AggregateId::Cluster("eu-1".to_owned()), 0, Default::default());
    let observe = |ticket, uid: &str| {
        let uid = uid.to_owned();
        let (labels, taints) = Default::default();
        let heartbeat_period_seconds = 60;
        let observe = ObserveCluster { uid, labels, taints, heartbeat_period_seconds };
        request(ticket, ClusterCommand::ObserveCluster(observe))
    };
    let mut names = |request| {
        let proposed = core.propose(&[request], Timestamp::UNIX_EPOCH, &FleetView::default());
        let decisions = proposed.proposal.unwrap().decisions;
        let events = decisions.iter().flat_map(|draft| &draft.events);
        events.map(|event| event.event_type().name).collect::<Vec<_>>()
    };
    assert_eq!(names(observe(1, "first")), ["ClusterRegistered"]);
    assert_eq!(names(observe(2, "second")), ["ClusterRegistered"], "nothing is known of the first");
}

/// A cluster whose decider panics over an object of this uid.
struct Touchy;

const POISON: &str = "poison";

impl Decider for Touchy {
    type State = <Cluster as Decider>::State;
    type Command = ClusterCommand;
    type Event = <Cluster as Decider>::Event;
    type Refusal = <Cluster as Decider>::Refusal;

    fn decide(
        state: &Self::State,
        command: &ClusterCommand,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Self::Event>, Self::Refusal> {
        if let ClusterCommand::ObserveCluster(observe) = command {
            assert_ne!(observe.uid, POISON, "there is no such object");
        }
        Cluster::decide(state, command, inputs)
    }

    fn evolve(state: &mut Self::State, event: &Self::Event, time: Timestamp) {
        Cluster::evolve(state, event, time);
    }

    fn react(id: &AggregateId, state: &Self::State, event: &Self::Event) -> Vec<Reaction> {
        Cluster::react(id, state, event)
    }

    fn outstanding(id: &AggregateId, state: &Self::State) -> Vec<Effect> {
        Cluster::outstanding(id, state)
    }

    fn settled(id: &AggregateId, state: &Self::State) -> Vec<Effect> {
        Cluster::settled(id, state)
    }

    fn wake_up(state: &Self::State) -> Option<WakeUp> {
        Cluster::wake_up(state)
    }

    fn uses_view(command: &ClusterCommand) -> bool {
        Cluster::uses_view(command)
    }

    fn own_event(event: &Event) -> Option<&Self::Event> {
        Cluster::own_event(event)
    }

    fn own_command(command: DomainCommand) -> Option<ClusterCommand> {
        Cluster::own_command(command)
    }
}

/// It would be tried for ever, by one owner after the other.
#[test]
fn regression_a_durable_command_on_which_the_decider_fails_is_set_aside() {
    let observe = |uid: &str, period| {
        ClusterCommand::ObserveCluster(ObserveCluster {
            uid: uid.to_owned(),
            labels: Default::default(),
            taints: vec![],
            heartbeat_period_seconds: period,
        })
    };
    let mut core =
        EntityCore::<Touchy>::new(AggregateId::Cluster("eu-1".to_owned()), 0, Default::default());
    let requests = [observe("uid", 60), observe(POISON, 60), observe("uid", 30)];
    let submitted = |(ticket, command)| {
        let source = AskSource::Submitted(ticket);
        Request { source, ..request(ticket, command) }
    };
    let requests: Vec<Request> = (1..).zip(requests).map(submitted).collect();
    let proposed = core.propose(&requests, Timestamp::UNIX_EPOCH, &FleetView::default());
    let decisions = proposed.proposal.unwrap().decisions;
    let events: Vec<usize> = decisions.iter().map(|draft| draft.events.len()).collect();
    assert_eq!(events, [1, 0, 1], "the third is decided on the state that the first leaves");
    let refused: Vec<_> = decisions.iter().filter_map(|draft| draft.refusal.as_deref()).collect();
    assert_eq!(refused.len(), 1);
    assert!(is_set_aside(refused[0]) && refused[0].contains("there is no such object"));

    let direct = Request { source: AskSource::Direct, ..requests[1].clone() };
    let proposed = core.propose(&[direct], Timestamp::UNIX_EPOCH, &FleetView::default());
    assert!(proposed.proposal.is_none());
    let answer = proposed.immediate[0].answer.clone();
    assert!(matches!(answer, Err(AskError::Refused(why)) if is_set_aside(&why)));
}
