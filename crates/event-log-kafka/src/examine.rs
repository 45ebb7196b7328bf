//! Why a stream cannot be read on: what the brokers say about its partition.
//!
//! A partition that ends before the place up to which it was read went backwards: a disk was lost,
//! a replica that lagged behind became the leader, or somebody made the topic anew. Whatever was
//! derived from it is wrong then, and to read on as if nothing had happened would hide it.

use std::thread;
use std::time::Duration;

use event_log::LogError;
use event_log::port::went_backwards;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::QUESTION_TIMEOUT;
use crate::error::refused;
use crate::topics::{Topics, Track};

/// What is to be done about a stream.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing is wrong with it; it can be read from `begin` on.
    Readable {
        /// The first offset that is there.
        begin: u64,
    },
    /// It ends with this.
    Ended(LogError),
    /// The brokers did not answer.
    Unknown,
}

/// The streams of which it is not known whether they can be read on, each with its number, in the
/// order in which the brokers are asked about them.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Vec<(Track, u64)>);

impl Suspects {
    /// Adds streams, after those that wait already.
    pub(crate) fn add(&mut self, streams: impl IntoIterator<Item = (Track, u64)>) {
        for stream in streams {
            if !self.0.contains(&stream) {
                self.0.push(stream);
            }
        }
    }

    /// Takes all, to ask about them.
    pub(crate) fn take(&mut self) -> Vec<(Track, u64)> {
        std::mem::take(&mut self.0)
    }

    /// Keeps those about which the brokers did not answer. The first of them is the one that they
    /// were asked about (see [`all`]): next time it is the last, so that a partition without a
    /// leader is in nobody's way.
    pub(crate) fn keep_unanswered(&mut self, verdicts: &[(Track, u64, Verdict)]) {
        let unanswered = verdicts.iter().filter(|(.., one)| matches!(one, Verdict::Unknown));
        let mut unanswered: Vec<_> = unanswered.map(|(track, id, _)| (*track, *id)).collect();
        let asked = unanswered.len().min(1);
        unanswered.rotate_left(asked);
        self.add(unanswered);
    }
}

/// How often the brokers must say that a stream has ended before it has. A broker that has just
/// started may not know a topic yet, and who believes it rebuilds everything for nothing.
const ANSWERS: usize = 3;

/// How long to wait between two answers: a broker knows its topics within less than that.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(500);

/// Asks about streams, each with its number and where it is to be read on.
pub(crate) fn all(
    open: Vec<(Track, u64, u64)>,
    ask: impl Fn(Track, u64) -> Verdict,
) -> Vec<(Track, u64, Verdict)> {
    let mut verdicts = Vec::new();
    for (track, id, next) in &open {
        // Brokers that do not answer about one do not answer about the next either.
        let silent = matches!(verdicts.last(), Some((_, _, Verdict::Unknown)));
        let verdict = if silent { Verdict::Unknown } else { ask(*track, *next) };
        verdicts.push((*track, *id, verdict));
    }
    for _ in 1..ANSWERS {
        let mut ended = verdicts
            .iter_mut()
            .zip(&open)
            .filter(|((_, _, verdict), _)| matches!(verdict, Verdict::Ended(_)))
            .peekable();
        if ended.peek().is_none() {
            break;
        }
        thread::sleep(BETWEEN_ANSWERS);
        for ((track, _, verdict), (_, _, next)) in ended {
            *verdict = ask(*track, *next);
        }
    }
    verdicts
}

/// Asks the brokers about a partition that is to be read on from `next`.
pub(crate) fn partition<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &Topics,
    track: Track,
    next: u64,
) -> Verdict {
    let name = topics.name(track.topic);
    match consumer.fetch_watermarks(name, i32::from(track.partition), QUESTION_TIMEOUT) {
        Ok((begin, end)) => {
            let known = |offset: i64| u64::try_from(offset).unwrap_or_default();
            judge(topics, track, next, known(begin), known(end))
        }
        Err(error) => judge_error(topics, track, error),
    }
}

