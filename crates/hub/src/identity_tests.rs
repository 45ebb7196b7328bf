//! Whose a hub cluster is, decided and written down.

use events::Timestamp;

use super::*;

const HERE: &str = "hub-uid";

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn genesis(deployment: u128, hub: Option<&str>) -> Genesis {
    Genesis {
        deployment: uuid(deployment),
        partitions: 32,
        format: 1,
        time: Timestamp::UNIX_EPOCH,
        hub: hub.map(str::to_owned),
    }
}

fn mark(deployment: Option<u128>, handover: Option<u128>) -> HubMark {
    HubMark {
        deployment: deployment.map(uuid),
        handover: handover.map(|id| Handover {
            id: uuid(id),
            from_hub: Some("old-hub".to_owned()),
            from_deployment: Some(uuid(9)),
        }),
    }
}

/// The verdict in a word.
fn verdict(mark: Option<HubMark>, genesis: Option<Genesis>) -> &'static str {
    match check(HERE, mark.as_ref(), genesis.as_ref()) {
        Ok(HubCluster { handover: None, .. }) => "yes",
        Ok(HubCluster { handover: Some(_), .. }) => "handed over",
        Err(IdentityError::OtherDeployment { .. }) => "other deployment",
        Err(IdentityError::EmptyLog { .. }) => "empty log",
        Err(IdentityError::OtherHub { .. }) => "other hub",
        Err(IdentityError::UnknownHub { .. }) => "unknown hub",
        Err(
            IdentityError::Unclear { .. }
            | IdentityError::Changed
            | IdentityError::Forbidden(_)
            | IdentityError::Api(_),
        ) => unreachable!("nothing is read or written"),
    }
}

#[test]
fn a_hub_works_only_where_cluster_and_log_belong_together() {
    let ours = || Some(genesis(1, Some(HERE)));
    assert_eq!(verdict(None, None), "yes", "both are new");
    assert_eq!(verdict(None, ours()), "yes", "the mark is made again");
    assert_eq!(verdict(Some(mark(Some(1), None)), ours()), "yes");
    assert_eq!(verdict(Some(mark(Some(2), None)), ours()), "other deployment");
    assert_eq!(verdict(Some(mark(Some(2), None)), None), "empty log");

    let theirs = || Some(genesis(1, Some("old-hub")));
    assert_eq!(verdict(None, theirs()), "other hub");
    assert_eq!(verdict(Some(mark(Some(1), None)), theirs()), "other hub");
    assert_eq!(verdict(None, Some(genesis(1, None))), "unknown hub");

    assert_eq!(verdict(Some(mark(Some(1), Some(5))), theirs()), "handed over");
    assert_eq!(verdict(Some(mark(Some(1), Some(5))), Some(genesis(1, None))), "handed over");
    assert_eq!(verdict(Some(mark(None, Some(5))), None), "handed over", "to a new deployment");
    assert_eq!(verdict(Some(mark(None, Some(5))), theirs()), "other hub");
}

#[test]
fn every_refusal_names_the_command_that_hands_over() {
    let refusals = [
        check(HERE, Some(&mark(Some(2), None)), Some(&genesis(1, Some(HERE)))),
        check(HERE, Some(&mark(Some(2), None)), None),
        check(HERE, None, Some(&genesis(1, Some("old-hub")))),
        check(HERE, None, Some(&genesis(1, None))),
    ];
    for refusal in refusals {
        let message = refusal.unwrap_err().to_string();
        assert!(message.contains("taffrail handover --config FILE"), "{message}");
    }
}

#[test]
fn a_mark_is_read_as_it_was_written() {
    let object = |cluster: &str, mark: &HubMark| ConfigMap {
        data: Some(entries(cluster, mark)),
        ..ConfigMap::default()
    };
    for mark in [mark(Some(1), None), mark(Some(1), Some(5)), mark(None, Some(5))] {
        assert_eq!(parse(&object(HERE, &mark), HERE).unwrap(), Some(mark.clone()));
        assert_eq!(parse(&object("elsewhere", &mark), HERE).unwrap(), None, "a copy");
    }
    let mut broken = object(HERE, &mark(Some(1), None));
    broken.data.as_mut().unwrap().insert(DEPLOYMENT.to_owned(), "mine".to_owned());
    let message = parse(&broken, HERE).unwrap_err().to_string();
    assert!(message.contains("\"mine\", which is no UUID"), "{message}");
    assert!(parse(&ConfigMap::default(), HERE).is_err());
}
