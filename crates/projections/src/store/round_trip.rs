//! Every type that is kept as bincode comes back as it was.
//!
//! bincode cannot carry skipped fields, untagged enums or anything that describes itself, and says
//! so only when it reads. A type that gets a new variant gets it here as well.

use std::fmt::Debug;

use domain::ClusterView;
use domain::cluster::{
    ClusterHold, ClusterState, Credential, Delivery, DeliveryPhase, LinkFailure, Member,
    Membership, Unhealthy,
};
use domain::fleet::{FleetState, WentBack};
use domain::placement::{Hold, PlacementState, Problem, Revision, Scheduled, Specified, Target};
use events::cluster::{ApplyStrategy, LinkProblem, ObjectFailure, Progress, RevisionRef, Taint};
use events::fleet::{FleetFounded, FleetHandedOver};
use events::placement::{
    HoldReason, LabelOperator, LabelRequirement, LabelSelector, PlacementSpec, Policy,
    RefusalReason, ResourceSelector, SelectionScope, TargetPhase, Toleration, Verdict,
    VerdictReason,
};
use events::{
    ChainHash, CommandId, ContentHash, Epoch, ObjectId, Partition, PlacementKey, Position,
    Sequence, Timestamp,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::batch::ViewRow;
use super::rows::Run;
use super::values;
use crate::rejections::{RejectedRecord, Rejections};
use crate::step::{Checkpoint, Owner};

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = values::to_bincode(value);
    let back: T = values::from_bincode(&bytes).expect("it was written just now");
    assert_eq!(back, *value);
    let cut = values::from_bincode::<T>(&bytes[..bytes.len() - 1]);
    assert!(cut.is_err(), "a value without its last byte was read as {cut:?}");
    assert_eq!(values::unpack(&values::pack(&bytes)).expect("it was packed just now"), bytes);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.-]{1,12}", any::<String>()]
}

fn map() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map(text(), text(), 0..4)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-2_000_000_000_i64..4_000_000_000, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).unwrap())
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u16>(), any::<u64>()).prop_map(|(partition, sequence)| Position {
        partition: Partition(partition),
        sequence: Sequence(sequence),
    })
}

fn key() -> impl Strategy<Value = PlacementKey> {
    (of("[a-z-]{1,8}"), "[a-z-]{1,8}").prop_map(|(namespace, name)| match namespace {
        Some(namespace) => PlacementKey::namespaced(namespace, name),
        None => PlacementKey::cluster(name),
    })
}

fn taints() -> impl Strategy<Value = Vec<Taint>> {
    vec((text(), text()).prop_map(|(key, value)| Taint { key, value }), 0..3)
}

fn apply() -> impl Strategy<Value = ApplyStrategy> {
    any::<(bool, bool)>()
        .prop_map(|(force, allow_co_ownership)| ApplyStrategy { force, allow_co_ownership })
}

fn revision_ref() -> impl Strategy<Value = RevisionRef> {
    (any::<u32>(), hash()).prop_map(|(index, manifests)| RevisionRef { index, manifests })
}

fn object() -> impl Strategy<Value = ObjectId> {
    (text(), text(), text(), text(), text()).prop_map(|(group, version, kind, namespace, name)| {
        ObjectId { group, version, kind, namespace, name }
    })
}

fn failures() -> impl Strategy<Value = Vec<ObjectFailure>> {
    let failure = (object(), text(), text(), of(any::<i64>())).prop_map(
        |(object, reason, message, generation)| ObjectFailure {
            object,
            reason,
            message,
            generation,
        },
    );
    vec(failure, 0..3)
}