fn judge(topics: &Topics, track: Track, next: u64, begin: u64, end: u64) -> Verdict {
    let shown = topics.show(track);
    if next > end {
        return Verdict::Ended(went_backwards(shown, end, next));
    }
    // What is kept for ever must be there from the start; of the rest, the old may be gone.
    if next < begin && track.topic.retention_ms().is_none() {
        return Verdict::Ended(LogError::Corrupt {
            what: format!(
                "{shown} begins at offset {begin}, but is to be read on from offset {next}: \
                 what was between them is gone"
            ),
        });
    }
    Verdict::Readable { begin }
}

fn judge_error(topics: &Topics, track: Track, error: KafkaError) -> Verdict {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition,
        ) => Verdict::Ended(LogError::Corrupt {
            what: format!("{} is not there any more", topics.show(track)),
        }),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Verdict::Ended(refused("read: the brokers do not allow it", error))
        }
        Some(_) | None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaConfig;
    use crate::topics::Topic;

    fn verdict(topic: Topic, next: u64) -> String {
        let topics = Topics::new(&KafkaConfig::new("b:1"));
        match judge(&topics, Track { topic, partition: 7 }, next, 100, 200) {
            Verdict::Readable { begin } => format!("from {begin}"),
            Verdict::Ended(error) => error.to_string(),
            Verdict::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn a_log_that_went_backwards_names_topic_partition_and_offsets() {
        assert_eq!(
            verdict(Topic::Events, 201),
            "the log is damaged: taffrail.events [7] ends at offset 200, but is to be read on \
             from offset 201: it went backwards"
        );
    }

    #[test]
    fn only_what_is_not_kept_for_ever_may_have_lost_its_beginning() {
        assert!(verdict(Topic::Events, 99).contains("is gone"));
        assert!(verdict(Topic::Content, 99).contains("is gone"));
        assert_eq!(verdict(Topic::Commands, 99), "from 100");
        assert_eq!(verdict(Topic::Membership, 0), "from 100");
    }

    #[test]
    fn a_stream_has_ended_when_the_brokers_say_so_again_and_again() {
        let tracks = [7, 8].map(|partition| Track { topic: Topic::Events, partition });
        let open = || vec![(tracks[0], 1, 201), (tracks[1], 2, 150)];
        let gone = || Verdict::Ended(LogError::Corrupt { what: "gone".to_owned() });
        let asked = std::cell::Cell::new(0);
        let ask = |sure: bool| {
            asked.set(0);
            let answer = |track: Track, _| {
                asked.set(asked.get() + usize::from(track == tracks[0]));
                let ended = track == tracks[0] && (sure || asked.get() == 1);
                if ended { gone() } else { Verdict::Readable { begin: 0 } }
            };
            all(open(), answer)
        };
        let verdicts = ask(true);
        assert!(matches!(verdicts[0].2, Verdict::Ended(_)) && asked.get() == ANSWERS);
        assert!(matches!(verdicts[1].2, Verdict::Readable { .. }));

        let verdicts = ask(false);
        assert!(matches!(verdicts[0].2, Verdict::Readable { .. }), "it was a slip of the tongue");
    }

    /// Streams that can be read are not held up, again and again, by one that has no leader; nor is a
    /// stream that comes after that one never looked at.
    #[test]
    fn regression_a_partition_without_a_leader_is_in_nobodys_way() {
        let track = |partition| Track { topic: Topic::Events, partition };
        let mut suspects = Suspects::default();
        suspects.add((0..6).map(|partition| (track(partition), u64::from(partition))));
        suspects.add([(track(3), 3)]);
        let mut readable = Vec::new();
        for _ in 0..4 {
            let open = suspects.take().into_iter().map(|(track, id)| (track, id, 0)).collect();
            let ask = |track: Track, _| match track.partition {
                2 => Verdict::Unknown,
                _ => Verdict::Readable { begin: 0 },
            };
            let verdicts = all(open, ask);
            suspects.keep_unanswered(&verdicts);
            let judged =
                verdicts.iter().filter(|(.., one)| matches!(one, Verdict::Readable { .. }));
            readable.extend(judged.map(|(track, ..)| track.partition));
        }
        assert_eq!(readable, [0, 1, 3, 4, 5], "each once");
        assert_eq!(suspects.take(), [(track(2), 2)]);
    }

    #[test]
    fn what_is_there_is_read_on() {
        for next in [100, 150, 200] {
            assert_eq!(verdict(Topic::Events, next), "from 100");
        }
    }
}
