//! The suite that every backend passes.
//!
//! A backend shows itself to the suite as an [`Arm`]; [`run_all`] runs every case on a log of its
//! own. What the cases ask for is the contract of [`Log`] and nothing more: an entry that is
//! acknowledged is there, in one order, for every reader, also after a restart; and the acceptance
//! rule on top of it makes owners safe that know nothing of each other.
//!
//! | module | cases about |
//! |---|---|
//! | [`entries`] | appending, reading, ends, sizes, restarts |
//! | [`ownership`] | claims, zombies, frames in flight |
//! | [`history`] | which records count, and that all readers agree for ever |
//! | [`content`] | the content store |
//! | [`chain`], [`owner`] | what the cases are written with, useful in tests elsewhere |
//!
//! A case panics when the backend breaks the contract. It waits by reading, never by sleeping.

pub mod chain;
pub mod content;
pub mod entries;
pub mod history;
pub mod owner;
pub mod ownership;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use events::Partition;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::Log;
pub use chain::Chain;
pub use owner::{Owner, observe, pipelined};

/// Where most cases write. Partition 0 has a genesis, which is a case of its own.
pub(crate) const PARTITION: Partition = Partition(1);

/// A backend under test.
#[async_trait]
pub trait Arm: Send + Sync {
    /// Opens the log of this name: a fresh, empty one the first time; afterwards the same again, as
    /// a process that was restarted finds it. The suite lets go of all handles and readers of a log
    /// before it opens it again, except when it asks for `another_handle`.
    ///
    /// Names consist of lower-case letters, digits and `-`. The cases use partitions 0 and 1.
    async fn open(&self, name: &str) -> Arc<dyn Log>;

    /// A handle to a log that is open, as another node of the deployment has one. For a backend
    /// that serves one process this is the same handle again, which is what the default gives.
    async fn another_handle(&self, _name: &str, log: &Arc<dyn Log>) -> Arc<dyn Log> {
        Arc::clone(log)
    }
}

/// One thing that a backend must do.
pub struct Case {
    /// What it must do.
    pub name: &'static str,
    run: fn(Subject) -> BoxFuture<'static, ()>,
}

/// What a case is about: logs of its own in the backend under test.
#[derive(Clone)]
pub struct Subject {
    arm: Arc<dyn Arm>,
    name: String,
}

impl Subject {
    /// The case's log, open.
    pub async fn open(&self) -> Arc<dyn Log> {
        self.arm.open(&self.name).await
    }

    /// A second log, which has nothing to do with the first.
    pub async fn open_other(&self) -> Arc<dyn Log> {
        self.arm.open(&format!("{}-other", self.name)).await
    }

    /// See [`Arm::another_handle`].
    pub async fn another_handle(&self, log: &Arc<dyn Log>) -> Arc<dyn Log> {
        self.arm.another_handle(&self.name, log).await
    }

    /// Lets go of the log and opens it again.
    pub async fn reopen(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        drop(log);
        self.open().await
    }
}

macro_rules! cases {
    ($($module:ident :: $case:ident,)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[
            $(Case {
                name: concat!(stringify!($module), "::", stringify!($case)),
                run: |subject| $module::$case(subject).boxed(),
            },)*
        ];
    };
}

cases! {
    entries::an_appended_entry_is_read_back,
    entries::appends_in_flight_keep_their_order,
    entries::reading_starts_at_an_offset_and_goes_on_live,
    entries::a_reader_that_waits_is_woken,
    entries::a_reader_that_is_not_waited_for_loses_nothing,
    entries::the_end_covers_what_was_there,
    entries::streams_do_not_mix,
    entries::several_readers_see_the_same,
    entries::a_reader_that_does_not_read_holds_nothing_up,
    entries::the_largest_entry_is_taken_and_a_larger_one_refused,
    entries::everything_is_there_after_a_restart,
    entries::equal_entries_are_two_entries,
    ownership::a_claim_starts_an_ownership,
    ownership::of_two_claims_on_one_epoch_the_first_wins,
    ownership::a_zombie_may_write_before_a_claim,
    ownership::nobody_acts_on_what_a_zombie_writes_after_a_claim,
    ownership::nobody_acts_on_what_a_zombie_writes_long_after_a_claim,
    ownership::a_rejected_frame_rejects_those_after_it,
    ownership::a_claim_settles_an_append_that_was_given_up,
    ownership::an_owner_goes_on_after_a_restart,
    history::a_gap_is_rejected,
    history::another_history_is_rejected,
    history::an_old_epoch_is_rejected,
    history::nothing_counts_before_the_first_claim,
    history::a_frame_that_is_stored_twice_counts_once,
    history::what_is_no_record_is_skipped,
    history::what_does_not_count_need_not_be_readable,
    history::what_counts_and_cannot_be_read_stops_the_reader,
    history::a_genesis_counts_as_the_first_record_only,
    history::reading_again_gives_the_same_history,
    history::reading_goes_on_from_what_was_accepted,
    history::another_log_is_noticed,
    history::a_log_that_went_backwards_is_noticed,
    content::bytes_are_found_by_their_hash,
    content::putting_again_changes_nothing,
    content::large_content_is_taken_and_larger_refused,
    content::content_is_there_after_a_restart,
}

/// Runs one case by its name.
///
/// # Panics
/// When the backend breaks the contract, or when there is no such case.
pub async fn run(arm: Arc<dyn Arm>, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
    (case.run)(Subject { arm, name: name.replace("::", "-").replace('_', "-") }).await;
}

/// Runs all cases, one after the other.
///
/// # Panics
/// At the end, with the names of the cases that failed. Each has said before what was wrong.
pub async fn run_all(arm: Arc<dyn Arm>) {
    let mut failed = Vec::new();
    for case in CASES {
        let running = run(Arc::clone(&arm), case.name);
        if AssertUnwindSafe(running).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:#?}", failed.len(), CASES.len());
}