fn link_failure() -> impl Strategy<Value = LinkFailure> {
    let problem = prop_oneof![
        select(vec![
            LinkProblem::InvalidKubeconfig,
            LinkProblem::Unreachable,
            LinkProblem::Unauthorized,
            LinkProblem::Forbidden,
            LinkProblem::IsHub,
            LinkProblem::Missing,
        ]),
        text().prop_map(LinkProblem::DuplicateOf),
        text().prop_map(LinkProblem::OtherDeployment),
        text().prop_map(LinkProblem::OtherCluster),
    ];
    (problem, text(), time()).prop_map(|(problem, message, since)| LinkFailure {
        problem,
        message,
        since,
    })
}

fn credential() -> impl Strategy<Value = Credential> {
    (time(), time(), any::<bool>()).prop_map(|(expires_at, since, is_told)| Credential {
        expires_at,
        since,
        is_told,
    })
}

fn unhealthy() -> impl Strategy<Value = Unhealthy> {
    (time(), text(), any::<bool>()).prop_map(|(since, message, is_grace_over)| Unhealthy {
        since,
        message,
        is_grace_over,
    })
}

fn member() -> impl Strategy<Value = Member> {
    (
        (text(), map(), taints(), any::<u32>(), of(text())),
        (
            text(),
            of(time()),
            of(link_failure()),
            of(unhealthy()),
            of(credential()),
            map(),
            of(cluster_hold()),
        ),
    )
        .prop_map(|((uid, labels, taints, heartbeat_period_seconds, identity), rest)| {
            let (
                kubernetes_version,
                joined_at,
                link_failure,
                unhealthy,
                credential,
                properties,
                held,
            ) = rest;
            Member {
                uid,
                labels,
                taints,
                heartbeat_period_seconds,
                identity,
                kubernetes_version,
                joined_at,
                link_failure,
                unhealthy,
                credential,
                properties,
                held,
            }
        })
}

fn cluster_hold() -> impl Strategy<Value = ClusterHold> {
    (text(), text(), time()).prop_map(|(token, message, since)| ClusterHold {
        token,
        message,
        since,
    })
}

fn progress() -> impl Strategy<Value = Progress> {
    any::<(u32, u32)>().prop_map(|(applied, of)| Progress { applied, of })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let phase = prop_oneof![
        Just(DeliveryPhase::Assigned),
        failures().prop_map(DeliveryPhase::Failed),
        failures().prop_map(DeliveryPhase::Applied),
        any::<u32>().prop_map(|untracked| DeliveryPhase::Available { untracked }),
        failures().prop_map(DeliveryPhase::Withdrawn),
    ];
    let objects = || btree_set(object(), 0..3);
    let held = vec(revision_ref(), 0..3);
    let marked = (objects(), objects(), of(progress()));
    (any::<u64>(), phase, of(revision_ref()), held, apply(), marked).prop_map(
        |(generation, phase, revision, held, apply, (adopted, kept, progress))| Delivery {
            generation,
            phase,
            revision,
            held,
            apply,
            adopted,
            kept,
            progress,
        },
    )
}

fn cluster() -> impl Strategy<Value = ClusterState> {
    let membership = prop_oneof![
        Just(Membership::Unknown),
        member().prop_map(|member| Membership::Member(Box::new(member))),
        Just(Membership::Left),
    ];
    (membership, btree_map(key(), delivery(), 0..4), btree_map(key(), any::<u64>(), 0..4)).prop_map(
        |(membership, deliveries, orphans)| ClusterState { membership, deliveries, orphans },
    )
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let operator = select(vec![
        LabelOperator::In,
        LabelOperator::NotIn,
        LabelOperator::Exists,
        LabelOperator::DoesNotExist,
    ]);
    let requirement = (text(), operator, vec(text(), 0..3))
        .prop_map(|(key, operator, values)| LabelRequirement { key, operator, values });
    (map(), vec(requirement, 0..3)).prop_map(|(match_labels, match_expressions)| LabelSelector {
        match_labels,
        match_expressions,
    })
}

