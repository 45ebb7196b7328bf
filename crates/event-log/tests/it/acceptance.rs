//! Properties of the acceptance rule: whatever several owners write in whatever order, whoever
//! reads it comes to the same gapless chain.

use bytes::Bytes;
use event_log::conformance::{Chain, chain};
use event_log::{Accepted, Acceptor, Rejection};
use events::{ChainHash, Epoch, Partition, Record, Sequence};
use proptest::prelude::*;
use uuid::Uuid;

const PARTITION: Partition = Partition(1);
const OWNERS: usize = 3;

/// What somebody does next.
#[derive(Debug, Clone)]
enum Step {
    /// An owner claims the epoch after the last one that it has read of, or one further `ahead`.
    Claim {
        owner: usize,
        ahead: u64,
    },
    /// An owner writes a frame on top of what it believes in.
    Write {
        owner: usize,
        events: u64,
    },
    /// An owner writes a frame whose events are not numbered as it says.
    Misnumber(usize),
    /// An owner reads everything that is there, and writes on top of it if it is its own.
    Read(usize),
    /// A record that is there already is stored again.
    Again(prop::sample::Index),
    /// Something is stored that is no record, or one that was tampered with.
    Junk(Vec<u8>),
    Tamper(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..OWNERS).prop_map(|owner| Step::Claim { owner, ahead: 0 }),
        1 => (0..OWNERS, 1..3_u64).prop_map(|(owner, ahead)| Step::Claim { owner, ahead }),
        1 => (0..OWNERS).prop_map(Step::Misnumber),
        8 => (0..OWNERS, 0..4_u64).prop_map(|(owner, events)| Step::Write { owner, events }),
        6 => (0..OWNERS).prop_map(Step::Read),
        2 => any::<prop::sample::Index>().prop_map(Step::Again),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(Step::Junk),
        1 => any::<prop::sample::Index>().prop_map(Step::Tamper),
    ]
}

struct Owner {
    name: String,
    acceptor: Acceptor,
    chain: Chain,
    read: usize,
    accepted: Vec<Accepted>,
}

struct History {
    stream: Vec<Bytes>,
    owners: Vec<Owner>,
}

impl History {
    fn new() -> Self {
        let acceptor = Acceptor::new(PARTITION);
        let owner = |n| Owner {
            name: format!("node-{n}"),
            acceptor,
            chain: Chain::on(&acceptor),
            read: 0,
            accepted: Vec::new(),
        };
        Self { stream: Vec::new(), owners: (0..OWNERS).map(owner).collect() }
    }

    fn of(steps: &[Step]) -> Self {
        let mut history = Self::new();
        for (n, step) in steps.iter().enumerate() {
            history.apply(n, step);
        }
        history
    }

    fn apply(&mut self, n: usize, step: &Step) {
        match step {
            Step::Claim { owner, ahead } => {
                let owner = &mut self.owners[*owner];
                let epoch = Epoch(owner.acceptor.epoch.next().0 + ahead);
                self.stream.push(chain::claim(epoch, &owner.name, Uuid::nil()));
                // An impatient owner does not wait for its claim: it writes on as if it counted.
                owner.chain = Chain { epoch, ..owner.chain };
            }
            Step::Write { owner, events } => {
                let owner = &mut self.owners[*owner];
                let text = format!("step {n} by {}", owner.name);
                self.stream.push(owner.chain.frame(&text, *events));
            }
            Step::Misnumber(owner) => {
                let chain = self.owners[*owner].chain;
                let bytes = Chain { next: chain.next.plus(1), ..chain }.frame("misnumbered", 2);
                let Record::Frame(mut frame) = Record::from_bytes(&bytes).unwrap() else {
                    unreachable!("it is a frame")
                };
                frame.first = chain.next;
                self.stream.push(Record::Frame(frame).to_bytes().unwrap().into());
            }
            Step::Read(owner) => self.read(*owner),
            Step::Again(which) => {
                if !self.stream.is_empty() {
                    self.stream.push(which.get(&self.stream).clone());
                }
            }
            Step::Junk(junk) => self.stream.push(junk.clone().into()),
            Step::Tamper(which) => {
                if !self.stream.is_empty() {
                    let record: &Bytes = which.get(&self.stream);
                    let text = String::from_utf8_lossy(record).into_owned();
                    self.stream.push(text.replace("step", "stop").into());
                }
            }
        }
    }

