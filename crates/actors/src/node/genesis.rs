//! The birth of a log: the first node on an empty log writes what it is, for ever.

use std::time::Duration;

use bytes::Bytes;
use domain::fleet::{FleetCommand, FoundFleet, HandOverFleet};
use event_log::lease::{LeaseRecord, TimeAsked};
use event_log::{Acceptor, ClockReading, Log, LogError, Stream};
use events::frame::RECORD_FORMAT;
use events::{AggregateId, Genesis, Partition, Principal, Record};
use projections::Model;
use uuid::Uuid;

use super::{HubCluster, NodeError, Router};
use crate::ask::AskError;
use crate::shard::ClaimIdentity;

/// Why this is not the log that it should be.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// It has no genesis where it should be.
    #[error(
        "the log holds records, but does not start with a genesis: it is not a Taffrail log, or its \
         beginning was lost to retention"
    )]
    Missing,
    /// There is nothing in it, although there was.
    #[error(
        "the log is empty, but the data directory belongs to deployment {projections}; point the \
         hub at the log of that deployment, or restore it; to found a new fleet, give the hub an \
         empty data directory"
    )]
    Emptied {
        /// Of the projections.
        projections: Uuid,
    },
    /// It was written by a newer version.
    #[error("the log has record format {found}, this version knows {known}; upgrade this hub")]
    Format {
        /// What it says.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// The projections belong to another log.
    #[error(
        "the data directory belongs to deployment {projections}, the log to {log}; point the hub at \
         its own log, or give it an empty data directory"
    )]
    OtherDeployment {
        /// Of the projections.
        projections: Uuid,
        /// Of the log.
        log: Uuid,
    },
}

/// Reads the genesis; writes one first if the log is empty and nothing is known of an older one. Of
/// two nodes that do so at once, the first in the log wins.
///
/// # Errors
/// When the log does not answer, does not begin as one of ours, or is empty and should not be.
pub async fn found(
    log: &dyn Log,
    node: &str,
    partitions: u16,
    hub: &str,
    model: &Model,
) -> Result<Genesis, NodeError> {
    let stream = Stream::Events(Partition(0));
    if log.end(stream).await.map_err(NodeError::Log)? == 0 {
        if let Some(known) = &model.genesis {
            return Err(GenesisError::Emptied { projections: known.deployment }.into());
        }
        learn_time(log, node).await;
        let genesis = Record::Genesis(Genesis {
            deployment: Uuid::now_v7(),
            partitions,
            format: RECORD_FORMAT,
            time: log.clock().now(),
            hub: Some(hub.to_owned()),
        });
        let bytes = genesis.to_bytes().expect("a genesis is plain data");
        // Whether this failed or not, and whether it came first: the log says.
        if let Err(error) = log.append(stream, Bytes::from(bytes)).await {
            tracing::warn!(%error, "the genesis may not have been written");
        }
    }
    read(log, stream).await
}

/// The log tells its time with what is stored: this node's own clock may be wrong, and what it says
/// would stand in the record for ever.
async fn learn_time(log: &dyn Log, node: &str) {
    if log.clock().reading() == ClockReading::Unknown {
        let asked = LeaseRecord::TimeAsked(TimeAsked { node: node.to_owned() });
        if let Err(error) = log.append(Stream::Membership, asked.to_bytes()).await {
            tracing::warn!(%error, "the log does not tell its time");
        }
    }
}

/// Reads the genesis, and changes nothing. `None` when the log is empty.
///
/// # Errors
/// When the log does not answer, or does not begin as one of ours.
pub async fn look(log: &dyn Log) -> Result<Option<Genesis>, NodeError> {
    let stream = Stream::Events(Partition(0));
    match log.end(stream).await.map_err(NodeError::Log)? {
        0 => Ok(None),
        _ => read(log, stream).await.map(Some),
    }
}

/// How long to wait for the first record of a log that is not empty.
const GENESIS_TIMEOUT: Duration = Duration::from_secs(30);

async fn read(log: &dyn Log, stream: Stream) -> Result<Genesis, NodeError> {
    let mut reader = log.read(stream, 0).await.map_err(NodeError::Log)?;
    let first = tokio::time::timeout(GENESIS_TIMEOUT, reader.next()).await;
    let record = match first {
        Ok(Some(record)) => record.map_err(NodeError::Log)?,
        Ok(None) | Err(_) => {
            return Err(NodeError::Log(LogError::Unavailable {
                stage: "reading the first record",
                failure: event_log::Failure::Determinate,
                source: "no record came".into(),
            }));
        }
    };
    let accepted = Acceptor::new(Partition(0)).offer(record.offset, &record.bytes);
    match accepted.ok().map(|accepted| accepted.record) {
        Some(Record::Genesis(genesis)) if genesis.format == RECORD_FORMAT => Ok(genesis),
        Some(Record::Genesis(genesis)) => {
            Err(GenesisError::Format { found: genesis.format, known: RECORD_FORMAT }.into())
        }
        Some(Record::Claim(_) | Record::Frame(_)) | None => Err(GenesisError::Missing.into()),
    }
}

/// Refuses projections of another log.
pub(super) fn check(model: &Model, genesis: &Genesis) -> Result<(), GenesisError> {
    match &model.genesis {
        Some(known) if known.deployment != genesis.deployment => {
            Err(GenesisError::OtherDeployment {
                projections: known.deployment,
                log: genesis.deployment,
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// Records that the fleet was founded, and that it was handed over to this hub cluster if it was,
/// once this node owns the fleet's partition.
pub(super) async fn record(
    router: Router,
    genesis: Genesis,
    hub: HubCluster,
    identity: ClaimIdentity,
) {
    let founded = FleetCommand::FoundFleet(FoundFleet {
        deployment: genesis.deployment,
        partitions: genesis.partitions,
        version: identity.version,
    });
    record_one(&router, founded).await;
    if let Some(handover) = hub.handover {
        let handed_over = FleetCommand::HandOverFleet(HandOverFleet {
            handover: handover.id,
            hub: hub.identity,
            from_hub: handover.from_hub,
            from_deployment: handover.from_deployment,
        });
        record_one(&router, handed_over).await;
    }
}

async fn record_one(router: &Router, command: FleetCommand) {
    let mut owning = router.owning();
    let partition = router.partition_of(&AggregateId::Fleet);
    loop {
        if owning.wait_for(|owning| owning.contains_key(&partition)).await.is_err() {
            return;
        }
        let asked = router.ask(AggregateId::Fleet, command.clone().into(), Principal::System);
        match asked.await {
            Ok(_) => return,
            Err(AskError::Refused(reason)) => {
                tracing::warn!(%reason, "the fleet does not record it");
                return;
            }
            Err(error) => tracing::debug!(%error, "the fleet records it later"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
