//! A lane: one consumer and the thread that polls it, for all its partitions.
//!
//! The thread owns the consumer. It alone assigns, pauses and resumes, so there is one order of
//! what is told to the driver and what comes back from it. Splitting the driver's queue by
//! partition, and its own streams, lose wake-ups now and then; one loop that looks at each record's
//! partition does not.
//!
//! Entries go to their stream by partition; a full backlog pauses its partition (see `feed`). When
//! the driver says that it cannot read on somewhere, it does not say where. The lane then suspects
//! every partition that it reads, asks the brokers about them and acts on what they answer (see
//! `examine`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_log::LogError;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::aside::drop_aside;
use crate::config::QUESTION_TIMEOUT;
use crate::context::Context;
use crate::error::{no_client, refused};
use crate::examine::{self, Suspects, Verdict};
use crate::feed::{Entry, FeedSender};
use crate::slots::Slots;
use crate::topics::{Topic, Topics, Track};

pub(crate) type LaneConsumer = BaseConsumer<Context>;

/// How long the thread waits for an entry before it looks whether there is something else to do:
/// how late a stream is opened or resumed on a lane that is otherwise quiet. At a tenth of this it
/// would wake up a thousand times a second for nothing.
const POLL: Duration = Duration::from_millis(10);

/// How long the thread of a lane without streams waits for one, before it looks what the driver
/// has to say.
const IDLE: Duration = Duration::from_secs(1);

/// The least time between two rounds of questions about streams that stopped.
const EXAMINE_EVERY: Duration = Duration::from_millis(500);

/// How long a further lane is kept without a stream: a reader that comes again soon finds its
/// client connected. At ten times this, each of them costs a client's memory all the time.
pub(crate) const SPARE_FOR: Duration = Duration::from_secs(60);

/// How long a lane lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// As long as the log is open.
    OfTheLog,
    /// Until it has had no stream for so long.
    SpareFor(Duration),
}

/// What a lane is told.
pub(crate) enum Command {
    /// Read a partition from an offset on.
    Open { track: Track, id: u64, from: u64, to: FeedSender },
    /// The stream's reader has caught up.
    Resume { track: Track, id: u64 },
    /// Nobody reads the stream any more.
    Close { track: Track, id: u64 },
    /// What the brokers say about the streams that were open.
    Examined { verdicts: Vec<(Track, u64, Verdict)> },
    /// End all streams.
    Stop,
}

/// The handle of a lane.
#[derive(Debug)]
pub(crate) struct Lane {
    commands: Sender<Command>,
}

impl Lane {
    /// Starts the consumer and its thread. `slots` are the places of its streams.
    pub(crate) fn start(
        name: String,
        config: ClientConfig,
        topics: Arc<Topics>,
        slots: Slots,
        lifetime: Lifetime,
    ) -> Result<Self, LogError> {
        let (commands, received) = channel();
        let consumer = create(&config)?;
        let poller = Poller {
            config,
            topics,
            consumer: Arc::new(consumer),
            routes: BTreeMap::new(),
            received,
            commands: commands.clone(),
            slots,
            lifetime,
            told: Instant::now(),
            suspects: Suspects::default(),
            is_examining: false,
            examined: None,
        };
        thread::Builder::new()
            .name(name)
            .spawn(move || poller.run())
            .map_err(|error| refused("start a thread that reads", error))?;
        Ok(Self { commands })
    }

    pub(crate) fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }
}

impl Drop for Lane {
    /// Does not wait: closing a consumer takes some 70 ms, which its thread spends.
    fn drop(&mut self) {
        drop(self.commands.send(Command::Stop));
    }
}

fn create(config: &ClientConfig) -> Result<LaneConsumer, LogError> {
    config.create_with_context(Context::new("reader")).map_err(no_client)
}

/// A stream that is being read.
struct Route {
    id: u64,
    /// Where it goes on. Entries before it were delivered, or are not wanted.
    next: u64,
    /// The driver was told not to fetch it. It keeps that in mind beyond the end of the stream.
    paused: bool,
    to: FeedSender,
}

struct Poller {
    config: ClientConfig,
    topics: Arc<Topics>,
    consumer: Arc<LaneConsumer>,
    routes: BTreeMap<Track, Route>,
    received: Receiver<Command>,
    commands: Sender<Command>,
    slots: Slots,
    lifetime: Lifetime,
    /// When it was told something last.
    told: Instant,
    suspects: Suspects,
    /// The brokers are being asked about streams.
    is_examining: bool,
    /// When they were asked last.
    examined: Option<Instant>,
}

enum Next {
    GoOn,
    Stop,
}

