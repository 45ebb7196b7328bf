//! Measures the log on given brokers: how fast entries are appended, and how long one hop takes
//! (append, stored, read back by a reader). Everything is measured at the reader.
//!
//! ```text
//! cargo run --release -p event-log-kafka --example kafka_rate -- 127.0.0.1:9092
//! ```
//!
//! Prints one line of JSON for each measurement. Leaves its topics behind. `bed` and `bed3` instead
//! of an address start a test bed of one or three brokers.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_log::{Log, Reader, Stream};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use events::Partition;
use futures::future::try_join_all;
use futures::stream::{FuturesOrdered, StreamExt};
use serde_json::json;
use uuid::Uuid;
use xtask::bed::Kafka;

const PARTITIONS: u16 = 32;
/// A frame with one small decision; what group commit makes of it under load is larger.
const ENTRY_BYTES: usize = 300;
const HOPS: usize = 2_000;
const ENTRIES: usize = 200_000;
/// How many appends one writer has in flight.
const WINDOW: usize = 1_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let place =
        std::env::args().nth(1).ok_or("usage: rate <host:port[,host:port]> | bed | bed3")?;
    let own = match place.as_str() {
        "bed" => Some(Kafka::start(1)?),
        "bed3" => Some(Kafka::start(3)?),
        _ => None,
    };
    let bootstrap = own.as_ref().map_or(place.as_str(), |kafka| kafka.bootstrap());
    let config = KafkaConfig {
        topic_prefix: format!("rate.{}.", Uuid::new_v4()),
        mode: Mode::Development,
        ..KafkaConfig::new(bootstrap)
    };
    let begin = Instant::now();
    let log = Arc::new(KafkaLog::connect(config.clone()).await?);
    println!("{}", json!({"measure": "connect, topics created", "ms": ms(begin.elapsed())}));
    drop(log);
    let begin = Instant::now();
    let log = Arc::new(KafkaLog::connect(config.clone()).await?);
    println!("{}", json!({"measure": "connect", "ms": ms(begin.elapsed())}));

    println!("{}", hops(&log, 1).await?);
    println!("{}", hops(&log, PARTITIONS).await?);
    println!("{}", rate(&log, 1).await?);
    println!("{}", rate(&log, PARTITIONS).await?);
    println!("{}", replay(&config).await?);
    println!("{}", opened(&log).await?);
    println!("{}", content(&log, &config).await?);
    println!("{}", json!({"stats": format!("{:?}", log.stats())}));
    Ok(())
}

/// One append at a time for each partition, each read back before the next.
async fn hops(log: &Arc<KafkaLog>, partitions: u16) -> Outcome<serde_json::Value> {
    let begin = Instant::now();
    let writers = (0..partitions).map(|partition| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let stream = Stream::Events(Partition(partition));
            let mut reader = log.read(stream, log.end(stream).await?).await?;
            let mut taken = Vec::new();
            for _ in 0..HOPS / usize::from(partitions) {
                let begin = Instant::now();
                let offset = log.append(stream, entry(begin)).await?;
                while next(&mut reader).await?.0 < offset {}
                taken.push(begin.elapsed());
            }
            Outcome::Ok(taken)
        })
    });
    let mut taken = Vec::new();
    for writer in try_join_all(writers).await? {
        taken.extend(writer?);
    }
    taken.sort_unstable();
    let total = begin.elapsed();
    Ok(json!({
        "measure": "hop: append, then read back",
        "partitions": partitions,
        "hops": taken.len(),
        "p50_ms": ms(taken[taken.len() / 2]),
        "p99_ms": ms(taken[taken.len() * 99 / 100]),
        "per_second": per_second(taken.len(), total),
    }))
}

