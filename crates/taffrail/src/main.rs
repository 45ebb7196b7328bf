//! The `taffrail` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    taffrail::cli::main()
}
