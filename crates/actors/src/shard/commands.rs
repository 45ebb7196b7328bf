//! Reading the command stream of a partition that is owned.

use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use event_log::{Log, Stream};
use events::Partition;

use super::actor::ShardActor;
use super::messages::Submitted;

/// How long to wait before the stream is read again after an error.
const READ_RETRY: Duration = Duration::from_millis(100);

/// Hands the shard one entry after the other. Runs within the shard, and ends with it.
pub(super) async fn follow(
    log: Arc<dyn Log>,
    partition: Partition,
    mut from: u64,
    shard: WeakAddr<ShardActor>,
) {
    let stream = Stream::Commands(partition);
    loop {
        match log.read(stream, from).await {
            Err(error) => tracing::warn!(%stream, from, %error, "reading is tried again"),
            Ok(mut reader) => loop {
                match reader.next().await {
                    Some(Ok(record)) => {
                        let Some(shard) = shard.upgrade() else { return };
                        from = record.offset.saturating_add(1);
                        let told = Submitted { offset: record.offset, bytes: record.bytes };
                        if shard.send(told).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%stream, from, %error, "reading is tried again");
                        break;
                    }
                    None => return,
                }
            },
        }
        tokio::time::sleep(READ_RETRY).await;
    }
}
