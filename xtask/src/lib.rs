//! Tasks of the workspace: test bed, generated files, architecture check, simulation, benchmarks.
