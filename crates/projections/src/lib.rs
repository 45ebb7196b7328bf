//! Folds of the log into rows, kept in sled, with typed queries and time travel.
