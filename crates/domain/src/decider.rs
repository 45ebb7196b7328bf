//! What every aggregate is: three plain functions over its state.

use std::fmt;

use events::cluster::{ApplyStrategy, RevisionRef};
use events::{AggregateId, Event, ObjectId, PlacementKey, Position, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{DomainCommand, FleetView};

/// One kind of aggregate: its state, what may be asked of it, and how it answers.
pub trait Decider: 'static {
    /// What it knows about itself. Derived from its events and nothing else; stored with bincode,
    /// so without skipped fields or untagged enums.
    type State: Clone
        + Default
        + PartialEq
        + fmt::Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Unpin;
    /// What may be asked.
    type Command: fmt::Debug;
    /// What can happen to it.
    type Event: Clone + fmt::Debug + Into<Event>;
    /// Why it may say no.
    type Refusal: std::error::Error;

    /// Decides a command: the events that follow from it, in order. No events means that there is
    /// nothing to do.
    ///
    /// # Errors
    /// A refusal, which says why.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after an event. Total: an event that was accepted is always possible.
    fn evolve(state: &mut Self::State, event: &Self::Event, time: Timestamp);

    /// What an event sets in motion; `state` is the state after it.
    fn react(id: &AggregateId, state: &Self::State, event: &Self::Event) -> Vec<Reaction>;

    /// The effects that are still to be performed, computed again after a restart.
    fn outstanding(id: &AggregateId, state: &Self::State) -> Vec<Effect>;

    /// What is done and has to be looked after from now on, asked after a restart.
    fn settled(id: &AggregateId, state: &Self::State) -> Vec<Effect>;

    /// What this aggregate wants to be asked next, and when, if nothing moves it before.
    ///
    /// A function of the state, and therefore durable: whoever owns the aggregate computes it
    /// again after each event and after a take-over. It comes late rather than never, and may come
    /// more than once.
    fn wake_up(state: &Self::State) -> Option<WakeUp>;

    /// Whether deciding the command looks at the fleet view. The decision record then says how far
    /// that had been folded.
    fn uses_view(command: &Self::Command) -> bool;

    /// Picks this aggregate's events out of all events.
    fn own_event(event: &Event) -> Option<&Self::Event>;

    /// Picks this aggregate's commands out of all commands.
    fn own_command(command: DomainCommand) -> Option<Self::Command>;
}

/// What a decision may look at besides state and command.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The fleet, as far as the log was read.
    pub fleet: &'a FleetView,
    /// Where the event stands that led to a follow-up command.
    pub origin: Option<Position>,
}

/// A command for later.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeUp {
    /// Not before this.
    pub at: Timestamp,
    /// What the aggregate is to be asked then.
    pub command: DomainCommand,
}

/// What an event sets in motion.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// Ask an aggregate something. Durable with the event.
    FollowUp(FollowUp),
    /// Change the world outside. Computed again after a crash.
    Effect(Effect),
}

/// A command to another aggregate, or to the same one for later.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// Whom.
    pub to: AggregateId,
    /// What.
    pub command: DomainCommand,
}

/// Something to do on a member. A later effect with the same key replaces an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make a member hold a revision.
    Deliver(DeliverEffect),
    /// Remove everything of a placement from a member.
    Withdraw(WithdrawEffect),
    /// Look whether what a member holds is still available, and go on looking. Nothing is written.
    Observe(DeliverEffect),
    /// Nothing is to be done any more: forget an effect that is waiting or being retried.
    Cancel(EffectKey),
}

/// What an effect is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectKey {
    /// The member.
    pub cluster: String,
    /// The placement.
    pub placement: PlacementKey,
}

impl EffectKey {
    /// A key before all others.
    #[must_use]
    pub fn lowest() -> Self {
        Self { cluster: String::new(), placement: PlacementKey::cluster(String::new()) }
    }
}

/// See [`Effect::Deliver`].
#[derive(Debug, Clone, PartialEq)]
pub struct DeliverEffect {
    /// Where, and for which placement.
    pub key: EffectKey,
    /// The delivery generation.
    pub generation: u64,
    /// What to hold.
    pub revision: RevisionRef,
    /// Earlier revisions of which objects may be on the member.
    pub held: Vec<RevisionRef>,
    /// Objects of even earlier revisions that could not go yet.
    pub kept: Vec<ObjectId>,
    /// How to write.
    pub apply: ApplyStrategy,
}

/// See [`Effect::Withdraw`].
#[derive(Debug, Clone, PartialEq)]
pub struct WithdrawEffect {
    /// Where, and for which placement.
    pub key: EffectKey,
    /// The delivery generation.
    pub generation: u64,
    /// Revisions of which objects may be on the member.
    pub held: Vec<RevisionRef>,
    /// Objects of even earlier revisions that could not go yet.
    pub kept: Vec<ObjectId>,
}

impl Effect {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> &EffectKey {
        match self {
            Self::Deliver(effect) | Self::Observe(effect) => &effect.key,
            Self::Withdraw(effect) => &effect.key,
            Self::Cancel(key) => key,
        }
    }
}
