use std::collections::VecDeque;
use std::sync::Mutex;

use delivery::{
    Certainty, DeliveryReport, Marked, MemberMark, Probe, WithdrawOrder, WithdrawReport,
};
use domain::{DomainCommand, EffectKey};
use event_log::MemoryLog;
use events::PlacementKey;
use events::cluster::{ApplyStrategy, RevisionRef};
use tokio::sync::mpsc;

use super::*;
use crate::seal::SealKey;

/// What a member answers to each order, one after the other.
type Answers<T> = Mutex<VecDeque<Result<T, LinkError>>>;

/// A member that answers as it is told to.
#[derive(Default)]
struct Scripted {
    delivers: Answers<DeliveryReport>,
    assesses: Answers<DeliveryAvailability>,
}

fn next<T>(answers: &Answers<T>) -> Result<T, LinkError> {
    answers.lock().unwrap().pop_front().expect("no more orders than answers")
}

#[async_trait]
impl Link for Scripted {
    async fn deliver(&self, _: &DeliverOrder) -> Result<DeliveryReport, LinkError> {
        next(&self.delivers)
    }

    async fn withdraw(&self, _: &WithdrawOrder) -> Result<WithdrawReport, LinkError> {
        unreachable!("nothing is withdrawn here")
    }

    async fn assess(&self, _: &DeliverOrder) -> Result<DeliveryAvailability, LinkError> {
        next(&self.assesses)
    }

    async fn probe(&self) -> Result<Probe, LinkError> {
        unreachable!("nobody is asked here")
    }

    async fn mark(&self, _: &str, _: &MemberMark) -> Result<Marked, LinkError> {
        unreachable!("nobody is asked here")
    }

    async fn unmark(&self, _: &str, _: &str) -> Result<(), LinkError> {
        unreachable!("nobody is asked here")
    }

    async fn token(&self, _: &str, _: &str, _: i64) -> Result<String, LinkError> {
        unreachable!("nobody is asked here")
    }

    async fn prepare(&self) -> Result<(), LinkError> {
        unreachable!("nobody joins here")
    }
}

struct World {
    performer: LinkPerformer,
    member: Arc<Scripted>,
    effect: DeliverEffect,
}

impl World {
    async fn new() -> Self {
        let member = Arc::new(Scripted::default());
        let links = Links::new(mpsc::channel(1).0);
        links.insert("eu", member.clone());
        let contents = Contents::new(Arc::new(MemoryLog::new()), SealKey::new([7; 32]));
        let revision = contents.put_revision(contents.draft(&[])).await.unwrap();
        let effect = DeliverEffect {
            key: EffectKey { cluster: "eu".to_owned(), placement: PlacementKey::cluster("web") },
            generation: 2,
            revision: RevisionRef { index: 0, manifests: revision.manifests },
            held: vec![],
            kept: vec![],
            apply: ApplyStrategy::default(),
        };
        let record = Record::default();
        record.show(Box::new(|_, _| {}));
        let performer = LinkPerformer::new(links, contents, Outcomes::default(), record);
        Self { performer, member, effect }
    }

    fn delivers(&self, answer: Result<DeliveryReport, LinkError>) {
        self.member.delivers.lock().unwrap().push_back(answer);
    }

    fn assesses(&self, answer: DeliveryAvailability) {
        self.member.assesses.lock().unwrap().push_back(Ok(answer));
    }

    /// What is told of an attempt, and whether there is to be another.
    async fn attempt(&self, attempt: u32) -> (Option<DeliveryOutcome>, Again) {
        let effect = Effect::Deliver(self.effect.clone());
        let Performed { report, again } = self.performer.perform(&effect, Epoch(1), attempt).await;
        let outcome = report.map(|command| {
            let DomainCommand::Cluster(ClusterCommand::ReportDelivery(report)) = command else {
                panic!("a report, not {command:?}")
            };
            report.outcome
        });
        assert!(self.member.delivers.lock().unwrap().is_empty(), "it was ordered to deliver");
        assert!(self.member.assesses.lock().unwrap().is_empty(), "it was asked how it is");
        (outcome, again)
    }
}

fn object(name: &str) -> ObjectFailure {
    let object = ObjectId {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "app".to_owned(),
        name: name.to_owned(),
    };
    failure(&object, "ManifestNotAvailableYet", "soon")
}

