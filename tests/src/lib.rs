//! Acceptance tests against the real parts, and the ground that they stand on.
//!
//! A [`ground::Ground`] is a hub API server and some members: simulated, or real ones of the test
//! bed. The scenarios do not know which.

pub mod bench;
pub mod ground;
pub mod held;
pub mod hubs;
pub mod inventory;
pub mod logs;
pub mod manifests;
pub mod obedient;
pub mod raw;
pub mod recorded;
pub mod scenarios;
pub mod simulation;
pub mod wait;

/// As the product has it, so that what is tested and measured here is that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a test where actors can run: in an actix system on a runtime with two threads.
pub fn in_a_system(test: impl Future<Output = ()>) {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be started")
    };
    actix_rt::System::with_tokio_rt(runtime).block_on(test);
}
