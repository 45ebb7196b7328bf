//! The part of the workspace's tasks that tests use too: the test bed. The tasks themselves are
//! modules of the program, one for each subcommand of `cargo xtask`.

pub mod bed;
