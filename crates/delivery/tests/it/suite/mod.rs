//! What a link does to a member, told case by case. Both arms run the same cases: against the
//! simulator, and against a real kube-apiserver.

#![allow(unreachable_pub, reason = "a module of test binaries")]

pub mod applying;
pub mod letting_go;
pub mod observing;
pub mod removing;
pub mod running_once;
pub mod sharing;
pub mod world;

pub use applying::*;
pub use letting_go::*;
pub use observing::*;
pub use removing::*;
pub use running_once::*;
pub use sharing::*;
pub use world::World;

/// One test for each case of the suite. `$world` makes the world of a case, or says why there is
/// none.
macro_rules! cases {
    ($world:path) => {
        crate::suite::cases! { $world;
            first_delivery,
            an_update_writes_what_changed,
            an_unchanged_order_writes_nothing,
            an_older_order_is_refused,
            two_placements_do_not_share_an_object,
            an_object_of_nobody_is_taken_over,
            references_to_works_that_are_gone_do_not_count,
            an_object_of_a_controller_needs_co_ownership,
            a_foreign_manager_is_respected_unless_forced,
            a_pre_existing_manager_yields,
            a_kind_that_is_not_known_is_explained,
            a_definition_and_its_objects_in_one_order,
            a_namespace_that_goes_away_is_named,
            a_namespace_that_is_missing_is_named,
            values_of_secrets_do_not_leak,
            an_object_that_is_too_large_is_reported,
            one_bad_object_does_not_stop_the_others,
            a_delivery_that_was_cut_short_is_finished,
            leftovers_are_removed,
            a_leftover_of_somebody_else_is_left_alone,
            a_finalizer_keeps_a_leftover_and_what_it_needs,
            a_withdrawal_leaves_nothing,
            regression_an_object_outlives_its_version,
            a_withdrawal_leaves_what_it_does_not_name,
            an_older_withdrawal_is_refused,
            a_withdrawal_of_nothing_is_done,
            what_was_there_before_outlives_the_placement,
            what_was_there_before_is_deleted_where_that_is_wanted,
            a_kind_with_objects_of_others_is_let_go,
            a_kind_is_kept_while_its_objects_are_placed,
            an_object_that_another_placement_waits_for_changes_owner,
            an_heir_that_never_comes_still_removes_what_it_was_left,
            a_namespace_goes_with_what_people_put_into_it,
            a_namespace_with_adopted_objects_is_let_go,
            a_namespace_with_objects_of_another_placement_is_let_go,
            what_a_former_life_left_is_reclaimed,
            a_work_of_another_tool_is_not_reclaimed,
            availability_is_reported_when_it_comes,
            an_assessment_takes_up_where_a_delivery_ended,
            regression_what_is_not_available_is_not_when_it_is_listed,
            regression_what_is_deleted_is_missed_whatever_its_kind,
            regression_what_went_while_no_hub_watched_is_missed,
            regression_an_object_that_lost_its_label_gets_it_again,
            an_order_that_waits_for_a_finalizer_hears_of_its_end,
            regression_a_finished_job_is_not_made_again,
            a_job_that_may_have_finished_unseen_is_not_made_again,
            a_job_that_was_removed_before_it_finished_comes_back,
            a_member_is_made_ready_for_orders,
            a_version_that_is_not_served_is_named_with_those_that_are,
            a_probe_tells_which_cluster_it_is,
        }
    };
    ($world:path; $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                if let Some(world) = $world(stringify!($case)).await {
                    crate::suite::$case(world).await;
                }
            }
        )*
    };
}
pub(crate) use cases;