impl Poller {
    fn run(mut self) {
        self.warm_up();
        while let Next::GoOn = self.obey() {
            let consumer = Arc::clone(&self.consumer);
            // Without a stream there is nothing to wait for here, only log lines to collect.
            let wait = if self.routes.is_empty() { Duration::ZERO } else { POLL };
            match consumer.poll(wait) {
                Some(Ok(message)) => self.deliver(&message),
                Some(Err(error)) => self.heed(&error),
                None => {}
            }
        }
    }

    /// Lets the driver learn who leads which partition before it is to read one: with it the first
    /// entry comes after some 10 ms, without it after 500.
    fn warm_up(&self) {
        for topic in Topic::ALL {
            let name = self.topics.name(topic);
            if let Err(error) = self.consumer.fetch_metadata(Some(name), QUESTION_TIMEOUT) {
                // It will learn it when it reads.
                tracing::debug!(topic = name, %error, "no metadata yet");
            }
        }
    }

    /// Does what it was told to; waits for it when there is nothing to read.
    fn obey(&mut self) -> Next {
        if self.routes.is_empty() {
            match self.received.recv_timeout(IDLE) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::Stop,
                Ok(command) => self.act(command),
                Err(RecvTimeoutError::Timeout) if self.is_to_spare() => return Next::Stop,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        while let Ok(command) = self.received.try_recv() {
            if let Command::Stop = command {
                return Next::Stop;
            }
            self.act(command);
        }
        Next::GoOn
    }

    /// Whether it has not been needed for long. Nobody opens a stream on it from then on.
    fn is_to_spare(&self) -> bool {
        match self.lifetime {
            Lifetime::OfTheLog => false,
            Lifetime::SpareFor(long) => self.told.elapsed() >= long && self.slots.close_if_empty(),
        }
    }

    fn act(&mut self, command: Command) {
        self.told = Instant::now();
        match command {
            Command::Open { track, id, from, to } => {
                self.close(track);
                self.open(track, Route { id, next: from, paused: false, to });
            }
            Command::Resume { track, id } if self.is_current(track, id) => self.resume(track),
            Command::Close { track, id } if self.is_current(track, id) => {
                self.close(track);
            }
            Command::Examined { verdicts } => {
                self.is_examining = false;
                self.suspects.keep_unanswered(&verdicts);
                for (track, id, verdict) in verdicts {
                    if self.is_current(track, id) {
                        self.judge(track, verdict);
                    }
                }
                self.examine();
            }
            // About a stream that is not there any more.
            Command::Resume { .. } | Command::Close { .. } => {}
            Command::Stop => unreachable!("handled by obey"),
        }
    }

    fn is_current(&self, track: Track, id: u64) -> bool {
        self.routes.get(&track).is_some_and(|route| route.id == id)
    }

    fn open(&mut self, track: Track, route: Route) {
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(route.next).unwrap_or(i64::MAX));
        let name = self.topics.name(track.topic);
        let assigned = list
            .add_partition_offset(name, i32::from(track.partition), offset)
            .and_then(|()| self.consumer.incremental_assign(&list));
        if let Err(error) = assigned {
            send(&route.to, Err(refused("read: assign the partition", error)));
            return;
        }
        let paused = route.paused;
        self.routes.insert(track, route);
        if paused {
            self.pause(track);
        }
    }

    /// Ends a stream, if there is one.
    fn close(&mut self, track: Track) -> Option<Route> {
        let route = self.routes.remove(&track)?;
        if route.paused {
            self.tell("resume", track, |consumer, list| consumer.resume(list));
        }
        self.tell("unassign", track, |consumer, list| consumer.incremental_unassign(list));
        Some(route)
    }

    fn pause(&mut self, track: Track) {
        self.tell("pause", track, |consumer, list| consumer.pause(list));
        if let Some(route) = self.routes.get_mut(&track) {
            route.paused = true;
        }
    }

    fn resume(&mut self, track: Track) {
        self.tell("resume", track, |consumer, list| consumer.resume(list));
        if let Some(route) = self.routes.get_mut(&track) {
            route.paused = false;
        }
    }

    /// Tells the driver something about one partition. It refuses only what makes no sense to it,
    /// such as to resume a partition that it does not read.
    fn tell(
        &self,
        what: &'static str,
        track: Track,
        to_do: impl FnOnce(&LaneConsumer, &TopicPartitionList) -> Result<(), KafkaError>,
    ) {
        let mut list = TopicPartitionList::new();
        list.add_partition(self.topics.name(track.topic), i32::from(track.partition));
        if let Err(error) = to_do(&self.consumer, &list) {
            let track = self.topics.show(track);
            tracing::warn!(%error, "the Kafka driver does not {what} {track}");
        }
    }