/// Each partition has a writer with many appends in flight and a reader.
async fn rate(log: &Arc<KafkaLog>, partitions: u16) -> Outcome<serde_json::Value> {
    let count = ENTRIES / usize::from(partitions);
    let mut readers = Vec::new();
    for partition in 0..partitions {
        let stream = Stream::Events(Partition(partition));
        readers.push((stream, log.read(stream, log.end(stream).await?).await?));
    }
    let begin = Instant::now();
    let pairs = readers.into_iter().map(|(stream, mut reader)| {
        let writing = Arc::clone(log);
        let reader = tokio::spawn(async move {
            let mut lag = Vec::new();
            for _ in 0..count {
                lag.push(since(&next(&mut reader).await?.1));
            }
            Outcome::Ok(lag)
        });
        let writer = tokio::spawn(async move {
            let mut flying = FuturesOrdered::new();
            for _ in 0..count {
                if flying.len() == WINDOW {
                    flying.next().await.transpose()?;
                }
                // What is polled first goes out first.
                let mut append = writing.append(stream, entry(Instant::now()));
                match futures::poll!(&mut append) {
                    Poll::Ready(stored) => drop(stored?),
                    Poll::Pending => flying.push_back(append),
                }
            }
            while flying.next().await.transpose()?.is_some() {}
            Outcome::Ok(())
        });
        futures::future::try_join(reader, writer)
    });
    let mut lags = Vec::new();
    for (lag, written) in try_join_all(pairs).await? {
        written?;
        lags.extend(lag?);
    }
    let total = begin.elapsed();
    lags.sort_unstable();
    Ok(json!({
        "measure": "appends in flight, read back",
        "partitions": partitions,
        "window": WINDOW,
        "entries": lags.len(),
        "entry_bytes": ENTRY_BYTES,
        "per_second": per_second(lags.len(), total),
        "p50_ms": ms(lags[lags.len() / 2]),
        "p99_ms": ms(lags[lags.len() * 99 / 100]),
    }))
}

/// Reads everything on a fresh client.
async fn replay(config: &KafkaConfig) -> Outcome<serde_json::Value> {
    let log = KafkaLog::connect(config.clone()).await?;
    let begin = Instant::now();
    let mut readers = Vec::new();
    for partition in 0..PARTITIONS {
        let stream = Stream::Events(Partition(partition));
        let (mut reader, end) = (log.read(stream, 0).await?, log.end(stream).await?);
        readers.push(tokio::spawn(async move {
            let mut count = 0;
            let mut read_up_to = 0;
            while read_up_to < end {
                count += 1;
                read_up_to = next(&mut reader).await?.0 + 1;
            }
            Outcome::Ok(count)
        }));
    }
    let mut entries = 0;
    for reader in try_join_all(readers).await? {
        entries += reader?;
    }
    let paused = log.stats().streams_paused;
    let per_second = per_second(entries, begin.elapsed());
    Ok(json!({
        "measure": "replay", "entries": entries, "per_second": per_second, "pauses": paused,
    }))
}

/// How long a stream takes from `read` to its first entry, on a log that is otherwise quiet.
async fn opened(log: &Arc<KafkaLog>) -> Outcome<serde_json::Value> {
    let mut taken = Vec::new();
    for partition in (0..PARTITIONS).cycle().take(100) {
        let begin = Instant::now();
        let mut reader = log.read(Stream::Events(Partition(partition)), 0).await?;
        next(&mut reader).await?;
        taken.push(begin.elapsed());
    }
    taken.sort_unstable();
    Ok(json!({"measure": "read, first entry", "p50_ms": ms(taken[50]), "p99_ms": ms(taken[98])}))
}

/// Manifests of 4 KB: stored, and read by a client that has them not in memory.
async fn content(log: &Arc<KafkaLog>, config: &KafkaConfig) -> Outcome<serde_json::Value> {
    let manifest = |n: u64| {
        let mut bytes = vec![0; 4096];
        fastrand::Rng::with_seed(n).fill(&mut bytes);
        Bytes::from(bytes)
    };
    let mut hashes = Vec::new();
    let begin = Instant::now();
    for n in 0..200 {
        hashes.push(log.put(manifest(n)).await?);
    }
    let put = begin.elapsed() / 200;
    let cold = KafkaLog::connect(KafkaConfig { content_cache_bytes: 0, ..config.clone() }).await?;
    cold.get(hashes[0]).await?;
    let begin = Instant::now();
    for hash in &hashes {
        cold.get(*hash).await?.ok_or("content is lost")?;
    }
    let get = begin.elapsed() / 200;
    Ok(json!({"measure": "content of 4 KB", "put_ms": ms(put), "get_ms_not_cached": ms(get)}))
}

async fn next(reader: &mut Reader) -> Outcome<(u64, Bytes)> {
    let record = reader.next().await.ok_or("the log was closed")??;
    Ok((record.offset, record.bytes))
}

/// An entry that says when it was appended, on this process's clock.
fn entry(begin: Instant) -> Bytes {
    let text = format!("{{\"at\":{},\"filler\":\"", begin.duration_since(*EPOCH).as_micros());
    Bytes::from(format!("{text:x<ENTRY_BYTES$}"))
}

fn since(entry: &[u8]) -> Duration {
    let digits = entry.iter().filter(|byte| byte.is_ascii_digit());
    let micros = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    EPOCH.elapsed().saturating_sub(Duration::from_micros(micros))
}

static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

fn per_second(count: usize, time: Duration) -> u128 {
    count as u128 * 1_000_000 / time.as_micros().max(1)
}