    fn read(&mut self, owner: usize) {
        let owner = &mut self.owners[owner];
        for (offset, bytes) in self.stream.iter().enumerate().skip(owner.read) {
            owner.accepted.extend(owner.acceptor.offer(offset as u64, bytes));
        }
        owner.read = self.stream.len();
        let claims = owner.accepted.iter().rev().find_map(|accepted| match &accepted.record {
            Record::Claim(claim) => Some(&claim.node),
            Record::Genesis(_) | Record::Frame(_) => None,
        });
        // Who has lost a partition and does not mind writes on where it was.
        if claims == Some(&owner.name) {
            owner.chain = Chain::on(&owner.acceptor);
        }
    }

    fn replay(&self) -> (Acceptor, Vec<Accepted>) {
        let mut acceptor = Acceptor::new(PARTITION);
        let offered = self.stream.iter().enumerate();
        let accepted =
            offered.filter_map(|(offset, bytes)| acceptor.offer(offset as u64, bytes).ok());
        let accepted = accepted.collect();
        (acceptor, accepted)
    }
}

fn last_of(accepted: &Accepted) -> Sequence {
    match &accepted.record {
        Record::Frame(frame) => frame.last(),
        Record::Genesis(_) | Record::Claim(_) => accepted.position.sequence,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_is_a_chain_without_gaps(steps in prop::collection::vec(step(), 0..80)) {
        let history = History::of(&steps);
        let (acceptor, accepted) = history.replay();
        let (mut last, mut hash, mut epoch) = (Sequence(0), ChainHash::default(), Epoch(0));
        let mut owner = String::new();
        for accepted in &accepted {
            let bytes = &history.stream[usize::try_from(accepted.offset).unwrap()];
            prop_assert_eq!(accepted.position.sequence, last.plus(1));
            match &accepted.record {
                Record::Claim(claim) => {
                    prop_assert_eq!(claim.epoch, epoch.next());
                    (epoch, owner) = (claim.epoch, claim.node.clone());
                }
                Record::Frame(frame) => {
                    prop_assert_eq!(frame.epoch, epoch);
                    prop_assert_eq!(frame.previous, hash);
                    let by_owner = frame.events.iter().all(|event| {
                        let text = format!("{:?}", event.event);
                        text.contains(&format!("by {owner}\""))
                    });
                    prop_assert!(by_owner, "only who claimed an epoch writes in it");
                    let numbers: Vec<_> = frame.events.iter().map(|event| event.sequence).collect();
                    let expected: Vec<_> = (last.0 + 1..).map(Sequence).take(numbers.len()).collect();
                    prop_assert_eq!(numbers, expected);
                }
                Record::Genesis(_) => prop_assert!(false, "nobody writes one"),
            }
            hash = hash.then(bytes);
            prop_assert_eq!(accepted.hash, hash);
            last = last_of(accepted);
        }
        prop_assert_eq!((acceptor.last, acceptor.hash, acceptor.epoch), (last, hash, epoch));
    }

    #[test]
    fn all_readers_agree(steps in prop::collection::vec(step(), 0..80)) {
        let mut history = History::of(&steps);
        let (acceptor, accepted) = history.replay();
        // What each owner had accepted at its last read is how the history begins.
        for owner in &history.owners {
            prop_assert_eq!(&owner.accepted[..], &accepted[..owner.accepted.len()]);
        }
        for n in 0..OWNERS {
            history.read(n);
            prop_assert_eq!(history.owners[n].acceptor, acceptor);
            prop_assert_eq!(&history.owners[n].accepted, &accepted);
        }
    }

    #[test]
    fn a_reader_may_stop_and_go_on_anywhere(
        steps in prop::collection::vec(step(), 1..80),
        stop in any::<prop::sample::Index>(),
    ) {
        let history = History::of(&steps);
        let (acceptor, accepted) = history.replay();
        let stop = stop.index(history.stream.len() + 1);
        let before = History { stream: history.stream[..stop].to_vec(), owners: Vec::new() };
        let (stored, mut known) = before.replay();

        let stored = serde_json::to_vec(&stored).unwrap();
        let mut resumed: Acceptor = serde_json::from_slice(&stored).unwrap();
        let from = usize::try_from(resumed.resume_from()).unwrap();
        let mut rest = history.stream.iter().enumerate().skip(from);
        if resumed.last_record.is_some() {
            let (offset, bytes) = rest.next().expect("the last record that counted");
            prop_assert!(resumed.recognises(offset as u64, bytes));
            let mut other = bytes.to_vec();
            other.push(b' ');
            prop_assert!(!resumed.recognises(offset as u64, &other));
            prop_assert!(!resumed.recognises(offset as u64 + 1, bytes));
        }
        known.extend(rest.filter_map(|(offset, bytes)| resumed.offer(offset as u64, bytes).ok()));
        prop_assert_eq!((resumed, known), (acceptor, accepted));
    }

    #[test]
    fn what_is_rejected_changes_nothing(steps in prop::collection::vec(step(), 0..80)) {
        let history = History::of(&steps);
        let mut acceptor = Acceptor::new(PARTITION);
        for (offset, bytes) in history.stream.iter().enumerate() {
            let before = acceptor;
            match acceptor.offer(offset as u64, bytes) {
                Ok(_) => prop_assert_ne!(acceptor, before),
                Err(rejection) => {
                    prop_assert_eq!(acceptor, before);
                    let is_stop = rejection.stops_the_reader();
                    prop_assert!(!is_stop, "these records can all be read: {}", rejection);
                }
            }
        }
    }

    #[test]
    fn whoever_has_read_everything_can_claim_and_write(
        steps in prop::collection::vec(step(), 0..80),
        owner in 0..OWNERS,
    ) {
        let mut history = History::of(&steps);
        history.read(owner);
        let known = history.owners[owner].accepted.len();
        history.apply(100, &Step::Claim { owner, ahead: 0 });
        history.read(owner);
        for n in 101..104 {
            history.apply(n, &Step::Write { owner, events: 2 });
        }
        history.read(owner);
        prop_assert_eq!(history.owners[owner].accepted.len(), known + 4);
    }
}

/// The reader of a newer version may have accepted it, so this one must not skip it.
#[test]
fn a_record_of_a_newer_version_stops_the_reader() {
    let mut acceptor = Acceptor::new(PARTITION);
    acceptor.offer(0, &chain::claim(Epoch(1), "a", Uuid::nil())).unwrap();
    let frame = Chain::on(&acceptor).frame("text", 1);
    let text = String::from_utf8(frame.to_vec()).unwrap();
    let unknown = text.replace("ClusterHealthLost", "ClusterHealthPondered");
    assert_ne!(text, unknown);
    let rejection = acceptor.offer(1, unknown.as_bytes()).unwrap_err();
    assert!(matches!(rejection, Rejection::Undecodable { .. }) && rejection.stops_the_reader());
}

/// Nothing follows the last number that there is, and asking for it harms nobody.
#[test]
fn regression_the_last_numbers_are_the_end() {
    let mut acceptor = Acceptor {
        epoch: Epoch(u64::MAX),
        last: Sequence(u64::MAX),
        ..Acceptor::new(Partition(1))
    };
    let claim = br#"{"claim":{"epoch":18446744073709551615}}"#;
    assert!(matches!(acceptor.offer(7, claim), Err(Rejection::LostClaim { .. })));
    let hash = serde_json::to_value(acceptor.hash).unwrap();
    let frame = format!(
        r#"{{"frame":{{"epoch":18446744073709551615,"first":18446744073709551615,"previous":{hash}}}}}"#
    );
    assert!(matches!(acceptor.offer(8, frame.as_bytes()), Err(Rejection::NotNext { .. })));
    assert_eq!(Sequence(u64::MAX).plus(3), Sequence(u64::MAX));
}