    fn deliver(&mut self, message: &BorrowedMessage<'_>) {
        let Some(track) = self.track_of(message) else { return };
        let Some(route) = self.routes.get_mut(&track) else { return };
        let Ok(offset) = u64::try_from(message.offset()) else { return };
        if offset < route.next {
            return;
        }
        route.next = offset.saturating_add(1);
        let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice).unwrap_or_default();
        let entry = Entry { offset, key: copy(message.key()), bytes: copy(message.payload()) };
        let full = route.to.backlog.fill(&entry);
        // Nobody there to take it: the stream's end is on its way as a command.
        send(&route.to, Ok(entry));
        if full {
            self.pause(track);
        }
    }

    fn track_of(&self, message: &BorrowedMessage<'_>) -> Option<Track> {
        let topic = self.topics.find(message.topic())?;
        let partition = u16::try_from(message.partition()).ok()?;
        Some(Track { topic, partition })
    }

    /// The driver has something to say that is not an entry.
    fn heed(&mut self, error: &KafkaError) {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return self.start_over();
        }
        // Anything else the context has said, and the driver tries again.
        if let Some(
            RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::LogTruncation
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::TopicAuthorizationFailed,
        ) = error.rdkafka_error_code()
        {
            self.suspects.add(self.routes.iter().map(|(track, route)| (*track, route.id)));
            self.examine();
        }
    }

    /// Asks the brokers about the streams that are suspected, on another thread: this one goes on
    /// with those that can be read.
    fn examine(&mut self) {
        if self.is_examining {
            return;
        }
        let suspects = self.suspects.take().into_iter();
        let open = suspects.filter_map(|(track, id)| {
            let route = self.routes.get(&track).filter(|route| route.id == id)?;
            Some((track, id, route.next))
        });
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return;
        }
        // What the brokers say may be of no help: then it is asked for now and then, not all day.
        let since = self.examined.replace(Instant::now()).map(|last| last.elapsed());
        let wait = since.map_or(Duration::ZERO, |since| EXAMINE_EVERY.saturating_sub(since));
        let (consumer, topics) = (Arc::clone(&self.consumer), Arc::clone(&self.topics));
        let commands = self.commands.clone();
        let asking = thread::Builder::new().name("kafka-examine".to_owned()).spawn(move || {
            thread::sleep(wait);
            let ask = |track, next| examine::partition(&consumer, &topics, track, next);
            drop(commands.send(Command::Examined { verdicts: examine::all(open, ask) }));
        });
        match asking {
            Ok(_) => self.is_examining = true,
            Err(error) => tracing::error!(%error, "cannot examine streams that stopped"),
        }
    }

    /// Acts on what the brokers say about a stream.
    fn judge(&mut self, track: Track, verdict: Verdict) {
        match verdict {
            // Whether the driver still reads it or not. What it has delivered in the meantime is
            // not read again.
            Verdict::Readable { begin } => {
                if let Some(route) = self.close(track) {
                    let next = route.next.max(begin);
                    self.open(track, Route { next, ..route });
                }
            }
            Verdict::Ended(error) => {
                if let Some(route) = self.close(track) {
                    send(&route.to, Err(error));
                }
            }
            Verdict::Unknown => {}
        }
    }

    /// The consumer is dead. Another one takes its streams over where they are.
    fn start_over(&mut self) {
        let routes = std::mem::take(&mut self.routes);
        match create(&self.config) {
            Ok(consumer) => {
                let dead = std::mem::replace(&mut self.consumer, Arc::new(consumer));
                drop_aside(dead);
                for (track, route) in routes {
                    self.open(track, route);
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot replace a Kafka consumer that died");
                for route in routes.into_values() {
                    send(&route.to, Err(refused("read: the consumer died", error.to_string())));
                }
            }
        }
    }
}

/// A reader that is gone needs no entries.
fn send(to: &FeedSender, entry: Result<Entry, LogError>) {
    drop(to.entries.send(entry));
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::config::{Fetch, KafkaConfig};

    #[test]
    fn a_further_lane_ends_when_nobody_needs_it() {
        let brokers = MockCluster::new(1).unwrap();
        let config = KafkaConfig::new(brokers.bootstrap_servers());
        let (topics, slots) = (Arc::new(Topics::new(&config)), Slots::default());
        let seat = slots.take(Track { topic: Topic::Events, partition: 0 }, 1).unwrap();
        let consumer = config.consumer(Fetch::FOLLOW);
        let lifetime = Lifetime::SpareFor(Duration::ZERO);
        let lane = Lane::start("test".to_owned(), consumer, topics, slots.clone(), lifetime);
        let commands = lane.as_ref().unwrap().commands();
        seat.leave();
        let deadline = Instant::now() + Duration::from_secs(60);
        // Its thread is gone when nobody takes a command any more.
        while commands.send(Command::Close { track: seat.track(), id: seat.id() }).is_ok() {
            assert!(Instant::now() < deadline, "it goes on for nothing");
            thread::sleep(2 * IDLE);
        }
        assert!(slots.is_closed(), "nobody opens a stream on it");
    }
}
