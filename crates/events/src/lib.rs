//! The facts: ids, envelopes, event enums, their JSON codec, upcasters and the hash chain. No async, no clock.