fn spec() -> impl Strategy<Value = PlacementSpec> {
    let scope = select(vec![
        SelectionScope::NamespaceWithResources,
        SelectionScope::NamespaceOnly,
        SelectionScope::NamespaceWithResourceSelectors,
    ]);
    let resource = (text(), text(), text(), text(), of(selector()), scope).prop_map(
        |(group, version, kind, name, labels, scope)| ResourceSelector {
            group,
            version,
            kind,
            name,
            labels,
            scope,
        },
    );
    let toleration = (text(), of(text())).prop_map(|(key, value)| Toleration { key, value });
    let policy = prop_oneof![
        (vec(selector(), 0..3), vec(toleration, 0..3))
            .prop_map(|(terms, tolerations)| Policy::PickAll { terms, tolerations }),
        vec(text(), 0..3).prop_map(|clusters| Policy::PickFixed { clusters }),
    ];
    (vec(resource, 0..3), policy, apply()).prop_map(|(selectors, policy, apply)| PlacementSpec {
        selectors,
        policy,
        apply,
    })
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    let reason = prop_oneof![
        select(vec![
            VerdictReason::Matches,
            VerdictReason::Named,
            VerdictReason::StaysPlaced { despite: None },
            VerdictReason::StaysPlaced { despite: Some(Box::new(VerdictReason::Unhealthy)) },
            VerdictReason::NotFound,
            VerdictReason::NotJoined,
            VerdictReason::Unhealthy,
            VerdictReason::LabelsDoNotMatch,
        ]),
        (text(), text()).prop_map(|(key, value)| VerdictReason::TaintNotTolerated { key, value }),
    ];
    let verdict = (text(), any::<bool>(), reason).prop_map(|(cluster, chosen, reason)| Verdict {
        cluster,
        chosen,
        reason,
    });
    vec(verdict, 0..4)
}

fn target() -> impl Strategy<Value = Target> {
    let phase = select(vec![
        TargetPhase::Moving,
        TargetPhase::Assigned,
        TargetPhase::ApplyFailed,
        TargetPhase::Applied,
        TargetPhase::Available,
        TargetPhase::AvailableUntracked,
        TargetPhase::Removed,
        TargetPhase::Removing,
    ]);
    let told = (failures(), text());
    (any::<u64>(), of(any::<u32>()), apply(), phase, of(position()), told, time()).prop_map(
        |(generation, revision, apply, phase, evidence, (failures, remark), since)| Target {
            generation,
            revision,
            apply,
            phase,
            evidence,
            failures,
            remark,
            since,
        },
    )
}

fn placement() -> impl Strategy<Value = PlacementState> {
    let specified = (text(), any::<i64>(), spec(), any::<u32>()).prop_map(
        |(uid, generation, spec, policy_index)| Specified { uid, generation, spec, policy_index },
    );
    let reason = select(vec![
        RefusalReason::InvalidResourceSelectors,
        RefusalReason::SchedulingPolicyUnfulfilled,
    ]);
    let problem = (text(), any::<i64>(), reason, text(), time()).prop_map(
        |(uid, generation, reason, message, since)| Problem {
            uid,
            generation,
            reason,
            message,
            since,
        },
    );
    let revision = || {
        (revision_ref(), any::<u32>())
            .prop_map(|(reference, objects)| Revision { reference, objects })
    };
    let scheduled = (any::<i64>(), any::<u32>(), any::<bool>(), text(), verdicts(), time())
        .prop_map(|(generation, policy_index, fulfilled, message, verdicts, since)| Scheduled {
            generation,
            policy_index,
            fulfilled,
            message,
            verdicts,
            since,
        });
    (
        (of(specified), of(problem), of(revision()), btree_map(any::<u32>(), revision(), 0..3)),
        (
            (of(scheduled), btree_map(text(), target(), 0..4)),
            (any::<u64>(), any::<u64>(), of(text()), of(hold())),
        ),
        vec(text(), 0..3),
    )
        .prop_map(|((specified, problem, revision, revisions), rest, notes)| {
            let ((scheduled, targets), (moves, moved_again_through, deleting, held)) = rest;
            PlacementState {
                specified,
                problem,
                revision,
                notes,
                revisions,
                scheduled,
                targets,
                moves,
                moved_again_through,
                deleting,
                held,
            }
        })
}

