//! What is right and what is wrong about what was observed. Pure.

use std::collections::BTreeSet;

use crate::config::{KafkaConfig, Mode};
use crate::topics::{Topic, Topics};

use super::observe::{Observed, Seen};
use super::remedy::{Tools, settings_of};
use super::{Finding, Severity};

/// How many copies a production log has: with three, one may be lost while another is down for
/// repair.
pub(crate) const WELL_REPLICATED: u16 = 3;

/// How many copies an entry must have before it is acknowledged, in production.
const IN_SYNC_MIN: u64 = 2;

/// What the topics must let through in one message: twice the largest entry, and some.
pub(crate) const MESSAGE_BYTES_MIN: u64 = 2 * 1024 * 1024;

/// What is wrong.
pub(crate) fn check(observed: &Observed, config: &KafkaConfig, mode: Mode) -> Vec<Finding> {
    let topics = Topics::new(config);
    let check = Check { observed, config, mode, topics: &topics, tools: Tools::new(config) };
    let complete = observed.topics.len() == Topic::ALL.len();
    let brokers = if complete { check.brokers_down() } else { check_brokers(observed, mode) };
    let mut findings: Vec<_> = brokers.into_iter().collect();
    for topic in Topic::ALL {
        match observed.topics.get(&topic) {
            Some(seen) => findings.extend(check.topic(topic, seen)),
            None => findings.push(check.missing(topic)),
        }
    }
    findings
}

/// Whether there are enough brokers to create topics on. Afterwards it is the topics that say how
/// many copies there are: a broker that is down must not keep a node from starting.
pub(crate) fn check_brokers(observed: &Observed, mode: Mode) -> Option<Finding> {
    let count = observed.brokers.len();
    let few = count < usize::from(WELL_REPLICATED) && mode == Mode::Production;
    few.then(|| Finding {
        severity: Severity::Refuse,
        problem: format!(
            "there are {count} Kafka brokers; with fewer than {WELL_REPLICATED} the loss of one \
             disk may be the loss of the history"
        ),
        remedy: format!(
            "start more brokers, {WELL_REPLICATED} or more, or run in development mode"
        ),
    })
}

struct Check<'a> {
    observed: &'a Observed,
    config: &'a KafkaConfig,
    mode: Mode,
    topics: &'a Topics,
    tools: Tools,
}

