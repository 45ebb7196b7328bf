//! Identifiers are read back from what they print.

use events::{AggregateId, CommandId, EventId, PlacementKey, Position, Principal, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

fn placement_key() -> impl Strategy<Value = PlacementKey> {
    let name = "[a-z0-9][a-z0-9.-]{0,20}";
    prop_oneof![
        name.prop_map(PlacementKey::cluster),
        (name, name).prop_map(|(namespace, name)| PlacementKey::namespaced(namespace, name)),
    ]
}

fn aggregate() -> impl Strategy<Value = AggregateId> {
    prop_oneof![
        "[a-z0-9][a-z0-9.-]{0,20}".prop_map(AggregateId::Cluster),
        placement_key().prop_map(AggregateId::Placement),
        Just(AggregateId::Fleet),
    ]
}

proptest! {
    #[test]
    fn an_aggregate_id_reads_back(id in aggregate()) {
        prop_assert_eq!(id.to_string().parse::<AggregateId>().unwrap(), id);
    }

    #[test]
    fn a_position_reads_back(partition: u16, sequence: u64) {
        let text = format!("{partition}:{sequence}");
        prop_assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
    }

    #[test]
    fn deciding_again_gives_the_same_event_id(millis in 0_i64..4_000_000_000_000, index in 0_usize..9) {
        let time = Timestamp::from_millisecond(millis).unwrap();
        let command = CommandId(Uuid::from_u128(7));
        let id = EventId::derive(time, command, index);
        prop_assert_eq!(id, EventId::derive(time, command, index));
        prop_assert_ne!(id, EventId::derive(time, command, index + 1));
        prop_assert_eq!(id.0.get_version_num(), 7);
    }
}

#[test]
fn text_that_is_no_id_is_refused() {
    for text in ["", "cluster/", "placement/web", "placement/ns./web", "fleet/x", "moon/1"] {
        assert!(text.parse::<AggregateId>().is_err(), "{text:?}");
    }
    assert!("alice".parse::<Principal>().is_err());
    // What a field manager calls itself is no user, not even one that calls itself so.
    let claimed = Principal::Claimed("user:alice".to_owned());
    assert_eq!(claimed.to_string(), "claimed:user:alice");
    assert_eq!(claimed.to_string().parse(), Ok(claimed));
    assert!("7".parse::<Position>().is_err());
}
