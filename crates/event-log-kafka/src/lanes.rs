//! All lanes of a log, and the way to open a stream.
//!
//! Nearly everything is read on one lane. A second reader of a stream, such as a verification that
//! starts at the beginning while the owner follows the end, gets a further lane: neither waits for
//! the other. A further lane ends by itself a while after it was needed last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event_log::LogError;
use rdkafka::ClientConfig;

use crate::error::refused;
use crate::feed::{Feed, Load};
use crate::lane::{Command, Lane, Lifetime, SPARE_FOR};
use crate::slots::{Seat, Slots};
use crate::topics::{Topics, Track};

/// How many readers one stream may have at a time. Each beyond the first costs a client with its
/// threads and connections; at twice this, something forgets to drop its readers.
const LANES_MAX: usize = 16;

/// The lanes of a log.
#[derive(Debug)]
pub(crate) struct Lanes {
    name: &'static str,
    config: ClientConfig,
    topics: Arc<Topics>,
    lanes: Mutex<Vec<(Lane, Slots)>>,
    last_id: AtomicU64,
    load: Arc<Load>,
}

impl Lanes {
    /// One lane, started.
    pub(crate) fn start(
        name: &'static str,
        config: ClientConfig,
        topics: Arc<Topics>,
    ) -> Result<Self, LogError> {
        let lanes = Self {
            name,
            config,
            topics,
            lanes: Mutex::default(),
            last_id: AtomicU64::new(0),
            load: Arc::default(),
        };
        let slots = Slots::default();
        let first = lanes.start_lane(0, slots.clone(), Lifetime::OfTheLog)?;
        lanes.lanes.lock().unwrap_or_else(PoisonError::into_inner).push((first, slots));
        Ok(lanes)
    }

    fn start_lane(&self, index: usize, slots: Slots, lifetime: Lifetime) -> Result<Lane, LogError> {
        let name = format!("kafka-{}-{index}", self.name);
        Lane::start(name, self.config.clone(), Arc::clone(&self.topics), slots, lifetime)
    }

    /// Reads a partition from an offset on. Does not wait: what goes wrong ends the stream.
    pub(crate) fn open(&self, track: Track, from: u64) -> Result<Feed, LogError> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|(_, slots)| !slots.is_closed());
        let free =
            lanes.iter().find_map(|(lane, slots)| slots.take(track, id).map(|seat| (lane, seat)));
        if let Some((lane, seat)) = free {
            return Ok(self.open_on(lane, seat, from));
        }
        if lanes.len() >= LANES_MAX {
            let track = self.topics.show(track);
            return Err(refused("read", format!("{track} has {LANES_MAX} readers already")));
        }
        // The seat first: a lane on which nobody sits may end at any time.
        let slots = Slots::default();
        let seat = slots.take(track, id).expect("nobody else knows of these");
        let lane = self.start_lane(lanes.len(), slots.clone(), Lifetime::SpareFor(SPARE_FOR))?;
        let feed = self.open_on(&lane, seat, from);
        lanes.push((lane, slots));
        Ok(feed)
    }

    fn open_on(&self, lane: &Lane, seat: Seat, from: u64) -> Feed {
        let (track, id) = (seat.track(), seat.id());
        let (to, feed) = Feed::new(lane.commands(), seat, Arc::clone(&self.load));
        // A lane whose thread is gone drops the sender with the command: the stream is at its end.
        drop(lane.commands().send(Command::Open { track, id, from, to }));
        feed
    }

    /// How many lanes there are.
    pub(crate) fn count(&self) -> usize {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().filter(|(_, slots)| !slots.is_closed()).count()
    }

    /// What waits for the readers.
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }
}