impl Check<'_> {
    /// How bad it is that a production log must not be like this.
    fn severity(&self) -> Severity {
        match self.mode {
            Mode::Production => Severity::Refuse,
            Mode::Development => Severity::Warn,
        }
    }

    fn finding(&self, problem: String, remedy: String) -> Finding {
        Finding { severity: self.severity(), problem, remedy }
    }

    /// Brokers that hold copies and do not answer. The others go on without them, so do we.
    fn brokers_down(&self) -> Option<Finding> {
        let brokers = &self.observed.brokers;
        let replicas =
            self.observed.topics.values().flat_map(|seen| seen.replicas.iter().flatten());
        let down: BTreeSet<_> = replicas.filter(|broker| !brokers.contains(broker)).collect();
        let down: Vec<_> = down.into_iter().map(ToString::to_string).collect();
        (!down.is_empty()).then(|| Finding {
            severity: Severity::Warn,
            problem: format!(
                "Kafka brokers that hold copies of the log are down: {}",
                down.join(", ")
            ),
            remedy: "start them again".to_owned(),
        })
    }

    fn missing(&self, topic: Topic) -> Finding {
        let name = self.topics.name(topic);
        let copies = copies(self.config, self.observed);
        let partitions = self.topics.partitions(topic);
        Finding {
            severity: Severity::Warn,
            problem: format!("the topic {name} does not exist; it is created at the first start"),
            remedy: self.tools.create(name, partitions, copies, &settings_of(topic, copies)),
        }
    }

    fn topic(&self, topic: Topic, seen: &Seen) -> Vec<Finding> {
        let mut findings: Vec<_> = self.partitions(topic, seen).into_iter().collect();
        findings.extend(self.leaderless(topic, seen));
        findings.extend(self.copies(topic, seen));
        let settings = rules(topic, self.mode);
        findings.extend(settings.into_iter().filter_map(|rule| self.setting(topic, seen, &rule)));
        findings
    }

    /// The number of partitions decides where everything is: a wrong one is refused in any mode.
    fn partitions(&self, topic: Topic, seen: &Seen) -> Option<Finding> {
        let (name, found) = (self.topics.name(topic), seen.replicas.len());
        let configured = self.topics.partitions(topic);
        let born = match topic {
            Topic::Events | Topic::Commands => {
                self.observed.genesis.as_ref().map(|genesis| genesis.partitions)
            }
            Topic::Content | Topic::Membership => None,
        };
        let refuse = |problem: String, remedy: String| {
            Some(Finding { severity: Severity::Refuse, problem, remedy })
        };
        let wanted = born.unwrap_or(configured);
        if configured != wanted {
            return refuse(
                format!("the log was founded with {wanted} partitions, not {configured}"),
                format!("set partitions = {wanted}"),
            );
        }
        if found < usize::from(wanted) {
            return refuse(
                format!("the topic {name} has {found} partitions instead of {wanted}"),
                self.tools.add_partitions(name, wanted),
            );
        }
        if found > usize::from(wanted) {
            let setting = match topic {
                Topic::Content => "content_partitions",
                Topic::Events | Topic::Commands | Topic::Membership => "partitions",
            };
            let change = if born.is_none() && topic != Topic::Membership {
                format!("set {setting} = {found}, or choose another topic prefix")
            } else {
                "choose another topic prefix and restore the log there: Kafka cannot take \
                 partitions away"
                    .to_owned()
            };
            return refuse(
                format!("the topic {name} has {found} partitions instead of {wanted}"),
                change,
            );
        }
        None
    }

    fn leaderless(&self, topic: Topic, seen: &Seen) -> Option<Finding> {
        let name = self.topics.name(topic);
        (!seen.leaderless.is_empty()).then(|| Finding {
            severity: Severity::Warn,
            problem: format!(
                "partitions of the topic {name} have no leader that answers: {:?}",
                seen.leaderless
            ),
            remedy: "start the brokers that hold them".to_owned(),
        })
    }

    fn copies(&self, topic: Topic, seen: &Seen) -> Option<Finding> {
        let name = self.topics.name(topic);
        let wanted = match self.mode {
            Mode::Production => usize::from(WELL_REPLICATED),
            Mode::Development => usize::from(copies(self.config, self.observed)),
        };
        let fewest = seen.replicas.iter().map(Vec::len).min().unwrap_or_default();
        if fewest >= wanted {
            return None;
        }
        let brokers = &self.observed.brokers;
        let problem = format!("the topic {name} has {fewest} copies instead of {wanted}");
        let remedy = self.tools.replicate(name, seen, brokers, wanted);
        if brokers.len() < wanted {
            let count = brokers.len();
            let remedy = format!("start more brokers (there are {count}), and look again");
            return Some(self.finding(problem, remedy));
        }
        Some(self.finding(problem, remedy))
    }

    fn setting(&self, topic: Topic, seen: &Seen, rule: &Rule) -> Option<Finding> {
        let name = self.topics.name(topic);
        let found = seen.settings.get(rule.setting).map_or("unknown", String::as_str);
        if rule.wanted.allows(found) {
            return None;
        }
        let Rule { setting, wanted, risk } = rule;
        Some(self.finding(
            format!("the topic {name} has {setting}={found}: {risk}"),
            self.tools.set(name, setting, &wanted.value()),
        ))
    }
}

/// How many copies new topics get.
pub(crate) fn copies(config: &KafkaConfig, observed: &Observed) -> u16 {
    let brokers = u16::try_from(observed.brokers.len()).unwrap_or(u16::MAX);
    config.replication.unwrap_or(WELL_REPLICATED.min(brokers).max(1))
}

/// How a setting must be.
struct Rule {
    setting: &'static str,
    wanted: Wanted,
    /// What happens otherwise.
    risk: &'static str,
}

