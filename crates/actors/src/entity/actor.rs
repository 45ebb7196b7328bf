//! The entity's mailbox.
//!
//! Commands that arrive together are decided together: each one asks for a flush, which stands
//! behind whatever is in the mailbox already. While a proposal is in the log, the actor waits for
//! it and serves nothing else.

use std::collections::BTreeMap;

use actix::prelude::*;
use domain::Decider;
use events::{AggregateId, Timestamp};
use tokio::sync::oneshot;
use tracing::Span;

use super::core::{EntityCore, Immediate, Proposal, Request, Ticket};
use crate::ask::{Answer, Ask, AskError};
use crate::effects::EffectSink;
use crate::fold::FoldHandle;
use crate::shard::{ProposalOutcome, Propose, ShardActor};
use crate::trace::adopted;

/// How many commands may wait in the mailbox of one entity; more are answered with *busy*. A
/// cluster that gets a thousand assignments at once is served in a few batches; twice as many would
/// only wait longer for the same frames.
pub const MAILBOX_MAX: usize = 512;

/// Hands a command to an entity.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Ask);

/// Asks an entity to end if nothing waits for it. Answers whether it does.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Passivate;

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

/// One aggregate.
pub struct EntityActor<D: Decider> {
    core: EntityCore<D>,
    shard: Addr<ShardActor>,
    fold: FoldHandle,
    effects: EffectSink,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    next_ticket: u64,
    flush_is_due: bool,
}

impl<D: Decider> EntityActor<D> {
    /// An entity with the state that its first `sequence` events left.
    pub fn new(
        id: AggregateId,
        sequence: u64,
        state: D::State,
        shard: Addr<ShardActor>,
        fold: FoldHandle,
        effects: EffectSink,
    ) -> Self {
        Self {
            core: EntityCore::new(id, sequence, state),
            shard,
            fold,
            effects,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            flush_is_due: false,
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(reply) = self.waiting.remove(&ticket) {
            // Whoever asked may have gone.
            drop(reply.send(answer));
        }
    }

    fn flush_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.flush_is_due {
            self.flush_is_due = true;
            ctx.notify(Flush);
        }
    }

    fn settle(&mut self, tickets: Vec<(Ticket, usize)>, outcome: ProposalOutcome) {
        match outcome {
            ProposalOutcome::Counted(envelopes) => {
                for (index, effect) in self.core.accepted(&envelopes) {
                    let traceparent = envelopes[index].traceparent.as_deref();
                    self.effects.send(self.core.id(), effect, traceparent);
                }
                let mut envelopes = envelopes.into_iter();
                for (ticket, count) in tickets {
                    let own = envelopes.by_ref().take(count).collect();
                    self.answer(ticket, Ok(own));
                }
            }
            ProposalOutcome::Abandoned { bytes } => {
                self.core.abandoned();
                let aggregate = self.core.id().to_string();
                tracing::error!(%aggregate, bytes, "a decision does not fit a record");
                for (ticket, _) in tickets {
                    let aggregate = aggregate.clone();
                    self.answer(ticket, Err(AskError::TooLarge { aggregate, bytes }));
                }
            }
            ProposalOutcome::NotOwner => {
                self.core.abandoned();
                self.refuse_all();
            }
        }
    }

    fn refuse_all(&mut self) {
        let aggregate = self.core.id().to_string();
        for (_, reply) in std::mem::take(&mut self.waiting) {
            drop(reply.send(Err(AskError::NotOwner { aggregate: aggregate.clone() })));
        }
    }
}

/// A span for each decision, from here until it is read back.
fn append_spans(proposal: &Proposal) -> Vec<Span> {
    let recorded = proposal.decisions.iter().filter(|decision| !decision.events.is_empty());
    recorded
        .map(|decision| {
            let (aggregate, events) = (&proposal.aggregate, decision.events.len());
            let span = tracing::debug_span!("append", %aggregate, events);
            adopted(span, decision.command.traceparent.as_deref())
        })
        .collect()
}

impl<D: Decider> Actor for EntityActor<D> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
    }

    fn stopped(&mut self, _ctx: &mut Context<Self>) {
        self.refuse_all();
    }
}

impl<D: Decider> Handler<Deliver> for EntityActor<D> {
    type Result = ();

    fn handle(&mut self, Deliver(ask): Deliver, ctx: &mut Context<Self>) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        if let Some(reply) = ask.reply {
            self.waiting.insert(ticket, reply);
        }
        self.core.enqueue(Request { ticket, envelope: ask.envelope, source: ask.source });
        self.flush_soon(ctx);
    }
}

impl<D: Decider> Handler<Flush> for EntityActor<D> {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Context<Self>) {
        self.flush_is_due = false;
        let proposed = {
            let fold = self.fold.clone();
            let model = fold.model();
            self.core.propose(Timestamp::now(), &model.view)
        };
        for immediate in proposed.immediate {
            self.answer(immediate.ticket, immediate.answer.map(|()| vec![]));
        }
        let Some(proposal) = proposed.proposal else { return };
        let refused: Vec<(Ticket, Option<String>, usize)> = proposal
            .decisions
            .iter()
            .map(|decision| (decision.ticket, decision.refusal.clone(), decision.events.len()))
            .collect();
        let appending = append_spans(&proposal);
        let dependent = proposed.dependent;
        let recorded = self.shard.send(Propose { proposal });
        let settled = recorded.into_actor(self).map(move |outcome, entity, ctx| {
            drop(appending);
            let outcome = outcome.unwrap_or(ProposalOutcome::NotOwner);
            let mut tickets = vec![];
            for (ticket, refusal, events) in refused {
                match refusal {
                    Some(reason) => entity.answer(ticket, Err(AskError::Refused(reason))),
                    None => tickets.push((ticket, events)),
                }
            }
            let is_counted = matches!(outcome, ProposalOutcome::Counted(_));
            for Immediate { ticket, answer } in dependent {
                match answer {
                    Err(error) if is_counted => entity.answer(ticket, Err(error)),
                    Ok(()) | Err(_) => tickets.push((ticket, 0)),
                }
            }
            entity.settle(tickets, outcome);
            if !entity.core.is_idle() {
                entity.flush_soon(ctx);
            }
        });
        ctx.wait(settled);
    }
}

impl<D: Decider> Handler<Passivate> for EntityActor<D> {
    type Result = bool;

    fn handle(&mut self, _: Passivate, ctx: &mut Context<Self>) -> bool {
        let is_idle = self.core.is_idle();
        if is_idle {
            ctx.stop();
        }
        is_idle
    }
}
