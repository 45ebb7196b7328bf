//! The `taffrail` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A hub makes and drops millions of small texts a minute, on one thread and on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    taffrail::cli::main()
}
