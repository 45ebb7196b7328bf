//! The actix shell around the deciders: entities, shards, effects, timers, supervision.