/// An availability at which one object is waited for.
fn waiting(ordinal: u64) -> DeliveryAvailability {
    DeliveryAvailability {
        waiting: vec![object("web")],
        ordinal,
        ..DeliveryAvailability::default()
    }
}

/// An availability at which one object is missing.
fn missing(ordinal: u64) -> DeliveryAvailability {
    let missing = vec![object("web").object];
    DeliveryAvailability { missing, ordinal, ..DeliveryAvailability::default() }
}

fn available(ordinal: u64) -> DeliveryAvailability {
    DeliveryAvailability { ordinal, ..DeliveryAvailability::default() }
}

fn delivered(availability: DeliveryAvailability) -> Result<DeliveryReport, LinkError> {
    Ok(DeliveryReport { availability, ..DeliveryReport::default() })
}

#[tokio::test]
async fn regression_what_only_has_to_be_waited_for_is_not_delivered_again() {
    let world = World::new().await;
    let unavailable = Some(DeliveryOutcome::Unavailable(vec![object("web")]));
    world.delivers(delivered(waiting(1)));
    assert_eq!(world.attempt(0).await, (unavailable.clone(), Again::WithBackoff));
    world.assesses(waiting(2));
    assert_eq!(world.attempt(1).await, (unavailable.clone(), Again::WithBackoff));
    // Somebody deleted it: no waiting brings it back.
    world.assesses(missing(3));
    let (outcome, again) = world.attempt(2).await;
    let Some(DeliveryOutcome::Missing(failures)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((failures[0].object.name.as_str(), again), ("web", Again::WithBackoff));
    world.delivers(delivered(waiting(4)));
    assert_eq!(world.attempt(3).await, (unavailable, Again::WithBackoff));
    world.assesses(available(5));
    let available_now = Some(DeliveryOutcome::Available { untracked: 0 });
    assert_eq!(world.attempt(4).await, (available_now.clone(), Again::No));
    world.delivers(delivered(available(6)));
    assert_eq!(world.attempt(0).await, (available_now, Again::No), "asked for again");
}

#[tokio::test]
async fn what_failed_is_delivered_again() {
    let world = World::new().await;
    world.delivers(delivered(waiting(1)));
    world.attempt(0).await;
    world.assesses(missing(2));
    world.attempt(1).await;
    let failures = vec![object("web")];
    world.delivers(Ok(DeliveryReport { failures: failures.clone(), ..DeliveryReport::default() }));
    let failed = Some(DeliveryOutcome::Failed(failures));
    assert_eq!(world.attempt(2).await, (failed, Again::WithNeighbours));
    world.delivers(delivered(available(3)));
    assert_eq!(world.attempt(3).await.1, Again::No);
}

#[tokio::test]
async fn regression_a_member_that_a_newer_order_holds_is_told_of_when_it_lasts() {
    let world = World::new().await;
    let holder = Fence { generation: 7, epoch: Epoch(3) };
    world.delivers(Err(LinkError::Superseded { holder }));
    assert_eq!(world.attempt(0).await, (None, Again::WithBackoff), "it may be this hub's own");
    world.delivers(Err(LinkError::Superseded { holder }));
    let (outcome, again) = world.attempt(1).await;
    let Some(DeliveryOutcome::Failed(failures)) = outcome else { panic!("{outcome:?}") };
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(again, Again::WithBackoff);
    assert_eq!(failure.object.kind, "AppliedWork");
    for word in ["generation 7, epoch 3", "generation 2, epoch 1", "taffrail log raise"] {
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_link_that_was_replaced_meanwhile_is_not_the_last_word() {
    let world = World::new().await;
    let link: Arc<dyn Link> = world.member.clone();
    assert_eq!(world.performer.again_unless_used("eu", &link), Again::No);
    world.performer.links.insert("eu", Arc::new(Scripted::default()));
    assert_eq!(world.performer.again_unless_used("eu", &link), Again::WithBackoff);
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_asked_before_the_next_order() {
    let world = World::new().await;
    let links = &world.performer.links;
    let mut moved = links.moved();
    world.delivers(Err(LinkError::Unusable {
        problem: LinkProblem::Unreachable,
        message: "no answer within 15 s".to_owned(),
        certainty: Certainty::Determinate,
    }));
    assert_eq!(world.attempt(0).await, (None, Again::WithBackoff));
    // One that was made in this process is trusted for ever: nobody asks it.
    assert!(links.for_orders("eu").is_some());
    assert!(moved.try_recv().is_err());
}