fn hold() -> impl Strategy<Value = Hold> {
    let reason = prop_oneof![
        Just(HoldReason::ObjectGone),
        Just(HoldReason::ObjectWentBack),
        Just(HoldReason::SelectionGone),
    ];
    (text(), reason, text(), text(), time()).prop_map(|(uid, reason, token, message, since)| Hold {
        uid,
        reason,
        token,
        message,
        since,
    })
}

fn fleet() -> impl Strategy<Value = FleetState> {
    let founded =
        (any::<u128>(), any::<u16>(), text()).prop_map(|(deployment, partitions, version)| {
            FleetFounded { deployment: Uuid::from_u128(deployment), partitions, version }
        });
    let handed_over = (any::<u128>(), text(), of(text()), of(any::<u128>())).prop_map(
        |(handover, hub, from_hub, from_deployment)| FleetHandedOver {
            handover: Uuid::from_u128(handover),
            hub,
            from_hub,
            from_deployment: from_deployment.map(Uuid::from_u128),
        },
    );
    let went_back = (text(), text(), time()).prop_map(|(token, message, since)| WentBack {
        token,
        message,
        since,
    });
    (of(founded), of(handed_over), any::<u64>(), of(went_back)).prop_map(
        |(founded, handed_over, hub_revision, hub_went_back)| FleetState {
            founded,
            handed_over,
            hub_revision,
            hub_went_back,
        },
    )
}

fn view() -> impl Strategy<Value = ViewRow> {
    let view = (map(), taints(), of(text()), of(time()), any::<bool>(), map()).prop_map(
        |(labels, taints, identity, joined_at, is_unhealthy, properties)| ClusterView {
            labels,
            taints,
            identity,
            joined_at,
            is_unhealthy,
            properties,
        },
    );
    (any::<u16>(), of(view))
        .prop_map(|(partition, view)| ViewRow { partition: Partition(partition), view })
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    let chain = || any::<[u8; 32]>().prop_map(ChainHash);
    let owner = (text(), any::<u128>())
        .prop_map(|(node, incarnation)| Owner { node, incarnation: Uuid::from_u128(incarnation) });
    let places = (any::<u64>(), any::<u64>(), chain(), of((any::<u64>(), chain())));
    let rejected =
        (any::<u64>(), text()).prop_map(|(offset, reason)| RejectedRecord { offset, reason });
    let rejections = (any::<u64>(), vec(rejected, 0..3))
        .prop_map(|(count, newest)| Rejections { count, newest });
    (places, of(owner), time(), rejections).prop_map(
        |((epoch, last, hash, last_record), owner, time, rejections)| Checkpoint {
            epoch: Epoch(epoch),
            last: Sequence(last),
            hash,
            last_record,
            owner,
            time,
            rejections,
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    (any::<u16>(), vec(any::<u64>().prop_map(Sequence), 1..20))
        .prop_map(|(partition, sequences)| Run { partition: Partition(partition), sequences })
}

proptest! {
    #[test]
    fn states_come_back(cluster in cluster(), placement in placement(), fleet in fleet()) {
        comes_back(&cluster);
        comes_back(&placement);
        comes_back(&fleet);
    }

    #[test]
    fn other_rows_come_back(
        view in view(),
        checkpoint in checkpoint(),
        run in run(),
        (digest, partition, sequence) in any::<(u32, u16, u64)>(),
        id in any::<u128>(),
        offset in any::<u64>(),
    ) {
        comes_back(&view);
        comes_back(&checkpoint);
        comes_back(&run);
        comes_back(&vec![(digest, Partition(partition), Sequence(sequence))]);
        comes_back(&CommandId(Uuid::from_u128(id)));
        comes_back(&offset);
    }
}