enum Wanted {
    Exactly(&'static str),
    /// At least this; -1 means without a bound.
    AtLeast(u64),
}

impl Wanted {
    fn allows(&self, found: &str) -> bool {
        match self {
            Self::Exactly(wanted) => found == *wanted,
            Self::AtLeast(least) => {
                found == "-1" || found.parse().is_ok_and(|found: u64| found >= *least)
            }
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Exactly(wanted) => (*wanted).to_owned(),
            Self::AtLeast(least) => least.to_string(),
        }
    }
}

fn rules(topic: Topic, mode: Mode) -> Vec<Rule> {
    let rule = |setting, wanted, risk| Rule { setting, wanted, risk };
    let mut rules = vec![rule(
        "cleanup.policy",
        Wanted::Exactly("delete"),
        "compaction removes records, and refuses those without a key",
    )];
    if topic.is_stamped_by_brokers() {
        rules.push(rule(
            "message.timestamp.type",
            Wanted::Exactly("LogAppendTime"),
            "a node whose clock is wrong has its records deleted early, and is not found out",
        ));
    }
    if topic == Topic::Membership {
        return rules;
    }
    rules.push(match topic.retention_ms() {
        None => rule("retention.ms", Wanted::Exactly("-1"), "the history is deleted after a while"),
        Some(ms) => rule(
            "retention.ms",
            Wanted::AtLeast(ms),
            "commands are deleted before a node that was away has decided them",
        ),
    });
    rules.push(rule(
        "retention.bytes",
        Wanted::Exactly("-1"),
        "records are deleted when there are many",
    ));
    rules.push(rule(
        "max.message.bytes",
        Wanted::AtLeast(MESSAGE_BYTES_MIN),
        "large records are refused",
    ));
    rules.push(rule(
        "unclean.leader.election.enable",
        Wanted::Exactly("false"),
        "acknowledged records are lost when a replica that lags behind becomes the leader",
    ));
    if mode == Mode::Production {
        rules.push(rule(
            "min.insync.replicas",
            Wanted::AtLeast(IN_SYNC_MIN),
            "a record is acknowledged when a single disk has it",
        ));
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A log as we create it, on these brokers.
    fn well(brokers: &[i32]) -> (Observed, KafkaConfig) {
        let config = KafkaConfig::new("b:1");
        let topics = Topics::new(&config);
        let mut observed = Observed { brokers: brokers.to_vec(), ..Observed::default() };
        let copies = copies(&config, &observed);
        for topic in Topic::ALL {
            let settings = settings_of(topic, copies).into_iter();
            let seen = Seen {
                replicas: vec![brokers.to_vec(); usize::from(topics.partitions(topic))],
                leaderless: Vec::new(),
                settings: settings.map(|(name, value)| (name.to_owned(), value)).collect(),
            };
            observed.topics.insert(topic, seen);
        }
        (observed, config)
    }

    fn findings(observed: &Observed, config: &KafkaConfig, mode: Mode) -> Vec<String> {
        let findings = check(observed, config, mode).into_iter();
        findings.map(|one| format!("{:?}: {}", one.severity, one.problem)).collect()
    }

    #[test]
    fn three_brokers_with_our_topics_are_production() {
        let (observed, config) = well(&[1, 2, 3]);
        assert_eq!(check(&observed, &config, Mode::Production), []);
    }

    #[test]
    fn one_broker_with_our_topics_is_development() {
        let (observed, config) = well(&[1]);
        assert_eq!(check(&observed, &config, Mode::Development), []);
        let strict = findings(&observed, &config, Mode::Production);
        assert_eq!(
            strict.iter().filter(|one| one.contains("has 1 copies instead of 3")).count(),
            4
        );
        assert!(strict.iter().any(|one| one.contains("min.insync.replicas=1")), "{strict:#?}");
    }

    /// A hub node that restarts while one of three brokers is down must come up.
    #[test]
    fn a_broker_that_is_down_is_only_said() {
        let (mut observed, config) = well(&[1, 2, 3]);
        observed.brokers = vec![1, 3];
        let found = findings(&observed, &config, Mode::Production);
        assert_eq!(found, ["Warn: Kafka brokers that hold copies of the log are down: 2"]);
    }

    #[test]
    fn topics_are_not_created_on_too_few_brokers() {
        let (mut observed, config) = well(&[1, 2]);
        observed.topics = BTreeMap::new();
        assert!(
            findings(&observed, &config, Mode::Production)[0].starts_with("Refuse: there are 2")
        );
    }

    /// Each setting that may lose records is found, with a command that sets what is allowed.
    #[test]
    fn every_rule_is_refused_in_production_and_said_in_development() {
        for topic in Topic::ALL {
            for rule in rules(topic, Mode::Production) {
                let (mut observed, config) = well(&[1, 2, 3]);
                let seen = observed.topics.get_mut(&topic).unwrap();
                seen.settings.insert(rule.setting.to_owned(), "1".to_owned());
                let found = check(&observed, &config, Mode::Production);
                assert_eq!(found.len(), 1, "{topic:?} {}", rule.setting);
                assert_eq!(found[0].severity, Severity::Refuse);
                let value = rule.wanted.value();
                assert!(rule.wanted.allows(&value));
                assert!(found[0].remedy.ends_with(&format!("{}={value}", rule.setting)));

                let said = check(&observed, &config, Mode::Development);
                assert!(said.iter().all(|one| one.severity == Severity::Warn), "{said:?}");
            }
        }
    }
}
